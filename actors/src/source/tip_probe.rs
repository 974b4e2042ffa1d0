//! The search for a lake's newest object where nothing can be listed: which object to ask for next. Pure.
//!
//! From an object that is there, steps of 1, 2, 4, ... objects forward until several in a row are missing; then halves. So
//! a gap of a few objects is looked over; with larger ones it finds the end of one of the stretches between them.

use orrery_schemas::LedgerSequence;

use super::LakeLayout;
use super::lake_layout::NamedRange;

/// Misses in a row that end the steps forward. From the object before a gap they look 8 objects ahead.
const MISSES_MAX: u32 = 4;

/// A search in progress, in numbers of objects.
pub(super) struct TipProbe {
    layout: LakeLayout,
    /// Ledgers in one object.
    size: u64,
    /// Newest that is known to be there.
    there: Option<u64>,
    /// Oldest after it that is known to be missing.
    missing: Option<u64>,
    /// Objects ahead of `there` to look at next.
    step: u64,
    misses: u32,
    is_halving: bool,
    asked: u64,
    last: u64,
}

impl TipProbe {
    pub(super) fn new(layout: LakeLayout, base: LedgerSequence) -> Self {
        let range = layout.batch_range(LedgerSequence(0));
        let size = u64::from(range.end().0) + 1;
        let (asked, last) = (u64::from(base.0) / size, u64::from(u32::MAX) / size);
        let (there, missing) = (None, None);
        Self { layout, size, there, missing, step: 1, misses: 0, is_halving: false, asked, last }
    }

    /// A ledger of the object to ask for; `None` when the search is over.
    pub(super) fn next(&mut self) -> Option<LedgerSequence> {
        self.asked = match (self.there, self.missing) {
            (None, None) => self.asked,
            (None, Some(_)) => return None,
            (Some(there), _) if !self.is_halving && there + self.step <= self.last => there + self.step,
            (Some(there), missing) => {
                self.is_halving = true;
                let missing = missing.unwrap_or(self.last + 1);
                if missing - there <= 1 {
                    return None;
                }
                there + (missing - there) / 2
            }
        };
        Some(self.ledger(self.asked))
    }

    /// Whether the object that [`Self::next`] named is there.
    pub(super) fn answer(&mut self, is_there: bool) {
        if is_there {
            self.step = if self.there.is_none() { 1 } else { self.step * 2 };
            self.there = Some(self.asked);
            self.misses = 0;
            self.missing = self.missing.filter(|_| self.is_halving);
        } else if self.is_halving {
            self.missing = Some(self.asked);
        } else {
            self.missing.get_or_insert(self.asked);
            self.step *= 2;
            self.misses += 1;
            self.is_halving = self.misses == MISSES_MAX;
        }
    }

    /// The newest object; `None` if the first one asked for is not there.
    pub(super) fn found(&self) -> Option<NamedRange> {
        self.there.map(|there| self.layout.batch_range(self.ledger(there)))
    }

    fn ledger(&self, object: u64) -> LedgerSequence {
        LedgerSequence(u32::try_from(object * self.size).unwrap_or(u32::MAX))
    }
}

#[cfg(test)]
mod tests {
    use std::num::NonZeroU32;

    use proptest::prelude::*;

    use super::*;

    /// Last ledger of the newest object, by name, and requests.
    fn search(ledgers_per_batch: u32, base: u32, there: impl Fn(u32) -> bool) -> (Option<u32>, u32) {
        let layout = LakeLayout::new(NonZeroU32::new(ledgers_per_batch).unwrap(), NonZeroU32::MIN);
        let mut probe = TipProbe::new(layout, LedgerSequence(base));
        let mut requests = 0;
        while let Some(sequence) = probe.next() {
            requests += 1;
            probe.answer(there(sequence.0));
        }
        (probe.found().map(|range| range.end().0), requests)
    }

    #[test]
    fn newest_object_is_found_by_probing() {
        let check = |size, base, there: std::ops::RangeInclusive<u32>, tip, requests_max| {
            let (found, requests) = search(size, base, |sequence| there.contains(&sequence));
            assert_eq!(found, tip, "{size} an object, from {base}, {there:?}");
            assert!(
                requests <= requests_max,
                "{size} an object, from {base}, {there:?}: {requests} requests"
            );
        };
        check(1, 2, 2..=2, Some(2), 5);
        check(1, 2, 2..=3, Some(3), 7);
        check(1, 2, 5..=9, None, 1);
        check(1, 62_000_000, 61_000_000..=62_000_100, Some(62_000_100), 18);
        check(64, 70, 64..=640, Some(703), 12);
        check(1, 2, 0..=u32::MAX, Some(u32::MAX), 65);
        check(64, 2, 0..=u32::MAX, Some(u32::MAX), 53);
    }

    #[test]
    fn small_gap_is_looked_over() {
        let check = |gap: std::ops::RangeInclusive<u32>, tip| {
            let (found, _) = search(1, 24, |sequence| sequence <= 400 && !gap.contains(&sequence));
            assert_eq!(found, Some(tip), "{gap:?}");
        };
        check(25..=25, 400);
        check(25..=31, 400);
        check(25..=32, 24);
    }

    proptest! {
        #[test]
        fn search_ends_at_the_newest_after_few_requests(size in 1..100_u32, base in 2..1_000_000_u32, more in 0..100_000_000_u32) {
            let tip = base + more;
            let (found, requests) = search(size, base, |sequence| sequence <= tip);
            prop_assert_eq!(found, Some(tip / size * size + size - 1));
            prop_assert!(requests <= 2 * 32 + MISSES_MAX, "{} requests", requests);
        }
    }
}
