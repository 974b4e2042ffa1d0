//! The commands that do faults by name: what they take, and what they print.

use std::io::{self, Write};
use std::path::PathBuf;

use clap::Args;

use super::RunError;
use super::survival::{Common, Folder};
use crate::run::catalogue::{self, Entry};
use crate::run::{self, Profile, RunSettings};

#[derive(Debug, Args)]
pub(super) struct RunArgs {
    /// How much is done
    #[arg(long, value_enum, default_value_t = Profile::Standard)]
    profile: Profile,
    /// Only this fault, as P1; may be given again. `orrery-chaos list` says which there are
    #[arg(long = "fault", value_name = "ID", value_parser = fault)]
    faults: Vec<&'static Entry>,
    /// Where verdict.json, report.html and the history of each fault go
    #[arg(long, value_name = "DIR", default_value = "chaos-report")]
    out: PathBuf,
    #[command(flatten)]
    common: Common,
}

fn fault(id: &str) -> Result<&'static Entry, String> {
    catalogue::find(id)
        .ok_or_else(|| "there is no such fault: `orrery-chaos list` says which there are".to_owned())
}

/// The exit code: whether all that could be done was survived.
pub(super) fn run_faults(args: &RunArgs) -> Result<u8, RunError> {
    let RunArgs { profile, faults, out, common } = args;
    writeln!(io::stderr(), "seed {}", common.seed)?;
    let folder = Folder::new(common.dir.as_deref())?;
    let workload = common.workload(&folder, 0, 0)?;
    let settings = RunSettings {
        orrery: workload.orrery,
        folder: workload.folder,
        out: out.clone(),
        seed: common.seed,
        profile: *profile,
        faults: faults.clone(),
    };
    let verdict = run::run(&settings, &mut io::stderr())?;
    let text = serde_json::to_string_pretty(&verdict)?;
    std::fs::write(out.join("verdict.json"), &text)?;
    let mut stdout = io::stdout().lock();
    writeln!(stdout, "{}", verdict.sentence())?;
    Ok(verdict.exit_code())
}
