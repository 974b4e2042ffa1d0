//! The command line. Reports go to standard output, everything else to standard error.
//!
//! Exit codes: 0 every fault was found or survived, 1 one was not, 2 usage, 65 bad data, 69 unavailable, 70 a bug,
//! 77 skipped because the machine does not allow the fault.

mod cluster;
mod load;
mod regions;
mod run;
mod sim;
mod survival;

use std::io::{self, Write};
use std::process::ExitCode;

use clap::{Args, Parser, Subcommand, ValueEnum};
use orrery_actors::ledger::Network;
use orrery_actors::processor::ttp::ProcessError;
use orrery_actors::source::{
    LedgerBound, LedgerRange, SourceErrorClass, SourceUrl, WORKER_STACK_BYTES, open,
};
use serde::Serialize;
use thiserror::Error;

use crate::experiment::ExperimentError;
use crate::judges::dataset::Comparison;
use crate::ledgers::{LoadError, LoadedLedger, load};
use crate::table::{self, Reproduction};
use crate::tamper;

use cluster::ClusterArgs;
use load::{ClientsArgs, LoadArgs};
use regions::RegionsArgs;
use run::{OutputArgs, ReplayArgs, RunArgs};
use sim::{CheckArgs, SimArgs};
use survival::{CrashArgs, DiskFullArgs, SyscallsArgs};

/// Does faults to Orrery on purpose, and judges whether it noticed.
#[derive(Debug, Parser)]
#[command(name = "orrery-chaos", version)]
pub struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Do every fault that this machine allows, see that each happened, and that nothing is lost or repeated
    ///
    /// Exits 1 if something was not survived, or if nothing shows that a fault happened; 77 if no fault could be done.
    Run(RunArgs),
    /// List all faults: what each is, what it needs, and whether anything does it
    List(OutputArgs),
    /// Try what this machine allows, and say which faults will be skipped, why, and what to install
    Doctor(OutputArgs),
    /// Run the scenario of a history again
    Replay(ReplayArgs),
    /// Remove what runs have left that were killed: namespaces, mounts, groups and folders
    Gc,
    /// Change single bytes of ledgers and see that each change is found
    ///
    /// Bytes are chosen at random among those that a hash binds: header, transaction set, results, events and return
    /// values of contract calls. Exits 1 if a change is not found, and prints the first such change.
    Tamper(TamperArgs),
    /// Kill a node at random moments and see that its dataset is the one of a node that nobody killed
    ///
    /// The node's own state is deleted or damaged between some kills. Exits 1 if one byte of the dataset differs, or if
    /// the node ends by itself.
    Crash(CrashArgs),
    /// Kill a node at every system call that changes a disk, and let each fail that may; x86-64 Linux only
    ///
    /// Exits 1 if an object is torn, or if the run after it does not complete the dataset as if nothing had happened; 77 if
    /// no process may be traced.
    Syscalls(SyscallsArgs),
    /// Fill the disk under a dataset and see that a node says so, waits for room and goes on; needs the right to mount
    ///
    /// Exits 1 if an object is torn, or if the dataset is another one in the end; 77 if nothing can be mounted.
    DiskFull(DiskFullArgs),
    /// Kill, pause, cut off or stop nodes of a cluster and see that the others go on, and that nothing is lost or repeated
    ///
    /// Exits 1 if one byte of the dataset is not that of an undisturbed process, if a node ends badly or does not come
    /// back, or if the cluster commits nothing for more than 10 s at the 99th percentile; 77 if a node is to be cut off and
    /// no network namespaces can be made.
    Cluster(ClusterArgs),
    /// Kill regions, pause, part, empty or age them, make them differ, or move traffic by plan, and see that readers go on
    ///
    /// Every region is a network namespace, which needs root. Exits 1 if an event is lost or repeated, if one byte of a
    /// region's dataset is not that of an undisturbed process, if a difference is not found, if readers wait longer than 10 s
    /// for a new ledger or a region that is back longer than 15 s, both at the 99th percentile; 77 if no network namespaces
    /// can be made.
    Regions(RegionsArgs),
    /// Connect thousands of readers to the feed: what they cost, how late ledgers reach them, and that none is missed
    ///
    /// With --profile, users of all kinds instead: Arrow Flight, the feed, exports, look-ups. Exits 1 if a reader that reads
    /// misses a ledger, has one twice or is sent away, if an answer is not what the ledgers contain, or if a limit or target
    /// does not hold.
    Load(LoadArgs),
    /// Simulate the protocols with faulty stores, networks, clocks and disks, and check every invariant
    ///
    /// Nothing is started or written outside of this process. The same seed gives the same run. Exits 1 if an invariant is
    /// broken, and prints the line that does it again.
    Sim(SimArgs),
    /// Check every invariant on a history that was written before
    Check(CheckArgs),
    #[command(name = crate::load::CLIENTS_COMMAND, hide = true)]
    LoadClients(ClientsArgs),
    #[command(name = crate::load::profiles::USERS_COMMAND, hide = true)]
    LoadUsers(ClientsArgs),
}

