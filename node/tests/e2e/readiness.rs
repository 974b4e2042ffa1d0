//! What a node answers to those who send it traffic or watch over it, and how it ends when it is told to.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use serde_json::{Value, json};

use crate::process::{Home, Node, get};
use crate::stub::{Reply, Request, Stub};

/// The reasons of a node that is not ready; `None` of one that is.
fn reasons(http: &str) -> Option<Vec<String>> {
    assert_eq!(get(http, "/healthz"), (200, "ok\n".to_owned()));
    let (status, body) = get(http, "/readyz");
    let answer: Value = serde_json::from_str(&body).unwrap();
    assert_eq!(answer["ready"], status == 200, "{status} {body}");
    assert!([200, 503].contains(&status));
    let reasons = answer["reasons"].as_array()?;
    assert!(
        reasons.iter().all(|reason| reason["pipeline"] == "main" && reason["detail"].is_string()),
        "{body}"
    );
    Some(reasons.iter().map(|reason| reason["reason"].as_str().unwrap().to_owned()).collect())
}

fn until(node: &mut Node, http: &str, expect: Option<&str>) {
    node.until("readiness", |_| {
        let expect = expect.map(|reason| vec![reason.to_owned()]);
        (reasons(http) == expect).then_some(())
    });
}

/// First ledger of a lake's object; 0 of anything else.
fn ledger(request: &Request) -> u32 {
    let name = request.path.rsplit_once("--").map_or("", |(_, name)| name);
    name.split('.').next().and_then(|number| number.parse().ok()).unwrap_or(0)
}

#[test]
fn a_node_is_not_ready_while_it_starts_and_while_its_sources_are_away() {
    let home = Home::new();
    home.synth("lake", 60);
    // Ledgers from this one on are refused, in a way that is worth no immediate retry.
    let refused_from = Arc::new(AtomicU32::new(0));
    let refused = refused_from.clone();
    let stub = Stub::lake(home.path("lake"), move |request| {
        (ledger(request) >= refused.load(Ordering::Relaxed)).then_some(Reply::Busy(503, 3600))
    });
    let (source, dataset) = (format!("http://{}/lake", stub.address()), home.url("dataset"));
    let unready = [("ORRERY_NODE__UNREADY_AFTER_SECONDS", "0")];
    let mut node = home.follow(&source, &dataset, &["--from", "2", "--grid", "2:4"], &unready);
    let http = node.http();
    until(&mut node, &http, Some("starting"));
    refused_from.store(40, Ordering::Relaxed);
    until(&mut node, &http, Some("source_outage"));
    assert!(get(&http, "/metrics").1.contains("orrery_source_outage{pipeline=\"main\"} 1"));
    refused_from.store(u32::MAX, Ordering::Relaxed);
    until(&mut node, &http, None);
    assert!(get(&http, "/metrics").1.contains("orrery_source_outage{pipeline=\"main\"} 0"));
    node.until("end of the lake", |node| node.log().contains("last_ledger=59").then_some(()));
    node.signal("-TERM");
    assert_eq!(node.end().0, Some(0), "{}", node.log());
    assert_eq!(node.stdout(), "drained: every ledger up to 59 is durable\n");
    assert!(!node.log().contains("error:"), "{}", node.log());
}

#[test]
fn a_node_that_is_told_to_stop_while_it_starts_has_nothing_to_drain() {
    let home = Home::new();
    let stub = Stub::start(|_| Reply::Busy(503, 3600));
    let (source, dataset) = (format!("http://{}/lake", stub.address()), home.url("dataset"));
    let mut node = home.follow(&source, &dataset, &["--from", "2", "--output", "json"], &[]);
    let http = node.http();
    until(&mut node, &http, Some("starting"));
    node.signal("-INT");
    assert_eq!(node.end().0, Some(0), "{}", node.log());
    let drained: Value = serde_json::from_str(&node.stdout()).unwrap();
    assert_eq!(drained, json!({ "state": "drained", "last_durable_ledger": null }));
}

#[test]
fn a_node_whose_dataset_is_deleted_says_so_and_what_to_do() {
    let home = Home::new();
    let source = home.synth("lake", 60);
    let mut node = home.follow(&source, &home.url("dataset"), &["--from", "2", "--grid", "2:4"], &[]);
    let http = node.http();
    // Who has not seen a dataset does not miss it.
    node.until("the dataset", |_| {
        let status: Value = serde_json::from_str(&get(&http, "/v1/status").1).unwrap();
        (status["checkpoint"] == 59 && status["oldest"] == 2).then_some(())
    });
    until(&mut node, &http, None);
    std::fs::rename(home.path("dataset"), home.path("elsewhere")).unwrap();
    until(&mut node, &http, Some("dataset_gone"));
    assert!(node.log().contains("the dataset is gone"), "{}", node.log());
    let _ = std::fs::remove_dir_all(home.path("dataset"));
    std::fs::rename(home.path("elsewhere"), home.path("dataset")).unwrap();
    until(&mut node, &http, None);
}
