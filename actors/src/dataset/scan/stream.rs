//! A scan as it goes on: file after file, row group after row group, a window of rows after another.

use std::collections::VecDeque;
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use arrow::array::{RecordBatch, UInt64Array};
use arrow::compute::{concat_batches, take_record_batch};
use futures::stream::{self, BoxStream, StreamExt};
use orrery_schemas::{EventFilter, LedgerSequence, TokenTransfer, token_transfers_from_batch};
use parquet::errors::ParquetError;
use tokio::sync::Semaphore;

use super::footer::{Files, Footer, Source};
use super::predicate::Predicate;
use super::pruning::{self, Piece};
use super::rows::{Rows, count, joined, matching, split_back, split_front};
use super::span::{Place, Span};
use super::view::Snapshot;
use super::{Order, ScanRequest};
use crate::columnar::ROW_GROUP_ROWS;
use crate::dataset::error::DatasetError;
use crate::dataset::lookup::{Shelf, Walk};
use crate::dataset::slot::AddFile;
use crate::dataset::store::Store;

/// Rows of a batch that is handed out, and of what a reverse scan decodes at once.
const BATCH_ROWS: usize = 8 * 1024;

/// Rows that the filter looks at first, as many as a page has: a reader of the newest rows waits for no more. Each further
/// window has twice as many, up to a row group, since dictionaries are decoded once a window.
const FIRST_WINDOW_ROWS: usize = 16 * 1024;

/// Fewer rows than these are not worth to be decoded before their row group is looked through.
const FEW_ROWS: usize = 1024;

/// A scan. Dropping it ends it.
pub struct Scan {
    store: Store,
    files: Arc<Files>,
    turns: Arc<Semaphore>,
    pub(super) snapshot: Arc<Snapshot>,
    pub(super) request: ScanRequest,
    /// Where files are still to be looked for.
    pub(super) rest: Span,
    /// Rows that may still be handed out.
    pub(super) left: Option<u64>,
    open: Option<Open>,
    window_rows: usize,
    /// Where rows may stand in a form for look-ups, if the request is one.
    pub(super) shelf: Option<Arc<Shelf>>,
    pub(super) walk: Option<Walk>,
    /// What no walk has handed out or passed yet.
    pub(super) ahead: Span,
    pub(super) passed: Option<Place>,
    pub(super) bytes: Arc<AtomicU64>,
    pub(super) counts: ScanCounts,
}

/// Rows that were found, as they were stored.
enum Found {
    Batch(RecordBatch),
    Events(Vec<TokenTransfer>),
}

/// What a scan has done.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ScanCounts {
    /// Files whose footer was looked at.
    pub files: u64,
    /// Row groups of them.
    pub row_groups: u64,
    /// Of these, those that may have had matches.
    pub row_groups_read: u64,
    /// Files that were not looked at, because their rows stand in a form for look-ups as well.
    pub row_files: u64,
    /// Rows that were handed out.
    pub rows: u64,
    /// Bytes that were read of files, those that were in the cache left out.
    pub bytes: u64,
}

/// A file that is being read.
struct Open {
    source: Source,
    footer: Arc<Footer>,
    /// Indices of the columns that are wanted.
    columns: Vec<usize>,
    /// In ascending order; what was read is gone.
    pieces: VecDeque<Piece>,
    /// Rows that match, and are not decoded yet.
    found: Option<Piece>,
    /// Rows that match in windows of a row group that is not looked through: few are decoded together, because each time
    /// all dictionaries are.
    few: Option<Piece>,
    rows: Option<Rows>,
    /// The place behind which the file has nothing more, in the scan's direction.
    end: Place,
}

impl Scan {
    pub(super) fn new(
        store: Store,
        files: Arc<Files>,
        turns: Arc<Semaphore>,
        shelf: Option<Arc<Shelf>>,
        snapshot: Arc<Snapshot>,
        request: ScanRequest,
    ) -> Self {
        Self {
            shelf: shelf.filter(|_| request.is_look_up()),
            walk: None,
            ahead: Span::ALL,
            store,
            files,
            turns,
            rest: request.span.intersection(&snapshot.span()),
            snapshot,
            left: request.limit,
            request,
            open: None,
            window_rows: FIRST_WINDOW_ROWS,
            passed: None,
            bytes: Arc::default(),
            counts: ScanCounts::default(),
        }
    }

