//! A table of the dataset as an output of a pipeline: events become the file of a slot as they come, and a full slot is
//! stored, and committed as soon as the table has come to it: other pipelines may be at work on the ledgers before.
//!
//! Memory: the encoded part of one slot, one row group of it, one batch, and what is known of a few slots.

use std::collections::VecDeque;
use std::ops::RangeInclusive;
use std::sync::Arc;
use std::time::Duration;

use futures::FutureExt;
use futures::future::BoxFuture;
use orrery_schemas::{CloseTime, Hash32, LedgerSequence, RowDigest};
use orrery_supervisor::{Backoff, Clock, ErrorClass, ExitError, MonotonicTime, SeededRandom};
use tracing::Instrument;

use super::noted::Notes;
use crate::dataset::{
    DatasetError, DatasetErrorClass, DatasetSettings, Outcome, SlotFileEncoder, SlotRows, Store, StoredSlot,
    Table, TableKind, ledgers_digest,
};
use crate::envelope::{EventBatch, Position};
use crate::metrics::{Peer, PipelineMetrics};
use crate::sink::{Before, Output, Room};

/// Slots that are stored and wait for their turn. Their rows are in the store already, so that more would cost little
/// memory; but work far ahead of the log is lost when the pipeline ends before its turn comes.
const STORED_MAX: usize = 4;

/// How often a table is looked at that has not come to a stored slot.
const LOOK_FIRST: Duration = Duration::from_millis(20);
const LOOK_CAP: Duration = Duration::from_millis(250);

/// What an output is made from.
#[derive(Clone)]
pub(super) struct TableSettings {
    /// Name of the pipeline, in traces.
    pub(super) pipeline: String,
    /// Where the dataset is.
    pub(super) store: Store,
    /// Which of its tables.
    pub(super) kind: TableKind,
    /// What the dataset is, or becomes.
    pub(super) dataset: DatasetSettings,
    /// The first ledger that is wanted, at which a slot begins; where the table ends if that is later, or `None`.
    pub(super) from: Option<LedgerSequence>,
    /// The last ledger that is wanted, where a slot may end before its time.
    pub(super) to: Option<LedgerSequence>,
    /// How long a store that is away is waited for; for ever if `None`.
    pub(super) patience: Option<Duration>,
    /// Between attempts.
    pub(super) backoff: Backoff,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) metrics: Arc<PipelineMetrics>,
    /// What the node noted of it, if it notes anything.
    pub(super) notes: Option<Notes>,
}

/// One table, open from the first message on.
pub(super) struct TableOutput {
    settings: TableSettings,
    /// Draws the jitter of waits.
    random: SeededRandom,
    table: Option<Table>,
    slot: Option<OpenSlot>,
    /// In the store and not in the log, in order, without gaps.
    stored: VecDeque<Stored>,
    /// When the table was last seen not to have come to them.
    looked: Option<MonotonicTime>,
    /// Looks in vain since a slot was last committed, for which everything waits.
    looks: u32,
}

/// A slot that waits for its turn.
struct Stored {
    slot: StoredSlot,
    /// When its last ledger came.
    since: MonotonicTime,
}

/// The slot that is being filled.
struct OpenSlot {
    range: RangeInclusive<LedgerSequence>,
    parent_hash: Hash32,
    digest: RowDigest,
    last: Option<(Hash32, CloseTime)>,
    encoder: SlotFileEncoder,
}

impl TableOutput {
    pub(super) fn new(settings: TableSettings, random: SeededRandom) -> Self {
        Self { settings, random, table: None, slot: None, stored: VecDeque::new(), looked: None, looks: 0 }
    }

