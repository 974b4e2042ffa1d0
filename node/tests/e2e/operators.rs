//! What an operator does about a ledger that cannot be right, and about a pipeline that must not run.

use std::fs;
use std::path::PathBuf;

use serde_json::{Value, json};

use crate::process::{Home, assert_same, files, get};

const LEDGERS: u32 = 60;
const TO: &str = "61";

/// A lake whose object of ledger 40 ends too early; the object, and what it should be.
fn torn_lake(home: &Home) -> (String, PathBuf, Vec<u8>) {
    let lake = home.synth("lake", LEDGERS);
    let object = home.path("lake/FFFFFFFF--0-63999/FFFFFFD7--40.xdr.zst");
    let whole = fs::read(&object).unwrap();
    fs::write(&object, &whole[..whole.len() - 20]).unwrap();
    (lake, object, whole)
}

/// The quarantine holds ledger 40 with its bytes, as they came.
fn check_quarantine(home: &Home, torn: &[u8]) {
    let list = home.run_here(&["quarantine", "list", "--output", "json"]).expect(0, "").json();
    let [entry] = &list.as_array().unwrap()[..] else { panic!("{list}") };
    assert_eq!((entry["ledger"].as_u64(), entry["attempts"].as_u64()), (Some(40), Some(3)));
    assert_eq!(
        (&entry["pipeline"], entry["file"].as_str().unwrap().ends_with("--40.xdr.zst")),
        (&"main".into(), true)
    );
    home.run_here(&["quarantine", "list"]).expect(0, "truncated");
    let out = home.path("evidence");
    let show = ["quarantine", "show", "40", "--out", out.to_str().unwrap()];
    home.run_here(&show).expect(0, "object bytes");
    assert_eq!(fs::read(out).unwrap(), torn);
    home.run_here(&["quarantine", "show", "41"]).expect(1, "ledger 41 is not in quarantine");
    home.run_here(&["quarantine", "retry", "41"]).expect(1, "ledger 41 is not in quarantine");
}

/// The dataset is that of a run over a lake that was never torn.
fn check_dataset(home: &Home, dataset: &str) {
    let other = Home::new();
    let lake = other.synth("lake", LEDGERS);
    other.backfill(&lake, &other.url("dataset"), &["--grid", "2:16", "--to", TO]).expect(0, "complete");
    assert_same(&files(&home.path(dataset)), &files(&other.path("dataset")));
}

#[test]
fn a_poison_ledger_parks_a_running_node_until_it_is_retried() {
    let home = Home::new();
    let (lake, object, whole) = torn_lake(&home);
    let dataset = home.url("dataset");
    let mut node = home.follow(&lake, &dataset, &["--grid", "2:16", "--to", TO], &[]);
    let http = node.http();
    node.until("parking", |_| get(&http, "/readyz").1.contains("parked").then_some(()));
    assert_eq!(get(&http, "/readyz").0, 503);
    assert_eq!(get(&http, "/healthz"), (200, "ok\n".to_owned()));
    let (_, metrics) = get(&http, "/metrics");
    assert!(metrics.contains("orrery_pipeline_parked{pipeline=\"main\"} 1"), "{metrics}");
    assert!(metrics.contains("orrery_processor_refused_ledgers_total{pipeline=\"main\"} 3"), "{metrics}");
    assert_eq!(node.actor(&["pipelines", "main"]).unwrap()["state"], "parked");
    check_quarantine(&home, &whole[..whole.len() - 20]);

    // Resumed without being mended it parks again, and is not ready.
    home.run_here(&["resume"]).expect(0, "running");
    node.until("parking", |node| {
        let main = node.actor(&["pipelines", "main"])?;
        (main["incarnation"] == 2 && main["state"] == "parked").then_some(())
    });
    assert_eq!(get(&http, "/readyz").0, 503);

    fs::write(object, &whole).unwrap();
    home.run_here(&["quarantine", "retry", "40"]).expect(0, "main");
    assert_eq!(node.end().0, Some(0), "{}", node.log());
    home.run_here(&["quarantine", "list"]).expect(0, "none");
    check_dataset(&home, "dataset");
}

