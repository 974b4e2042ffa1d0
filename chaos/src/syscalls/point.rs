//! Which system calls are ends that a process may come to, and how one of them is named in every run alike.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// Calls that change what is on disk, or send.
pub const CALLS: [&str; 17] = [
    "write",
    "pwrite64",
    "writev",
    "sendto",
    "fsync",
    "fdatasync",
    "rename",
    "renameat",
    "renameat2",
    "link",
    "linkat",
    "unlink",
    "unlinkat",
    "ftruncate",
    "mkdir",
    "mkdirat",
    "sync_file_range",
];

/// Where temporary parts are. Their names are random, so that all of them count as one object.
const PARTS: &str = "_orrery/parts";

/// Where a call says what it is done to, by the position of its argument: the new name where there are two.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Object {
    /// An open file, always the first argument.
    File,
    /// A name.
    Name(usize),
    /// A folder, with a name in it in the argument after.
    NameIn(usize),
}

impl Object {
    /// Of a call in [`CALLS`].
    pub(super) fn of(call: &str) -> Self {
        match call {
            "rename" | "link" => Self::Name(1),
            "unlink" | "mkdir" => Self::Name(0),
            "renameat" | "renameat2" | "linkat" => Self::NameIn(2),
            "unlinkat" | "mkdirat" => Self::NameIn(0),
            _ => Self::File,
        }
    }
}

/// A call on an object of the experiment: the `occurrence`-th such call on `path`, from 1, whichever thread makes it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Point {
    pub(super) call: &'static str,
    /// Below the experiment's folder.
    pub(super) path: PathBuf,
    pub(super) occurrence: u32,
}

/// Counts the calls of one run.
#[derive(Clone, Debug, Default)]
pub(super) struct Counter {
    met: BTreeMap<(&'static str, PathBuf), u32>,
}

impl Counter {
    /// The next call, if it concerns anything below `folder`: pipes and the like are no disks.
    pub(super) fn meet(&mut self, call: &'static str, object: &Path, folder: &Path) -> Option<Point> {
        let below = object.strip_prefix(folder).ok()?;
        let is_parts = |above: &Path| above.ends_with(PARTS);
        let path = match below.parent().filter(|above| is_parts(above)) {
            Some(parts) => parts.join("*"),
            None => below.to_owned(),
        };
        let occurrence = self.met.entry((call, path.clone())).or_default();
        *occurrence += 1;
        Some(Point { call, path, occurrence: *occurrence })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn calls_are_counted_by_call_and_by_object() {
        let mut counter = Counter::default();
        let mut check = |call, object: &str, expect: Option<(&str, u32)>| {
            let point = counter.meet(call, object.as_ref(), "/x".as_ref());
            let found = point.as_ref().map(|point| (point.path.to_str().unwrap(), point.occurrence));
            assert_eq!(found, expect, "{call} {object}");
        };
        check("mkdir", "/x/d", Some(("d", 1)));
        check("write", "/x/d/_orrery/parts/.tmpA.part", Some(("d/_orrery/parts/*", 1)));
        check("write", "anon_inode:[eventfd]", None);
        check("write", "/xy/d", None);
        check("write", "/x/d/_orrery/parts/.tmpB.part", Some(("d/_orrery/parts/*", 2)));
        check("fsync", "/x/d/_orrery/parts/.tmpB.part", Some(("d/_orrery/parts/*", 1)));
        check("fsync", "/x/d/_orrery/parts", Some(("d/_orrery/parts", 1)));
        check("fsync", "/x/d/_orrery", Some(("d/_orrery", 1)));
        check("write", "/x/e", Some(("e", 1)));
        check("write", "/x/e", Some(("e", 2)));
    }

    #[test]
    fn a_call_with_two_names_concerns_the_new_one() {
        let check = |call, expect| assert_eq!(Object::of(call), expect, "{call}");
        check("write", Object::File);
        check("mkdir", Object::Name(0));
        check("rename", Object::Name(1));
        check("unlinkat", Object::NameIn(0));
        check("linkat", Object::NameIn(2));
    }
}
