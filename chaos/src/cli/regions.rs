//! The command that does faults to regions: what it takes, and what it prints.

use std::fs::File;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::{Args, ValueEnum};

use super::RunError;
use super::survival::{Common, Folder};
use crate::cluster::Spread;
use crate::experiment::ExperimentError;
use crate::regions::{self, Fault, FaultResult, RegionsReport, RegionsSettings, StoreKind};
use crate::table::Reproduction;
use crate::workload::Workload;

/// Ledgers for a round: seconds that it takes at most, if all goes well, beside the outage.
const LEDGERS_A_ROUND: u32 = 60;

/// Slots that go by in a round whose region must grow old before, or is caught in a write.
const SLOTS_A_ROUND: u32 = 3;

/// Most ledgers that are made: four months of them.
const MADE_MAX: u32 = 10_000_000;

/// Longest outage.
const OUTAGE_MAX: Duration = Duration::from_secs(3600);

#[derive(Debug, Args)]
pub(super) struct RegionsArgs {
    /// How many faults
    #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    rounds: u32,
    /// What is done, in turn: some of these, separated by commas
    #[arg(long = "fault", value_enum, value_delimiter = ',', default_value = "kill")]
    faults: Vec<Fault>,
    /// How many regions
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u8).range(2..=5))]
    regions: u8,
    /// How many nodes each has
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u8).range(1..=3))]
    nodes: u8,
    /// How regions replicate
    #[arg(long, value_enum, default_value_t = ModeName::Both)]
    mode: ModeName,
    /// A real S3 server for each region: the program `weed` of SeaweedFS [default: a folder each]
    #[arg(long, value_name = "PATH")]
    weed: Option<PathBuf>,
    /// Ledgers of a slot
    #[arg(long, default_value_t = 16, value_parser = clap::value_parser!(u32).range(1..=1024))]
    slot_ledgers: u32,
    /// For how long a region is away: 30s, 5m [default: 4 to 12 s, drawn]
    #[arg(long, value_name = "TIME", value_parser = time)]
    outage: Option<Duration>,
    /// Do it to this region, from 1 [default: drawn, every other time the one that has traffic]
    #[arg(long, value_parser = clap::value_parser!(u8).range(1..=5))]
    region: Option<u8>,
    /// Readers that are given all regions [default: one for each]
    #[arg(long, value_parser = clap::value_parser!(u16).range(1..=500))]
    readers: Option<u16>,
    /// Ledgers that are there when regions start
    #[arg(long, default_value_t = 16, value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    history: u32,
    /// Give each region a line of so many megabits a second [default: as fast as the machine]
    #[arg(long, value_name = "MEGABITS", value_parser = clap::value_parser!(u32).range(1..=10_000))]
    line: Option<u32>,
    /// Let a region copy at most so many MiB a second from each other one; 0 for no limit
    #[arg(long, value_name = "MIB", default_value_t = 0, value_parser = clap::value_parser!(u32).range(..=10_000))]
    mib_per_second: u32,
    /// Append what came of each kind of fault to a file: a JSON object a line, with the command
    #[arg(long, value_name = "FILE")]
    results: Option<PathBuf>,
    #[command(flatten)]
    common: Common,
}

/// How regions replicate.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum ModeName {
    /// Each derives for itself, and compares
    Recompute,
    /// The last region derives nothing, and takes all from the others
    Copy,
    /// And takes what it has not made when it is behind
    Both,
}

impl ModeName {
    const fn name(self) -> &'static str {
        match self {
            Self::Recompute => "recompute",
            Self::Copy => "copy",
            Self::Both => "both",
        }
    }
}

/// True if readers and regions went on and nothing was lost.
pub(super) fn run_regions(args: &RegionsArgs) -> Result<bool, RunError> {
    let RegionsArgs { rounds, faults, regions, nodes, mode, weed, slot_ledgers, common, .. } = args;
    writeln!(io::stderr(), "seed {}", common.seed)?;
    let folder = Folder::new(common.dir.as_deref())?;
    let workload = common.workload(&folder, args.ledgers(), *slot_ledgers)?;
    let store = weed.clone().map_or(StoreKind::Folder, StoreKind::SeaweedFs);
    let settings = RegionsSettings {
        workload,
        rounds: *rounds,
        faults: faults.clone(),
        regions: usize::from(*regions),
        nodes: usize::from(*nodes),
        store,
        mode: mode.name().to_owned(),
        victim: args.region.map(|region| usize::from(region.min(*regions)) - 1),
        outage: args.outage,
        readers: args.readers.map_or(usize::from(*regions), usize::from),
        history: args.history,
        line: args.line,
        mib_per_second: args.mib_per_second,
        seed: common.seed,
    };
    let report = regions::run(&settings, &mut io::stderr())?;
    let reproduction = args.reproduction();
    if let Some(file) = &args.results {
        let store = if weed.is_some() { "seaweedfs" } else { "folder" };
        append(file, &report.lines(reproduction.command(), store))?;
    }
    let write_table = |out: &mut dyn Write| write_regions(out, &report);
    common.report(&report, report.survived(), folder, write_table, &reproduction)
}

impl RegionsArgs {
    /// As many as close if every round takes as long as it may.
    fn ledgers(&self) -> u32 {
        let outage = self.outage.map_or(0, |outage| u32::try_from(outage.as_secs()).unwrap_or(u32::MAX));
        let slots = self.slot_ledgers.saturating_mul(SLOTS_A_ROUND);
        let round = LEDGERS_A_ROUND.saturating_add(outage).saturating_add(slots);
        let all = self.rounds.saturating_mul(round).saturating_add(round).saturating_add(self.history);
        Workload::whole_slots(all.min(MADE_MAX), self.slot_ledgers)
    }