#[test]
fn a_quarantined_ledger_that_is_mended_and_resumed_leaves_the_quarantine() {
    let home = Home::new();
    let (lake, object, whole) = torn_lake(&home);
    let dataset = home.url("dataset");
    let backfill = || home.backfill(&lake, &dataset, &["--grid", "2:16", "--to", TO]);
    let first = backfill().expect(65, "orrery quarantine list");
    for says in ["pipeline main is parked: ledger 40", "orrery resume main"] {
        assert_eq!(first.stderr().matches(says).count(), 1, "{}", first.stderr());
    }
    // Refused twice, then quarantined, its actor ended for it, and so did the command: each says it once.
    assert_eq!(first.stderr().matches("--40.xdr.zst").count(), 5, "{}", first.stderr());
    fs::write(object, &whole).unwrap();
    home.run_here(&["resume"]).expect(0, "starts with the node");
    backfill().expect(0, "complete");
    home.run_here(&["quarantine", "list"]).expect(0, "none");
    check_dataset(&home, "dataset");
}

#[test]
fn a_dataset_that_went_back_ends_a_backfill_until_it_is_taken_as_it_is() {
    let home = Home::new();
    let (lake, dataset) = (home.synth("lake", LEDGERS), home.url("dataset"));
    let backfill = || home.backfill(&lake, &dataset, &["--grid", "2:16", "--to", TO]);
    backfill().expect(0, "complete");
    for number in [3, 4] {
        fs::remove_file(home.path(&format!("dataset/ledgers/_delta_log/{number:020}.json"))).unwrap();
    }
    let says = "every ledger up to 61 was durable here and now it ends with 31";
    for _ in 0..2 {
        backfill().expect(65, "CKPT-1").expect(65, says).expect(65, "orrery resume main");
    }
    home.run_here(&["resume"]).expect(0, "starts with the node");
    backfill().expect(0, "complete");
    check_dataset(&home, "dataset");
}

#[test]
fn a_running_node_tells_that_its_dataset_went_back_and_goes_on_when_it_is_resumed() {
    let home = Home::new();
    let (lake, dataset) = (home.synth("lake", LEDGERS), home.url("dataset"));
    home.backfill(&lake, &dataset, &["--grid", "2:16", "--to", TO]).expect(0, "complete");
    fs::remove_dir_all(home.path("dataset")).unwrap();
    let mut node = home.follow(&lake, &dataset, &["--grid", "2:16", "--to", TO], &[]);
    let http = node.http();
    node.until("alarm", |_| get(&http, "/readyz").1.contains("CKPT-1").then_some(()));
    let (_, metrics) = get(&http, "/metrics");
    assert!(metrics.contains("orrery_sink_lost_checkpoints_total{pipeline=\"main\"} "), "{metrics}");
    assert!(
        node.log().contains("every ledger up to 61 was durable here and now it has none"),
        "{}",
        node.log()
    );
    node.until("parking", |node| (node.actor(&["pipelines", "main"])?["state"] == "parked").then_some(()));
    home.run_here(&["resume"]).expect(0, "running");
    assert_eq!(node.end().0, Some(0), "{}", node.log());
    check_dataset(&home, "dataset");
}

#[test]
fn restarts_are_shown_by_a_node_that_runs_and_of_one_that_does_not() {
    let home = Home::new();
    let (dataset, source) = (home.url("dataset"), "synthetic:?ledgers=100000&density=sparse&rate=100");
    home.run_here(&["restarts"]).expect(2, "no node keeps its state here");
    let mut node = home.start(&["run", "--source", source, "--dataset", &dataset, "--from", "genesis"], &[]);
    node.until_committed();
    home.run_here(&["restarts"]).expect(0, "none");
    let list =
        |last: &str| home.run_here(&["restarts", "--last", last, "--output", "json"]).expect(0, "").json();
    for (number, child) in ["processor", "fetcher"].into_iter().enumerate() {
        home.run_here(&["kill", &format!("pipelines/main/{child}")]).expect(0, "");
        // Whoever sends to it may fail, and be noted, before it is.
        node.until("restart", |_| (list("20").as_array()?.len() > number).then_some(()));
        node.until("life", |node| {
            (node.actor(&["pipelines", "main", child])?["state"] == "running").then_some(())
        });
    }
    let check = |list: &Value| {
        let all = list.as_array().unwrap();
        assert!(all.iter().all(|one| one["supervisor"] == "node/pipelines/main"), "{list}");
        let lives: Vec<_> = all.iter().map(|one| one["incarnation"].as_u64().unwrap()).collect();
        assert!(lives.is_sorted() && lives.len() >= 2, "newest last: {list}");
    };
    check(&list("20"));
    home.run_here(&["restarts"]).expect(0, "killed");
    node.signal("-INT");
    node.end();
    let stopped = list("20");
    check(&stopped);
    assert_eq!(
        list("1").as_array().unwrap()[..],
        stopped.as_array().unwrap()[stopped.as_array().unwrap().len() - 1..]
    );
    home.run_here(&["restarts", "--last", "0"]).expect(2, "--last");
}

