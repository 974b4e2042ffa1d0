//! What a pipeline counts. Each metric is declared here once, with its name, kind and help; call sites use the methods of
//! [`PipelineMetrics`], which also keep the counts for whoever shows progress.
//!
//! Labels are `pipeline` and, for sinks, `output`; never an account, a contract or a hash.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use metrics::{counter, gauge, histogram};
use orrery_schemas::{CloseTime, LedgerSequence};

/// Kind of a metric, as Prometheus knows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MetricKind {
    /// Only grows.
    Counter,
    /// Moves either way.
    Gauge,
    /// A distribution.
    Histogram,
}

/// The declaration of a metric.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Metric {
    /// `orrery_<stage>_<noun>_<unit>[_total]`.
    pub name: &'static str,
    /// What it is.
    pub kind: MetricKind,
    /// What it says.
    pub help: &'static str,
}

/// Every metric of the data path.
pub const METRICS: [Metric; 17] = [
    declare(RECEIVED_LEDGERS, MetricKind::Counter, "Ledgers that the fetcher sent to the processor."),
    declare(RECEIVED_BYTES, MetricKind::Counter, "Bytes of objects and answers that held those ledgers."),
    declare(FETCH_WATERMARK, MetricKind::Gauge, "Last ledger that the fetcher sent to the processor."),
    declare(CHANGED_OBJECTS, MetricKind::Counter, "Objects whose bytes changed after they were processed."),
    declare(
        PROCESSED_LEDGERS,
        MetricKind::Counter,
        "Ledgers that the processor proved and sent to the sinks.",
    ),
    declare(SENT_EVENTS, MetricKind::Counter, "Events that the processor sent to the sinks."),
    declare(IN_FLIGHT, MetricKind::Gauge, "Batches that the fetcher sent and the processor has not sent on."),
    declare(PROCESS_WATERMARK, MetricKind::Gauge, "Last ledger that the processor sent to the sinks."),
    declare(REFUSED_LEDGERS, MetricKind::Counter, "Ledgers that failed a proof or could not be processed."),
    declare(CHECKPOINT, MetricKind::Gauge, "Last ledger that is durable in the output."),
    declare(
        CHECKPOINT_CLOSED_AT,
        MetricKind::Gauge,
        "Close time of that ledger, in seconds since 1970 (UTC).",
    ),
    declare(COMMITS, MetricKind::Counter, "Commits to the output."),
    declare(COMMIT_SECONDS, MetricKind::Histogram, "Time that a commit took."),
    declare(
        exchange::STREAMS,
        MetricKind::Gauge,
        "Streams that are open to stages on other nodes, or from them.",
    ),
    declare(exchange::SENT_BYTES, MetricKind::Counter, "Bytes of batches sent to other nodes."),
    declare(exchange::RECEIVED_BYTES, MetricKind::Counter, "Bytes of batches received from other nodes."),
    declare(
        exchange::IN_FLIGHT_BYTES,
        MetricKind::Gauge,
        "Bytes of batches on their way between this node and others.",
    ),
];

const RECEIVED_LEDGERS: &str = "orrery_source_received_ledgers_total";
const RECEIVED_BYTES: &str = "orrery_source_received_bytes_total";
const FETCH_WATERMARK: &str = "orrery_source_watermark_ledger";
const CHANGED_OBJECTS: &str = "orrery_source_changed_objects_total";
const PROCESSED_LEDGERS: &str = "orrery_processor_sent_ledgers_total";
const SENT_EVENTS: &str = "orrery_processor_sent_events_total";
const IN_FLIGHT: &str = "orrery_processor_in_flight_batches";
const PROCESS_WATERMARK: &str = "orrery_processor_watermark_ledger";
const REFUSED_LEDGERS: &str = "orrery_processor_refused_ledgers_total";
const CHECKPOINT: &str = "orrery_sink_checkpoint_ledger";
const CHECKPOINT_CLOSED_AT: &str = "orrery_sink_checkpoint_closed_at_seconds";
const COMMITS: &str = "orrery_sink_commits_total";
const COMMIT_SECONDS: &str = "orrery_sink_commit_seconds";

