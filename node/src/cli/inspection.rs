//! Arguments of the commands that look into running nodes.

use std::path::PathBuf;

use clap::{Args, ValueEnum};

use super::DataDirArgs;

/// Who is asked: a cluster through any of its nodes, or the node on this machine.
#[derive(Debug, Args)]
pub(crate) struct TargetArgs {
    #[command(flatten)]
    pub(crate) cluster: ClusterTarget,
    #[command(flatten)]
    pub(crate) node: DataDirArgs,
}

/// A cluster, if one is asked.
#[derive(Debug, Args)]
pub(crate) struct ClusterTarget {
    /// Ask the cluster, through the node that listens there.
    #[arg(long, value_name = "HOST:PORT", conflicts_with_all = ["data_dir", "config"])]
    pub(crate) cluster: Option<String>,
    #[command(flatten)]
    pub(crate) proof: ProofOfWho,
}

/// How a command proves to a cluster that it may ask.
#[derive(Debug, Args)]
pub(crate) struct ProofOfWho {
    /// What `orrery certs issue NAME --operator` wrote, or a node's own.
    #[arg(long, value_name = "DIR", requires = "cluster", conflicts_with = "insecure_loopback")]
    pub(crate) certificates: Option<PathBuf>,
    /// Without certificates, of nodes on this machine that run without them.
    #[arg(long, requires = "cluster")]
    pub(crate) insecure_loopback: bool,
}

/// A cluster that must be named.
#[derive(Debug, Args)]
pub(crate) struct NodesArgs {
    /// Ask the cluster, through the node that listens there.
    #[arg(long, value_name = "HOST:PORT")]
    pub(crate) cluster: String,
    #[command(flatten)]
    pub(crate) proof: ProofOfWho,
}

#[derive(Debug, Args)]
pub(crate) struct TreeArgs {
    #[command(flatten)]
    pub(crate) target: TargetArgs,
}

#[derive(Debug, Args)]
pub(crate) struct PsArgs {
    /// The most first: messages that wait, restarts, or age. In the order of the tree otherwise.
    #[arg(long, value_enum)]
    pub(crate) sort: Option<PsOrder>,
    #[command(flatten)]
    pub(crate) target: TargetArgs,
}

/// What comes first in a list of actors.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum PsOrder {
    /// The most messages that wait.
    Mailbox,
    /// The most restarts.
    Restarts,
    /// Whoever is in its state for longest.
    Age,
}

#[derive(Debug, Args)]
pub(crate) struct InspectArgs {
    /// The actor, as `ps` names it: a/pipelines/main/processor. Or `metrics`: every metric that a node may show. Or `profile`: where
    /// the node on this machine spends its time, as a flame graph. Or `heap`: who holds its memory, as pprof reads it, of a program
    /// that was built with the feature heap-profile.
    pub(crate) actor: String,
    /// Of `profile`: for how long.
    #[arg(long, value_name = "N", default_value_t = 10, value_parser = clap::value_parser!(u64).range(1..=60))]
    pub(crate) seconds: u64,
    /// Of `profile`: the picture, an SVG [default: flame.svg]. Of `heap`: the profile [default: heap.pb.gz].
    #[arg(long, value_name = "FILE")]
    pub(crate) out: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) target: TargetArgs,
}

#[derive(Debug, Args)]
pub(crate) struct LogsArgs {
    /// Go on with new lines until Ctrl-C; with `--output json` one object a line.
    #[arg(short, long)]
    pub(crate) follow: bool,
    /// Only of this node.
    #[arg(long, value_name = "NAME")]
    pub(crate) node: Option<String>,
    /// Begin with the newest so many; a node keeps 1,000.
    #[arg(long, value_name = "N", default_value_t = 100, value_parser = clap::value_parser!(u32).range(0..=100_000))]
    pub(crate) last: u32,
    #[command(flatten)]
    pub(crate) target: TargetArgs,
}

#[derive(Debug, Args)]
pub(crate) struct DrainArgs {
    /// Its name.
    pub(crate) name: String,
    /// Seconds to wait until it has left.
    #[arg(long, value_name = "SECONDS", default_value_t = 60, value_parser = clap::value_parser!(u32).range(1..=3600))]
    pub(crate) within: u32,
    #[command(flatten)]
    pub(crate) cluster: NodesArgs,
}

#[derive(Debug, Args)]
pub(crate) struct TopArgs {
    #[command(flatten)]
    pub(crate) target: TargetArgs,
}

#[derive(Debug, Args)]
pub(crate) struct PipelineArgs {
    /// The pipeline [default: main, or as configured].
    pub(crate) pipeline: Option<String>,
    #[command(flatten)]
    pub(crate) target: TargetArgs,
}
