//! One reader for every form in which ledgers come; the form is told from the content.
//!
//! Memory: a window that grows to at most [`LEDGER_XDR_BYTES_MAX`], a zstd window of at most 16 MiB, and buffers of a few
//! hundred KiB. A length that the content claims costs nothing until its bytes arrive.

use std::io::{Cursor, Read};
use std::sync::Arc;

use bytes::Bytes;
use orrery_schemas::LedgerSequence;

use super::content::{Content, is_zstd};
use super::form::{Form, HEAD_BYTES, LAST_FRAGMENT};
use super::window::{Window, reserve};
use super::{LEDGER_BYTES_FIRST_FILL, LEDGER_XDR_BYTES_MAX, RawLedger, SourceError, SourceErrorKind};
use crate::ledger::cursor::WalkErrorKind;
use crate::ledger::{LedgerExtent, measure_ledger_close_meta, peek_sequence};

/// Bytes of a fragment that are moved at once, so that window and record are not both large.
const FRAGMENT_STEP_BYTES: usize = 64 << 10;

/// Most fragments of one record. stellar-core writes one; fragments of a few bytes would cost seconds a ledger.
const FRAGMENTS_MAX: usize = 8192;

/// Header of a `LedgerCloseMetaBatch`: first, last, count.
const BATCH_HEADER_BYTES: usize = 12;

/// Yields the ledgers of one input in its order, and ends at the first error.
///
/// A zstd checksum stands at the end of its frame: where a frame holds several ledgers, those before the last are given
/// before the checksum is known.
pub struct LedgerReader<R: Read> {
    file: Arc<str>,
    chain: u32,
    state: State<R>,
}

enum State<R: Read> {
    Unopened(R),
    /// In memory, and not compressed.
    Whole(Bytes, R),
    Reading(Box<Reading<R>>),
    Ended,
}

impl<R: Read> LedgerReader<R> {
    /// `file` names the input in ledgers and errors; `chain` numbers it (see [`RawLedger::chain`]). Nothing is read yet.
    pub fn new(file: impl Into<Arc<str>>, chain: u32, input: R) -> Self {
        Self { file: file.into(), chain, state: State::Unopened(input) }
    }

    /// The input's name.
    pub fn name(&self) -> &str {
        &self.file
    }

    /// First and last ledger if the content is a batch, from its header; `None` in other forms. Skips no ledger.
    pub fn peek_batch_range(&mut self) -> Result<Option<(LedgerSequence, LedgerSequence)>, SourceError> {
        let file = self.file.clone();
        let peeked = self.reading().and_then(|reading| match reading {
            Some(reading) if reading.form == Form::Batch => Ok(Some(reading.batch_header()?)),
            _ => Ok(None),
        });
        peeked
            .map_err(|fault| fault.of(file))
            .map(|header| header.map(|header| (LedgerSequence(header.first), LedgerSequence(header.last))))
    }

    fn reading(&mut self) -> Result<Option<&mut Reading<R>>, Fault> {
        match std::mem::replace(&mut self.state, State::Ended) {
            State::Unopened(input) => {
                let window = Window::new(Content::open(input)?);
                self.state = State::Reading(Box::new(Reading::open(window)?));
            }
            State::Whole(bytes, nothing) => {
                let window = Window::whole(bytes, Content::open(nothing)?);
                self.state = State::Reading(Box::new(Reading::open(window)?));
            }
            state @ (State::Reading(_) | State::Ended) => self.state = state,
        }
        match &mut self.state {
            State::Reading(reading) => Ok(Some(reading)),
            _ => Ok(None),
        }
    }
}

impl<R: Read> Iterator for LedgerReader<R> {
    type Item = Result<RawLedger, SourceError>;

    fn next(&mut self) -> Option<Self::Item> {
        let (file, chain) = (self.file.clone(), self.chain);
        let next = match self.reading() {
            Ok(None) => return None,
            Ok(Some(reading)) => reading.next_ledger(),
            Err(fault) => Err(fault),
        };
        match next {
            Ok(Some(Measured { offset, sequence, xdr })) => {
                Some(Ok(RawLedger { file, chain, offset, sequence, xdr }))
            }
            Ok(None) => {
                self.state = State::Ended;
                None
            }
            Err(fault) => {
                self.state = State::Ended;
                Some(Err(fault.of(file)))
            }
        }
    }
}

