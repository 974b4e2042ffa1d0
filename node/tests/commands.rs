//! The binary as a user meets it: results, exit codes, messages, files.

#![allow(clippy::unwrap_used, reason = "a test says why it fails")]

#[path = "../../actors/tests/support/fixtures.rs"]
mod fixtures;

use std::path::Path;
use std::process::{Command, Output, Stdio};

use fixtures::fixtures;

const LEDGERS: &str = "synthetic:?ledgers=5&density=sparse";

fn orrery(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_orrery")).args(arguments).stdin(Stdio::null()).output().unwrap()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

/// Runs it and checks exit code and what it says on either stream.
fn check(arguments: &[&str], code: i32, says: &str) -> Output {
    let output = orrery(arguments);
    let all = text(&output.stdout) + &text(&output.stderr);
    assert_eq!(output.status.code(), Some(code), "{arguments:?}\n{all}");
    assert!(all.contains(says), "{arguments:?} does not say `{says}`:\n{all}");
    output
}

#[test]
fn what_a_user_did_wrong_names_the_value_and_the_way_out() {
    check(&["events"], 2, "FILES|URL");
    check(&["events", "--formt", "csv", LEDGERS], 2, "--format");
    check(&["events", "missing.xdr", "--network", "pubnet"], 69, "missing.xdr: no such file or directory");
    check(&["events", "ftp://somewhere"], 2, "unknown kind of source `ftp`");
    check(&["events", "synthetic:?ledger=5"], 2, "unknown key `ledger`; allowed:");
    check(&["events", LEDGERS, "--from", "90"], 2, "no ledger from 90");
    check(&["events", LEDGERS, "--network", "pubnet"], 2, "leave out --network");
    check(&["events", LEDGERS, "--out", "no/such/folder/x.jsonl"], 69, "folder does not exist");
    check(&["synth", "--out", "lake", "--ledgers", "1"], 2, "file://");
    check(&["verify", "--source", LEDGERS, "--workers", "0"], 2, "--workers");
}

#[test]
fn files_of_no_known_network_ask_for_it() {
    let folder = tempfile::tempdir().unwrap();
    let lake = format!("file://{}", folder.path().join("lake").display());
    check(&["synth", "--out", &lake, "--ledgers", "3", "--density", "sparse"], 0, "lake bytes");
    let object = folder.path().join("lake/FFFFFFFF--0-63999/FFFFFFFD--2.xdr.zst");
    let object = object.to_str().unwrap();
    check(&["events", object], 2, "give --network");
    check(&["events", object, "--passphrase", "x", "--out", object], 2, "give another file");
    check(&["verify", object, "--passphrase", "x", "--from", "90"], 1, "nothing is verified");
    check(&["events", object, "--network", "pubnet"], 65, "is the network passphrase the ledger's?");
    check(
        &["events", object, "--passphrase", "Orrery synthetic network ; October 2025"],
        0,
        "\"kind\":\"fee\"",
    );
}

#[test]
fn a_lake_gives_the_events_of_the_ledgers_it_was_made_from() {
    let folder = tempfile::tempdir().unwrap();
    let lake = format!("file://{}", folder.path().join("lake").display());
    let arguments = ["--ledgers", "5", "--density", "sparse"];
    check(&[&["synth", "--out", &lake][..], &arguments].concat(), 0, "5");
    check(&[&["synth", "--out", &lake][..], &arguments].concat(), 0, "5"); // again: the same bytes
    let of_lake = check(&["events", &lake], 0, "");
    let of_source = check(&["events", LEDGERS], 0, "");
    assert_eq!(of_lake.stdout, of_source.stdout);
    let part = check(&["events", &lake, "--from", "3", "--to", "4", "--with-file"], 0, "");
    assert!(text(&part.stdout).lines().all(|line| line.starts_with("{\"file\":\"FFFFFFFF--0-63999/FFFFFFF")));
    check(&["verify", "--source", &lake], 0, "Not provable");
    check(&["verify", &lake, "--from", "90"], 2, "the source holds 2 to 6");
    let other = ["synth", "--out", &lake, "--ledgers", "2", "--density", "sparse", "--seed", "9"];
    check(&other, 2, "2 differs");
    let json = check(&["verify", "--source", &lake, "--output", "json"], 0, "");
    let found: serde_json::Value = serde_json::from_slice(&json.stdout).unwrap();
    assert_eq!((&found["ledgers"], &found["ledgers_sound"]), (&5.into(), &5.into()));
}

#[test]
fn results_do_not_depend_on_the_number_of_threads() {
    let one = check(&["events", LEDGERS, "--workers", "1"], 0, "");
    let four = check(&["events", LEDGERS, "--workers", "4"], 0, "");
    assert_eq!(one.stdout, four.stdout);
}

#[test]
fn a_bad_ledger_stops_a_file_and_leaves_none() {
    let folder = tempfile::tempdir().unwrap();
    let lake = folder.path().join("lake");
    let url = format!("file://{}", lake.display());
    check(&["synth", "--out", &url, "--ledgers", "4", "--density", "sparse"], 0, "");
    let object = lake.join("FFFFFFFF--0-63999/FFFFFFFB--4.xdr.zst");
    let whole = std::fs::read(&object).unwrap();
    std::fs::write(&object, &whole[..whole.len() / 2]).unwrap();
    let out = folder.path().join("events.parquet");
    let arguments = ["events", &url, "--format", "parquet", "--out", out.to_str().unwrap()];
    check(&arguments, 65, "FFFFFFFB--4.xdr.zst");
    let left: Vec<_> =
        std::fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(left, ["lake"]);
    std::fs::remove_file(&object).unwrap();
    check(&arguments, 69, "lacks this ledger");
    std::fs::write(&object, &whole).unwrap();
    check(&arguments, 0, "events");
    assert!(out.is_file());
}

#[test]
fn demo_writes_a_dataset_and_goes_on_where_it_ended() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("demo");
    let demo = |ledgers: &str, says: &str| {
        let arguments = ["demo", "--density", "sparse", "--rate", "0", "--out", out.to_str().unwrap()];
        check(&[&arguments[..], &["--ledgers", ledgers]].concat(), 0, says);
    };
    demo("5", "last durable ledger  6");
    demo("9", "ledgers              4");
    demo("9", "has these ledgers already");
    let data = std::fs::read_dir(out.join("dataset/token_transfers/data")).unwrap();
    assert_eq!(data.count(), 4, "slots 2-3, 4-6 (short), 7-7, 8-10 (short) of the grid of four");
}

