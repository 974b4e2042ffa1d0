//! Arguments of `orrery demo`.

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::Args;

#[derive(Debug, Args)]
pub(crate) struct DemoArgs {
    /// Ledgers a second; 0 makes them as fast as the machine can.
    #[arg(long, value_name = "N", default_value_t = 1.0)]
    pub(crate) rate: f64,
    /// End after so many, instead of never.
    #[arg(long, value_name = "N")]
    pub(crate) ledgers: Option<u32>,
    /// How much is in each: sparse, pubnet (about 311 transactions and 880 events) or dense.
    #[arg(long, value_name = "DENSITY", default_value = "pubnet")]
    pub(crate) density: String,
    /// Seed of every choice.
    #[arg(long, value_name = "N", default_value_t = 1)]
    pub(crate) seed: u64,
    /// Where the dataset and the node's state go. Run it again to go on.
    #[arg(long, value_name = "DIR", default_value = "orrery-demo")]
    pub(crate) out: PathBuf,
    /// Where the page, the feed and the API are served [default: 127.0.0.1:8080, or any free port if that is taken].
    #[arg(long, value_name = "ADDRESS:PORT")]
    pub(crate) http: Option<SocketAddr>,
}
