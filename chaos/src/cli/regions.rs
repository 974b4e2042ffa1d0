//! The command that does faults to regions: what it takes, and what it prints.

use std::io::{self, Write};
use std::path::PathBuf;

use clap::{Args, ValueEnum};

use super::RunError;
use super::survival::{Common, Folder};
use crate::cluster::Spread;
use crate::regions::{self, Fault, RegionsReport, RegionsSettings, StoreKind};
use crate::workload::Workload;

/// Ledgers for a round: seconds that it takes at most, if all goes well.
const LEDGERS_A_ROUND: u32 = 60;

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
    #[command(flatten)]
    common: Common,
}

/// How regions replicate.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum ModeName {
    /// Each derives for itself, and compares
    Recompute,
    /// And takes what it has not made when it is behind
    Both,
}

impl ModeName {
    const fn name(self) -> &'static str {
        match self {
            Self::Recompute => "recompute",
            Self::Both => "both",
        }
    }
}

/// True if readers and regions went on and nothing was lost.
pub(super) fn run_regions(args: &RegionsArgs) -> Result<bool, RunError> {
    let RegionsArgs { rounds, faults, regions, nodes, mode, weed, slot_ledgers, common } = args;
    writeln!(io::stderr(), "seed {}", common.seed)?;
    let folder = Folder::new(common.dir.as_deref())?;
    let ledgers =
        Workload::whole_slots(rounds.saturating_mul(LEDGERS_A_ROUND) + LEDGERS_A_ROUND, *slot_ledgers);
    let workload = common.workload(&folder, ledgers, *slot_ledgers)?;
    let store = weed.clone().map_or(StoreKind::Folder, StoreKind::SeaweedFs);
    let settings = RegionsSettings {
        workload,
        rounds: *rounds,
        faults: faults.clone(),
        regions: usize::from(*regions),
        nodes: usize::from(*nodes),
        store,
        mode: mode.name().to_owned(),
        seed: common.seed,
    };
    let report = regions::run(&settings, &mut io::stderr())?;
    let names = faults.iter().map(|fault| fault.name()).collect::<Vec<_>>().join(",");
    let mut options = vec![
        ("fault", names),
        ("rounds", rounds.to_string()),
        ("regions", regions.to_string()),
        ("nodes", nodes.to_string()),
        ("mode", mode.name().to_owned()),
        ("slot-ledgers", slot_ledgers.to_string()),
    ];
    options.extend(weed.as_ref().map(|weed| ("weed", weed.display().to_string())));
    let reproduction = common.reproduction("regions", &options);
    let write_table = |out: &mut dyn Write| write_regions(out, &report);
    common.report(&report, report.survived(), folder, write_table, &reproduction)
}

fn write_regions(out: &mut dyn Write, report: &RegionsReport) -> io::Result<()> {
    let RegionsReport { seed, regions, nodes, mode, ledgers, events, rounds, .. } = report;
    writeln!(
        out,
        "seed {seed}: {regions} regions of {nodes} nodes, mode {mode}, {ledgers} ledgers, {events} events"
    )?;
    for fault in Fault::ALL {
        let of_it = rounds.iter().filter(|round| round.fault == fault);
        let (all, active) = (of_it.clone().count(), of_it.filter(|round| round.had_traffic).count());
        if all > 0 {
            writeln!(
                out,
                "{:<8}{all:>6} rounds, {active} of them to the region that had traffic",
                fault.name()
            )?;
        }
    }
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