#[test]
fn a_backfill_of_a_complete_dataset_has_nothing_to_do() {
    let folder = tempfile::tempdir().unwrap();
    let place = |name: &str| format!("file://{}", folder.path().join(name).display());
    let (lake, dataset) = (place("lake"), place("dataset"));
    let state = folder.path().join("state");
    let backfill = |options: &[&str], code, says| {
        let words =
            ["backfill", "--source", &lake, "--dataset", &dataset, "--data-dir", state.to_str().unwrap()];
        check(&[&words, options].concat(), code, says)
    };
    let synth = |ledgers| {
        let words = ["synth", "--out", &lake, "--density", "sparse", "--ledgers", ledgers];
        check(&words, 0, "lake bytes");
    };
    synth("3");
    backfill(&["--from", "90"], 2, "no ledger from 90");
    backfill(&[], 0, "complete");
    for options in [&[][..], &["--to", "latest"], &["--to", "4"]] {
        backfill(options, 0, "nothing to do");
    }
    synth("5");
    backfill(&[], 0, "complete");
}

#[test]
fn integrity_decides_what_a_broken_hash_does() {
    let Some(fixtures) = fixtures() else { return };
    let rules = fixtures.join("rules/payment-001.xdr");
    let arguments = ["events", rules.to_str().unwrap(), "--passphrase", "some network passphrase"];
    check(&arguments, 0, "warning: ");
    check(&[&arguments[..], &["--integrity", "strict"]].concat(), 1, "V1: the header's hash");
    let silent = check(&[&arguments[..], &["--integrity", "off"]].concat(), 0, "\"kind\":\"fee\"");
    assert_eq!(text(&silent.stderr), "");
    check(
        &["verify", "--source", rules.to_str().unwrap(), "--passphrase", "some network passphrase"],
        1,
        "1 of 1 ledgers are not sound",
    );
}

