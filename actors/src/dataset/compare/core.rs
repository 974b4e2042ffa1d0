//! Which slot is looked at next, and what two logs say of the same ledgers. Pure.

use orrery_schemas::{Hash32, LedgerSequence, RowDigest};

use super::{Relation, Side};
use crate::dataset::slot::{Change, Commit};

/// Finds the first slot that differs. Equal slots have equal slots before them; different ones have different ones behind.
#[derive(Debug)]
pub(super) struct Halving {
    /// All before are equal.
    low: u64,
    /// The first that is known to differ.
    high: Option<u64>,
    newest: u64,
}

impl Halving {
    /// Of logs that both have slots up to `newest`, which is asked first.
    pub(super) fn new(newest: u64) -> Self {
        Self { low: 0, high: None, newest }
    }

    /// The slot to compare; `None` when it is found.
    pub(super) fn ask(&self) -> Option<u64> {
        match self.high {
            None if self.low > self.newest => None,
            None => Some(self.newest),
            Some(high) if self.low < high => Some(self.low + (high - self.low) / 2),
            Some(_) => None,
        }
    }

    /// Whether the slots of this number are equal.
    pub(super) fn hear(&mut self, slot: u64, is_equal: bool) {
        if is_equal {
            self.low = slot + 1;
        } else {
            self.high = Some(slot);
        }
    }

    pub(super) fn first_difference(&self) -> Option<u64> {
        self.high
    }
}

/// Of two logs that are equal as far as both go.
pub(super) fn relation(one: u64, other: u64) -> Relation {
    match one.cmp(&other) {
        std::cmp::Ordering::Equal => Relation::Equal,
        std::cmp::Ordering::Less => Relation::Behind(Side::One),
        std::cmp::Ordering::Greater => Relation::Behind(Side::Other),
    }
}

/// What a log says up to a ledger: equal in two logs, their rows are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct End {
    ledger: LedgerSequence,
    hash: Hash32,
    rows: u64,
    digest: RowDigest,
}

/// Follows two logs by their ledgers, however these are cut into slots.
#[derive(Debug, Default)]
pub(super) struct Rows {
    ends: [Option<End>; 2],
}

impl Rows {
    /// Which side's next slot is wanted: the one that is behind.
    pub(super) fn wants(&self) -> usize {
        let at = self.ends.map(|end| end.map(|end| end.ledger));
        usize::from(at[1] < at[0])
    }

    /// A slot of one side; what contradicts the other, for a person.
    pub(super) fn hear(&mut self, side: usize, commit: &Commit) -> Result<(), String> {
        if !matches!(commit.change, Change::Append(_)) {
            return Ok(());
        }
        let end = End {
            ledger: commit.last_ledger,
            hash: commit.last_ledger_hash,
            rows: commit.total_rows,
            digest: commit.total_digest,
        };
        if let Some(own) = self.ends.get_mut(side) {
            *own = Some(end);
        }
        match self.ends {
            [Some(one), Some(other)] if one.ledger == other.ledger => one.agrees(&other),
            _ => Ok(()),
        }
    }
}

impl End {
    fn agrees(&self, other: &Self) -> Result<(), String> {
        let ledger = self.ledger;
        if self.hash != other.hash {
            return Err(format!(
                "ledger {ledger} is {} in the first, {} in the other",
                self.hash, other.hash
            ));
        }
        if (self.rows, self.digest) != (other.rows, other.digest) {
            return Err(format!(
                "up to ledger {ledger} the first has {} rows with digest {}, the other {} with {}",
                self.rows, self.digest, other.rows, other.digest
            ));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dataset::chain::tests::{append, chain};

    #[test]
    fn the_first_difference_is_found_in_few_looks() {
        for newest in 0..40 {
            for first in 0..=newest + 1 {
                let mut halving = Halving::new(newest);
                let mut looks = 0;
                while let Some(slot) = halving.ask() {
                    assert!(slot <= newest);
                    halving.hear(slot, slot < first);
                    looks += 1;
                }
                assert_eq!(
                    halving.first_difference(),
                    (first <= newest).then_some(first),
                    "{newest} {first}"
                );
                assert!(looks <= 8, "{looks} looks at {newest} slots");
            }
        }
    }

    #[test]
    fn logs_that_are_equal_as_far_as_both_go_differ_by_their_ends_alone() {
        assert_eq!(relation(3, 3), Relation::Equal);
        assert_eq!(relation(2, 3), Relation::Behind(Side::One));
        assert_eq!(relation(3, 2), Relation::Behind(Side::Other));
    }

    #[test]
    fn rows_are_compared_where_slots_of_both_end() {
        let chain = chain();
        let (whole, half) = (append(&chain, 24, 31), append(&chain, 24, 27));
        let mut rest = append(&chain, 28, 31);
        rest.total_rows = whole.total_rows;
        rest.total_digest = whole.total_digest;
        let check = |slots: &[(usize, &Commit)], expect: Result<(), &str>| {
            let mut rows = Rows::default();
            let heard = slots.iter().try_for_each(|(side, commit)| {
                assert_eq!(rows.wants(), *side);
                rows.hear(*side, commit)
            });
            match expect {
                Ok(()) => assert_eq!(heard, Ok(())),
                Err(fragment) => assert!(heard.unwrap_err().contains(fragment)),
            }
        };
        check(&[(0, &whole), (1, &half), (1, &rest)], Ok(()));
        rest.total_rows += 1;
        check(&[(0, &whole), (1, &half), (1, &rest)], Err("up to ledger 31 the first has"));
        rest.last_ledger_hash = Hash32::ZERO;
        check(&[(0, &whole), (1, &half), (1, &rest)], Err("ledger 31 is"));
        let compaction = chain.without_ledgers(Change::Append(None));
        let compaction = Commit {
            change: Change::Compaction { add: crate::dataset::chain::tests::file(5, 23), remove: Vec::new() },
            ..compaction
        };
        check(&[(0, &compaction), (0, &whole), (1, &half), (1, &rest)], Err("ledger 31"));
    }
}
