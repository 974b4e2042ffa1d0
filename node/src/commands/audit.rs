//! `orrery audit`: who told a node what, and whether that record is whole.

use std::fs::File;
use std::io;

use serde_json::json;

use crate::audit::{self, chain};
use crate::cli::AuditArgs;
use crate::commands::asked::Asked;
use crate::console::Console;
use crate::exit::Failure;

/// Lists what is noted, newest last.
///
/// # Errors
///
/// A line does not follow from the one before.
pub(crate) fn run(args: &AuditArgs, console: &Console) -> Result<(), Failure> {
    let path = audit::path(Asked::new(&args.node)?.data_dir());
    let report = match File::open(&path) {
        Ok(file) => chain::verify(file),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(chain::Report::default()),
        Err(error) => Err(error),
    };
    let report = report.map_err(|error| Failure::Unavailable(format!("{}: {error}", path.display())))?;
    let entries: Vec<_> = report.entries.iter().map(|entry| json!(entry)).collect();
    console.list(&entries)?;
    if let Some((line, why)) = report.broken {
        return Err(Failure::CheckFailed(format!("{}: line {line}: {why}", path.display())));
    }
    if report.torn > 0 {
        console.text(format_args!("{} lines were left unfinished by a node that was killed", report.torn))?;
    }
    console.text(format_args!(
        "{} entries, each follows from the one before; the last has the hash {}",
        entries.len(),
        report.last.hash_hex()
    ))
}
