//! What the process takes of its machine: memory, time, threads, files, and how full its disks are. Read when somebody asks.

use std::fs;
use std::path::{Path, PathBuf};

use metrics::{counter, gauge};
use rustix::fs::statvfs;
use rustix::process::{Resource, getrlimit};

use super::contract::{
    CPU_SECONDS, DISK_FREE, DISK_SIZE, OPEN_FILES, OPEN_FILES_MAX, RESIDENT, THREADS, VIRTUAL,
};

/// Ticks a second in what Linux tells programs, whatever its kernel was built with.
const TICKS_PER_SECOND: u64 = 100;

/// What Linux tells of a process.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Taken {
    resident_bytes: u64,
    virtual_bytes: u64,
    threads: u64,
    cpu_ticks: u64,
}

impl Taken {
    /// From `/proc/self/status` and `/proc/self/stat`; what does not stand there is 0.
    fn of(status: &str, stat: &str) -> Self {
        let field = |name: &str| {
            let line = status.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'))?;
            line.split_whitespace().next()?.parse::<u64>().ok()
        };
        let kib = |name: &str| field(name).unwrap_or(0).saturating_mul(1024);
        // The name of the program may have spaces and brackets; user and system time are the 12th and 13th behind it.
        let behind = stat.rsplit_once(')').map_or("", |(_, behind)| behind);
        let ticks = behind.split_whitespace().skip(11).take(2).filter_map(|text| text.parse::<u64>().ok());
        Self {
            resident_bytes: kib("VmRSS"),
            virtual_bytes: kib("VmSize"),
            threads: field("Threads").unwrap_or(0),
            cpu_ticks: ticks.sum(),
        }
    }
}

/// Tells all of it. Blocks for as long as the system takes: a disk on another machine may be away.
pub(crate) fn tell(volumes: &[(&'static str, PathBuf)]) {
    if let (Ok(status), Ok(stat)) =
        (fs::read_to_string("/proc/self/status"), fs::read_to_string("/proc/self/stat"))
    {
        let taken = Taken::of(&status, &stat);
        gauge!(RESIDENT).set(taken.resident_bytes as f64);
        gauge!(VIRTUAL).set(taken.virtual_bytes as f64);
        gauge!(THREADS).set(taken.threads as f64);
        counter!(CPU_SECONDS).absolute(taken.cpu_ticks / TICKS_PER_SECOND);
    }
    if let Ok(files) = fs::read_dir("/proc/self/fd") {
        gauge!(OPEN_FILES).set(files.count() as f64);
    }
    if let Some(files_max) = getrlimit(Resource::Nofile).current {
        gauge!(OPEN_FILES_MAX).set(files_max as f64);
    }
    for (volume, path) in volumes {
        let Some((free, size)) = room(path) else { continue };
        gauge!(DISK_FREE, "volume" => *volume).set(free as f64);
        gauge!(DISK_SIZE, "volume" => *volume).set(size as f64);
    }
}

/// Bytes that this user may still write, and all there are, on the disk of a folder or of the nearest one above it.
fn room(path: &Path) -> Option<(u64, u64)> {
    let disk = path.ancestors().find_map(|path| statvfs(path).ok())?;
    Some((disk.f_bavail.saturating_mul(disk.f_frsize), disk.f_blocks.saturating_mul(disk.f_frsize)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_linux_tells_of_a_process_is_read_by_name_and_place() {
        let status = "Name:\torrery\nVmSize:\t  2048 kB\nVmRSS:\t    100 kB\nThreads:\t7\n";
        let stat = "9 (or) (y) S 1 2 3 4 5 6 7 8 9 10 250 50 13 14 20 0 7";
        let expect = Taken { resident_bytes: 102_400, virtual_bytes: 2 << 20, threads: 7, cpu_ticks: 300 };
        assert_eq!(Taken::of(status, stat), expect);
        assert_eq!(Taken::of("", "no such thing"), Taken::default());
    }

    #[test]
    fn a_folder_that_is_not_there_yet_will_be_on_the_disk_of_the_one_above_it() {
        let home = tempfile::tempdir().unwrap();
        let (free, size) = room(&home.path().join("to/be/made")).unwrap();
        assert!(free <= size && size > 0);
        assert_eq!(room(Path::new("")), None);
    }
}