    /// What was done so far.
    pub fn counts(&self) -> ScanCounts {
        ScanCounts { bytes: self.bytes.load(Ordering::Relaxed), ..self.counts }
    }

    /// Up to here everything was looked at, in the scan's direction; `None` before the first file's end.
    pub fn passed(&self) -> Option<Place> {
        self.passed
    }

    /// The next rows, never none; `None` behind the last ones. Cancelling this loses the scan's place: the scan is then only
    /// to be dropped.
    ///
    /// # Errors
    ///
    /// [`DatasetError::Content`], naming the file, if one is not what the log says; [`DatasetError::Store`].
    pub async fn next(&mut self) -> Result<Option<RecordBatch>, DatasetError> {
        match self.found().await? {
            None => Ok(None),
            Some(Found::Batch(batch)) => Ok(Some(batch)),
            Some(Found::Events(events)) => self.request.batch(&events).map(Some),
        }
    }

    /// [`Self::next`] of a scan of whole events, which are not made to columns and back if they were not stored as such.
    ///
    /// # Errors
    ///
    /// As [`Self::next`]; [`DatasetError::Encode`] if the scan is not one of whole events.
    pub async fn next_events(&mut self) -> Result<Option<Vec<TokenTransfer>>, DatasetError> {
        match self.found().await? {
            None => Ok(None),
            Some(Found::Batch(batch)) => Ok(Some(token_transfers_from_batch(&batch)?)),
            Some(Found::Events(events)) => Ok(Some(events)),
        }
    }

    async fn found(&mut self) -> Result<Option<Found>, DatasetError> {
        loop {
            let is_idle = self.open.as_ref().is_none_or(Open::is_idle);
            if is_idle && self.left == Some(0) {
                return Ok(None);
            }
            if self.open.is_none() {
                if let Some(events) = self.look_up().await? {
                    self.counts.rows += events.len() as u64;
                    return Ok(Some(Found::Events(events)));
                }
                if self.left == Some(0) || !self.open_next().await? {
                    return Ok(None);
                }
            }
            let Some(mut open) = self.open.take() else { continue };
            let batch = self.advance(&mut open).await?;
            if open.is_idle() && open.pieces.is_empty() {
                // A limit may have cut off what was found.
                if self.left != Some(0) {
                    self.passed = Some(open.end);
                }
            } else {
                self.open = Some(open);
            }
            if let Some(batch) = batch {
                self.counts.rows += batch.num_rows() as u64;
                return Ok(Some(Found::Batch(batch)));
            }
        }
    }