#[derive(Debug, Args)]
struct TamperArgs {
    /// Files, directories, patterns, file://LAKE, stream:FILE, stream:- or synthetic:?ledgers=100
    #[arg(required = true)]
    sources: Vec<SourceUrl>,
    /// The ledgers' network; lakes and synthetic ledgers state their own
    #[arg(long, conflicts_with = "passphrase")]
    network: Option<NamedNetwork>,
    /// Passphrase of a network without a name
    #[arg(long)]
    passphrase: Option<String>,
    /// First ledger: a number, `genesis` or `latest`
    #[arg(long)]
    from: Option<LedgerBound>,
    /// Last ledger: a number or `latest`
    #[arg(long)]
    to: Option<LedgerBound>,
    /// How many changes
    #[arg(long, default_value_t = 1000, value_parser = clap::value_parser!(u32).range(1..=10_000_000))]
    count: u32,
    /// Seed of the choices: the same seed and ledgers give the same report
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Change bytes that no hash binds instead, and report what else finds them (always exits 0)
    #[arg(long)]
    unbound: bool,
    /// Form of the report
    #[arg(long, value_enum, default_value_t = Output::Table)]
    output: Output,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum NamedNetwork {
    Pubnet,
    Testnet,
    Futurenet,
}

impl NamedNetwork {
    const fn name(self) -> &'static str {
        match self {
            Self::Pubnet => "pubnet",
            Self::Testnet => "testnet",
            Self::Futurenet => "futurenet",
        }
    }

    const fn passphrase(self) -> &'static str {
        match self {
            Self::Pubnet => Network::PUBNET,
            Self::Testnet => Network::TESTNET,
            Self::Futurenet => Network::FUTURENET,
        }
    }
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Output {
    Table,
    Json,
}

