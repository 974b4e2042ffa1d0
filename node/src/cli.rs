//! The command line, as data.

mod certs;
mod dataset;
mod demo;
mod inspection;
mod recovery;
mod regions;
mod tail;
mod token;

use std::num::{NonZeroU32, NonZeroUsize};
use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};
use orrery_actors::dataset::DatasetUrl;
use orrery_actors::processor::ttp::Mode;
use orrery_actors::source::{LedgerBound, LedgerRange, SourceUrl};

pub(crate) use certs::{CertsAction, CertsArgs};
pub(crate) use dataset::{CompactArgs, EpochArgs};
pub(crate) use demo::DemoArgs;
pub(crate) use inspection::{
    DrainArgs, InspectArgs, LogsArgs, NodesArgs, PipelineArgs, ProofOfWho, PsArgs, PsOrder, TargetArgs,
    TopArgs, TreeArgs,
};
pub(crate) use recovery::{BackupArgs, CopyArgs, PaceArgs, RestoreArgs, ScrubArgs};
pub(crate) use regions::{FailoverArgs, RegionsArgs};
pub(crate) use tail::TailArgs;
pub(crate) use token::TokenArgs;

/// Stellar ledgers into exact token-transfer events.
#[derive(Debug, Parser)]
#[command(name = "orrery", version, propagate_version = true, after_help = EXIT_CODES)]
pub(crate) struct Cli {
    /// Form of results on standard output.
    #[arg(long, global = true, value_enum, default_value_t = Output::Table)]
    pub(crate) output: Output,
    #[command(subcommand)]
    pub(crate) command: Command,
}

const EXIT_CODES: &str = "Exit codes: 0 ok, 1 a check failed, 2 usage, 65 bad data, 69 unavailable, 70 a bug, \
                          75 try again, 78 configuration, 130 interrupted; `run` ends by a signal only, so that it exits \
                          with 0 once it has drained.";

/// Form of results.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Output {
    /// For people.
    Table,
    /// For programs: one JSON value.
    Json,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Show what Orrery does: synthetic ledgers through a supervised pipeline into a dataset, a feed and a page, until Ctrl-C.
    Demo(DemoArgs),
    /// Run a node: follow ledger sources for ever, into a dataset.
    Run(RunArgs),
    /// Write a range of ledgers into a dataset as fast as the machine can; run it again to go on.
    Backfill(NodeArgs),
    /// Turn ledgers into token-transfer events.
    Events(EventsArgs),
    /// Write synthetic ledgers as a data lake: equal arguments give equal bytes.
    Synth(SynthArgs),
    /// Prove ledgers by their own hashes, and their events by their entry changes; or a whole dataset by its log.
    Verify(VerifyArgs),
    /// Hash every stored object of a dataset again, and repair what is damaged from a copy or from ledgers.
    Scrub(ScrubArgs),
    /// Copy what a backup of a dataset lacks, checked by hash; the backup is a dataset itself.
    Backup(BackupArgs),
    /// Bring a dataset back from a backup or from another region, whole or up to a point of its log.
    Restore(RestoreArgs),
    /// Replace many small files of a dataset by few large ones; safe while others write to it.
    Compact(CompactArgs),
    /// List the epochs of datasets, or announce one: from a ledger on, slots are cut otherwise or rows made by other rules.
    Epoch(EpochArgs),
    /// Ledgers that could not be processed, with the evidence.
    Quarantine(QuarantineArgs),
    /// What supervisors restarted, and why; newest last, also of lives of the node before this one.
    Restarts(RestartsArgs),
    /// What operators told a node, newest last, and whether the record is whole.
    Audit(AuditArgs),
    /// Stop a pipeline until it is resumed.
    Park(PipelineArgs),
    /// Start a parked pipeline.
    Resume(PipelineArgs),
    /// Print the live feed of a node: events as they happen, from wherever you were. Connects again by itself.
    Tail(TailArgs),
    /// Draw the supervision tree of a whole cluster, or of the node on this machine.
    Tree(TreeArgs),
    /// List actors, one line each.
    Ps(PsArgs),
    /// Tell everything that is known of one actor.
    Inspect(InspectArgs),
    /// Print the newest log lines of nodes.
    Logs(LogsArgs),
    /// List the nodes of a cluster.
    Nodes(NodesArgs),
    /// List this region and its peers: where traffic belongs, how far each is, whether they are equal.
    Regions(RegionsArgs),
    /// Move traffic to another region: once it is equal and not behind, or by force.
    Failover(FailoverArgs),
    /// Have a node hand over its work and leave the cluster.
    Drain(DrainArgs),
    /// Watch nodes and tasks, until q.
    Top(TopArgs),
    /// Make certificates for a cluster: a private authority, and one for each node and operator.
    Certs(CertsArgs),
    /// Make a token for somebody who asks a node over HTTP.
    Token(TokenArgs),
    /// Check or print the configuration.
    Config(ConfigArgs),
    /// Kill an actor of a running node, as a fault would.
    #[cfg(debug_assertions)]
    #[command(hide = true)]
    Kill(KillArgs),
    /// Print version and build.
    Version,
    /// Print a completion script for a shell.
    Completions(CompletionsArgs),
}