    /// The batches as a stream, which ends behind an error.
    pub fn into_stream(self) -> BoxStream<'static, Result<RecordBatch, DatasetError>> {
        let step = |scan: Option<Self>| async move {
            let mut scan = scan?;
            match scan.next().await {
                Ok(Some(batch)) => Some((Ok(batch), Some(scan))),
                Ok(None) => None,
                Err(error) => Some((Err(error), None)),
            }
        };
        stream::unfold(Some(self), step).boxed()
    }

    /// Goes on by one step inside of a file: decodes a batch of what was found, or looks for more.
    async fn advance(&mut self, open: &mut Open) -> Result<Option<RecordBatch>, DatasetError> {
        if let Some(rows) = &mut open.rows {
            if let Some(batch) = rows.next(&open.source, &self.turns).await? {
                return Ok(Some(batch));
            }
            open.rows = None;
            return Ok(None);
        }
        let Some(mut found) = open.found.take() else { return self.look(open).await.map(|()| None) };
        if self.request.order == Order::Ascending {
            open.rows = Some(open.decoder(&found)?);
            return Ok(None);
        }
        let chunk = Piece { row_group: found.row_group, rows: split_back(&mut found.rows, BATCH_ROWS) };
        open.found = (!found.rows.is_empty()).then_some(found);
        let mut rows = open.decoder(&chunk)?;
        let mut batches = Vec::new();
        while let Some(batch) = rows.next(&open.source, &self.turns).await? {
            batches.push(batch);
        }
        open.source.decode(move || reversed(&batches)).await.map(Some)
    }

    /// Finds the rows that match in the next window of the file.
    async fn look(&mut self, open: &mut Open) -> Result<(), DatasetError> {
        let is_ascending = self.request.order == Order::Ascending;
        let next = if is_ascending { open.pieces.front_mut() } else { open.pieces.back_mut() };
        let Some(piece) = next else { return Ok(()) };
        let row_group = piece.row_group;
        let all =
            piece.rows.first().map_or(0, |range| range.start)..piece.rows.last().map_or(0, |range| range.end);
        let kind = self.request.table;
        let span = self.request.span;
        let is_covered =
            |rows: &Range<usize>| pruning::is_covered(&open.footer, kind, &span, row_group, rows);
        let is_trivial = self.request.filter.is_all() && is_covered(&all);
        let width = if is_trivial { usize::MAX } else { self.window_rows };
        let take = if is_ascending { split_front } else { split_back };
        let rows = take(&mut piece.rows, width);
        if piece.rows.is_empty() {
            if is_ascending {
                open.pieces.pop_front()
            } else {
                open.pieces.pop_back()
            };
        }
        let mut found = Piece { row_group, rows };
        if !is_trivial {
            self.window_rows = (self.window_rows * 2).min(ROW_GROUP_ROWS);
            let bounds = found.rows.first().map_or(0, |range| range.start)
                ..found.rows.last().map_or(0, |range| range.end);
            let inside = pruning::is_covered(&open.footer, kind, &span, row_group, &bounds);
            let filter = self.request.filter.clone();
            let predicate = Predicate { kind, filter, span: (!inside).then_some(span) };
            if !predicate.is_all() {
                found.rows = matching(&open.source, &open.footer, &found, &predicate, &self.turns).await?;
            }
        }
        if let Some(left) = &mut self.left {
            found.rows = take(&mut found.rows, usize::try_from(*left).unwrap_or(usize::MAX));
            *left -= count(&found.rows) as u64;
        }
        if let Some(few) = open.few.take() {
            found.rows =
                if is_ascending { joined(few.rows, found.rows) } else { joined(found.rows, few.rows) };
        }
        let next = if is_ascending { open.pieces.front() } else { open.pieces.back() };
        let goes_on = next.is_some_and(|next| next.row_group == row_group) && self.left != Some(0);
        if found.rows.is_empty() {
            return Ok(());
        }
        match goes_on && count(&found.rows) < FEW_ROWS {
            true => open.few = Some(found),
            false => open.found = Some(found),
        }
        Ok(())
    }

    /// Opens the next file, if it may have matches; `false` if there is none.
    async fn open_next(&mut self) -> Result<bool, DatasetError> {
        let Some(file) = self.next_file() else { return Ok(false) };
        let end = self.end_of(&file);
        let source = Source::new(&self.store, &file, &self.bytes);
        let open = self.open_file(source, end).await?;
        if open.pieces.is_empty() {
            self.passed = Some(end);
        } else {
            self.open = Some(open);
        }
        Ok(true)
    }

    /// The place behind which a file has nothing more.
    pub(super) fn end_of(&self, file: &AddFile) -> Place {
        match self.request.order {
            Order::Ascending => Place::end_of(*file.name.range.end()).min(self.request.span.last),
            Order::Descending => Place::start_of(*file.name.range.start()).max(self.request.span.first),
        }
    }

    /// The next file whose ledgers are in what is left, which is then shorter by it.
    pub(super) fn next_file(&mut self) -> Option<AddFile> {
        if self.rest.is_empty() {
            return None;
        }
        let files = &self.snapshot.chain(self.request.table).files;
        let (first, last) = (self.rest.first.ledger, self.rest.last.ledger);
        let is_inside = |file: &&AddFile| *file.ledgers.start() <= last && first <= *file.ledgers.end();
        let next = |ledger: Option<LedgerSequence>| ledger.map(Place::start_of);
        let before = |ledger: LedgerSequence| ledger.0.checked_sub(1).map(LedgerSequence).map(Place::end_of);
        let file = match self.request.order {
            Order::Ascending => {
                // The file before may reach into what is left.
                let from = files.range(..=first).next_back().map_or(first, |(start, _)| *start);
                files.range(from..=last).map(|(_, file)| file).find(is_inside)
            }
            Order::Descending => {
                let reaches = |file: &&AddFile| first <= *file.name.range.end();
                files.range(..=last).rev().map(|(_, file)| file).take_while(reaches).find(is_inside)
            }
        };
        let file = file?.clone();
        let rest = match self.request.order {
            Order::Ascending => {
                next(file.name.range.end().next()).map(|first| Span { first, last: self.rest.last })
            }
            Order::Descending => {
                before(*file.name.range.start()).map(|last| Span { first: self.rest.first, last })
            }
        };
        self.rest = rest.unwrap_or(Span { first: Span::ALL.last, last: Span::ALL.first });
        Some(file)
    }

    async fn open_file(&mut self, source: Source, end: Place) -> Result<Open, DatasetError> {
        let footer = self.files.footer(&source).await?;
        let pieces = pruning::pieces(&footer, self.request.table, &self.request.span, &self.request.filter);
        let pieces = ask_filters(&self.files, &source, &footer, &self.request.filter, pieces).await?;
        self.counts.files += 1;
        self.counts.row_groups += footer.reader.metadata().num_row_groups() as u64;
        self.counts.row_groups_read += pieces.len() as u64;
        let columns = match &self.request.columns {
            None => (0..footer.reader.parquet_schema().num_columns()).collect(),
            Some(names) => names.iter().filter_map(|name| footer.column(name)).collect(),
        };
        Ok(Open { source, footer, columns, pieces: pieces.into(), found: None, few: None, rows: None, end })
    }
}

