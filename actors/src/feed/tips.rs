//! How far the feed reaches: in the dataset, in memory, together.

use orrery_schemas::{CloseTime, Cursor, LedgerSequence};

/// Consecutive ledgers, perhaps none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Extent {
    /// The first one.
    pub first: LedgerSequence,
    /// The one after the last; equal to `first` if there is none.
    pub next: LedgerSequence,
}

impl Extent {
    /// Whether it has a ledger.
    pub fn contains(self, ledger: LedgerSequence) -> bool {
        self.first <= ledger && ledger < self.next
    }
}

/// What can be read at a moment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tips {
    /// Whether the dataset was looked at, or is known to be none: before that, nothing can be said of old cursors.
    pub is_known: bool,
    /// What the dataset has.
    pub stored: Option<Extent>,
    /// What is in memory.
    pub memory: Option<Extent>,
    /// Close time of the newest ledger in memory.
    pub closed_at: Option<CloseTime>,
    /// The node ends: its readers are to go on at another one.
    pub is_over: bool,
    /// How often readers that were here then were sent to another region: whoever comes after that may stay.
    pub sent_away: u32,
}

impl Tips {
    /// The first ledger that can be read, now or when it comes.
    pub fn oldest(&self) -> Option<LedgerSequence> {
        let memory = self.memory.map(|memory| memory.first);
        match self.stored {
            Some(stored) => Some(memory.map_or(stored.first, |first| first.min(stored.first))),
            None => memory,
        }
    }

    /// The ledger after the newest.
    pub fn next(&self) -> Option<LedgerSequence> {
        self.stored.map(|stored| stored.next).max(self.memory.map(|memory| memory.next))
    }

    /// Behind the newest ledger: what a reader has seen that has seen all.
    pub fn tip_cursor(&self) -> Cursor {
        before(self.next())
    }

    /// Before the first ledger: the oldest cursor that nothing is missing behind.
    pub fn oldest_cursor(&self) -> Cursor {
        before(self.oldest())
    }
}

/// The cursor of a reader whose next ledger is this one.
fn before(ledger: Option<LedgerSequence>) -> Cursor {
    Cursor::behind(LedgerSequence(ledger.map_or(0, |ledger| ledger.0.saturating_sub(1))))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tips_join_the_dataset_and_memory() {
        let check = |stored: Option<(u32, u32)>, memory: Option<(u32, u32)>, oldest: &str, tip: &str| {
            let extent = |(first, next)| Extent { first: LedgerSequence(first), next: LedgerSequence(next) };
            let tips = Tips { stored: stored.map(extent), memory: memory.map(extent), ..Tips::default() };
            assert_eq!(
                (tips.oldest_cursor().to_string(), tips.tip_cursor().to_string()),
                (oldest.to_owned(), tip.to_owned())
            );
        };
        check(None, None, "0", "0");
        check(Some((2, 2)), None, "1", "1");
        check(Some((2, 18)), Some((10, 21)), "1", "20");
        check(Some((2, 18)), Some((30, 31)), "1", "30");
        check(None, Some((30, 31)), "29", "30");
        check(Some((2, 50)), Some((10, 21)), "1", "49");
    }
}
