//! One record batch as the header and the body of an Arrow IPC message, and back: what comes from another node is
//! measured before the library reads it, so that nothing it says costs more than its frame was granted.

use std::collections::HashMap;
use std::io;

use arrow::array::{Array, ArrayRef, RecordBatch};
use arrow::buffer::Buffer;
use arrow::datatypes::{DataType, Schema, SchemaRef};
use arrow::error::ArrowError;
use arrow::ipc::reader::RecordBatchDecoder;
use arrow::ipc::writer::{IpcWriteOptions, StreamWriter};
use arrow::ipc::{CompressionType, root_as_message};
use bytes::{Buf, Bytes, BytesMut};

use super::error::ExchangeError;
use super::limits::{Compression, OUTGOING_FRAMES, QUICK_BYTES_MAX};

/// Stands in front of a compressed buffer that is not compressed after all.
const NOT_COMPRESSED: i64 = -1;

/// Bytes of the length in front of a compressed buffer.
const LENGTH_BYTES: usize = 8;

/// An IPC message.
#[derive(Clone, Debug)]
pub(super) struct Message {
    /// `Message.fbs`.
    pub(super) header: Bytes,
    /// The buffers.
    pub(super) body: Bytes,
    /// Bytes of it in memory, neither compressed nor shared.
    pub(super) bytes: usize,
}

impl Message {
    /// Whether to decode it is no more than to look at what is not compressed, and not much of that.
    pub(super) fn is_quick(&self) -> bool {
        self.bytes <= QUICK_BYTES_MAX && !self.is_compressed()
    }

    /// Whether its buffers are, or may be.
    pub(super) fn is_compressed(&self) -> bool {
        let batch = root_as_message(&self.header).ok().and_then(|message| message.header_as_record_batch());
        batch.is_some_and(|batch| batch.compression().is_some())
    }
}

/// Messages of one stream that are not yet copied to its connection: one that waits for the window, one that is queued, and
/// one that is taken up.
const ROOMS: usize = OUTGOING_FRAMES + 2;

/// More than what describes a batch, and pads a buffer of it, takes.
const HEADER_BYTES: usize = 4 << 10;
const PADDING_BYTES: usize = 64;

/// Stands in front of a message in a stream of Arrow IPC: a mark, and the length of the header.
const PREFIX_BYTES: usize = 8;

/// Encodes the batches of one schema of one stream. Each is written to where an earlier one was that has gone: a fresh MiB
/// for every frame costs more than to fill it.
#[derive(Default)]
pub(super) struct Encoder {
    compression: Compression,
    /// From the first batch on.
    writer: Option<StreamWriter<Rooms>>,
}

/// Where messages are written to, in turns.
#[derive(Default)]
struct Rooms {
    rooms: [BytesMut; ROOMS],
    current: usize,
}

impl Rooms {
    fn turn(&mut self, bytes: usize) {
        self.current = (self.current + 1) % ROOMS;
        // Whatever is in it has been taken out; when it is gone, this is the same memory.
        self.rooms[self.current].reserve(bytes);
    }
}

impl io::Write for Rooms {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.rooms[self.current].extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Encoder {
    pub(super) fn new(compression: Compression) -> Self {
        Self { compression, writer: None }
    }

    /// Whether encoding is no more than copying.
    pub(super) fn only_copies(&self) -> bool {
        self.compression == Compression::None
    }

    /// Encodes a batch without dictionaries. `what` names it in errors.
    pub(super) fn encode(
        &mut self,
        what: &'static str,
        batch: &RecordBatch,
    ) -> Result<Message, ExchangeError> {
        let refuse = |error: ArrowError| ExchangeError::Batch { what, problem: error.to_string() };
        let mut writer = match self.writer.take() {
            Some(writer) => writer,
            None => self.begin(batch.schema_ref()).map_err(refuse)?,
        };
        writer.get_mut().turn(room_for(batch));
        writer.write(batch).map_err(refuse)?;
        let rooms = writer.get_mut();
        let message = rooms.rooms[rooms.current].split();
        self.writer = Some(writer);
        let Some((header, body)) = split(message) else {
            return Err(ExchangeError::Batch { what, problem: "its message has no header".to_owned() });
        };
        let bytes = measure(what, &header, &body, batch.schema_ref())?;
        Ok(Message { header, body, bytes })
    }