const SOURCES: &str = "A file, a directory, a quoted pattern, stream:FILE, stream:- or synthetic:?seed=1&ledgers=100.
Files are told apart by content: LedgerCloseMeta, LedgerCloseMetaBatch or framed stream, each plain or zstd.
A SEP-54 lake: file://LAKE, s3://BUCKET/LAKE, gs://BUCKET/LAKE or https://HOST/LAKE (give --from: a web server cannot list).
A Stellar RPC server: rpc+https://HOST/PATH (keeps about a week).
Options of s3://: ?region=us-east-2&anonymous=true&endpoint=http://HOST:PORT&virtual_hosted=true; of gs://: anonymous, endpoint.
Credentials come from the environment only: AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY and the like; GOOGLE_SERVICE_ACCOUNT,
GOOGLE_APPLICATION_CREDENTIALS";

#[derive(Debug, Args)]
pub(crate) struct EventsArgs {
    /// Where ledgers come from.
    #[arg(value_name = "FILES|URL", required = true, help = SOURCES)]
    pub(crate) sources: Vec<SourceUrl>,
    #[command(flatten)]
    pub(crate) network: NetworkArgs,
    #[command(flatten)]
    pub(crate) range: RangeArgs,
    /// Form of the events.
    #[arg(long, value_enum, default_value_t = EventFormat::Jsonl)]
    pub(crate) format: EventFormat,
    /// Write to this file instead of standard output. It appears when it is whole.
    #[arg(long, value_name = "FILE")]
    pub(crate) out: Option<PathBuf>,
    /// Where events are read from: stellar-core's own where the meta has them, else derived; or one of both alone.
    #[arg(long, value_enum, default_value_t = ModeName::Auto)]
    pub(crate) mode: ModeName,
    /// Add the input's name to each event, as the first field, `file`. In a directory or lake: the path inside it.
    #[arg(long)]
    pub(crate) with_file: bool,
    /// What to do with a ledger whose hashes do not hold: stop, say so and go on (exit code 0), or do not check.
    #[arg(long, value_enum, default_value_t = Integrity::Warn)]
    pub(crate) integrity: Integrity,
    #[command(flatten)]
    pub(crate) workers: WorkersArgs,
}

