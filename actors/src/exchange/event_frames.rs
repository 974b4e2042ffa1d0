//! Events as frames: a batch becomes parts of whole ledgers, and a part two frames, the ledgers' rows and their events.

use std::ops::RangeInclusive;

use arrow::array::{Array, AsArray, RecordBatch};
use arrow::datatypes::Int64Type;
use bytes::Bytes;
use orrery_schemas::{
    Ledger, LedgerSequence, ledgers_from_batch, ledgers_schema, ledgers_to_batch,
    token_transfers_stored_schema,
};

use super::error::ExchangeError;
use super::header_wire::Body;
use super::ipc::{self, Encoder, Message};
use super::ledger_frames::Frame;
use super::limits::{Compression, FRAME_BYTES_MAX, FRAME_BYTES_TARGET, QUICK_BYTES_MAX};
use crate::columnar::at_rest;
use crate::envelope::EventBatch;

/// Bytes of one row of `ledgers`, a little more than they are.
const LEDGER_ROW_BYTES: usize = 256;

/// Bytes that one event's words take as text, where they are a dictionary in memory.
const WORDS_BYTES: usize = 64;

/// How a batch is split: first and last ledger of each part.
pub(super) fn parts(batch: &EventBatch) -> Result<Vec<RangeInclusive<LedgerSequence>>, ExchangeError> {
    let mut parts = Vec::new();
    let Some(range) = batch.range() else { return Ok(parts) };
    // Halves are looked at front first: parts come out in order.
    let mut waiting = vec![range];
    while let Some(range) = waiting.pop() {
        let bytes = bytes_of(&batch.within(&range));
        let (first, last) = (range.start().0, range.end().0);
        if bytes <= FRAME_BYTES_TARGET {
            parts.push(range);
        } else if first < last {
            let middle = first + (last - first) / 2;
            waiting.push(LedgerSequence(middle + 1)..=*range.end());
            waiting.push(*range.start()..=LedgerSequence(middle));
        } else if bytes <= FRAME_BYTES_MAX {
            parts.push(range);
        } else {
            let what = format!("ledger {first} with its events");
            return Err(ExchangeError::TooLarge { what, bytes, max: FRAME_BYTES_MAX });
        }
    }
    Ok(parts)
}

/// Bytes of a batch, not compressed.
fn bytes_of(batch: &EventBatch) -> usize {
    let columns = batch.rows.columns().iter();
    let rows: usize =
        columns.map(|column| column.to_data().get_slice_memory_size().unwrap_or(usize::MAX / 64)).sum();
    rows + batch.rows.num_rows() * WORDS_BYTES + batch.ledgers.len() * LEDGER_ROW_BYTES
}

/// Encodes parts: the ledgers' rows and their events.
#[derive(Default)]
pub(super) struct PartEncoder {
    ledgers: Encoder,
    rows: Encoder,
}

impl PartEncoder {
    pub(super) fn new(compression: Compression) -> Self {
        Self { ledgers: Encoder::new(compression), rows: Encoder::new(compression) }
    }

    /// Whether to encode a part is little more than to copy it, and it is not large.
    pub(super) fn is_quick(&self, part: &EventBatch) -> bool {
        self.rows.only_copies() && bytes_of(part) <= QUICK_BYTES_MAX
    }
}

/// The two frames of a part. Copies, and may compress: work for [`work_on`](super::link::work_on).
///
/// # Errors
///
/// [`ExchangeError::TooLarge`] if they are larger together than a frame may be.
pub(super) fn encode(part: &EventBatch, encoder: &mut PartEncoder) -> Result<[Frame; 2], ExchangeError> {
    let (Some(first), Some(last)) = (part.ledgers.first(), part.ledgers.last()) else {
        return Err(ExchangeError::Batch { what: "events", problem: "there are no ledgers".to_owned() });
    };
    let (first, last) = (first.sequence.0, last.sequence.0);
    let ledgers = encoder.ledgers.encode("ledgers", &ledgers_to_batch(&part.ledgers)?)?;
    let rows = at_rest(&part.rows, &token_transfers_stored_schema());
    let rows = rows.map_err(|problem| ExchangeError::Batch { what: "events", problem })?;
    let rows = encoder.rows.encode("events", &rows)?;
    let bytes = ledgers.bytes + rows.bytes;
    if bytes > FRAME_BYTES_MAX {
        let what = format!("ledgers {first} to {last} with their events");
        return Err(ExchangeError::TooLarge { what, bytes, max: FRAME_BYTES_MAX });
    }
    let ledgers = Frame { body: Body::Events { first, last, bytes: ledgers.bytes }, message: ledgers };
    Ok([ledgers, Frame { body: Body::Rows { bytes: rows.bytes }, message: rows }])
}

/// The rows of `ledgers` of the first frame of a part.
pub(super) fn decode_ledgers(
    range: &RangeInclusive<LedgerSequence>,
    message: Message,
) -> Result<Vec<Ledger>, ExchangeError> {
    let batch =
        ipc::decode("ledgers", &message.header, even(&message.body), &ledgers_schema(), message.bytes)?;
    let ledgers = ledgers_from_batch(&batch)?;
    let due = range.start().0..=range.end().0;
    if !ledgers.iter().map(|ledger| ledger.sequence.0).eq(due) {
        let problem = format!("they are not {} to {}, one a row", range.start(), range.end());
        return Err(ExchangeError::Batch { what: "ledgers", problem });
    }
    Ok(ledgers)
}

/// The events of the second frame of a part, which must be those of its ledgers.
pub(super) fn decode_rows(ledgers: &[Ledger], message: Message) -> Result<RecordBatch, ExchangeError> {
    let schema = token_transfers_stored_schema();
    let rows = ipc::decode("events", &message.header, even(&message.body), &schema, message.bytes)?;
    let column = rows.column(0).as_primitive::<Int64Type>();
    let mut rest: &[i64] = column.values();
    let are_due = ledgers.iter().all(|ledger| {
        let Some((of_it, behind)) = rest.split_at_checked(ledger.event_count as usize) else { return false };
        rest = behind;
        let sequence = i64::from(ledger.sequence.0);
        // Without a way out between them, many are compared at a time.
        of_it.iter().fold(true, |all, found| all & (*found == sequence))
    });
    if column.null_count() > 0 || !are_due || !rest.is_empty() {
        let problem = "they are not as many of each ledger as its row says".to_owned();
        return Err(ExchangeError::Batch { what: "events", problem });
    }
    Ok(rows)
}

/// The same bytes where columns lie even in memory, in one copy instead of one for each column.
fn even(body: &Bytes) -> Bytes {
    Bytes::from_owner(arrow::buffer::Buffer::from(&body[..]))
}
