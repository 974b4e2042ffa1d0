//! The commands that do faults by name: what they take, and what they print.

use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use clap::Args;
use serde::Serialize;

use super::survival::{Common, Folder};
use super::{Output, RunError, print};
use crate::experiment::ExperimentError;
use crate::network::PREFIX;
use crate::process::Orrery;
use crate::run::catalogue::{self, Entry};
use crate::run::doctor::{Capability, Machine};
use crate::run::verdict::{Outcome, Verdict};
use crate::run::{self, Profile, RunSettings};

#[derive(Debug, Args)]
pub(super) struct RunArgs {
    /// How much is done
    #[arg(long, value_enum, default_value_t = Profile::Standard)]
    profile: Profile,
    /// Only this fault, as P1; may be given again. `orrery-chaos list` says which there are
    #[arg(long = "fault", value_name = "ID", value_parser = fault)]
    faults: Vec<&'static Entry>,
    #[command(flatten)]
    place: PlaceArgs,
}

#[derive(Debug, Args)]
struct PlaceArgs {
    /// Where verdict.json, report.html and the history of each fault go
    #[arg(long, value_name = "DIR", default_value = "chaos-report")]
    out: PathBuf,
    /// Another version of orrery, by which nodes of a cluster are replaced one after another (R6)
    #[arg(long, value_name = "ORRERY")]
    other: Option<PathBuf>,
    #[command(flatten)]
    common: Common,
}

#[derive(Debug, Args)]
pub(super) struct ReplayArgs {
    /// A history that a run has written, as P1-0-0.jsonl, beside verdict.json: the same fault in the same way on the same seed
    history: PathBuf,
    #[command(flatten)]
    place: PlaceArgs,
}

#[derive(Debug, Args)]
pub(super) struct OutputArgs {
    /// Form of the answer
    #[arg(long, value_enum, default_value_t = Output::Table)]
    output: Output,
}

fn fault(id: &str) -> Result<&'static Entry, String> {
    catalogue::find(id)
        .ok_or_else(|| "there is no such fault: `orrery-chaos list` says which there are".to_owned())
}

/// The exit code: whether all that could be done was survived.
pub(super) fn run_faults(args: &RunArgs) -> Result<u8, RunError> {
    run_these(&args.place, args.profile, args.faults.clone(), None, args.place.common.seed)
}

/// Runs what a history is of again.
pub(super) fn replay(args: &ReplayArgs) -> Result<u8, RunError> {
    let file = args.history.with_file_name("verdict.json");
    let usage = |problem: String| ExperimentError::Usage(format!("{}: {problem}", args.history.display()));
    let text = fs::read_to_string(&file).map_err(ExperimentError::io("read", &file))?;
    let verdict: Verdict = serde_json::from_str(&text)?;
    let name = args.history.file_name().and_then(|name| name.to_str()).unwrap_or_default();
    let found = verdict.faults.iter().find(|fault| fault.history.as_deref() == Some(name));
    let found = found.ok_or_else(|| usage("verdict.json beside it knows no such history".to_owned()))?;
    let fault = fault(&found.fault).map_err(usage)?;
    let seed = found.reproduce.rsplit_once("--seed ").and_then(|(_, seed)| seed.parse().ok());
    let seed = seed.ok_or_else(|| usage("verdict.json does not say its seed".to_owned()))?;
    // P1-0-0.jsonl: the fault, the number of its way, and which time it was.
    let way = name.split('-').nth(1).and_then(|way| way.parse().ok());
    let way = way.ok_or_else(|| usage("its name does not say which way of the fault it is of".to_owned()))?;
    run_these(&args.place, Profile::Standard, vec![fault], Some(way), seed)
}

fn run_these(
    place: &PlaceArgs,
    profile: Profile,
    faults: Vec<&'static Entry>,
    way: Option<usize>,
    seed: u64,
) -> Result<u8, RunError> {
    let PlaceArgs { out, other, common } = place;
    let other = other.as_deref().map(|path| Orrery::find(Some(path))).transpose()?;
    writeln!(io::stderr(), "seed {seed}")?;
    let made = common.dir.is_none().then(named_folder).transpose()?;
    let folder = Folder::new(common.dir.as_deref().or(made.as_deref()))?;
    let workload = common.workload(&folder, 0, 0).inspect_err(|_| {
        // Nothing was done: what is empty is no evidence.
        let _ = made.as_ref().map(fs::remove_dir);
    })?;
    let out = out.clone();
    let settings = RunSettings {
        orrery: workload.orrery,
        other,
        folder: workload.folder,
        out,
        seed,
        profile,
        faults,
        way,
    };
    let verdict = run::run(&settings, &mut io::stderr())?;
    let code = verdict.exit_code();
    write_files(&settings.out, &verdict)?;
    if let Some(made) = made.filter(|_| code != 1) {
        fs::remove_dir_all(&made)?;
    }
    print(common.output(), &verdict, |out| write_verdict(out, &verdict, &settings.out))?;
    Ok(code)
}

