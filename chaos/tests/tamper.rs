//! `orrery-chaos tamper` as its users run it, over real ledgers.

#![expect(clippy::unwrap_used, clippy::panic, clippy::print_stdout, reason = "tests say why they fail")]

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use serde_json::Value;

/// Folders of ledgers whose hashes hold, with the option that names their network.
const SETS: [(&str, [&str; 2]); 5] = [
    ("core", ["--passphrase", "(V) (;,,;) (V)"]),
    ("pubnet", ["--network", "pubnet"]),
    ("lake/ledgers/pubnet", ["--network", "pubnet"]),
    ("testnet", ["--network", "testnet"]),
    ("load", ["--passphrase", "load test network"]),
];

/// `../shared/fixtures`, or `None` (after saying so) where it is missing and not required.
fn fixtures() -> Option<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/fixtures");
    if folder.is_dir() {
        return Some(folder);
    }
    let required = std::env::var("ORRERY_REQUIRE_FIXTURES").is_ok_and(|value| value == "1");
    assert!(!required, "fixtures are required but missing");
    println!("skipped: no fixtures at {}", folder.display());
    None
}

fn tamper(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_orrery-chaos")).arg("tamper").args(arguments).output().unwrap()
}

/// The report, of a run whose exit code must agree with it.
fn report(arguments: &[&str]) -> Value {
    let output = tamper(&[arguments, &["--output", "json"]].concat());
    let text = String::from_utf8_lossy(&output.stderr);
    let report: Value =
        serde_json::from_slice(&output.stdout).unwrap_or_else(|_| panic!("{arguments:?}: {text}"));
    let missed = report["missed"].as_u64().unwrap_or(0);
    assert_eq!(output.status.code(), Some(i32::from(missed > 0)), "{arguments:?}: {text}{report}");
    report
}

fn check_refused(arguments: &[&str], code: i32, fragment: &str) {
    let output = tamper(arguments);
    let text = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(code), "{arguments:?}: {text}");
    assert!(text.contains(fragment), "{arguments:?}: {text}");
    assert!(output.stdout.is_empty(), "{arguments:?}: a report without a verdict");
}

#[test]
fn a_thousand_changes_of_bound_bytes_are_all_found() {
    let Some(fixtures) = fixtures() else { return };
    let mut changes = 0;
    for (folder, [option, network]) in SETS {
        let path = fixtures.join(folder);
        let report = report(&[path.to_str().unwrap(), option, network, "--count", "200", "--seed", "7"]);
        let counts = report["fields"].as_array().unwrap();
        let fields: Vec<_> = counts.iter().map(|counts| counts["field"].clone()).collect();
        assert_eq!(fields[..3], ["header", "transaction_set", "results"], "{folder}");
        assert_eq!(report["missed"], 0, "{folder}: {report}");
        let changed: u64 = counts.iter().map(|counts| counts["changed"].as_u64().unwrap()).sum();
        assert_eq!(changed, 200, "{folder}: every change is of one kind of field");
        changes += changed;
    }
    assert_eq!(changes, 1000);
}

#[test]
fn changes_of_synthetic_ledgers_are_all_found() {
    let report = report(&["synthetic:?seed=3&ledgers=6&density=sparse", "--count", "100"]);
    assert_eq!(
        (&report["ledgers"], &report["found"], &report["missed"]),
        (&6.into(), &100.into(), &0.into())
    );
}

#[test]
fn same_seed_gives_the_same_report_and_another_seed_another() {
    let Some(fixtures) = fixtures() else { return };
    let path = fixtures.join("testnet");
    let run =
        |seed| report(&[path.to_str().unwrap(), "--network", "testnet", "--count", "40", "--seed", seed]);
    assert_eq!(run("1"), run("1"));
    assert_ne!(run("1"), run("2"));
}

#[test]
fn unbound_changes_are_reported_for_what_they_are() {
    let Some(fixtures) = fixtures() else { return };
    let path = fixtures.join("lake/ledgers/pubnet");
    let report = report(&[path.to_str().unwrap(), "--count", "60", "--unbound"]);
    assert_eq!(report["changes"], 60);
    let parts = [
        "found_by_structure",
        "found_by_hashes",
        "found_by_derivation",
        "found_by_deltas",
        "silent_rows_differ",
        "silent_rows_equal",
    ];
    let sum: u64 = parts.iter().map(|part| report[part].as_u64().unwrap()).sum();
    assert_eq!(sum, 60, "{report}");
    // Most of a ledger's meta is balances and data that no event speaks of: to claim that all is found would be a lie.
    assert!(report["silent_rows_equal"].as_u64().unwrap() > 0, "{report}");
    assert!(report["bound_bytes"].as_u64().unwrap() < report["bytes"].as_u64().unwrap(), "{report}");
}

#[test]
fn table_begins_with_the_seed_and_ends_with_the_sum() {
    let Some(fixtures) = fixtures() else { return };
    let path = fixtures.join("testnet");
    let output = tamper(&[path.to_str().unwrap(), "--network", "testnet", "--count", "20", "--seed", "5"]);
    let text = String::from_utf8(output.stdout).unwrap();
    assert_eq!(output.status.code(), Some(0), "{text}");
    assert!(text.starts_with("seed 5: "), "{text}");
    assert!(text.ends_with("\n20 changes, 20 found, 0 missed\n"), "{text}");
    assert!(String::from_utf8(output.stderr).unwrap().starts_with("seed 5\n"));
}

#[test]
fn ledgers_that_do_not_hold_are_refused_before_anything_is_changed() {
    let Some(fixtures) = fixtures() else { return };
    let rules = fixtures.join("rules");
    let arguments = [rules.to_str().unwrap(), "--passphrase", "some network passphrase"];
    check_refused(&arguments, 65, "not sound to begin with");
    let testnet = fixtures.join("testnet");
    check_refused(&[testnet.to_str().unwrap(), "--network", "pubnet"], 65, "check --network");
    check_refused(&[testnet.to_str().unwrap()], 2, "give --network or --passphrase");
}

#[test]
fn what_cannot_be_run_says_why() {
    check_refused(&["ledgers", "--network", "pubnet", "--no-such-flag"], 2, "--no-such-flag");
    check_refused(&["ledgers", "--network", "mainnet"], 2, "pubnet, testnet, futurenet");
    check_refused(&["ledgers", "--network", "pubnet", "--passphrase", "x"], 2, "cannot be used with");
    check_refused(&["ledgers", "--network", "pubnet", "--count", "0"], 2, "--count");
    check_refused(&[], 2, "SOURCES");
    check_refused(&["no/such/file", "--network", "pubnet"], 69, "no/such/file: no such file or directory");
    check_refused(&["Cargo.toml", "--network", "pubnet"], 65, "Cargo.toml: ");
}
