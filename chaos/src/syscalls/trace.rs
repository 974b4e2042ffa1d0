//! What strace wrote, as data: which call came when, on which object, in which thread.
//!
//! A line is `THREAD CALL(ARGUMENTS) = RESULT`, where `-y` adds the path to each descriptor. A call that another thread
//! interrupts is on two lines, the second of which begins with `<...`. Names of temporary parts are random, so that they
//! count as one object.

use std::collections::BTreeMap;
use std::path::Path;

/// Calls that change what is on disk, or send: each is an end that a process may come to.
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

/// How strace marks a call whose result it replaced.
const INJECTED: &str = "(INJECTED)";

/// Where temporary parts are, and what stands for all of them.
const PARTS: &str = "_orrery/parts/";

/// A call on an object of the experiment: the `occurrence`-th such call on `path`, from 1.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Point {
    pub(super) call: String,
    pub(super) path: String,
    pub(super) occurrence: u32,
}

impl Point {
    /// Whether its object has another name in every run.
    pub(super) fn is_part(&self) -> bool {
        self.path.ends_with('*')
    }
}

/// One call that began.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Traced {
    /// The how-manieth call of its name in its thread, from 1: what strace's `when` counts.
    pub(super) when: u32,
    /// Which one, if it concerns the experiment's folder at all.
    pub(super) point: Option<Point>,
    /// The call's name.
    pub(super) call: String,
    /// Whether its result was injected.
    pub(super) is_injected: bool,
}

/// Reads a trace of a process whose objects are below `folder`.
pub(super) fn read(text: &str, folder: &Path) -> Vec<Traced> {
    let folder = format!("{}/", folder.display());
    let mut of_thread: BTreeMap<(&str, &str), u32> = BTreeMap::new();
    let mut of_path: BTreeMap<(String, String), u32> = BTreeMap::new();
    let mut open: BTreeMap<&str, usize> = BTreeMap::new();
    let mut calls: Vec<Traced> = Vec::new();
    for line in text.lines() {
        let Some((thread, rest)) = line.split_once(' ') else { continue };
        let rest = rest.trim_start();
        let is_injected = rest.ends_with(INJECTED);
        if rest.starts_with("<...") {
            if let Some(index) = open.remove(thread) {
                calls[index].is_injected = is_injected;
            }
            continue;
        }
        let Some((call, arguments)) = rest.split_once('(') else { continue };
        if !CALLS.contains(&call) {
            continue;
        }
        let when = of_thread.entry((thread, call)).or_default();
        *when += 1;
        let point = object(call, arguments, &folder).map(|path| {
            let occurrence = of_path.entry((call.to_owned(), path.clone())).or_default();
            *occurrence += 1;
            Point { call: call.to_owned(), path, occurrence: *occurrence }
        });
        open.insert(thread, calls.len());
        calls.push(Traced { when: *when, point, call: call.to_owned(), is_injected });
    }
    calls
}

/// The object below `folder` that a call concerns: the new name where there are two.
fn object(call: &str, arguments: &str, folder: &str) -> Option<String> {
    let has_paths = ["rename", "link", "unlink", "mkdir"].iter().any(|start| call.starts_with(start));
    let path = if has_paths {
        arguments.split('"').skip(1).step_by(2).last()?
    } else {
        arguments.split_once('<')?.1.split_once('>')?.0
    };
    let path = path.strip_prefix(folder)?;
    match path.split_once(PARTS) {
        Some((dataset, _)) => Some(format!("{dataset}{PARTS}*")),
        None => Some(path.to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn calls_are_counted_by_thread_and_by_object() {
        let trace = r#"7 mkdir("/x/d", 0777) = 0
7 write(6</x/d/_orrery/parts/.tmpA.part>, ""..., 34 <unfinished ...>
8 write(4<anon_inode:[eventfd]>, ""..., 8) = 8
7 <... write resumed>) = 34
8 write(7</x/d/_orrery/parts/.tmpB.part>, ""..., 8) = -1 EIO (Input/output error) (INJECTED)
7 linkat(AT_FDCWD</x>, "/x/d/_orrery/parts/.tmpA.part", AT_FDCWD</x>, "/x/d/ledgers/1.json", 0) = 0
7 fsync(8</x/d/ledgers> <unfinished ...>
8 openat(AT_FDCWD, "/x/d/ledgers") = 3
7 <... fsync resumed>) = -1 EIO (Input/output error) (INJECTED)
7 unlink("/x/d/_orrery/parts/.tmpA.part") = ?
7 +++ killed by SIGKILL +++"#;
        let calls = read(trace, Path::new("/x"));
        let shown: Vec<_> = calls
            .iter()
            .map(|traced| {
                let point = traced.point.as_ref();
                let object =
                    point.map_or(String::new(), |point| format!("{} {}", point.path, point.occurrence));
                format!("{} {} {object} {}", traced.call, traced.when, traced.is_injected)
            })
            .collect();
        assert_eq!(
            shown,
            [
                "mkdir 1 d 1 false",
                "write 1 d/_orrery/parts/* 1 false",
                "write 1  false",
                "write 2 d/_orrery/parts/* 2 true",
                "linkat 1 d/ledgers/1.json 1 false",
                "fsync 1 d/ledgers 1 true",
                "unlink 1 d/_orrery/parts/* 1 false",
            ]
        );
    }
}
