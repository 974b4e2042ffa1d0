//! The processor against the right answers: every fixture ledger, in every mode its meta allows.

#![allow(clippy::unwrap_used, clippy::panic, clippy::print_stdout, reason = "a test says why it fails")]

mod support;

use std::collections::BTreeMap;
use std::path::Path;

use base64::Engine as _;
use orrery_actors::ledger::Network;
use orrery_actors::processor::ttp::{Fault, Mode, process};
use orrery_schemas::{ToMuxed, TokenTransfer};
use serde_json::{Value, json};

/// (folder, golden lines, passphrase, number of golden lines).
const SETS: [(&str, &str, &str, usize); 6] = [
    ("core", "core.golden.jsonl", "(V) (;,,;) (V)", 13_353),
    ("pubnet", "pubnet.golden.jsonl", Network::PUBNET, 2_574),
    ("lake/ledgers/pubnet", "lake.golden.jsonl", Network::PUBNET, 7_740),
    ("testnet", "testnet.golden.jsonl", Network::TESTNET, 603),
    ("load", "load.golden.jsonl", "load test network", 15_480),
    ("rules", "rules.golden.jsonl", "some network passphrase", 302),
];

/// Events of one (file, ledger, transaction, operation); operation 0 are the fees.
type Group = (String, u64, u64, u64);

fn group(line: &Value) -> Group {
    let number = |key: &str| line[key].as_u64().unwrap_or(0);
    (
        line["file"].as_str().unwrap().to_owned(),
        number("ledger_sequence"),
        number("tx_index"),
        number("op_index"),
    )
}

/// The row as a golden line, written by other code than the product's.
fn golden_line(file: &str, row: &TokenTransfer, with_ids: bool) -> Value {
    let text = |value: Option<String>| value.map_or(Value::Null, Value::String);
    let (mut id, mut memo_text, mut memo_hash) = (Value::Null, Value::Null, Value::Null);
    match &row.to_muxed {
        Some(ToMuxed::Id(number)) => id = json!(number.to_string()),
        Some(ToMuxed::Text(bytes)) => memo_text = json!(base64::prelude::BASE64_STANDARD.encode(bytes)),
        Some(ToMuxed::Hash(hash)) => memo_hash = json!(hex::encode(hash.0)),
        None => {}
    }
    let mut line = json!({
        "file": file,
        "ledger_sequence": row.ledger_sequence.0,
        "closed_at": row.closed_at.to_string(),
        "tx_hash": hex::encode(row.tx_hash.0),
        "tx_index": row.tx_index,
        "op_index": row.op_index,
        "kind": row.kind.as_str(),
        "contract_id": row.contract_id.to_string(),
        "asset": text(row.asset.map(|asset| asset.to_string())),
        "from": text(row.from.map(|from| from.to_string())),
        "to": text(row.to.map(|to| to.to_string())),
        "amount": row.amount.to_string(),
        "to_muxed_id": id,
        "to_memo_text": memo_text,
        "to_memo_hash": memo_hash,
    });
    if with_ids {
        line["event_index"] = json!(row.event_index);
        line["ledger_event_index"] = json!(row.ledger_event_index);
        line["event_id"] = json!(row.event_id().to_string());
    }
    line
}

fn golden(path: &Path) -> Vec<Value> {
    let text = std::fs::read_to_string(path).unwrap();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

fn grouped(lines: Vec<Value>) -> BTreeMap<Group, Vec<String>> {
    let mut groups = BTreeMap::<Group, Vec<String>>::new();
    for line in lines {
        groups.entry(group(&line)).or_default().push(line.to_string());
    }
    groups.values_mut().for_each(|lines| lines.sort());
    groups
}

#[test]
fn every_fixture_ledger_gives_its_golden_events() {
    let Some(fixtures) = support::fixtures() else { return };
    for (folder, golden_file, passphrase, count) in SETS {
        let network = Network::new(passphrase);
        let expected = golden(&fixtures.join(golden_file));
        assert_eq!(expected.len(), count);
        let ordered = expected[0].get("event_id").is_some();
        let mut lines = Vec::new();
        for ledger in support::ledgers(&fixtures.join(folder)) {
            let events = process(&network, Mode::Auto, &ledger.xdr)
                .unwrap_or_else(|error| panic!("{folder}/{}: {error}", ledger.file));
            lines.extend(events.rows.iter().map(|row| golden_line(&ledger.file, row, ordered)));
        }
        let (expected, actual) = (grouped(expected), grouped(lines));
        let mut wrong = 0;
        for group in expected.keys().chain(actual.keys().filter(|group| !expected.contains_key(*group))) {
            if expected.get(group) != actual.get(group) {
                wrong += 1;
                if wrong <= 3 {
                    println!(
                        "{group:?}\n  expected {:#?}\n  actual {:#?}",
                        expected.get(group),
                        actual.get(group)
                    );
                }
            }
        }
        assert_eq!(wrong, 0, "{folder}: groups that differ from the golden lines");
        println!("{folder}: {count} events as in the golden lines");
    }
}

#[test]
fn the_lake_has_the_golden_order_and_ids() {
    let Some(fixtures) = support::fixtures() else { return };
    let network = Network::new(Network::PUBNET);
    let expected = golden(&fixtures.join("lake.golden.jsonl"));
    for mode in [Mode::Auto, Mode::Derived, Mode::Unified] {
        let mut actual = Vec::new();
        for ledger in support::ledgers(&fixtures.join("lake/ledgers/pubnet")) {
            let events = process(&network, mode, &ledger.xdr).unwrap();
            actual.extend(events.rows.iter().map(|row| golden_line(&ledger.file, row, true)));
        }
        for (expected, actual) in expected.iter().zip(&actual) {
            assert_eq!(expected, actual, "{mode:?}");
        }
        assert_eq!(actual.len(), expected.len());
    }
}

#[test]
fn both_modes_give_equal_rows_wherever_the_meta_has_events() {
    let Some(fixtures) = support::fixtures() else { return };
    let mut compared = 0;
    for (folder, _, passphrase, _) in SETS {
        let network = Network::new(passphrase);
        for ledger in support::ledgers(&fixtures.join(folder)) {
            let derived = process(&network, Mode::Derived, &ledger.xdr).unwrap();
            let unified = match process(&network, Mode::Unified, &ledger.xdr) {
                Err(error) if error.fault == Fault::NoUnifiedEvents => continue,
                other => other.unwrap_or_else(|error| panic!("{folder}/{}: {error}", ledger.file)),
            };
            for (derived, unified) in derived.rows.iter().zip(&unified.rows) {
                assert_eq!(derived, unified, "{folder}/{}", ledger.file);
            }
            assert_eq!(derived, unified, "{folder}/{}", ledger.file);
            compared += 1;
        }
    }
    assert!(compared > 100, "{compared} ledgers with unified events");
}
