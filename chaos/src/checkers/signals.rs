//! I14 no fault is silent, I15 fail closed, I16 hygiene.

use std::collections::{BTreeMap, BTreeSet};

use super::{Finding, Findings};
use crate::history::{Entry, Op};

/// I14: after each fault that operators must hear of its signal comes, in time where it is known how soon; and it does not come
/// where nothing was done.
pub fn signalled(history: &[Entry]) -> Vec<Finding> {
    let mut findings = Findings::of(14);
    let (mut within, mut expected) = (BTreeMap::new(), BTreeSet::new());
    for entry in history {
        match &entry.what {
            Op::Deadline { signal, within_us } => drop(within.insert(signal.as_str(), *within_us)),
            Op::Fault { signal: Some(signal), .. } => drop(expected.insert(signal.as_str())),
            _ => {}
        }
    }
    let mut waiting: BTreeMap<&str, Vec<(&str, u64)>> = BTreeMap::new();
    let mut answered: BTreeSet<&str> = BTreeSet::new();
    for entry in history {
        match &entry.what {
            Op::Fault { fault, signal: Some(signal) } => {
                waiting.entry(signal).or_default().push((fault, entry.at_us));
            }
            Op::Signal { signal } => {
                let faults = waiting.remove(signal.as_str()).unwrap_or_default();
                let is_known = expected.contains(signal.as_str()) || within.contains_key(signal.as_str());
                if faults.is_empty() && is_known && !answered.contains(signal.as_str()) {
                    findings.add(format!("{signal} was told before anything was done"));
                }
                let limit = within.get(signal.as_str()).copied().unwrap_or(u64::MAX);
                for (fault, at) in faults {
                    answered.insert(signal);
                    let after = entry.at_us.saturating_sub(at);
                    if after > limit {
                        findings.add(format!(
                            "{fault} was told by {signal} {after} us later, {limit} us are allowed"
                        ));
                    }
                }
            }
            _ => {}
        }
    }
    for (signal, faults) in waiting {
        for (fault, _) in faults {
            findings.add(format!("{fault} was done, and nobody was told by {signal}"));
        }
    }
    findings.found
}

/// I15: nothing goes on that is known to be false.
pub fn fail_closed(history: &[Entry]) -> Vec<Finding> {
    let mut findings = Findings::of(15);
    let mut tampered: BTreeSet<(&str, u32, &str)> = BTreeSet::new();
    let mut expected: BTreeMap<u32, &str> = BTreeMap::new();
    for entry in history {
        match &entry.what {
            Op::Tampered { pipeline, ledger, hash } => drop(tampered.insert((pipeline, *ledger, hash))),
            Op::Expected { ledger, hash, .. } => drop(expected.insert(*ledger, hash)),
            Op::Emitted { pipeline, ledger, hash } => {
                if tampered.contains(&(pipeline.as_str(), *ledger, hash.as_str())) {
                    findings.add(format!(
                        "{pipeline} sent on ledger {ledger} as {hash}, which was changed on its way"
                    ));
                }
                let truth = expected.get(ledger).copied();
                if truth.is_some_and(|truth| truth != hash) {
                    findings.add(format!(
                        "{pipeline} sent on ledger {ledger} as {hash}, which is not the oracle's"
                    ));
                }
            }
            _ => {}
        }
    }
    findings.found
}

/// I16: no text that operators may see holds a secret.
pub fn hygiene(history: &[Entry]) -> Vec<Finding> {
    let mut findings = Findings::of(16);
    let secrets: Vec<&String> = history
        .iter()
        .filter_map(|entry| match &entry.what {
            Op::Secret { canary } => Some(canary),
            _ => None,
        })
        .collect();
    for entry in history {
        let text = match &entry.what {
            Op::Text { text } | Op::Halted { reason: text, .. } | Op::Told { what: text, .. } => text,
            _ => continue,
        };
        if secrets.iter().any(|secret| text.contains(secret.as_str())) {
            findings.add(format!("a text of {} holds a secret, {} bytes long", entry.process, text.len()));
        }
    }
    findings.found
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::checkers::tests::{check, seen};

    #[test]
    fn a_fault_without_its_signal_is_found() {
        let fault =
            |signal: Option<&str>| Op::Fault { fault: "U5".to_owned(), signal: signal.map(str::to_owned) };
        let signal = || Op::Signal { signal: "fork".to_owned() };
        check(signalled, &seen([fault(Some("fork")), signal()]), "");
        check(signalled, &seen([fault(None)]), "");
        check(signalled, &seen([fault(Some("fork"))]), "U5 was done, and nobody was told by fork");
        check(signalled, &seen([signal(), fault(Some("fork"))]), "U5 was done");
        check(
            signalled,
            &seen([signal(), fault(Some("fork")), signal()]),
            "fork was told before anything was done",
        );
        check(signalled, &seen([fault(Some("fork")), signal(), signal()]), "");
        check(
            signalled,
            &seen([fault(Some("fork")), signal(), fault(Some("fork"))]),
            "U5 was done, and nobody",
        );
        let deadline = |within_us| Op::Deadline { signal: "fork".to_owned(), within_us };
        check(signalled, &seen([deadline(1000), fault(Some("fork")), signal()]), "");
        check(
            signalled,
            &seen([deadline(999), fault(Some("fork")), signal()]),
            "by fork 1000 us later, 999 us are",
        );
        check(signalled, &seen([deadline(999), signal()]), "before anything was done");
    }

    #[test]
    fn false_content_that_goes_on_is_found() {
        let tampered = || Op::Tampered { pipeline: "p".to_owned(), ledger: 7, hash: "x".to_owned() };
        let emitted = |hash: &str| Op::Emitted { pipeline: "p".to_owned(), ledger: 7, hash: hash.to_owned() };
        check(fail_closed, &seen([tampered(), emitted("h")]), "");
        check(fail_closed, &seen([tampered(), emitted("x")]), "sent on ledger 7 as x");
        let expected = Op::Expected { ledger: 7, hash: "h".to_owned(), events: Vec::new() };
        check(fail_closed, &seen([expected, emitted("y")]), "which is not the oracle's");
    }

    #[test]
    fn a_secret_in_a_text_is_found_and_not_repeated() {
        let secret = || Op::Secret { canary: "hunter2".to_owned() };
        let text = |text: &str| Op::Text { text: text.to_owned() };
        check(hygiene, &seen([secret(), text("all is well")]), "");
        check(hygiene, &seen([secret(), text("token=hunter2")]), "a text of p holds a secret");
        let found = hygiene(&seen([secret(), text("token=hunter2")]));
        assert!(found.iter().all(|finding| !finding.what.contains("hunter2")));
    }
}
