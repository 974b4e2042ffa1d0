//! How a source of ledgers misbehaves: what it serves in place of a ledger. Pure.

use std::time::Duration;

use super::made::MadeLedgers;
use super::zstd_frame::{bomb, stored, with_huge_window};

/// How a source misbehaves. Faults of ledgers befall those from a number on, so that a node has some before.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum SourceFault {
    /// Not at all.
    #[default]
    None,
    /// U1: 429 with `Retry-After`, 503, 500, by turns, to every so many-th request.
    Busy(u64),
    /// U1: nothing is said for so long, and the connection is reset; to every so many-th request.
    Silent(u64, Duration),
    /// U2 to U6: these ledgers are something else.
    Ledgers(Spoil, u32),
    /// U8: ledgers up to this one are those of a fork by now.
    Replaced(u32),
    /// U7: the source says that it is of another network.
    OtherNetwork,
    /// U7: the newest ledger is this one, and all are those of a fork, as after a reset of a test network.
    BeginsAnew(u32),
    /// U9: the newest ledger is this one.
    Stalls(u32),
    /// U11: older ledgers than this one are gone.
    Forgets(u32),
}

/// What comes in place of a ledger.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Spoil {
    /// Bytes that are no XDR of anything.
    Garbage,
    /// A list that says that it has four thousand million entries.
    EndlessList,
    /// Sets of a quorum within sets, ten thousand deep.
    Deep,
    /// An announced length of ten gigabytes.
    Oversized,
    /// Text that is no base64; of a lake, text.
    NoBase64,
    /// Text that is no JSON; of a lake, text.
    NoJson,
    /// Half of it.
    CutShort,
    /// One byte of the compressed form is another.
    Damaged,
    /// A gigabyte of one list in some kilobytes.
    Bomb,
    /// A window that takes two gigabytes.
    HugeWindow,
    /// Nothing: it is not there, though later ones are.
    Missing,
    /// The ledger after it.
    Next,
    /// The ledger before it.
    Previous,
    /// The one of a fork.
    Forked,
    /// The same with one byte changed that a hash binds.
    Tampered,
}