impl Open {
    /// Whether nothing that was found is still to be handed out.
    fn is_idle(&self) -> bool {
        self.found.is_none() && self.few.is_none() && self.rows.is_none()
    }

    fn decoder(&self, piece: &Piece) -> Result<Rows, DatasetError> {
        Rows::new(&self.source, &self.footer.reader, piece, &self.columns, BATCH_ROWS)
    }
}

/// Leaves out the row groups that, as their Bloom filters say, have none of the accounts or contracts.
async fn ask_filters(
    files: &Files,
    source: &Source,
    footer: &Footer,
    filter: &EventFilter,
    mut pieces: Vec<Piece>,
) -> Result<Vec<Piece>, DatasetError> {
    // An account may be on either side of an event.
    let keys = [(&["from", "to"][..], filter.accounts()), (&["contract_id"][..], filter.contracts())];
    for (names, wanted) in keys.into_iter().filter(|(_, wanted)| !wanted.is_empty()) {
        let columns: Vec<_> = names.iter().filter_map(|name| footer.column(name)).collect();
        let chunks = pieces.iter().flat_map(|piece| columns.iter().map(|column| (piece.row_group, *column)));
        let found = files.may_have(source, footer, chunks.collect(), wanted).await?;
        pieces.retain(|piece| found.iter().any(|(row_group, _)| *row_group == piece.row_group));
    }
    Ok(pieces)
}

/// The rows of ascending batches, descending.
fn reversed(batches: &[RecordBatch]) -> Result<RecordBatch, ParquetError> {
    let Some(first) = batches.first() else {
        return Err(ParquetError::General("it gives no rows where its footer has some".to_owned()));
    };
    let batch = if batches.len() == 1 { first.clone() } else { concat_batches(first.schema_ref(), batches)? };
    let rows = batch.num_rows() as u64;
    Ok(take_record_batch(&batch, &UInt64Array::from_iter_values((0..rows).rev()))?)
}
