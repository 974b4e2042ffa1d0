//! Faults of a node's disk: full, failing, torn, slow, read-only, lost.

use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use super::shim::{Failing, Shim};
use crate::Random;

use crate::disk_full::small_disk::{Fill, SmallDisk};
use crate::experiment::ExperimentError;
use crate::run::fault::Fault;
use crate::run::setup::Setup;
use crate::run::world::World;
use crate::workload::remove;

/// What a small disk has: several times what a dataset needs, and few enough to be filled in a moment.
const DISK_BYTES: u64 = 48 << 20;
const DISK_INODES: u64 = 6000;
/// Of what is not to be used up.
const PLENTY: u64 = 10;

/// D1: no bytes, or no inodes, are left until the fault ends.
#[derive(Debug)]
pub(in crate::run) struct Full {
    fill: Fill,
    disk: Option<SmallDisk>,
}

impl Full {
    /// Of content.
    pub(in crate::run) const fn of_bytes() -> Self {
        Self { fill: Fill::Bytes, disk: None }
    }

    /// Of names.
    pub(in crate::run) const fn of_inodes() -> Self {
        Self { fill: Fill::Inodes, disk: None }
    }
}

impl Fault for Full {
    fn prepare(&mut self, setup: &mut Setup) -> Result<(), ExperimentError> {
        let (bytes, inodes) = match self.fill {
            Fill::Bytes => (DISK_BYTES, DISK_INODES * PLENTY),
            Fill::Inodes => (DISK_BYTES * PLENTY, DISK_INODES),
        };
        let disk = SmallDisk::mount(&setup.folder.join("disk"), bytes, inodes)?;
        setup.dataset = disk.path().join("dataset");
        self.disk = Some(disk);
        Ok(())
    }

    fn inject(&mut self, _: &mut World, _: &mut Random) -> Result<(), ExperimentError> {
        self.disk.iter().try_for_each(|disk| disk.fill_all(self.fill))
    }

    fn witness(&mut self, world: &mut World) -> Option<String> {
        world.said(&["no space is left"])
    }

    fn heal(&mut self, _: &mut World) -> Result<(), ExperimentError> {
        self.disk.iter().try_for_each(SmallDisk::free)
    }

    fn clean_up(&mut self) {
        self.disk = None;
    }
}

/// D8: the file system of the dataset becomes read-only until the fault ends.
#[derive(Debug, Default)]
pub(in crate::run) struct ReadOnly {
    disk: Option<SmallDisk>,
    problems: Vec<String>,
}

impl ReadOnly {
    fn remount(&self, how: &str) -> Result<(), ExperimentError> {
        let Some(disk) = &self.disk else { return Ok(()) };
        let output = Command::new("mount")
            .args(["-o", &format!("remount,{how}")])
            .arg(disk.path())
            .output()
            .map_err(ExperimentError::io("mount again", disk.path()))?;
        match output.status.success() {
            true => Ok(()),
            false => Err(ExperimentError::Skipped(format!(
                "skipped: a disk cannot be mounted again: {}",
                String::from_utf8_lossy(&output.stderr).trim()
            ))),
        }
    }
}

impl Fault for ReadOnly {
    fn prepare(&mut self, setup: &mut Setup) -> Result<(), ExperimentError> {
        let disk = SmallDisk::mount(&setup.folder.join("disk"), DISK_BYTES, DISK_INODES)?;
        setup.dataset = disk.path().join("dataset");
        self.disk = Some(disk);
        Ok(())
    }

    /// A file that is open for writing forbids it for a moment.
    fn inject(&mut self, world: &mut World, _: &mut Random) -> Result<(), ExperimentError> {
        let mounted = world.until(Duration::from_secs(10), |_| self.remount("ro").ok())?;
        match mounted {
            Some(()) => Ok(()),
            None => self.remount("ro"),
        }
    }

    fn witness(&mut self, world: &mut World) -> Option<String> {
        world.said(&["Read-only file system"])
    }

