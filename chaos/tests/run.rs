//! `orrery-chaos run` and its companions as their users run them, in short. What a machine does not allow is skipped, and said.

#![expect(clippy::unwrap_used, clippy::panic, reason = "tests say why they fail")]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::thread;
use std::time::Duration;

use serde_json::Value;

/// The program under test stands beside `orrery-chaos`: `cargo test --workspace` builds both.
fn orrery() -> PathBuf {
    let orrery = Path::new(env!("CARGO_BIN_EXE_orrery-chaos")).with_file_name("orrery");
    assert!(orrery.is_file(), "{}: not built: run `cargo build -p orrery-node`", orrery.display());
    orrery
}

fn chaos(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_orrery-chaos")).args(arguments).output().unwrap()
}

#[test]
fn a_node_survives_every_fault_of_the_smoke_profile() {
    let folder = tempfile::tempdir().unwrap();
    let (out, worlds) = (folder.path().join("out"), folder.path().join("worlds"));
    let mut command = Command::new(env!("CARGO_BIN_EXE_orrery-chaos"));
    command.args(["run", "--profile", "smoke", "--seed", "1", "--output", "json"]);
    command.arg("--out").arg(&out).arg("--dir").arg(&worlds).arg("--orrery").arg(orrery());
    let output = command.output().unwrap();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(0), "{errors}{}", String::from_utf8_lossy(&output.stdout));
    let verdict: Value = serde_json::from_slice(&output.stdout).unwrap();
    let faults = verdict["faults"].as_array().unwrap();
    let of = |outcome: &str| faults.iter().filter(|fault| fault["outcome"] == outcome).collect::<Vec<_>>();
    of("skipped").iter().for_each(|fault| println!("skipped: {} {}", fault["fault"], fault["why"]));
    assert_eq!(
        of("survived").len() + of("skipped").len() + of("not-implemented").len(),
        faults.len(),
        "{verdict}"
    );
    for fault in of("survived") {
        assert!(fault["witness"].as_str().is_some_and(|text| !text.is_empty()), "{fault}");
        let history = out.join(fault["history"].as_str().unwrap());
        let checked = chaos(&["check", history.to_str().unwrap()]);
        assert_eq!(checked.status.code(), Some(0), "{fault}: {checked:?}");
    }
    assert!(of("survived").iter().any(|fault| fault["fault"] == "P1"), "{verdict}");
    assert!(fs::read_to_string(out.join("report.html")).unwrap().contains("survived"));
}

#[test]
fn a_node_that_loses_what_it_has_written_does_not_survive() {
    use std::os::unix::fs::PermissionsExt;
    let folder = tempfile::tempdir().unwrap();
    let (out, bad) = (folder.path().join("out"), folder.path().join("bad-orrery"));
    // When it is told to stop it ends well, without one of its files.
    let script = "#!/bin/sh\ncase \"$1\" in run) ORRERY \"$@\" & id=$!; trap 'kill -TERM $id' TERM; wait $id; wait $id; \
                  for file in dataset/ledgers/data/*; do rm $file; break; done;; *) exec ORRERY \"$@\";; esac\n";
    fs::write(&bad, script.replace("ORRERY", &orrery().display().to_string())).unwrap();
    fs::set_permissions(&bad, fs::Permissions::from_mode(0o755)).unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_orrery-chaos"));
    command.args(["run", "--profile", "smoke", "--fault", "P5", "--output", "json"]);
    command.arg("--out").arg(&out).arg("--dir").arg(folder.path().join("worlds")).arg("--orrery").arg(&bad);
    let output = command.output().unwrap();
    let verdict: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(output.status.code(), Some(1), "{verdict}");
    let survived =
        verdict["faults"].as_array().unwrap().iter().filter(|fault| fault["outcome"] == "survived");
    assert_eq!(survived.count(), 0, "{verdict}");
}

/// A run of some faults into a folder; its verdict.
fn run(arguments: &[&str], folder: &Path) -> (Option<i32>, Value) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_orrery-chaos"));
    command.args(arguments).args(["--output", "json", "--out"]).arg(folder.join("out"));
    command.arg("--dir").arg(folder.join("worlds")).arg("--orrery").arg(orrery());
    let output = command.output().unwrap();
    let verdict = serde_json::from_slice(&output.stdout);
    (output.status.code(), verdict.unwrap_or_else(|error| panic!("{error}: {output:?}")))
}

