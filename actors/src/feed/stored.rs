//! The dataset as history: pages of it, read by ledgers.

use std::ops::RangeInclusive;
use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::compute::concat_batches;
use futures::FutureExt;
use futures::future::{BoxFuture, ready};
use orrery_schemas::{
    EventFilter, Ledger, LedgerSequence, ledgers_from_batch, token_transfers_stored_schema,
};
use tracing::Span as TraceSpan;

use super::history::{History, HistoryError, Page};
use super::ledger::FeedLedger;
use super::tips::Extent;
use crate::dataset::{
    DatasetError, DatasetErrorClass, DatasetView, Scan, ScanRequest, Snapshot, Span, TableKind,
};
use crate::envelope::EventBatch;

/// Rows that a page has, unless one ledger has more: some MB. More make a reader of one ledger wait, fewer read more often.
const PAGE_ROWS_MAX: u64 = 16 * 1024;

/// Ledgers that are looked at to find where pages end, and so the most that one has.
const WINDOW_LEDGERS: u32 = 256;

/// A dataset that others write, and that somebody else follows.
pub struct StoredHistory {
    view: Arc<DatasetView>,
}

impl StoredHistory {
    /// What this view sees.
    pub fn new(view: Arc<DatasetView>) -> Self {
        Self { view }
    }

    async fn read(&self, ledger: LedgerSequence) -> Result<Page, HistoryError> {
        let missing = || wrong(format!("ledger {ledger} is not in it"));
        let snapshot = self.view.snapshot().ok_or_else(missing)?;
        let window = window(&snapshot, ledger).ok_or_else(missing)?;
        let batches = rows(self.scan(&snapshot, ScanRequest::ledgers(), &window)).await?;
        let ledgers = batches.iter().map(ledgers_from_batch).collect::<Result<Vec<_>, _>>();
        let ledgers = ledgers.map_err(wrong)?.concat();
        let ledgers = part_with(&ledgers, ledger).ok_or_else(missing)?;
        let (Some(first), Some(last)) = (ledgers.first(), ledgers.last()) else { return Err(missing()) };
        let range = first.sequence..=last.sequence;
        let events = ScanRequest::events(EventFilter::default());
        let batches = rows(self.scan(&snapshot, events, &range)).await?;
        let rows = match batches.as_slice() {
            [only] => only.clone(),
            [] => RecordBatch::new_empty(token_transfers_stored_schema()),
            [first, ..] => concat_batches(&first.schema(), &batches).map_err(wrong)?,
        };
        check(ledgers, &rows)?;
        let batch = EventBatch { ledgers: ledgers.to_vec(), rows, trace: TraceSpan::none() };
        Ok(Page { ledgers: FeedLedger::split(&batch).into_iter().map(Arc::new).collect() })
    }

    fn scan(
        &self,
        snapshot: &Arc<Snapshot>,
        request: ScanRequest,
        range: &RangeInclusive<LedgerSequence>,
    ) -> Scan {
        self.view.scan(snapshot, request.within(Span::ledgers(range.clone())))
    }
}

impl History for StoredHistory {
    fn look(&self) -> BoxFuture<'_, Result<Option<Extent>, HistoryError>> {
        let extent = self.view.snapshot().map(|snapshot| {
            let first = snapshot.first();
            Extent { first, next: snapshot.last().and_then(LedgerSequence::next).unwrap_or(first) }
        });
        ready(Ok(extent)).boxed()
    }

    fn page(&self, ledger: LedgerSequence) -> BoxFuture<'_, Result<Page, HistoryError>> {
        self.read(ledger).boxed()
    }
}

/// The ledgers in which the ends of pages are looked for: they begin where a file of `ledgers` does, or whole windows behind.
fn window(snapshot: &Snapshot, ledger: LedgerSequence) -> Option<RangeInclusive<LedgerSequence>> {
    let last = snapshot.last().filter(|last| ledger <= *last)?;
    let mut files = snapshot.files(TableKind::Ledgers).map(|(_, range)| range);
    let file = files.find(|range| range.contains(&ledger))?;
    let first = file.start().0 + (ledger.0 - file.start().0) / WINDOW_LEDGERS * WINDOW_LEDGERS;
    let end = LedgerSequence(first.saturating_add(WINDOW_LEDGERS - 1));
    Some(LedgerSequence(first)..=end.min(*file.end()).min(last))
}