/// Why a run gave no verdict.
#[derive(Debug, Error)]
enum RunError {
    #[error(transparent)]
    Load(#[from] LoadError),
    #[error("these sources do not state their network; give --network or --passphrase")]
    NoNetwork,
    #[error("an unchanged ledger gives no events: {0}")]
    Process(#[from] ProcessError),
    #[error("cannot write the report: {0}")]
    Write(#[from] io::Error),
    #[error("cannot start threads: {0}")]
    Threads(#[from] rayon::ThreadPoolBuildError),
    #[error(transparent)]
    Experiment(#[from] ExperimentError),
    #[error("cannot format the report: {0}")]
    Format(#[from] serde_json::Error),
}

impl RunError {
    fn exit_code(&self) -> u8 {
        match self {
            Self::NoNetwork | Self::Load(LoadError::NoLedgers | LoadError::TooMany) => 2,
            Self::Load(LoadError::Source(error)) => match error.class() {
                SourceErrorClass::Usage => 2,
                SourceErrorClass::Data => 65,
                SourceErrorClass::Unavailable => 69,
            },
            Self::Load(LoadError::NotALedger { .. } | LoadError::Unsound { .. }) | Self::Process(_) => 65,
            Self::Write(_) | Self::Threads(_) => 69,
            Self::Experiment(ExperimentError::Usage(_)) => 2,
            Self::Experiment(ExperimentError::Skipped(_)) => 77,
            Self::Experiment(ExperimentError::Undisturbed { .. }) => 1,
            Self::Experiment(_) => 69,
            Self::Format(_) => 70,
        }
    }
}

/// Runs what the command line asks for.
pub fn run(cli: &Cli) -> ExitCode {
    let survived = match &cli.command {
        Command::Run(args) => return coded(run::run_faults(args)),
        Command::Replay(args) => return coded(run::replay(args)),
        Command::List(args) => run::list(args),
        Command::Doctor(args) => run::doctor(args),
        Command::Gc => run::gc(),
        Command::Tamper(args) => run_tamper(args),
        Command::Crash(args) => survival::run_crash(args),
        Command::Syscalls(args) => survival::run_syscalls(args),
        Command::DiskFull(args) => survival::run_disk_full(args),
        Command::Cluster(args) => cluster::run_cluster(args),
        Command::Regions(args) => regions::run_regions(args),
        Command::Load(args) => load::run_load(args),
        Command::Sim(args) => sim::run_sim(args),
        Command::Check(args) => sim::run_check(args),
        Command::LoadClients(args) => load::run_clients(args),
        Command::LoadUsers(args) => load::run_users(args),
    };
    match survived {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => failed(&error),
    }
}

fn coded(code: Result<u8, RunError>) -> ExitCode {
    code.map_or_else(|error| failed(&error), ExitCode::from)
}

fn failed(error: &RunError) -> ExitCode {
    match error {
        RunError::Write(error) if error.kind() == io::ErrorKind::BrokenPipe => ExitCode::SUCCESS,
        error => {
            let _ = writeln!(io::stderr(), "error: {error}");
            ExitCode::from(error.exit_code())
        }
    }
}

/// True if nothing was missed.
fn run_tamper(args: &TamperArgs) -> Result<bool, RunError> {
    writeln!(io::stderr(), "seed {}", args.seed)?;
    let threads = rayon::ThreadPoolBuilder::new().stack_size(WORKER_STACK_BYTES).build()?;
    threads.install(|| {
        let (network, ledgers) = read(args)?;
        let count = usize::try_from(args.count).unwrap_or(usize::MAX);
        if args.unbound {
            let report = tamper::unbound(&network, &ledgers, args.seed, count)?;
            print(args.output, &report, |out| table::write_unbound(out, &report, &reproduction(args)))?;
            return Ok(true);
        }
        let report = tamper::bound(&network, &ledgers, args.seed, count);
        print(args.output, &report, |out| table::write_bound(out, &report, &reproduction(args)))?;
        Ok(report.missed == 0)
    })
}

fn read(args: &TamperArgs) -> Result<(Network, Vec<LoadedLedger>), RunError> {
    let range = LedgerRange { from: args.from, to: args.to };
    let mut source = open(&args.sources, range).map_err(LoadError::from)?;
    let named = args.network.map(NamedNetwork::passphrase).or(args.passphrase.as_deref());
    let passphrase = named.or(source.network_passphrase()).ok_or(RunError::NoNetwork)?;
    let network = Network::new(passphrase);
    let ledgers = load(&mut *source, &network)?;
    Ok((network, ledgers))
}

fn print(
    output: Output,
    report: &impl Serialize,
    write_table: impl FnOnce(&mut dyn Write) -> io::Result<()>,
) -> Result<(), RunError> {
    let mut out = io::stdout().lock();
    match output {
        Output::Table => write_table(&mut out)?,
        Output::Json => writeln!(out, "{}", serde_json::to_string(report)?)?,
    }
    Ok(out.flush()?)
}

/// How a disturbed dataset compares, for people.
fn write_comparison(out: &mut dyn Write, comparison: &Comparison) -> io::Result<()> {
    let Comparison { objects, bytes, rows, rows_lost, rows_duplicated, parts_left, .. } = comparison;
    let Comparison { objects_missing, objects_extra, objects_different, .. } = comparison;
    let Comparison { ledgers_lost, ledgers_duplicated, problems, .. } = comparison;
    writeln!(out, "\n{objects} objects, {bytes} bytes, {rows} rows compared with an undisturbed dataset:")?;
    writeln!(out, "  {objects_missing} missing, {objects_extra} extra, {objects_different} different")?;
    writeln!(out, "  {ledgers_lost} ledgers lost, {ledgers_duplicated} duplicated")?;
    writeln!(out, "  {rows_lost} rows lost, {rows_duplicated} duplicated")?;
    writeln!(out, "  {parts_left} temporary files left")?;
    problems.iter().try_for_each(|problem| writeln!(out, "  {problem}"))
}

/// Everything of the command line that chooses bytes.
fn reproduction(args: &TamperArgs) -> Reproduction {
    let mut words = vec!["orrery-chaos".to_owned(), "tamper".to_owned()];
    words.extend(args.sources.iter().map(ToString::to_string));
    let mut option = |name: &str, value: Option<String>| {
        words.extend(value.into_iter().flat_map(|value| [format!("--{name}"), value]));
    };
    option("network", args.network.map(|network| network.name().to_owned()));
    option("passphrase", args.passphrase.clone());
    option("from", args.from.map(bound));
    option("to", args.to.map(bound));
    option("seed", Some(args.seed.to_string()));
    if args.unbound {
        words.push("--unbound".to_owned());
    }
    Reproduction::new(&words)
}

fn bound(bound: LedgerBound) -> String {
    match bound {
        LedgerBound::Number(sequence) => sequence.to_string(),
        LedgerBound::Latest => "latest".to_owned(),
        LedgerBound::Genesis => "genesis".to_owned(),
    }
}