impl LedgerReader<Cursor<Bytes>> {
    /// As [`LedgerReader::new`] of bytes in memory. What is not compressed is not copied either: the ledgers are parts of it.
    pub fn of_bytes(file: impl Into<Arc<str>>, chain: u32, bytes: Bytes) -> Self {
        let state = match is_zstd(&bytes) {
            true => State::Unopened(Cursor::new(bytes)),
            false => State::Whole(bytes, Cursor::default()),
        };
        Self { file: file.into(), chain, state }
    }
}

/// An error before it is given the name of its file.
struct Fault {
    offset: Option<u64>,
    ledger: Option<LedgerSequence>,
    kind: SourceErrorKind,
}

impl Fault {
    fn of(self, file: Arc<str>) -> SourceError {
        SourceError { file, offset: self.offset, ledger: self.ledger, kind: self.kind }
    }
}

impl From<SourceErrorKind> for Fault {
    fn from(kind: SourceErrorKind) -> Self {
        Self { offset: None, ledger: None, kind }
    }
}

struct Measured {
    offset: u64,
    sequence: LedgerSequence,
    xdr: Bytes,
}

struct BatchHeader {
    first: u32,
    last: u32,
    count: u32,
}

/// Ledgers of the current batch that are still to come.
struct BatchRest {
    next: u32,
    last: u32,
}

struct Reading<R: Read> {
    window: Window<Content<R>>,
    form: Form,
    batch: Option<BatchRest>,
}

impl<R: Read> Reading<R> {
    fn open(mut window: Window<Content<R>>) -> Result<Self, Fault> {
        if let Err(error) = window.fill(HEAD_BYTES) {
            return Err(Fault { offset: Some(0), ledger: None, kind: window.content().explain(error) });
        }
        let head = window.available();
        let Some(form) = Form::detect(head) else {
            return Err(match head {
                [] => SourceErrorKind::EmptyInput,
                _ => SourceErrorKind::Unrecognised { found: describe(head) },
            }
            .into());
        };
        Ok(Self { window, form, batch: None })
    }

    fn next_ledger(&mut self) -> Result<Option<Measured>, Fault> {
        if self.batch.is_none() && self.is_exhausted()? {
            return Ok(None);
        }
        match self.form {
            Form::Raw => self.next_unframed(None).map(Some),
            Form::Batch => self.next_of_batch().map(Some),
            Form::Framed => self.next_record().map(Some),
        }
    }

    fn next_of_batch(&mut self) -> Result<Measured, Fault> {
        let BatchRest { next, last } = match self.batch.take() {
            Some(rest) => rest,
            None => {
                let header = self.batch_header()?;
                self.window.consume(BATCH_HEADER_BYTES);
                BatchRest { next: header.first, last: header.last }
            }
        };
        let expected = LedgerSequence(next);
        let ledger = self.next_unframed(Some(expected))?;
        if ledger.sequence != expected {
            return Err(Fault {
                offset: Some(ledger.offset),
                ledger: Some(expected),
                kind: SourceErrorKind::WrongSequence { expected, found: ledger.sequence },
            });
        }
        self.batch = (next < last).then(|| BatchRest { next: next + 1, last });
        Ok(ledger)
    }

    /// Reads the header of the batch that begins here, without consuming it.
    fn batch_header(&mut self) -> Result<BatchHeader, Fault> {
        if let Some(BatchRest { next, last }) = self.batch {
            return Ok(BatchHeader { first: next, last, count: last - next + 1 });
        }
        self.fill_or_truncated(BATCH_HEADER_BYTES, |_| None, "ends inside the header of a batch")?;
        let word = |index: usize| be_u32(&self.window.available()[index * 4..]);
        let header = BatchHeader { first: word(0), last: word(1), count: word(2) };
        let spans = i64::from(header.last) - i64::from(header.first) + 1;
        if spans != i64::from(header.count) || header.count == 0 {
            return Err(self.fault(
                None,
                SourceErrorKind::Malformed(format!(
                    "a batch of ledgers {} to {} that claims to hold {} of them",
                    header.first, header.last, header.count
                )),
            ));
        }
        Ok(header)
    }

