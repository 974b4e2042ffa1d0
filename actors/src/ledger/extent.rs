//! Where one ledger ends in a run of bytes, and which ledger it is.

use orrery_schemas::{Hash32, LedgerSequence};

use super::cursor::{Cursor, WalkError};
use super::grammar::{self, Grammar};

/// What a reader has to know of a ledger before it hands it on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LedgerExtent {
    /// Length of its `LedgerCloseMeta` in bytes.
    pub len: usize,
    /// Its number, from the header.
    pub sequence: LedgerSequence,
}

/// Finds the end of the `LedgerCloseMeta` that `bytes` begin with; validates its structure, allocates nothing.
///
/// # Errors
///
/// Says what is wrong and where. [`UnexpectedEnd`](super::cursor::WalkErrorKind::UnexpectedEnd) alone means that more
/// input could help.
pub fn measure_ledger_close_meta(bytes: &[u8]) -> Result<LedgerExtent, WalkError> {
    let mut cursor = Cursor::new(bytes);
    grammar::LedgerCloseMeta::skip(&mut cursor)?;
    let len = cursor.position();
    Ok(LedgerExtent { len, sequence: read_sequence(bytes)? })
}

/// The number of the ledger that `bytes` begin with, without walking further than its header.
/// `None` if the header does not parse. For messages about ledgers that are broken further on.
pub fn peek_sequence(bytes: &[u8]) -> Option<LedgerSequence> {
    read_sequence(bytes).ok().filter(|sequence| sequence.0 != 0)
}

/// What a ledger's header says besides its number. Nothing of it is proven.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HeaderSummary {
    /// The hash that the meta claims for the header.
    pub hash: Hash32,
    /// The hash that the header gives for the one before.
    pub previous_hash: Hash32,
    /// Close time in seconds since 1970 (UTC).
    pub closed_at: u64,
    /// Protocol that closed it.
    pub protocol_version: u32,
}

/// Reads the header of the ledger that `bytes` begin with, and nothing behind it. `None` if it does not parse.
pub fn peek_header(bytes: &[u8]) -> Option<HeaderSummary> {
    let mut cursor = at_header(bytes).ok()?;
    let hash = Hash32(cursor.take_32().ok()?);
    let protocol_version = cursor.u32().ok()?;
    let previous_hash = Hash32(cursor.take_32().ok()?);
    cursor.take_32().ok()?; // transaction set
    Some(HeaderSummary { hash, previous_hash, closed_at: cursor.u64().ok()?, protocol_version })
}

fn read_sequence(bytes: &[u8]) -> Result<LedgerSequence, WalkError> {
    let mut cursor = at_header(bytes)?;
    cursor.take(32 + 4 + 32)?; // hash; version and previous hash
    grammar::StellarValue::skip(&mut cursor)?;
    cursor.take(32 + 32)?; // result hash, bucket list hash
    cursor.u32().map(LedgerSequence)
}

/// A cursor at the `LedgerHeaderHistoryEntry`.
fn at_header(bytes: &[u8]) -> Result<Cursor<'_>, WalkError> {
    let mut cursor = Cursor::new(bytes);
    match cursor.i32()? {
        0 => {}
        1 | 2 => grammar::LedgerCloseMetaExt::skip(&mut cursor)?,
        other => return Err(cursor.unknown("LedgerCloseMeta", other)),
    }
    Ok(cursor)
}
