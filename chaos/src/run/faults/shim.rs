//! Libraries that make a node's calls fail (`chaos/shims`): compiled when they are needed, loaded before libc, and told through
//! a file that both have in memory.

use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::experiment::ExperimentError;
use crate::run::setup::Setup;

/// Calls on files below a folder.
const DISK: &str = include_str!("../../../shims/disk.c");

/// Readings of the wall clock, on threads of a name.
const ACTOR: &str = include_str!("../../../shims/actor.c");

/// How calls fail, as the library knows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Failing {
    /// EIO.
    Reads = 1,
    /// EIO.
    Writes = 2,
    /// EIO of fsync and fdatasync.
    Flushes = 3,
    /// Half is written, and said so.
    WritesShort = 4,
    /// Half is written, and the process is killed.
    WritesTorn = 5,
    /// Two seconds for each fsync and fdatasync.
    FlushesSlow = 6,
}

/// What becomes of whoever reads the wall clock, as the library knows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Reading {
    /// A panic.
    Panics = 1,
    /// It never ends, until the fault does.
    Hangs = 2,
}

/// The library, and the file through which it is told.
#[derive(Debug)]
pub(super) struct Shim {
    control: PathBuf,
}

impl Shim {
    /// Compiles the one for files, and has the node load it; those below `below` are in its power.
    ///
    /// # Errors
    ///
    /// There is no compiler, or the file system refuses.
    pub(super) fn of_files(setup: &mut Setup, below: &Path) -> Result<Self, ExperimentError> {
        setup.set("CHAOS_BELOW", below);
        Self::load(setup, "disk", DISK)
    }

    /// Compiles the one for actors, and has the node load it; threads whose names begin so are in its power.
    ///
    /// # Errors
    ///
    /// There is no compiler, or the file system refuses.
    pub(super) fn of_threads(setup: &mut Setup, threads: impl AsRef<OsStr>) -> Result<Self, ExperimentError> {
        setup.set("CHAOS_THREADS", threads.as_ref());
        Self::load(setup, "actor", ACTOR)
    }

    fn load(setup: &mut Setup, name: &str, text: &str) -> Result<Self, ExperimentError> {
        let folder = &setup.folder;
        let named = |extension: &str| folder.join(name).with_extension(extension);
        let (source, library, control) = (named("c"), named("so"), folder.join("control"));
        fs::create_dir_all(folder).map_err(ExperimentError::io("create", folder))?;
        fs::write(&source, text).map_err(ExperimentError::io("write", &source))?;
        fs::write(&control, [0; 16]).map_err(ExperimentError::io("write", &control))?;
        let mut command = Command::new("cc");
        command.args(["-shared", "-fPIC", "-O1", "-o"]).arg(&library).arg(&source).arg("-ldl");
        let compiled = command.output().map_err(ExperimentError::io("compile", &source))?;
        if !compiled.status.success() {
            let said = String::from_utf8_lossy(&compiled.stderr).into_owned();
            return Err(ExperimentError::Skipped(format!("skipped: cc cannot compile a library: {said}")));
        }
        setup.set("LD_PRELOAD", library);
        setup.set("CHAOS_CONTROL", &control);
        Ok(Self { control })
    }

    /// From now on calls fail so, so often, or always.
    ///
    /// # Errors
    ///
    /// The file system refuses.
    pub(super) fn fail(&self, failing: Failing, times: Option<i32>) -> Result<(), ExperimentError> {
        self.set(failing as i32, times)
    }

    /// From now on readings of the clock end so, so often.
    ///
    /// # Errors
    ///
    /// The file system refuses.
    pub(super) fn read(&self, reading: Reading, times: i32) -> Result<(), ExperimentError> {
        self.set(reading as i32, Some(times))
    }

    /// From now on all is well.
    ///
    /// # Errors
    ///
    /// The file system refuses.
    pub(super) fn heal(&self) -> Result<(), ExperimentError> {
        self.set(0, None)
    }

    fn set(&self, mode: i32, times: Option<i32>) -> Result<(), ExperimentError> {
        let left = times.unwrap_or(-1);
        // In place, since the node has the file in memory; what failed before stays counted.
        let words = [mode.to_le_bytes(), left.to_le_bytes()].concat();
        let file = fs::File::options().write(true).open(&self.control);
        let written = file.and_then(|file| std::os::unix::fs::FileExt::write_all_at(&file, &words, 0));
        written.map_err(ExperimentError::io("write", &self.control))
    }

    /// How often calls failed.
    pub(super) fn done(&self) -> u64 {
        let bytes = fs::read(&self.control).unwrap_or_default();
        bytes.get(8..16).and_then(|bytes| bytes.try_into().ok()).map_or(0, u64::from_le_bytes)
    }
}
