//! Logs: I1 continuity, I3 chain, I4 replicas, I7 one value.

use std::collections::{BTreeMap, BTreeSet};

use super::{Finding, Findings};
use crate::history::{Entry, Op};

/// A slot as the end of a run shows it.
struct Slot<'a> {
    slot: u64,
    ledgers: Option<(u32, u32)>,
    hash: &'a str,
    prev: &'a str,
    parent: &'a str,
    last_hash: &'a str,
}

fn logs(history: &[Entry]) -> BTreeMap<&str, Vec<Slot<'_>>> {
    let mut logs: BTreeMap<&str, Vec<Slot<'_>>> = BTreeMap::new();
    for entry in history {
        if let Op::Slot { table, slot, ledgers, hash, prev, parent, last_hash } = &entry.what {
            let slot = Slot { slot: *slot, ledgers: *ledgers, hash, prev, parent, last_hash };
            logs.entry(table).or_default().push(slot);
        }
    }
    logs.values_mut().for_each(|slots| slots.sort_by_key(|slot| slot.slot));
    logs
}

/// I1: slots are numbered without a gap, and so are the ledgers in them; they are cut where the grid says, if the oracle
/// knows.
pub fn continuity(history: &[Entry]) -> Vec<Finding> {
    let mut findings = Findings::of(1);
    let mut due: BTreeMap<&str, BTreeSet<(u32, u32)>> = BTreeMap::new();
    for entry in history {
        if let Op::Due { table, first, last } = &entry.what {
            due.entry(table).or_default().insert((*first, *last));
        }
    }
    for (table, slots) in logs(history) {
        for (number, slot) in (0_u64..).zip(&slots) {
            if slot.slot != number {
                findings.add(format!("{table} has slot {} where {number} is due", slot.slot));
                break;
            }
        }
        if let Some(due) = due.get(table) {
            let cut = slots.iter().filter_map(|slot| slot.ledgers).find(|range| !due.contains(range));
            if let Some((first, last)) = cut {
                findings.add(format!(
                    "{table} has a slot of ledgers {first} to {last}, which is none of its grid"
                ));
            }
        }
        let ranges: Vec<_> = slots.iter().filter_map(|slot| Some((slot.slot, slot.ledgers?))).collect();
        for pair in ranges.windows(2) {
            let [(_, (_, last)), (slot, (first, _))] = pair else { continue };
            if *first != last.saturating_add(1) {
                findings.add(format!(
                    "slot {slot} of {table} begins with ledger {first}, the one before ends with {last}"
                ));
            }
        }
    }
    findings.found
}

/// I3: each slot gives the hash of the one before, and its ledgers hang on those before.
pub fn chain(history: &[Entry]) -> Vec<Finding> {
    let mut findings = Findings::of(3);
    for (table, slots) in logs(history) {
        let mut last: Option<&Slot<'_>> = None;
        for pair in slots.windows(2) {
            let [before, slot] = pair else { continue };
            if slot.prev != before.hash {
                findings
                    .add(format!("slot {} of {table} follows {}, not {}", slot.slot, slot.prev, before.hash));
            }
            if before.ledgers.is_some() {
                last = Some(before);
            }
            if let Some(last) = last.filter(|_| slot.ledgers.is_some())
                && slot.parent != last.last_hash
            {
                findings.add(format!(
                    "the ledgers of slot {} of {table} hang on {}, not on {}",
                    slot.slot, slot.parent, last.last_hash
                ));
            }
        }
    }
    findings.found
}

/// I4: the same slot of the same table is the same in every region. Tables are named `<region>/<table>`.
pub fn replicas(history: &[Entry]) -> Vec<Finding> {
    let mut findings = Findings::of(4);
    let mut first: BTreeMap<(&str, u64), (&str, &str)> = BTreeMap::new();
    for (name, slots) in logs(history) {
        let Some((region, table)) = name.split_once('/') else { continue };
        for slot in slots {
            let (other, hash) = *first.entry((table, slot.slot)).or_insert((region, slot.hash));
            if hash != slot.hash {
                findings.add(format!(
                    "slot {} of {table} is {hash} in {other} and {} in {region}",
                    slot.slot, slot.hash
                ));
            }
        }
    }
    findings.found
}

