//! Ledgers as frames: what one object holds becomes one batch after another, each of whole ledgers.
//!
//! The receiving node makes of a frame what its own fetcher would have sent, so that whatever becomes of it there, proof,
//! quarantine or alarm, has the same evidence. Where an object does not hold what it should, the object itself travels.

use std::ops::RangeInclusive;
use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, AsArray, BinaryArray, FixedSizeBinaryBuilder, Int32Builder, Int64Builder, RecordBatch,
    TimestampMicrosecondBuilder,
};
use arrow::buffer::{Buffer, MutableBuffer, OffsetBuffer};
use arrow::datatypes::Int64Type;
use arrow::error::ArrowError;
use bytes::Bytes;
use orrery_schemas::{CloseTime, LedgerSequence, ledger_close_metas_schema};
use tokio::sync::OwnedSemaphorePermit;

use super::error::ExchangeError;
use super::header_wire::{Body, OriginWire, hash};
use super::ipc::{self, Encoder, Message};
use super::limits::{FRAME_BYTES_MAX, FRAME_BYTES_TARGET};
use crate::ledger::{HeaderSummary, peek_header};
use crate::source::{ChunkLedgers, ChunkOrigin, FetchedObject, LedgerChunk, ObjectFingerprint, RawLedger};

/// Names the batch in errors.
const WHAT: &str = "ledgers";

/// Most bytes of an object whose frame is made at once: a copy of fewer takes less than to have another thread make it.
const QUICK_BYTES_MAX: usize = 2 << 20;

/// More than the columns beside a ledger, and what describes them, take of a frame.
const HEAD_BYTES_MAX: usize = 4 << 10;

/// The ledgers of one object, one frame after another.
pub(super) struct ChunkFrames {
    run: u64,
    chunk: LedgerChunk,
    ledgers: ChunkLedgers,
    /// Read, and too much for the frame before.
    held_over: Option<RawLedger>,
    /// The first ledger that is in no frame; `None` when all are.
    due: Option<LedgerSequence>,
}

/// A frame that has no number yet.
#[derive(Debug)]
pub(super) struct Frame {
    pub(super) body: Body,
    pub(super) message: Message,
}

impl ChunkFrames {
    /// Nothing is read yet.
    pub(super) fn new(run: u64, chunk: LedgerChunk) -> Self {
        let (ledgers, due) = (chunk.ledgers(), Some(*chunk.range.start()));
        Self { run, chunk, ledgers, held_over: None, due }
    }

    /// Whether the next frame takes hardly more than a look: it is the object, and not large.
    pub(super) fn is_quick(&self) -> bool {
        self.chunk.bytes.len() <= QUICK_BYTES_MAX && self.chunk.is_one_ledger()
    }

    /// The run that its ledgers were asked for in.
    pub(super) fn run(&self) -> u64 {
        self.run
    }

    /// From the fetch on.
    pub(super) fn trace(&self) -> &tracing::Span {
        &self.chunk.trace
    }

    /// The next frame. Decompresses and copies: work for [`work_on`](super::link::work_on).
    ///
    /// # Errors
    ///
    /// [`ExchangeError::TooLarge`] if one ledger, or an object that is the evidence of an error, does not fit.
    pub(super) fn next(&mut self, encoder: &mut Encoder) -> Result<Option<Frame>, ExchangeError> {
        let Some(first) = self.due else { return Ok(None) };
        let mut rows = Rows::default();
        if self.chunk.is_one_ledger() && self.chunk.bytes.len() <= FRAME_BYTES_MAX - HEAD_BYTES_MAX {
            return self.one_ledger(first, rows, encoder).map(Some);
        }
        let last = *self.chunk.range.end();
        loop {
            let ledger = match self.held_over.take().map(Ok).or_else(|| self.ledgers.next()) {
                Some(Ok(ledger)) => ledger,
                // Also one behind the last ledger: the frame with that ledger is then the object.
                Some(Err(_)) => return self.object(first).map(Some),
                None => {
                    self.due = None;
                    return self.frame(first..=last, rows, encoder).map(Some);
                }
            };
            let bytes = ledger.xdr.len();
            if bytes > FRAME_BYTES_MAX {
                let what = format!("ledger {} in {}", ledger.sequence, self.chunk.file);
                return Err(ExchangeError::TooLarge { what, bytes, max: FRAME_BYTES_MAX });
            }
            if !rows.ledgers.is_empty() && rows.bytes + bytes > FRAME_BYTES_TARGET {
                let until = LedgerSequence(ledger.sequence.0 - 1);
                self.due = Some(ledger.sequence);
                self.held_over = Some(ledger);
                return self.frame(first..=until, rows, encoder).map(Some);
            }
            if !rows.add(ledger) {
                return self.object(first).map(Some);
            }
        }
    }

