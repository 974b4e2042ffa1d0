//! The number of a ledger whose header can be read even if the rest cannot: it names the ledger in errors.

use std::io::Cursor;

use orrery_schemas::LedgerSequence;
use stellar_xdr::{LedgerCloseMetaExt, LedgerHeaderHistoryEntry, Limited, Limits, ReadXdr};

/// A header is under 1 KiB: six upgrades of 128 bytes are its largest part.
const HEADER_LIMITS: Limits = Limits { depth: 32, len: 2048 };

/// Sequence in the header of the `LedgerCloseMeta` that begins at `xdr`, or `None` if the header does not parse.
pub(super) fn peek_sequence(xdr: &[u8]) -> Option<LedgerSequence> {
    let mut reader = Limited::new(Cursor::new(xdr), HEADER_LIMITS);
    match u32::read_xdr(&mut reader).ok()? {
        0 => {}
        1 | 2 => {
            LedgerCloseMetaExt::read_xdr(&mut reader).ok()?;
        }
        _ => return None,
    }
    let header = LedgerHeaderHistoryEntry::read_xdr(&mut reader).ok()?;
    Some(LedgerSequence(header.header.ledger_seq)).filter(|sequence| sequence.0 != 0)
}
