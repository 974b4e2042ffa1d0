//! What travels between the stages of a pipeline, and what each says to the one before it.
//!
//! Batches go down (source -> processor -> sinks), grants and positions go up. On one node they pass by reference.

use std::ops::RangeInclusive;
use std::sync::Arc;

use arrow::array::RecordBatch;
use bytes::Bytes;
use orrery_schemas::{Hash32, Ledger, LedgerSequence};
use orrery_supervisor::{ExitError, Handle};
use ractor::Message;
use thiserror::Error;
use tracing::Span as TraceSpan;

use crate::source::LedgerChunk;

/// Where an output stands, and so where a pipeline begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Position {
    /// The first ledger that is not in it.
    pub next: LedgerSequence,
    /// Hash of the ledger before; `None` if that is not known, as at the start of a dataset.
    pub parent: Option<Hash32>,
}

/// The events of consecutive ledgers, proven.
#[derive(Clone, Debug)]
pub struct EventBatch {
    /// One row of the `ledgers` table each; consecutive, at least one.
    pub ledgers: Vec<Ledger>,
    /// Their rows of `token_transfers` in the stored schema; a ledger's `event_count` says how many are its.
    pub rows: RecordBatch,
    /// From the fetch of the ledgers on.
    pub trace: TraceSpan,
}

impl EventBatch {
    /// First and last ledger.
    pub fn range(&self) -> Option<RangeInclusive<LedgerSequence>> {
        Some(self.ledgers.first()?.sequence..=self.ledgers.last()?.sequence)
    }

    /// The part of it that is in `range`, without copying rows.
    pub fn within(&self, range: &RangeInclusive<LedgerSequence>) -> Self {
        let before = self.ledgers.partition_point(|ledger| ledger.sequence < *range.start());
        let until = self.ledgers.partition_point(|ledger| ledger.sequence <= *range.end()).max(before);
        let count =
            |ledgers: &[Ledger]| ledgers.iter().map(|ledger| ledger.event_count as usize).sum::<usize>();
        let ledgers = &self.ledgers[before..until];
        let rows = self.rows.slice(count(&self.ledgers[..before]), count(ledgers));
        Self { ledgers: ledgers.to_vec(), rows, trace: self.trace.clone() }
    }
}

/// Where ledgers came from, and as what bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Origin {
    /// Which source, counted in the order of the configuration.
    pub source: usize,
    /// Name of that source.
    pub lake: Arc<str>,
    /// Object, file or answer.
    pub file: Arc<str>,
    /// Its bytes, as they came.
    pub bytes: Bytes,
}

/// A ledger that cannot become events, with the evidence.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("ledger {ledger} from {}: {}", origin.file, self.what())]
pub struct PoisonLedger {
    /// The ledger.
    pub ledger: LedgerSequence,
    /// Where it came from.
    pub origin: Origin,
    /// What is wrong; the same words whenever it fails the same way.
    pub reason: String,
}

impl PoisonLedger {
    /// What is wrong, without file and ledger where those stand beside it: a reader's error names both itself.
    pub fn what(&self) -> String {
        let reason = self.reason.strip_prefix(self.origin.file.as_ref());
        let reason = reason.and_then(|reason| reason.strip_prefix(": ")).unwrap_or(&self.reason);
        reason.replacen(&format!("ledger {}: ", self.ledger), "", 1)
    }
}

/// Where a batch stands in the chain of ledgers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Span {
    /// Its first ledger.
    pub first: LedgerSequence,
    /// The hash that the first ledger gives for the one before.
    pub parent: Hash32,
    /// Its last ledger.
    pub last: LedgerSequence,
    /// Computed hash of the last ledger.
    pub hash: Hash32,
}

/// What became of one batch of ledgers: events up to the first ledger that failed.
#[derive(Debug)]
pub struct Worked<B> {
    /// Where the ledgers came from.
    pub origin: Origin,
    /// The events, and where they stand; `None` if the first ledger failed.
    pub batch: Option<(Span, B)>,
    /// The ledger that failed, and why.
    pub fault: Option<(LedgerSequence, String)>,
}

/// What the processor asks of the source.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Demand {
    /// Begin, or begin again, at `from`. Whatever was sent before belongs to an earlier run and counts no more.
    Begin {
        /// Number of the run; batches carry it.
        run: u64,
        /// The ledger that is due.
        from: LedgerSequence,
        /// The source whose last ledger was refused, to be asked last.
        avoid: Option<usize>,
        /// Refusals of this ledger so far.
        attempt: u32,
        /// Batches that may be sent in this run.
        credits: u32,
    },
    /// As many more batches may be sent.
    Grant {
        /// The run.
        run: u64,
        /// How many.
        credits: u32,
    },
}

/// Ledgers on their way to the processor.
#[derive(Debug)]
pub struct LedgerBatch {
    /// Of the [`Demand::Begin`] that asked for them.
    pub run: u64,
    /// The ledgers, as they were found.
    pub chunk: LedgerChunk,
    /// From the fetch on.
    pub trace: TraceSpan,
}

/// What a source is told.
#[derive(Debug)]
pub enum SourceMessage {
    /// By the processor.
    Demand(Demand),
    /// By the processor: the last ledger has gone to the sinks.
    End,
    /// By itself: look for the next ledgers, for the run of this number.
    Pull(u64),
    /// By itself, where another node fetches: the stream has ended.
    LinkEnded(ExitError),
}

/// What a processor is told.
#[derive(Debug)]
pub enum ProcessorMessage {
    /// By the source, once: where demands go.
    SourceIs(Handle<SourceMessage>),
    /// By sink number `sink`: it is open.
    SinkReady {
        /// In the order of the pipeline.
        sink: usize,
        /// Where it stands.
        position: Position,
    },
    /// By sink number `sink`: it takes more batches.
    SinkGranted {
        /// In the order of the pipeline.
        sink: usize,
        /// How many more.
        credits: u32,
    },
    /// By the source, against a credit.
    Ledgers(LedgerBatch),
    /// By the source: no more will come in this run.
    SourceEnded {
        /// The run.
        run: u64,
    },
    /// By a worker of its own.
    Worked {
        /// Of the work.
        run: u64,
        /// Of the work.
        ticket: u64,
        /// What came of it.
        worked: Box<Worked<EventBatch>>,
    },
}

/// What a sink is told.
#[derive(Debug)]
pub enum SinkMessage {
    /// By the processor, once: open, and say where you stand.
    Open {
        /// To whom.
        processor: Handle<ProcessorMessage>,
        /// Its number there.
        sink: usize,
    },
    /// By the processor, against a credit.
    Events(Arc<EventBatch>),
    /// By the processor: no more will come.
    End,
    /// By itself: look again whether the output can go on.
    GoOn,
    /// By itself, where another node writes: the stream has ended, normally when the last batch is durable.
    LinkEnded(Result<(), ExitError>),
}

impl Message for SourceMessage {}
impl Message for ProcessorMessage {}
impl Message for SinkMessage {}