    async fn open_table(&mut self) -> Result<Position, ExitError> {
        let mut outage = Outage::default();
        let (table, noted) = loop {
            let noted = self.settings.notes.as_ref().map(Notes::read).unwrap_or_default();
            let TableSettings { store, kind, dataset, .. } = &self.settings;
            match Table::open(store, *kind, dataset).await {
                Ok(table) => {
                    self.settings.metrics.reached(Peer::Output(kind.as_str()));
                    break (table, noted);
                }
                Err(error) => self.wait("open", error, &mut outage).await?,
            }
        };
        if let Some(notes) = &self.settings.notes {
            notes.open(&table, &noted, &self.settings.metrics)?;
        }
        let tip = table.tip();
        if let Some(closed_at) = tip.closed_at {
            let durable = LedgerSequence(tip.next_ledger.0.saturating_sub(1));
            self.settings.metrics.opened(self.settings.kind.as_str(), durable, closed_at);
        }
        let ahead = self.settings.from.filter(|from| *from > tip.next_ledger);
        let at_tip = Position { next: tip.next_ledger, parent: tip.last_ledger_hash };
        self.table = Some(table);
        Ok(ahead.map_or(at_tip, |next| Position { next, parent: None }))
    }

    /// The ledger that is due: behind what is stored, or where the table ends, or where this output begins.
    fn next(&self) -> Option<LedgerSequence> {
        let tip = self.table.as_ref()?.tip().next_ledger;
        let begun = self.settings.from.map_or(tip, |from| tip.max(from));
        let stored = self.stored.back().and_then(|last| last.slot.range().end().next());
        Some(stored.map_or(begun, |next| next.max(tip)))
    }

    async fn write_batch(&mut self, batch: Arc<EventBatch>) -> Result<Option<LedgerSequence>, ExitError> {
        let now = self.settings.clock.now();
        let mut checkpoint = match self.looked {
            Some(looked) if now.since(looked) >= LOOK_CAP => self.settle().await?,
            _ => None,
        };
        let mut rest = batch;
        loop {
            let Some(due) = self.due(rest) else { return Ok(checkpoint) };
            rest = due;
            let slot = match self.slot.take() {
                Some(slot) => slot,
                None => match self.begin_slot(&rest)? {
                    Some(slot) => slot,
                    // Past the last ledger that is wanted, or already there.
                    None => return Ok(checkpoint),
                },
            };
            let end = *slot.range.end();
            let part = rest.within(&slot.range);
            self.slot = Some(encode(self.settings.kind, slot, part).await?);
            let Some(range) = rest.range().filter(|range| *range.end() >= end) else { return Ok(checkpoint) };
            let (pipeline, output) = (self.settings.pipeline.as_str(), self.settings.kind.as_str());
            let span = tracing::info_span!("commit", pipeline, output, last = end.0);
            checkpoint = self.end_slot().instrument(span).await?.or(checkpoint);
            match end.next().filter(|next| next <= range.end()) {
                Some(next) => rest = Arc::new(rest.within(&(next..=*range.end()))),
                None => return Ok(checkpoint),
            }
        }
    }

    /// The part of `batch` that the table does not have: a faster writer may have taken it further than one slot.
    fn due(&self, batch: Arc<EventBatch>) -> Option<Arc<EventBatch>> {
        // What is begun is ended, also if somebody else has ended it meanwhile.
        let next = self.next().filter(|_| self.slot.is_none());
        match (next, batch.range()) {
            (Some(next), Some(range)) if next > *range.end() => None,
            (Some(next), Some(range)) if next > *range.start() => {
                Some(Arc::new(batch.within(&(next..=*range.end()))))
            }
            _ => Some(batch),
        }
    }

    /// The slot that begins with the first ledger of `batch`.
    fn begin_slot(&self, batch: &EventBatch) -> Result<Option<OpenSlot>, ExitError> {
        let Some(table) = &self.table else { return Err(internal("the table is not open")) };
        let Some(first) = batch.ledgers.first() else { return Ok(None) };
        let Some(next) = self.next() else { return Ok(None) };
        let Some(range) = table.range_at(next, self.settings.to) else { return Ok(None) };
        if first.sequence != *range.start() {
            let reason = format!("ledger {} came where slot {} is due", first.sequence, range.start());
            return Err(internal(&reason));
        }
        let encoder = table.encoder(range.clone()).map_err(exit)?;
        let parent_hash = first.previous_hash;
        Ok(Some(OpenSlot { range, parent_hash, digest: RowDigest::default(), last: None, encoder }))
    }

