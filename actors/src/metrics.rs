//! What the data path counts: each metric is declared once, in `contract.rs`. Call sites use the methods of
//! [`PipelineMetrics`], which also keep the counts for whoever shows progress, and functions of the modules below.

mod contract;
mod shared;

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};

use arrow::array::AsArray;
use metrics::{counter, gauge, histogram};
use orrery_schemas::{CloseTime, LedgerSequence};
use orrery_supervisor::MonotonicTime;

pub use contract::METRICS;
use contract::*;
pub(crate) use shared::{exchange, feed, source, store};

use crate::envelope::EventBatch;

/// Name of the output of ledgers; the other is that of events.
const LEDGERS_OUTPUT: &str = "ledgers";

/// The counts of one pipeline, over all its incarnations. Its actors write; status lines and tests read.
///
/// A pipeline whose ledgers several tasks share has the counts of each, which are a part of its own.
#[derive(Debug)]
pub struct PipelineMetrics {
    pipeline: Arc<str>,
    /// What this is a part of.
    whole: Option<Arc<PipelineMetrics>>,
    /// By task; those that are over are gone.
    parts: Mutex<BTreeMap<String, Weak<PipelineMetrics>>>,
    received_ledgers: AtomicU64,
    received_bytes: AtomicU64,
    fetched: AtomicU64,
    sent_ledgers: AtomicU64,
    sent_events: AtomicU64,
    processed: AtomicU64,
    refused: AtomicU64,
    /// Of the tables of events and of ledgers.
    checkpoints: [AtomicU64; 2],
    /// When those ledgers closed; 0 where nobody said.
    closed_at: [AtomicI64; 2],
    /// The newest ledger of the network that is known of.
    newest: AtomicU64,
    in_flight_batches: AtomicU64,
    in_flight_bytes: AtomicU64,
    /// Since when sources and outputs are away.
    away: Mutex<BTreeMap<Peer, MonotonicTime>>,
}

/// Kinds of events, as they are stored.
const EVENT_KINDS: [&str; 5] = ["transfer", "mint", "burn", "clawback", "fee"];

/// What is moved: the network's own asset, one that an account issued, a token of a contract that is no asset's.
const ASSET_CLASSES: [&str; 3] = ["native", "issued", "contract"];

/// What is in a batch.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Content {
    /// Events of each of [`EVENT_KINDS`].
    kinds: [u64; 5],
    /// Events of each of [`ASSET_CLASSES`].
    classes: [u64; 3],
    /// Transactions that succeeded.
    successful: u64,
    /// And those that failed.
    failed: u64,
}

impl Content {
    /// Of a batch.
    pub fn of(batch: &EventBatch) -> Self {
        let mut content = Self::default();
        for ledger in &batch.ledgers {
            content.successful += u64::from(ledger.successful_tx_count);
            content.failed += u64::from(ledger.failed_tx_count);
        }
        let kinds = batch.rows.column_by_name("kind").and_then(|column| column.as_any_dictionary_opt());
        if let Some(kinds) = kinds
            && let Some(words) = kinds.values().as_string_opt::<i32>()
        {
            let known = |word: Option<&str>| EVENT_KINDS.iter().position(|kind| Some(*kind) == word);
            let places: Vec<_> = words.iter().map(known).collect();
            for key in kinds.normalized_keys() {
                if let Some(Some(at)) = places.get(key) {
                    content.kinds[*at] += 1;
                }
            }
        }
        let text = |name: &str| batch.rows.column_by_name(name)?.as_string_opt::<i32>();
        for asset in text("asset").into_iter().flatten() {
            content.classes[asset.map_or(2, |asset| usize::from(asset != "native"))] += 1;
        }
        content
    }
}

/// What a pipeline cannot do without.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Peer {
    /// All sources together.
    Sources,
    /// An output, by name.
    Output(&'static str),
}

