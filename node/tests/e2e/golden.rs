//! Real ledgers through the binary: the golden rows, in a dataset that other people's readers read.

use std::fmt::Write;
use std::fs;
use std::path::Path;

use orrery_actors::ledger::{Network, ParsedLedger};
use orrery_actors::processor::ttp::{self, Mode};
use orrery_actors::source::{LedgerRange, SourceUrl, open};
use serde_json::{Value, json};

use crate::delta;
use crate::fixtures::fixtures;
use crate::process::{Home, assert_same, files};

/// Every golden row is the row of the same place, in the fields that golden rows have.
fn check_golden(fixtures: &Path, lines: &str) {
    let golden = fs::read_to_string(fixtures.join("lake.golden.jsonl")).unwrap();
    let parse =
        |text: &str| -> Vec<Value> { text.lines().map(|line| serde_json::from_str(line).unwrap()).collect() };
    let place = |row: &Value| (row["ledger_sequence"].as_u64(), row["ledger_event_index"].as_u64());
    let (mut golden, found) = (parse(&golden), parse(lines));
    assert!(found.is_sorted_by_key(place), "rows are in order");
    golden.sort_by_key(place);
    assert_eq!(golden.len(), found.len());
    for (golden, found) in golden.iter().zip(&found) {
        for (field, value) in golden.as_object().unwrap().iter().filter(|(field, _)| *field != "file") {
            assert_eq!(*value, found[field], "{field} of {golden}");
        }
    }
}

pub(crate) fn ledger_lines(url: &str) -> String {
    let url: SourceUrl = url.parse().unwrap();
    let mut source = open(&[url], LedgerRange::default()).unwrap();
    let network = Network::new(source.network_passphrase().unwrap());
    let mut lines = String::new();
    while let Some(raw) = source.next_ledger() {
        let raw = raw.unwrap();
        let parsed = ParsedLedger::read(&network, &raw.xdr).unwrap();
        let ledger = ttp::derive(&parsed, Mode::Auto).unwrap().ledger;
        let line = delta::ledger_json(&ledger);
        writeln!(lines, "{line}").unwrap();
    }
    lines
}

#[test]
fn real_ledgers_become_a_dataset_that_other_readers_read_with_the_golden_rows() {
    let Some(fixtures) = fixtures() else { return };
    let home = Home::new();
    let lake = format!("file://{}", fixtures.join("lake/ledgers/pubnet").display());
    for (name, more) in [
        ("one", &["--workers", "1", "--mode", "unified"][..]),
        ("two", &["--workers", "2", "--mode", "derived"]),
    ] {
        let state = Home::new();
        let ended =
            state.backfill(&lake, &home.url(name), &[more, &["--output", "json"]].concat()).expect(0, "");
        let result = ended.json();
        assert_eq!((&result["state"], &result["ledgers_durable"]), (&json!("complete"), &json!(12)));
        assert_eq!(result["events_processed"], 7740);
        assert_same(&files(&home.path("one")), &files(&home.path(name)));
    }
    fs::create_dir(home.path("expected")).unwrap();
    let events = home.run(&["events", &lake]).expect(0, "");
    check_golden(&fixtures, events.stdout());
    fs::write(home.path("expected/token_transfers.jsonl"), events.stdout()).unwrap();
    fs::write(home.path("expected/ledgers.jsonl"), ledger_lines(&lake)).unwrap();
    let Some(python) = delta::python() else { return };
    delta::check(&python, &home.path("one"), &home.path("expected"));
}
