//! A table of the dataset as an output of a pipeline: events become the file of a slot as they come, and a full slot is
//! committed.
//!
//! Memory: the encoded part of one slot, one row group of it, and one batch.

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
    DatasetError, DatasetErrorClass, DatasetSettings, Outcome, SlotFileEncoder, SlotRows, Store, Table,
    TableKind, ledgers_digest,
};
use crate::envelope::{EventBatch, Position};
use crate::metrics::{Peer, PipelineMetrics};
use crate::sink::Output;

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
        Self { settings, random, table: None, slot: None }
    }

    async fn open_table(&mut self) -> Result<Position, ExitError> {
        let mut outage = Outage::default();
        let table = loop {
            let TableSettings { store, kind, dataset, .. } = &self.settings;
            match Table::open(store, *kind, dataset).await {
                Ok(table) => {
                    self.settings.metrics.reached(Peer::Output(kind.as_str()));
                    break table;
                }
                Err(error) => self.wait("open", error, &mut outage).await?,
            }
        };
        if let Some(notes) = &self.settings.notes {
            notes.open(&table, &self.settings.metrics)?;
        }
        let tip = table.tip();
        if let Some(closed_at) = tip.closed_at {
            let durable = LedgerSequence(tip.next_ledger.0.saturating_sub(1));
            self.settings.metrics.opened(self.settings.kind.as_str(), durable, closed_at);
        }
        let position = Position { next: tip.next_ledger, parent: tip.last_ledger_hash };
        self.table = Some(table);
        Ok(position)
    }

    async fn write_batch(&mut self, batch: Arc<EventBatch>) -> Result<Option<LedgerSequence>, ExitError> {
        let (mut checkpoint, mut rest) = (None, batch);
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
            checkpoint = self.commit().instrument(span).await?.or(checkpoint);
            match end.next().filter(|next| next <= range.end()) {
                Some(next) => rest = Arc::new(rest.within(&(next..=*range.end()))),
                None => return Ok(checkpoint),
            }
        }
    }

    /// The part of `batch` that the table does not have: a faster writer may have taken it further than one slot.
    fn due(&self, batch: Arc<EventBatch>) -> Option<Arc<EventBatch>> {
        let next = self.table.as_ref().map(|table| table.tip().next_ledger);
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
        let Some(range) = table.next_range(self.settings.to) else { return Ok(None) };
        if first.sequence != *range.start() {
            let reason = format!("ledger {} came where slot {} is due", first.sequence, range.start());
            return Err(internal(&reason));
        }
        let encoder = table.encoder(range.clone()).map_err(exit)?;
        let parent_hash = first.previous_hash;
        Ok(Some(OpenSlot { range, parent_hash, digest: RowDigest::default(), last: None, encoder }))
    }

    /// Ends the open slot and writes it to the log.
    async fn commit(&mut self) -> Result<Option<LedgerSequence>, ExitError> {
        let Some(OpenSlot { range, parent_hash, digest, last: Some((last_hash, closed_at)), encoder }) =
            self.slot.take()
        else {
            return Ok(None);
        };
        let began = self.settings.clock.now();
        let (first_ledger, last_ledger) = (range.start().0, range.end().0);
        let file = blocking(move || encoder.finish()).await?.map_err(exit)?;
        let rows = SlotRows { range: range.clone(), parent_hash, last_hash, closed_at, file, digest };
        let mut outage = Outage::default();
        let (outcome, tip) = loop {
            let Some(table) = &mut self.table else { return Err(internal("the table is not open")) };
            match table.commit(rows.clone()).await {
                Ok(outcome) => break (outcome, table.tip().next_ledger),
                Err(error) => self.wait("commit to", error, &mut outage).await?,
            }
        };
        if tip <= *range.end() {
            let reason = format!(
                "another writer ended a slot inside of {}..={}: going on from {tip}",
                range.start(),
                range.end()
            );
            return Err(ExitError::new(ErrorClass::Unavailable, reason));
        }
        let seconds = self.settings.clock.now().since(began).as_secs_f64();
        let output = self.settings.kind.as_str();
        self.settings.metrics.committed(output, *range.end(), closed_at, seconds);
        let adopted = outcome != Outcome::Committed;
        tracing::info!(output, first_ledger, last_ledger, adopted, seconds, "slot committed");
        Ok(Some(*range.end()))
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

    /// Ledgers end only with the last one that is wanted: whatever else ends them would be a silent gap.
    fn finish(&mut self) -> BoxFuture<'_, Result<Option<LedgerSequence>, ExitError>> {
        let next = self.table.as_ref().map(|table| table.tip().next_ledger);
        let ends = match (next, self.settings.to) {
            (Some(next), Some(to)) if next > to && self.slot.is_none() => Ok(None),
            (Some(next), Some(to)) => {
                Err(internal(&format!("the ledgers ended where {next} is due and {to} is the last")))
            }
            (Some(next), None) => Err(internal(&format!("the ledgers ended where {next} is due"))),
            (None, _) => Err(internal("the table is not open")),
        };
        async move { ends }.boxed()
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