/// Since when what is away is away, by the pipeline's clock.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Outages {
    /// No source gives the ledger that is due, though each was tried as often as its budget allows.
    pub sources: Option<MonotonicTime>,
    /// An output cannot be read or written.
    pub dataset: Option<MonotonicTime>,
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
    /// Last ledger that every output has; 0 until each is open and has one.
    pub checkpoint: u64,
    /// When it closed, in seconds since 1970 (UTC); 0 if that is not known.
    pub checkpoint_closed_at: i64,
    /// The newest ledger that is wanted and is there, as far as this node knows; 0 if it does not.
    pub newest: u64,
    /// Batches that came to the processor and were not sent to the sinks.
    pub in_flight_batches: u64,
    /// Bytes of the objects of these.
    pub in_flight_bytes: u64,
}

impl PipelineMetrics {
    /// Of a pipeline with this name.
    pub fn new(pipeline: impl Into<Arc<str>>) -> Self {
        let pipeline = pipeline.into();
        begin(&pipeline);
        Self::below(pipeline, None)
    }

    fn below(pipeline: Arc<str>, whole: Option<Arc<Self>>) -> Self {
        Self {
            pipeline,
            whole,
            parts: Mutex::default(),
            received_ledgers: AtomicU64::default(),
            received_bytes: AtomicU64::default(),
            fetched: AtomicU64::default(),
            sent_ledgers: AtomicU64::default(),
            sent_events: AtomicU64::default(),
            processed: AtomicU64::default(),
            refused: AtomicU64::default(),
            checkpoints: Default::default(),
            closed_at: Default::default(),
            newest: AtomicU64::default(),
            in_flight_batches: AtomicU64::default(),
            in_flight_bytes: AtomicU64::default(),
            away: Mutex::default(),
        }
    }

    /// The counts of a task of this pipeline, from now until it is dropped. What it counts, this counts too.
    #[must_use]
    pub fn part(self: &Arc<Self>, task: &str) -> Arc<Self> {
        let part = Arc::new(Self::below(self.pipeline.clone(), Some(self.clone())));
        let mut parts = self.parts.lock().unwrap_or_else(PoisonError::into_inner);
        parts.retain(|_, part| part.strong_count() > 0);
        parts.insert(task.to_owned(), Arc::downgrade(&part));
        part
    }

    /// The counts of each task now, if tasks share the pipeline's ledgers.
    pub fn parts(&self) -> BTreeMap<String, PipelineCounts> {
        let parts = self.parts.lock().unwrap_or_else(PoisonError::into_inner);
        let alive = parts.iter().filter_map(|(task, part)| Some((task.clone(), part.upgrade()?)));
        alive.map(|(task, part)| (task, part.counts())).collect()
    }

    /// The newest ledger that is wanted and is there.
    pub fn newest(&self, ledger: LedgerSequence) {
        self.newest.store(ledger.0.into(), Ordering::Relaxed);
        gauge!(NEWEST, "pipeline" => self.pipeline.clone()).set(f64::from(ledger.0));
    }

    /// `peer` is away since `since`, or since it was away before: a restart of the pipeline does not begin it anew.
    pub fn away(&self, peer: Peer, since: MonotonicTime) {
        self.away.lock().unwrap_or_else(PoisonError::into_inner).entry(peer).or_insert(since);
        match &self.whole {
            Some(whole) => whole.away(peer, since),
            None => self.show_outage(peer, 1.0),
        }
    }

    /// `peer` did what it was asked for.
    pub fn reached(&self, peer: Peer) {
        self.away.lock().unwrap_or_else(PoisonError::into_inner).remove(&peer);
        match &self.whole {
            Some(whole) => whole.reached(peer),
            None => self.show_outage(peer, 0.0),
        }
    }

    fn show_outage(&self, peer: Peer, is_away: f64) {
        match peer {
            Peer::Sources => gauge!(SOURCE_OUTAGE, "pipeline" => self.pipeline.clone()).set(is_away),
            Peer::Output(output) => {
                let labels = [("pipeline", self.pipeline.to_string()), ("output", output.to_owned())];
                gauge!(SINK_OUTAGE, &labels).set(is_away);
            }
        }
    }

