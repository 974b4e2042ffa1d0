//! `orrery run`: a node that follows its sources for ever.

use futures::FutureExt;
use serde_json::json;

use crate::audit::Audit;
use crate::cli::RunArgs;
use crate::commands::config::cluster_layers;
use crate::console::{Console, thousands};
use crate::exit::Failure;
use crate::interrupt;
use crate::readiness::Readiness;
use crate::runner::{Ended, Goal, Node};
use crate::serve::{self, Api, ServeSettings};
use crate::settings::Settings;
use crate::telemetry::Telemetry;
use crate::threads::Threads;

/// Ends by a signal, which is how it should, or when supervision gives up.
pub(crate) fn run(args: &RunArgs, console: &Console) -> Result<(), Failure> {
    let config = cluster_layers(args).config()?;
    let settings = Settings::new(&config)?;
    let telemetry = Telemetry::start(&config.telemetry, &settings.name)?;
    let threads = Threads::new(&settings)?;
    let interrupted = interrupt::wait()?;
    let readiness = Readiness::new(&settings);
    let audit = Audit::new(&settings.data_dir);
    let served = ServeSettings::new(&settings);
    let api = Api::new(readiness.clone(), telemetry.metrics(), audit.clone());
    let work = async {
        let node = tokio::select! {
            node = Node::open(settings, Goal::Follow, readiness.clone(), audit, threads.working()) => node?,
            () = interrupted.clone() => return Ok(Ended::Drained),
        };
        let (from, name) = (node.range.0.0, node.settings.name.as_str());
        tracing::info!(node = name, from, pipeline = node.settings.pipeline, "node starts");
        node.run(interrupted.clone().boxed(), std::future::pending().boxed()).await
    };
    let ended = threads.block_on(serve::beside(served, api, work))?;
    if ended == Ended::Drained {
        let durable = Some(readiness.metrics.counts().checkpoint).filter(|&durable| durable > 0);
        console.text(durable.map_or_else(
            || "drained: this run came to no durable ledger".to_owned(),
            |durable| format!("drained: every ledger up to {} is durable", thousands(durable)),
        ))?;
        console.json(&json!({ "state": "drained", "last_durable_ledger": durable }))?;
    }
    Ok(())
}
