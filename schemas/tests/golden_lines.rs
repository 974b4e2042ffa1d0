//! The JSON form against the golden lines of real ledgers: what is parsed from a line is written as the same line.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::print_stderr, reason = "this is a test")]

use std::path::PathBuf;

use orrery_schemas::{Asset, CloseTime, EventId, LedgerSequence, OpType, Toid, TokenTransfer};
use serde_json::{Map, Value};

/// Keys that golden lines lack: their source does not have them.
const ABSENT: [&str; 7] = [
    "event_index",
    "ledger_event_index",
    "event_id",
    "op_type",
    "asset_code",
    "asset_issuer",
    "tx_successful",
];

#[test]
fn a_golden_line_is_read_and_written_as_itself() {
    let Some(folder) = fixtures() else { return };
    let mut lines = 0;
    for name in ["core", "lake", "load", "pubnet", "rules", "testnet"] {
        let text = std::fs::read_to_string(folder.join(format!("{name}.golden.jsonl"))).unwrap();
        for line in text.lines() {
            check(line);
            lines += 1;
        }
    }
    assert_eq!(lines, 13_353 + 7_740 + 15_480 + 2_574 + 302 + 603);
}

fn check(line: &str) {
    let golden: Map<String, Value> = serde_json::from_str(line).unwrap();
    let event: TokenTransfer = serde_json::from_value(Value::Object(complete(golden.clone()))).expect(line);

    let mut written: Map<String, Value> = serde_json::to_value(&event).unwrap().as_object().unwrap().clone();
    written.retain(|key, _| golden.contains_key(key) || !ABSENT.contains(&key.as_str()));
    written.insert("file".to_owned(), golden["file"].clone());
    assert_eq!(written, golden, "{line}");
}

/// The line with the keys that it lacks, as they follow from the others.
fn complete(mut golden: Map<String, Value>) -> Map<String, Value> {
    let number = |key: &str| golden[key].as_u64().map(|value| u32::try_from(value).unwrap());
    let event_index = golden.get("event_index").and_then(Value::as_u64).unwrap_or(0) as u32;
    let ledger = LedgerSequence(number("ledger_sequence").unwrap());
    let toid = Toid::new(ledger, number("tx_index").unwrap(), number("op_index")).unwrap();
    let asset = golden["asset"].as_str().map(|text| text.parse::<Asset>().unwrap());
    let code = asset.as_ref().and_then(Asset::code).map(|code| code.to_string());
    let issuer = asset.as_ref().and_then(Asset::issuer).map(|issuer| issuer.to_string());
    let mut absent = |key: &str, value: Value| {
        golden.entry(key).or_insert(value);
    };
    absent("event_index", event_index.into());
    absent("ledger_event_index", 0.into());
    absent("event_id", EventId { toid, event_index }.to_string().into());
    absent("op_type", OpType::Payment.as_str().into());
    absent("asset_code", code.into());
    absent("asset_issuer", issuer.into());
    absent("tx_successful", true.into());
    golden
}

#[test]
fn keys_stand_in_the_order_of_the_columns() {
    let Some(folder) = fixtures() else { return };
    let text = std::fs::read_to_string(folder.join("rules.golden.jsonl")).unwrap();
    let golden = serde_json::from_str(text.lines().next().unwrap()).unwrap();
    let event: TokenTransfer = serde_json::from_value(Value::Object(complete(golden))).unwrap();
    assert_eq!(
        serde_json::to_string(&event).unwrap(),
        r#"{"ledger_sequence":12345,"closed_at":"1970-01-15T06:55:00Z","tx_hash":"c384a2eb6240a91f392f8703fc67d78c313c5968c52338a02df4e1f56e1d8201","tx_index":1,"op_index":null,"event_index":0,"ledger_event_index":0,"event_id":"0000053021371273216-0000000000","kind":"fee","op_type":"payment","contract_id":"CC4NHYUKMFX2QOGNCYD5QVPWYSV2HDA5WQ4N4UL4I5674E7X3HVRJMDF","asset":"native","asset_code":null,"asset_issuer":null,"from":"GBF3XFXGBGNQDN3HOSZ7NVRF6TJ2JOD5U6ELIWJOOEI6T5WKMQT2YSXQ","to":null,"amount":"100","to_muxed_id":null,"to_memo_text":null,"to_memo_hash":null,"tx_successful":true}"#
    );
    assert_eq!(event.closed_at, CloseTime::from_unix_seconds(1_234_500).unwrap());
}

/// The folder of real ledgers beside the workspace. Missing, it fails the test where `ORRERY_REQUIRE_FIXTURES=1`.
fn fixtures() -> Option<PathBuf> {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../shared/fixtures");
    if folder.is_dir() {
        return Some(folder);
    }
    assert!(
        std::env::var_os("ORRERY_REQUIRE_FIXTURES").is_none(),
        "fixtures are missing: {}",
        folder.display()
    );
    eprintln!("skipped: no fixtures at {}", folder.display());
    None
}