    /// What is away now.
    pub fn outages(&self) -> Outages {
        let away = self.away.lock().unwrap_or_else(PoisonError::into_inner);
        let outputs = away.iter().filter(|(peer, _)| **peer != Peer::Sources).map(|(_, since)| *since);
        Outages { sources: away.get(&Peer::Sources).copied(), dataset: outputs.min() }
    }

    /// The counts now.
    pub fn counts(&self) -> PipelineCounts {
        let load = |count: &AtomicU64| count.load(Ordering::Relaxed);
        let [events, ledgers] = &self.checkpoints;
        let furthest_behind = usize::from(load(events) > load(ledgers));
        let closed_at = self.closed_at.get(furthest_behind);
        PipelineCounts {
            received_ledgers: load(&self.received_ledgers),
            received_bytes: load(&self.received_bytes),
            fetched: load(&self.fetched),
            sent_ledgers: load(&self.sent_ledgers),
            sent_events: load(&self.sent_events),
            processed: load(&self.processed),
            refused: load(&self.refused),
            checkpoint: self.checkpoints.iter().map(load).min().unwrap_or(0),
            checkpoint_closed_at: closed_at.map_or(0, |closed_at| closed_at.load(Ordering::Relaxed)),
            newest: load(&self.newest),
            in_flight_batches: load(&self.in_flight_batches),
            in_flight_bytes: load(&self.in_flight_bytes),
        }
    }

    /// The fetcher sent so many ledgers, up to `last`, in an object of so many bytes.
    pub fn received(&self, ledgers: u64, bytes: u64, last: LedgerSequence) {
        self.received_ledgers.fetch_add(ledgers, Ordering::Relaxed);
        self.received_bytes.fetch_add(bytes, Ordering::Relaxed);
        self.fetched.store(last.0.into(), Ordering::Relaxed);
        if let Some(whole) = &self.whole {
            return whole.received(ledgers, bytes, last);
        }
        self.reached(Peer::Sources);
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
        if let Some(whole) = &self.whole {
            return whole.sent(ledgers, events, last);
        }
        counter!(PROCESSED_LEDGERS, "pipeline" => self.pipeline.clone()).increment(ledgers);
        counter!(SENT_EVENTS, "pipeline" => self.pipeline.clone()).increment(events);
        gauge!(PROCESS_WATERMARK, "pipeline" => self.pipeline.clone()).set(f64::from(last.0));
    }

    /// So many batches are between fetcher and sinks, with so many bytes of objects.
    pub fn in_flight(&self, batches: usize, bytes: usize) {
        let before = self.in_flight_batches.swap(batches as u64, Ordering::Relaxed);
        let bytes_before = self.in_flight_bytes.swap(bytes as u64, Ordering::Relaxed);
        match &self.whole {
            Some(whole) => whole.shift_in_flight((before, batches as u64), (bytes_before, bytes as u64)),
            None => self.show_in_flight(batches as u64),
        }
    }

    /// A part has other numbers than before. Wraps both ways: only the sum over all parts counts.
    fn shift_in_flight(&self, batches: (u64, u64), bytes: (u64, u64)) {
        let shift = |total: &AtomicU64, (before, now): (u64, u64)| {
            let by = now.wrapping_sub(before);
            total.fetch_add(by, Ordering::Relaxed).wrapping_add(by)
        };
        shift(&self.in_flight_bytes, bytes);
        self.show_in_flight(shift(&self.in_flight_batches, batches));
    }

    fn show_in_flight(&self, batches: u64) {
        gauge!(IN_FLIGHT, "pipeline" => self.pipeline.clone()).set(batches as f64);
    }

