//! Fetched bytes that hold some ledgers of one object or answer, and the ledgers in them.

use std::fmt;
use std::io::Cursor;
use std::ops::RangeInclusive;
use std::sync::{Arc, OnceLock};

use bytes::Bytes;
use orrery_schemas::LedgerSequence;
use sha2::{Digest, Sha256};
use tokio::sync::OwnedSemaphorePermit;
use tracing::Span;

use super::form::{Form, HEAD_BYTES};
use super::{LedgerReader, RawLedger, SourceError, SourceErrorKind};
use crate::envelope::Origin;
use crate::ledger::peek_sequence;

/// Bytes as a store gave them, neither decompressed nor decoded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FetchedObject {
    /// Key inside a lake, or what else names the bytes.
    pub file: Arc<str>,
    /// Ledgers that the store promises to be in it; others in it are an error.
    pub named: RangeInclusive<LedgerSequence>,
    /// Ledgers of it that were asked for.
    pub range: RangeInclusive<LedgerSequence>,
    /// The bytes.
    pub bytes: Bytes,
}

/// A [`FetchedObject`] and the store it came from. Holds its share of the stream's byte budget until it is dropped.
#[derive(Debug)]
pub struct LedgerChunk {
    /// Key inside a lake, or what else names the bytes.
    pub file: Arc<str>,
    /// Index of the store in the list that the stream was given.
    pub source: usize,
    /// Exactly the ledgers that [`Self::ledgers`] gives.
    pub range: RangeInclusive<LedgerSequence>,
    /// The bytes as they were found.
    pub bytes: Bytes,
    /// From the fetch on; ends with whoever holds it last.
    pub trace: Span,
    named: RangeInclusive<LedgerSequence>,
    lake: Arc<str>,
    fingerprint: OnceLock<ObjectFingerprint>,
    _permit: Option<OwnedSemaphorePermit>,
}

/// Where the ledgers of a [`LedgerChunk`] came from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ChunkOrigin {
    /// Key inside a lake, or what else names the bytes.
    pub file: Arc<str>,
    /// Index of the store in the list that the stream was given.
    pub source: usize,
    /// Name of the store.
    pub lake: Arc<str>,
}

/// SHA-256 of an object's bytes as they were found: another one for the same ledgers means that the object was changed.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ObjectFingerprint(pub [u8; 32]);

impl ObjectFingerprint {
    /// Of these bytes.
    pub fn of(bytes: &[u8]) -> Self {
        Self(Sha256::digest(bytes).into())
    }
}

/// Hexadecimal.
impl fmt::Display for ObjectFingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex::encode(self.0))
    }
}

impl fmt::Debug for ObjectFingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ObjectFingerprint({self})")
    }
}

impl LedgerChunk {
    /// `lake` names the store in errors; `permit` is the chunk's share of a budget.
    pub fn new(
        object: FetchedObject,
        source: usize,
        lake: Arc<str>,
        permit: Option<OwnedSemaphorePermit>,
    ) -> Self {
        let FetchedObject { file, named, range, bytes } = object;
        let (trace, fingerprint) = (Span::none(), OnceLock::new());
        Self { file, source, range, bytes, trace, named, lake, fingerprint, _permit: permit }
    }

    /// Ledgers that another node fetched: `bytes` are the XDR of exactly `range`, one behind the other; `fingerprint` is of
    /// the object that they came in, unless they are that object.
    pub fn received(
        origin: ChunkOrigin,
        range: RangeInclusive<LedgerSequence>,
        bytes: Bytes,
        fingerprint: Option<ObjectFingerprint>,
    ) -> Self {
        let ChunkOrigin { file, source, lake } = origin;
        let object = FetchedObject { file, named: range.clone(), range, bytes };
        let fingerprint = fingerprint.map_or_else(OnceLock::new, OnceLock::from);
        Self { fingerprint, ..Self::new(object, source, lake, None) }
    }

    /// Name of the store.
    pub fn lake(&self) -> &Arc<str> {
        &self.lake
    }

