//! The commands that do faults to a running node: what they take, and what they print.

use std::io::{self, Write};
use std::path::{Path, PathBuf};

use clap::Args;
use serde::Serialize;

use super::{Output, RunError, print};
use crate::crash::{self, CrashReport, CrashSettings};
use crate::disk_full::{self, DiskFullReport};
use crate::experiment::ExperimentError;
use crate::process::Orrery;
use crate::syscalls::{self, SyscallsReport, SyscallsSettings};
use crate::table::Reproduction;
use crate::workload::{Mode, Workload};

/// What every such command takes.
#[derive(Debug, Args)]
pub(super) struct Common {
    /// Seed of all choices, the ledgers among them
    #[arg(long, default_value_t = 1)]
    pub(super) seed: u64,
    /// The program under test [default: orrery beside this program]
    #[arg(long, value_name = "PATH")]
    orrery: Option<PathBuf>,
    /// Where lake and datasets go: a folder of its own, whose content is replaced [default: a temporary one]
    #[arg(long)]
    pub(super) dir: Option<PathBuf>,
    /// Form of the report
    #[arg(long, value_enum, default_value_t = Output::Table)]
    output: Output,
}

#[derive(Debug, Args)]
pub(super) struct CrashArgs {
    /// How many kills
    #[arg(long, default_value_t = 300, value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    rounds: u32,
    /// Ledgers of the dataset
    #[arg(long, default_value_t = 20_000, value_parser = clap::value_parser!(u32).range(8..=10_000_000))]
    ledgers: u32,
    /// Ledgers of a slot: fewer make more commits, and more progress between kills
    #[arg(long, default_value_t = 16, value_parser = clap::value_parser!(u32).range(1..=65_536))]
    slot_ledgers: u32,
    /// What is killed
    #[arg(long, value_enum, default_value_t = Mode::Backfill)]
    mode: Mode,
    #[command(flatten)]
    common: Common,
}

#[derive(Debug, Args)]
pub(super) struct SyscallsArgs {
    /// Ledgers of the dataset
    #[arg(long, default_value_t = 16, value_parser = clap::value_parser!(u32).range(2..=10_000))]
    ledgers: u32,
    /// Ledgers of a slot
    #[arg(long, default_value_t = 16, value_parser = clap::value_parser!(u32).range(1..=65_536))]
    slot_ledgers: u32,
    /// Exercise so many points of each call and fault, chosen at random [default: all]
    #[arg(long)]
    sample: Option<usize>,
    /// Exercise only this system call; may be given again [default: all that change a disk]
    #[arg(long = "call", value_name = "NAME", value_parser = clap::builder::PossibleValuesParser::new(syscalls::CALLS))]
    calls: Vec<String>,
    #[command(flatten)]
    common: Common,
}

#[derive(Debug, Args)]
pub(super) struct DiskFullArgs {
    /// Ledgers of the dataset
    #[arg(long, default_value_t = 200, value_parser = clap::value_parser!(u32).range(32..=1_000_000))]
    ledgers: u32,
    /// Ledgers of a slot
    #[arg(long, default_value_t = 8, value_parser = clap::value_parser!(u32).range(1..=8))]
    slot_ledgers: u32,
    #[command(flatten)]
    common: Common,
}

/// Where all happens, removed at the end unless there is something to look at.
pub(super) enum Folder {
    Given(PathBuf),
    Temporary(tempfile::TempDir),
}

impl Folder {
    pub(super) fn new(given: Option<&Path>) -> Result<Self, ExperimentError> {
        let Some(path) = given else {
            let made = tempfile::Builder::new().prefix("orrery-chaos-").tempdir();
            return made.map(Self::Temporary).map_err(ExperimentError::io("create", &std::env::temp_dir()));
        };
        std::fs::create_dir_all(path).map_err(ExperimentError::io("create", path))?;
        path.canonicalize().map(Self::Given).map_err(ExperimentError::io("find", path))
    }

