//! What all experiments with a running node have in common: its errors, and how a step of one is awaited.

use std::io;
use std::path::{Path, PathBuf};

use thiserror::Error;

/// Why an experiment gave no verdict.
#[derive(Debug, Error)]
pub enum ExperimentError {
    /// The file system refuses.
    #[error("{action} {}: {source}", path.display())]
    Io {
        /// What was tried, as a verb.
        action: &'static str,
        /// With what.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// There is nothing to do faults to.
    #[error("{}: no such program: build it with `cargo build -p orrery-node`, or name another one with --orrery", path.display())]
    NoProgram {
        /// Where it was looked for.
        path: PathBuf,
    },
    /// A program that the experiment needs is not installed.
    #[error("{program} is not installed: {fix}")]
    NotInstalled {
        /// Its name.
        program: &'static str,
        /// How it is installed.
        fix: &'static str,
    },
    /// A run that nobody disturbed went wrong: the experiment cannot begin, or its faults show nothing.
    #[error("{step}: {problem}\n{output}")]
    Undisturbed {
        /// Which run.
        step: String,
        /// How it ended.
        problem: String,
        /// What it printed last.
        output: String,
    },
    /// The machine does not allow the fault.
    #[error("{0}")]
    Skipped(String),
    /// Random places make no sense of these arguments.
    #[error("{0}")]
    Usage(String),
}

impl ExperimentError {
    /// An error of the file system, for `map_err`.
    pub(crate) fn io(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_owned();
        move |source| Self::Io { action, path, source }
    }
}
