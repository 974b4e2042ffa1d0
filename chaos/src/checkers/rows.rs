//! Rows and objects: I2 exactly once, I6 durability.

use std::collections::BTreeMap;

use super::{Finding, Findings};
use crate::history::{Entry, Kind, Op};

/// Hash and ids of events of a ledger.
type Content<'a> = (&'a str, &'a [String]);

/// I2: each region has the oracle's ledgers with the oracle's events, in order.
pub fn exactly_once(history: &[Entry]) -> Vec<Finding> {
    let mut findings = Findings::of(2);
    let mut expected: BTreeMap<u32, Content<'_>> = BTreeMap::new();
    let mut regions: BTreeMap<&str, BTreeMap<u32, Vec<Content<'_>>>> = BTreeMap::new();
    for entry in history {
        match &entry.what {
            Op::Expected { ledger, hash, events } => drop(expected.insert(*ledger, (hash, events))),
            Op::Stored { region, ledger, hash, events } => {
                regions.entry(region).or_default().entry(*ledger).or_default().push((hash, events));
            }
            _ => {}
        }
    }
    for (region, stored) in regions {
        for (ledger, (hash, events)) in &expected {
            match stored.get(ledger).map(Vec::as_slice) {
                None | Some([]) => findings.add(format!("{region} has lost ledger {ledger}")),
                Some([found]) if found == &(*hash, *events) => {}
                Some([(found, _)]) if found != hash => {
                    findings.add(format!("ledger {ledger} of {region} has the hash {found}, not {hash}"));
                }
                Some([(_, found)]) => compare(region, *ledger, events, found, &mut findings),
                Some(several) => {
                    findings.add(format!("{region} has ledger {ledger} {} times", several.len()))
                }
            }
        }
        for ledger in stored.keys().filter(|ledger| !expected.contains_key(ledger)) {
            findings.add(format!("{region} has ledger {ledger}, which it should not"));
        }
    }
    findings.found
}

fn compare(region: &str, ledger: u32, expected: &[String], found: &[String], findings: &mut Findings) {
    let count = |events: &[String]| {
        let mut counts: BTreeMap<String, i64> = BTreeMap::new();
        events.iter().for_each(|event| *counts.entry(event.clone()).or_default() += 1);
        counts
    };
    let mut differs = count(found);
    for (event, times) in count(expected) {
        *differs.entry(event).or_default() -= times;
    }
    let of = |sign: i64| {
        let mut events =
            differs.iter().filter(|(_, times)| times.signum() == sign).map(|(event, _)| event.as_str());
        (
            events.next().unwrap_or("none").to_owned(),
            differs.values().filter(|times| times.signum() == sign).count(),
        )
    };
    let ((lost, lost_count), (extra, extra_count)) = (of(-1), of(1));
    findings.add(format!(
        "ledger {ledger} of {region}: {lost_count} events lost (first {lost}), {extra_count} twice or phantom (first \
         {extra}), or in another order"
    ));
}

/// I6: ledgers that were acknowledged are in a slot, and objects that slots name are what they say.
pub fn durability(history: &[Entry]) -> Vec<Finding> {
    let mut findings = Findings::of(6);
    let mut logs: BTreeMap<&str, Vec<(u32, u32)>> = BTreeMap::new();
    for entry in history {
        match &entry.what {
            Op::Slot { table, ledgers: Some(range), .. } => logs.entry(table).or_default().push(*range),
            Op::Object { region, path, expected, found } => match found {
                None => findings.add(format!("{path} of {region} is gone")),
                Some(found) if found != expected => {
                    findings
                        .add(format!("{path} of {region} has the SHA-256 {found}, the log says {expected}"));
                }
                Some(_) => {}
            },
            _ => {}
        }
    }
    logs.values_mut().for_each(|ranges| ranges.sort_unstable());
    for entry in history.iter().filter(|entry| entry.kind == Kind::Ok) {
        let Op::Commit { table, first, last } = &entry.what else { continue };
        let Some(ranges) = logs.get(table.as_str()) else {
            findings.add(format!("{table} is gone, though {first} to {last} were acknowledged"));
            continue;
        };
        let covered = |ledger: u32| {
            let after = ranges.partition_point(|(first, _)| *first <= ledger);
            after.checked_sub(1).and_then(|place| ranges.get(place)).is_some_and(|(_, last)| ledger <= *last)
        };
        if let Some(lost) = (*first..=*last).find(|ledger| !covered(*ledger)) {
            findings.add(format!(
                "ledger {lost} is not in {table}, though {} was told that {first} to {last} are",
                entry.process
            ));
        }
    }
    findings.found
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::checkers::tests::{check, history, seen};

    fn texts(events: &[&str]) -> Vec<String> {
        events.iter().map(|event| (*event).to_owned()).collect()
    }

    #[test]
    fn lost_repeated_changed_and_phantom_rows_are_found() {
        let expected = || Op::Expected { ledger: 7, hash: "h".to_owned(), events: texts(&["a", "b"]) };
        let stored = |ledger, hash: &str, events: &[&str]| Op::Stored {
            region: "r".to_owned(),
            ledger,
            hash: hash.to_owned(),
            events: texts(events),
        };
        let good = || stored(7, "h", &["a", "b"]);
        let is = |ops: Vec<Op>, expect| {
            let all = [expected()].into_iter().chain(ops);
            check(exactly_once, &seen(all), expect);
        };
        is(vec![good()], "");
        is(vec![good(), good()], "has ledger 7 2 times");
        is(vec![good(), stored(8, "h", &[])], "has ledger 8, which it should not");
        is(vec![stored(8, "h", &[])], "has lost ledger 7");
        is(vec![stored(7, "x", &["a", "b"])], "has the hash x, not h");
        is(vec![stored(7, "h", &["a"])], "1 events lost (first b), 0 twice");
        is(
            vec![stored(7, "h", &["a", "b", "b"])],
            "0 events lost (first none), 1 twice or phantom (first b)",
        );
        is(vec![stored(7, "h", &["b", "a"])], "in another order");
    }

    #[test]
    fn what_was_acknowledged_and_is_not_there_is_found() {
        let commit = |first, last| Op::Commit { table: "r/t".to_owned(), first, last };
        let slot = |first, last| Op::Slot {
            table: "r/t".to_owned(),
            slot: 1,
            ledgers: Some((first, last)),
            hash: String::new(),
            prev: String::new(),
            parent: String::new(),
            last_hash: String::new(),
        };
        let is = |kind, committed: (u32, u32), expect| {
            let all = [
                ("w", kind, 1, commit(committed.0, committed.1)),
                ("a", Kind::Ok, 2, slot(2, 3)),
                ("a", Kind::Ok, 3, slot(4, 7)),
            ];
            check(durability, &history(all), expect);
        };
        is(Kind::Ok, (2, 3), "");
        is(Kind::Ok, (3, 6), "");
        is(Kind::Ok, (6, 8), "ledger 8 is not in r/t");
        is(Kind::Info, (6, 8), "");
        is(Kind::Fail, (6, 8), "");
        let object = |found: Option<&str>| Op::Object {
            region: "r".to_owned(),
            path: "f".to_owned(),
            expected: "1".to_owned(),
            found: found.map(str::to_owned),
        };
        check(durability, &seen([object(Some("1"))]), "");
        check(durability, &seen([object(Some("2"))]), "has the SHA-256 2, the log says 1");
        check(durability, &seen([object(None)]), "f of r is gone");
        check(durability, &seen([commit(2, 3)]), "r/t is gone");
    }
}