    /// Ends the open slot: it is stored, and committed if it has its turn.
    async fn end_slot(&mut self) -> Result<Option<LedgerSequence>, ExitError> {
        let Some(OpenSlot { range, parent_hash, digest, last: Some((last_hash, closed_at)), encoder }) =
            self.slot.take()
        else {
            return Ok(None);
        };
        let since = self.settings.clock.now();
        let file = blocking(move || encoder.finish()).await?.map_err(exit)?;
        let rows = SlotRows { range, parent_hash, last_hash, closed_at, file, digest };
        let mut outage = Outage::default();
        let slot = loop {
            let Some(table) = &mut self.table else { return Err(internal("the table is not open")) };
            match table.store_ahead(rows.clone()).await {
                Ok(slot) => break slot,
                Err(error) => self.wait("commit to", error, &mut outage).await?,
            }
        };
        self.stored.push_back(Stored { slot, since });
        self.settle().await
    }

    /// Whether no more than `left` slots wait for their turn, or when to look again.
    async fn settle_to(&mut self, left: usize) -> Result<Room, ExitError> {
        if self.stored.len() <= left {
            return Ok(Room::default());
        }
        let checkpoint = self.settle().await?;
        let again_after = (self.stored.len() > left).then(|| {
            self.looks = if checkpoint.is_some() { 0 } else { self.looks + 1 };
            LOOK_FIRST.saturating_mul(1 << self.looks.min(8)).min(LOOK_CAP)
        });
        Ok(Room { again_after, checkpoint })
    }

    /// Commits stored slots whose turn it is. Gives the last ledger that was committed.
    async fn settle(&mut self) -> Result<Option<LedgerSequence>, ExitError> {
        let (mut outage, mut checkpoint) = (Outage::default(), None);
        while let Some(first) = self.stored.front() {
            let Some(table) = &mut self.table else { return Err(internal("the table is not open")) };
            match table.commit_stored(&first.slot).await {
                Ok(Some(outcome)) => {
                    checkpoint = Some(self.committed(outcome)?);
                    outage = Outage::default();
                    continue;
                }
                Ok(None) => {}
                Err(error) => {
                    self.wait("commit to", error, &mut outage).await?;
                    continue;
                }
            }
            match table.look().await {
                Ok(true) => {}
                Ok(false) => {
                    self.looked = Some(self.settings.clock.now());
                    return Ok(checkpoint);
                }
                Err(error) => self.wait("follow", error, &mut outage).await?,
            }
        }
        self.looked = None;
        Ok(checkpoint)
    }

    /// Notes that the first stored slot is in the log.
    fn committed(&mut self, outcome: Outcome) -> Result<LedgerSequence, ExitError> {
        let (Some(Stored { slot, since }), Some(table)) = (self.stored.pop_front(), &self.table) else {
            return Err(internal("nothing was to be committed"));
        };
        let (first, last) = (*slot.range().start(), *slot.range().end());
        let tip = table.tip().next_ledger;
        if tip <= last {
            let reason =
                format!("another writer ended a slot inside of {first}..={last}: going on from {tip}");
            return Err(ExitError::new(ErrorClass::Unavailable, reason));
        }
        let seconds = self.settings.clock.now().since(since).as_secs_f64();
        let output = self.settings.kind.as_str();
        self.settings.metrics.committed(output, last, slot.closed_at(), seconds);
        let adopted = outcome != Outcome::Committed;
        tracing::info!(
            output,
            first_ledger = first.0,
            last_ledger = last.0,
            adopted,
            seconds,
            "slot committed"
        );
        Ok(last)
    }

