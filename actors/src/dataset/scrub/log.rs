//! Which slots of a log are not as they were written. Pure.
//!
//! The hash of each slot is in the one after it, so that the log is judged from its end: a slot is sound if the sound one after
//! it says so. Behind the last one, and behind a hole, nothing says: such a slot must be written as this program writes, and
//! know the one before it.

use orrery_schemas::Hash32;

/// What was seen of a slot.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Seen {
    pub(super) sha256: Hash32,
    /// Hash of the slot before, as this one has it; `None` of slot 0, and of one that cannot be read.
    pub(super) prev: Option<Hash32>,
    /// Whether it reads as a slot and is written as one.
    pub(super) is_well_formed: bool,
    /// Whether another dataset has the same bytes here.
    pub(super) is_vouched: bool,
}

/// Something that is wrong with a slot.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Fault {
    pub(super) slot: u64,
    /// SHA-256 that it must have, if a sound slot says.
    pub(super) expected: Option<Hash32>,
    /// What is there instead, `None` if nothing is.
    pub(super) found: Option<Hash32>,
    pub(super) what: &'static str,
}

const MISSING: &str = "the slot is not there";
const OTHER_HASH: &str = "the slot after it has another hash of it";
const MALFORMED: &str = "it is not as a slot is written";
pub(super) const APART: &str = "it has another hash of the slot before: one of both is damaged";

/// The faults of a log, from its end.
pub(super) fn judge(seen: &[Option<Seen>]) -> Vec<Fault> {
    let mut faults = Vec::new();
    let mut expected: Option<Hash32> = None;
    for (index, at) in seen.iter().enumerate().rev() {
        let before = index.checked_sub(1).and_then(|index| seen.get(index)).and_then(Option::as_ref);
        let found = at.as_ref().map(|at| at.sha256);
        let what = match at {
            None => Some(MISSING),
            Some(at) => match expected {
                Some(expected) => (expected != at.sha256).then_some(OTHER_HASH),
                None if at.is_vouched => None,
                None if !at.is_well_formed => Some(MALFORMED),
                None => before
                    .is_some_and(|before| before.is_well_formed && at.prev != Some(before.sha256))
                    .then_some(APART),
            },
        };
        match what {
            Some(what) => {
                faults.push(Fault { slot: index as u64, expected, found, what });
                expected = None;
            }
            None => expected = at.as_ref().and_then(|at| at.prev),
        }
    }
    faults
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hash(byte: u8) -> Hash32 {
        Hash32([byte; 32])
    }

    /// Slots 0 to 4, sound.
    fn sound() -> Vec<Option<Seen>> {
        let slot = |slot: u8| Seen {
            sha256: hash(slot),
            prev: slot.checked_sub(1).map(hash),
            is_well_formed: true,
            is_vouched: false,
        };
        (0..5).map(|number| Some(slot(number))).collect()
    }

    fn check(damage: impl FnOnce(&mut Vec<Option<Seen>>), expect: &[(u64, Option<Hash32>, &str)]) {
        let mut seen = sound();
        damage(&mut seen);
        let found: Vec<_> =
            judge(&seen).iter().map(|fault| (fault.slot, fault.expected, fault.what)).collect();
        assert_eq!(found, expect);
    }

    fn edit(seen: &mut [Option<Seen>], slot: usize, edit: impl FnOnce(&mut Seen)) {
        edit(seen[slot].as_mut().unwrap());
    }

    #[test]
    fn a_slot_that_is_not_what_the_next_one_says_is_damaged() {
        check(|_| {}, &[]);
        check(|seen| edit(seen, 0, |slot| slot.sha256 = hash(9)), &[(0, Some(hash(0)), OTHER_HASH)]);
        check(|seen| edit(seen, 2, |slot| slot.sha256 = hash(9)), &[(2, Some(hash(2)), OTHER_HASH)]);
        // Its damage may be in what it says of the slot before, which is believed all the less.
        let prev = |slot: &mut Seen| (slot.sha256, slot.prev) = (hash(9), Some(hash(8)));
        check(|seen| edit(seen, 2, prev), &[(2, Some(hash(2)), OTHER_HASH)]);
        check(|seen| seen[3] = None, &[(3, Some(hash(3)), MISSING)]);
        check(
            |seen| {
                seen[0] = None;
                edit(seen, 3, |slot| slot.is_well_formed = false);
                edit(seen, 3, |slot| slot.sha256 = hash(9));
            },
            &[(3, Some(hash(3)), OTHER_HASH), (0, Some(hash(0)), MISSING)],
        );
    }

    #[test]
    fn the_last_slot_has_to_be_well_formed_and_to_know_the_one_before() {
        check(|seen| edit(seen, 4, |slot| slot.is_well_formed = false), &[(4, None, MALFORMED)]);
        check(|seen| edit(seen, 4, |slot| slot.prev = Some(hash(9))), &[(4, None, APART)]);
        // The one before is malformed: it is to blame.
        let rotten = |slot: &mut Seen| (slot.sha256, slot.is_well_formed) = (hash(9), false);
        check(|seen| edit(seen, 3, rotten), &[(3, Some(hash(3)), OTHER_HASH)]);
        // Another dataset has the same last slot: again it is the one before.
        check(
            |seen| {
                edit(seen, 3, |slot| slot.sha256 = hash(9));
                edit(seen, 4, |slot| slot.is_vouched = true);
            },
            &[(3, Some(hash(3)), OTHER_HASH)],
        );
        check(|seen| seen.truncate(1), &[]);
        check(Vec::clear, &[]);
    }

    #[test]
    fn behind_a_hole_a_slot_is_judged_as_the_last_one() {
        check(
            |seen| {
                seen[3] = None;
                edit(seen, 2, |slot| slot.is_well_formed = false);
            },
            &[(3, Some(hash(3)), MISSING), (2, None, MALFORMED)],
        );
    }
}
