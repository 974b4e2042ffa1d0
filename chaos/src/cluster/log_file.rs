//! What a node logs, read while it is written.

use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};

/// A node's log, of which lines are read once.
#[derive(Clone, Debug)]
pub(super) struct LogFile {
    path: PathBuf,
    offset: u64,
}

/// Lines that tell something about a node's part in the cluster.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Line {
    /// The node begins the task that ends with this ledger.
    TaskBegins(u32),
    /// The node writes a slot.
    SlotCommitted,
    /// The node takes the one of this name for a member, or again.
    Joined(String),
}

impl LogFile {
    /// The file may come later.
    pub(super) fn new(path: PathBuf) -> Self {
        Self { path, offset: 0 }
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Further whole lines of meaning. What cannot be read now is read later.
    pub(super) fn read(&mut self) -> Vec<Line> {
        let mut text = Vec::new();
        let read = File::open(&self.path).and_then(|mut file| {
            file.seek(SeekFrom::Start(self.offset))?;
            file.read_to_end(&mut text)
        });
        let end = text.iter().rposition(|byte| *byte == b'\n').map_or(0, |last| last + 1);
        if read.is_err() {
            return Vec::new();
        }
        self.offset += end as u64;
        let whole = String::from_utf8_lossy(text.get(..end).unwrap_or_default()).into_owned();
        whole.lines().filter_map(parse).collect()
    }
}

fn parse(line: &str) -> Option<Line> {
    let value = |key: &str| {
        let word = line.split_whitespace().find_map(|word| word.strip_prefix(key)?.strip_prefix('='));
        word.map(|value| value.trim_matches('"'))
    };
    let says = |message: &str| line.contains(&format!(" INFO {message} "));
    if says("task begins") {
        value("task")?.strip_prefix("until-")?.parse().ok().map(Line::TaskBegins)
    } else if says("slot committed") {
        Some(Line::SlotCommitted)
    } else if says("node joined") || says("node no longer suspected") {
        let name = value("node")?;
        Some(Line::Joined(name.split_once('.').map_or(name, |(name, _)| name).to_owned()))
    } else {
        None
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    #[test]
    fn whole_lines_are_read_once() {
        let home = tempfile::tempdir().unwrap();
        let path = home.path().join("a.log");
        let mut log = LogFile::new(path.clone());
        assert_eq!(log.read(), []);
        let mut file = File::create(path).unwrap();
        let mut check = |text: &str, expect: &[Line]| {
            file.write_all(text.as_bytes()).unwrap();
            assert_eq!(log.read(), expect, "{text}");
        };
        check("T  INFO task begins task=until-1023 from=2\nT  INFO slot comm", &[Line::TaskBegins(1023)]);
        check("itted output=\"ledgers\"\n", &[Line::SlotCommitted]);
        check("T  INFO node joined node=b.17 address=x\n", &[Line::Joined("b".to_owned())]);
        check("T  INFO node no longer suspected node=c.17\n", &[Line::Joined("c".to_owned())]);
        check("T  INFO node suspected node=c.17\nT  WARN slot committed x\n", &[]);
    }
}