/// The page with a ledger: pages are as long as their rows allow.
fn part_with(ledgers: &[Ledger], wanted: LedgerSequence) -> Option<&[Ledger]> {
    let (mut first, mut rows) = (0, 0);
    for (index, ledger) in ledgers.iter().enumerate() {
        let count = u64::from(ledger.event_count);
        if rows + count > PAGE_ROWS_MAX && index > first {
            if ledger.sequence > wanted {
                return ledgers.get(first..index);
            }
            (first, rows) = (index, 0);
        }
        rows += count;
    }
    ledgers.get(first..).filter(|part| part.iter().any(|ledger| ledger.sequence == wanted))
}

async fn rows(mut scan: Scan) -> Result<Vec<RecordBatch>, HistoryError> {
    let mut rows = Vec::new();
    while let Some(batch) = scan.next().await? {
        rows.push(batch);
    }
    Ok(rows)
}

/// What is served must be what the log says: every ledger, hanging on the one before, with all of its rows.
fn check(ledgers: &[Ledger], rows: &RecordBatch) -> Result<(), HistoryError> {
    let is_linked = ledgers.windows(2).all(|pair| {
        pair[0].sequence.next() == Some(pair[1].sequence) && pair[0].hash == pair[1].previous_hash
    });
    let events: u64 = ledgers.iter().map(|ledger| u64::from(ledger.event_count)).sum();
    if is_linked && events == rows.num_rows() as u64 {
        return Ok(());
    }
    let first = ledgers.first().map_or(0, |ledger| ledger.sequence.0);
    Err(wrong(format!(
        "{} ledgers from {first} on should have {events} events and have {}, or do not hang together: run orrery verify",
        ledgers.len(),
        rows.num_rows()
    )))
}

fn wrong(reason: impl ToString) -> HistoryError {
    HistoryError { reason: reason.to_string(), is_passing: false }
}

impl From<DatasetError> for HistoryError {
    fn from(error: DatasetError) -> Self {
        Self { is_passing: error.class() == DatasetErrorClass::Unavailable, reason: error.to_string() }
    }
}

#[cfg(test)]
mod tests {
    use orrery_schemas::{CloseTime, Hash32, RowDigest};

    use super::*;

    fn ledger(sequence: u32, event_count: u32) -> Ledger {
        Ledger {
            sequence: LedgerSequence(sequence),
            hash: Hash32::ZERO,
            previous_hash: Hash32::ZERO,
            closed_at: CloseTime::MAX,
            protocol_version: 23,
            tx_set_hash: Hash32::ZERO,
            tx_set_result_hash: Hash32::ZERO,
            tx_count: 0,
            successful_tx_count: 0,
            failed_tx_count: 0,
            operation_count: 0,
            event_count,
            total_coins: 0,
            fee_pool: 0,
            base_fee: 0,
            base_reserve: 0,
            max_tx_set_size: 0,
            row_digest: RowDigest::default(),
        }
    }

    #[test]
    fn pages_end_where_their_rows_are_enough() {
        let check = |events: &[u32], pages: &[&[u32]]| {
            let ledgers: Vec<_> = (10..).zip(events).map(|(at, events)| ledger(at, *events)).collect();
            for page in pages {
                for wanted in *page {
                    let found = part_with(&ledgers, LedgerSequence(*wanted)).unwrap();
                    let found: Vec<_> = found.iter().map(|ledger| ledger.sequence.0).collect();
                    assert_eq!(found, *page, "ledger {wanted} of {events:?}");
                }
            }
            assert!(part_with(&ledgers, LedgerSequence(9)).is_none_or(|page| page[0].sequence.0 == 10));
        };
        check(&[0, 1, 2], &[&[10, 11, 12]]);
        check(&[10_000, 6_384, 1], &[&[10, 11], &[12]]);
        check(&[50_000, 50_000, 1], &[&[10], &[11], &[12]]);
        check(&[1, 50_000, 1, 16_383, 1], &[&[10], &[11], &[12, 13], &[14]]);
    }
}