/// Name of the output of ledgers; the other is that of events.
const LEDGERS_OUTPUT: &str = "ledgers";

const fn declare(name: &'static str, kind: MetricKind, help: &'static str) -> Metric {
    Metric { name, kind, help }
}

/// The counts of one pipeline, over all its incarnations. Its actors write; status lines and tests read.
#[derive(Debug)]
pub struct PipelineMetrics {
    pipeline: Arc<str>,
    received_ledgers: AtomicU64,
    received_bytes: AtomicU64,
    fetched: AtomicU64,
    sent_ledgers: AtomicU64,
    sent_events: AtomicU64,
    processed: AtomicU64,
    refused: AtomicU64,
    /// Of the tables of events and of ledgers.
    checkpoints: [AtomicU64; 2],
}

/// The counts at one moment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PipelineCounts {
    /// Ledgers that the fetcher sent.
    pub received_ledgers: u64,
    /// Bytes of objects that held them.
    pub received_bytes: u64,
    /// Last of them; 0 before the first.
    pub fetched: u64,
    /// Ledgers that the processor sent.
    pub sent_ledgers: u64,
    /// Their events.
    pub sent_events: u64,
    /// Last of those ledgers; 0 before the first.
    pub processed: u64,
    /// Ledgers that failed.
    pub refused: u64,
    /// Last ledger that every output has; 0 before the first commit of each.
    pub checkpoint: u64,
}

impl PipelineMetrics {
    /// Of a pipeline with this name.
    pub fn new(pipeline: impl Into<Arc<str>>) -> Self {
        Self {
            pipeline: pipeline.into(),
            received_ledgers: AtomicU64::default(),
            received_bytes: AtomicU64::default(),
            fetched: AtomicU64::default(),
            sent_ledgers: AtomicU64::default(),
            sent_events: AtomicU64::default(),
            processed: AtomicU64::default(),
            refused: AtomicU64::default(),
            checkpoints: Default::default(),
        }
    }

    /// The counts now.
    pub fn counts(&self) -> PipelineCounts {
        let load = |count: &AtomicU64| count.load(Ordering::Relaxed);
        PipelineCounts {
            received_ledgers: load(&self.received_ledgers),
            received_bytes: load(&self.received_bytes),
            fetched: load(&self.fetched),
            sent_ledgers: load(&self.sent_ledgers),
            sent_events: load(&self.sent_events),
            processed: load(&self.processed),
            refused: load(&self.refused),
            checkpoint: self.checkpoints.iter().map(load).min().unwrap_or(0),
        }
    }

    /// The fetcher sent so many ledgers, up to `last`, in an object of so many bytes.
    pub fn received(&self, ledgers: u64, bytes: u64, last: LedgerSequence) {
        self.received_ledgers.fetch_add(ledgers, Ordering::Relaxed);
        self.received_bytes.fetch_add(bytes, Ordering::Relaxed);
        self.fetched.store(last.0.into(), Ordering::Relaxed);
        counter!(RECEIVED_LEDGERS, "pipeline" => self.pipeline.clone()).increment(ledgers);
        counter!(RECEIVED_BYTES, "pipeline" => self.pipeline.clone()).increment(bytes);
        gauge!(FETCH_WATERMARK, "pipeline" => self.pipeline.clone()).set(f64::from(last.0));
    }

    /// An object was not the one that had been processed before.
    pub fn object_changed(&self) {
        counter!(CHANGED_OBJECTS, "pipeline" => self.pipeline.clone()).increment(1);
    }

