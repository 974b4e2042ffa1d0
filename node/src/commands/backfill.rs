//! `orrery backfill`: a bounded range, as fast as the machine can.

use std::sync::Arc;
use std::time::Duration;

use futures::FutureExt;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use orrery_actors::metrics::PipelineMetrics;
use orrery_actors::source::AtTip;
use orrery_schemas::LedgerSequence;
use orrery_supervisor::{Clock, MonotonicTime, SystemClock};
use serde_json::json;

use crate::audit::Audit;
use crate::cli::NodeArgs;
use crate::commands::config::layers;
use crate::console::Console;
use crate::exit::Failure;
use crate::interrupt;
use crate::readiness::Readiness;
use crate::runner::{Ended, Goal, Node};
use crate::serve::{self, Api, ServeSettings};
use crate::settings::Settings;
use crate::telemetry::Telemetry;
use crate::threads::Threads;

/// How often the bar is drawn.
const TICK: Duration = Duration::from_millis(200);

/// Logs of single commits would scroll the bar away; what is unexpected is shown.
const LOG: &str = "warn";

/// Seconds that sources and dataset may be away, unless the configuration says otherwise.
const PATIENCE_SECONDS: u64 = 600;

/// Ends when the last ledger is durable.
pub(crate) fn run(args: &NodeArgs, console: &Console) -> Result<(), Failure> {
    let layers = layers(args);
    let mut config = layers.config()?;
    if layers.origin("telemetry.log") == "default" {
        config.telemetry.log = LOG.to_owned();
    }
    if layers.origin("source.patience_seconds") == "default" {
        config.source.patience_seconds = PATIENCE_SECONDS;
    }
    let settings = Settings::new(&config)?;
    let telemetry = Telemetry::start(&config.telemetry, &settings.name)?;
    let threads = Threads::new(&settings)?;
    let interrupted = interrupt::wait()?;
    let clock = SystemClock::new();
    let readiness = Readiness::new(&settings);
    let audit = Audit::new(&settings.data_dir);
    let served = ServeSettings::new(&settings);
    let api = Api::new(readiness.clone(), telemetry.metrics(), audit.clone());
    let work = async {
        let node = tokio::select! {
            node = Node::open(settings, Goal::Range(AtTip::Fail), readiness.clone(), audit, threads.working()) => node?,
            () = interrupted.clone() => return Err(Failure::Interrupted),
        };
        let (from, to) = node.range;
        let Some(to) = to.filter(|to| *to >= from) else {
            return console.result(&[("state", json!("nothing to do")), ("next_ledger", json!(from.0))]);
        };
        let metrics = readiness.metrics.clone();
        let bar = show(metrics.clone(), from, to).boxed();
        let outcome = match node.run(interrupted.clone().boxed(), bar).await {
            Ok(Ended::Complete) => Ok(()),
            // The range is not.
            Ok(Ended::Drained { .. }) => Err(Failure::Interrupted),
            Err(failure) => Err(failure),
        };
        let counts = metrics.counts();
        let seconds = clock.now().since(MonotonicTime::ORIGIN).as_secs_f64();
        let per_second = |count: u64| json!((count as f64 / seconds).round() as u64);
        console.result(&[
            (
                "state",
                json!(if outcome.is_ok() { "complete" } else { "not complete: run it again to go on" }),
            ),
            ("from", json!(from.0)),
            ("to", json!(to.0)),
            ("ledgers_durable", json!((counts.checkpoint + 1).saturating_sub(u64::from(from.0)))),
            ("ledgers_processed", json!(counts.sent_ledgers)),
            ("events_processed", json!(counts.sent_events)),
            ("seconds", json!((seconds * 10.0).round() / 10.0)),
            ("ledgers_per_second", per_second(counts.sent_ledgers)),
            ("events_per_second", per_second(counts.sent_events)),
        ])?;
        outcome
    };
    threads.block_on(serve::beside(served, api, work))
}

/// Draws the bar for ever.
async fn show(metrics: Arc<PipelineMetrics>, from: LedgerSequence, to: LedgerSequence) {
    let bar = ProgressBar::new(u64::from(to.0 - from.0) + 1);
    bar.set_draw_target(ProgressDrawTarget::stderr());
    let template = "{wide_bar} {pos}/{len} ledgers  {per_sec}  {msg}  eta {eta}";
    if let Ok(style) = ProgressStyle::with_template(template) {
        bar.set_style(style);
    }
    let mut ticks = tokio::time::interval(TICK);
    loop {
        ticks.tick().await;
        let counts = metrics.counts();
        bar.set_position(
            counts.processed.saturating_sub(u64::from(from.0) - 1).min(bar.length().unwrap_or(0)),
        );
        let events = counts.sent_events as f64 / bar.elapsed().as_secs_f64().max(0.001);
        bar.set_message(format!("{events:.0} events/s"));
    }
}
