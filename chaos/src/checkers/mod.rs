//! What must hold of a history: invariants I1 to I16, each a pure function from entries to what contradicts it.
//!
//! | id | what | where |
//! |---|---|---|
//! | I1 | continuity: the ranges of a log follow each other without gap or overlap | [`log`] |
//! | I2 | exactly once: rows are the oracle's: none lost, none twice, none that should not be | [`rows`] |
//! | I3 | chain: each slot hangs on the one before, by slot and by ledger | [`log`] |
//! | I4 | replicas: slots of regions are equal | [`log`] |
//! | I5 | heads and cursors never go back, nor behind what was acknowledged before | [`positions`] |
//! | I6 | durability: what was acknowledged is there, and is what it says | [`rows`] |
//! | I7 | a slot has one value, whoever looks | [`log`] |
//! | I8 | fencing: nobody acts under an epoch older than one that it has seen, no two under one | [`positions`] |
//! | I9 | feed: each reader gets what it wants once, in order, without a silent gap | [`feed`] |
//! | I10 | what has a bound keeps it; open files, tasks and temporary files come back after the faults; memory does not grow | [`bounds`] |
//! | I11 | liveness: in time after the faults, all is done, and nobody has given up for nothing | [`bounds`] |
//! | I12 | poison is put aside after a few attempts, with its evidence | [`isolation`] |
//! | I13 | restarts are within their intensity; giving up is due exactly when it is exceeded | [`isolation`] |
//! | I14 | each fault is followed by its signal, in time, and no signal comes of nothing | [`signals`] |
//! | I15 | what is false is never committed or sent | [`signals`] |
//! | I16 | no text holds a secret | [`signals`] |
//!
//! All are O(n log n). An operation whose end is `info` may or may not have happened: nothing is demanded of it.

pub mod log;
pub mod rows;
pub mod positions;
pub mod feed;
pub mod bounds;
pub mod isolation;
pub mod signals;

use std::fmt;

use serde::Serialize;

use crate::history::Entry;

/// Something that contradicts an invariant.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Finding {
    /// Number of the invariant.
    pub invariant: u8,
    /// What is wrong, for a person.
    pub what: String,
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "I{}: {}", self.invariant, self.what)
    }
}

/// Most findings that one invariant reports: the rest is most often the same again.
const FINDINGS_MAX: usize = 10;

/// What a checker fills.
struct Findings {
    invariant: u8,
    found: Vec<Finding>,
}

impl Findings {
    const fn of(invariant: u8) -> Self {
        Self { invariant, found: Vec::new() }
    }

    fn add(&mut self, what: String) {
        if self.found.len() < FINDINGS_MAX {
            self.found.push(Finding { invariant: self.invariant, what });
        }
    }
}

/// An invariant's number and its checker.
type Checker = (u8, fn(&[Entry]) -> Vec<Finding>);

/// Every checker.
pub const CHECKERS: [Checker; 16] = [
    (1, log::continuity),
    (2, rows::exactly_once),
    (3, log::chain),
    (4, log::replicas),
    (5, positions::monotone),
    (6, rows::durability),
    (7, log::single_valued),
    (8, positions::fencing),
    (9, feed::complete),
    (10, bounds::bounded),
    (11, bounds::liveness),
    (12, isolation::poison),
    (13, isolation::restarts),
    (14, signals::signalled),
    (15, signals::fail_closed),
    (16, signals::hygiene),
];

/// What each invariant demands, for reports.
pub const DEMANDS: [(&str, &str); 16] = [
    ("I1", "continuity: the ranges of a log follow each other without gap or overlap"),
    ("I2", "exactly once: rows are those that must be, none lost, none twice, none that should not be"),
    ("I3", "chain: each slot hangs on the one before, by slot and by ledger"),
    ("I4", "replicas: slots of regions are equal"),
    ("I5", "heads and cursors never go back"),
    ("I6", "durability: what was acknowledged is there, and is what it says"),
    ("I7", "a slot has one value, whoever looks"),
    ("I8", "fencing: nobody acts under an epoch older than one that it has seen"),
    ("I9", "feed: each reader gets what it wants once, in order, without a silent gap"),
    ("I10", "what has a bound keeps it"),
    ("I11", "liveness: in time after the faults, all is done"),
    ("I12", "isolation: poison is put aside after a few attempts, with its evidence"),
    ("I13", "supervision: restarts are within their intensity"),
    ("I14", "a fault is followed by its signal"),
    ("I15", "what is false is never committed or sent"),
    ("I16", "no text holds a secret"),
];

/// All that contradicts any invariant.
pub fn check(history: &[Entry]) -> Vec<Finding> {
    CHECKERS.iter().flat_map(|(_, checker)| checker(history)).collect()
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::history::{Kind, Op};

    /// A history of things that were seen, one a millisecond, by one process.
    pub(super) fn seen(ops: impl IntoIterator<Item = Op>) -> Vec<Entry> {
        let parts = ops.into_iter().map(|what| ("p", Kind::Ok, 0, what));
        history(parts)
    }

    /// A history of process, kind, operation and what, one a millisecond.
    pub(super) fn history(parts: impl IntoIterator<Item = (&'static str, Kind, u64, Op)>) -> Vec<Entry> {
        let entry = |(at_us, (process, kind, operation, what)): (u64, (&str, _, _, _))| Entry {
            at_us: at_us * 1000,
            process: process.to_owned(),
            operation,
            kind,
            what,
        };
        (0..).zip(parts).map(entry).collect()
    }

    /// The checker finds this, and nothing of it where nothing is expected.
    pub(super) fn check(checker: fn(&[Entry]) -> Vec<Finding>, history: &[Entry], expect: &str) {
        let found: Vec<_> = checker(history).iter().map(ToString::to_string).collect();
        let found = found.join("\n");
        let is_as_expected = if expect.is_empty() { found.is_empty() } else { found.contains(expect) };
        assert!(is_as_expected, "expected `{expect}`, found `{found}`");
    }

    #[test]
    fn nothing_contradicts_an_empty_history() {
        assert_eq!(super::check(&[]), []);
        let numbers: Vec<_> = CHECKERS.iter().map(|(number, _)| *number).collect();
        assert_eq!(numbers, (1..=16).collect::<Vec<_>>());
    }
}
