//! Data files: rows to Parquet, bytes that depend on network, range and rows alone, and back.
//!
//! In: rows of one slot in ledger order, in batches of any size. They are cut anew into batches of one size, since bytes
//! of a file depend on where batches end. Memory: the finished file, one row group and one batch.

use std::ops::RangeInclusive;
use std::sync::Arc;

use arrow::array::{Array, AsArray, RecordBatch};
use arrow::compute::concat_batches;
use arrow::datatypes::{Int32Type, Int64Type, SchemaRef, TimestampMicrosecondType};
use bytes::Bytes;
use orrery_schemas::{
    CloseTime, Hash32, Ledger, LedgerSequence, RowDigest, TokenTransfer, TokenTransferBatchBuilder,
    ledgers_from_batch, ledgers_to_batch, token_transfers_from_batch,
};
use orrery_supervisor::seeded_bug;
#[cfg(feature = "seeded-bugs")]
use orrery_supervisor::seeded_bugs;
use parquet::arrow::ArrowWriter;
use parquet::arrow::arrow_reader::{ParquetRecordBatchReader, ParquetRecordBatchReaderBuilder};

use super::DatasetError;
use super::kind::TableKind;
use super::ledger_digest::ledgers_digest;
use super::slot::{AddFile, FileName, sha256};
use crate::columnar::{self, BATCH_ROWS, FIRST_LEDGER_KEY, LAST_LEDGER_KEY, at_rest, with_network};

/// Largest data file that is read: a slot of 1,024 dense ledgers has under 100 MB.
pub(super) const FILE_BYTES_MAX: u64 = 4 << 30;

/// A finished data file.
#[derive(Clone, Debug)]
pub struct SlotFile {
    /// Its content.
    pub bytes: Bytes,
    /// SHA-256 of the content.
    pub sha256: Hash32,
    /// Rows in it.
    pub rows: u64,
    /// First and last ledger that has rows.
    pub ledgers: RangeInclusive<LedgerSequence>,
    /// Close times of these.
    pub closed_at: RangeInclusive<CloseTime>,
    /// The slot.
    pub range: RangeInclusive<LedgerSequence>,
}

/// Builds the data file of one slot.
pub struct SlotFileEncoder {
    kind: TableKind,
    range: RangeInclusive<LedgerSequence>,
    schema: SchemaRef,
    writer: ArrowWriter<Vec<u8>>,
    waiting: Vec<RecordBatch>,
    waiting_rows: usize,
    rows: u64,
    first: Option<Position>,
    last: Option<Position>,
}

/// Where a row stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Position {
    ledger: LedgerSequence,
    event: i32,
    closed_at: CloseTime,
}

impl SlotFile {
    /// Its name below the table.
    pub fn path(&self) -> String {
        FileName::new(self.range.clone(), self.sha256).to_string()
    }

    pub(super) fn to_add(&self, digest: RowDigest, modified_at: CloseTime) -> AddFile {
        AddFile {
            name: FileName::new(self.range.clone(), self.sha256),
            sha256: self.sha256,
            bytes: self.bytes.len() as u64,
            rows: self.rows,
            digest,
            ledgers: self.ledgers.clone(),
            closed_at: self.closed_at.clone(),
            modified_at,
        }
    }
}

impl SlotFileEncoder {
    /// A file for the slot `range` of a table of this network.
    ///
    /// # Errors
    ///
    /// [`DatasetError::Encode`] if the encoder does not take its settings, a defect.
    pub fn new(
        kind: TableKind,
        network_passphrase: &str,
        range: RangeInclusive<LedgerSequence>,
    ) -> Result<Self, DatasetError> {
        let mut schema = with_network(&kind.schema(), network_passphrase).as_ref().clone();
        for (key, ledger) in [(FIRST_LEDGER_KEY, range.start()), (LAST_LEDGER_KEY, range.end())] {
            schema.metadata.insert(key.to_owned(), ledger.to_string());
        }
        seeded_bug!(
            B11,
            drop(schema.metadata.insert("order".to_owned(), seeded_bugs::tick().to_string())),
            ()
        );
        let schema = Arc::new(schema);
        let writer = columnar::properties(&schema)
            .and_then(|properties| ArrowWriter::try_new(Vec::new(), Arc::clone(&schema), Some(properties)))
            .map_err(|error| DatasetError::encode("begin a data file", error))?;
        Ok(Self {
            kind,
            range,
            schema,
            writer,
            waiting: Vec::new(),
            waiting_rows: 0,
            rows: 0,
            first: None,
            last: None,
        })
    }

