//! What an operator sees of a cluster from outside, and of a node alone.

use serde_json::Value;

use crate::process::{Ended, Home, Node, get, wait_for};

/// More than the lake has: nodes wait for the rest.
const TO: &str = "5000";

/// Two nodes with certificates, and an operator's.
struct Cluster {
    home: Home,
    a: Node,
    b: Node,
    address: String,
    /// Where b serves HTTP.
    http: String,
}

impl Cluster {
    fn start() -> Self {
        let home = Home::new();
        let lake = home.synth("lake", 300);
        home.run(&["certs", "init", "--dir", "ca", "--cluster", "test"]).expect(0, "");
        for node in ["a", "b"] {
            home.run(&["certs", "issue", node, "--dir", "ca"]).expect(0, "");
        }
        home.run(&["certs", "issue", "ops", "--dir", "ca", "--operator"]).expect(0, "");
        let mut a = Self::node(&home, "a", &lake, &[]);
        let address = a.until("address", |node| {
            let log = node.log();
            let line = log.lines().find(|line| line.contains("node of a cluster"))?;
            let (_, rest) = line.split_once("address=")?;
            Some(rest.split(' ').next()?.to_owned())
        });
        let mut b = Self::node(&home, "b", &lake, &["--join", &address, "--http", "127.0.0.1:0"]);
        let http = b.http();
        Self { home, a, b, address, http }
    }

    fn node(home: &Home, name: &str, lake: &str, more: &[&str]) -> Node {
        let (certificates, dataset) = (format!("ca/{name}"), home.url("dataset"));
        let fixed = [
            "run",
            "--listen",
            "127.0.0.1:0",
            "--certificates",
            &certificates,
            "--data-dir",
            name,
            "--source",
            lake,
            "--dataset",
            &dataset,
            "--from",
            "genesis",
            "--to",
            TO,
            "--grid",
            "1:64",
        ];
        home.start_elsewhere(&[&fixed[..], more].concat(), &[])
    }

    /// Runs a command as the operator.
    fn ask(&self, arguments: &[&str]) -> Ended {
        self.home.run(&[arguments, &["--cluster", &self.address, "--certificates", "ca/ops"]].concat())
    }

    fn json(&self, arguments: &[&str]) -> Value {
        self.ask(&[arguments, &["--output", "json"]].concat()).expect(0, "").json()
    }

    /// Waits until both nodes have tasks and one of them coordinates.
    fn wait_until_both_work(&self) {
        wait_for("two nodes at work", || {
            let actors = self.json(&["ps"]);
            let at_work = |node: &str| {
                let below = format!("{node}/pipelines/main/until-");
                array(&actors).iter().any(|actor| actor["path"].as_str().unwrap().starts_with(&below))
            };
            at_work("a") && at_work("b")
        });
        let nodes = self.json(&["nodes"]);
        let coordinators = array(&nodes).iter().filter(|node| node["coordinator"] == true).count();
        assert_eq!((array(&nodes).len(), coordinators), (2, 1), "{nodes}");
    }
}

fn array(value: &Value) -> &Vec<Value> {
    value.as_array().unwrap()
}

fn check_views(cluster: &Cluster) {
    let tree = cluster.ask(&["tree"]).expect(0, "2 nodes: coordinator a (epoch 1)");
    for says in
        ["newest ledger 5,000", "\na.", "\nb.", "├─ cluster", "sink/token_transfers", "* coordinator", "left"]
    {
        assert!(tree.stdout().contains(says), "{says}: {}", tree.stdout());
    }
    let value = cluster.json(&["tree"]);
    assert!(array(&value["nodes"]).iter().all(|node| node["tree"]["id"] == "node"), "{value}");
    assert!(value["newest"] == 5000 && value["ledgers_per_second"].is_f64(), "{value}");
    assert_eq!(cluster.json(&["top"])["nodes"][1]["name"], "b");
    cluster.ask(&["top"]).expect(2, "orrery tree --output json");
    cluster.ask(&["nodes"]).expect(0, "COORDINATOR");

    let oldest = cluster.json(&["ps", "--sort", "age"]);
    let ages: Vec<f64> = array(&oldest).iter().map(|actor| actor["age_seconds"].as_f64().unwrap()).collect();
    assert!(ages.is_sorted_by(|a, b| a >= b), "{ages:?}");
    let main = cluster.json(&["inspect", "b/pipelines/main"]);
    assert!(main["kind"] == "supervisor" && main["in_flight_bytes"].is_u64(), "{main}");
    cluster.ask(&["inspect", "b/pipelines/mane"]).expect(1, "orrery ps");
}

