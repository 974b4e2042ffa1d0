//! `orrery run`: a node that follows its sources for ever.

use futures::FutureExt;

use crate::cli::RunArgs;
use crate::commands::config::cluster_layers;
use crate::console::Console;
use crate::exit::Failure;
use crate::interrupt;
use crate::runner::{self, Goal, Node};
use crate::settings::Settings;
use crate::telemetry::Telemetry;

/// Ends by a signal, or when supervision gives up.
pub(crate) fn run(args: &RunArgs, _: &Console) -> Result<(), Failure> {
    let config = cluster_layers(args).config()?;
    let settings = Settings::new(&config)?;
    let telemetry = Telemetry::start(&config.telemetry, &config.node.name)?;
    let runtime = runner::node_runtime(&settings)?;
    let interrupted = interrupt::wait()?;
    runtime.block_on(async {
        let node = tokio::select! {
            node = Node::open(settings, Goal::Follow) => node?,
            () = interrupted.clone() => return Err(Failure::Interrupted),
        };
        let (from, name) = (node.range.0.0, node.settings.name.as_str());
        tracing::info!(node = name, from, pipeline = node.settings.pipeline, "node starts");
        node.run(&telemetry, interrupted.boxed(), std::future::pending().boxed()).await
    })
}