    /// The node has ended, as it does where it may not write, and says so; whoever runs it starts it again.
    fn heal(&mut self, world: &mut World) -> Result<(), ExperimentError> {
        self.remount("rw")?;
        let ended = world.end(Duration::from_secs(30))?;
        if ended.as_ref().and_then(|ended| ended.status.code()) != Some(78) {
            self.problems.push(format!("it did not end with exit code 78: {ended:?}"));
        }
        world.start()
    }

    fn problems(&mut self, _: &mut World) -> Vec<String> {
        std::mem::take(&mut self.problems)
    }

    fn clean_up(&mut self) {
        self.disk = None;
    }
}

/// D2, D3, D4 and D9: calls on the files of the dataset fail.
#[derive(Debug)]
pub(in crate::run) struct Fails {
    failing: Failing,
    /// So often, or until the fault ends.
    times: Option<i32>,
    shim: Option<Shim>,
}

impl Fails {
    const fn new(failing: Failing, times: Option<i32>) -> Self {
        Self { failing, times, shim: None }
    }

    /// D2.
    pub(in crate::run) const fn reads() -> Self {
        Self::new(Failing::Reads, None)
    }

    /// D2.
    pub(in crate::run) const fn writes() -> Self {
        Self::new(Failing::Writes, None)
    }

    /// D3: one flush, and the next succeeds.
    pub(in crate::run) const fn one_flush() -> Self {
        Self::new(Failing::Flushes, Some(1))
    }

    /// D4.
    pub(in crate::run) const fn writes_short() -> Self {
        Self::new(Failing::WritesShort, None)
    }

    /// D4: the process dies in the middle of a write.
    pub(in crate::run) const fn writes_torn() -> Self {
        Self::new(Failing::WritesTorn, Some(1))
    }

    /// D9.
    pub(in crate::run) const fn flushes_slowly() -> Self {
        Self::new(Failing::FlushesSlow, None)
    }
}

impl Fault for Fails {
    fn prepare(&mut self, setup: &mut Setup) -> Result<(), ExperimentError> {
        let below = setup.dataset.clone();
        self.shim = Some(Shim::of_files(setup, &below)?);
        Ok(())
    }

    fn inject(&mut self, _: &mut World, _: &mut Random) -> Result<(), ExperimentError> {
        self.shim.iter().try_for_each(|shim| shim.fail(self.failing, self.times))
    }

    /// A node at work seldom reads what it wrote: somebody asks for it.
    fn keep_on(&mut self, world: &mut World, _: &mut Random) -> Result<(), ExperimentError> {
        if self.failing == Failing::Reads {
            let _ = world.get("/v1/events?order=asc&limit=1000");
        }
        Ok(())
    }

    fn witness(&mut self, _: &mut World) -> Option<String> {
        let done = self.shim.as_ref()?.done();
        (done > 0).then(|| format!("{done} calls: {:?} below the dataset", self.failing))
    }

    fn heal(&mut self, world: &mut World) -> Result<(), ExperimentError> {
        self.shim.iter().try_for_each(|shim| shim.heal())?;
        if !world.runs() {
            world.start()?;
        }
        Ok(())
    }
}

/// D10: all that the node keeps for itself is lost.
#[derive(Debug, Default)]
pub(in crate::run) struct Lost {
    removed: Option<PathBuf>,
}

impl Fault for Lost {
    fn inject(&mut self, world: &mut World, _: &mut Random) -> Result<(), ExperimentError> {
        world.kill()?;
        let state = world.setup.state.clone();
        let was_there = state.is_dir();
        remove(&state)?;
        self.removed = Some(state).filter(|_| was_there);
        Ok(())
    }

    fn witness(&mut self, _: &mut World) -> Option<String> {
        self.removed.as_ref().map(|state| format!("{} is no more", state.display()))
    }

    fn heal(&mut self, world: &mut World) -> Result<(), ExperimentError> {
        world.start()
    }
}
