//! Content in any form: raw, batch, framed stream, each maybe compressed. How it arrives makes no difference.

use std::io::{self, Cursor, Read};

use orrery_actors::ledger::measure_ledger_close_meta;
use orrery_actors::source::{LedgerReader, RawLedger, SourceError, SourceErrorKind};
use orrery_schemas::LedgerSequence;

const ZSTD_MAGIC: [u8; 4] = [0x28, 0xB5, 0x2F, 0xFD];

/// Checks that `content` is read alike whole, in pieces, after a look at its batch header and from a zstd frame.
pub fn check(content: &[u8]) {
    let read = read_all(LedgerReader::new("input", 1, content));
    check_ledgers(content, &read);

    let in_pieces = Pieces { content, length_max: 1 + content.len() % 13, interrupted: false };
    assert_same(&read, &read_all(LedgerReader::new("input", 1, in_pieces)), "in pieces");

    let mut peeked = LedgerReader::new("input", 1, content);
    match peeked.peek_batch_range() {
        Ok(range) => {
            let after = read_all(peeked);
            assert_same(&read, &after, "after a look at its header");
            if let Some((first, last)) = range {
                check_batch(content, &after, first, last);
            }
        }
        Err(error) => {
            let peeked = Reading { ledgers: Vec::new(), error: Some(error) };
            assert_same(&read, &peeked, "after a look at its header");
        }
    }
    // A frame inside a frame is refused.
    if !is_zstd(content) {
        let compressed = zstd::encode_all(content, 1).expect("compress");
        assert_same(&read, &read_all(LedgerReader::new("input", 1, &compressed[..])), "compressed");
    }
}

/// What a reader gave: ledgers, then perhaps an error.
struct Reading {
    ledgers: Vec<RawLedger>,
    error: Option<SourceError>,
}

fn read_all<R: Read>(mut reader: LedgerReader<R>) -> Reading {
    let (mut ledgers, mut error) = (Vec::new(), None);
    while let Some(next) = reader.next() {
        match next {
            Ok(ledger) => ledgers.push(ledger),
            Err(failure) => {
                assert!(error.is_none(), "a reader goes on after an error");
                assert!(failure.is_bad_data(), "bytes in memory cannot fail to be read: {failure}");
                assert!(!failure.to_string().is_empty());
                error = Some(failure);
            }
        }
        assert!(error.is_none() || reader.next().is_none(), "a reader goes on after an error");
    }
    assert!(reader.next().is_none(), "a reader goes on after its end");
    assert!(error.is_some() || !ledgers.is_empty(), "no ledger and no error");
    Reading { ledgers, error }
}

/// How far a decoder comes into a damaged zstd frame depends on the pieces that it is given. In everything else two
/// readings are equal.
fn assert_same(read: &Reading, other: &Reading, how: &str) {
    let errors = (read.error.as_ref(), other.error.as_ref());
    if let (Some(one), Some(two)) = errors
        && (is_of_frame(&one.kind) || is_of_frame(&two.kind))
    {
        let count = read.ledgers.len().min(other.ledgers.len());
        assert_eq!(read.ledgers[..count], other.ledgers[..count], "{how}");
        return;
    }
    assert_eq!(read.ledgers, other.ledgers, "{how}");
    let texts = (errors.0.map(ToString::to_string), errors.1.map(ToString::to_string));
    assert_eq!(texts.0, texts.1, "{how}");
}

/// Whether the error is one of a zstd frame, not of what it holds.
fn is_of_frame(kind: &SourceErrorKind) -> bool {
    match kind {
        SourceErrorKind::Malformed(reason) => reason.starts_with("zstd"),
        SourceErrorKind::Truncated(reason) => reason.contains("zstd"),
        SourceErrorKind::RatioExceeded | SourceErrorKind::WindowTooLarge | SourceErrorKind::Checksum => true,
        _ => false,
    }
}

fn check_ledgers(content: &[u8], read: &Reading) {
    let mut end = 0;
    for ledger in &read.ledgers {
        let extent = measure_ledger_close_meta(&ledger.xdr).expect("measure what the reader measured");
        assert_eq!((extent.len, extent.sequence), (ledger.xdr.len(), ledger.sequence));
        assert_ne!(ledger.sequence.0, 0);
        assert!(ledger.offset >= end, "ledger at {} overlaps the one before, to {end}", ledger.offset);
        end = ledger.offset + ledger.xdr.len() as u64;
        if !is_zstd(content) {
            check_place(content, ledger);
        }
    }
}

/// A batch holds the ledgers that its header names, and ends behind the last of them.
fn check_batch(content: &[u8], read: &Reading, first: LedgerSequence, last: LedgerSequence) {
    assert!(first <= last, "{first} to {last}");
    let of_first_batch = read.ledgers.iter().zip(first.0..=last.0);
    of_first_batch.for_each(|(ledger, number)| assert_eq!(ledger.sequence.0, number));
    let named = u64::from(last.0 - first.0) + 1;
    let end = read.ledgers.last().map_or(0, |ledger| ledger.offset + ledger.xdr.len() as u64);
    if read.ledgers.len() as u64 == named && end == content.len() as u64 {
        assert!(read.error.is_none(), "an error behind a whole batch: {:?}", read.error);
    }
    assert!(read.error.is_some() || read.ledgers.len() as u64 >= named, "a batch ends early");
}

/// The ledger's bytes stand where it says, or its first fragment does, if a record is in several.
fn check_place(content: &[u8], ledger: &RawLedger) {
    let start = usize::try_from(ledger.offset).expect("an offset in memory");
    let first = match start.checked_sub(4).and_then(|header| content.get(header..start)) {
        Some(&[high, a, b, c]) if high & 0x80 == 0 => u32::from_be_bytes([high, a, b, c]) as usize,
        _ => ledger.xdr.len(),
    };
    let stands_there = |xdr: &[u8]| content.get(start..).is_some_and(|rest| rest.starts_with(xdr));
    let is_fragmented = || ledger.xdr.get(..first).is_some_and(stands_there);
    assert!(stands_there(&ledger.xdr) || is_fragmented(), "the ledger is not at {start}");
}

/// Whether content begins with a zstd frame or a skippable one.
fn is_zstd(content: &[u8]) -> bool {
    content.starts_with(&ZSTD_MAGIC) || matches!(content, [0x50..=0x5F, 0x2A, 0x4D, 0x18, ..])
}

/// Gives a few bytes at a time and is interrupted before each.
struct Pieces<'a> {
    content: &'a [u8],
    length_max: usize,
    interrupted: bool,
}

impl Read for Pieces<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.interrupted = !self.interrupted;
        if self.interrupted {
            return Err(io::ErrorKind::Interrupted.into());
        }
        let (piece, _) = self.content.split_at(self.length_max.min(self.content.len()));
        let count = Cursor::new(piece).read(buffer)?;
        self.content = &self.content[count..];
        Ok(count)
    }
}
