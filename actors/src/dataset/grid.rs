//! Where slots end: arithmetic on ledger numbers, so that every writer cuts alike.
//!
//! Boundaries are multiples of a step's width. The first slot of a dataset, the slot before a step, and the last slot of
//! a bounded run may be shorter; the slot after a short one ends at the next boundary.
//!
//! | grid | next | to | slot |
//! |---|---|---|---|
//! | 1:1024 | 2 | | 2..=1023 |
//! | 1:1024 | 1024 | | 1024..=2047 |
//! | 1:1024 | 1024 | 1500 | 1024..=1500 |
//! | 1:1024 | 1501 | | 1501..=2047 |
//! | 1:1024,1500:16 | 1024 | | 1024..=1499 |
//! | 1:1024,1500:16 | 1500 | | 1500..=1503 |

use std::fmt;
use std::ops::RangeInclusive;
use std::str::FromStr;

use orrery_schemas::LedgerSequence;
use orrery_supervisor::seeded_bug;
#[cfg(feature = "seeded-bugs")]
use orrery_supervisor::seeded_bugs;

/// From this ledger on, slots are this wide.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct GridStep {
    /// First ledger of the step.
    pub from_ledger: LedgerSequence,
    /// Width of a slot in ledgers; boundaries are its multiples.
    pub ledgers_per_slot: u32,
}

/// Fixed slot boundaries of a table. In text `1:1024,50000000:16`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Grid {
    steps: Vec<GridStep>,
}

/// A grid that makes no sense.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum GridError {
    /// No step at all.
    #[error("the grid is empty: give at least one step, such as 1:1024")]
    Empty,
    /// Not `ledger:width,...`.
    #[error("the grid {text:?} is not a list like 1:1024,50000000:16 (from ledger : ledgers of a slot)")]
    Text {
        /// As given.
        text: String,
    },
    /// Too narrow or too wide.
    #[error("a slot of {found} ledgers: give 1 to {}", Grid::LEDGERS_PER_SLOT_MAX)]
    Width {
        /// As given.
        found: u32,
    },
    /// Steps go back.
    #[error("the grid's step at ledger {second} does not come after the one at {first}: sort the steps")]
    Order {
        /// The step before.
        first: LedgerSequence,
        /// The step that is not after it.
        second: LedgerSequence,
    },
}

impl Grid {
    /// Width for history: a file of about a row group of dense ledgers.
    pub const LEDGERS_PER_SLOT: u32 = 1024;
    /// The widest slot: one slot is encoded in memory as a whole.
    pub const LEDGERS_PER_SLOT_MAX: u32 = 1 << 16;
    /// Most steps: the list is part of every table's metadata.
    const STEPS_MAX: usize = 1024;

    /// A grid of these steps.
    ///
    /// # Errors
    ///
    /// [`GridError`] for an empty or unsorted list or a width that no slot may have.
    pub fn new(steps: Vec<GridStep>) -> Result<Self, GridError> {
        if steps.is_empty() || steps.len() > Self::STEPS_MAX {
            return Err(GridError::Empty);
        }
        for step in &steps {
            if step.ledgers_per_slot == 0 || step.ledgers_per_slot > Self::LEDGERS_PER_SLOT_MAX {
                return Err(GridError::Width { found: step.ledgers_per_slot });
            }
        }
        for (first, second) in steps.iter().zip(steps.iter().skip(1)) {
            if second.from_ledger <= first.from_ledger {
                return Err(GridError::Order { first: first.from_ledger, second: second.from_ledger });
            }
        }
        Ok(Self { steps })
    }

    /// Slots of one width everywhere.
    ///
    /// # Errors
    ///
    /// [`GridError::Width`].
    pub fn uniform(ledgers_per_slot: u32) -> Result<Self, GridError> {
        Self::new(vec![GridStep { from_ledger: LedgerSequence(1), ledgers_per_slot }])
    }

    /// The steps, ascending.
    pub fn steps(&self) -> &[GridStep] {
        &self.steps
    }

    /// The slot that begins with ledger `next`, cut at `to` if it would go past it. `None` if `next` is past `to`.
    pub fn slot_range(
        &self,
        next: LedgerSequence,
        to: Option<LedgerSequence>,
    ) -> Option<RangeInclusive<LedgerSequence>> {
        let after = self.steps.iter().find(|step| step.from_ledger > next);
        let before = self.steps.iter().rev().find(|step| step.from_ledger <= next);
        let width = before.or(self.steps.first())?.ledgers_per_slot;
        let last = last_of_slot(next, width);
        let mut last = seeded_bug!(
            B4,
            LedgerSequence(last.0 + 1),
            seeded_bug!(B10, LedgerSequence(next.0 + seeded_bugs::tick() as u32 % width), last)
        );
        if let Some(before_step) = after.and_then(|step| step.from_ledger.0.checked_sub(1)) {
            last = last.min(LedgerSequence(before_step));
        }
        let last = to.map_or(last, |to| last.min(to));
        (next <= last).then_some(next..=last)
    }
}

impl Default for Grid {
    fn default() -> Self {
        let step = GridStep { from_ledger: LedgerSequence(1), ledgers_per_slot: Self::LEDGERS_PER_SLOT };
        Self { steps: vec![step] }
    }
}

