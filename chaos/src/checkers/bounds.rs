//! I10 bounded resources, I11 liveness.

use std::collections::BTreeMap;

use super::{Finding, Findings};
use crate::history::{Entry, Op};

/// I10: no gauge is above its bound.
pub fn bounded(history: &[Entry]) -> Vec<Finding> {
    let mut findings = Findings::of(10);
    for entry in history {
        if let Op::Gauge { name, value, max } = &entry.what
            && value > max
        {
            findings.add(format!("{name} of {} is {value}, at most {max} may be", entry.process));
        }
    }
    findings.found
}

/// I11: who is awaited is done within the time after the faults have ended, and nobody has stopped for a person where
/// nothing false was given to anybody.
pub fn liveness(history: &[Entry]) -> Vec<Finding> {
    let mut findings = Findings::of(11);
    let (mut awaited, mut healed) = (BTreeMap::new(), None);
    let mut halted: Vec<(&str, &str)> = Vec::new();
    let mut is_tampered = false;
    for entry in history {
        match &entry.what {
            Op::Healed { within_us } => healed = Some(entry.at_us.saturating_add(*within_us)),
            // Who was done before the faults ended is done.
            Op::Awaited { subject } => drop(awaited.entry(subject.as_str()).or_insert(None)),
            Op::Done { subject } => drop(awaited.insert(subject.as_str(), Some(entry.at_us))),
            Op::Halted { subject, reason } => halted.push((subject, reason)),
            Op::Tampered { .. } => is_tampered = true,
            _ => {}
        }
    }
    for (subject, reason) in halted.into_iter().filter(|_| !is_tampered) {
        findings.add(format!("{subject} halted though nothing was false: {reason}"));
    }
    let Some(deadline) = healed else { return findings.found };
    for (subject, done) in awaited {
        match done {
            Some(at) if at <= deadline => {}
            Some(at) => findings.add(format!("{subject} was done at {at} us, {} us late", at - deadline)),
            None => findings.add(format!("{subject} was never done")),
        }
    }
    findings.found
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::checkers::tests::{check, seen};

    #[test]
    fn what_is_above_its_bound_is_found() {
        let gauge = |value| Op::Gauge { name: "batches".to_owned(), value, max: 3 };
        check(bounded, &seen([gauge(0), gauge(3)]), "");
        check(bounded, &seen([gauge(4)]), "batches of p is 4, at most 3 may be");
    }

    #[test]
    fn what_is_not_done_in_time_is_found() {
        let awaited = || Op::Awaited { subject: "w".to_owned() };
        let done = || Op::Done { subject: "w".to_owned() };
        let healed = |within_us| Op::Healed { within_us };
        check(liveness, &seen([awaited(), healed(5000), done()]), "");
        check(liveness, &seen([awaited(), healed(500), done()]), "w was done at 2000 us, 500 us late");
        check(liveness, &seen([done(), awaited(), healed(5000)]), "");
        check(liveness, &seen([awaited(), healed(5000)]), "w was never done");
        let halted = || Op::Halted { subject: "w".to_owned(), reason: "no".to_owned() };
        check(liveness, &seen([halted()]), "w halted though nothing was false: no");
        let tampered = Op::Tampered { pipeline: "w".to_owned(), ledger: 1, hash: String::new() };
        check(liveness, &seen([tampered, halted()]), "");
    }
}
