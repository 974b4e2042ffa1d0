//! What is copied next, and how far. Pure.

use bytes::Bytes;
use orrery_schemas::LedgerSequence;

use super::CopyUntil;
use crate::dataset::chain::Chain;
use crate::dataset::slot::{Change, Commit};

/// What is to be done with a slot that was read.
#[derive(Debug)]
pub(super) enum Next {
    /// Store its file, then the slot.
    Slot { commit: Box<Commit>, bytes: Bytes },
    /// All that was asked for is there.
    Reached,
    /// There is no more.
    End,
}

impl Next {
    /// Of slot `slot` of the log that is copied; `None` if there is no such slot.
    pub(super) fn of(slot: u64, found: Option<Bytes>, until: CopyUntil) -> Result<Self, String> {
        let Some(bytes) = found else { return Ok(Self::End) };
        if matches!(until, CopyUntil::Slot(last) if slot > last) {
            return Ok(Self::Reached);
        }
        let commit = Commit::parse(&bytes)?;
        if let (CopyUntil::Ledger(last), Change::Append(_)) = (until, &commit.change)
            && commit.last_ledger > last
        {
            return Ok(Self::Reached);
        }
        Ok(Self::Slot { commit: Box::new(commit), bytes })
    }
}

impl CopyUntil {
    /// What is wrong if a copy has this chain already.
    pub(super) fn refuses(self, chain: &Chain) -> Option<String> {
        let last = LedgerSequence(chain.tip.next_ledger.0.saturating_sub(1));
        match self {
            Self::End => None,
            Self::Slot(slot) => (chain.tip.slot > slot)
                .then(|| format!("it has slots up to {} already, {slot} was asked for", chain.tip.slot)),
            Self::Ledger(ledger) => (last > ledger)
                .then(|| format!("it has ledgers up to {last} already, {ledger} was asked for")),
        }
    }

    /// What is missing if the log ends with this chain.
    pub(super) fn lacks(self, chain: &Chain) -> Option<String> {
        let last = LedgerSequence(chain.tip.next_ledger.0.saturating_sub(1));
        match self {
            Self::Slot(slot) if chain.tip.slot < slot => {
                Some(format!("its log ends with slot {}, before slot {slot}", chain.tip.slot))
            }
            Self::Ledger(ledger) if last < ledger => {
                Some(format!("its log ends with ledger {last}, before ledger {ledger}"))
            }
            _ => None,
        }
    }

    /// What wants to be known of a point that was reached.
    pub(super) fn note(self, chain: &Chain) -> Option<String> {
        let last = LedgerSequence(chain.tip.next_ledger.0.saturating_sub(1));
        match self {
            Self::Ledger(ledger) if last < ledger => Some(format!(
                "slots are taken whole: the last one that has no ledger after {ledger} ends with {last}"
            )),
            _ => None,
        }
    }
}

/// Which of several tables goes on: the one that is furthest behind, so that a copy that is cut off has both to about the same
/// ledger. `None` stands for one that is done.
pub(super) fn whose_turn(next_ledgers: &[Option<LedgerSequence>]) -> Option<usize> {
    let open = next_ledgers.iter().enumerate().filter_map(|(index, next)| Some(((*next)?, index)));
    open.min().map(|(_, index)| index)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dataset::chain::tests::{chain, log};

    #[test]
    fn the_table_that_is_behind_goes_on_until_both_are_done() {
        let check = |next: [Option<u32>; 2], expect| {
            assert_eq!(whose_turn(&next.map(|next| next.map(LedgerSequence))), expect, "{next:?}");
        };
        check([Some(2), Some(2)], Some(0));
        check([Some(18), Some(2)], Some(1));
        check([None, Some(99)], Some(1));
        check([Some(99), None], Some(0));
        check([None, None], None);
    }

    #[test]
    fn a_copy_ends_where_it_was_asked_to_and_never_inside_a_slot() {
        // Its ledgers are 5 to 7.
        let bytes = log()[1].clone();
        let check = |until, expect: bool| {
            let next = Next::of(1, Some(bytes.clone()), until).unwrap();
            assert_eq!(matches!(next, Next::Reached), expect, "{until:?}");
        };
        check(CopyUntil::End, false);
        check(CopyUntil::Slot(0), true);
        check(CopyUntil::Slot(1), false);
        check(CopyUntil::Ledger(LedgerSequence(7)), false);
        check(CopyUntil::Ledger(LedgerSequence(6)), true);
        assert!(matches!(Next::of(1, None, CopyUntil::Slot(0)), Ok(Next::End)));
        assert!(Next::of(1, Some(bytes.slice(1..)), CopyUntil::End).is_err());
    }

    #[test]
    fn what_is_past_the_point_is_refused_and_what_falls_short_is_said() {
        let check = |until: CopyUntil, refuses: bool, lacks: bool| {
            let chain = chain();
            let found = (until.refuses(&chain).is_some(), until.lacks(&chain).is_some());
            assert_eq!(until.note(&chain).is_some(), lacks && matches!(until, CopyUntil::Ledger(_)));
            assert_eq!(found, (refuses, lacks), "{until:?}");
        };
        check(CopyUntil::End, false, false);
        check(CopyUntil::Slot(2), true, false);
        check(CopyUntil::Slot(3), false, false);
        check(CopyUntil::Slot(4), false, true);
        check(CopyUntil::Ledger(LedgerSequence(22)), true, false);
        check(CopyUntil::Ledger(LedgerSequence(23)), false, false);
        check(CopyUntil::Ledger(LedgerSequence(24)), false, true);
    }
}
