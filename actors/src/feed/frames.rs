//! A ledger's events as bytes that go to many readers: what is the same for all of them. What names the subscription goes
//! before it and is small.
//!
//! | format | head, of each subscription | body, of all that want the same |
//! |---|---|---|
//! | JSON | `{"type":"events","id":"a",` | `"ledger":...,"events":[...],"cursor":"..."}` |
//! | Arrow | the schema message, whose metadata name subscription and cursor | dictionaries, record batch, end of stream |

use std::io::Write;
use std::sync::Arc;

use arrow::array::{Array, AsArray, BooleanArray, RecordBatch};
use arrow::compute::{and, filter_record_batch};
use arrow::datatypes::{Int32Type, SchemaRef};
use arrow::error::ArrowError;
use arrow::ipc::writer::StreamWriter;
use bytes::Bytes;
use orrery_schemas::{
    BatchError, Cursor, EventFilter, token_transfers_from_batch, token_transfers_stored_schema,
};
use orrery_supervisor::seeded_bug;

use super::ledger::FeedLedger;
use crate::columnar::at_rest;

/// Most events of one frame: about 300 KB of JSON. A reader that goes away in the middle of a ledger goes on in it, and
/// what a slow reader holds up stays small.
pub const FRAME_EVENTS_MAX: usize = 500;

/// Metadata keys of an Arrow frame.
const ID_KEY: &str = "orrery.feed.id";
const CURSOR_KEY: &str = "orrery.feed.cursor";

/// How events are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Format {
    /// Text.
    Json,
    /// An Arrow IPC stream a frame.
    Arrow,
}

/// Some events of one ledger, without the part that names the subscription.
#[derive(Clone, Debug)]
pub struct Frame {
    /// See the table above.
    pub body: Bytes,
    /// Where a reader stands that has it.
    pub cursor: Cursor,
    /// Its events.
    pub count: usize,
}

/// Rows that should be sound are not: a defect.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("encode events of ledger {ledger}: {reason}")]
pub struct FrameError {
    ledger: u32,
    reason: String,
}

/// The events of a ledger that match, from `from_event` on. None at all if none match.
pub(super) fn frames(
    ledger: &FeedLedger,
    filter: &EventFilter,
    format: Format,
    from_event: u32,
) -> Result<Arc<[Frame]>, FrameError> {
    let wrong = |reason: String| FrameError { ledger: ledger.sequence().0, reason };
    let rows = wanted(&ledger.rows, filter, from_event).map_err(wrong)?;
    let mut frames = Vec::new();
    let mut start = 0;
    while start < rows.num_rows() {
        let part = rows.slice(start, FRAME_EVENTS_MAX.min(rows.num_rows() - start));
        start += part.num_rows();
        let event = match start < rows.num_rows() {
            true => Some(last_event(&part).map_err(wrong)?),
            false => None,
        };
        let cursor = Cursor { ledger: ledger.sequence(), event };
        let body = match format {
            Format::Json => json(ledger, &part, cursor).map_err(|error| wrong(error.to_string()))?,
            Format::Arrow => {
                // What comes from a processor has dictionaries, what comes from a file has not.
                let part = at_rest(&part, &token_transfers_stored_schema()).map_err(wrong)?;
                arrow(&part).map_err(|error| wrong(error.to_string()))?
            }
        };
        frames.push(Frame { body: body.into(), cursor, count: part.num_rows() });
    }
    Ok(frames.into())
}

fn wanted(rows: &RecordBatch, filter: &EventFilter, from_event: u32) -> Result<RecordBatch, String> {
    let mut is_wanted: Option<BooleanArray> = None;
    if !filter.is_all() {
        is_wanted = Some(filter.matches(rows).map_err(|error| error.to_string())?);
    }
    if from_event > 0 {
        let events = events(rows)?;
        let from = seeded_bug!(B8, i64::from(from_event) + 1, i64::from(from_event));
        let after: BooleanArray =
            events.iter().map(|event| event.map(|event| i64::from(event) >= from)).collect();
        is_wanted = Some(match is_wanted {
            Some(before) => and(&before, &after).map_err(|error| error.to_string())?,
            None => after,
        });
    }
    match is_wanted {
        None => Ok(rows.clone()),
        Some(is_wanted) => filter_record_batch(rows, &is_wanted).map_err(|error| error.to_string()),
    }
}

fn events(rows: &RecordBatch) -> Result<&arrow::array::Int32Array, String> {
    let events =
        rows.column_by_name("ledger_event_index").and_then(|events| events.as_primitive_opt::<Int32Type>());
    events.filter(|events| events.null_count() == 0).ok_or_else(|| "no column ledger_event_index".to_owned())
}

fn last_event(rows: &RecordBatch) -> Result<u32, String> {
    let events = events(rows)?;
    let last = events.values().last().copied().and_then(|event| u32::try_from(event).ok());
    last.ok_or_else(|| "an event without a place".to_owned())
}

fn json(ledger: &FeedLedger, rows: &RecordBatch, cursor: Cursor) -> Result<Vec<u8>, JsonError> {
    let head = &ledger.ledger;
    let mut body = Vec::with_capacity(600 * rows.num_rows() + 256);
    write!(
        body,
        r#""ledger":{},"closed_at":"{}","ledger_hash":"{}","previous_ledger_hash":"{}","count":{},"events":"#,
        head.sequence,
        head.closed_at,
        head.hash,
        head.previous_hash,
        rows.num_rows()
    )?;
    serde_json::to_writer(&mut body, &token_transfers_from_batch(rows)?)?;
    write!(body, r#","cursor":"{cursor}"}}"#)?;
    body.shrink_to_fit();
    Ok(body)
}

#[derive(Debug, thiserror::Error)]
enum JsonError {
    #[error(transparent)]
    Rows(#[from] BatchError),
    #[error(transparent)]
    Json(#[from] serde_json::Error),
    #[error(transparent)]
    Write(#[from] std::io::Error),
}

/// What comes after the schema message in the stream of one batch.
fn arrow(rows: &RecordBatch) -> Result<Vec<u8>, ArrowError> {
    let mut writer = StreamWriter::try_new(Vec::new(), &rows.schema())?;
    let head = writer.get_ref().len();
    writer.write(rows)?;
    writer.finish()?;
    let mut stream = writer.into_inner()?;
    stream.drain(..head);
    stream.shrink_to_fit();
    Ok(stream)
}

/// The schema message of a subscription's frame.
///
/// # Errors
///
/// [`ArrowError`], which the schema of the table does not cause.
pub fn arrow_head(id: &str, cursor: Cursor) -> Result<Bytes, ArrowError> {
    let schema: SchemaRef = token_transfers_stored_schema();
    let mut schema = schema.as_ref().clone();
    schema.metadata.insert(ID_KEY.to_owned(), id.to_owned());
    schema.metadata.insert(CURSOR_KEY.to_owned(), cursor.to_string());
    let writer = StreamWriter::try_new(Vec::new(), &schema)?;
    Ok(Bytes::copy_from_slice(writer.get_ref()))
}
