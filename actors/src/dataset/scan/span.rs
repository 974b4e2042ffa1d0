//! Where rows stand: a ledger, and a place in it.

use std::ops::RangeInclusive;

use orrery_schemas::LedgerSequence;

/// A row's place: its ledger and its `ledger_event_index`; rows of `ledgers` have the index 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Place {
    /// The ledger.
    pub ledger: LedgerSequence,
    /// The event in it.
    pub event: u32,
}

/// Places from the first to the last, both included; empty if the last is before the first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Span {
    /// The first place.
    pub first: Place,
    /// The last place.
    pub last: Place,
}

impl Place {
    /// The first place of a ledger.
    pub fn start_of(ledger: LedgerSequence) -> Self {
        Self { ledger, event: 0 }
    }

    /// The last place of a ledger.
    pub fn end_of(ledger: LedgerSequence) -> Self {
        Self { ledger, event: u32::MAX }
    }
}

impl Span {
    /// Every place.
    pub const ALL: Self = Self {
        first: Place { ledger: LedgerSequence(0), event: 0 },
        last: Place { ledger: LedgerSequence(u32::MAX), event: u32::MAX },
    };

    /// All of these ledgers.
    pub fn ledgers(range: RangeInclusive<LedgerSequence>) -> Self {
        Self { first: Place::start_of(*range.start()), last: Place::end_of(*range.end()) }
    }

    /// Whether nothing is in it.
    pub fn is_empty(&self) -> bool {
        self.last < self.first
    }

    /// What is in both.
    #[must_use]
    pub fn intersection(&self, other: &Self) -> Self {
        Self { first: self.first.max(other.first), last: self.last.min(other.last) }
    }

    /// Whether rows of these ledgers can be in it.
    pub(super) fn touches(&self, ledgers: &RangeInclusive<i64>) -> bool {
        i64::from(self.first.ledger.0) <= *ledgers.end() && *ledgers.start() <= i64::from(self.last.ledger.0)
    }

    /// Whether every row of these ledgers is in it.
    pub(super) fn covers(&self, ledgers: &RangeInclusive<i64>) -> bool {
        let (first, last) = (i64::from(self.first.ledger.0), i64::from(self.last.ledger.0));
        let from = if self.first.event == 0 { first } else { first + 1 };
        let to = if self.last.event == u32::MAX { last } else { last - 1 };
        from <= *ledgers.start() && *ledgers.end() <= to
    }

    /// Whether the row is in it.
    pub(super) fn contains(&self, ledger: i64, event: i64) -> bool {
        let key = |place: &Place| (i64::from(place.ledger.0), i64::from(place.event));
        key(&self.first) <= (ledger, event) && (ledger, event) <= key(&self.last)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place(ledger: u32, event: u32) -> Place {
        Place { ledger: LedgerSequence(ledger), event }
    }

    #[test]
    fn a_span_touches_and_covers_what_its_rows_say() {
        let check = |first, last, ledgers: RangeInclusive<i64>, touches: bool, covers: bool| {
            let span = Span { first, last };
            assert_eq!(
                (span.touches(&ledgers), span.covers(&ledgers)),
                (touches, covers),
                "{span:?} {ledgers:?}"
            );
        };
        check(place(5, 0), place(7, u32::MAX), 5..=7, true, true);
        check(place(5, 0), place(7, u32::MAX), 4..=7, true, false);
        check(place(5, 0), place(7, u32::MAX), 8..=9, false, false);
        check(place(5, 1), place(7, u32::MAX), 5..=7, true, false);
        check(place(5, 1), place(7, u32::MAX), 6..=7, true, true);
        check(place(5, 0), place(7, 3), 5..=6, true, true);
        check(place(5, 0), place(7, 3), 5..=7, true, false);
        assert!(Span { first: place(5, 2), last: place(5, 1) }.is_empty());
        assert!(Span::ALL.contains(0, 0) && Span::ALL.contains(u32::MAX.into(), u32::MAX.into()));
    }
}