#[derive(Debug, Args)]
pub(crate) struct VerifyArgs {
    /// Where ledgers come from.
    #[arg(long = "source", value_name = "FILES|URL", num_args = 1.., help = SOURCES)]
    pub(crate) sources: Vec<SourceUrl>,
    /// The same, without the flag.
    #[arg(value_name = "FILES|URL", required_unless_present_any = ["sources", "dataset"])]
    pub(crate) positional: Vec<SourceUrl>,
    /// Read a whole dataset instead: its log, every file and every row. file://DIR, s3:// or gs:// (untested).
    #[arg(long, value_name = "URL", conflicts_with_all = ["sources", "positional", "network", "passphrase", "from", "to"])]
    pub(crate) dataset: Option<DatasetUrl>,
    /// Hold the dataset's log against that of another one instead, without reading rows: a backup, another region.
    #[arg(long, value_name = "URL", requires = "dataset")]
    pub(crate) against: Option<DatasetUrl>,
    #[command(flatten)]
    pub(crate) network: NetworkArgs,
    #[command(flatten)]
    pub(crate) range: RangeArgs,
    #[command(flatten)]
    pub(crate) workers: WorkersArgs,
}

#[derive(Debug, Args)]
pub(crate) struct NetworkArgs {
    /// The ledgers' network. A lake and a synthetic source say it themselves.
    #[arg(long, value_enum)]
    pub(crate) network: Option<NetworkName>,
    /// The passphrase of any other network.
    #[arg(long, value_name = "TEXT", conflicts_with = "network")]
    pub(crate) passphrase: Option<String>,
}

/// Networks with a name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum NetworkName {
    Pubnet,
    Testnet,
    Futurenet,
}

#[derive(Debug, Args)]
pub(crate) struct RangeArgs {
    /// First ledger: a number, `genesis` or `latest`.
    #[arg(long, value_name = "LEDGER")]
    from: Option<LedgerBound>,
    /// Last ledger: a number or `latest`.
    #[arg(long, value_name = "LEDGER")]
    to: Option<LedgerBound>,
}

impl RangeArgs {
    pub(crate) fn range(&self) -> LedgerRange {
        LedgerRange { from: self.from, to: self.to }
    }
}

#[derive(Debug, Args)]
pub(crate) struct WorkersArgs {
    /// Threads that work on ledgers [default: one for each core].
    #[arg(long, value_name = "N")]
    workers: Option<NonZeroUsize>,
}

impl WorkersArgs {
    pub(crate) fn count(&self) -> usize {
        self.workers.or_else(|| std::thread::available_parallelism().ok()).map_or(1, NonZeroUsize::get)
    }
}

/// Forms of events.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum EventFormat {
    /// One JSON object a line.
    Jsonl,
    /// Comma-separated values with a header.
    Csv,
    /// Arrow IPC: a stream on standard output, the file format in a file.
    Arrow,
    /// Apache Parquet.
    Parquet,
}

impl From<EventFormat> for orrery_actors::sink::Format {
    fn from(format: EventFormat) -> Self {
        match format {
            EventFormat::Jsonl => Self::Jsonl,
            EventFormat::Csv => Self::Csv,
            EventFormat::Arrow => Self::Arrow,
            EventFormat::Parquet => Self::Parquet,
        }
    }
}

/// Where events are read from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum ModeName {
    Auto,
    Derived,
    Unified,
}

impl From<ModeName> for Mode {
    fn from(mode: ModeName) -> Self {
        match mode {
            ModeName::Auto => Self::Auto,
            ModeName::Derived => Self::Derived,
            ModeName::Unified => Self::Unified,
        }
    }
}

/// How far ledgers are proven.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum ProofName {
    /// Levels V0 to V5, and event deltas where no hash binds a contract's events.
    Hashes,
    /// And event deltas and the cross-check for every ledger: 166 dense ledgers a second on 2 cores, 229 without.
    Everything,
}

/// What to do with a ledger whose hashes do not hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Integrity {
    /// Stop with exit code 1.
    Strict,
    /// Say so on standard error and go on.
    Warn,
    /// Do not check.
    Off,
}

