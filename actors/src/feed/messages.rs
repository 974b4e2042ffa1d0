//! Rows as Arrow IPC messages, each with the cursor behind it: for readers that take record batches and go on where they
//! were, as over Arrow Flight.

use arrow::array::{Array, ArrayRef, AsArray, RecordBatch};
use arrow::datatypes::{Int32Type, Int64Type, SchemaRef};
use arrow::ipc::writer::StreamWriter;
use bytes::Bytes;
use orrery_schemas::{Cursor, LedgerSequence};

use super::frames::Frame;
use crate::dataset::TableKind;

/// Bytes of a message, about. Larger ones cost memory for each reader, and many clients refuse over 4 MiB unless told
/// otherwise; smaller ones cost work for each.
const MESSAGE_BYTES: usize = 1 << 20;

/// Stands in front of a message in a stream of Arrow IPC: a mark, and the length of the header.
const PREFIX_BYTES: usize = 8;

/// Ends a stream of Arrow IPC.
const END_BYTES: usize = 8;

/// One message: a schema, or some rows.
#[derive(Clone, Debug)]
pub struct RowMessage {
    /// `Message.fbs`.
    pub header: Bytes,
    /// The buffers.
    pub body: Bytes,
    /// Where a reader stands that has it; `None` where it has no rows.
    pub cursor: Option<Cursor>,
}

/// Rows cannot be encoded: a defect, or a file that is not what it should be.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("encode rows of {table}: {reason}")]
pub struct RowMessageError {
    table: &'static str,
    reason: String,
}

/// Encodes rows of one table, as they are stored.
pub struct RowEncoder {
    table: TableKind,
    schema: SchemaRef,
    writer: StreamWriter<Vec<u8>>,
    /// The schema as it begins a stream.
    head: Bytes,
}

impl RowEncoder {
    /// Of a table.
    ///
    /// # Errors
    ///
    /// [`RowMessageError`], which our schemas do not cause.
    pub fn new(table: TableKind) -> Result<Self, RowMessageError> {
        let schema = table.schema();
        let writer = StreamWriter::try_new(Vec::new(), &schema);
        let mut writer = writer.map_err(|error| wrong(table, error))?;
        let head = std::mem::take(writer.get_mut()).into();
        Ok(Self { table, schema, writer, head })
    }

    /// The schema as a stream of Arrow IPC begins with it.
    pub fn head(&self) -> &Bytes {
        &self.head
    }

    /// The schema as a message.
    pub fn schema(&self) -> RowMessage {
        RowMessage { header: self.head.slice(PREFIX_BYTES..), body: Bytes::new(), cursor: None }
    }

    /// A message without rows.
    ///
    /// # Errors
    ///
    /// As [`Self::encode`].
    pub fn nothing(&mut self) -> Result<RowMessage, RowMessageError> {
        self.message(&RecordBatch::new_empty(self.schema.clone()))
    }

    /// The messages of rows in the table's stored form and order. Copies: blocking work.
    ///
    /// # Errors
    ///
    /// [`RowMessageError`].
    pub fn encode(&mut self, rows: &RecordBatch) -> Result<Vec<RowMessage>, RowMessageError> {
        let count = rows.num_rows();
        let parts = bytes_of(rows).div_ceil(MESSAGE_BYTES).clamp(1, count.max(1));
        let rows_of_part = count.div_ceil(parts).max(1);
        let starts = (0..count).step_by(rows_of_part);
        starts.map(|start| self.message(&rows.slice(start, rows_of_part.min(count - start)))).collect()
    }

    fn message(&mut self, rows: &RecordBatch) -> Result<RowMessage, RowMessageError> {
        let table = self.table;
        self.writer.write(rows).map_err(|error| wrong(table, error))?;
        let message = Bytes::from(std::mem::take(self.writer.get_mut()));
        let (header, body) = split(&message).ok_or_else(|| wrong(table, "its message has no header"))?;
        let cursor = match rows.num_rows().checked_sub(1) {
            Some(last) => Some(place(table, rows, last).ok_or_else(|| wrong(table, "a row has no place"))?),
            None => None,
        };
        Ok(RowMessage { header, body, cursor })
    }
}

impl Frame {
    /// The rows of a frame in Arrow's form, without a copy; `None` of any other.
    pub fn rows(&self) -> Option<RowMessage> {
        let message = self.body.slice(..self.body.len().checked_sub(END_BYTES)?);
        let (header, body) = split(&message)?;
        Some(RowMessage { header, body, cursor: Some(self.cursor) })
    }
}

/// Header and body of a message as it stands in a stream.
fn split(message: &Bytes) -> Option<(Bytes, Bytes)> {
    let prefix = message.get(..PREFIX_BYTES)?;
    if prefix.get(..4)? != [0xff; 4] {
        return None;
    }
    let length = u32::from_le_bytes(prefix.get(4..)?.try_into().ok()?) as usize;
    let end = PREFIX_BYTES.checked_add(length).filter(|end| *end <= message.len())?;
    Some((message.slice(PREFIX_BYTES..end), message.slice(end..)))
}

/// Bytes that the message of a batch takes, about.
fn bytes_of(rows: &RecordBatch) -> usize {
    let column = |column: &ArrayRef| column.to_data().get_slice_memory_size().unwrap_or(0);
    rows.columns().iter().map(column).sum()
}

/// Where a row stands.
fn place(table: TableKind, rows: &RecordBatch, row: usize) -> Option<Cursor> {
    let name = match table {
        TableKind::TokenTransfers => "ledger_sequence",
        TableKind::Ledgers => "sequence",
    };
    let ledgers = rows.column_by_name(name)?.as_primitive_opt::<Int64Type>()?;
    let ledger = LedgerSequence(u32::try_from(*ledgers.values().get(row)?).ok()?);
    if table == TableKind::Ledgers {
        return Some(Cursor::behind(ledger));
    }
    let events = rows.column_by_name("ledger_event_index")?.as_primitive_opt::<Int32Type>()?;
    let event = u32::try_from(*events.values().get(row)?).ok()?;
    Some(Cursor { ledger, event: Some(event) })
}

fn wrong(table: TableKind, reason: impl ToString) -> RowMessageError {
    RowMessageError { table: table.as_str(), reason: reason.to_string() }
}

#[cfg(test)]
mod tests;