fn check_logs(cluster: &Cluster) {
    let logs = cluster.json(&["logs", "--last", "1000"]);
    let of = |node: &str| {
        array(&logs)
            .iter()
            .any(|line| line["node"] == node && line["text"].as_str().unwrap().contains("node starts"))
    };
    assert!(of("a") && of("b"), "{logs}");
    let times: Vec<u64> = array(&logs).iter().map(|line| line["at_ms"].as_u64().unwrap()).collect();
    assert!(times.is_sorted(), "{times:?}");
    let newest = cluster.json(&["logs", "--last", "2", "--node", "b"]);
    assert!(array(&newest).len() == 2 && array(&newest).iter().all(|line| line["node"] == "b"), "{newest}");
    cluster.ask(&["logs", "--node", "z"]).expect(1, "no node `z` is there; there are a, b");
}

/// Whoever may not ask is told what to do.
fn check_refusals(cluster: &Cluster) {
    let (home, address) = (&cluster.home, cluster.address.as_str());
    home.run(&["tree", "--cluster", address]).expect(2, "--certificates DIR");
    home.run(&["tree", "--cluster", "nowhere", "--insecure-loopback"]).expect(2, "HOST:PORT");
    home.run(&["tree", "--cluster", address, "--insecure-loopback"]).expect(78, "of one authority?");
    home.run(&["tree", "--cluster", address, "--certificates", "missing"]).expect(78, "missing");
    home.run(&["certs", "init", "--dir", "other", "--cluster", "test"]).expect(0, "");
    home.run(&["certs", "issue", "ops", "--dir", "other", "--operator"]).expect(0, "");
    home.run(&["nodes", "--cluster", address, "--certificates", "other/ops"]).expect(78, "of one authority?");
    // Nobody listens on a port that only gossip uses; it is free for others to take, but not within this test.
    home.run(&["nodes", "--cluster", "127.0.0.1:1", "--certificates", "ca/ops"])
        .expect(69, "a node that runs");
}

#[test]
fn operators_look_into_a_cluster_and_have_its_nodes_leave() {
    let mut cluster = Cluster::start();
    cluster.wait_until_both_work();
    check_views(&cluster);
    check_logs(&cluster);
    check_refusals(&cluster);

    cluster.home.run(&["kill", "coordinator", "--data-dir", "a"]).expect(0, "killed");
    wait_for("restart", || array(&cluster.json(&["inspect", "a/coordinator"])["restarts"]).len() == 1);
    cluster
        .ask(&["inspect", "a/coordinator"])
        .expect(0, "restart history, newest last:\n  node/coordinator life 1");

    // The other node tells of it too.
    let (status, actor) = get(&cluster.http, "/v1/actors/a%2Fcoordinator");
    assert_eq!(status, 200, "{actor}");
    let actor: Value = serde_json::from_str(&actor).unwrap();
    assert_eq!(array(&actor["restarts"]).len(), 1, "{actor}");

    cluster.ask(&["park", "nosuch"]).expect(1, "no pipeline `nosuch` here");
    cluster.ask(&["park"]).expect(0, "parked");
    assert_eq!(cluster.json(&["inspect", "b/pipelines/main"])["state"], "parked");
    cluster.ask(&["resume"]).expect(0, "running");
    cluster.ask(&["resume"]).expect(0, "running");

    cluster.ask(&["drain", "z"]).expect(1, "no node `z` is there");
    cluster.ask(&["drain", "b"]).expect(0, "left");
    assert_eq!(cluster.b.end().0, Some(0), "{}", cluster.b.log());
    assert_eq!(array(&cluster.json(&["nodes"])).len(), 1);
    // The last one is asked to leave itself.
    cluster.ask(&["drain", "a"]).expect(0, "left");
    assert_eq!(cluster.a.end().0, Some(0), "{}", cluster.a.log());
}

#[test]
fn a_node_alone_is_looked_into_through_its_data_directory() {
    let home = Home::new();
    let lake = home.synth("lake", 100);
    let dataset = home.url("dataset");
    home.run_here(&["tree"]).expect(69, "no node runs here: give --data-dir, or --cluster HOST:PORT");
    let run = ["run", "--source", &lake, "--dataset", &dataset, "--from", "genesis", "--grid", "1:64"];
    let mut node = home.start(&run, &[]);
    node.until_committed();
    home.run_here(&["tree"]).expect(0, "   ├─ sink/ledgers");
    home.run_here(&["ps", "--sort", "mailbox"]).expect(0, "pipelines/main/fetcher");
    home.run_here(&["inspect", "pipelines/main/processor"]).expect(0, "none that this node remembers");
    let logs = home.run_here(&["logs", "--output", "json"]).expect(0, "slot committed").json();
    assert_eq!(logs[0]["sequence"], 1, "{logs}");
    home.run(&["ps", "--insecure-loopback"]).expect(2, "--cluster");
}
