//! `orrery-chaos crash`, `syscalls`, `disk-full`, `cluster` and `regions` as their users run them, in short.

#![expect(clippy::unwrap_used, clippy::print_stdout, reason = "tests say why they fail")]

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::Once;

use serde_json::Value;

/// What is skipped because the machine does not allow it.
const SKIPPED: i32 = 77;

/// The program under test stands beside `orrery-chaos`. `cargo test --workspace` builds both; where only this test is
/// built, it is built here.
fn orrery() -> PathBuf {
    static BUILT: Once = Once::new();
    let chaos = Path::new(env!("CARGO_BIN_EXE_orrery-chaos"));
    let orrery = chaos.with_file_name("orrery");
    BUILT.call_once(|| {
        if !orrery.is_file() {
            let mut cargo = Command::new(std::env::var("CARGO").unwrap_or_else(|_| "cargo".to_owned()));
            cargo.args(["build", "--workspace", "--bin", "orrery", "--locked"]);
            if chaos.parent().unwrap().ends_with("release") {
                cargo.arg("--release");
            }
            let built = cargo.current_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("..")).status();
            assert!(built.is_ok_and(|status| status.success()), "orrery cannot be built");
        }
    });
    assert!(orrery.is_file(), "{}: not built: run `cargo build -p orrery-node`", orrery.display());
    orrery
}

fn chaos(arguments: &[&str], orrery: &Path, folder: &Path) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_orrery-chaos"));
    command.args(arguments).arg("--orrery").arg(orrery).arg("--dir").arg(folder);
    command.args(["--output", "json"]).output().unwrap()
}

/// The report of a run that was survived; nothing, after saying so, if it was skipped.
fn survived(arguments: &[&str]) -> Option<Value> {
    reported(arguments, &[0])
}

/// The report of a run that ended with one of these codes.
fn reported(arguments: &[&str], codes: &[i32]) -> Option<Value> {
    let folder = tempfile::tempdir().unwrap();
    let output = chaos(arguments, &orrery(), folder.path());
    let text = String::from_utf8_lossy(&output.stderr);
    let code = output.status.code().unwrap();
    if code == SKIPPED {
        println!("{arguments:?}: {text}");
        return None;
    }
    let report = String::from_utf8_lossy(&output.stdout);
    assert!(codes.contains(&code), "{arguments:?}: {code}: {text}{report}");
    Some(serde_json::from_str(&report).unwrap())
}

/// Says that namespaces cannot be made here, where they need not be.
fn without_namespaces() {
    let required = std::env::var("ORRERY_REQUIRE_NAMESPACES").is_ok_and(|value| value == "1");
    assert!(!required, "network namespaces are required but cannot be made");
}

/// Of a comparison: everything that must be zero.
fn differences(comparison: &Value) -> u64 {
    let names = [
        "objects_missing",
        "objects_extra",
        "objects_different",
        "ledgers_lost",
        "ledgers_duplicated",
        "rows_lost",
        "rows_duplicated",
        "parts_left",
    ];
    names.iter().map(|name| comparison[name].as_u64().unwrap()).sum()
}

fn check_crash(arguments: &[&str], kills: u64) {
    let report = survived(&[&["crash"], arguments].concat()).unwrap();
    assert_eq!(report["kills"], kills, "{report}");
    assert_eq!(differences(&report["comparison"]), 0, "{report}");
    assert!(report["comparison"]["objects"].as_u64().unwrap() > 20, "{report}");
    assert!(report["comparison"]["rows"].as_u64().unwrap() > 100, "{report}");
}

#[test]
fn a_backfill_killed_again_and_again_writes_the_same_dataset() {
    check_crash(&["--rounds", "12", "--ledgers", "400", "--slot-ledgers", "8", "--seed", "11"], 12);
}

#[test]
fn a_node_that_follows_killed_again_and_again_writes_the_same_dataset() {
    let arguments = ["--rounds", "4", "--ledgers", "150", "--slot-ledgers", "8", "--seed", "12"];
    check_crash(&[&arguments[..], &["--mode", "run"]].concat(), 4);
}

