//! What can be learned of a ledger from its XDR without keeping a decoded copy.

use std::io::Cursor;

use orrery_schemas::LedgerSequence;
use stellar_xdr::{Error, LedgerCloseMeta, LedgerHeaderHistoryEntry, Limited, Limits, ReadXdr};

/// Deepest nesting a reader must accept since CAP-71 (protocol 27).
pub const XDR_DEPTH_MAX: u32 = 1500;

/// Where one `LedgerCloseMeta` ends and which ledger it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LedgerExtent {
    /// Bytes from the discriminant to the end.
    pub len: usize,
    /// Number in the ledger header.
    pub sequence: LedgerSequence,
}

/// Why a walk over XDR stopped, and at which byte.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{kind} at byte {offset}")]
pub struct WalkError {
    /// Bytes from the start of the walk.
    pub offset: usize,
    /// The reason.
    pub kind: WalkErrorKind,
}

/// Reasons a walk over XDR stops.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum WalkErrorKind {
    /// The bytes end before the ledger does; more input could help.
    #[error("unexpected end")]
    UnexpectedEnd,
    /// Deeper than [`XDR_DEPTH_MAX`].
    #[error("nesting deeper than {XDR_DEPTH_MAX}")]
    TooDeep,
    /// Not the XDR of a ledger.
    #[error("{0}")]
    Malformed(&'static str),
}

/// Length and number of the `LedgerCloseMeta` at the start of `bytes`; what follows it is not looked at.
pub fn measure_ledger_close_meta(bytes: &[u8]) -> Result<LedgerExtent, WalkError> {
    let limits = Limits { depth: XDR_DEPTH_MAX, len: bytes.len() };
    let mut reader = Limited::new(Cursor::new(bytes), limits);
    let read = LedgerCloseMeta::read_xdr(&mut reader);
    let position = usize::try_from(reader.inner.position()).unwrap_or(bytes.len());
    let meta = read.map_err(|error| WalkError { offset: position, kind: kind_of(&error) })?;
    let sequence = LedgerSequence(header_of(&meta).header.ledger_seq);
    Ok(LedgerExtent { len: position, sequence })
}

fn header_of(meta: &LedgerCloseMeta) -> &LedgerHeaderHistoryEntry {
    match meta {
        LedgerCloseMeta::V0(meta) => &meta.ledger_header,
        LedgerCloseMeta::V1(meta) => &meta.ledger_header,
        LedgerCloseMeta::V2(meta) => &meta.ledger_header,
    }
}

fn kind_of(error: &Error) -> WalkErrorKind {
    match error {
        Error::Io(_) | Error::LengthLimitExceeded => WalkErrorKind::UnexpectedEnd,
        Error::DepthLimitExceeded => WalkErrorKind::TooDeep,
        Error::Invalid => WalkErrorKind::Malformed("unknown discriminant or value"),
        Error::LengthExceedsMax => WalkErrorKind::Malformed("length above the protocol's limit"),
        Error::NonZeroPadding => WalkErrorKind::Malformed("padding that is not zero"),
        _ => WalkErrorKind::Malformed("not valid XDR"),
    }
}
