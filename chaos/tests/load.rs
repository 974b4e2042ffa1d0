//! `orrery-chaos load` as its users run it, in small: nothing here depends on how fast the machine is.

#![expect(clippy::unwrap_used, reason = "tests say why they fail")]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::Duration;

use serde_json::Value;

/// The program under test stands beside `orrery-chaos`: `cargo test --workspace` builds both.
fn orrery() -> PathBuf {
    let orrery = Path::new(env!("CARGO_BIN_EXE_orrery-chaos")).with_file_name("orrery");
    assert!(orrery.is_file(), "{}: not built: run `cargo build -p orrery-node`", orrery.display());
    orrery
}

fn load(arguments: &[&str], folder: &Path) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_orrery-chaos"));
    command.arg("load").args(arguments).arg("--orrery").arg(orrery()).arg("--dir").arg(folder);
    command.args(["--output", "json"]).output().unwrap()
}

/// The report of a run whose limits hold.
fn held(arguments: &[&str]) -> Value {
    let folder = tempfile::tempdir().unwrap();
    let output = load(arguments, folder.path());
    let (text, report) = (String::from_utf8_lossy(&output.stderr), String::from_utf8_lossy(&output.stdout));
    assert_eq!(output.status.code(), Some(0), "{arguments:?}: {text}{report}");
    let report: Value = serde_json::from_str(&report).unwrap();
    for what in ["refused", "lost", "missed"] {
        assert_eq!(report[what], 0, "{what}: {report}");
    }
    let wrong =
        report["wrong"].as_object().unwrap().values().map(|count| count.as_u64().unwrap()).sum::<u64>();
    assert_eq!(wrong, 0, "{report}");
    report
}

/// Every ledger of a half at every reader that counts, or more, where one was still on its way when the half began.
fn check_half(half: &Value, readers: u64) {
    let (ledgers, samples) = (half["ledgers"].as_u64().unwrap(), half["samples"].as_u64().unwrap());
    assert!(ledgers > 0 && samples > 0 && samples <= ledgers * readers, "{half}");
    assert!(half["bytes_per_ledger"].as_u64().unwrap() > 0, "{half}");
}

#[test]
fn readers_beside_slow_ones_get_every_ledger() {
    let report =
        held(&["--connections", "200", "--seconds", "2", "--rate", "5", "--slow", "10%", "--seed", "3"]);
    assert_eq!((&report["connected"], &report["slow"]["readers"]), (&200.into(), &20.into()), "{report}");
    assert_eq!(report["passed_by_all"], 0, "{report}");
    check_half(&report["all_read"], 180);
    check_half(&report["some_slow"], 180);
    let slow = &report["slow"];
    let all: u64 =
        ["closed_4008", "cut_off", "caught_up"].iter().map(|name| slow[name].as_u64().unwrap()).sum();
    assert_eq!(all, 20, "{report}");
    assert!(report["memory"]["each_subscribed"].as_u64().unwrap() > 0, "{report}");
}

#[test]
fn readers_of_several_servers_with_a_filter_are_one_report() {
    let filter = r#"{"kind":["fee"]}"#;
    let arguments =
        ["--connections", "31", "--processes", "2", "--seconds", "2", "--rate", "5", "--filter", filter];
    let report = held(&arguments);
    assert_eq!(report["connected"], 31, "{report}");
    check_half(&report["all_read"], 31);
}

#[test]
fn readers_beside_hostile_clients_get_every_ledger() {
    let report = held(&["--connections", "50", "--seconds", "2", "--rate", "5", "--hostile"]);
    let attacks = report["attacks"].as_array().unwrap();
    assert_eq!(attacks.len(), 14, "{report}");
    for attack in attacks {
        assert_eq!(attack["tries"], attack["as_expected"], "{attack}");
        assert!(attack["tries"].as_u64().unwrap() > 0, "{attack}");
    }
    check_half(&report["some_slow"], 50);
}

