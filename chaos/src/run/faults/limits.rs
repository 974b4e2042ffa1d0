//! Faults that leave a node less of what it needs: processor time, memory, open files.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use nix::sys::signal::Signal;

use crate::Random;
use crate::experiment::ExperimentError;
use crate::network::PREFIX;
use crate::run::fault::Fault;
use crate::run::setup::Setup;
use crate::run::world::World;

/// Of a second, the node runs this long: a twentieth, as far as it can be kept.
const RUNS: Duration = Duration::from_millis(50);
const STANDS: Duration = Duration::from_millis(950);

/// Periods that must have gone by.
const PERIODS: u32 = 3;

/// Where groups with a limit of memory are.
const MEMORY_GROUPS: &str = "/sys/fs/cgroup/memory";

/// A group gets no more than this.
const MEMORY_BYTES: u64 = 2 << 20;

/// P6: the node stands still for 19 of 20 parts of the time.
#[derive(Debug, Default)]
pub(in crate::run) struct Starve {
    stopped: bool,
    due: Duration,
    periods: u32,
}

impl Fault for Starve {
    fn prepare(&mut self, setup: &mut Setup) -> Result<(), ExperimentError> {
        setup.holds = Duration::from_secs(6);
        Ok(())
    }

    fn inject(&mut self, world: &mut World, _: &mut Random) -> Result<(), ExperimentError> {
        self.due = world.now();
        Ok(())
    }

    fn keep_on(&mut self, world: &mut World, _: &mut Random) -> Result<(), ExperimentError> {
        if world.now() < self.due {
            return Ok(());
        }
        self.stopped = !self.stopped;
        let (signal, time) = match self.stopped {
            true => (Signal::SIGSTOP, STANDS),
            false => (Signal::SIGCONT, RUNS),
        };
        world.signal(signal);
        self.periods += u32::from(!self.stopped);
        self.due = world.now() + time;
        Ok(())
    }

    fn witness(&mut self, _: &mut World) -> Option<String> {
        let (runs, stands) = (RUNS.as_millis(), STANDS.as_millis());
        (self.periods >= PERIODS)
            .then(|| format!("{} times it stood for {stands} ms and ran for {runs} ms", self.periods))
    }

    fn heal(&mut self, world: &mut World) -> Result<(), ExperimentError> {
        world.signal(Signal::SIGCONT);
        Ok(())
    }
}

/// P7: the node is put into a group that may have almost no more memory. If the system kills it for that, it is started
/// again when the fault ends.
#[derive(Debug, Default)]
pub(in crate::run) struct Squeeze {
    group: Option<PathBuf>,
    killed: Option<String>,
}

impl Squeeze {
    fn failures(&self) -> Option<u64> {
        let text = fs::read_to_string(self.group.as_ref()?.join("memory.failcnt")).ok()?;
        text.trim().parse().ok()
    }
}

impl Fault for Squeeze {
    fn prepare(&mut self, _: &mut Setup) -> Result<(), ExperimentError> {
        let group = Path::new(MEMORY_GROUPS).join(format!("{PREFIX}{}-memory", std::process::id()));
        let made = fs::create_dir_all(&group)
            .and_then(|()| fs::write(group.join("memory.limit_in_bytes"), MEMORY_BYTES.to_string()));
        made.map_err(|error| {
            ExperimentError::Skipped(format!(
                "{}: {error}; limits of memory need root and version 1 of control groups",
                group.display()
            ))
        })?;
        self.group = Some(group);
        Ok(())
    }

    fn inject(&mut self, world: &mut World, _: &mut Random) -> Result<(), ExperimentError> {
        let (Some(group), Some(id)) = (&self.group, world.node_id()) else { return Ok(()) };
        let file = group.join("cgroup.procs");
        fs::write(&file, id.to_string()).map_err(ExperimentError::io("write", &file))
    }

    fn witness(&mut self, world: &mut World) -> Option<String> {
        let failures = self.failures().filter(|failures| *failures > 0)?;
        if !world.runs() && self.killed.is_none() {
            let ended = world.end(Duration::ZERO).ok().flatten();
            self.killed = ended.map(|ended| format!(", and it ended with {}", ended.status));
        }
        let killed = self.killed.as_deref().unwrap_or_default();
        Some(format!("{failures} times the limit of memory was reached{killed}"))
    }

    fn heal(&mut self, world: &mut World) -> Result<(), ExperimentError> {
        if let Some(group) = &self.group {
            let file = group.join("memory.limit_in_bytes");
            fs::write(&file, "-1").map_err(ExperimentError::io("write", &file))?;
        }
        if !world.runs() {
            world.end(Duration::ZERO)?;
            world.start()?;
        }
        Ok(())
    }

    fn clean_up(&mut self) {
        let Some(group) = self.group.take() else { return };
        // A group goes when the last of its processes has.
        for _ in 0..100 {
            if fs::remove_dir(&group).is_ok() {
                return;
            }
            std::thread::park_timeout(Duration::from_millis(20));
        }
    }
}

/// P8: the node may open no more files than it has open. New connections cannot be accepted, nor objects read.
#[derive(Debug, Default)]
pub(in crate::run) struct Files {
    /// The limits before: soft and hard.
    before: Option<(String, String)>,
}

impl Files {
    fn set(world: &World, soft: &str, hard: &str) -> Result<(), ExperimentError> {
        let Some(id) = world.node_id() else { return Ok(()) };
        let output = Command::new("prlimit")
            .args(["--pid", &id.to_string(), &format!("--nofile={soft}:{hard}")])
            .output();
        let output = output.map_err(ExperimentError::io("run", Path::new("prlimit")))?;
        match output.status.success() {
            true => Ok(()),
            false => Err(ExperimentError::Skipped(String::from_utf8_lossy(&output.stderr).trim().to_owned())),
        }
    }
}

impl Fault for Files {
    fn inject(&mut self, world: &mut World, _: &mut Random) -> Result<(), ExperimentError> {
        let Some(id) = world.node_id() else { return Ok(()) };
        let process = Path::new("/proc").join(id.to_string());
        let limits = fs::read_to_string(process.join("limits")).unwrap_or_default();
        let line = limits.lines().find_map(|line| line.strip_prefix("Max open files")).unwrap_or_default();
        let mut words = line.split_whitespace().map(ToOwned::to_owned);
        self.before = words.next().zip(words.next());
        let Some((_, hard)) = &self.before else { return Ok(()) };
        let open = fs::read_dir(process.join("fd")).map(Iterator::count).unwrap_or_default();
        Self::set(world, &open.to_string(), hard)
    }

    fn witness(&mut self, world: &mut World) -> Option<String> {
        if let Some(line) = world.said(&["os error 24"]).or_else(|| world.said(&["Too many open files"])) {
            return Some(line);
        }
        // It runs, and a connection that the system has made is not answered.
        let is_silent = world.runs() && world.connect().is_some() && world.status("/healthz").is_none();
        is_silent.then(|| "a new connection is not answered".to_owned())
    }

    fn heal(&mut self, world: &mut World) -> Result<(), ExperimentError> {
        match &self.before {
            Some((soft, hard)) => Self::set(world, soft, hard),
            None => Ok(()),
        }
    }
}