    fn path(&self) -> &Path {
        match self {
            Self::Given(path) => path,
            Self::Temporary(folder) => folder.path(),
        }
    }

    fn keep(self) -> PathBuf {
        match self {
            Self::Given(path) => path,
            Self::Temporary(folder) => folder.keep(),
        }
    }
}

impl Common {
    /// Form of the report.
    pub(super) const fn output(&self) -> Output {
        self.output
    }

    pub(super) fn workload(
        &self,
        folder: &Folder,
        ledgers: u32,
        slot_ledgers: u32,
    ) -> Result<Workload, ExperimentError> {
        let orrery = Orrery::find(self.orrery.as_deref())?;
        Ok(Workload { orrery, folder: folder.path().to_owned(), ledgers, slot_ledgers, seed: self.seed })
    }

    /// The command again, for a shell.
    pub(super) fn reproduction(&self, command: &str, options: &[(&str, String)]) -> Reproduction {
        let mut words = vec!["orrery-chaos".to_owned(), command.to_owned()];
        for (name, value) in options {
            words.push(format!("--{name}"));
            // One without a value is a switch.
            words.extend(Some(value.clone()).filter(|value| !value.is_empty()));
        }
        words.extend(["--seed".to_owned(), self.seed.to_string()]);
        if let Some(orrery) = &self.orrery {
            words.extend(["--orrery".to_owned(), orrery.display().to_string()]);
        }
        Reproduction::new(&words)
    }

    /// Prints the report; true if the node survived. Otherwise what was written stays, to be looked at.
    pub(super) fn report<R: Serialize>(
        &self,
        report: &R,
        survived: bool,
        folder: Folder,
        write_table: impl FnOnce(&mut dyn Write) -> io::Result<()>,
        reproduction: &Reproduction,
    ) -> Result<bool, RunError> {
        print(self.output, report, write_table)?;
        if !survived {
            let mut errors = io::stderr();
            writeln!(errors, "kept: {}\nreproduce: {}", folder.keep().display(), reproduction.command())?;
        }
        Ok(survived)
    }
}

/// True if nothing was lost.
pub(super) fn run_crash(args: &CrashArgs) -> Result<bool, RunError> {
    let CrashArgs { rounds, ledgers, slot_ledgers, mode, common } = args;
    writeln!(io::stderr(), "seed {}", common.seed)?;
    let folder = Folder::new(common.dir.as_deref())?;
    // A node that follows a network commits whole slots only.
    let ledgers = match mode {
        Mode::Backfill => *ledgers,
        Mode::Run => Workload::whole_slots(*ledgers, *slot_ledgers),
    };
    let workload = common.workload(&folder, ledgers, *slot_ledgers)?;
    let settings = CrashSettings { workload, rounds: *rounds, seed: common.seed, mode: *mode };
    let report = crash::run(&settings, &mut io::stderr())?;
    let reproduction = common.reproduction(
        "crash",
        &[
            ("rounds", rounds.to_string()),
            ("ledgers", ledgers.to_string()),
            ("slot-ledgers", slot_ledgers.to_string()),
            ("mode", mode.name().to_owned()),
        ],
    );
    let write_table = |out: &mut dyn Write| write_crash(out, &report);
    common.report(&report, report.survived(), folder, write_table, &reproduction)
}

fn write_crash(out: &mut dyn Write, report: &CrashReport) -> io::Result<()> {
    let CrashReport { seed, ledgers, slots, kills, datasets, comparison, .. } = report;
    let seconds = report.seconds;
    writeln!(out, "seed {seed}: {ledgers} ledgers, {slots} slots a table, {seconds:.0} s")?;
    let rows = [
        ("kills, by SIGKILL as the system says", *kills),
        ("  of these within 20 ms of the start", report.kills_at_start),
        ("  of these with a part half written", report.kills_while_writing),
        ("ended before the kill, not counted", report.ended_before_kill),
        ("node states deleted", report.states_deleted),
        ("node states damaged", report.states_damaged),
        ("  of these so that the node began anew", report.states_begun_anew),
    ];
    for (name, count) in rows {
        writeln!(out, "{name:<40}{count:>8}")?;
    }
    if datasets.len() > 1 {
        writeln!(out, "the work was done too early; kills of each dataset: {datasets:?}")?;
    }
    super::write_comparison(out, comparison)?;
    report.problems.iter().try_for_each(|problem| writeln!(out, "{problem}"))
}