/// A few users of each kind for a few seconds, over few and small ledgers.
const FEW: [&str; 14] = [
    "--profile",
    "all",
    "--users",
    "12",
    "--seconds",
    "3",
    "--faster",
    "20",
    "--ledgers",
    "62",
    "--density",
    "sparse",
    "--rate",
    "5",
];

#[test]
fn users_of_all_kinds_get_what_the_ledgers_contain_and_are_compared_with_an_earlier_run() {
    let folder = tempfile::tempdir().unwrap();
    let baseline = folder.path().join("baseline.json");
    let saved = baseline.display().to_string();
    // A busy machine is slow, and nothing here is about how fast it is.
    let patient =
        ["--target", "p95=10000s", "--target", "p99=10000s", "--target", "cpu=101%", "--target", "rate=0"];
    let run = |more: &[&str]| {
        let output = load(&[&FEW[..], &patient, more].concat(), &folder.path().join("run"));
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        let report: Value =
            serde_json::from_slice(&output.stdout).unwrap_or_else(|error| panic!("{error}: {said}"));
        (output.status.code(), said, report)
    };
    let (code, said, report) = run(&["--save", &saved]);
    assert_eq!((code, &report["wrong"]), (Some(0), &0.into()), "{said}{report}");
    assert!(said.contains("12 users come, steady"), "{said}");
    let kinds = report["kinds"].as_array().unwrap();
    assert_eq!(kinds.len(), 4, "{report}");
    for kind in kinds {
        assert_eq!(kind["errors"], serde_json::json!({}), "{kind}");
        assert!(kind["requests"].as_u64().unwrap() > 0 && kind["events"].is_u64(), "{kind}");
        assert!(kind["whole"]["max_ms"].as_f64() >= kind["whole"]["p50_ms"].as_f64(), "{kind}");
    }
    assert!(report["live_ledgers"].as_u64().unwrap() > 0, "{report}");
    assert!(report["checks"].as_array().unwrap().iter().all(|check| check["holds"] == true), "{report}");
    // An earlier run that was a thousand times as fast and asked a thousand times as much.
    let mut earlier: Value = serde_json::from_slice(&fs::read(&baseline).unwrap()).unwrap();
    earlier["requests_per_second"] = 1e6.into();
    fs::write(&baseline, earlier.to_string()).unwrap();
    let (code, said, report) = run(&["--baseline", &saved, "--shape", "steady"]);
    assert_eq!(code, Some(1), "{said}{report}");
    let compared = report["compared"].as_array().unwrap();
    assert!(
        compared.iter().any(|one| one["name"] == "requests/s" && one["has_regressed"] == true),
        "{report}"
    );
    assert!(said.contains("reproduce: orrery-chaos load --profile all --shape steady --users 12"), "{said}");
    let other = load(&["--profile", "export", "--baseline", &saved], folder.path());
    let said = String::from_utf8_lossy(&other.stderr);
    assert!(other.status.code() == Some(2) && said.contains("--profile all --shape steady"), "{said}");
}

#[test]
fn a_limit_that_does_not_hold_is_told() {
    let folder = tempfile::tempdir().unwrap();
    let arguments = ["--connections", "5", "--seconds", "1", "--rate", "5", "--idle-below", "1"];
    let output = load(&arguments, folder.path());
    let errors = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{errors}");
    assert!(errors.contains("reproduce: orrery-chaos load --connections 5 --processes 1"), "{errors}");
}

