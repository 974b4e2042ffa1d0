//! Real ledgers through the binary: the golden rows, in a dataset that other people's readers read.

use std::env;
use std::fmt::Write;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use orrery_actors::ledger::{Network, ParsedLedger};
use orrery_actors::processor::ttp::{self, Mode};
use orrery_actors::source::{LedgerRange, SourceUrl, open};
use serde_json::{Value, json};

use crate::process::{Home, assert_same, files};

/// The fixtures, or `None` where they are missing and need not be there.
fn fixtures() -> Option<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/fixtures");
    if folder.is_dir() {
        return Some(folder);
    }
    assert!(env::var_os("ORRERY_REQUIRE_FIXTURES").is_none(), "fixtures are required but missing");
    eprintln!("skipped: no fixtures");
    None
}

/// The interpreter, or `None` (after saying so) where it lacks the readers and they are not required.
fn python() -> Option<String> {
    let python = env::var("ORRERY_PYTHON").unwrap_or_else(|_| "python3".to_owned());
    let imports = Command::new(&python).args(["-c", "import deltalake, polars, duckdb_extensions"]).output();
    if imports.as_ref().is_ok_and(|output| output.status.success()) {
        return Some(python);
    }
    let required = env::var("ORRERY_REQUIRE_READERS").unwrap_or_default();
    assert_eq!(required, "", "{python} cannot import deltalake, polars, duckdb_extensions: {imports:?}");
    eprintln!("skipped: {python} has no deltalake, polars and duckdb; name one that has with ORRERY_PYTHON");
    None
}

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

fn ledger_lines(url: &str) -> String {
    let url: SourceUrl = url.parse().unwrap();
    let mut source = open(&[url], LedgerRange::default()).unwrap();
    let network = Network::new(source.network_passphrase().unwrap());
    let mut lines = String::new();
    while let Some(raw) = source.next_ledger() {
        let raw = raw.unwrap();
        let parsed = ParsedLedger::read(&network, &raw.xdr).unwrap();
        let ledger = ttp::derive(&parsed, Mode::Auto).unwrap().ledger;
        let line = json!({
            "sequence": ledger.sequence.0,
            "hash": ledger.hash.to_string(),
            "previous_hash": ledger.previous_hash.to_string(),
            "closed_at": ledger.closed_at.to_string(),
            "protocol_version": ledger.protocol_version,
            "tx_set_hash": ledger.tx_set_hash.to_string(),
            "tx_set_result_hash": ledger.tx_set_result_hash.to_string(),
            "tx_count": ledger.tx_count,
            "successful_tx_count": ledger.successful_tx_count,
            "failed_tx_count": ledger.failed_tx_count,
            "operation_count": ledger.operation_count,
            "event_count": ledger.event_count,
            "total_coins": ledger.total_coins,
            "fee_pool": ledger.fee_pool,
            "base_fee": ledger.base_fee,
            "base_reserve": ledger.base_reserve,
            "max_tx_set_size": ledger.max_tx_set_size,
            "row_digest": ledger.row_digest.to_string(),
        });
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
    let Some(python) = python() else { return };
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../actors/tests/readers/read_dataset.py");
    let output =
        Command::new(python).arg(script).arg(home.path("one")).arg(home.path("expected")).output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{said}{}", String::from_utf8_lossy(&output.stderr));
    assert!(said.trim_end().ends_with("agreed: deltalake, polars, duckdb"), "{said}");
}