    /// The command again.
    fn reproduction(&self) -> Reproduction {
        let names = self.faults.iter().map(|fault| fault.name()).collect::<Vec<_>>().join(",");
        let mut options = vec![
            ("fault", names),
            ("rounds", self.rounds.to_string()),
            ("regions", self.regions.to_string()),
            ("nodes", self.nodes.to_string()),
            ("mode", self.mode.name().to_owned()),
            ("slot-ledgers", self.slot_ledgers.to_string()),
        ];
        options.extend(self.outage.map(|outage| ("outage", format!("{}s", outage.as_secs()))));
        options.extend(self.region.map(|region| ("region", region.to_string())));
        options.extend(self.readers.map(|readers| ("readers", readers.to_string())));
        options.extend((self.history != 16).then(|| ("history", self.history.to_string())));
        options.extend(self.line.map(|line| ("line", line.to_string())));
        options
            .extend((self.mib_per_second != 0).then(|| ("mib-per-second", self.mib_per_second.to_string())));
        options.extend(self.weed.as_ref().map(|weed| ("weed", weed.display().to_string())));
        self.common.reproduction("regions", &options)
    }
}

fn time(text: &str) -> Result<Duration, String> {
    let (number, seconds) = match (text.strip_suffix('s'), text.strip_suffix('m')) {
        (Some(number), _) => (number, 1),
        (_, Some(number)) => (number, 60),
        _ => (text, 1),
    };
    let seconds = number.parse::<u64>().ok().and_then(|number| number.checked_mul(seconds));
    let time = seconds.map(Duration::from_secs).filter(|time| *time <= OUTAGE_MAX && !time.is_zero());
    time.ok_or_else(|| format!("give seconds or minutes, as 30s or 5m; {} s at most", OUTAGE_MAX.as_secs()))
}

fn append(file: &Path, lines: &str) -> Result<(), ExperimentError> {
    let opened = File::options().append(true).create(true).open(file);
    opened
        .and_then(|mut file| file.write_all(lines.as_bytes()))
        .map_err(ExperimentError::io("append to", file))
}

fn write_regions(out: &mut dyn Write, report: &RegionsReport) -> io::Result<()> {
    let RegionsReport { seed, regions, nodes, mode, ledgers, events, .. } = report;
    writeln!(
        out,
        "seed {seed}: {regions} regions of {nodes} nodes, mode {mode}, {ledgers} ledgers, {events} events"
    )?;
    write_faults(out, &report.faults)?;
    writeln!(out, "\n{:<58}{:>6}{:>8}{:>8}{:>8}", "seconds", "count", "p50", "p99", "max")?;
    let rows = [
        ("from a fault until all readers had a new ledger", report.outage_seconds),
        ("the same, where the region had traffic", report.failover_seconds),
        ("until a region that is back is behind by two ledgers", report.caught_up_seconds),
        ("from a ledger's closing to a reader, faults included", report.latency_seconds),
        ("load average of the machine", report.load_average),
    ];
    for (name, Spread { count, p50, p99, max }) in rows {
        if count > 0 {
            writeln!(out, "{name:<58}{count:>6}{p50:>8.1}{p99:>8.1}{max:>8.1}")?;
        }
    }
    for region in &report.comparisons {
        writeln!(out, "\n{}:", region.region)?;
        super::write_comparison(out, &region.comparison)?;
    }
    report.problems.iter().try_for_each(|problem| writeln!(out, "{problem}"))
}

/// A row for each kind of fault: times as p50 / p99 / max.
fn write_faults(out: &mut dyn Write, faults: &[FaultResult]) -> io::Result<()> {
    let heads = [
        "seconds, p50/p99/max",
        "rounds",
        "had traffic",
        "readers wait",
        "caught up",
        "all equal",
        "only there",
    ];
    let [fault, rounds, active, wait, back, equal, only] = heads;
    writeln!(out, "{fault:<22}{rounds:>7}{active:>13}{wait:>17}{back:>17}{equal:>17}{only:>12}")?;
    let spread = |spread: &Spread| match spread.count {
        0 => "-".to_owned(),
        _ => format!("{:.1}/{:.1}/{:.1}", spread.p50, spread.p99, spread.max),
    };
    for result in faults {
        let only = &result.only_there_ledgers;
        writeln!(
            out,
            "{:<22}{:>7}{:>13}{:>17}{:>17}{:>17}{:>12}",
            result.fault.name(),
            result.rounds,
            result.to_traffic,
            spread(&result.recovery_seconds),
            spread(&result.caught_up_seconds),
            spread(&result.equal_seconds),
            if only.count == 0 { "-".to_owned() } else { format!("{:.0} max", only.max) },
        )?;
        for (what, seconds) in [("found", &result.found_seconds), ("switched", &result.switched_seconds)] {
            if seconds.count > 0 {
                writeln!(out, "  {what} after {}", spread(seconds))?;
            }
        }
        if result.in_a_write > 0 {
            writeln!(out, "  {} in the middle of a write", result.in_a_write)?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_outage_is_in_seconds_or_minutes() {
        let check = |text: &str, expect: Option<u64>| {
            assert_eq!(time(text).ok(), expect.map(Duration::from_secs), "{text}");
        };
        check("120s", Some(120));
        check("2m", Some(120));
        check("7", Some(7));
        check("0s", None);
        check("61m", None);
        check("long", None);
    }
}
