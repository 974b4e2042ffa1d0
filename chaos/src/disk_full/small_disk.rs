//! A file system in memory that is small enough to be filled.

use std::fs::{self, File};
use std::io::{self, ErrorKind, Write};
use std::path::{Path, PathBuf};
use std::process::Command;

use serde::Serialize;

use crate::experiment::ExperimentError;
use crate::workload::remove;

/// What a tmpfs counts in.
const PAGE_BYTES: u64 = 4096;

/// Where the filler is, beside the dataset.
const FILLER: &str = "filler";

/// What is used up.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Fill {
    /// Room for content.
    Bytes,
    /// Room for names.
    Inodes,
}

/// A mounted tmpfs. Dropped, it is unmounted.
#[derive(Debug)]
pub(crate) struct SmallDisk {
    path: PathBuf,
    /// A third of what the dataset needs: pages and inodes.
    third: (u64, u64),
}

impl SmallDisk {
    /// Mounts one at `path`.
    pub(crate) fn mount(path: &Path, bytes: u64, inodes: u64) -> Result<Self, ExperimentError> {
        // A run that was killed may have left its own.
        unmount(path);
        remove(path)?;
        fs::create_dir_all(path).map_err(ExperimentError::io("create", path))?;
        let options = format!("size={bytes},nr_inodes={inodes}");
        let output = Command::new("mount")
            .args(["-t", "tmpfs", "-o", &options, "orrery-chaos"])
            .arg(path)
            .output()
            .map_err(ExperimentError::io("run mount for", path))?;
        if !output.status.success() {
            return Err(ExperimentError::Skipped(format!(
                "skipped: a small disk cannot be mounted: {}; be root, or run it as `unshare --map-root-user --mount \
                 orrery-chaos disk-full`",
                String::from_utf8_lossy(&output.stderr).trim()
            )));
        }
        Ok(Self { path: path.to_owned(), third: (0, 0) })
    }

    /// One that holds twice of what is in `dataset`, and of what is not to be used up more than that.
    pub(crate) fn for_dataset(path: &Path, dataset: &Path, fill: Fill) -> Result<Self, ExperimentError> {
        let (pages, inodes) = usage(dataset).map_err(ExperimentError::io("read", dataset))?;
        let spare = if fill == Fill::Bytes { (0, 2 * pages) } else { (2 * inodes, 0) };
        let mut disk = Self::mount(path, (2 * pages + spare.0) * PAGE_BYTES, 2 * inodes + spare.1)?;
        disk.third = (pages / 3, inodes / 3);
        Ok(disk)
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Uses up all there is.
    pub(crate) fn fill_all(&self, fill: Fill) -> Result<(), ExperimentError> {
        let folder = self.path.join(FILLER);
        let failed = |source| ExperimentError::io("fill", &folder)(source);
        fs::create_dir_all(&folder).map_err(failed)?;
        for number in 0_u64.. {
            let content = if fill == Fill::Bytes { &[1; PAGE_BYTES as usize][..] } else { &[] };
            let file = folder.join(number.to_string());
            match File::create(&file).and_then(|mut file| file.write_all(content)) {
                Ok(()) => {}
                Err(error) if error.kind() == ErrorKind::StorageFull => {
                    let _ = fs::remove_file(&file).or_else(absent);
                    break;
                }
                Err(error) => return Err(failed(error)),
            }
        }
        if fill == Fill::Inodes {
            // The last file was made; one more name must fail.
            let _ = File::create(folder.join("last"));
        }
        Ok(())
    }

    /// Removes as much of the filler as a third of the dataset needs.
    pub(crate) fn leave_room_for_a_third(&self, fill: Fill) -> Result<(), ExperimentError> {
        let (pages, inodes) = self.third;
        let files = if fill == Fill::Bytes { pages } else { inodes };
        for number in 0..files {
            let file = self.path.join(FILLER).join(number.to_string());
            fs::remove_file(&file).or_else(absent).map_err(ExperimentError::io("remove", &file))?;
        }
        Ok(())
    }

    /// Removes all of it.
    pub(crate) fn free(&self) -> Result<(), ExperimentError> {
        remove(&self.path.join(FILLER))
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        unmount(&self.path);
    }
}

fn absent(error: io::Error) -> io::Result<()> {
    if error.kind() == ErrorKind::NotFound { Ok(()) } else { Err(error) }
}

/// What is not mounted stays so.
fn unmount(path: &Path) {
    let _ = Command::new("umount").arg("--quiet").arg(path).output();
}

/// Pages and inodes of a folder.
fn usage(folder: &Path) -> io::Result<(u64, u64)> {
    let (mut pages, mut inodes) = (1, 1);
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            let (pages_below, inodes_below) = usage(&entry.path())?;
            (pages, inodes) = (pages + pages_below, inodes + inodes_below);
        } else {
            pages += entry.metadata()?.len().div_ceil(PAGE_BYTES);
            inodes += 1;
        }
    }
    Ok((pages, inodes))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn usage_counts_begun_pages_and_every_name() {
        let home = tempfile::tempdir().unwrap();
        fs::create_dir(home.path().join("a")).unwrap();
        fs::write(home.path().join("a/one"), [0; 4096]).unwrap();
        fs::write(home.path().join("two"), [0; 4097]).unwrap();
        assert_eq!(usage(home.path()).unwrap(), (2 + 1 + 2, 2 + 2));
    }
}
