//! Links and calls as they should be.

use serde_json::json;

use crate::certificates::Cluster;
use crate::process::Node;

/// Two nodes that are linked.
pub(crate) fn two(cluster: &Cluster, settings: &serde_json::Value) -> (Node, Node) {
    let mut a = Node::start_with("a", 1, &cluster.node("a"), settings.clone());
    let mut b = Node::start_with("b", 1, &cluster.node("b"), settings.clone());
    a.want(&[&b]);
    a.until_linked("b", Some(1));
    b.until_linked("a", Some(1));
    (a, b)
}

#[test]
fn nodes_that_want_each_other_are_linked_and_answer() {
    let cluster = Cluster::new("moon");
    let (mut a, mut b) = two(&cluster, &json!({}));
    let itself = json!({"a": a.address, "b": b.address});
    b.ask(&json!({"do": "want", "peers": itself}));
    assert_eq!(a.call("b", "echo", "hello", 5000)["answer"], "hello");
    assert_eq!(b.call("a", "echo", "there", 5000)["answer"], "there");
    assert_eq!(a.call("a", "echo", "myself", 5000)["answer"], "myself");
    assert!(a.call("c", "echo", "", 5000)["error"].as_str().unwrap().contains("node `c` is not linked"));
    let trace = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
    let asked = json!({"do": "call", "peer": "b", "kind": "who", "body": "", "timeout_ms": 5000, "traceparent": trace});
    assert_eq!(a.ask(&asked)["answer"], format!("a.1 Some(\"{trace}\")"));
    assert_eq!(a.status()["b"], json!({"linked": "b.1", "attempts": 0, "error": null}));
}

#[test]
fn three_nodes_that_all_dial_each_other_settle_on_one_link_a_pair() {
    let cluster = Cluster::new("moon");
    let mut nodes: Vec<_> = ["a", "b", "c"].map(|name| Node::start(name, 1, &cluster.node(name))).into();
    let addresses: Vec<_> = nodes.iter().map(|node| (node.name.clone(), node.address.clone())).collect();
    for node in &mut nodes {
        let peers: serde_json::Map<_, _> =
            addresses.iter().map(|(name, address)| (name.clone(), json!(address))).collect();
        node.ask(&json!({"do": "want", "peers": peers}));
    }
    for node in &mut nodes {
        let me = node.name.clone();
        for (name, _) in addresses.iter().filter(|(name, _)| *name != me) {
            node.until_linked(name, Some(1));
        }
    }
    for node in &mut nodes {
        for (name, _) in &addresses {
            assert_eq!(node.call(name, "echo", "x", 5000)["answer"], "x", "{} to {name}", node.name);
        }
    }
}

#[test]
fn what_is_not_understood_is_answered() {
    let cluster = Cluster::new("moon");
    let (mut a, _b) = two(&cluster, &json!({}));
    let error = a.call("b", "moonwalk", "", 5000)["error"].as_str().unwrap().to_owned();
    assert!(error.contains("`moonwalk` is no call known") && error.contains("protocol [1]"), "{error}");
    let error = a.call("b", "panic", "", 5000)["error"].as_str().unwrap().to_owned();
    assert!(error.contains("panicked: as it was asked"), "{error}");
    let error = a.call("b", "large", "786433", 5000)["error"].as_str().unwrap().to_owned();
    assert!(error.contains("the answer has 786433 bytes"), "{error}");
    assert_eq!(a.call("b", "large", "786432", 5000)["bytes"], 786_432);
    assert_eq!(a.call("b", "echo", "still there", 5000)["answer"], "still there");
}

#[test]
fn a_restarted_gateway_or_server_of_links_is_found_again() {
    let cluster = Cluster::new("moon");
    let (mut a, mut b) = two(&cluster, &json!({}));
    b.ask(&json!({"do": "kill", "child": "gateway"}));
    a.until_linked("b", Some(1));
    for _ in 0..200 {
        if a.call("b", "echo", "x", 5000)["answer"] == "x" {
            break;
        }
    }
    assert_eq!(a.call("b", "echo", "x", 5000)["answer"], "x");
    a.ask(&json!({"do": "kill", "child": "links"}));
    a.until_gone("b");
    a.until_linked("b", Some(1));
    assert_eq!(a.call("b", "echo", "x", 5000)["answer"], "x");
    b.ask(&json!({"do": "kill", "child": "acceptor"}));
    b.ask(&json!({"do": "kill", "child": "links"}));
    a.until_gone("b");
    a.until_linked("b", Some(1));
}

#[test]
fn a_call_takes_milliseconds() {
    let cluster = Cluster::new("moon");
    let (mut a, _b) = two(&cluster, &json!({}));
    let said = a.ask(&json!({"do": "calls", "peer": "b", "calls": 1000}));
    println!("a call and its answer: {said} microseconds");
    assert!(said["half"].as_u64().unwrap() < 20_000, "{said}");
}