#[test]
fn shells_get_completions_and_scripts_get_the_version() {
    check(&["completions", "bash"], 0, "_orrery()");
    check(&["version", "--output", "json"], 0, "\"token_transfers_schema\"");
    check(&["--help"], 0, "Exit codes: 0 ok");
}

#[cfg(unix)]
#[test]
fn an_interrupt_ends_it_and_leaves_no_partial_file() {
    use std::time::Duration;
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("events.jsonl");
    let source = "synthetic:?ledgers=100000&density=sparse&rate=20";
    let mut child = Command::new(env!("CARGO_BIN_EXE_orrery"))
        .args(["events", source, "--out", out.to_str().unwrap()])
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    // It has begun when its temporary file is there.
    while std::fs::read_dir(folder.path()).unwrap().next().is_none() {
        let (lock, never) = (std::sync::Mutex::new(()), std::sync::Condvar::new());
        drop(never.wait_timeout(lock.lock().unwrap(), Duration::from_millis(10)).unwrap());
    }
    assert!(Command::new("kill").args(["-INT", &child.id().to_string()]).status().unwrap().success());
    assert_eq!(child.wait().unwrap().code(), Some(130));
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
}

#[test]
fn certificates_are_made_once_and_say_what_to_copy_where() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    let (authority, node) = (path("ca"), path("ca/a-1"));
    let init = ["certs", "init", "--dir", &authority, "--cluster", "moon"];
    check(
        &["certs", "init", "--dir", &authority, "--cluster", "Moon"],
        2,
        "`Moon` cannot be the name of a cluster",
    );
    check(&["certs", "issue", "a-1", "--dir", &authority], 78, "orrery certs init");
    check(&init, 0, "orrery certs issue NAME --dir");
    check(&init, 2, "ca.pem: exists already");
    let issue = ["certs", "issue", "a-1", "--dir", &authority];
    check(&issue, 0, "orrery run --name a-1");
    check(&issue, 2, "give another folder");
    for file in ["ca.pem", "node.pem", "node.key", "cluster.key"] {
        assert!(Path::new(&node).join(file).is_file(), "{file}");
    }
    check(&["certs", "issue", "a.1", "--dir", &authority], 2, "`a.1` cannot be the name of a node");
    check(&["certs", "issue", "b", "--dir", &authority, "--days", "9999"], 2, "its authority runs out on");
    check(&["certs", "issue", "b", "--dir", &authority, "--days", "0"], 2, "--days");

    let out = path("anna");
    let issue =
        ["certs", "issue", "anna", "--dir", &authority, "--out", &out, "--operator", "--output", "json"];
    let said = check(&issue, 0, "");
    let said: serde_json::Value = serde_json::from_slice(&said.stdout).unwrap();
    assert_eq!((&said["cluster"], &said["purpose"]), (&"moon".into(), &"operator".into()));
    assert_eq!(said["files"].as_array().unwrap().len(), 3, "{said}");
    assert!(!Path::new(&out).join("cluster.key").exists());

    std::fs::write(Path::new(&authority).join("ca.key"), "x").unwrap();
    check(&["certs", "issue", "c", "--dir", &authority], 78, "ca.key: holds no key");
}
