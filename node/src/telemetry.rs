//! What a node tells about itself: logs on standard error, spans to a collector, metrics to whoever asks.

pub(crate) mod contract;
pub(crate) mod observed;
pub(crate) mod process;
pub(crate) mod requests;
#[cfg(feature = "tokio-console")]
mod tasks;

use std::io::IsTerminal;
use std::sync::{Arc, Mutex, PoisonError};

use metrics_exporter_prometheus::{Matcher, PrometheusBuilder, PrometheusHandle};
use opentelemetry::trace::TracerProvider;
use opentelemetry::{KeyValue, global};
use opentelemetry_otlp::{Protocol, SpanExporter, WithExportConfig};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::trace::SdkTracerProvider;
use orrery_actors::dataset::TableKind;
use orrery_actors::region::{RegionView, ReplicationState};
use orrery_supervisor::cluster::role::Role;
use tracing_subscriber::filter::{FilterExt, ParseError, filter_fn};
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{EnvFilter, Layer, fmt};

use crate::collector::{Losses, Watched};
use crate::config::TelemetryConfig;
use crate::exit::Failure;
use crate::logs::Keeper;
use crate::shown_url::{hide, shown};
use crate::wall_clock;
use contract::{
    BUILD_INFO, EQUAL_SLOT, ESCALATIONS, HEALTHY, HTTP_SECONDS, MISSING_ROLES, ONLY_HERE, PARKED,
    REGION_METRICS, RESTARTS, SHARE, STARTED, TRAFFIC,
};

/// Ractor opens one span for the life of each actor: as parents of everything they would never end. The cluster's own
/// debug lines print whole messages; what becomes of links is logged by those who keep them.
const QUIET: [&str; 3] = ["ractor=warn", "ractor_cluster=error", "sled=warn"];

/// Spans that go to a collector.
const TRACED: &str = "info";

/// Upper bounds of the time that a commit takes, in seconds: a local disk, a near store, a far one, an outage.
const COMMIT_SECONDS: [f64; 10] = [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 5.0, 30.0];

/// Upper bounds of the time that an answer over HTTP takes, in seconds: from memory, from a disk, from a far store.
const REQUEST_SECONDS: [f64; 11] = [0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0];

/// What runs as long as the process does.
pub(crate) struct Telemetry {
    metrics: PrometheusHandle,
    traces: Option<SdkTracerProvider>,
    /// Of spans.
    losses: Arc<Mutex<Losses>>,
}

/// Checks the settings; installs nothing.
///
/// # Errors
///
/// Names the key, the value and what is wrong with it.
pub(crate) fn check(config: &TelemetryConfig) -> Result<EnvFilter, Failure> {
    if !["text", "json"].contains(&config.log_format.as_str()) {
        return Err(wrong("log_format", &config.log_format, &"give text or json"));
    }
    filter(&config.log).map_err(|error| wrong("log", &config.log, &error))
}

fn filter(level: &str) -> Result<EnvFilter, ParseError> {
    EnvFilter::try_new([&[level][..], &QUIET].concat().join(","))
}

fn wrong(key: &str, value: &str, error: &dyn std::fmt::Display) -> Failure {
    Failure::Configuration(format!("telemetry.{key}: `{value}`: {error}"))
}

impl Telemetry {
    /// Installs logs, traces and metrics for the whole process.
    ///
    /// # Errors
    ///
    /// A setting makes no sense, or something was installed before.
    pub(crate) fn start(config: &TelemetryConfig, node: &str) -> Result<Self, Failure> {
        let (logged, kept) = (check(config)?, check(config)?);
        // Whatever is logged: who wants few lines may want all traces.
        let traced = filter(TRACED).map_err(|error| Failure::Bug(format!("filter spans: {error}")))?;
        let colours = std::io::stderr().is_terminal();
        let lines = fmt::layer().with_writer(std::io::stderr).with_ansi(colours).with_target(false);
        let lines = match config.log_format.as_str() {
            "json" => lines.json().boxed(),
            _ => lines.boxed(),
        };
        let losses = Arc::<Mutex<Losses>>::default();
        let traces =
            match config.otlp.as_str() {
                "" => None,
                collector => Some(exporter(collector, node, losses.clone()).map_err(|error| {
                    wrong("otlp", &shown(collector), &hide(&error.to_string(), collector))
                })?),
            };
        let spans = traces
            .as_ref()
            .map(|provider| tracing_opentelemetry::layer().with_tracer(provider.tracer("orrery")));
        let told = tracing_subscriber::registry()
            .with(lines.with_filter(logged.and(filter_fn(|metadata| !metadata.is_span()))))
            .with(Keeper.with_filter(kept.and(filter_fn(|metadata| !metadata.is_span()))))
            .with(spans.map(|spans| spans.with_filter(traced)));
        #[cfg(feature = "tokio-console")]
        let told = told.with(tasks::layer());
        told.try_init().map_err(|error| Failure::Bug(format!("install the log: {error}")))?;
        let metrics = install_metrics()?;
        metrics::gauge!("orrery_telemetry_traces").set(f64::from(u8::from(traces.is_some())));
        Ok(Self { metrics, traces, losses })
    }

    /// All metrics in the text form of Prometheus.
    pub(crate) fn metrics(&self) -> PrometheusHandle {
        self.metrics.clone()
    }
}