    /// A ledger whose end only its own structure tells.
    fn next_unframed(&mut self, expected: Option<LedgerSequence>) -> Result<Measured, Fault> {
        loop {
            // Of content in memory there may be more than a ledger can have.
            let available = self.window.available();
            let available = &available[..available.len().min(LEDGER_XDR_BYTES_MAX)];
            match measure_ledger_close_meta(available) {
                Ok(extent) => return self.take_unframed(extent),
                Err(walk) if walk.kind == WalkErrorKind::UnexpectedEnd => {
                    let have = available.len();
                    let ledger = |available: &[u8]| peek_sequence(available).or(expected);
                    if have >= LEDGER_XDR_BYTES_MAX {
                        return Err(self.fault(ledger(available), SourceErrorKind::TooLarge));
                    }
                    let want = (have * 2).clamp(LEDGER_BYTES_FIRST_FILL, LEDGER_XDR_BYTES_MAX);
                    self.fill(want, ledger)?;
                    let available = self.window.available();
                    if available.len() == have {
                        let kind = SourceErrorKind::Truncated("ends inside a ledger");
                        return Err(self.fault_after(have, ledger(available), kind));
                    }
                }
                Err(walk) => {
                    let ledger = peek_sequence(available).or(expected);
                    return Err(self.fault_after(walk.offset, ledger, source_error(walk.kind)));
                }
            }
        }
    }

    fn take_unframed(&mut self, extent: LedgerExtent) -> Result<Measured, Fault> {
        if self.window.content().is_compressed() {
            // The end of the frame follows its last byte: reading past the ledger verifies the checksum before it is given.
            self.fill(extent.len + 1, |_| Some(extent.sequence))?;
        }
        self.take(extent)
    }

    /// One record of a framed stream: a single ledger and nothing else.
    fn next_record(&mut self) -> Result<Measured, Fault> {
        let header = self.fragment_header()?;
        let length = fragment_length(header);
        if length > LEDGER_XDR_BYTES_MAX {
            return Err(self.fault(None, SourceErrorKind::TooLarge));
        }
        self.window.consume(4);
        if header & LAST_FRAGMENT == 0 {
            return self.next_fragmented(length);
        }
        self.fill_or_truncated(length, peek_sequence, "ends inside a record")?;
        let record = &self.window.available()[..length];
        let extent =
            measure_record(record).map_err(|(at, kind)| self.fault_after(at, peek_sequence(record), kind))?;
        self.take(extent)
    }

    /// The rest of a record in several fragments, whose first has `length` bytes. Offsets point to its first byte, as the
    /// ledger is not contiguous in the content.
    fn next_fragmented(&mut self, mut length: usize) -> Result<Measured, Fault> {
        let offset = self.window.offset();
        let mut record = Vec::new();
        let (mut fragments, mut is_last) = (1, false);
        loop {
            self.append_fragment(&mut record, length)?;
            if is_last {
                break;
            }
            let header = self.fragment_header()?;
            length = fragment_length(header);
            is_last = header & LAST_FRAGMENT != 0;
            if record.len() + length > LEDGER_XDR_BYTES_MAX {
                return Err(self.fault(peek_sequence(&record), SourceErrorKind::TooLarge));
            }
            fragments += 1;
            if fragments > FRAGMENTS_MAX {
                let reason = format!("a record of more than {FRAGMENTS_MAX} fragments");
                return Err(self.fault(peek_sequence(&record), SourceErrorKind::Malformed(reason)));
            }
            self.window.consume(4);
        }
        let fault = |(_, kind)| Fault { offset: Some(offset), ledger: peek_sequence(&record), kind };
        let extent = measure_record(&record).map_err(fault)?;
        self.check_number(extent.sequence)?;
        Ok(Measured { offset, sequence: extent.sequence, xdr: record.into() })
    }

    fn append_fragment(&mut self, record: &mut Vec<u8>, mut length: usize) -> Result<(), Fault> {
        while length > 0 {
            let step = length.min(FRAGMENT_STEP_BYTES);
            self.fill_or_truncated(step, |_| peek_sequence(record), "ends inside a record")?;
            reserve(record, step).map_err(SourceErrorKind::Io)?;
            record.extend_from_slice(&self.window.available()[..step]);
            self.window.consume(step);
            length -= step;
        }
        Ok(())
    }