    /// Waits before another attempt if the store is away and patience is left.
    async fn wait(
        &mut self,
        action: &'static str,
        error: DatasetError,
        outage: &mut Outage,
    ) -> Result<(), ExitError> {
        let now = self.settings.clock.now();
        let since = *outage.since.get_or_insert(now);
        let spent = self.settings.patience.is_some_and(|patience| now.since(since) >= patience);
        if error.class() != DatasetErrorClass::Unavailable {
            return Err(exit(error));
        }
        if spent {
            return Err(ExitError::new(ErrorClass::Exhausted, error.to_string()));
        }
        self.settings.metrics.away(Peer::Output(self.settings.kind.as_str()), since);
        outage.attempts += 1;
        let delay = self.settings.backoff.delay(outage.attempts, &mut || self.random.draw());
        let (table, attempts) = (self.settings.kind.as_str(), outage.attempts);
        tracing::warn!(%error, table, attempts, ?delay, "cannot {action} the dataset, trying again");
        tokio::time::sleep(delay).await;
        Ok(())
    }
}

/// Attempts that failed because the store was away.
#[derive(Default)]
struct Outage {
    since: Option<MonotonicTime>,
    attempts: u32,
}

impl Output for TableOutput {
    fn open(&mut self) -> BoxFuture<'_, Result<Position, ExitError>> {
        self.open_table().boxed()
    }

    fn write(&mut self, batch: Arc<EventBatch>) -> BoxFuture<'_, Result<Option<LedgerSequence>, ExitError>> {
        let (pipeline, output) = (self.settings.pipeline.as_str(), self.settings.kind.as_str());
        let span = tracing::info_span!(parent: &batch.trace, "write", pipeline, output);
        self.write_batch(batch).instrument(span).boxed()
    }

    /// Stored slots wait for the turn of the first, a few at the most; at the end none may be left.
    fn room(&mut self, before: Before) -> BoxFuture<'_, Result<Room, ExitError>> {
        let left = match before {
            Before::Batch => STORED_MAX,
            Before::End => 0,
        };
        self.settle_to(left).boxed()
    }

    /// Ledgers end only with the last one that is wanted: whatever else ends them would be a silent gap.
    fn finish(&mut self) -> BoxFuture<'_, Result<Option<LedgerSequence>, ExitError>> {
        async move {
            if !self.stored.is_empty() {
                return Err(internal("slots wait for their turn at the end"));
            }
            let next = self.next().ok_or_else(|| internal("the table is not open"))?;
            match self.settings.to {
                Some(to) if next > to && self.slot.is_none() => Ok(None),
                Some(to) => {
                    Err(internal(&format!("the ledgers ended where {next} is due and {to} is the last")))
                }
                None => Err(internal(&format!("the ledgers ended where {next} is due"))),
            }
        }
        .boxed()
    }
}

/// Appends `part` to the slot's file, off the runtime's own threads.
async fn encode(kind: TableKind, mut slot: OpenSlot, part: EventBatch) -> Result<OpenSlot, ExitError> {
    blocking(move || {
        match kind {
            TableKind::TokenTransfers => {
                slot.encoder.append_batch(&part.rows)?;
                part.ledgers.iter().for_each(|ledger| slot.digest.add(&ledger.row_digest));
            }
            TableKind::Ledgers => {
                slot.encoder.append_ledgers(&part.ledgers)?;
                slot.digest.add(&ledgers_digest(&part.ledgers));
            }
        }
        slot.last = part.ledgers.last().map(|ledger| (ledger.hash, ledger.closed_at)).or(slot.last);
        Ok(slot)
    })
    .await?
    .map_err(exit)
}

async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Result<T, ExitError> {
    let done = tokio::task::spawn_blocking(work).await;
    done.map_err(|error| internal(&format!("encoding ended: {error}")))
}

fn exit(error: DatasetError) -> ExitError {
    let class = match error.class() {
        DatasetErrorClass::Unavailable => ErrorClass::Unavailable,
        DatasetErrorClass::Usage => ErrorClass::Invalid,
        DatasetErrorClass::Data => ErrorClass::Data,
        DatasetErrorClass::Bug => ErrorClass::Internal,
    };
    ExitError::new(class, error.to_string())
}

fn internal(reason: &str) -> ExitError {
    ExitError::new(ErrorClass::Internal, reason)
}