/// Some points of each call; all of them are for `orrery-chaos syscalls`.
#[test]
fn a_node_killed_or_failed_at_a_system_call_leaves_nothing_torn() {
    let arguments = ["syscalls", "--ledgers", "6", "--slot-ledgers", "4", "--sample", "1", "--seed", "3"];
    let Some(report) = survived(&arguments) else {
        let required = std::env::var("ORRERY_REQUIRE_TRACING").is_ok_and(|value| value == "1");
        assert!(!required, "tracing is required but not allowed");
        return;
    };
    assert_eq!(report["problems"], Value::Array(Vec::new()));
    let calls = report["calls"].as_array().unwrap();
    for counts in calls {
        let missed = counts["missed"].as_array().unwrap();
        assert_eq!(counts["exercised"].as_u64().unwrap() + missed.len() as u64, 1, "{counts}");
        // The node's state is written through every half second: on a busy machine once more than on another.
        let is_of_timer = |point: &Value| point.as_str().unwrap().starts_with("traced-state/state/db ");
        assert!(missed.iter().all(is_of_timer), "{counts}");
    }
    for (call, fault) in
        [("linkat", "SIGKILL"), ("unlink", "SIGKILL"), ("fsync", "SIGKILL"), ("linkat", "ENOSPC")]
    {
        let is_it = |counts: &Value| counts["call"] == call && counts["fault"] == fault;
        assert!(calls.iter().any(is_it), "no {fault} of {call}: {report}");
    }
}

#[test]
fn a_node_on_a_full_disk_says_so_and_goes_on() {
    let Some(report) = survived(&["disk-full", "--ledgers", "60", "--slot-ledgers", "4"]) else { return };
    let disks = report["disks"].as_array().unwrap();
    assert_eq!(disks.len(), 4, "{report}");
    for disk in disks {
        assert_eq!(differences(&disk["comparison"]), 0, "{disk}");
        let message = disk["message"].as_str().unwrap();
        assert!(message.contains("no space is left") && message.contains("/small/dataset/"), "{disk}");
        assert!(disk["started_full"].as_str().unwrap().contains("/small/dataset/"), "{disk}");
    }
}

/// The report of faults to three nodes that were survived, with as many of each kind as are named.
fn check_cluster(arguments: &[&str], faults: &[&str]) -> Option<Value> {
    let rounds = faults.len().to_string();
    let common = ["cluster", "--fault", arguments[0], "--rounds", &rounds, "--ledgers"];
    let report = survived(&[&common, &arguments[1..]].concat())?;
    let done: Vec<_> = report["rounds"].as_array().unwrap().iter().map(|round| &round["fault"]).collect();
    assert_eq!(done, faults, "{report}");
    assert_eq!(differences(&report["comparison"]), 0, "{report}");
    assert!(report["comparison"]["rows"].as_u64().unwrap() > 10_000, "{report}");
    Some(report)
}

#[test]
fn nodes_of_a_cluster_that_are_killed_and_paused_lose_and_repeat_nothing() {
    let report = check_cluster(&["kill,stop", "4000", "--seed", "2"], &["kill", "stop", "kill", "stop"]);
    let report = report.unwrap();
    assert_eq!(report["rounds"][2]["was_coordinator"], true, "{report}");
}

#[test]
fn a_rolling_restart_of_a_cluster_loses_and_repeats_nothing() {
    let report = check_cluster(&["term", "4000", "--seed", "3"], &["term", "term", "term"]).unwrap();
    let nodes: Vec<_> = report["rounds"].as_array().unwrap().iter().map(|round| &round["node"]).collect();
    assert_eq!(nodes, ["a", "b", "c"], "{report}");
    assert_eq!(report["stop_seconds"]["count"], 3, "{report}");
}

/// Needs root and network namespaces. How long readers wait says the report; a machine that does other things is slow.
#[test]
fn regions_that_are_killed_emptied_and_cut_off_lose_and_repeat_nothing() {
    let faults = ["kill", "empty", "cut"];
    let arguments = ["regions", "--fault", "kill,empty,cut", "--rounds", "3", "--seed", "5"];
    let Some(report) = reported(&arguments, &[0, 1]) else { return without_namespaces() };
    assert_eq!(report["problems"], serde_json::json!([]), "{report}");
    let done: Vec<_> = report["rounds"].as_array().unwrap().iter().map(|round| &round["fault"]).collect();
    assert_eq!(done, faults, "{report}");
    let regions = report["comparisons"].as_array().unwrap();
    assert_eq!(regions.len(), 3, "{report}");
    assert!(regions.iter().all(|region| differences(&region["comparison"]) == 0), "{report}");
    assert!(report["events"].as_u64().unwrap() > 200, "{report}");
}