    /// Appends rows of `token_transfers`.
    ///
    /// # Errors
    ///
    /// [`DatasetError::Rows`] if they are not in order or not of this slot.
    pub fn append_rows(&mut self, rows: &[TokenTransfer]) -> Result<(), DatasetError> {
        for rows in rows.chunks(BATCH_ROWS) {
            let mut builder = TokenTransferBatchBuilder::with_capacity(rows.len());
            seeded_bug!(B5, builder.append(&one_a_transaction(rows))?, builder.append(rows)?);
            self.append_batch(&builder.finish()?)?;
        }
        Ok(())
    }

    /// Appends rows of `ledgers`.
    ///
    /// # Errors
    ///
    /// [`DatasetError::Rows`] if they are not in order or not of this slot.
    pub fn append_ledgers(&mut self, ledgers: &[Ledger]) -> Result<(), DatasetError> {
        self.append_batch(&ledgers_to_batch(ledgers)?)
    }

    /// Appends a batch of the table's schema, in memory or at rest.
    ///
    /// # Errors
    ///
    /// [`DatasetError::Rows`] if its rows are not in order, not of this slot, or not of this table.
    pub fn append_batch(&mut self, batch: &RecordBatch) -> Result<(), DatasetError> {
        if batch.num_rows() == 0 {
            return Ok(());
        }
        self.check_order(batch)?;
        self.rows += batch.num_rows() as u64;
        let mut rest =
            at_rest(batch, &self.schema).map_err(|problem| DatasetError::rows(&self.range, problem))?;
        while self.waiting_rows + rest.num_rows() >= BATCH_ROWS {
            let taken = BATCH_ROWS - self.waiting_rows;
            self.waiting.push(rest.slice(0, taken));
            rest = rest.slice(taken, rest.num_rows() - taken);
            self.write_waiting()?;
        }
        self.waiting_rows += rest.num_rows();
        if rest.num_rows() > 0 {
            self.waiting.push(rest);
        }
        Ok(())
    }

    /// Ends the file. `None` if it has no rows: such a slot has no file.
    ///
    /// # Errors
    ///
    /// [`DatasetError::Rows`] if ledgers of the slot are missing in `ledgers`.
    pub fn finish(mut self) -> Result<Option<SlotFile>, DatasetError> {
        if self.kind == TableKind::Ledgers {
            let expected = u64::from(self.range.end().0 - self.range.start().0) + 1;
            if self.rows != expected {
                let problem = format!("{} ledgers of {expected} came", self.rows);
                return Err(DatasetError::rows(&self.range, problem));
            }
        }
        let (Some(first), Some(last)) = (self.first, self.last) else { return Ok(None) };
        self.write_waiting()?;
        let bytes =
            self.writer.into_inner().map_err(|error| DatasetError::encode("end a data file", error))?;
        Ok(Some(SlotFile {
            sha256: seeded_bug!(B24, sha256(&bytes[1..]), sha256(&bytes)),
            bytes: bytes.into(),
            rows: self.rows,
            ledgers: first.ledger..=last.ledger,
            closed_at: first.closed_at..=last.closed_at,
            range: self.range,
        }))
    }

    fn write_waiting(&mut self) -> Result<(), DatasetError> {
        if !self.waiting.is_empty() {
            let batch = concat_batches(&self.schema, &self.waiting)
                .map_err(|error| DatasetError::encode("join batches", error))?;
            self.writer.write(&batch).map_err(|error| DatasetError::encode("write a batch", error))?;
        }
        self.waiting.clear();
        self.waiting_rows = 0;
        Ok(())
    }

    /// Rows come sorted by ledger and place in it; the ledgers of `ledgers` come without a gap.
    fn check_order(&mut self, batch: &RecordBatch) -> Result<(), DatasetError> {
        let refuse = |problem: String| DatasetError::rows(&self.range, problem);
        let column =
            |name: &str| batch.column_by_name(name).ok_or_else(|| refuse(format!("no column {name}")));
        let wrong = |name: &str| refuse(format!("column {name} is of another type or has nulls"));
        let name = self.kind.ledger_column();
        let ledgers =
            column(name)?.as_primitive_opt::<Int64Type>().filter(|ledgers| ledgers.null_count() == 0);
        let ledgers = ledgers.ok_or_else(|| wrong(name))?;
        let closed_at = column("closed_at")?.as_primitive_opt::<TimestampMicrosecondType>();
        let closed_at =
            closed_at.filter(|times| times.null_count() == 0).ok_or_else(|| wrong("closed_at"))?;
        let events = match self.kind {
            TableKind::Ledgers => None,
            TableKind::TokenTransfers => {
                let name = "ledger_event_index";
                let events = column(name)?.as_primitive_opt::<Int32Type>();
                Some(events.filter(|events| events.null_count() == 0).ok_or_else(|| wrong(name))?)
            }
        };
        let mut last = self.last;
        for row in 0..batch.num_rows() {
            let ledger = u32::try_from(ledgers.value(row)).map(LedgerSequence);
            let ledger = ledger.map_err(|_| refuse(format!("ledger {}", ledgers.value(row))))?;
            let micros = closed_at.value(row);
            let closed_at = CloseTime::from_unix_micros(micros)
                .ok_or_else(|| refuse(format!("close time {micros} us of ledger {ledger}")))?;
            let event = events.map_or(0, |events| events.value(row));
            let position = Position { ledger, event, closed_at };
            self.kind.check_next(&self.range, last, position).map_err(refuse)?;
            self.first.get_or_insert(position);
            last = Some(position);
        }
        self.last = last;
        Ok(())
    }
}

