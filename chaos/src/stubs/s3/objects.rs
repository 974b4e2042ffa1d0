//! Objects as files in a folder, so that judges can read them, and whoever means harm can change them past the server.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Component, Path, PathBuf};

use sha2::{Digest, Sha256};

/// Where files are written before they have their names; beside the buckets, so that no list shows it.
const PARTS: &str = ".parts";

/// On which condition an object is written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Condition {
    Always,
    /// `If-None-Match: *`.
    Absent,
    /// `If-Match`.
    Unchanged(String),
}

/// What came of writing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Written {
    /// With this tag.
    Done(String),
    /// The condition does not hold.
    Refused,
    /// There is nothing that could be unchanged.
    Missing,
}

/// An upload in parts.
#[derive(Debug, Default)]
struct Upload {
    key: String,
    parts: BTreeMap<u32, Vec<u8>>,
}

#[derive(Debug)]
pub(super) struct Objects {
    root: PathBuf,
    uploads: BTreeMap<u64, Upload>,
    /// Names for parts and uploads.
    number: u64,
}

impl Objects {
    pub(super) fn new(root: &Path) -> io::Result<Self> {
        fs::create_dir_all(root.join(PARTS))?;
        Ok(Self { root: root.to_owned(), uploads: BTreeMap::new(), number: 0 })
    }

    /// The file of an object; `None` if its name leads out of the folder.
    pub(super) fn file(&self, key: &str) -> Option<PathBuf> {
        let path = Path::new(key);
        let is_below = path.components().all(|part| matches!(part, Component::Normal(_)));
        (is_below && !key.is_empty() && !key.starts_with(PARTS)).then(|| self.root.join(path))
    }

    pub(super) fn read(&self, key: &str) -> Option<Vec<u8>> {
        fs::read(self.file(key)?).ok()
    }

    pub(super) fn write(&mut self, key: &str, bytes: &[u8], condition: &Condition) -> io::Result<Written> {
        let file = self.file(key).ok_or(io::ErrorKind::InvalidInput)?;
        match condition {
            Condition::Always => {}
            Condition::Absent if file.is_file() => return Ok(Written::Refused),
            Condition::Absent => {}
            Condition::Unchanged(tag) => match fs::read(&file) {
                Ok(bytes) if tag_of(&bytes) == *tag => {}
                Ok(_) => return Ok(Written::Refused),
                Err(_) => return Ok(Written::Missing),
            },
        }
        self.number += 1;
        let part = self.root.join(PARTS).join(self.number.to_string());
        fs::write(&part, bytes)?;
        fs::create_dir_all(file.parent().unwrap_or(&self.root))?;
        fs::rename(&part, &file)?;
        Ok(Written::Done(tag_of(bytes)))
    }

    /// That nothing is there is no error, as in S3.
    pub(super) fn remove(&mut self, key: &str) {
        if let Some(file) = self.file(key) {
            let _ = fs::remove_file(file);
        }
    }

    /// Keys of a bucket that begin so, and their sizes, in order.
    pub(super) fn keys(&self, bucket: &str, prefix: &str) -> Vec<(String, u64)> {
        let mut found = Vec::new();
        let mut folders = vec![(self.root.join(bucket), String::new())];
        while let Some((folder, above)) = folders.pop() {
            for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
                let key = format!("{above}{}", entry.file_name().to_string_lossy());
                match entry.metadata() {
                    Ok(metadata) if metadata.is_dir() => folders.push((entry.path(), format!("{key}/"))),
                    Ok(metadata) if key.starts_with(prefix) => found.push((key, metadata.len())),
                    _ => {}
                }
            }
        }
        found.sort();
        found
    }

    pub(super) fn begin_upload(&mut self, key: &str) -> u64 {
        self.number += 1;
        self.uploads.insert(self.number, Upload { key: key.to_owned(), ..Upload::default() });
        self.number
    }

    /// The tag of a part; `None` if there is no such upload.
    pub(super) fn part(&mut self, upload: u64, number: u32, bytes: &[u8]) -> Option<String> {
        self.uploads.get_mut(&upload)?.parts.insert(number, bytes.to_vec());
        Some(tag_of(bytes))
    }

    /// Makes an object of all parts; `None` if there is no such upload, as when it was completed before.
    pub(super) fn complete(&mut self, upload: u64, condition: &Condition) -> io::Result<Option<Written>> {
        let Some(Upload { key, parts }) = self.uploads.remove(&upload) else { return Ok(None) };
        let bytes = parts.into_values().collect::<Vec<_>>().concat();
        self.write(&key, &bytes, condition).map(Some)
    }

    pub(super) fn abort(&mut self, upload: u64) -> bool {
        self.uploads.remove(&upload).is_some()
    }

    pub(super) fn uploads(&self) -> usize {
        self.uploads.len()
    }
}

/// Like that of S3, of the content alone.
pub(super) fn tag_of(bytes: &[u8]) -> String {
    let hash = Sha256::digest(bytes);
    let hex: String = hash.iter().take(16).map(|byte| format!("{byte:02x}")).collect();
    format!("\"{hex}\"")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn conditions_hold_or_nothing_is_written() {
        let home = tempfile::tempdir().unwrap();
        let mut objects = Objects::new(home.path()).unwrap();
        let tag = tag_of(b"1");
        let mut check = |condition: Condition, bytes: &[u8], expect: Written, then: Option<&[u8]>| {
            assert_eq!(objects.write("b/k/x", bytes, &condition).unwrap(), expect, "{condition:?}");
            assert_eq!(objects.read("b/k/x").as_deref(), then, "{condition:?}");
        };
        check(Condition::Unchanged(tag.clone()), b"0", Written::Missing, None);
        check(Condition::Absent, b"1", Written::Done(tag.clone()), Some(b"1"));
        check(Condition::Absent, b"2", Written::Refused, Some(b"1"));
        check(Condition::Unchanged(tag.clone()), b"3", Written::Done(tag_of(b"3")), Some(b"3"));
        check(Condition::Unchanged(tag), b"4", Written::Refused, Some(b"3"));
        check(Condition::Always, b"5", Written::Done(tag_of(b"5")), Some(b"5"));
        assert_eq!(objects.keys("b", "k/"), [("k/x".to_owned(), 1)]);
    }

    #[test]
    fn names_do_not_lead_out_of_the_folder() {
        let home = tempfile::tempdir().unwrap();
        let objects = Objects::new(home.path()).unwrap();
        for key in ["", "../x", "b/../../x", "/x", ".parts/1"] {
            assert_eq!(objects.file(key), None, "{key}");
        }
    }

    #[test]
    fn an_upload_is_seen_when_it_is_complete_and_completes_once() {
        let home = tempfile::tempdir().unwrap();
        let mut objects = Objects::new(home.path()).unwrap();
        let upload = objects.begin_upload("b/x");
        objects.part(upload, 2, b"second").unwrap();
        objects.part(upload, 1, b"first ").unwrap();
        assert!(objects.read("b/x").is_none() && objects.uploads() == 1);
        assert_eq!(
            objects.complete(upload, &Condition::Absent).unwrap(),
            Some(Written::Done(tag_of(b"first second")))
        );
        assert_eq!(objects.complete(upload, &Condition::Absent).unwrap(), None);
        assert!(!objects.abort(upload) && objects.part(upload, 3, b"late").is_none());
        assert_eq!(objects.read("b/x").unwrap(), b"first second");
    }
}
