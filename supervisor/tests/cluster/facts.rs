//! What ractor_cluster 0.16.5 does to its users, and that it does not do it to ours. The numbers are those of the ten
//! facts that were measured when it was chosen; the tenth, children killed with their parent, is the supervision tests'.

use serde_json::json;

use crate::certificates::Cluster;
use crate::links::two;
use crate::process::Node;

/// The shortest idle limit that never ends a link whose peer pings every 5 s.
const IDLE_MS: u64 = 6000;

#[test]
fn fact_1_a_stopped_peer_costs_no_more_than_the_calls_that_may_wait() {
    let cluster = Cluster::new("moon");
    let (mut a, b) = two(&cluster, &json!({}));
    b.signal("STOP");
    let flood = json!({"do": "flood", "peer": "b", "kind": "echo", "bytes": 700_000, "calls": 1000, "timeout_ms": 2000});
    let counts = a.ask(&flood);
    assert_eq!(counts, json!({"timed_out": 128, "too_many": 872}));
    let resident = a.peak_mib();
    assert!(resident < 600, "{resident} MiB for 128 calls of 0.7 MB each");
}

#[test]
fn fact_2_a_peer_that_stands_still_is_noticed_within_the_idle_limit() {
    let cluster = Cluster::new("moon");
    let (mut a, mut b) = two(&cluster, &json!({"idle_ms": IDLE_MS}));
    b.signal("STOP");
    let call = a.call("b", "echo", "x", 500);
    assert_eq!(call["kind"], "timed_out", "{call}");
    let gone = a.until_gone("b");
    assert!(gone < IDLE_MS + 2500, "{gone} ms");
    assert_eq!(a.call("b", "echo", "x", 500)["kind"], "not_linked");
    let error = a.status()["b"]["error"].clone();
    assert!(
        error
            .as_str()
            .is_some_and(|error| error.contains("silent for 6s") || error.contains("no connection")),
        "{error}"
    );
    b.signal("CONT");
    let back = a.until_linked("b", Some(1));
    assert!(back < 15_000, "{back} ms");
    b.until_linked("a", Some(1));
    assert_eq!(a.call("b", "echo", "x", 5000)["answer"], "x");
}

#[test]
fn fact_2_a_link_without_calls_stays() {
    let cluster = Cluster::new("moon");
    let (mut a, mut b) = two(&cluster, &json!({"idle_ms": IDLE_MS}));
    // Twice the limit, of which the node says nothing but pings.
    assert_eq!(a.call("b", "never", "", 2 * IDLE_MS)["kind"], "timed_out");
    assert_eq!(a.status()["b"], json!({"linked": "b.1", "attempts": 0, "error": null}));
    assert_eq!(b.call("a", "echo", "x", 5000)["answer"], "x");
}

#[test]
fn fact_3_a_peer_that_comes_back_is_linked_again_without_a_hand() {
    let cluster = Cluster::new("moon");
    let (mut a, b) = two(&cluster, &json!({}));
    let address = b.address.clone();
    b.signal("KILL");
    let gone = a.until_gone("b");
    assert!(gone < 3000, "{gone} ms");
    drop(b);
    let b = Node::start_with("b", 2, &cluster.node("b"), json!({"listen": address}));
    assert_eq!(b.address, address);
    let back = a.until_linked("b", Some(2));
    assert!(back < 10_000, "{back} ms");
    assert_eq!(a.call("b", "echo", "x", 5000)["answer"], "x");
}

#[test]
fn fact_4_a_call_that_nobody_answers_ends() {
    let cluster = Cluster::new("moon");
    let (mut a, b) = two(&cluster, &json!({}));
    let call = a.call("b", "never", "", 300);
    assert_eq!(call["kind"], "timed_out", "{call}");
    assert!(call["ms"].as_u64().unwrap() < 3000, "{call}");
    // Calls that ended give their places back: at the callee a moment after the caller has given up.
    let echoes =
        json!({"do": "flood", "peer": "b", "kind": "echo", "bytes": 1, "calls": 64, "timeout_ms": 5000});
    assert!((0..1000).any(|_| a.ask(&echoes) == json!({"answered": 64})));
    let flood =
        json!({"do": "flood", "peer": "b", "kind": "never", "bytes": 1, "calls": 100, "timeout_ms": 3000});
    assert_eq!(a.ask(&flood), json!({"busy": 36, "timed_out": 64}));
    assert!((0..1000).any(|_| a.ask(&echoes) == json!({"answered": 64})));
    // And one that is out when its peer dies ends at once.
    a.tell(&json!({"do": "call", "peer": "b", "kind": "never", "body": "", "timeout_ms": 30_000}));
    b.signal("KILL");
    let call = a.hear();
    assert_eq!(call["kind"], "link_lost", "{call}");
    assert!(call["ms"].as_u64().unwrap() < 5000, "{call}");
}

#[test]
fn fact_5_no_actor_has_a_name_that_a_peer_could_take() {
    let cluster = Cluster::new("moon");
    let (mut a, mut b) = two(&cluster, &json!({}));
    assert_eq!(a.ask(&json!({"do": "names"})), json!([]));
    assert_eq!(b.ask(&json!({"do": "names"})), json!([]));
}

#[test]
fn fact_6_a_node_that_restarts_while_its_old_link_is_half_open_rejoins_at_once() {
    let cluster = Cluster::new("moon");
    let (mut a, old) = two(&cluster, &json!({}));
    old.signal("STOP");
    for incarnation in 2..5 {
        let mut b = Node::start("b", incarnation, &cluster.node("b"));
        b.want(&[&a]);
        let joined = b.until_linked("a", Some(1));
        assert!(joined < 5000, "{joined} ms");
        assert!(a.until_linked("b", Some(incarnation)) < 5000);
        assert_eq!(a.call("b", "echo", "x", 5000)["answer"], "x");
        // Stands still in its turn, with its link half open.
        b.signal("STOP");
    }
}

#[test]
fn fact_9_what_would_not_fit_a_frame_is_refused_at_its_sender_and_the_link_lives() {
    let cluster = Cluster::new("moon");
    let (mut a, mut b) = two(&cluster, &json!({}));
    let flood = |bytes: u64| json!({"do": "flood", "peer": "b", "kind": "echo", "bytes": bytes, "calls": 3, "timeout_ms": 10_000});
    assert_eq!(a.ask(&flood(20_000_000)), json!({"too_large": 3}));
    assert_eq!(a.ask(&flood(786_433)), json!({"too_large": 3}));
    assert_eq!(a.ask(&flood(786_432)), json!({"answered": 3}));
    assert_eq!(a.status()["b"]["attempts"], 0);
    assert_eq!(b.call("a", "echo", "x", 5000)["answer"], "x");
}