/// I7: nobody sees other bytes than somebody else where bytes never change.
pub fn single_valued(history: &[Entry]) -> Vec<Finding> {
    let mut findings = Findings::of(7);
    let mut first: BTreeMap<&str, (&str, &str)> = BTreeMap::new();
    for entry in history {
        let Op::Saw { object, hash } = &entry.what else { continue };
        let (who, seen) = *first.entry(object).or_insert((&entry.process, hash));
        if seen != hash {
            findings.add(format!("{object} was {seen} as {who} saw it, and {hash} as {} did", entry.process));
        }
    }
    findings.found
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::checkers::tests::{check, seen};

    fn slot(table: &str, slot: u64, ledgers: (u32, u32)) -> Op {
        Op::Slot {
            table: table.to_owned(),
            slot,
            ledgers: Some(ledgers),
            hash: format!("s{slot}"),
            prev: format!("s{}", slot.saturating_sub(1)),
            parent: format!("l{}", ledgers.0 - 1),
            last_hash: format!("l{}", ledgers.1),
        }
    }

    fn with(base: Op, change: impl FnOnce(&mut String, &mut String, &mut String)) -> Op {
        let Op::Slot { table, slot, ledgers, mut hash, mut prev, mut parent, last_hash } = base else {
            panic!()
        };
        change(&mut hash, &mut prev, &mut parent);
        Op::Slot { table, slot, ledgers, hash, prev, parent, last_hash }
    }

    #[test]
    fn gaps_and_overlaps_are_found() {
        let at = |table, number, ledgers| slot(table, number, ledgers);
        check(continuity, &seen([at("a/t", 0, (2, 3)), at("a/t", 1, (4, 7))]), "");
        check(continuity, &seen([at("a/t", 0, (2, 3)), at("a/t", 2, (4, 7))]), "slot 2 where 1 is due");
        let due = || Op::Due { table: "a/t".to_owned(), first: 2, last: 3 };
        check(continuity, &seen([due(), at("a/t", 0, (2, 3))]), "");
        check(continuity, &seen([due(), at("a/t", 0, (2, 4))]), "a slot of ledgers 2 to 4, which is none");
        check(continuity, &seen([at("a/t", 0, (2, 3)), at("a/t", 1, (5, 7))]), "begins with ledger 5");
        check(continuity, &seen([at("a/t", 0, (2, 3)), at("a/t", 1, (3, 7))]), "begins with ledger 3");
    }

    #[test]
    fn a_slot_that_hangs_on_another_one_is_found() {
        let first = slot("a/t", 0, (2, 3));
        let second = || slot("a/t", 1, (4, 7));
        check(chain, &seen([first.clone(), second()]), "");
        let wrong = with(second(), |_, prev, _| *prev = "x".to_owned());
        check(chain, &seen([first.clone(), wrong]), "follows x, not s0");
        let wrong = with(second(), |_, _, parent| *parent = "x".to_owned());
        check(chain, &seen([first, wrong]), "hang on x, not on l3");
    }

    #[test]
    fn regions_that_differ_are_found() {
        let (a, b) = (slot("a/t", 0, (2, 3)), slot("b/t", 0, (2, 3)));
        check(replicas, &seen([a.clone(), b.clone()]), "");
        check(replicas, &seen([a, with(b, |hash, _, _| *hash = "x".to_owned())]), "is s0 in a and x in b");
    }

    #[test]
    fn two_values_of_a_slot_are_found() {
        let saw = |object: &str, hash: &str| Op::Saw { object: object.to_owned(), hash: hash.to_owned() };
        check(single_valued, &seen([saw("a", "1"), saw("b", "2"), saw("a", "1")]), "");
        check(single_valued, &seen([saw("a", "1"), saw("a", "2")]), "a was 1 as p saw it, and 2");
    }
}