/// A folder that `gc` finds if this process is killed.
fn named_folder() -> Result<PathBuf, ExperimentError> {
    let folder = std::env::temp_dir().join(format!("{PREFIX}{}-run", std::process::id()));
    fs::create_dir_all(&folder).map_err(ExperimentError::io("create", &folder))?;
    Ok(folder)
}

fn write_files(out: &Path, verdict: &Verdict) -> Result<(), RunError> {
    fs::write(out.join("verdict.json"), serde_json::to_string_pretty(verdict)?)?;
    Ok(fs::write(out.join("report.html"), run::report::page(verdict))?)
}

fn write_verdict(out: &mut dyn Write, verdict: &Verdict, folder: &Path) -> io::Result<()> {
    for (outcome, title) in [(Outcome::Skipped, "skipped"), (Outcome::NotImplemented, "not implemented")] {
        let of_it = verdict.faults.iter().filter(|fault| fault.outcome == outcome);
        for fault in of_it {
            writeln!(
                out,
                "{title}: {} {}: {}",
                fault.fault,
                fault.sentence,
                fault.why.as_deref().unwrap_or_default()
            )?;
        }
    }
    let bad = |outcome| matches!(outcome, Outcome::Violated | Outcome::Invalid);
    for fault in verdict.faults.iter().filter(|fault| bad(fault.outcome)) {
        writeln!(out, "\n{} {}: {} ({})", fault.fault, fault.outcome.name(), fault.sentence, fault.way)?;
        fault.problems.iter().try_for_each(|problem| writeln!(out, "  {problem}"))?;
        writeln!(out, "  reproduce: {}", fault.reproduce)?;
    }
    writeln!(out, "\n{}", verdict.sentence())?;
    verdict.compared().map_or(Ok(()), |compared| writeln!(out, "{compared}"))?;
    writeln!(out, "{}", folder.join("report.html").display())
}

/// One fault, for programs.
#[derive(Serialize)]
struct Listed {
    id: &'static str,
    class: &'static str,
    sentence: &'static str,
    invariants: &'static [&'static str],
    needs: Vec<&'static str>,
    missing: Option<&'static str>,
}

/// All faults.
pub(super) fn list(args: &OutputArgs) -> Result<bool, RunError> {
    let listed = catalogue::all().map(|entry| Listed {
        id: entry.id,
        class: entry.class(),
        sentence: entry.sentence,
        invariants: entry.invariants,
        needs: entry.needs.iter().map(|need| need.name()).collect(),
        missing: entry.missing(),
    });
    let listed: Vec<Listed> = listed.collect();
    print(args.output, &listed, |out| {
        let mut class = "";
        for fault in &listed {
            if fault.class != class {
                class = fault.class;
                writeln!(out, "\n{class}")?;
            }
            let missing = fault.missing.map(|why| format!(" (not implemented: {why})")).unwrap_or_default();
            let needs = fault.needs.join(", ");
            let needs = if needs.is_empty() { needs } else { format!(" [{needs}]") };
            writeln!(out, "  {:<4}{}{needs}{missing}", fault.id, fault.sentence)?;
        }
        let there = listed.iter().filter(|fault| fault.missing.is_none()).count();
        writeln!(out, "\n{there} of {} faults are implemented", listed.len())
    })?;
    Ok(true)
}

/// What the machine allows, for programs.
#[derive(Serialize)]
struct Examined {
    capabilities: Vec<Capability>,
    skipped: Vec<(&'static str, String)>,
}

/// What the machine allows.
pub(super) fn doctor(args: &OutputArgs) -> Result<bool, RunError> {
    let mut machine = Machine::new();
    let examined = Examined { capabilities: machine.examine(), skipped: machine.skipped() };
    print(args.output, &examined, |out| {
        for Capability { need, is_there, detail } in &examined.capabilities {
            writeln!(out, "{} {:<22}{detail}", if *is_there { "yes" } else { "no " }, need.name())?;
            if !is_there {
                writeln!(out, "    {}", need.fix())?;
            }
        }
        match examined.skipped.as_slice() {
            [] => writeln!(out, "\nno fault that is implemented will be skipped"),
            skipped => {
                let names: Vec<&str> = skipped.iter().map(|(id, _)| *id).collect();
                writeln!(out, "\nwill be skipped here: {}", names.join(" "))
            }
        }
    })?;
    Ok(true)
}

/// Removes what killed runs have left.
pub(super) fn gc() -> Result<bool, RunError> {
    let removed = run::gc::collect()?;
    let mut out = io::stdout().lock();
    removed.iter().try_for_each(|what| writeln!(out, "removed {what}"))?;
    writeln!(out, "{} things removed", removed.len())?;
    Ok(true)
}
