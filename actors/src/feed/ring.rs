//! Consecutive ledgers in memory, the newest ones, bounded by bytes. Pure: what an offer does follows from what is there.
//!
//! | offered ledger | what happens |
//! |---|---|
//! | the first of all | the ring begins with it |
//! | behind the last, and hangs on it | appended; the oldest leave for it |
//! | behind the last, on another hash | refused: two histories |
//! | there already, same hash | known: pipelines begin again at what is durable |
//! | there already, another hash | refused: two histories |
//! | before the first | ignored: the dataset has it, or will |
//! | further ahead | the ring begins anew with it: the dataset fills what is between |

use std::collections::VecDeque;
use std::ops::RangeInclusive;

use orrery_schemas::{Hash32, LedgerSequence};
use orrery_supervisor::seeded_bug;

/// Where a ledger stands in the chain.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Link {
    /// The ledger.
    pub ledger: LedgerSequence,
    /// Its hash.
    pub hash: Hash32,
    /// The hash that it gives for the one before.
    pub previous: Hash32,
}

/// What came of an offer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Offered {
    /// It is the last one now.
    Appended,
    /// It is the only one now.
    Begun,
    /// It was there.
    Known,
    /// It is older than what is here.
    Behind,
    /// The ring has a ledger that it contradicts. It was not taken.
    Contradiction {
        /// The ledger whose hash is in question.
        ledger: LedgerSequence,
        /// Its hash here.
        here: Hash32,
        /// Its hash by the offer.
        offered: Hash32,
    },
}

/// The newest ledgers.
#[derive(Clone, Debug)]
pub struct Ring<T> {
    entries: VecDeque<Entry<T>>,
    bytes: usize,
    bytes_max: usize,
    /// The last ledger that left for want of room since the ring began.
    evicted: Option<LedgerSequence>,
}

#[derive(Clone, Debug)]
struct Entry<T> {
    link: Link,
    bytes: usize,
    value: T,
}

impl<T> Ring<T> {
    /// An empty one of so many bytes; the newest ledger stays, however large it is.
    pub fn new(bytes_max: usize) -> Self {
        Self { entries: VecDeque::new(), bytes: 0, bytes_max, evicted: None }
    }

    /// Takes a ledger of `bytes` bytes, or tells why not.
    pub fn offer(&mut self, link: Link, bytes: usize, value: T) -> Offered {
        let outcome = self.judge(link);
        match outcome {
            Offered::Appended => {}
            Offered::Begun => {
                self.entries.clear();
                self.bytes = 0;
                self.evicted = None;
            }
            Offered::Known | Offered::Behind | Offered::Contradiction { .. } => return outcome,
        }
        self.entries.push_back(Entry { link, bytes, value });
        self.bytes = self.bytes.saturating_add(bytes);
        while self.bytes > self.bytes_max && self.entries.len() > 1 {
            if let Some(oldest) = self.entries.pop_front() {
                self.bytes = self.bytes.saturating_sub(oldest.bytes);
                self.evicted = Some(oldest.link.ledger);
            }
        }
        outcome
    }

    fn judge(&self, link: Link) -> Offered {
        let (Some(first), Some(last)) = (self.entries.front(), self.entries.back()) else {
            return Offered::Begun;
        };
        let contradiction =
            |here: Link, offered| Offered::Contradiction { ledger: here.ledger, here: here.hash, offered };
        if last.link.ledger.next() == Some(link.ledger) {
            return match link.previous == last.link.hash {
                true => Offered::Appended,
                false => contradiction(last.link, link.previous),
            };
        }
        if link.ledger > last.link.ledger {
            return Offered::Begun;
        }
        match self.entry(link.ledger) {
            Some(here) if here.link.hash == link.hash => {
                seeded_bug!(B23, Offered::Appended, Offered::Known)
            }
            Some(here) => contradiction(here.link, link.hash),
            None if link.ledger < first.link.ledger => Offered::Behind,
            None => Offered::Known,
        }
    }

    fn entry(&self, ledger: LedgerSequence) -> Option<&Entry<T>> {
        let first = self.entries.front()?.link.ledger;
        self.entries.get(ledger.0.checked_sub(first.0)? as usize)
    }

    /// A ledger, if it is here.
    pub fn get(&self, ledger: LedgerSequence) -> Option<&T> {
        self.entry(ledger).map(|entry| &entry.value)
    }

    /// The ledgers that are here.
    pub fn range(&self) -> Option<RangeInclusive<LedgerSequence>> {
        Some(self.entries.front()?.link.ledger..=self.entries.back()?.link.ledger)
    }

    #[cfg(feature = "seeded-bugs")]
    pub(super) fn oldest(&self) -> Option<&T> {
        self.entries.front().map(|entry| &entry.value)
    }

    /// The newest.
    pub fn last(&self) -> Option<&T> {
        self.entries.back().map(|entry| &entry.value)
    }

    /// Whether a ledger was here and left for want of room.
    pub fn has_evicted(&self, ledger: LedgerSequence) -> bool {
        self.evicted.is_some_and(|evicted| ledger <= evicted)
    }

    /// Bytes of what is here.
    pub fn bytes(&self) -> usize {
        self.bytes
    }
}

#[cfg(test)]
mod tests;