    /// What the events and transactions are that the processor sent.
    pub fn sent_what(&self, what: &Content) {
        if let Some(whole) = &self.whole {
            return whole.sent_what(what);
        }
        let pipeline = || self.pipeline.to_string();
        for (kind, events) in EVENT_KINDS.into_iter().zip(what.kinds) {
            counter!(EVENTS_BY_KIND, "pipeline" => pipeline(), "kind" => kind).increment(events);
        }
        for (class, events) in ASSET_CLASSES.into_iter().zip(what.classes) {
            counter!(EVENTS_BY_ASSET, "pipeline" => pipeline(), "class" => class).increment(events);
        }
        for (outcome, count) in [("successful", what.successful), ("failed", what.failed)] {
            counter!(TRANSACTIONS, "pipeline" => pipeline(), "outcome" => outcome).increment(count);
        }
    }

    /// Whether a batch is done and waits for a credit of some sink.
    pub fn waits_for_credits(&self, waits: bool) {
        match &self.whole {
            // The last task that says so counts: each is held up by the same store.
            Some(whole) => whole.waits_for_credits(waits),
            None => gauge!(STALLED, "pipeline" => self.pipeline.clone()).set(f64::from(u8::from(waits))),
        }
    }

    /// A ledger failed for good, and is kept as evidence.
    pub fn quarantined(&self) {
        match &self.whole {
            Some(whole) => whole.quarantined(),
            None => counter!(QUARANTINED_LEDGERS, "pipeline" => self.pipeline.clone()).increment(1),
        }
    }

    /// A ledger failed.
    pub fn refused(&self) {
        self.refused.fetch_add(1, Ordering::Relaxed);
        if let Some(whole) = &self.whole {
            return whole.refused();
        }
        counter!(REFUSED_LEDGERS, "pipeline" => self.pipeline.clone()).increment(1);
    }

    /// CKPT-1: an output has fewer ledgers than were durable in it before.
    pub fn checkpoint_lost(&self) {
        counter!(LOST_CHECKPOINTS, "pipeline" => self.pipeline.clone()).increment(1);
    }

    /// An output was opened and has every ledger up to `checkpoint`.
    pub fn opened(&self, output: &'static str, checkpoint: LedgerSequence, closed_at: CloseTime) {
        self.durable(output, checkpoint, closed_at);
    }

    /// An output has every ledger up to `checkpoint`, as the node that writes it says: that one counts the commits.
    pub fn acknowledged(&self, output: &'static str, checkpoint: LedgerSequence) {
        let [events, ledgers] = &self.checkpoints;
        let noted = if output == LEDGERS_OUTPUT { ledgers } else { events };
        noted.store(checkpoint.0.into(), Ordering::Relaxed);
        if let Some(whole) = &self.whole {
            return whole.acknowledged(output, checkpoint);
        }
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
        let labels = self.durable(output, checkpoint, closed_at);
        counter!(COMMITS, &labels).increment(1);
        histogram!(COMMIT_SECONDS, &labels).record(seconds);
    }