    fn fragment_header(&mut self) -> Result<u32, Fault> {
        self.fill_or_truncated(4, |_| None, "ends inside the header of a record")?;
        Ok(be_u32(self.window.available()))
    }

    /// Consumes the ledger at the window's start.
    fn take(&mut self, extent: LedgerExtent) -> Result<Measured, Fault> {
        self.check_number(extent.sequence)?;
        let offset = self.window.offset();
        Ok(Measured { offset, sequence: extent.sequence, xdr: self.window.take(extent.len) })
    }

    /// A run of zero bytes is the valid XDR of ever more empty ledgers with number 0.
    fn check_number(&self, sequence: LedgerSequence) -> Result<(), Fault> {
        match sequence {
            LedgerSequence(0) => {
                let reason = "a ledger with number 0; a network's first is 1".to_owned();
                Err(self.fault(None, SourceErrorKind::Malformed(reason)))
            }
            _ => Ok(()),
        }
    }

    fn is_exhausted(&mut self) -> Result<bool, Fault> {
        Ok(!self.fill(1, |_| None)?)
    }

    /// True once `want` bytes are available, false if the content ends before. `ledger` names, from the available bytes,
    /// the ledger that a failure belongs to.
    fn fill(
        &mut self,
        want: usize,
        ledger: impl FnOnce(&[u8]) -> Option<LedgerSequence>,
    ) -> Result<bool, Fault> {
        self.window.fill(want).map_err(|error| {
            let available = self.window.available();
            self.fault_after(available.len(), ledger(available), self.window.content().explain(error))
        })
    }

    fn fill_or_truncated(
        &mut self,
        want: usize,
        ledger: impl Fn(&[u8]) -> Option<LedgerSequence>,
        reason: &'static str,
    ) -> Result<(), Fault> {
        if self.fill(want, &ledger)? {
            return Ok(());
        }
        let available = self.window.available();
        Err(self.fault_after(available.len(), ledger(available), SourceErrorKind::Truncated(reason)))
    }

    /// A failure at the first byte that was not consumed.
    fn fault(&self, ledger: Option<LedgerSequence>, kind: SourceErrorKind) -> Fault {
        self.fault_after(0, ledger, kind)
    }

    /// A failure `count` bytes further on.
    fn fault_after(&self, count: usize, ledger: Option<LedgerSequence>, kind: SourceErrorKind) -> Fault {
        Fault { offset: Some(self.window.offset() + count as u64), ledger, kind }
    }
}

/// The extent of the ledger that must fill `record`.
fn measure_record(record: &[u8]) -> Result<LedgerExtent, (usize, SourceErrorKind)> {
    let malformed = |reason: &str| SourceErrorKind::Malformed(format!("not a LedgerCloseMeta: {reason}"));
    match measure_ledger_close_meta(record) {
        Ok(extent) if extent.len == record.len() => Ok(extent),
        Ok(extent) => Err((extent.len, malformed("a record goes on after its ledger"))),
        Err(walk) if walk.kind == WalkErrorKind::UnexpectedEnd => {
            Err((walk.offset, malformed("a record ends inside its ledger")))
        }
        Err(walk) => Err((walk.offset, source_error(walk.kind))),
    }
}

fn source_error(kind: WalkErrorKind) -> SourceErrorKind {
    match kind {
        WalkErrorKind::UnexpectedEnd => SourceErrorKind::Truncated("ends inside a ledger"),
        WalkErrorKind::TooDeep => SourceErrorKind::TooDeep,
        other => SourceErrorKind::Malformed(format!("not a LedgerCloseMeta: {other}")),
    }
}

fn fragment_length(header: u32) -> usize {
    (header & !LAST_FRAGMENT) as usize
}

/// The first four bytes as a number; missing bytes count as zero.
fn be_u32(bytes: &[u8]) -> u32 {
    bytes.iter().take(4).fold(0, |word, byte| word << 8 | u32::from(*byte))
}

/// The first bytes of content that has no known form.
fn describe(head: &[u8]) -> String {
    let known = match head {
        [0x28, 0xB5, 0x2F, 0xFD, ..] => "zstd inside zstd: ",
        [0x1F, 0x8B, ..] => "gzip: ",
        [b'{' | b'[', ..] => "JSON: ",
        _ => "",
    };
    let digits: String = head.iter().map(|byte| format!("{byte:02x}")).collect();
    format!("{known}{digits}")
}