#[test]
fn what_cannot_be_run_says_why() {
    let folder = tempfile::tempdir().unwrap();
    let check = |arguments: &[&str], fragment: &str| {
        let output = load(arguments, folder.path());
        let text = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{arguments:?}: {text}");
        assert!(text.contains(fragment), "{arguments:?}: {text}");
    };
    check(&["--connections", "1", "--processes", "2"], "give fewer --processes");
    check(&["--slow", "200%"], "0% to 100%");
    check(&["--url", "https://127.0.0.1:1"], "https:// needs --ca");
    check(&["--url", "http://127.0.0.1:1", "--ca", "ca.pem"], "--ca is for https://");
    check(&["--url", "https://127.0.0.1:1", "--ca", "nothing.pem"], "nothing.pem");
    check(&["--p99-below", "250"], "250ms");
    check(&["--filter", "{\"kin\":[]}"], "kin");
    check(&["--connections", "1000000"], "give --processes, or raise the limit");
    check(&["--profile", "all", "--connections", "5"], "cannot be used with");
    check(&["--users", "5"], "--profile");
    check(&["--profile", "all", "--target", "p95=5"], "give KIND.p99=30s");
}

/// A process that is killed when the test ends.
struct Killed(Child);

impl Drop for Killed {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn readers_with_a_token_are_served_over_tls_by_a_node_that_is_there() {
    let home = tempfile::tempdir().unwrap();
    let run = |arguments: &[&str]| {
        let output = Command::new(orrery()).args(arguments).current_dir(home.path()).output().unwrap();
        assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
        output.stdout
    };
    run(&["certs", "init", "--dir", "ca", "--cluster", "test"]);
    run(&["certs", "issue", "localhost", "--dir", "ca"]);
    let made: Value =
        serde_json::from_slice(&run(&["token", "reader", "--role", "viewer", "--output", "json"])).unwrap();
    let log = home.path().join("log");
    let mut command = Command::new(orrery());
    command
        .args(["run", "--source", "synthetic:?rate=5&density=sparse", "--dataset", "memory://"])
        .args(["--data-dir", "state", "--http", "127.0.0.1:0", "--from", "genesis"])
        .env("ORRERY_HTTP__ANONYMOUS", "nobody")
        .env("ORRERY_HTTP__TOKENS", format!("[{}]", made["configuration"]))
        .env("ORRERY_HTTP__TLS_CERTIFICATE", "ca/localhost/node.pem")
        .env("ORRERY_HTTP__TLS_KEY", "ca/localhost/node.key")
        .current_dir(home.path())
        .stdout(Stdio::null())
        .stderr(fs::File::create(&log).unwrap());
    let mut node = Killed(command.spawn().unwrap());
    let address = loop {
        let said = fs::read_to_string(&log).unwrap();
        if let Some((_, rest)) = said.split_once("health and metrics are served address=") {
            break rest.split_whitespace().next().unwrap().to_owned();
        }
        assert!(node.0.try_wait().unwrap().is_none(), "{said}");
        std::thread::park_timeout(Duration::from_millis(20));
    };
    let url = format!("https://localhost:{}", address.rsplit(':').next().unwrap());
    let authority = home.path().join("ca/localhost/ca.pem").display().to_string();
    let folder = tempfile::tempdir().unwrap();
    let of = |token: &str| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_orrery-chaos"));
        command.args(["load", "--url", &url, "--ca", &authority, "--connections", "60", "--seconds", "2"]);
        command.args(["--output", "json", "--dir"]).arg(folder.path()).arg("--orrery").arg(orrery());
        command.env("ORRERY_TOKEN", token).output().unwrap()
    };
    let output = of(made["token"].as_str().unwrap());
    let said = String::from_utf8_lossy(&output.stderr);
    let report: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(output.status.code(), Some(0), "{said}{report}");
    assert_eq!(
        (&report["connected"], &report["refused"], &report["missed"]),
        (&60.into(), &0.into(), &0.into())
    );
    // What the node itself counts was asked in the same way.
    assert_eq!(report["evicted"], 0, "{report}");
    check_half(&report["all_read"], 60);
    // Whom it does not know it lets nothing read.
    let strange = of("orrery_0123456789abcdef0123456789abcdef");
    let report = String::from_utf8_lossy(&strange.stdout);
    assert!(strange.status.code() == Some(1) && report.contains("401"), "{report}");
}