    fn durable(
        &self,
        output: &'static str,
        checkpoint: LedgerSequence,
        closed_at: CloseTime,
    ) -> [(&'static str, String); 2] {
        if let Some(whole) = &self.whole {
            whole.durable(output, checkpoint, closed_at);
        }
        let ([events, ledgers], [events_closed, ledgers_closed]) = (&self.checkpoints, &self.closed_at);
        let is_ledgers = output == LEDGERS_OUTPUT;
        let (noted, closed) = if is_ledgers { (ledgers, ledgers_closed) } else { (events, events_closed) };
        noted.store(checkpoint.0.into(), Ordering::Relaxed);
        closed.store(closed_at.unix_seconds(), Ordering::Relaxed);
        self.reached(Peer::Output(output));
        let labels = [("pipeline", self.pipeline.to_string()), ("output", output.to_owned())];
        gauge!(CHECKPOINT, &labels).set(f64::from(checkpoint.0));
        gauge!(CHECKPOINT_CLOSED_AT, &labels).set(closed_at.unix_seconds() as f64);
        labels
    }
}

/// What has not happened yet is 0 and not absent: the first time it happens is an increase.
fn begin(pipeline: &Arc<str>) {
    for name in [CHANGED_OBJECTS, REFUSED_LEDGERS, QUARANTINED_LEDGERS, LOST_CHECKPOINTS] {
        counter!(name, "pipeline" => pipeline.clone()).increment(0);
    }
    for name in [SOURCE_OUTAGE, STALLED] {
        gauge!(name, "pipeline" => pipeline.clone()).set(0.0);
    }
    let pipeline = || pipeline.to_string();
    for kind in EVENT_KINDS {
        counter!(EVENTS_BY_KIND, "pipeline" => pipeline(), "kind" => kind).increment(0);
    }
    for class in ASSET_CLASSES {
        counter!(EVENTS_BY_ASSET, "pipeline" => pipeline(), "class" => class).increment(0);
    }
}

impl Drop for PipelineMetrics {
    /// What a task has in flight ends with it.
    fn drop(&mut self) {
        if self.whole.is_some() {
            self.in_flight(0, 0);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn an_outage_lasts_from_its_first_failure_until_something_is_done() {
        let metrics = PipelineMetrics::new("main");
        let at = |seconds| MonotonicTime::ORIGIN.after(Duration::from_secs(seconds));
        let check = |sources: Option<u64>, dataset: Option<u64>| {
            let expect = Outages { sources: sources.map(at), dataset: dataset.map(at) };
            assert_eq!(metrics.outages(), expect);
        };
        check(None, None);
        metrics.away(Peer::Sources, at(5));
        metrics.away(Peer::Sources, at(9));
        metrics.away(Peer::Output("ledgers"), at(7));
        metrics.away(Peer::Output("token_transfers"), at(6));
        check(Some(5), Some(6));
        metrics.received(1, 1, LedgerSequence(2));
        check(None, Some(6));
        metrics.reached(Peer::Output("token_transfers"));
        check(None, Some(7));
        metrics.opened("ledgers", LedgerSequence(2), CloseTime::MAX);
        check(None, None);
    }

    #[test]
    fn what_a_task_counts_its_pipeline_counts_too_until_the_task_is_over() {
        let whole = Arc::new(PipelineMetrics::new("main"));
        let (one, other) = (whole.part("until-9"), whole.part("live"));
        one.received(4, 400, LedgerSequence(5));
        one.sent(3, 30, LedgerSequence(4));
        other.sent(2, 20, LedgerSequence(12));
        one.in_flight(2, 200);
        other.in_flight(5, 500);
        one.in_flight(1, 100);
        other.opened("ledgers", LedgerSequence(9), CloseTime::from_unix_seconds(77).unwrap());
        other.opened("token_transfers", LedgerSequence(11), CloseTime::from_unix_seconds(88).unwrap());
        let counts = whole.counts();
        assert_eq!((counts.sent_ledgers, counts.sent_events, counts.received_bytes), (5, 50, 400));
        assert_eq!((counts.in_flight_batches, counts.in_flight_bytes), (6, 600));
        assert_eq!((counts.checkpoint, counts.checkpoint_closed_at), (9, 77));
        let parts = whole.parts();
        assert_eq!(parts.keys().collect::<Vec<_>>(), ["live", "until-9"]);
        assert_eq!((parts["until-9"].sent_ledgers, parts["until-9"].processed), (3, 4));
        assert_eq!((parts["live"].checkpoint, parts["live"].in_flight_bytes), (9, 500));
        drop(other);
        assert_eq!((whole.counts().in_flight_batches, whole.parts().len()), (1, 1));
        assert_eq!(whole.counts().sent_ledgers, 5);
    }

    #[test]
    fn names_follow_the_form_and_are_told_apart() {
        use orrery_supervisor::MetricKind;
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