/// What a node is told on the command line; the rest stands in a file, or in the environment.
#[derive(Debug, Args)]
pub(crate) struct NodeArgs {
    /// A configuration file; ops/config/orrery.example.toml documents every key.
    #[arg(short, long, value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,
    /// Name of the node, in logs and traces.
    #[arg(long)]
    pub(crate) name: Option<String>,
    /// What the node keeps for itself [default: orrery-data].
    #[arg(long, value_name = "DIR")]
    pub(crate) data_dir: Option<PathBuf>,
    /// Where ledgers come from, in order of preference: file://LAKE, s3://, gs://, http(s)://, rpc+http(s)://, synthetic:.
    #[arg(long = "source", value_name = "URL")]
    pub(crate) sources: Vec<String>,
    /// Where rows go: file://DIR, s3://BUCKET/PATH or gs://BUCKET/PATH (untested).
    #[arg(long, value_name = "URL")]
    pub(crate) dataset: Option<String>,
    /// The ledgers' network, if the source does not say it.
    #[arg(long, value_enum)]
    pub(crate) network: Option<NetworkName>,
    /// The passphrase of any other network.
    #[arg(long, value_name = "TEXT", conflicts_with = "network")]
    pub(crate) passphrase: Option<String>,
    /// First ledger of a new dataset: a number, `genesis` or `latest`.
    #[arg(long, value_name = "LEDGER")]
    pub(crate) from: Option<String>,
    /// Last ledger: a number or `latest`.
    #[arg(long, value_name = "LEDGER")]
    pub(crate) to: Option<String>,
    /// Threads that prove and derive [default: one for each core].
    #[arg(long, value_name = "N")]
    pub(crate) workers: Option<NonZeroU32>,
    /// Where events are read from.
    #[arg(long, value_enum)]
    pub(crate) mode: Option<ModeName>,
    /// How far ledgers are proven [default: hashes].
    #[arg(long, value_enum)]
    pub(crate) proof: Option<ProofName>,
    /// Slots of a new dataset, FROM:LEDGERS each.
    #[arg(long, value_name = "FROM:LEDGERS")]
    pub(crate) grid: Vec<String>,
    /// Serve health and metrics there.
    #[arg(long, value_name = "ADDRESS:PORT")]
    pub(crate) http: Option<String>,
    /// What is logged: warn, info, debug.
    #[arg(long, value_name = "FILTER")]
    pub(crate) log: Option<String>,
}

#[derive(Debug, Args)]
pub(crate) struct RunArgs {
    #[command(flatten)]
    pub(crate) node: NodeArgs,
    #[command(flatten)]
    pub(crate) cluster: ClusterArgs,
}

/// Settings of a node that shares its work with others.
#[derive(Debug, Args)]
#[command(next_help_heading = "Cluster")]
pub(crate) struct ClusterArgs {
    /// Take part in a cluster: other nodes connect here, TCP and UDP.
    #[arg(long, value_name = "ADDRESS:PORT")]
    pub(crate) listen: Option<String>,
    /// The address that other nodes are told [default: that of --listen].
    #[arg(long, value_name = "ADDRESS:PORT")]
    pub(crate) advertise: Option<String>,
    /// Another node. With any, this one does nothing before it has met one; without, it may coordinate at once.
    #[arg(long, value_name = "HOST:PORT")]
    pub(crate) join: Vec<String>,
    /// What the node does: fetcher, processor, sink, coordinator, gateway [default: all].
    #[arg(long, value_name = "ROLES", value_delimiter = ',')]
    pub(crate) roles: Vec<String>,
    /// What `orrery certs issue` wrote for this node; renewed files are taken up while it runs.
    #[arg(long, value_name = "DIR", conflicts_with = "insecure_loopback")]
    pub(crate) certificates: Option<PathBuf>,
    /// No certificates, to try a cluster on one machine; refused on any address but loopback.
    #[arg(long)]
    pub(crate) insecure_loopback: bool,
    /// Ranges of ledgers that the node works on at once [default: 2].
    #[arg(long, value_name = "N")]
    pub(crate) tasks: Option<NonZeroU32>,
}

