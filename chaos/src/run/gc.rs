//! Removes what runs have left that were killed themselves: everything that a run makes bears its process's number.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::network::{NAMESPACES, PREFIX};

/// Where groups of processes may be.
const GROUPS: [&str; 4] =
    ["/sys/fs/cgroup", "/sys/fs/cgroup/cpu", "/sys/fs/cgroup/memory", "/sys/fs/cgroup/freezer"];

/// Looks for processes that were killed and have not ended, and the time between them.
const LOOKS_MAX: u32 = 100;
const LOOK_EVERY: Duration = Duration::from_millis(20);

/// Removes it, and says what: nodes that still run, namespaces, mounts, groups and folders of processes that are no more.
///
/// # Errors
///
/// A folder of ours cannot be removed.
pub fn collect() -> io::Result<Vec<String>> {
    let folders = std::env::temp_dir();
    // Nodes outlive a runner that was killed, and hold whatever they are in.
    let found = left_running(&folders);
    for _ in 0..LOOKS_MAX {
        let left = left_running(&folders);
        if left.is_empty() {
            break;
        }
        for process in left {
            let _ = kill(process, Signal::SIGKILL);
        }
        std::thread::park_timeout(LOOK_EVERY);
    }
    let left = left_running(&folders);
    let gone = found.into_iter().filter(|process| !left.contains(process));
    let mut removed: Vec<String> = gone.map(|process| format!("process {process}")).collect();
    for name in names(Path::new(NAMESPACES)).into_iter().filter(|name| is_left(name)) {
        if Command::new("ip")
            .args(["netns", "del", &name])
            .output()
            .is_ok_and(|output| output.status.success())
        {
            removed.push(format!("network namespace {name}"));
        }
    }
    for mount in mounts().into_iter().filter(|mount| is_below_left(mount, &folders)) {
        if Command::new("umount").arg(&mount).output().is_ok_and(|output| output.status.success()) {
            removed.push(format!("mount {}", mount.display()));
        }
    }
    for parent in GROUPS.map(Path::new) {
        for name in names(parent).into_iter().filter(|name| is_left(name)) {
            let group = parent.join(name);
            if fs::remove_dir(&group).is_ok() {
                removed.push(format!("group {}", group.display()));
            }
        }
    }
    for name in names(&folders).into_iter().filter(|name| is_left(name)) {
        let folder = folders.join(name);
        fs::remove_dir_all(&folder)?;
        removed.push(format!("folder {}", folder.display()));
    }
    Ok(removed)
}

/// Programs that runs start.
const STARTED: [&str; 5] = ["orrery", "orrery-chaos", "weed", "strace", "stress-ng"];

/// Processes of ours that work in a folder of a run that is no more, or were given one. Not this one, nor who called it, and
/// no shell or pager in which somebody looks at what is there.
fn left_running(folders: &Path) -> Vec<Pid> {
    let callers = callers();
    let process = |name: String| {
        let (id, place): (i32, _) = (name.parse().ok()?, Path::new("/proc").join(&name));
        let program = fs::read_link(place.join("exe")).ok()?;
        if callers.contains(&id) || !is_started(&program) {
            return None;
        }
        let words = fs::read(place.join("cmdline")).unwrap_or_default();
        let words = words.split(|byte| *byte == 0).map(|word| String::from_utf8_lossy(word).into_owned());
        let is_given = words.into_iter().any(|word| word_is_left(&word, folders));
        let is_there = fs::read_link(place.join("cwd")).is_ok_and(|folder| is_below_left(&folder, folders));
        (is_given || is_there).then_some(Pid::from_raw(id))
    };
    names(Path::new("/proc")).into_iter().filter_map(process).collect()
}

/// This process and all that it comes from.
fn callers() -> Vec<i32> {
    let parent = |id: &i32| {
        let stat = fs::read_to_string(Path::new("/proc").join(id.to_string()).join("stat")).ok()?;
        // The name before may have spaces and brackets of its own.
        stat.rsplit_once(')')?.1.split_whitespace().nth(1)?.parse().ok().filter(|id| *id > 0)
    };
    let own = i32::try_from(std::process::id()).ok();
    std::iter::successors(own, parent).collect()
}

/// Whether a program is one that runs start; it may have been replaced since.
fn is_started(program: &Path) -> bool {
    let name = program.file_name().unwrap_or_default().to_string_lossy();
    STARTED.contains(&name.strip_suffix(" (deleted)").unwrap_or(&name))
}

/// Whether a word names a file in such a folder, as a path or a URL.
fn word_is_left(word: &str, folders: &Path) -> bool {
    is_below_left(Path::new(word.strip_prefix("file://").unwrap_or(word)), folders)
}

fn names(folder: &Path) -> Vec<String> {
    let listed = fs::read_dir(folder).into_iter().flatten().filter_map(Result::ok);
    listed.map(|entry| entry.file_name().to_string_lossy().into_owned()).collect()
}

/// Whether a name is of a run whose process is no more.
fn is_left(name: &str) -> bool {
    let process = name.strip_prefix(PREFIX).map(|rest| rest.split('-').next().unwrap_or_default());
    let process = process.filter(|id| !id.is_empty() && id.bytes().all(|byte| byte.is_ascii_digit()));
    process.is_some_and(|id| !Path::new("/proc").join(id).exists())
}

fn is_below_left(mount: &Path, folders: &Path) -> bool {
    let below = mount.strip_prefix(folders).ok().and_then(|below| below.components().next());
    below.is_some_and(|name| is_left(&name.as_os_str().to_string_lossy()))
}

/// What is mounted, the newest first.
fn mounts() -> Vec<PathBuf> {
    let text = fs::read_to_string("/proc/self/mounts").unwrap_or_default();
    let places = text.lines().filter_map(|line| line.split(' ').nth(1));
    let mut mounts: Vec<PathBuf> = places.map(PathBuf::from).collect();
    mounts.reverse();
    mounts
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_bears_the_number_of_a_process_that_is_no_more_is_left() {
        let own = format!("{PREFIX}{}-run", std::process::id());
        let check = |name: &str, expect: bool| assert_eq!(is_left(name), expect, "{name}");
        check(&own, false);
        check(&format!("{PREFIX}4194305-run"), true);
        check(&format!("{PREFIX}4194305"), true);
        check(&format!("{PREFIX}x-1"), false);
        check("other-4194305", false);
        assert!(is_below_left(&Path::new("/t").join(format!("{PREFIX}4194305-a/disk")), Path::new("/t")));
        assert!(!is_below_left(Path::new("/u/x"), Path::new("/t")));
        assert!(is_started(Path::new("/b/orrery (deleted)")) && !is_started(Path::new("/bin/bash")));
        assert!(callers().contains(&i32::try_from(std::process::id()).unwrap()) && callers().len() > 1);
        let word = format!("file:///t/{PREFIX}4194305-a/lake");
        assert!(word_is_left(&word, Path::new("/t")) && !word_is_left(&word, Path::new("/u")));
    }
}
