//! The dataset as history: both of its tables, opened to read.

use std::ops::RangeInclusive;
use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::compute::concat_batches;
use futures::FutureExt;
use futures::future::BoxFuture;
use orrery_schemas::{BatchError, Ledger, LedgerSequence, ledgers_from_batch, token_transfers_stored_schema};
use tokio::sync::RwLock;
use tracing::Span;

use super::history::{History, HistoryError, Page};
use super::ledger::FeedLedger;
use super::tips::Extent;
use crate::dataset::{DatasetError, DatasetErrorClass, DatasetSettings, Store, Table, TableKind};
use crate::envelope::EventBatch;

/// Rows that a page has about: some MB. More make a reader of one ledger wait, fewer read a file more often.
const PAGE_ROWS: u64 = 16 * 1024;

/// Most ledgers of a page, which cost memory also where they have no rows.
const PAGE_LEDGERS_MAX: u32 = 256;

/// A dataset that others write.
pub struct StoredHistory {
    store: Store,
    tables: RwLock<Option<Tables>>,
}

struct Tables {
    token_transfers: Table,
    ledgers: Table,
}

impl StoredHistory {
    /// The dataset in `store`, there or not.
    pub fn new(store: Store) -> Self {
        Self { store, tables: RwLock::new(None) }
    }
}

impl History for StoredHistory {
    fn look(&self) -> BoxFuture<'_, Result<Option<Extent>, HistoryError>> {
        async move {
            let mut tables = self.tables.write().await;
            match tables.as_mut() {
                Some(tables) => tables.refresh().await?,
                None => *tables = Tables::open(&self.store).await?,
            }
            Ok(tables.as_ref().map(Tables::extent))
        }
        .boxed()
    }

    fn page(&self, ledger: LedgerSequence) -> BoxFuture<'_, Result<Page, HistoryError>> {
        async move {
            let tables = self.tables.read().await;
            match tables.as_ref() {
                Some(tables) => tables.page(ledger).await,
                None => Err(wrong("there is no dataset yet".to_owned())),
            }
        }
        .boxed()
    }
}

impl Tables {
    /// Opens what is there. Without a network and a first ledger nothing is created, and no checkpoint is written.
    async fn open(store: &Store) -> Result<Option<Self>, DatasetError> {
        let settings = DatasetSettings { slots_per_checkpoint: u64::MAX, ..DatasetSettings::default() };
        let mut opened = Vec::new();
        for kind in TableKind::ALL {
            match Table::open(store, kind, &settings).await {
                Ok(table) => opened.push(table),
                Err(DatasetError::NoTable { .. }) => return Ok(None),
                Err(error) => return Err(error),
            }
        }
        let mut opened = opened.into_iter();
        Ok(opened
            .next()
            .zip(opened.next())
            .map(|(token_transfers, ledgers)| Self { token_transfers, ledgers }))
    }

    async fn refresh(&mut self) -> Result<(), DatasetError> {
        self.token_transfers.refresh().await?;
        self.ledgers.refresh().await
    }

    /// What both tables have.
    fn extent(&self) -> Extent {
        let next = self.token_transfers.tip().next_ledger.min(self.ledgers.tip().next_ledger);
        Extent { first: self.ledgers.configuration().start_ledger, next }
    }

    async fn page(&self, ledger: LedgerSequence) -> Result<Page, HistoryError> {
        let range =
            self.page_range(ledger).ok_or_else(|| wrong(format!("ledger {ledger} is not in it yet")))?;
        let ledgers = self.ledgers.rows_of(&range).await?;
        let ledgers: Vec<Vec<Ledger>> =
            ledgers.iter().map(ledgers_from_batch).collect::<Result<_, BatchError>>().map_err(wrong)?;
        let ledgers = ledgers.concat();
        let rows = self.token_transfers.rows_of(&range).await?;
        let rows = match rows.as_slice() {
            [only] => only.clone(),
            [] => RecordBatch::new_empty(token_transfers_stored_schema()),
            [first, ..] => concat_batches(&first.schema(), &rows).map_err(wrong)?,
        };
        check(&range, &ledgers, &rows)?;
        let batch = EventBatch { ledgers, rows, trace: Span::none() };
        Ok(Page { ledgers: FeedLedger::split(&batch).into_iter().map(Arc::new).collect() })
    }

    /// Parts of equal width of the file of `ledgers`, so many that each has about [`PAGE_ROWS`] rows, up to where both
    /// tables reach.
    fn page_range(&self, ledger: LedgerSequence) -> Option<RangeInclusive<LedgerSequence>> {
        let extent = self.extent();
        if !extent.contains(ledger) {
            return None;
        }
        let file = self.ledgers.live_files(&(ledger..=ledger)).into_iter().next()?.range;
        let rows: u64 = self.token_transfers.live_files(&file).iter().map(|file| file.rows).sum();
        let width = file.end().0 - file.start().0 + 1;
        let parts = rows.div_ceil(PAGE_ROWS).clamp(1, width.into());
        let width = (u64::from(width).div_ceil(parts) as u32).clamp(1, PAGE_LEDGERS_MAX);
        let first = file.start().0 + (ledger.0 - file.start().0) / width * width;
        let last = first.saturating_add(width - 1).min(file.end().0).min(extent.next.0.saturating_sub(1));
        Some(LedgerSequence(first)..=LedgerSequence(last))
    }
}

/// What is served must be what the log says: every ledger, hanging on the one before, with all of its rows.
fn check(
    range: &RangeInclusive<LedgerSequence>,
    ledgers: &[Ledger],
    rows: &RecordBatch,
) -> Result<(), HistoryError> {
    let has_ends = ledgers.first().map(|ledger| ledger.sequence) == Some(*range.start())
        && ledgers.last().map(|ledger| ledger.sequence) == Some(*range.end());
    let is_linked = ledgers.windows(2).all(|pair| {
        pair[0].sequence.next() == Some(pair[1].sequence) && pair[0].hash == pair[1].previous_hash
    });
    let events: u64 = ledgers.iter().map(|ledger| u64::from(ledger.event_count)).sum();
    if has_ends && is_linked && events == rows.num_rows() as u64 {
        return Ok(());
    }
    Err(wrong(format!(
        "ledgers {}..={} are not whole: {} ledgers with {events} events, {} rows; run orrery verify --dataset",
        range.start(),
        range.end(),
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