#[test]
fn a_stopped_node_is_known_by_its_last_run_and_by_its_configuration() {
    let home = Home::new();
    let (dataset, file) = (home.url("dataset"), home.path("orrery.toml"));
    let (state, source) = (home.path("state"), "synthetic:?ledgers=9&density=sparse");
    let toml = |pipeline: &str| {
        let (state, dataset) = (state.display(), &dataset);
        format!(
            "[node]\ndata_dir = \"{state}\"\n[source]\nurls = [\"{source}\"]\nto = \"10\"\n\
             [dataset]\nurl = \"{dataset}\"\n[pipeline]\nname = \"{pipeline}\"\n"
        )
    };
    fs::write(&file, toml("live")).unwrap();
    let with_file = ["-c", file.to_str().unwrap()];
    home.run(&[&["backfill"], &with_file[..]].concat()).expect(0, "complete");
    home.run_here(&["park"]).expect(1, "no pipeline `main` here; this node has `live`");
    home.run_here(&["park", "live"]).expect(0, "parked");
    home.run(&[&["resume"], &with_file[..]].concat()).expect(0, "live");
    fs::write(&file, toml("next")).unwrap();
    home.run(&[&["park"], &with_file[..]].concat()).expect(0, "next");
    home.run(&[&["park", "other"], &with_file[..]].concat()).expect(1, "`live`, `next`");
}

#[test]
fn a_poison_ledger_ends_a_backfill_until_it_is_retried() {
    let home = Home::new();
    let (lake, object, whole) = torn_lake(&home);
    let dataset = home.url("dataset");
    let backfill = || home.backfill(&lake, &dataset, &["--grid", "2:16", "--to", TO]);
    backfill().expect(65, "orrery quarantine list").expect(65, "not complete: run it again to go on");
    check_quarantine(&home, &whole[..whole.len() - 20]);
    // It stays parked, also for a node that would follow.
    backfill().expect(65, "pipeline main is parked: ledger 40");
    fs::write(object, &whole).unwrap();
    home.run_here(&["quarantine", "retry", "40"]).expect(0, "main");
    backfill().expect(0, "complete");
    check_dataset(&home, "dataset");
}

#[test]
fn an_operator_parks_and_resumes_a_pipeline_of_a_node_that_runs_or_does_not() {
    let home = Home::new();
    let dataset = home.url("dataset");
    let source = "synthetic:?ledgers=100000&density=sparse&rate=100";
    let start = || home.follow(source, &dataset, &["--from", "genesis", "--grid", "2:1"], &[]);
    home.run_here(&["park"]).expect(2, "no node keeps its state here");
    let mut node = start();
    let http = node.http();
    node.until_committed();
    assert_eq!(get(&http, "/readyz"), (200, "{\"ready\":true}".to_owned()));
    home.run_here(&["park", "other"]).expect(1, "no pipeline `other` here; this node has `main`");
    home.run_here(&["resume"]).expect(0, "running");
    home.run_here(&["park"]).expect(0, "parked");
    let (status, body) = get(&http, "/readyz");
    let answer: Value = serde_json::from_str(&body).unwrap();
    let reason = json!({ "reason": "parked", "pipeline": "main", "detail": "parked by an operator" });
    assert_eq!((status, answer), (503, json!({ "ready": false, "reasons": [reason] })));
    node.until("parking", |node| (node.actor(&["pipelines", "main"])?["state"] == "parked").then_some(()));
    // Over a restart of the node.
    node.signal("-INT");
    assert_eq!(node.end().0, Some(0));
    let mut node = start();
    let http = node.http();
    assert_eq!(get(&http, "/readyz").0, 503);
    node.until("parking", |node| (node.actor(&["pipelines", "main"])?["state"] == "parked").then_some(()));
    home.run_here(&["resume"]).expect(0, "running");
    node.until_committed();
    assert_eq!(get(&http, "/readyz").0, 200);
    node.signal("-INT");
    assert_eq!(node.end().0, Some(0));
    // While no node runs.
    home.run_here(&["resume"]).expect(0, "starts with the node");
    for command in ["park", "resume"] {
        home.run_here(&[command, "other"]).expect(1, "no pipeline `other` here; this node has `main`");
    }
    let parked: Value = home.run_here(&["park", "--output", "json"]).expect(0, "").json();
    assert_eq!(parked["node"], "not running");
    let arguments = ["backfill", "--source", source, "--dataset", &dataset, "--to", "90000"];
    home.run_here(&arguments).expect(65, "parked by an operator");
    home.run_here(&["resume"]).expect(0, "starts with the node");
    let mut node = start();
    node.until_committed();
}
