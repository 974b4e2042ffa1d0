//! Reports, from verdicts made up here: that real changes are found is shown on real ledgers in `tests/`.

use super::hashes::Verdict::{FoundByHashes, FoundByStructure, Missed};
use super::*;
use crate::faults::BoundFields;
use crate::table::{Reproduction, write_bound};

/// Two ledgers of 100 bytes; header 0..40, transaction set 40..60, results 60..80, the rest unbound.
fn ledgers() -> Vec<LoadedLedger> {
    let ranges = [0..32, 32..40, 40..60, 60..80];
    let ledger = |sequence| LoadedLedger {
        file: "some file".into(),
        sequence,
        xdr: vec![0x10; 100],
        fields: BoundFields::classify(&ranges, &[0x10; 100]),
    };
    vec![ledger(7), ledger(8)]
}

fn report(verdicts: &[hashes::Verdict]) -> BoundReport {
    let ledgers = ledgers();
    let at = [5, 45, 65, 70];
    let plan: Vec<_> = at
        .iter()
        .enumerate()
        .map(|(index, at)| FlipByte { ledger: index % 2, at: *at, mask: 0x0f })
        .collect();
    bound_report(subject(&ledgers, 3), &ledgers, &plan, verdicts)
}

#[test]
fn missed_change_is_counted_and_can_be_reproduced() {
    let report = report(&[FoundByHashes, FoundByStructure, FoundByHashes, Missed]);
    assert_eq!((report.changes, report.found, report.missed), (4, 3, 1));
    let counts: Vec<_> = report
        .fields
        .iter()
        .map(|field| {
            (field.field.name(), field.changed, field.found_by_structure, field.found_by_hashes, field.missed)
        })
        .collect();
    assert_eq!(counts, [("header", 1, 0, 1, 0), ("transaction set", 1, 1, 0, 0), ("results", 2, 0, 1, 1)]);

    let mut text = Vec::new();
    let words = ["orrery-chaos", "tamper", "some file", "--seed", "3"].map(str::to_owned);
    write_bound(&mut text, &report, &Reproduction::new(&words)).unwrap();
    let text = String::from_utf8(text).unwrap();
    assert!(text.starts_with("seed 3: 2 ledgers, 200 bytes, 80.0 % of them bound by hashes\n"), "{text}");
    assert!(text.contains("4 changes, 3 found, 1 missed"), "{text}");
    assert!(text.contains("change 4, some file: ledger 8: byte 70: 0x10 -> 0x1f"), "{text}");
    assert!(text.ends_with("reproduce: orrery-chaos tamper 'some file' --seed 3 --count 4\n"), "{text}");
}

#[test]
fn report_without_a_miss_names_none() {
    let report = report(&[FoundByHashes; 4]);
    assert_eq!((report.found, report.missed, report.first_missed), (4, 0, None));
}

#[test]
fn plan_depends_on_the_seed_alone() {
    let plan = |seed| {
        let mut random = Random::new(seed);
        (0..100).map(|_| FlipByte::bound(&mut random, &ledgers()).unwrap()).collect::<Vec<_>>()
    };
    assert_eq!(plan(1), plan(1));
    assert_ne!(plan(1), plan(2));
    assert!(plan(1).iter().all(|flip| flip.at < 80));
}

#[test]
fn unbound_plan_touches_no_bound_byte() {
    let mut random = Random::new(1);
    let plan: Vec<_> = (0..100).map(|_| FlipByte::unbound(&mut random, &ledgers()).unwrap()).collect();
    assert!(plan.iter().all(|flip| (80..100).contains(&flip.at)));
}
