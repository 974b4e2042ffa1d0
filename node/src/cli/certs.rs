//! Arguments of `orrery certs`.

use std::path::PathBuf;

use clap::{Args, Subcommand};
use orrery_supervisor::cluster::{ClusterName, NodeName};

#[derive(Debug, Args)]
pub(crate) struct CertsArgs {
    #[command(subcommand)]
    pub(crate) action: CertsAction,
}

#[derive(Debug, Subcommand)]
pub(crate) enum CertsAction {
    /// Make an authority: ca.pem, ca.key and cluster.key in a folder.
    Init {
        /// The authority's folder. Keep it away from the nodes.
        #[arg(long, value_name = "DIR")]
        dir: PathBuf,
        /// Name of the cluster; nodes of others are refused.
        #[arg(long, value_name = "NAME")]
        cluster: ClusterName,
        /// Days until every certificate of it must be replaced.
        #[arg(long, value_name = "N", default_value_t = 3650, value_parser = clap::value_parser!(u32).range(1..=36_500))]
        days: u32,
    },
    /// Make the certificate of one node: everything that belongs on it, in a folder to copy there. To renew one, issue it again
    /// with another --out and copy node.pem and node.key over the old ones: a running node takes them up.
    Issue {
        /// Name of the node: 1 to 63 of a-z, 0-9 and -.
        name: NodeName,
        /// The authority's folder.
        #[arg(long, value_name = "DIR")]
        dir: PathBuf,
        /// Write there [default: a folder of this name in the authority's].
        #[arg(long, value_name = "DIR")]
        out: Option<PathBuf>,
        /// Days until it must be replaced; there is no revocation, so keep it short.
        #[arg(long, value_name = "N", default_value_t = 90, value_parser = clap::value_parser!(u32).range(1..=36_500))]
        days: u32,
        /// For a person or program that asks the cluster and is no node of it.
        #[arg(long)]
        operator: bool,
    },
}
