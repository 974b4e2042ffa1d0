//! What the core of a table is told, and what it says is to be done.

use bytes::Bytes;
use orrery_schemas::{Hash32, RowDigest};

use crate::dataset::SlotObject;

/// The end of a table's log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct TableEnd {
    /// The table's id.
    pub(super) id: String,
    /// Number of the newest slot.
    pub(super) slot: u64,
    /// SHA-256 of its bytes.
    pub(super) sha256: Hash32,
    /// The ledger that the next slot begins with.
    pub(super) next_ledger: u32,
    /// Digest of all rows.
    pub(super) digest: RowDigest,
}

/// What happened.
#[derive(Clone, Debug)]
pub(super) enum Input {
    /// A report came, and the end of our own log was looked at. `copies` says whether what is missing is to be copied.
    Round { ours: Option<TableEnd>, theirs: Option<TableEnd>, copies: bool },
    /// The answer to [`Action::Ask`]: slots that are there, from those asked for on.
    Slots { question: u64, ours: Vec<Bytes>, theirs: Vec<Bytes> },
    /// There is none: it was lost, or one of both could not be read.
    NoAnswer { question: u64 },
    /// A file came.
    Fetched { slot: u64, object: SlotObject, bytes: Bytes },
    /// It did not; with what is wrong if it was not what the slot says.
    NotFetched { slot: u64, untrue: Option<String> },
    /// A file is in our store.
    FilePut { slot: u64 },
    /// It cannot be put now.
    FileNotPut { slot: u64 },
    /// Our store has other bytes under its name, and both are kept.
    FileDiffers { slot: u64, reason: String },
    /// The slot is in our log, whose end is this now.
    SlotPut { ours: TableEnd },
    /// It is not, as our log went on otherwise, or it could not be put now.
    SlotNotPut,
    /// It does not continue our log.
    SlotUnfit { slot: u64, why: String },
}

/// What to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Action {
    /// Read slots of both, each from a slot on and at most so many.
    Ask { question: u64, ours: Option<(u64, u32)>, theirs: Option<(u64, u32)> },
    /// Fetch a file of theirs.
    FetchObject { slot: u64, object: SlotObject },
    /// Put it into our store if it is not there.
    PutFile { slot: u64, object: SlotObject, bytes: Bytes },
    /// Put the next slot into our log.
    PutSlot { slot: u64, bytes: Bytes },
    /// Keep both sides, park this region and call a person.
    Park { slot: u64, reason: String, evidence: Option<(Bytes, Bytes)> },
}