/// The last ledger of the aligned slot of `width` ledgers that holds `ledger`.
pub(super) fn last_of_slot(ledger: LedgerSequence, width: u32) -> LedgerSequence {
    let first = ledger.0 - ledger.0 % width.max(1);
    LedgerSequence(first.saturating_add(width.saturating_sub(1)))
}

impl fmt::Display for Grid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, step) in self.steps.iter().enumerate() {
            let comma = if index == 0 { "" } else { "," };
            write!(f, "{comma}{}:{}", step.from_ledger, step.ledgers_per_slot)?;
        }
        Ok(())
    }
}

impl FromStr for Grid {
    type Err = GridError;

    fn from_str(text: &str) -> Result<Self, GridError> {
        let wrong = || GridError::Text { text: text.chars().take(80).collect() };
        let step = |step: &str| {
            let (from, width) = step.split_once(':').ok_or_else(wrong)?;
            let from_ledger = LedgerSequence(from.parse().map_err(|_| wrong())?);
            Ok(GridStep { from_ledger, ledgers_per_slot: width.parse().map_err(|_| wrong())? })
        };
        let steps: Result<Vec<_>, _> = text.split(',').take(Self::STEPS_MAX + 1).map(step).collect();
        Self::new(steps?)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn check(grid: &str, next: u32, to: Option<u32>, expect: Option<(u32, u32)>) {
        let grid: Grid = grid.parse().unwrap();
        let found = grid.slot_range(LedgerSequence(next), to.map(LedgerSequence));
        assert_eq!(found.map(|range| (range.start().0, range.end().0)), expect, "{grid} {next} {to:?}");
    }

    #[test]
    fn slots_end_at_multiples_steps_and_the_end_of_a_run() {
        check("1:1024", 2, None, Some((2, 1023)));
        check("1:1024", 1023, None, Some((1023, 1023)));
        check("1:1024", 1024, None, Some((1024, 2047)));
        check("1:1024", 1024, Some(1500), Some((1024, 1500)));
        check("1:1024", 1501, None, Some((1501, 2047)));
        check("1:1024", 1501, Some(1500), None);
        check("1:1024", 1024, Some(5000), Some((1024, 2047)));
        check("1:1024,1500:16", 1024, None, Some((1024, 1499)));
        check("1:1024,1500:16", 1500, None, Some((1500, 1503)));
        check("1:1024,1500:16", 1504, None, Some((1504, 1519)));
        check("100:16", 7, None, Some((7, 15)));
        check("100:16", 96, None, Some((96, 99)));
        check("1:1", 9, None, Some((9, 9)));
        check("1:1000", u32::MAX, None, Some((u32::MAX, u32::MAX)));
        check("1:1024", u32::MAX - 1, None, Some((u32::MAX - 1, u32::MAX)));
    }

    #[test]
    fn senseless_grids_are_refused_with_the_form_that_is_meant() {
        let check = |text: &str, fragment: &str| {
            let error = text.parse::<Grid>().unwrap_err().to_string();
            assert!(error.contains(fragment), "{error}");
        };
        check("", "1:1024,50000000:16");
        check("1024", "1:1024,50000000:16");
        check("1:-4", "1:1024,50000000:16");
        check("1:0", "give 1 to 65536");
        check("1:70000", "give 1 to 65536");
        check("5:16,5:32", "sort the steps");
        assert_eq!(Grid::new(Vec::new()), Err(GridError::Empty));
    }

    proptest! {
        #[test]
        fn slots_follow_each_other_without_gap_or_overlap(
            widths in proptest::collection::vec((1_u32..500, 1_u32..3000), 1..4),
            start in 1_u32..5000,
            cuts in proptest::collection::vec(1_u32..700, 0..8),
        ) {
            let mut from = 0;
            let steps = widths.iter().map(|(width, distance)| {
                from += distance;
                GridStep { from_ledger: LedgerSequence(from), ledgers_per_slot: *width }
            });
            let grid = Grid::new(steps.collect()).unwrap();
            prop_assert_eq!(grid.to_string().parse::<Grid>().unwrap(), grid.clone());
            let mut next = LedgerSequence(start);
            // Bounded runs, one after the other, then unbounded: boundaries are met again after every cut.
            let mut cuts = cuts.into_iter();
            for _ in 0..60 {
                let to = cuts.next().map(|cut| LedgerSequence(next.0 + cut));
                let range = grid.slot_range(next, to).unwrap();
                prop_assert_eq!(*range.start(), next);
                let full = grid.slot_range(next, None).unwrap();
                prop_assert_eq!(*range.end(), to.map_or(*full.end(), |to| to.min(*full.end())));
                let last = full.end().0;
                let step = grid.steps().iter().rev().find(|step| step.from_ledger <= next).or(grid.steps().first()).unwrap();
                let is_boundary = (last + 1).is_multiple_of(step.ledgers_per_slot);
                prop_assert!(is_boundary || grid.steps().iter().any(|step| step.from_ledger.0 == last + 1));
                next = range.end().next().unwrap();
            }
        }
    }
}