#[test]
fn what_was_run_is_replayed_in_the_same_way_on_the_same_seed() {
    let (first, again) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    // The second way of a fault that has three.
    let (code, verdict) = run(&["run", "--fault", "U1", "--seed", "5"], first.path());
    assert_eq!(code, Some(0), "{verdict}");
    assert_eq!(verdict["faults"].as_array().unwrap().len(), 3, "{verdict}");
    let history = first.path().join("out/U1-1-0.jsonl");
    let (code, replayed) = run(&["replay", history.to_str().unwrap()], again.path());
    assert_eq!(code, Some(0), "{replayed}");
    let [fault] = replayed["faults"].as_array().unwrap().as_slice() else { panic!("{replayed}") };
    assert_eq!((&fault["fault"], &fault["history"]), (&"U1".into(), &"U1-1-0.jsonl".into()), "{replayed}");
    assert_eq!(fault["outcome"], "survived", "{replayed}");
    assert_eq!(replayed["seed"], 5, "{replayed}");
    // What the oracle expects is a matter of the seed alone.
    let expected = |folder: &Path| {
        let text = fs::read_to_string(folder.join("out/U1-1-0.jsonl")).unwrap();
        let entries = text.lines().map(|line| serde_json::from_str::<Value>(line).unwrap()["what"].clone());
        entries.filter(|what| what["op"] == "expected").collect::<Vec<_>>()
    };
    assert!(!expected(first.path()).is_empty());
    assert_eq!(expected(first.path()), expected(again.path()));
}

#[test]
fn what_a_killed_run_has_left_is_removed() {
    let home = tempfile::tempdir().unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_orrery-chaos"));
    command.args(["run", "--fault", "P5", "--out"]).arg(home.path().join("out"));
    command.arg("--orrery").arg(orrery()).env("TMPDIR", home.path());
    let mut runner = command.stderr(Stdio::null()).stdout(Stdio::null()).spawn().unwrap();
    let folder = home.path().join(format!("orrery-chaos-{}-run", runner.id()));
    let node = || {
        let processes = fs::read_dir("/proc").unwrap().flatten().map(|process| process.path());
        let mut nodes = processes.filter(|process| {
            fs::read_link(process.join("cwd")).is_ok_and(|place| place.starts_with(&folder))
        });
        nodes.next()
    };
    // Until the node runs, which the runner does not survive.
    let is_there = (0..6000).any(|_| {
        thread::park_timeout(Duration::from_millis(20));
        node().is_some()
    });
    assert!(is_there && runner.try_wait().unwrap().is_none(), "no node was started");
    runner.kill().unwrap();
    runner.wait().unwrap();
    assert!(folder.is_dir() && node().is_some());
    let collected =
        Command::new(env!("CARGO_BIN_EXE_orrery-chaos")).arg("gc").env("TMPDIR", home.path()).output();
    let text = String::from_utf8_lossy(&collected.unwrap().stdout).into_owned();
    assert!(text.contains("removed process ") && text.contains("removed folder "), "{text}");
    assert!(!folder.exists() && node().is_none(), "{text}");
    // There is nothing more, and of a run that goes on nothing is taken.
    let own = home.path().join(format!("orrery-chaos-{}-run", std::process::id()));
    fs::create_dir(&own).unwrap();
    let again =
        Command::new(env!("CARGO_BIN_EXE_orrery-chaos")).arg("gc").env("TMPDIR", home.path()).output();
    assert!(again.unwrap().status.success() && own.is_dir());
}

#[test]
fn faults_are_listed_and_unknown_ones_are_refused() {
    let listed = chaos(&["list", "--output", "json"]);
    let faults: Value = serde_json::from_slice(&listed.stdout).unwrap();
    assert_eq!(faults.as_array().unwrap().len(), 81);
    let check = |arguments: &[&str], code: i32, fragment: &str| {
        let output = chaos(arguments);
        let text = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(code), "{arguments:?}: {text}");
        assert!(text.contains(fragment), "{arguments:?}: {text}");
    };
    check(&["run", "--fault", "P13"], 2, "there is no such fault");
    check(&["run", "--profile", "gentle"], 2, "smoke");
    check(&["run", "--orrery", "no-orrery"], 69, "no such program");
    let home = tempfile::tempdir().unwrap();
    let mut nothing = Command::new(env!("CARGO_BIN_EXE_orrery-chaos"));
    nothing.args(["run", "--orrery", "no-orrery"]).env("TMPDIR", home.path()).output().unwrap();
    assert_eq!(
        fs::read_dir(home.path()).unwrap().count(),
        0,
        "a run that could not begin has left something"
    );
    check(&["replay", "no/such.jsonl"], 69, "verdict.json");
}