    fn begin(&self, schema: &Schema) -> Result<StreamWriter<Rooms>, ArrowError> {
        let codec = match self.compression {
            Compression::None => None,
            Compression::Lz4 => Some(CompressionType::LZ4_FRAME),
            Compression::Zstd => Some(CompressionType::ZSTD),
        };
        let options = IpcWriteOptions::default().try_with_compression(codec)?;
        let mut writer = StreamWriter::try_new_with_options(Rooms::default(), schema, options)?;
        // The schema, which both ends know.
        writer.get_mut().rooms[0].clear();
        Ok(writer)
    }
}

/// Bytes that the message of a batch takes, or a little more.
fn room_for(batch: &RecordBatch) -> usize {
    let column = |column: &ArrayRef| {
        let buffers = column.to_data().get_slice_memory_size().unwrap_or(0);
        buffers + column.len().div_ceil(8) + 3 * PADDING_BYTES
    };
    HEADER_BYTES + batch.columns().iter().map(column).sum::<usize>()
}

/// Header and body of a message as it stands in a stream.
fn split(mut message: BytesMut) -> Option<(Bytes, Bytes)> {
    let length = message.get(4..PREFIX_BYTES)?.try_into().ok().map(u32::from_le_bytes)? as usize;
    message.advance(PREFIX_BYTES);
    (length <= message.len()).then(|| (message.split_to(length).freeze(), message.freeze()))
}

/// The batch of a message, whose buffers are those of `body` where they are not compressed and lie even in memory.
pub(super) fn decode(
    what: &'static str,
    header: &[u8],
    body: Bytes,
    schema: &SchemaRef,
    bytes_max: usize,
) -> Result<RecordBatch, ExchangeError> {
    let bytes = measure(what, header, &body, schema)?;
    let refuse = |problem: String| ExchangeError::Batch { what, problem };
    if bytes > bytes_max {
        return Err(refuse(format!("it has {bytes} bytes, {bytes_max} were announced")));
    }
    let message = root_as_message(header).map_err(|error| refuse(error.to_string()))?;
    let Some(batch) = message.header_as_record_batch() else {
        return Err(refuse("it holds no rows".to_owned()));
    };
    let (body, version, none) = (Buffer::from(body), message.version(), HashMap::new());
    RecordBatchDecoder::try_new(&body, batch, schema.clone(), &none, &version)
        .and_then(RecordBatchDecoder::read_record_batch)
        .map_err(|error| refuse(error.to_string()))
}

/// Bytes that a message takes in memory, if all that it says of itself is so: that it has the columns of `schema`, each
/// with as many values as the batch has rows, in buffers that lie one behind the other inside of the body.
fn measure(what: &'static str, header: &[u8], body: &[u8], schema: &Schema) -> Result<usize, ExchangeError> {
    let refuse = |problem: String| Err(ExchangeError::Batch { what, problem });
    let message = match root_as_message(header) {
        Ok(message) => message,
        Err(error) => return refuse(error.to_string()),
    };
    let Some(batch) = message.header_as_record_batch() else {
        return refuse("it is no batch of rows".to_owned());
    };
    let (Some(nodes), Some(buffers)) = (batch.nodes(), batch.buffers()) else {
        return refuse("it has no columns".to_owned());
    };
    let widths = widths(schema);
    if nodes.len() != schema.fields().len() || buffers.len() != widths.len() {
        return refuse(format!("it has {} columns in {} buffers", nodes.len(), buffers.len()));
    }
    // Every row takes a bit of some buffer at least.
    let rows = match usize::try_from(batch.length()) {
        Ok(rows) if rows <= body.len().saturating_mul(8) => rows as i64,
        _ => return refuse(format!("it has {} bytes for {} rows", body.len(), batch.length())),
    };
    if let Some(node) =
        nodes.iter().find(|node| node.length() != rows || !(0..=rows).contains(&node.null_count()))
    {
        return refuse(format!(
            "a column has {} values of {rows}, {} null",
            node.length(),
            node.null_count()
        ));
    }
    let (mut end, mut bytes) = (0, header.len());
    for (buffer, width) in buffers.iter().zip(widths) {
        let (from, length) = (usize::try_from(buffer.offset()), usize::try_from(buffer.length()));
        let (Ok(from), Ok(length)) = (from, length) else {
            return refuse(format!("a buffer of {} bytes is at {}", buffer.length(), buffer.offset()));
        };
        let until = from.checked_add(length).filter(|until| from >= end && *until <= body.len());
        let Some(until) = until else {
            return refuse(format!("a buffer of {length} bytes at {from} overlaps another or the end"));
        };
        end = until;
        let part = &body[from..until];
        let in_memory = match batch.compression() {
            Some(_) if !part.is_empty() => uncompressed(part).ok_or_else(|| ExchangeError::Batch {
                what,
                problem: format!("a compressed buffer of {length} bytes has no length"),
            })?,
            _ => length,
        };
        // The library takes it for granted, and panics.
        if !in_memory.is_multiple_of(width) {
            return refuse(format!("a buffer of {in_memory} bytes has values of {width}"));
        }
        bytes = bytes.saturating_add(in_memory);
    }
    Ok(bytes.max(header.len() + body.len()))
}

/// What a compressed buffer says of its length.
fn uncompressed(buffer: &[u8]) -> Option<usize> {
    let (length, rest) = buffer.split_first_chunk::<LENGTH_BYTES>()?;
    match i64::from_le_bytes(*length) {
        NOT_COMPRESSED => Some(rest.len()),
        length => usize::try_from(length).ok(),
    }
}

/// Bytes of a value in each buffer of a batch: validity and values of each column, and offsets of those of any length.
fn widths(schema: &Schema) -> Vec<usize> {
    let mut widths = Vec::with_capacity(3 * schema.fields().len());
    for field in schema.fields() {
        match field.data_type() {
            DataType::Utf8 | DataType::Binary => widths.extend([1, size_of::<i32>(), 1]),
            DataType::FixedSizeBinary(width) => {
                widths.extend([1, usize::try_from(*width).unwrap_or(1).max(1)])
            }
            other => widths.extend([1, other.primitive_width().unwrap_or(1)]),
        }
    }
    widths
}
