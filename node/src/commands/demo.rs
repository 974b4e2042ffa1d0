//! `orrery demo`: synthetic ledgers, as a live network would close them, through a supervised pipeline into a dataset, the feed
//! and the page.

use std::io::IsTerminal;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::absolute;
use std::sync::Arc;
use std::time::Duration;

use futures::FutureExt;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use orrery_actors::metrics::PipelineMetrics;
use orrery_actors::source::AtTip;
use orrery_actors::source::synthetic::LEDGERS_MAX;
use serde_json::json;

use crate::audit::Audit;
use crate::cli::DemoArgs;
use crate::config::Config;
use crate::console::{Console, thousands};
use crate::exit::Failure;
use crate::interrupt;
use crate::readiness::Readiness;
use crate::runner::{Goal, Node};
use crate::serve::{self, Api, ServeSettings};
use crate::settings::Settings;
use crate::telemetry::Telemetry;
use crate::threads::Threads;

/// Ledgers of a slot: a commit every few seconds, so that there is something to look at soon.
const LEDGERS_PER_SLOT: u32 = 4;

/// Where the page is, unless somebody else is there.
const ADDRESS: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 8080);

/// How often the status line is drawn.
const TICK: Duration = Duration::from_millis(200);

/// Runs until Ctrl-C, or until `--ledgers` are durable.
pub(crate) fn run(args: &DemoArgs, console: &Console) -> Result<(), Failure> {
    let config = configuration(args)?;
    let settings = Settings::new(&config)?;
    let telemetry = Telemetry::start(&config.telemetry, &config.node.name)?;
    let threads = Threads::new(&settings)?;
    let interrupted = interrupt::wait()?;
    let readiness = Readiness::new(&settings);
    let audit = Audit::new(&settings.data_dir);
    let served = ServeSettings::new(&settings);
    let api = Api::new(readiness.clone(), telemetry.metrics(), audit.clone());
    if let Some(address) = settings.http {
        console.text(format_args!(
            "The page: http://{address}/   the feed: orrery tail --url http://{address}"
        ))?;
    }
    let work = async {
        let goal = if args.ledgers.is_some() { Goal::Range(AtTip::Wait) } else { Goal::Follow };
        let node = Node::open(settings, goal, readiness.clone(), audit, threads.working()).await?;
        let metrics = readiness.metrics.clone();
        if let (from, Some(to)) = node.range
            && from > to
        {
            console.text(format_args!("{} has these ledgers already", args.out.display()))?;
        }
        let status = status(metrics.clone()).boxed();
        let outcome = match node.run(interrupted.boxed(), status).await {
            // That is how a demo ends.
            Ok(_) | Err(Failure::Interrupted) => Ok(()),
            Err(failure) => Err(failure),
        };
        let counts = metrics.counts();
        let mut result = vec![
            ("ledgers", json!(counts.sent_ledgers)),
            ("events", json!(counts.sent_events)),
            ("last_durable_ledger", json!(counts.checkpoint)),
            ("dataset", json!(args.out.join("dataset").display().to_string())),
        ];
        if outcome.is_ok() {
            result.push((
                "proof",
                json!("hashes (V0 to V5), event deltas and cross-check hold in every ledger"),
            ));
        }
        console.result(&result)?;
        console.text(format_args!(
            "\nLook at it: duckdb -c \"SELECT kind, count(*) FROM '{}/token_transfers/data/*.parquet' GROUP BY kind\"",
            args.out.join("dataset").display()
        ))?;
        outcome
    };
    threads.block_on(serve::beside(served, api, work))
}

/// Where the demo is served: as asked, or where it always is, or, if somebody is there already, where nobody is.
fn address(asked: Option<SocketAddr>) -> SocketAddr {
    let taken = |_| std::net::TcpListener::bind(SocketAddr::from(([127, 0, 0, 1], 0)));
    let free =
        || std::net::TcpListener::bind(ADDRESS).or_else(taken).and_then(|listener| listener.local_addr());
    asked.unwrap_or_else(|| free().unwrap_or(ADDRESS))
}

fn configuration(args: &DemoArgs) -> Result<Config, Failure> {
    let out = absolute(&args.out)
        .map_err(|error| Failure::Usage(format!("--out {}: {error}", args.out.display())))?;
    let mut config = Config::default();
    config.node.name = "demo".to_owned();
    config.node.data_dir = out.join("state");
    config.node.http = address(args.http).to_string();
    let DemoArgs { seed, density, rate, .. } = args;
    let ledgers = args.ledgers.unwrap_or(LEDGERS_MAX);
    let rate = if *rate > 0.0 { format!("&rate={rate}") } else { String::new() };
    config.source.urls = vec![format!("synthetic:?seed={seed}&ledgers={ledgers}&density={density}{rate}")];
    config.source.from = "genesis".to_owned();
    config.source.to = args.ledgers.map_or(String::new(), |ledgers| (u64::from(ledgers) + 1).to_string());
    config.dataset.url = format!("file://{}", out.join("dataset").display());
    config.dataset.grid = vec![format!("1:{LEDGERS_PER_SLOT}")];
    config.pipeline.name = "demo".to_owned();
    config.pipeline.proof = "everything".to_owned();
    // On a terminal the status line shows what the log would say.
    config.telemetry.log = if std::io::stderr().is_terminal() { "warn" } else { "info" }.to_owned();
    Ok(config)
}

/// Draws the status line for ever.
async fn status(metrics: Arc<PipelineMetrics>) {
    let line = ProgressBar::no_length();
    line.set_draw_target(ProgressDrawTarget::stderr());
    if let Ok(style) = ProgressStyle::with_template("{spinner} {msg}  {elapsed}  Ctrl-C ends it") {
        line.set_style(style);
    }
    let mut ticks = tokio::time::interval(TICK);
    loop {
        ticks.tick().await;
        let counts = metrics.counts();
        line.set_message(format!(
            "ledger {}  {} ledgers proven  {} events  durable to {}",
            thousands(counts.processed),
            thousands(counts.sent_ledgers),
            thousands(counts.sent_events),
            thousands(counts.checkpoint),
        ));
        line.tick();
    }
}
