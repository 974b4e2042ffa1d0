//! The command that does faults to nodes of a cluster: what it takes, and what it prints.

use std::io::{self, Write};
use std::path::PathBuf;

use clap::{Args, ValueEnum};

use super::RunError;
use super::survival::{Common, Folder};
use crate::cluster::{self, ClusterReport, ClusterSettings, Fault, Spread};
use crate::process::Orrery;

#[derive(Debug, Args)]
pub(super) struct ClusterArgs {
    /// How many faults
    #[arg(long, default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    rounds: u32,
    /// What is done, in turn: some of these, separated by commas. Cutting off needs root and network namespaces
    #[arg(long = "fault", value_enum, value_delimiter = ',', default_value = "all")]
    faults: Vec<NamedFault>,
    /// How many nodes
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u8).range(2..=9))]
    nodes: u8,
    /// Ledgers of a dataset, which takes as many faults as fit; about a thousand are one task
    #[arg(long, default_value_t = 40_000, value_parser = clap::value_parser!(u32).range(1024..=10_000_000))]
    ledgers: u32,
    /// Ledgers of a slot
    #[arg(long, default_value_t = 64, value_parser = clap::value_parser!(u32).range(1..=65_536))]
    slot_ledgers: u32,
    /// Another version of orrery, by which `replace` replaces nodes
    #[arg(long, value_name = "ORRERY")]
    other: Option<PathBuf>,
    #[command(flatten)]
    common: Common,
}

/// A fault, or all of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum NamedFault {
    /// SIGKILL, and a start up to 6 s later
    Kill,
    /// SIGSTOP, and SIGCONT 3 to 8 s later
    Stop,
    /// All packets from and to the node are dropped for 3 to 8 s
    Cut,
    /// SIGTERM to one node after the other, each started again when it has ended
    Term,
    /// As kill, to all nodes at once
    KillAll,
    /// What the node sends to the next one is dropped
    OneWay,
    /// Connections of the node are answered by resets
    Refuse,
    /// One of five packets is dropped
    Lose,
    /// The node has a line of 16 kbit a second
    Narrow,
    /// Links are clogged one by one, and freed in another order
    Clog,
    /// All connections of the node are reset, again and again
    Reset,
    /// Long packets to the node are dropped
    DropLong,
    /// Packets to the node come late, in another order, twice, or with other bytes; needs NFQUEUE
    Mangle,
    /// As term, and started again as the version that --other names, and the next time as this one
    Replace,
    /// The first four
    All,
}

impl NamedFault {
    fn faults(self) -> Vec<Fault> {
        match self {
            Self::Kill => vec![Fault::Kill],
            Self::Stop => vec![Fault::Stop],
            Self::Cut => vec![Fault::Cut],
            Self::Term => vec![Fault::Term],
            Self::KillAll => vec![Fault::KillAll],
            Self::OneWay => vec![Fault::OneWay],
            Self::Refuse => vec![Fault::Refuse],
            Self::Lose => vec![Fault::Lose],
            Self::Narrow => vec![Fault::Narrow],
            Self::Clog => vec![Fault::Clog],
            Self::Reset => vec![Fault::Reset],
            Self::DropLong => vec![Fault::DropLong],
            Self::Mangle => vec![Fault::Mangle],
            Self::Replace => vec![Fault::Replace],
            Self::All => Fault::ALL.to_vec(),
        }
    }
}

/// True if the others went on and nothing was lost.
pub(super) fn run_cluster(args: &ClusterArgs) -> Result<bool, RunError> {
    let ClusterArgs { rounds, faults, nodes, ledgers, slot_ledgers, other, common } = args;
    writeln!(io::stderr(), "seed {}", common.seed)?;
    let folder = Folder::new(common.dir.as_deref())?;
    let workload = common.workload(&folder, *ledgers, *slot_ledgers)?;
    let faults: Vec<Fault> = faults.iter().flat_map(|fault| fault.faults()).collect();
    let names = faults.iter().map(|fault| fault.name()).collect::<Vec<_>>().join(",");
    let (rounds, nodes, seed) = (*rounds, usize::from(*nodes), common.seed);
    let other = other.as_deref().map(|path| Orrery::find(Some(path))).transpose()?;
    let to_coordinator = false;
    let settings = ClusterSettings { workload, rounds, faults, nodes, other, to_coordinator, seed };
    let report = cluster::run(&settings, &mut io::stderr())?;
    let mut options = vec![
        ("fault", names),
        ("rounds", rounds.to_string()),
        ("nodes", nodes.to_string()),
        ("ledgers", ledgers.to_string()),
        ("slot-ledgers", slot_ledgers.to_string()),
    ];
    options.extend(args.other.as_ref().map(|other| ("other", other.display().to_string())));
    let reproduction = common.reproduction("cluster", &options);
    let write_table = |out: &mut dyn Write| write_cluster(out, &report);
    common.report(&report, report.survived(), folder, write_table, &reproduction)
}

fn write_cluster(out: &mut dyn Write, report: &ClusterReport) -> io::Result<()> {
    let ClusterReport { seed, nodes, ledgers, slots, rounds, datasets, .. } = report;
    let (seconds, undisturbed) = (report.seconds, report.undisturbed_seconds);
    writeln!(
        out,
        "seed {seed}: {nodes} nodes, {ledgers} ledgers, {slots} slots a table, {seconds:.0} s; one process alone {undisturbed:.0} s"
    )?;
    let mut kinds: Vec<Fault> = rounds.iter().map(|round| round.fault).collect();
    kinds.sort_unstable();
    kinds.dedup();
    for fault in kinds {
        let of_it = rounds.iter().filter(|round| round.fault == fault);
        let (all, coordinators) =
            (of_it.clone().count(), of_it.filter(|round| round.was_coordinator).count());
        if all > 0 {
            writeln!(out, "{:<8}{all:>6} rounds, {coordinators} of them to the coordinator", fault.name())?;
        }
    }
    writeln!(out, "rounds of each dataset: {datasets:?}\n")?;
    writeln!(out, "{:<44}{:>6}{:>8}{:>8}{:>8}", "seconds", "count", "p50", "p99", "max")?;
    let rows = [
        ("longest time without a commit after a fault", report.pause_seconds),
        ("until a node that is back is a member", report.joined_seconds),
        ("until it has a task or writes", report.works_seconds),
        ("until a node ends that is told to stop", report.stop_seconds),
        ("load average of the machine", report.load_average),
    ];
    for (name, Spread { count, p50, p99, max }) in rows {
        if count > 0 {
            writeln!(out, "{name:<44}{count:>6}{p50:>8.1}{p99:>8.1}{max:>8.1}")?;
        }
    }
    super::write_comparison(out, &report.comparison)?;
    report.problems.iter().try_for_each(|problem| writeln!(out, "{problem}"))
}
