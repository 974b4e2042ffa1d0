//! Where nobody has written a tracer: registers are others on every kind of machine.

use std::path::Path;
use std::process::Command;

use super::{Injection, Traced};
use crate::experiment::ExperimentError;

/// Refuses.
///
/// # Errors
///
/// Always.
pub(super) fn trace(
    _command: &Command,
    _folder: &Path,
    _injection: Option<&Injection<'_>>,
) -> Result<Traced, ExperimentError> {
    Err(ExperimentError::Skipped("system calls can be traced on x86-64 Linux only".to_owned()))
}
