//! I12 poison is put aside, I13 supervision keeps its word.

use std::collections::{BTreeMap, VecDeque};

use super::{Finding, Findings};
use crate::history::{Entry, Op};

/// Attempts on one ledger after which it must have been put aside: three alike, nine in all.
pub const ATTEMPTS_MAX: u32 = 9;

/// I12: a ledger that nobody can process is tried a few times, then put aside with its evidence; no other one is.
pub fn poison(history: &[Entry]) -> Vec<Finding> {
    let mut findings = Findings::of(12);
    let mut poisoned: BTreeMap<(&str, u32), bool> = BTreeMap::new();
    let mut tried: BTreeMap<(&str, u32), u32> = BTreeMap::new();
    for entry in history {
        match &entry.what {
            Op::Poison { pipeline, ledger } => drop(poisoned.entry((pipeline, *ledger)).or_insert(false)),
            Op::Tried { pipeline, ledger } => *tried.entry((pipeline, *ledger)).or_default() += 1,
            Op::Quarantined { pipeline, ledger, has_evidence } => {
                match poisoned.get_mut(&(pipeline.as_str(), *ledger)) {
                    Some(is_aside) => *is_aside = true,
                    None => findings.add(format!("{pipeline} put ledger {ledger} aside, which is sound")),
                }
                if !has_evidence {
                    findings.add(format!("{pipeline} put ledger {ledger} aside without its evidence"));
                }
            }
            _ => {}
        }
    }
    for ((pipeline, ledger), count) in tried {
        if count > ATTEMPTS_MAX {
            findings.add(format!("{pipeline} tried ledger {ledger} {count} times"));
        }
    }
    for ((pipeline, ledger), is_aside) in poisoned {
        if !is_aside {
            findings.add(format!("{pipeline} never put ledger {ledger} aside, which is poison"));
        }
    }
    findings.found
}

/// I13: a supervisor gives up when more restarts are due within its period than it allows, and only then.
pub fn restarts(history: &[Entry]) -> Vec<Finding> {
    let mut findings = Findings::of(13);
    let mut windows: BTreeMap<&str, VecDeque<u64>> = BTreeMap::new();
    for entry in history {
        let Op::Restart { supervisor, gave_up, max, period_us } = &entry.what else { continue };
        let window = windows.entry(supervisor).or_default();
        window.retain(|at| entry.at_us.saturating_sub(*at) <= *period_us);
        let is_exceeded = window.len() >= *max as usize;
        match (gave_up, is_exceeded) {
            (true, false) => findings.add(format!(
                "{supervisor} gave up after {} restarts in its period, {max} are allowed",
                window.len()
            )),
            (false, true) => findings.add(format!(
                "{supervisor} restarted for the {}th time in its period, {max} are allowed",
                window.len() + 1
            )),
            _ => {}
        }
        match gave_up {
            true => window.clear(),
            false => window.push_back(entry.at_us),
        }
    }
    findings.found
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::checkers::tests::{check, seen};

    #[test]
    fn poison_that_is_tried_for_ever_or_lost_is_found() {
        let poison_op = || Op::Poison { pipeline: "p".to_owned(), ledger: 7 };
        let tried = || Op::Tried { pipeline: "p".to_owned(), ledger: 7 };
        let aside = |has_evidence| Op::Quarantined { pipeline: "p".to_owned(), ledger: 7, has_evidence };
        check(poison, &seen([poison_op(), tried(), tried(), tried(), aside(true)]), "");
        check(poison, &seen([poison_op(), aside(false)]), "without its evidence");
        check(poison, &seen([poison_op(), tried()]), "never put ledger 7 aside");
        check(poison, &seen([aside(true)]), "which is sound");
        check(poison, &seen((0..10).map(|_| tried())), "tried ledger 7 10 times");
    }

    #[test]
    fn giving_up_too_early_or_too_late_is_found() {
        let restart = |gave_up| Op::Restart { supervisor: "s".to_owned(), gave_up, max: 2, period_us: 2500 };
        let is = |ends: &[bool], expect| check(restarts, &seen(ends.iter().map(|end| restart(*end))), expect);
        is(&[false, false, true], "");
        is(&[false, true], "gave up after 1 restarts");
        is(&[false, false, false], "restarted for the 3th time");
        let far = |ends: &[(u64, bool)]| {
            let mut history = seen(ends.iter().map(|(_, end)| restart(*end)));
            for (entry, (at, _)) in history.iter_mut().zip(ends) {
                entry.at_us = *at;
            }
            history
        };
        check(restarts, &far(&[(0, false), (1, false), (9000, false), (9001, false)]), "");
        check(restarts, &far(&[(0, false), (1, false), (9000, true)]), "gave up after 0 restarts");
    }
}