#[cfg(feature = "seeded-bugs")]
fn one_a_transaction(rows: &[TokenTransfer]) -> Vec<TokenTransfer> {
    let mut rows = rows.to_vec();
    rows.dedup_by_key(|row| row.tx_hash);
    rows
}

impl TableKind {
    /// Whether a row may come after another.
    fn check_next(
        self,
        range: &RangeInclusive<LedgerSequence>,
        last: Option<Position>,
        next: Position,
    ) -> Result<(), String> {
        if !range.contains(&next.ledger) {
            return Err(format!("a row of ledger {} is not of this slot", next.ledger));
        }
        let Some(last) = last else {
            let is_first = self == Self::TokenTransfers || next.ledger == *range.start();
            return if is_first { Ok(()) } else { Err(format!("it begins with ledger {}", next.ledger)) };
        };
        let is_next = match self {
            Self::Ledgers => Some(next.ledger) == last.ledger.next(),
            Self::TokenTransfers => (next.ledger, next.event) > (last.ledger, last.event),
        };
        if !is_next || next.closed_at < last.closed_at {
            return Err(format!(
                "ledger {} event {} comes after ledger {} event {}",
                next.ledger, next.event, last.ledger, last.event
            ));
        }
        Ok(())
    }
}

/// The batches of a data file. The error is for a person and does not name the file.
fn read_batches(bytes: Bytes) -> Result<ParquetRecordBatchReader, String> {
    let builder = ParquetRecordBatchReaderBuilder::try_new(bytes).map_err(|error| error.to_string())?;
    builder.with_batch_size(BATCH_ROWS).build().map_err(|error| error.to_string())
}

/// What the rows of a data file say.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct FileContent {
    pub(super) rows: u64,
    pub(super) digest: RowDigest,
}

/// Sees a batch, and its rows if they are those of `ledgers`; an error ends the reading.
pub(super) type EachBatch<'a> = dyn FnMut(&RecordBatch, &[Ledger]) -> Result<(), String> + 'a;

/// Decodes every row of a data file and adds up their hashes. `each` sees the batches, and the rows of `ledgers`.
pub(super) fn read_content(
    kind: TableKind,
    bytes: Bytes,
    range: &RangeInclusive<LedgerSequence>,
    each: &mut EachBatch<'_>,
) -> Result<FileContent, String> {
    let mut content = FileContent { rows: 0, digest: RowDigest::default() };
    let mut last_position: Option<(LedgerSequence, u32)> = None;
    let mut advance = |position: (LedgerSequence, u32)| {
        if !range.contains(&position.0) {
            return Err(format!("it has a row of ledger {}", position.0));
        }
        if last_position.is_some_and(|last| last >= position) {
            return Err(format!("its rows are not in order at ledger {}", position.0));
        }
        last_position = Some(position);
        Ok(())
    };
    for batch in read_batches(bytes)? {
        let batch = batch.map_err(|error| error.to_string())?;
        content.rows += batch.num_rows() as u64;
        let ledgers = match kind {
            TableKind::TokenTransfers => {
                let rows = token_transfers_from_batch(&batch).map_err(|error| error.to_string())?;
                for row in &rows {
                    advance((row.ledger_sequence, row.ledger_event_index))?;
                }
                content.digest.add(&RowDigest::of(&rows));
                Vec::new()
            }
            TableKind::Ledgers => {
                let ledgers = ledgers_from_batch(&batch).map_err(|error| error.to_string())?;
                for ledger in &ledgers {
                    advance((ledger.sequence, 0))?;
                }
                content.digest.add(&ledgers_digest(&ledgers));
                ledgers
            }
        };
        each(&batch, &ledgers)?;
    }
    Ok(content)
}

#[cfg(test)]
mod tests;