#[derive(Debug, Args)]
pub(crate) struct QuarantineArgs {
    #[command(flatten)]
    pub(crate) node: DataDirArgs,
    #[command(subcommand)]
    pub(crate) action: QuarantineAction,
}

/// Which node is meant: one that runs is asked, the state of one that does not is opened.
#[derive(Debug, Args)]
pub(crate) struct DataDirArgs {
    /// The node's configuration file, if it has one.
    #[arg(short, long, value_name = "FILE", global = true)]
    pub(crate) config: Option<PathBuf>,
    /// The node's data directory [default: orrery-data, or as configured].
    #[arg(long, value_name = "DIR", global = true)]
    pub(crate) data_dir: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub(crate) struct RestartsArgs {
    /// The newest so many.
    #[arg(long, value_name = "N", default_value_t = 20, value_parser = clap::value_parser!(u32).range(1..=1000))]
    pub(crate) last: u32,
    #[command(flatten)]
    pub(crate) node: DataDirArgs,
}

#[derive(Debug, Args)]
pub(crate) struct AuditArgs {
    #[command(flatten)]
    pub(crate) node: DataDirArgs,
}

#[derive(Debug, Subcommand)]
pub(crate) enum QuarantineAction {
    /// All of them.
    List,
    /// One of them, or its bytes.
    Show {
        /// The ledger.
        ledger: u32,
        /// Write the object's bytes, as they came, to this file.
        #[arg(long, value_name = "FILE")]
        out: Option<PathBuf>,
    },
    /// Forget one and go on, so that it is fetched and tried again.
    Retry {
        /// The ledger.
        ledger: u32,
    },
}

#[derive(Debug, Args)]
pub(crate) struct ConfigArgs {
    /// What to do.
    #[arg(value_enum)]
    pub(crate) action: ConfigAction,
    #[command(flatten)]
    pub(crate) node: NodeArgs,
}

/// What `config` does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum ConfigAction {
    /// Say what is wrong with it, if anything.
    Check,
    /// Print every key, its value and where that comes from.
    Print,
}

#[cfg(debug_assertions)]
#[derive(Debug, Args)]
pub(crate) struct KillArgs {
    /// Path of the actor from below the root, as pipelines/main/processor.
    pub(crate) path: String,
    #[command(flatten)]
    pub(crate) node: DataDirArgs,
}

#[derive(Debug, Args)]
pub(crate) struct SynthArgs {
    /// Where to: file:// and a folder, as in file://lake.
    #[arg(long, value_name = "URL")]
    pub(crate) out: SourceUrl,
    #[command(flatten)]
    pub(crate) synthetic: SyntheticArgs,
}

/// What synthetic ledgers are generated from.
#[derive(Debug, Args)]
pub(crate) struct SyntheticArgs {
    /// How many; they are numbered from 2.
    #[arg(long, value_name = "N", default_value_t = 200)]
    pub(crate) ledgers: u32,
    /// How much is in each: sparse, pubnet (about 311 transactions and 880 events) or dense.
    #[arg(long, value_name = "DENSITY", default_value = "pubnet")]
    pub(crate) density: String,
    /// Seed of every choice.
    #[arg(long, value_name = "N", default_value_t = 1)]
    pub(crate) seed: u64,
    /// Protocol version of the ledgers.
    #[arg(long, value_name = "VERSION", default_value_t = 26)]
    pub(crate) protocol: u32,
    /// Whether the meta has stellar-core's unified events: unified or none.
    #[arg(long, value_name = "EVENTS", default_value = "unified")]
    pub(crate) events: String,
}

#[derive(Debug, Args)]
pub(crate) struct CompletionsArgs {
    /// The shell.
    pub(crate) shell: clap_complete::Shell,
}
