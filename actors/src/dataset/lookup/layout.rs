//! Where what stands in a row file.
//!
//! | section of a part | entries |
//! |---|---|
//! | records | one of [`RECORD_BYTES`] a row, in the order of the rows |
//! | directory | for each range of hashes the number of its first slot, and the end: u32 |
//! | slots | half of an address's hash, and the address's number: 2 u32, by hash |
//! | addresses | [`ADDRESS_BYTES`], and where its rows begin and how many they are: 2 u32 |
//! | postings | rows: u32, those of one address together, ascending |
//! | tokens | [`TOKEN_BYTES`] |
//! | extras | what senders attached |
//!
//! Parts follow each other. Behind them: for each part a [`Part`], then their number, a check of all this and
//! [`MAGIC`]. Numbers are little-endian.

use std::ops::Range;

use orrery_schemas::LedgerSequence;

use crate::dataset::scan::Place;

/// Most rows of a part. An address is looked for in each; in memory, while it is made, a part is what [`part_rows`] says.
pub(super) const PART_ROWS_MAX: u32 = 64 << 10;

/// The last bytes of a row file; another form of it has another number.
pub(super) const MAGIC: [u8; 8] = *b"ORRROWS1";

/// Bytes of a row.
pub(super) const RECORD_BYTES: u64 = 100;

/// Bytes of an address, and of its entry.
pub(super) const ADDRESS_BYTES: usize = 44;
pub(super) const ENTRY_BYTES: u64 = ADDRESS_BYTES as u64 + 8;

/// Bytes of a token.
pub(super) const TOKEN_BYTES: usize = 80;

/// Slots of one place in the directory, about: they are read at once.
const SLOTS_A_PLACE: u32 = 4;

/// Bytes of a [`Part`] as it is written.
pub(super) const PART_BYTES: usize = 80;

/// Number of parts, check, magic.
pub(super) const END_BYTES: usize = 16;

/// One part.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Part {
    /// Where it begins.
    pub(super) offset: u64,
    pub(super) rows: u32,
    pub(super) addresses: u32,
    pub(super) postings: u32,
    pub(super) tokens: u32,
    /// Bytes.
    pub(super) extras: u32,
    /// Of its first and its last row.
    pub(super) first: Place,
    pub(super) last: Place,
    /// SHA-256 of all but the records, each of which has its own check.
    pub(super) sha256: [u8; 32],
}

impl Part {
    /// Places of the directory are as many as two to this.
    pub(super) fn directory_bits(&self) -> u32 {
        (self.addresses / SLOTS_A_PLACE).checked_ilog2().unwrap_or(0)
    }

    pub(super) fn directory(&self) -> u64 {
        self.offset + u64::from(self.rows) * RECORD_BYTES
    }

    pub(super) fn slots(&self) -> u64 {
        self.directory() + 4 * ((1 << self.directory_bits()) + 1)
    }

    pub(super) fn entries(&self) -> u64 {
        self.slots() + 8 * u64::from(self.addresses)
    }

    pub(super) fn postings(&self) -> u64 {
        self.entries() + ENTRY_BYTES * u64::from(self.addresses)
    }

    pub(super) fn tokens(&self) -> u64 {
        self.postings() + 4 * u64::from(self.postings)
    }

    pub(super) fn extras(&self) -> Range<u64> {
        let start = self.tokens() + TOKEN_BYTES as u64 * u64::from(self.tokens);
        start..start + u64::from(self.extras)
    }

    pub(super) fn end(&self) -> u64 {
        self.extras().end
    }

    /// As it is written.
    pub(super) fn to_bytes(self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(PART_BYTES);
        bytes.extend(self.offset.to_le_bytes());
        let counts = [self.rows, self.addresses, self.postings, self.tokens, self.extras];
        let places = [self.first, self.last].map(|place| [place.ledger.0, place.event]);
        for number in counts.into_iter().chain(places.into_iter().flatten()) {
            bytes.extend(number.to_le_bytes());
        }
        bytes.extend(self.sha256);
        bytes.resize(PART_BYTES, 0);
        bytes
    }

    /// What was written; `None` if these are too few bytes.
    pub(super) fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let place =
            |at| Some(Place { ledger: LedgerSequence(u32_at(bytes, at)?), event: u32_at(bytes, at + 4)? });
        Some(Self {
            offset: u64::from_le_bytes(bytes.get(..8)?.try_into().ok()?),
            rows: u32_at(bytes, 8)?,
            addresses: u32_at(bytes, 12)?,
            postings: u32_at(bytes, 16)?,
            tokens: u32_at(bytes, 20)?,
            extras: u32_at(bytes, 24)?,
            first: place(28)?,
            last: place(36)?,
            sha256: bytes.get(44..76)?.try_into().ok()?,
        })
    }
}

/// Most bytes of memory of a row while its part is made: where every row has a token and two addresses of its own, these with
/// the tables that number them have 700, the finished part 450, and either may stand in a buffer with room for as much again.
const PART_ROW_BYTES: usize = 1536;

/// Rows of a part that takes at most so many bytes while it is made.
pub(super) fn part_rows(bytes_max: usize) -> u32 {
    u32::try_from(bytes_max / PART_ROW_BYTES).unwrap_or(u32::MAX).clamp(64, PART_ROWS_MAX)
}

/// The number at a place.
pub(super) fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_le_bytes(bytes.get(at..at + 4)?.try_into().ok()?))
}

/// Of an address: its upper bits say its place in the directory, its lower half stands in its slot.
pub(super) fn hash(bytes: &[u8]) -> u64 {
    let mut hash = 0x6f72_7265_7279_0001_u64;
    for word in bytes.chunks(8) {
        let mut padded = [0; 8];
        padded.iter_mut().zip(word).for_each(|(to, from)| *to = *from);
        hash = (hash ^ u64::from_le_bytes(padded)).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        hash ^= hash >> 29;
    }
    hash.wrapping_mul(0xbf58_476d_1ce4_e5b9)
}

/// Tells bytes that a disk changed from those that were written; nobody is kept from forging it.
pub(super) fn check(bytes: &[u8]) -> [u8; 4] {
    let hash = hash(bytes);
    ((hash >> 32) as u32 ^ hash as u32).to_le_bytes()
}

/// The place in the directory of a hash.
pub(super) fn directory_place(hash: u64, bits: u32) -> u32 {
    // A shift by 64 is none in Rust.
    hash.checked_shr(64 - bits).unwrap_or(0) as u32
}