    /// The processor sent so many ledgers, up to `last`, with so many events.
    pub fn sent(&self, ledgers: u64, events: u64, last: LedgerSequence) {
        self.sent_ledgers.fetch_add(ledgers, Ordering::Relaxed);
        self.sent_events.fetch_add(events, Ordering::Relaxed);
        self.processed.store(last.0.into(), Ordering::Relaxed);
        counter!(PROCESSED_LEDGERS, "pipeline" => self.pipeline.clone()).increment(ledgers);
        counter!(SENT_EVENTS, "pipeline" => self.pipeline.clone()).increment(events);
        gauge!(PROCESS_WATERMARK, "pipeline" => self.pipeline.clone()).set(f64::from(last.0));
    }

    /// So many batches are between fetcher and sinks.
    pub fn in_flight(&self, batches: usize) {
        gauge!(IN_FLIGHT, "pipeline" => self.pipeline.clone()).set(batches as f64);
    }

    /// A ledger failed.
    pub fn refused(&self) {
        self.refused.fetch_add(1, Ordering::Relaxed);
        counter!(REFUSED_LEDGERS, "pipeline" => self.pipeline.clone()).increment(1);
    }

    /// An output has every ledger up to `checkpoint`, as the node that writes it says: that one counts the commits.
    pub fn acknowledged(&self, output: &'static str, checkpoint: LedgerSequence) {
        let [events, ledgers] = &self.checkpoints;
        let noted = if output == LEDGERS_OUTPUT { ledgers } else { events };
        noted.store(checkpoint.0.into(), Ordering::Relaxed);
        let labels = [("pipeline", self.pipeline.to_string()), ("output", output.to_owned())];
        gauge!(CHECKPOINT, &labels).set(f64::from(checkpoint.0));
    }

    /// An output has every ledger up to `checkpoint`, after a commit that took `seconds`.
    pub fn committed(
        &self,
        output: &'static str,
        checkpoint: LedgerSequence,
        closed_at: CloseTime,
        seconds: f64,
    ) {
        let [events, ledgers] = &self.checkpoints;
        let noted = if output == LEDGERS_OUTPUT { ledgers } else { events };
        noted.store(checkpoint.0.into(), Ordering::Relaxed);
        let labels = [("pipeline", self.pipeline.to_string()), ("output", output.to_owned())];
        gauge!(CHECKPOINT, &labels).set(f64::from(checkpoint.0));
        gauge!(CHECKPOINT_CLOSED_AT, &labels).set(closed_at.unix_seconds() as f64);
        counter!(COMMITS, &labels).increment(1);
        histogram!(COMMIT_SECONDS, &labels).record(seconds);
    }
}

/// What the streams between nodes count, which are of no one pipeline.
pub(crate) mod exchange {
    use super::{counter, gauge};

    pub(super) const STREAMS: &str = "orrery_exchange_open_streams";
    pub(super) const SENT_BYTES: &str = "orrery_exchange_sent_bytes_total";
    pub(super) const RECEIVED_BYTES: &str = "orrery_exchange_received_bytes_total";
    pub(super) const IN_FLIGHT_BYTES: &str = "orrery_exchange_in_flight_bytes";

    /// So many streams are open.
    pub(crate) fn streams(count: usize) {
        gauge!(STREAMS).set(count as f64);
    }

    /// A batch was sent.
    pub(crate) fn sent(bytes: usize) {
        counter!(SENT_BYTES).increment(bytes as u64);
    }

    /// A batch came.
    pub(crate) fn received(bytes: usize) {
        counter!(RECEIVED_BYTES).increment(bytes as u64);
    }

    /// So many bytes are on their way.
    pub(crate) fn in_flight(bytes: usize) {
        gauge!(IN_FLIGHT_BYTES).set(bytes as f64);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_follow_the_form_and_are_told_apart() {
        let mut names: Vec<_> = METRICS.iter().map(|metric| metric.name).collect();
        for metric in METRICS {
            let name = metric.name;
            assert!(name.starts_with("orrery_") && !metric.help.is_empty(), "{name}");
            assert_eq!(name.ends_with("_total"), metric.kind == MetricKind::Counter, "{name}");
        }
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), METRICS.len());
    }
}