/// Needs root and network namespaces. One region is made to differ, must be found and is mended; two sides that do not hear each
/// other both go on; and traffic is moved by plan.
#[test]
fn regions_that_differ_are_parted_or_change_traffic_lose_and_repeat_nothing() {
    let faults = ["differ", "split", "failover"];
    let times = ["--rounds", "3", "--seed", "6", "--outage", "4s", "--slot-ledgers", "4"];
    let home = tempfile::tempdir().unwrap();
    let file = home.path().join("results.jsonl");
    let results = ["--results", file.to_str().unwrap()];
    let arguments = [&["regions", "--fault", "differ,split,failover"][..], &times, &results].concat();
    let Some(report) = reported(&arguments, &[0, 1]) else { return without_namespaces() };
    assert_eq!(report["problems"], serde_json::json!([]), "{report}");
    let rounds = report["rounds"].as_array().unwrap();
    let done: Vec<_> = rounds.iter().map(|round| &round["fault"]).collect();
    assert_eq!(done, faults, "{report}");
    assert!(rounds.iter().all(|round| round["equal_seconds"].is_number()), "{report}");
    assert!(rounds[0]["found_seconds"].is_number() && rounds[2]["switched_seconds"].is_number(), "{report}");
    let regions = report["comparisons"].as_array().unwrap();
    assert!(regions.iter().all(|region| differences(&region["comparison"]) == 0), "{report}");
    let lines = fs::read_to_string(&file).unwrap();
    let lines: Vec<Value> = lines.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let of: Vec<_> =
        lines.iter().map(|line| (line["fault"].as_str().unwrap(), line["ledgers_lost"].as_u64())).collect();
    assert_eq!(of, [("split", Some(0)), ("differ", Some(0)), ("failover", Some(0))]);
    assert!(lines.iter().all(|line| line["command"].as_str().unwrap().contains("regions --fault differ")));
}

/// Needs root and network namespaces.
#[test]
fn a_node_that_is_cut_off_silently_loses_and_repeats_nothing() {
    let Some(report) = check_cluster(&["cut", "4000", "--seed", "4"], &["cut", "cut"]) else {
        return without_namespaces();
    };
    assert_eq!(report["nodes"], 3, "{report}");
    let left = Command::new("ip").args(["netns", "list"]).output().unwrap();
    let left = String::from_utf8_lossy(&left.stdout).into_owned();
    let own = format!("orrery-chaos-{}-", report["process"]);
    assert!(!left.contains(&own), "{left}");
}

/// A judge that finds nothing wrong with anything would let all of the above pass.
#[test]
fn a_node_that_writes_what_it_should_not_is_found_out() {
    let folder = tempfile::tempdir().unwrap();
    let bad = folder.path().join("bad-orrery");
    let check = |script: &str, counted: &str| {
        let data = "disturbed/ledgers/data";
        let script = script.replace("DATA", data).replace("ORRERY", &orrery().display().to_string());
        fs::write(
            &bad,
            format!(
                "#!/bin/sh\ncase \"$*\" in */disturbed\\ *) {script};; esac\nexec {} \"$@\"\n",
                orrery().display()
            ),
        )
        .unwrap();
        fs::set_permissions(&bad, fs::Permissions::from_mode(0o755)).unwrap();
        let arguments = ["crash", "--rounds", "2", "--ledgers", "60", "--slot-ledgers", "4", "--seed", "7"];
        let output = chaos(&arguments, &bad, &folder.path().join("work"));
        let errors = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(1), "{script}: {errors}");
        assert!(errors.contains("reproduce: orrery-chaos crash --rounds 2 --ledgers 60"), "{errors}");
        let report: Value = serde_json::from_slice(&output.stdout).unwrap();
        match counted {
            "problems" => assert!(!report["problems"].as_array().unwrap().is_empty(), "{script}: {report}"),
            counted => assert_eq!(report["comparison"][counted], 1, "{script}: {report}"),
        }
    };
    check("mkdir -p DATA; echo torn > DATA/2-3-0000000000000000.parquet", "objects_extra");
    check(
        "ORRERY \"$@\"; for file in DATA/*; do echo more >> $file; break; done; exit 0",
        "objects_different",
    );
    check("exit 3", "problems");
}

#[test]
fn what_cannot_be_run_says_why() {
    let folder = tempfile::tempdir().unwrap();
    let check = |arguments: &[&str], orrery: &Path, code: i32, fragment: &str| {
        let output = chaos(arguments, orrery, folder.path());
        let text = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(code), "{arguments:?}: {text}");
        assert!(text.contains(fragment), "{arguments:?}: {text}");
        assert!(output.stdout.is_empty(), "{arguments:?}: a report without a verdict");
    };
    let missing = folder.path().join("no-orrery");
    check(&["crash"], &missing, 69, "no such program: build it with");
    check(&["crash", "--rounds", "0"], &missing, 2, "--rounds");
    check(&["crash", "--ledgers", "1"], &missing, 2, "--ledgers");
    check(&["cluster", "--fault", "walk"], &missing, 2, "kill, stop, cut, term, kill-all");
    check(&["cluster", "--nodes", "1"], &missing, 2, "--nodes");
    check(&["crash", "--mode", "walk"], &missing, 2, "backfill, run");
    check(&["crash"], Path::new("Cargo.toml"), 69, "start ");
}
