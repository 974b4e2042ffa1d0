//! I9: what readers of the feed get.

use std::collections::BTreeMap;

use super::{Finding, Findings};
use crate::history::{Entry, Op};

/// I9: on each connection ledgers only go up; over all its connections a reader gets the oracle's events of all that it wants,
/// each once, unless it was told that some are missing.
pub fn complete(history: &[Entry]) -> Vec<Finding> {
    let mut findings = Findings::of(9);
    let mut expected: BTreeMap<u32, &[String]> = BTreeMap::new();
    let mut last: BTreeMap<(&str, u64), u32> = BTreeMap::new();
    let mut got: BTreeMap<&str, BTreeMap<u32, Vec<&String>>> = BTreeMap::new();
    let mut wanted: BTreeMap<&str, (u32, u32)> = BTreeMap::new();
    let mut told: BTreeMap<&str, &str> = BTreeMap::new();
    for entry in history {
        match &entry.what {
            Op::Expected { ledger, events, .. } => drop(expected.insert(*ledger, events)),
            Op::Wants { reader, first, last } => drop(wanted.insert(reader, (*first, *last))),
            Op::Told { reader, what } => drop(told.insert(reader, what)),
            Op::Feed { reader, connection, ledger, events } => {
                let before = last.insert((reader, *connection), *ledger);
                if before.is_some_and(|before| before > *ledger) {
                    findings.add(format!("{reader} got ledger {ledger} after {}", before.unwrap_or(0)));
                }
                got.entry(reader).or_default().entry(*ledger).or_default().extend(events);
            }
            _ => {}
        }
    }
    for (reader, (first, last)) in wanted {
        if told.contains_key(reader) {
            continue;
        }
        let none = BTreeMap::new();
        let got = got.get(reader).unwrap_or(&none);
        for (ledger, events) in expected.range(first..=last) {
            match got.get(ledger) {
                None => findings.add(format!("{reader} never got ledger {ledger}, and was not told")),
                Some(found) if !found.iter().copied().eq(events.iter()) => findings.add(format!(
                    "{reader} got {} events of ledger {ledger}, not the {} that it has, each once and in order",
                    found.len(),
                    events.len()
                )),
                Some(_) => {}
            }
        }
        for ledger in got.keys().filter(|ledger| **ledger < first || **ledger > last) {
            findings.add(format!("{reader} got ledger {ledger}, which it does not want"));
        }
    }
    findings.found
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::checkers::tests::{check, seen};

    #[test]
    fn gaps_repetitions_and_wrong_orders_are_found() {
        let texts = |events: &[&str]| events.iter().map(|event| (*event).to_owned()).collect::<Vec<_>>();
        let expected = |ledger| Op::Expected { ledger, hash: String::new(), events: texts(&["a", "b"]) };
        let feed = |connection, ledger, events: &[&str]| Op::Feed {
            reader: "r".to_owned(),
            connection,
            ledger,
            events: texts(events),
        };
        let is = |got: Vec<Op>, expect| {
            let wants = Op::Wants { reader: "r".to_owned(), first: 2, last: 3 };
            let all = [expected(2), expected(3), expected(4), wants].into_iter().chain(got);
            check(complete, &seen(all), expect);
        };
        let both = &["a", "b"];
        is(vec![feed(1, 2, both), feed(1, 3, both)], "");
        is(vec![feed(1, 2, &["a"]), feed(2, 2, &["b"]), feed(2, 3, both)], "");
        is(vec![feed(1, 2, both)], "r never got ledger 3");
        is(vec![feed(1, 2, both), feed(2, 2, both), feed(2, 3, both)], "got 4 events of ledger 2");
        is(vec![feed(1, 2, &["b"]), feed(1, 3, both)], "got 1 events of ledger 2");
        is(vec![feed(1, 2, &["b", "a"]), feed(1, 3, both)], "got 2 events of ledger 2, not the 2");
        is(vec![feed(1, 3, both), feed(1, 2, both)], "got ledger 2 after 3");
        is(vec![feed(1, 2, both), feed(1, 3, both), feed(1, 4, both)], "got ledger 4, which");
        is(vec![Op::Told { reader: "r".to_owned(), what: "cursor_too_old".to_owned() }], "");
    }
}