    /// The frame of an object that is a ledger and nothing else, as far as its head tells. It is read by whoever receives
    /// it: what is wrong with it shows there as it would here, and the frame has the evidence, byte for byte.
    fn one_ledger(
        &mut self,
        sequence: LedgerSequence,
        mut rows: Rows,
        encoder: &mut Encoder,
    ) -> Result<Frame, ExchangeError> {
        let (file, xdr) = (self.chunk.file.clone(), self.chunk.bytes.clone());
        if !rows.add(RawLedger { file, chain: 0, offset: 0, sequence, xdr }) {
            return self.object(sequence);
        }
        self.due = None;
        self.frame(sequence..=sequence, rows, encoder)
    }

    fn frame(
        &self,
        range: RangeInclusive<LedgerSequence>,
        rows: Rows,
        encoder: &mut Encoder,
    ) -> Result<Frame, ExchangeError> {
        let is_whole = rows.are(&self.chunk.bytes);
        let message = encoder.encode(WHAT, &rows.finish()?)?;
        let (first, last, bytes) = (range.start().0, range.end().0, message.bytes);
        if bytes > FRAME_BYTES_MAX {
            let what = format!("ledgers {first} to {last} in {}", self.chunk.file);
            return Err(ExchangeError::TooLarge { what, bytes, max: FRAME_BYTES_MAX });
        }
        let body = Body::Ledgers { run: self.run, first, last, bytes, origin: self.origin(is_whole) };
        Ok(Frame { body, message })
    }

    /// The rest of the object, as it was fetched.
    fn object(&mut self, first: LedgerSequence) -> Result<Frame, ExchangeError> {
        self.due = None;
        let body = self.chunk.bytes.clone();
        let bytes = body.len();
        if bytes > FRAME_BYTES_MAX {
            let what =
                format!("object {}, which does not hold ledger {first} as it should,", self.chunk.file);
            return Err(ExchangeError::TooLarge { what, bytes, max: FRAME_BYTES_MAX });
        }
        let (last, named) = (self.chunk.range.end().0, self.chunk.named());
        let named = (named.start().0, named.end().0);
        let body_of =
            Body::Object { run: self.run, first: first.0, last, named, bytes, origin: self.origin(true) };
        Ok(Frame { body: body_of, message: Message { header: Bytes::new(), body, bytes } })
    }

    /// Whoever gets all bytes of the object can hash them, and does if anybody asks.
    fn origin(&self, is_whole: bool) -> OriginWire {
        OriginWire {
            source: self.chunk.source,
            lake: self.chunk.lake().to_string(),
            file: self.chunk.file.to_string(),
            fingerprint: (!is_whole).then(|| self.chunk.fingerprint().to_string()),
        }
    }
}

/// Ledgers that make a batch.
#[derive(Default)]
struct Rows {
    /// Of the ledgers themselves.
    bytes: usize,
    ledgers: Vec<(RawLedger, HeaderSummary, CloseTime)>,
}

impl Rows {
    /// Whether the ledger has a header that the columns can hold; nothing is added if not.
    fn add(&mut self, ledger: RawLedger) -> bool {
        let Some(header) = peek_header(&ledger.xdr) else { return false };
        let Some(closed_at) = CloseTime::from_unix_seconds(header.closed_at) else { return false };
        if i32::try_from(header.protocol_version).is_err() {
            return false;
        }
        self.bytes += ledger.xdr.len();
        self.ledgers.push((ledger, header, closed_at));
        true
    }

    /// Whether these are the bytes, one ledger behind the other.
    fn are(&self, bytes: &[u8]) -> bool {
        let mut rest = bytes;
        self.bytes == bytes.len()
            && self.ledgers.iter().all(|(ledger, ..)| {
                let (head, tail) = rest.split_at(ledger.xdr.len());
                rest = tail;
                // Parts of an object that is not compressed are not compared byte for byte.
                std::ptr::eq(head, &*ledger.xdr) || head == ledger.xdr
            })
    }