/// True if nothing was torn or lost.
pub(super) fn run_syscalls(args: &SyscallsArgs) -> Result<bool, RunError> {
    let SyscallsArgs { ledgers, slot_ledgers, sample, calls, common } = args;
    writeln!(io::stderr(), "seed {}", common.seed)?;
    let folder = Folder::new(common.dir.as_deref())?;
    let workload = common.workload(&folder, *ledgers, *slot_ledgers)?;
    let settings = SyscallsSettings { workload, seed: common.seed, sample: *sample, calls: calls.clone() };
    let report = syscalls::run(&settings, &mut io::stderr())?;
    let mut options = vec![("ledgers", ledgers.to_string()), ("slot-ledgers", slot_ledgers.to_string())];
    options.extend(sample.map(|sample| ("sample", sample.to_string())));
    options.extend(calls.iter().map(|call| ("call", call.clone())));
    let reproduction = common.reproduction("syscalls", &options);
    common.report(&report, report.survived(), folder, |out| write_syscalls(out, &report), &reproduction)
}

fn write_syscalls(out: &mut dyn Write, report: &SyscallsReport) -> io::Result<()> {
    let SyscallsReport { seed, ledgers, slots, calls, problems } = report;
    writeln!(out, "seed {seed}: {ledgers} ledgers, {slots} slots a table")?;
    for counts in calls {
        writeln!(out, "{}", counts.line())?;
        counts.missed.iter().try_for_each(|point| writeln!(out, "    in no further run: {point}"))?;
    }
    let (exercised, points) = report.killed();
    writeln!(out, "killed at {exercised} of {points} points; {} problems", problems.len())?;
    problems.iter().try_for_each(|problem| writeln!(out, "{problem}"))
}

/// True if the node waited for room and nothing was torn or lost.
pub(super) fn run_disk_full(args: &DiskFullArgs) -> Result<bool, RunError> {
    let DiskFullArgs { ledgers, slot_ledgers, common } = args;
    writeln!(io::stderr(), "seed {}", common.seed)?;
    let folder = Folder::new(common.dir.as_deref())?;
    let ledgers = Workload::whole_slots(*ledgers, *slot_ledgers);
    let workload = common.workload(&folder, ledgers, *slot_ledgers)?;
    let report = disk_full::run(&workload, &mut io::stderr())?;
    let options = [("ledgers", ledgers.to_string()), ("slot-ledgers", slot_ledgers.to_string())];
    let reproduction = common.reproduction("disk-full", &options);
    common.report(&report, report.survived(), folder, |out| write_disk_full(out, &report), &reproduction)
}

fn write_disk_full(out: &mut dyn Write, report: &DiskFullReport) -> io::Result<()> {
    let DiskFullReport { seed, ledgers, disks, problems } = report;
    writeln!(out, "seed {seed}: {ledgers} ledgers")?;
    for disk in disks {
        let (mode, seconds) = (disk.mode.name(), disk.seconds_to_end);
        writeln!(out, "\norrery {mode}, {:?}", disk.fill)?;
        writeln!(out, "  started on a full disk: {}", disk.started_full)?;
        writeln!(out, "  full again after {} slots: {}", disk.slots_before, disk.message)?;
        writeln!(out, "  with room it was done after {seconds:.1} s")?;
        super::write_comparison(out, &disk.comparison)?;
    }
    writeln!(out, "{} problems", problems.len())?;
    problems.iter().try_for_each(|problem| writeln!(out, "{problem}"))
}