impl Drop for Telemetry {
    fn drop(&mut self) {
        if let Some(traces) = &self.traces
            && let Err(error) = traces.shutdown()
            && !self.losses.lock().unwrap_or_else(PoisonError::into_inner).is_told()
        {
            tracing::warn!(%error, "last spans not sent");
        }
    }
}

fn exporter(
    collector: &str,
    node: &str,
    losses: Arc<Mutex<Losses>>,
) -> Result<SdkTracerProvider, opentelemetry_otlp::ExporterBuildError> {
    let endpoint = format!("{}/v1/traces", collector.trim_end_matches('/'));
    let exporter =
        SpanExporter::builder().with_http().with_protocol(Protocol::HttpBinary).with_endpoint(&endpoint);
    let resource = Resource::builder()
        .with_service_name("orrery")
        .with_attribute(KeyValue::new("service.instance.id", node.to_owned()))
        .with_attribute(KeyValue::new("service.version", env!("CARGO_PKG_VERSION")));
    let provider = SdkTracerProvider::builder()
        .with_batch_exporter(Watched::new(exporter.build()?, endpoint, losses))
        .with_resource(resource.build())
        .build();
    global::set_tracer_provider(provider.clone());
    Ok(provider)
}

fn install_metrics() -> Result<PrometheusHandle, Failure> {
    let builder = PrometheusBuilder::new()
        .set_buckets_for_metric(Matcher::Suffix("commit_seconds".to_owned()), &COMMIT_SECONDS)
        .and_then(|builder| {
            builder.set_buckets_for_metric(Matcher::Full(HTTP_SECONDS.to_owned()), &REQUEST_SECONDS)
        })
        .map_err(|error| Failure::Bug(format!("set the buckets of a metric: {error}")))?;
    let handle =
        builder.install_recorder().map_err(|error| Failure::Bug(format!("install metrics: {error}")))?;
    contract::all().iter().for_each(orrery_supervisor::Metric::describe);
    metrics::gauge!(STARTED).set((wall_clock::milliseconds() / 1000) as f64);
    metrics::gauge!(BUILD_INFO, "version" => env!("CARGO_PKG_VERSION")).set(1.0);
    Ok(handle)
}

/// A supervisor restarted a child.
pub(crate) fn count_restart(supervisor: &str, child: &str, kind: &'static str) {
    let labels = [
        ("supervisor", observed::path(supervisor)),
        ("child", observed::path(child)),
        ("kind", kind.to_owned()),
    ];
    metrics::counter!(RESTARTS, &labels).increment(1);
}

/// A supervisor gave up on a child, and its own decides.
pub(crate) fn count_escalation(supervisor: &str) {
    metrics::counter!(ESCALATIONS, "supervisor" => observed::path(supervisor)).increment(1);
}

/// Ledgers wait for these roles, and for no others.
pub(crate) fn set_missing(roles: &[Role]) {
    for role in [Role::Fetcher, Role::Processor, Role::Sink] {
        let is_missing = u8::from(roles.contains(&role));
        metrics::gauge!(MISSING_ROLES, "role" => role.as_str()).set(f64::from(is_missing));
    }
}

/// How this region stands to its peers, and who has traffic; every node shows it.
pub(crate) fn set_regions(view: &RegionView) {
    for region in view.traffic.iter().flat_map(|traffic| &traffic.regions) {
        let labels = [("region", region.region.to_string())];
        metrics::gauge!(TRAFFIC, &labels).set(f64::from(u8::from(region.has)));
        metrics::gauge!(HEALTHY, &labels).set(f64::from(u8::from(region.state.is_healthy())));
        let share = view.traffic.as_ref().map_or(0.0, |traffic| traffic.share(&region.region));
        metrics::gauge!(SHARE, &labels).set(share);
    }
    if let Some(ledgers) = view.only_here_ledgers() {
        metrics::gauge!(ONLY_HERE).set(f64::from(ledgers));
    }
    for peer in &view.peers {
        let is_equal = matches!(peer.state, ReplicationState::Equal | ReplicationState::Copying);
        let values = [
            peer.lag_ledgers.map(|lag| lag as f64),
            peer.lag_seconds.map(|lag| lag as f64),
            peer.heard_ms_ago.map(|ago| ago as f64 / 1000.0),
            Some(f64::from(u8::from(is_equal))),
            Some(peer.bytes_copied as f64),
            Some(peer.differences as f64),
        ];
        for (kind, slot) in TableKind::ALL.into_iter().zip(&peer.equal_slots) {
            if let Some(slot) = slot {
                let labels = [("region", peer.region.to_string()), ("table", kind.as_str().to_owned())];
                metrics::gauge!(EQUAL_SLOT, &labels).set(*slot as f64);
            }
        }
        for (metric, value) in REGION_METRICS.into_iter().zip(values) {
            if let Some(value) = value {
                metrics::gauge!(metric.name, "region" => peer.region.to_string()).set(value);
            }
        }
    }
}

/// A pipeline is parked, or is not any more.
pub(crate) fn set_parked(pipeline: &str, parked: bool) {
    metrics::gauge!(PARKED, "pipeline" => pipeline.to_owned()).set(f64::from(u8::from(parked)));
}
