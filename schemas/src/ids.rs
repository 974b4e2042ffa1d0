//! Positions and hashes: newtypes for every number that could be mistaken for another.

use std::fmt;
use std::str::FromStr;

use crate::ParseError;

/// Number of a closed ledger. The network's genesis ledger is 1; there are no gaps.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LedgerSequence(pub u32);

impl LedgerSequence {
    /// The ledger after this one, or `None` at the end of the 32-bit range.
    pub fn next(self) -> Option<Self> {
        self.0.checked_add(1).map(Self)
    }
}

impl fmt::Display for LedgerSequence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Consensus time of a ledger header in seconds since 1970-01-01 UTC; never a local clock.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CloseTime(i64);

impl CloseTime {
    /// Last second that RFC 3339 can write: 9999-12-31T23:59:59Z.
    pub const MAX: Self = Self(253_402_300_799);

    /// From the header's unsigned seconds. `None` past the year 9999, which no reader of our tables can represent.
    pub fn from_unix_seconds(seconds: u64) -> Option<Self> {
        i64::try_from(seconds).ok().filter(|&s| s <= Self::MAX.0).map(Self)
    }

    /// From the Arrow column's microseconds. `None` for fractions of a second, which no ledger has, and out of range.
    pub fn from_unix_micros(micros: i64) -> Option<Self> {
        let seconds = u64::try_from(micros).ok().filter(|micros| micros % 1_000_000 == 0)? / 1_000_000;
        Self::from_unix_seconds(seconds)
    }

    /// Seconds since 1970-01-01 UTC.
    pub fn unix_seconds(self) -> i64 {
        self.0
    }

    /// Microseconds since 1970-01-01 UTC, as the Arrow column holds them.
    pub fn unix_micros(self) -> i64 {
        self.0 * 1_000_000
    }
}

/// RFC 3339 in UTC with whole seconds: `2024-09-02T10:50:19Z`.
impl fmt::Display for CloseTime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match jiff::Timestamp::from_second(self.0) {
            Ok(time) => time.fmt(f),
            Err(_) => write!(f, "@{}", self.0),
        }
    }
}

impl FromStr for CloseTime {
    type Err = ParseError;

    fn from_str(text: &str) -> Result<Self, ParseError> {
        let time = text.parse::<jiff::Timestamp>().ok().filter(|time| time.subsec_nanosecond() == 0);
        time.and_then(|time| u64::try_from(time.as_second()).ok())
            .and_then(Self::from_unix_seconds)
            .ok_or_else(|| ParseError::new(text, "a close time like 2024-09-02T10:50:19Z"))
    }
}

/// A SHA-256 hash; hexadecimal in text.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Hash32(pub [u8; 32]);

impl Hash32 {
    /// All zeros: the previous hash of a network's first ledger.
    pub const ZERO: Self = Self([0; 32]);

    /// Writes 64 lower-case hexadecimal digits into `buffer` and returns them as text.
    pub fn encode_hex(self, buffer: &mut [u8; 64]) -> &str {
        // 32 bytes always fill 64 digits and the digits are ASCII, so neither step can fail.
        match hex::encode_to_slice(self.0, buffer) {
            Ok(()) => std::str::from_utf8(buffer).unwrap_or_default(),
            Err(_) => "",
        }
    }
}

impl fmt::Display for Hash32 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.encode_hex(&mut [0; 64]))
    }
}

impl FromStr for Hash32 {
    type Err = ParseError;

    fn from_str(text: &str) -> Result<Self, ParseError> {
        let mut bytes = [0; 32];
        match hex::decode_to_slice(text, &mut bytes) {
            Ok(()) => Ok(Self(bytes)),
            Err(_) => Err(ParseError::new(text, "a hash of 64 hexadecimal digits")),
        }
    }
}

impl fmt::Debug for Hash32 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// Total order identifier of SEP-35: ledger in 32 bits, transaction in 20, operation in 12.
///
/// It orders operations over the whole history; it does not identify an event (see [`EventId`]).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Toid(i64);

impl Toid {
    /// Most transactions of one ledger that the 20-bit field can number.
    pub const TX_INDEX_MAX: u32 = (1 << 20) - 1;
    /// Most operations of one transaction that the 12-bit field can number.
    pub const OP_INDEX_MAX: u32 = (1 << 12) - 1;

    /// `tx_index` is 1-based; `op_index` is 1-based, `None` for what belongs to no operation (fees).
    ///
    /// `None` if a number does not fit its field: SEP-35 cannot name such a position.
    pub fn new(ledger: LedgerSequence, tx_index: u32, op_index: Option<u32>) -> Option<Self> {
        let op_index = op_index.unwrap_or(0);
        if ledger.0 > i32::MAX as u32 || tx_index > Self::TX_INDEX_MAX || op_index > Self::OP_INDEX_MAX {
            return None;
        }
        Some(Self(i64::from(ledger.0) << 32 | i64::from(tx_index) << 12 | i64::from(op_index)))
    }

    /// The 64-bit value.
    pub fn value(self) -> i64 {
        self.0
    }
}

/// Stable name of one event: `{toid:019}-{event_index:010}`. Sorts as text in (ledger, transaction, operation) order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct EventId {
    /// Where the event belongs.
    pub toid: Toid,
    /// 0-based position inside (transaction, operation), or inside the fees of a transaction.
    pub event_index: u32,
}

impl fmt::Display for EventId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The formatter's own padding costs several times as much, for a text that every row has.
        const ZEROS: &str = "0000000000000000000";
        let (mut toid, mut index) = (itoa::Buffer::new(), itoa::Buffer::new());
        let (toid, index) = (toid.format(self.toid.0), index.format(self.event_index));
        f.write_str(ZEROS.get(toid.len()..).unwrap_or_default())?;
        f.write_str(toid)?;
        f.write_str("-")?;
        f.write_str(ZEROS.get(9 + index.len()..).unwrap_or_default())?;
        f.write_str(index)
    }
}

impl FromStr for EventId {
    type Err = ParseError;

    fn from_str(text: &str) -> Result<Self, ParseError> {
        let digits =
            |text: &str, count| text.len() == count && text.bytes().all(|byte| byte.is_ascii_digit());
        let parsed = text.split_once('-').filter(|(toid, index)| digits(toid, 19) && digits(index, 10));
        parsed
            .and_then(|(toid, index)| {
                Some(Self { toid: Toid(toid.parse().ok()?), event_index: index.parse().ok()? })
            })
            .ok_or_else(|| ParseError::new(text, "an event id: 19 digits, `-`, 10 digits"))
    }
}
