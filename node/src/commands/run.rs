//! `orrery run`: a node that follows its sources for ever.

use std::convert::Infallible;

use futures::FutureExt;
use serde_json::json;
use tokio::sync::watch;

use crate::audit::Audit;
use crate::cli::RunArgs;
use crate::cluster::{ClusterSettings, denied_names};
use crate::commands::config::cluster_layers;
use crate::console::{Console, thousands};
use crate::exit::Failure;
use crate::interrupt;
use crate::profile::{Pushed, push};
use crate::readiness::Readiness;
use crate::runner::{Ended, Goal, Node};
use crate::serve::{self, AccessSettings, Api, ServeSettings};
use crate::settings::Settings;
use crate::telemetry::Telemetry;
use crate::threads::Threads;

/// Reads certificates, tokens and denied names again whenever the node is told to, for ever. What cannot be read stays as it was.
async fn renew(
    args: &RunArgs,
    mut hangups: watch::Receiver<u64>,
    readiness: &Readiness,
    cluster: Option<ClusterSettings>,
) -> Infallible {
    while hangups.changed().await.is_ok() {
        tracing::info!("told to read certificates, tokens and denied names again");
        match cluster.as_ref().map(|cluster| cluster.credentials.reload()) {
            Some(Ok(true)) => tracing::info!("new certificate, as told: new connections use it"),
            Some(Ok(false)) | None => {}
            Some(Err(error)) => {
                tracing::error!(%error, "new certificate refused: the one from before stays in use");
            }
        }
        let read = cluster_layers(args)
            .config()
            .and_then(|config| Ok((AccessSettings::new(&config.http)?, denied_names(&config)?)));
        match read {
            Ok((access, denied)) => {
                readiness.renewed.send_replace(access.tokens());
                let names = denied.iter().map(|name| name.as_str()).collect::<Vec<_>>().join(", ");
                if cluster.as_ref().is_some_and(|cluster| cluster.denied.set(denied)) {
                    tracing::warn!(names, "names are denied from now on, and no others");
                }
            }
            Err(error) => {
                tracing::error!(%error, "the configuration cannot be read: its tokens stay as they were, and who is denied")
            }
        }
    }
    std::future::pending().await
}

/// Ends by a signal, which is how it should, or when supervision gives up.
pub(crate) fn run(args: &RunArgs, console: &Console) -> Result<(), Failure> {
    let config = cluster_layers(args).config()?;
    let settings = Settings::new(&config)?;
    let telemetry = Telemetry::start(&config.telemetry, &settings.name)?;
    let threads = Threads::new(&settings)?;
    let signals = interrupt::hear()?;
    let interrupted = signals.interrupted();
    let readiness = Readiness::new(&settings);
    let cluster = settings.cluster.clone();
    let audit = Audit::new(&settings.data_dir);
    let served = ServeSettings::new(&settings);
    let pushed = Pushed { server: config.telemetry.profiles.clone(), node: settings.name.clone() };
    let api = Api::new(readiness.clone(), telemetry.metrics(), audit.clone());
    let work = async {
        let node = tokio::select! {
            node = Node::open(settings, Goal::Follow, readiness.clone(), audit, threads.working()) => node?,
            () = interrupted.clone() => return Ok(Ended::Drained { durable: None }),
        };
        let (from, name) = (node.range.0.0, node.settings.name.as_str());
        tracing::info!(node = name, from, pipeline = node.settings.pipeline, "node starts");
        node.run(interrupted.clone().boxed(), std::future::pending().boxed()).await
    };
    let profiled = async {
        match pushed.server.is_empty() {
            true => std::future::pending().await,
            false => push(pushed).await,
        }
    };
    let renewed = renew(args, signals.hangups.clone(), &readiness, cluster);
    let turning = readiness.service_manager.keep_telling();
    let work = async {
        tokio::select! {
            ended = work => ended,
            never = renewed => match never {},
            never = turning => match never {},
            never = profiled => match never {},
        }
    };
    let ended = threads.block_on(serve::beside(served, api, work))?;
    if let Ended::Drained { durable } = ended {
        let durable = durable.map(|ledger| u64::from(ledger.0));
        console.text(durable.map_or_else(
            || "drained: no ledger is known to be durable".to_owned(),
            |durable| format!("drained: every ledger up to {} is durable", thousands(durable)),
        ))?;
        console.json(&json!({ "state": "drained", "last_durable_ledger": durable }))?;
    }
    Ok(())
}