    fn finish(self) -> Result<RecordBatch, ExchangeError> {
        let refuse = |error: ArrowError| ExchangeError::Batch { what: WHAT, problem: error.to_string() };
        let count = self.ledgers.len();
        let mut sequence = Int64Builder::with_capacity(count);
        let mut closed_ats = TimestampMicrosecondBuilder::with_capacity(count).with_timezone("UTC");
        let mut hash = FixedSizeBinaryBuilder::with_capacity(count, 32);
        let mut previous_hash = FixedSizeBinaryBuilder::with_capacity(count, 32);
        let mut protocol_version = Int32Builder::with_capacity(count);
        for (ledger, header, closed_at) in &self.ledgers {
            sequence.append_value(ledger.sequence.0.into());
            closed_ats.append_value(closed_at.unix_micros());
            hash.append_value(header.hash.0).map_err(refuse)?;
            previous_hash.append_value(header.previous_hash.0).map_err(refuse)?;
            protocol_version.append_value(header.protocol_version as i32);
        }
        let columns: Vec<ArrayRef> = vec![
            Arc::new(sequence.finish()),
            Arc::new(closed_ats.finish()),
            Arc::new(hash.finish()),
            Arc::new(previous_hash.finish()),
            Arc::new(protocol_version.finish()),
            Arc::new(self.xdr().map_err(refuse)?),
        ];
        RecordBatch::try_new(ledger_close_metas_schema(), columns).map_err(refuse)
    }

    /// The ledgers' own column. That of one ledger is the ledger where it lies.
    fn xdr(self) -> Result<BinaryArray, ArrowError> {
        let offsets = OffsetBuffer::from_lengths(self.ledgers.iter().map(|(ledger, ..)| ledger.xdr.len()));
        let values = match &self.ledgers[..] {
            [(ledger, ..)] => Buffer::from(ledger.xdr.clone()),
            ledgers => {
                let mut values = MutableBuffer::with_capacity(self.bytes);
                ledgers.iter().for_each(|(ledger, ..)| values.extend_from_slice(&ledger.xdr));
                values.into()
            }
        };
        BinaryArray::try_new(offsets, values, None)
    }
}

/// Bytes of a frame, which hold their part of the window until the last of them is dropped.
struct Held {
    bytes: Buffer,
    _permit: OwnedSemaphorePermit,
}

impl AsRef<[u8]> for Held {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

/// What a frame of ledgers says of itself.
pub(super) struct Received {
    pub(super) range: RangeInclusive<LedgerSequence>,
    pub(super) bytes: usize,
    pub(super) origin: OriginWire,
}

/// The ledgers of a frame, as a store would have given them.
pub(super) fn ledgers(
    received: Received,
    message: Message,
    permit: OwnedSemaphorePermit,
) -> Result<LedgerChunk, ExchangeError> {
    let Received { range, bytes, origin } = received;
    let refuse = |problem: String| ExchangeError::Batch { what: WHAT, problem };
    let schema = ledger_close_metas_schema();
    let batch = ipc::decode(WHAT, &message.header, message.body, &schema, bytes)?;
    let (first, last) = (range.start().0, range.end().0);
    let due = i64::from(first)..=i64::from(last);
    let (sequences, ledgers) =
        (batch.column(0).as_primitive::<Int64Type>(), batch.column(5).as_binary::<i32>());
    if !sequences.values().iter().copied().eq(due) || ledgers.null_count() > 0 {
        return Err(refuse(format!("they are not {first} to {last}, one a row")));
    }
    let offsets = ledgers.value_offsets();
    let (Some(from), Some(until)) = (offsets.first(), offsets.last()) else {
        return Err(refuse("there are none".to_owned()));
    };
    let bytes = ledgers.values().slice_with_length(*from as usize, (until - from) as usize);
    let bytes = Bytes::from_owner(Held { bytes, _permit: permit });
    let fingerprint = origin.fingerprint.as_deref().map(hash).transpose()?.map(ObjectFingerprint);
    let origin = ChunkOrigin { file: origin.file.into(), source: origin.source, lake: origin.lake.into() };
    Ok(LedgerChunk::received(origin, range, bytes, fingerprint))
}

/// The object of a frame, with the ledgers that are due of it.
pub(super) fn object(
    received: Received,
    named: RangeInclusive<LedgerSequence>,
    message: Message,
    permit: OwnedSemaphorePermit,
) -> Result<LedgerChunk, ExchangeError> {
    let Received { range, bytes, origin } = received;
    if message.body.len() > bytes || range.is_empty() {
        let problem = format!("{} bytes came where {bytes} were announced", message.body.len());
        return Err(ExchangeError::Batch { what: "an object", problem });
    }
    let bytes = Bytes::from_owner(Held { bytes: message.body.into(), _permit: permit });
    let object = FetchedObject { file: origin.file.into(), named, range, bytes };
    Ok(LedgerChunk::new(object, origin.source, origin.lake.into(), None))
}
