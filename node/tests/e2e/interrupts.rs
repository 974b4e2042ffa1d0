//! Signals, and a second node where one runs.

use std::time::Duration;

use crate::process::{Home, assert_same, files};

/// A clean end takes no longer, with nothing away.
const SECONDS: Duration = Duration::from_secs(5);

const SOURCE: &str = "synthetic:?ledgers=300&density=sparse";

#[test]
fn an_interrupted_run_ends_in_seconds_and_goes_on_where_it_was() {
    let undisturbed = Home::new();
    let to = ["--from", "genesis", "--to", "301", "--grid", "2:4"];
    undisturbed.backfill(SOURCE, &undisturbed.url("dataset"), &to).expect(0, "complete");

    let home = Home::new();
    let (dataset, paced) = (home.url("dataset"), format!("{SOURCE}&rate=200"));
    for signal in ["-INT", "-TERM"] {
        let arguments =
            ["run", "--source", &paced, "--dataset", &dataset, "--from", "genesis", "--grid", "2:4"];
        let mut node = home.start(&arguments, &[]);
        node.until_committed();
        node.signal(signal);
        let (code, taken) = node.end();
        assert_eq!(code, Some(0), "{}", node.log());
        assert!(node.stdout().starts_with("drained: every ledger up to "), "{}", node.stdout());
        assert!(taken < SECONDS, "{taken:?}");
    }
    let arguments =
        [&["backfill", "--source", SOURCE, "--dataset", &dataset, "--log", "info"][..], &to].concat();
    let mut node = home.start(&arguments, &[]);
    node.until_committed();
    node.signal("-INT");
    let (code, taken) = node.end();
    // It may have been faster.
    assert!([Some(130), Some(0)].contains(&code), "{code:?} {}", node.log());
    assert!(taken < SECONDS, "{taken:?}");
    home.backfill(SOURCE, &dataset, &to).expect(0, "");
    home.backfill(SOURCE, &dataset, &to).expect(0, "nothing to do");
    assert_same(&files(&home.path("dataset")), &files(&undisturbed.path("dataset")));
}

#[test]
fn an_interrupt_is_how_a_demo_ends() {
    let home = Home::new();
    let out = home.path("demo").display().to_string();
    let mut node = home.start_elsewhere(&["demo", "--density", "sparse", "--rate", "50", "--out", &out], &[]);
    node.until_committed();
    node.signal("-INT");
    let (code, taken) = node.end();
    assert_eq!(code, Some(0), "{}", node.log());
    assert!(taken < SECONDS, "{taken:?}");
    assert!(node.stdout().contains("duckdb -c"), "{}", node.stdout());
}

#[test]
fn a_second_node_on_the_same_state_is_refused() {
    let home = Home::new();
    let (dataset, paced) = (home.url("dataset"), format!("{SOURCE}&rate=20"));
    let mut node = home.start(&["run", "--source", &paced, "--dataset", &dataset, "--from", "genesis"], &[]);
    node.until("tree", |node| node.actor(&["pipelines", "main"]));
    for command in ["run", "backfill"] {
        let arguments = [command, "--source", SOURCE, "--dataset", &dataset, "--to", "9"];
        home.run_here(&arguments).expect(69, "another process uses this node's state");
    }
    // Nor on the same port.
    let held = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = held.local_addr().unwrap().to_string();
    let other = Home::new();
    let (other_dataset, arguments) = (other.url("dataset"), ["--to", "9", "--http", address.as_str()]);
    other.backfill(&paced, &other_dataset, &arguments).expect(69, "node.http: listen on");
    // The first one is not disturbed, and still answers.
    assert_eq!(node.actor(&["pipelines", "main"]).unwrap()["restarts_total"], 0);
    node.signal("-INT");
    assert_eq!(node.end().0, Some(0));
}