/// What is served in place of a ledger.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Instead {
    /// A `LedgerCloseMeta`, whatever holds it.
    Xdr(Vec<u8>),
    /// What stands around XDR is wrong: a whole object of a lake.
    Object(Vec<u8>),
    /// A length, and little behind it.
    Announced(usize),
    /// Text, where XDR in base64 is due.
    Text(&'static str),
    /// Text, where JSON is due.
    Body(&'static str),
    Missing,
}

/// Levels of what is deep: more than the limit, and more than a thread's stack bears of those who recur.
const LEVELS: usize = 10_000;

/// Bytes that a bomb becomes.
const BOMB_BYTES: usize = 1 << 30;

/// Bytes that are announced.
const ANNOUNCED: usize = 10 << 30;

impl Spoil {
    /// What comes in place of `ledger`; `None` if there is no such ledger at all.
    pub(super) fn instead(self, made: &MadeLedgers, ledger: u32) -> Option<Instead> {
        let sound = made.sound(ledger)?;
        let object = || stored(&batch(ledger, sound));
        Some(match self {
            Self::Garbage => Instead::Xdr((0..4096_u32).map(|byte| (byte * 37 + 11) as u8).collect()),
            Self::EndlessList => Instead::Xdr(endless_list(sound)),
            Self::Deep => Instead::Xdr(deep(sound)),
            Self::Oversized => Instead::Announced(ANNOUNCED),
            Self::NoBase64 => Instead::Text("*no base64*"),
            Self::NoJson => Instead::Body("{\"result\": {\"ledgers\": [{"),
            Self::CutShort => {
                let object = object();
                Instead::Object(object[..object.len() / 2].to_vec())
            }
            Self::Damaged => {
                let mut object = object();
                // The kind of the first block becomes the one that does not exist.
                object[6] |= 0b110;
                Instead::Object(object)
            }
            Self::Bomb => {
                // Zeroes are entries of that list, as many as one likes.
                let begin = [split_tail(sound).0, &u32::MAX.to_be_bytes()].concat();
                Instead::Object(bomb(&batch(ledger, &begin), BOMB_BYTES))
            }
            Self::HugeWindow => Instead::Object(with_huge_window(&batch(ledger, sound))),
            Self::Missing => Instead::Missing,
            Self::Next => Instead::Xdr(made.sound(ledger + 1)?.to_vec()),
            Self::Previous => Instead::Xdr(made.sound(ledger.checked_sub(1)?)?.to_vec()),
            Self::Forked => Instead::Xdr(made.forked(ledger)?.to_vec()),
            Self::Tampered => Instead::Xdr(made.tampered(ledger).ok()??),
        })
    }

    /// Whether the ledgers themselves are wrong, whoever serves them; else it is the form of a lake or of an RPC server.
    pub const fn is_of_lakes(self) -> bool {
        matches!(self, Self::CutShort | Self::Damaged | Self::Bomb | Self::HugeWindow)
    }
}

/// The batch of one ledger that an object of a lake holds.
pub(super) fn batch(ledger: u32, xdr: &[u8]) -> Vec<u8> {
    let number = ledger.to_be_bytes();
    [&number[..], &number, &1_u32.to_be_bytes(), xdr].concat()
}

/// The object of a lake that holds one ledger.
pub(super) fn object(ledger: u32, xdr: &[u8]) -> Vec<u8> {
    stored(&batch(ledger, xdr))
}

/// The last lists of a `LedgerCloseMeta`, which made-up ledgers have empty: `scpInfo`, 8 bytes of a size, `evictedKeys`.
const TAIL_BYTES: usize = 16;

fn split_tail(sound: &[u8]) -> (&[u8], &[u8]) {
    let (begin, tail) = sound.split_at(sound.len().saturating_sub(TAIL_BYTES));
    (begin, tail.get(4..).unwrap_or_default())
}

/// `scpInfo` with one entry, whose quorum set has a set in a set in a set.
fn deep(sound: &[u8]) -> Vec<u8> {
    let (begin, rest) = split_tail(sound);
    let word = |value: u32| value.to_be_bytes();
    // One entry, of version 0, with one quorum set.
    let mut xdr = [begin, &word(1), &word(0), &word(1)].concat();
    for _ in 0..LEVELS {
        // Threshold, no validators, one inner set.
        xdr.extend([word(1), word(0), word(1)].concat());
    }
    xdr.extend([word(1), word(0), word(0)].concat());
    // Messages: their ledger, and none.
    xdr.extend([word(2), word(0)].concat());
    xdr.extend(rest);
    xdr
}

/// `scpInfo` with as many entries as a number can say.
fn endless_list(sound: &[u8]) -> Vec<u8> {
    let (begin, rest) = split_tail(sound);
    [begin, &u32::MAX.to_be_bytes(), rest].concat()
}

#[cfg(test)]
mod tests {
    use orrery_actors::ledger::{Network, ParsedLedger};

    use super::*;
    use crate::stubs::made::PASSPHRASE;

    #[test]
    fn what_is_wrong_with_a_ledger_is_what_is_meant() {
        let made = MadeLedgers::new(1, 5).unwrap();
        let check = |spoil: Spoil, says: &str| {
            let Some(Instead::Xdr(xdr)) = spoil.instead(&made, 3) else { panic!("{spoil:?}") };
            let error = ParsedLedger::read(&Network::new(PASSPHRASE), &xdr).unwrap_err().to_string();
            assert!(error.contains(says), "{spoil:?}: {error}");
        };
        check(Spoil::Garbage, "");
        check(Spoil::EndlessList, "");
        check(Spoil::Deep, "deep");
        assert_eq!(Spoil::Next.instead(&made, 3), Some(Instead::Xdr(made.sound(4).unwrap().to_vec())));
        assert_eq!(Spoil::Previous.instead(&made, 3), Some(Instead::Xdr(made.sound(2).unwrap().to_vec())));
        assert_eq!(Spoil::Next.instead(&made, 6), None);
        let Some(Instead::Object(bomb)) = Spoil::Bomb.instead(&made, 3) else { panic!("no bomb") };
        assert!(bomb.len() < 1 << 20);
    }
}
