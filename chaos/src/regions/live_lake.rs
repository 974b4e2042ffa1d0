//! A lake that grows ledger by ledger, as that of a live network: a complete one is there, and its objects appear in
//! another folder one by one.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::experiment::ExperimentError;
use crate::workload::{FIRST_LEDGER, remove};

/// What a lake says of itself.
const MANIFEST: &str = ".config.json";

/// Appears ledger by ledger.
#[derive(Debug)]
pub(crate) struct LiveLake {
    folder: PathBuf,
    /// Objects that are still to come, the next one last.
    coming: Vec<PathBuf>,
    /// When each ledger appeared, from the first on.
    appeared: Vec<Duration>,
    due: Duration,
    every: Duration,
}

impl LiveLake {
    /// The ledgers of the lake in `complete`, one object each, in `folder`; the first `at_once` are there at the beginning, and
    /// then one comes each time that `every` has passed.
    ///
    /// # Errors
    ///
    /// The file system refuses.
    pub(crate) fn new(
        complete: &Path,
        folder: &Path,
        at_once: u32,
        every: Duration,
        now: Duration,
    ) -> Result<Self, ExperimentError> {
        remove(folder)?;
        let mut coming = Vec::new();
        for partition in entries(complete)?.into_iter().filter(|path| path.is_dir()) {
            let name = partition.file_name().unwrap_or_default();
            fs::create_dir_all(folder.join(name)).map_err(ExperimentError::io("create", folder))?;
            coming.extend(entries(&partition)?);
        }
        // Names begin with what is left to the largest number: the last ledger sorts first.
        coming.sort_by(|a, b| a.file_name().cmp(&b.file_name()));
        let manifest = complete.join(MANIFEST);
        fs::copy(&manifest, folder.join(MANIFEST)).map_err(ExperimentError::io("copy", &manifest))?;
        let mut lake = Self { folder: folder.to_owned(), coming, appeared: Vec::new(), due: now, every };
        for _ in 0..at_once {
            lake.close(now)?;
        }
        lake.due = now + every;
        Ok(lake)
    }

    /// Lets appear what is due.
    ///
    /// # Errors
    ///
    /// The file system refuses.
    pub(crate) fn go_on(&mut self, now: Duration) -> Result<(), ExperimentError> {
        while self.due <= now && !self.coming.is_empty() {
            self.close(now)?;
            self.due += self.every;
        }
        Ok(())
    }

    /// Lets all of the rest appear.
    ///
    /// # Errors
    ///
    /// The file system refuses.
    pub(crate) fn complete(&mut self, now: Duration) -> Result<(), ExperimentError> {
        while !self.coming.is_empty() {
            self.close(now)?;
        }
        Ok(())
    }

    /// The newest ledger.
    pub(crate) fn newest(&self) -> u32 {
        FIRST_LEDGER + u32::try_from(self.appeared.len()).unwrap_or(u32::MAX) - 1
    }

    /// When a ledger appeared, if it has.
    pub(crate) fn appeared(&self, ledger: u32) -> Option<Duration> {
        self.appeared.get(ledger.checked_sub(FIRST_LEDGER)? as usize).copied()
    }

    /// Whether more ledgers will come.
    pub(crate) fn goes_on(&self) -> bool {
        !self.coming.is_empty()
    }

    /// A hard link: the object is whole as soon as it has its name.
    fn close(&mut self, now: Duration) -> Result<(), ExperimentError> {
        let Some(object) = self.coming.pop() else { return Ok(()) };
        let partition = object.parent().and_then(Path::file_name).unwrap_or_default();
        let link = self.folder.join(partition).join(object.file_name().unwrap_or_default());
        fs::hard_link(&object, &link).map_err(ExperimentError::io("link", &link))?;
        self.appeared.push(now);
        Ok(())
    }
}

fn entries(folder: &Path) -> Result<Vec<PathBuf>, ExperimentError> {
    let failed = || ExperimentError::io("list", folder);
    let listed = fs::read_dir(folder).map_err(failed())?;
    listed.map(|entry| entry.map(|entry| entry.path()).map_err(failed())).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ledgers_appear_in_order_and_in_time() {
        let home = tempfile::tempdir().unwrap();
        let (complete, live) = (home.path().join("all"), home.path().join("live"));
        let partition = complete.join("FFFFFFFF--0-63999");
        fs::create_dir_all(&partition).unwrap();
        fs::write(complete.join(MANIFEST), "{}").unwrap();
        for ledger in 2..7_u32 {
            fs::write(partition.join(format!("{:08X}--{ledger}.xdr.zst", u32::MAX - ledger)), "x").unwrap();
        }
        let second = Duration::from_secs(1);
        let mut lake = LiveLake::new(&complete, &live, 2, second, second).unwrap();
        let there = |ledger: u32| {
            live.join(format!("FFFFFFFF--0-63999/{:08X}--{ledger}.xdr.zst", u32::MAX - ledger)).is_file()
        };
        assert!(lake.newest() == 3 && there(3) && !there(4));
        lake.go_on(second * 2).unwrap();
        assert!(lake.newest() == 4 && there(4) && !there(5));
        lake.go_on(second * 9).unwrap();
        assert!(lake.newest() == 6 && !lake.goes_on());
        assert_eq!(
            (lake.appeared(2), lake.appeared(4), lake.appeared(7)),
            (Some(second), Some(second * 2), None)
        );
    }
}
