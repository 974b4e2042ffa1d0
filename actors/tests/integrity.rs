//! Proof of the fixture ledgers: every hash, every chain, every event delta; and every change of a bound byte found.

#![allow(clippy::unwrap_used, clippy::panic, clippy::print_stdout, reason = "a test says why it fails")]

mod support;

use orrery_actors::ledger::integrity::{ChainLink, bound_ranges, check, check_link};
use orrery_actors::ledger::{Network, ParsedLedger};
use orrery_actors::processor::ttp::{Mode, check_deltas, derive};

/// Folders whose ledgers' hashes hold.
const SETS: [(&str, &str); 5] = [
    ("core", "(V) (;,,;) (V)"),
    ("pubnet", Network::PUBNET),
    ("lake/ledgers/pubnet", Network::PUBNET),
    ("testnet", Network::TESTNET),
    ("load", "load test network"),
];

#[test]
fn every_ledger_is_proven_and_its_deltas_hold() {
    let Some(fixtures) = support::fixtures() else { return };
    let mut failures = Vec::new();
    for (folder, passphrase) in SETS {
        let network = Network::new(passphrase);
        let (mut ledgers, mut calls, mut rewritten, mut reconciled) = (0, 0, 0, 0);
        let mut last: Option<(String, ChainLink)> = None;
        for ledger in support::ledgers(&fixtures.join(folder)) {
            let parsed = ParsedLedger::read(&network, &ledger.xdr).unwrap();
            let proof = check(&parsed);
            failures.extend(proof.violations.iter().map(|v| format!("{folder}/{}: {v}", ledger.file)));
            if let Some((_, link)) = last.filter(|(file, _)| *file == ledger.file) {
                failures.extend(
                    check_link(&link, &proof.link).iter().map(|v| format!("{folder}/{}: {v}", ledger.file)),
                );
            }
            let events = derive(&parsed, Mode::Auto).unwrap();
            for mismatch in check_deltas(&parsed, &events.rows).unwrap() {
                failures.push(format!(
                    "{folder}/{} protocol {}: {mismatch}",
                    ledger.file,
                    parsed.protocol_version()
                ));
            }
            ledgers += 1;
            calls += proof.calls_proven;
            rewritten += proof.calls_rewritten;
            reconciled += proof.calls_reconciled;
            last = Some((ledger.file, proof.link));
        }
        println!(
            "{folder}: {ledgers} ledgers, {calls} calls proven, {rewritten} rewritten, {reconciled} reconciled"
        );
    }
    assert!(
        failures.is_empty(),
        "{} failures\n{}",
        failures.len(),
        failures[..failures.len().min(20)].join("\n")
    );
}

#[test]
fn rules_ledgers_fail_honestly() {
    let Some(fixtures) = support::fixtures() else { return };
    let network = Network::new("some network passphrase");
    for ledger in support::ledgers(&fixtures.join("rules")) {
        let parsed = ParsedLedger::read(&network, &ledger.xdr).unwrap();
        assert!(!check(&parsed).violations.is_empty(), "{}", ledger.file);
    }
}

#[test]
fn a_thousand_changed_bytes_in_bound_fields_are_all_found() {
    let Some(fixtures) = support::fixtures() else { return };
    let mut random = 0x2545_f491_4f6c_dd1d_u64;
    let mut next = move |below: usize| {
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        (random % below as u64) as usize
    };
    for (folder, passphrase) in SETS {
        let network = Network::new(passphrase);
        let ledgers = support::ledgers(&fixtures.join(folder));
        for _ in 0..200 {
            let ledger = &ledgers[next(ledgers.len())];
            let ranges = bound_ranges(&ParsedLedger::read(&network, &ledger.xdr).unwrap());
            let range = ranges[next(ranges.len())].clone();
            let at = range.start + next(range.len());
            let mut xdr = ledger.xdr.clone();
            xdr[at] ^= 1 + next(255) as u8;
            if let Ok(parsed) = ParsedLedger::read(&network, &xdr) {
                assert!(!check(&parsed).violations.is_empty(), "{folder}/{} byte {at}", ledger.file);
            }
        }
    }
}
