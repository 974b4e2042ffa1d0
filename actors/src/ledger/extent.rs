//! Where one ledger ends in a run of bytes, and which ledger it is.

use orrery_schemas::LedgerSequence;

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

fn read_sequence(bytes: &[u8]) -> Result<LedgerSequence, WalkError> {
    let mut cursor = Cursor::new(bytes);
    match cursor.i32()? {
        0 => {}
        1 | 2 => grammar::LedgerCloseMetaExt::skip(&mut cursor)?,
        other => return Err(cursor.unknown("LedgerCloseMeta", other)),
    }
    cursor.take(32 + 4 + 32)?; // hash; version and previous hash
    grammar::StellarValue::skip(&mut cursor)?;
    cursor.take(32 + 32)?; // result hash, bucket list hash
    cursor.u32().map(LedgerSequence)
}