    /// Where its ledgers come from, and as what bytes.
    pub fn origin(&self) -> Origin {
        let (file, lake) = (self.file.clone(), self.lake.clone());
        Origin { source: self.source, lake, file, bytes: self.bytes.clone() }
    }

    /// Ledgers that the store promises to be in the object.
    pub fn named(&self) -> &RangeInclusive<LedgerSequence> {
        &self.named
    }

    /// Whether the object's head says that it is one ledger, the one that is wanted, neither compressed nor framed. Whether
    /// it is sound, and the end of it the end of the object, only [`Self::ledgers`] tells.
    pub fn is_one_ledger(&self) -> bool {
        let head = &self.bytes[..self.bytes.len().min(HEAD_BYTES)];
        self.range.start() == self.range.end()
            && self.named == self.range
            && Form::detect(head) == Some(Form::Raw)
            && peek_sequence(&self.bytes) == Some(*self.range.start())
    }

    /// The same, in the trace of its fetch.
    #[must_use]
    pub fn traced(mut self, trace: Span) -> Self {
        self.trace = trace;
        self
    }

    /// What tells whether the object is still the one that was processed before. Hashes all bytes the first time.
    pub fn fingerprint(&self) -> ObjectFingerprint {
        *self.fingerprint.get_or_init(|| ObjectFingerprint::of(&self.bytes))
    }

    /// Exactly the ledgers of [`Self::range`], ascending, or an error in place of the first that is missing, doubled or
    /// foreign; nothing after an error. Decompresses as it goes, under the limits of [`LedgerReader`]: blocking work.
    pub fn ledgers(&self) -> ChunkLedgers {
        let (next, last) = self.range.clone().into_inner();
        ChunkLedgers {
            reader: LedgerReader::of_bytes(self.file.clone(), 0, self.bytes.clone()),
            lake: self.lake.clone(),
            named: self.named.clone(),
            due: Some(next),
            last,
            begun: false,
        }
    }
}

/// See [`LedgerChunk::ledgers`].
pub struct ChunkLedgers {
    reader: LedgerReader<Cursor<Bytes>>,
    lake: Arc<str>,
    named: RangeInclusive<LedgerSequence>,
    /// The ledger that comes next; one after `last` while the rest of the object is looked at; `None` at the end.
    due: Option<LedgerSequence>,
    last: LedgerSequence,
    /// A ledger was given; from then on every other one must be the one that is due.
    begun: bool,
}

impl ChunkLedgers {
    fn step(&mut self, due: LedgerSequence) -> Result<Option<RawLedger>, SourceError> {
        loop {
            let found = self.reader.next().transpose();
            let found = found.map_err(|error| SourceError { ledger: error.ledger.or(Some(due)), ..error })?;
            match found {
                Some(ledger) if ledger.sequence == due && due <= self.last => {
                    self.begun = true;
                    return Ok(Some(ledger));
                }
                // The range begins inside this object.
                Some(RawLedger { sequence, .. })
                    if sequence < due && !self.begun && self.named.contains(&sequence) => {}
                Some(RawLedger { file, offset, sequence: found, .. }) => {
                    let kind = SourceErrorKind::WrongSequence { expected: due, found };
                    return Err(SourceError { file, offset: Some(offset), ledger: Some(due), kind });
                }
                None if due <= self.last => {
                    let key = self.reader.name().to_owned();
                    let kind =
                        SourceErrorKind::MissingLedger { lake: self.lake.to_string(), key: key.clone() };
                    return Err(SourceError { ledger: Some(due), ..SourceError::new(key, kind) });
                }
                None => return Ok(None),
            }
        }
    }
}

impl Iterator for ChunkLedgers {
    type Item = Result<RawLedger, SourceError>;

    fn next(&mut self) -> Option<Self::Item> {
        let due = self.due.take()?;
        let step = self.step(due);
        if let Ok(Some(_)) = step {
            // Past the last ledger the object is read on only if it should end there.
            let goes_on = due < self.last || self.last == *self.named.end();
            self.due = due.next().filter(|_| goes_on);
        }
        step.transpose()
    }
}
