//! The feed of several nodes on one dataset: whichever of them a reader asks, it goes on where it was.

use std::net::TcpListener;

use serde_json::{Value, json};

use crate::feed::{Chance, Kept, rounds};
use crate::process::{Home, Node, get, wait_for};
use crate::reader::Reader;

/// Rounds of a reader that is killed and goes on somewhere; `ORRERY_FEED_ROUNDS` asks for more.
const ROUNDS: u32 = 40;

/// Nodes that share the work of one dataset, at addresses that stay the same over their lives.
struct Several {
    home: Home,
    source: String,
    last: u32,
    /// Of each node: where others reach it, and where readers do.
    addresses: Vec<(String, String)>,
    nodes: Vec<Option<Node>>,
}

fn free() -> String {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string()
}

impl Several {
    fn new(count: usize, ledgers: u32, rate: u32) -> Self {
        let source = format!("synthetic:?ledgers={ledgers}&density=sparse&rate={rate}");
        let addresses = (0..count).map(|_| (free(), free())).collect();
        let nodes = (0..count).map(|_| None).collect();
        let mut several = Self { home: Home::new(), source, last: ledgers + 1, addresses, nodes };
        (0..count).for_each(|node| several.start(node));
        several
    }

    fn start(&mut self, node: usize) {
        let name = ["a", "b", "c"][node];
        let (dataset, state) = (self.home.url("dataset"), self.home.path(name).display().to_string());
        let (listen, http) = &self.addresses[node];
        let work = ["run", "--insecure-loopback", "--source", &self.source, "--dataset", &dataset];
        let more =
            ["--from", "genesis", "--grid", "2:8", "--workers", "1", "--name", name, "--data-dir", &state];
        let own = ["--listen", listen, "--http", http];
        let others = self.addresses.iter().filter(|(other, _)| other != listen);
        let join: Vec<&str> = others.flat_map(|(other, _)| ["--join", other]).collect();
        let arguments = [&work[..], &more, &own, &join].concat();
        self.nodes[node] = Some(self.home.start_elsewhere(&arguments, &[]));
    }

    /// kill -9, and another life.
    fn kill(&mut self, node: usize) {
        self.nodes[node] = None;
        self.start(node);
    }

    fn connect(&self, node: usize) -> Reader {
        let mut reader = None;
        wait_for("feed", || {
            reader = Reader::connect(&self.addresses[node].1, "/v1/feed");
            reader.is_some()
        });
        reader.unwrap()
    }

    fn expected(&self) -> Vec<String> {
        let source = self.source.split("&rate=").next().unwrap();
        let ended = self.home.run(&["events", source, "--format", "jsonl"]).expect(0, "");
        ended.stdout().lines().map(str::to_owned).collect()
    }
}

#[test]
fn a_reader_that_is_killed_at_any_event_goes_on_at_any_node_over_kills_of_all() {
    let rounds = rounds(ROUNDS);
    let mut nodes = Several::new(3, rounds * 4 + 40, 150);
    let last = nodes.last.to_string();
    let mut chance = Chance(11);
    let mut kept = Kept { seen: Vec::new(), from: "oldest".to_owned() };
    let (mut kills, mut switches, mut round, mut at) = (0, 0, 0, 0);
    let mut is_over = false;
    while !is_over {
        round += 1;
        // The last reader reads to the end.
        let wanted = if round <= rounds { 1 + chance.below(30) } else { u64::MAX };
        if chance.below(2) == 0 {
            at = (at + 1 + chance.below(2) as usize) % 3;
            switches += 1;
        }
        if round <= rounds && chance.below(10) == 0 {
            nodes.kill(chance.below(3) as usize);
            kills += 1;
        }
        let mut dies_under_it = round <= rounds && chance.below(20) == 0;
        let reader = nodes.connect(at);
        is_over = kept.read(reader, wanted, &last, || {
            if std::mem::take(&mut dies_under_it) {
                nodes.kill(at);
                kills += 1;
            }
        });
    }
    eprintln!("{round} readers, {switches} switches, {kills} kills of nodes, {} events", kept.seen.len());
    assert!(round > rounds && kills > 2 && switches > 2);
    kept.check(&nodes.expected());
}

/// The slots of the dataset are so wide that nothing becomes durable: what comes, comes from the node that processes.
#[test]
fn readers_at_a_node_that_does_not_process_get_the_live_tail_over_kills_of_the_one_that_does() {
    let home = Home::new();
    let (dataset, listen) = (home.url("dataset"), free());
    let source = "synthetic:?ledgers=100000&density=sparse&rate=40";
    let start = |name: &str, more: &[&str]| {
        let state = home.path(name).display().to_string();
        let fixed =
            ["run", "--insecure-loopback", "--dataset", &dataset, "--name", name, "--data-dir", &state];
        home.start_elsewhere(&[&fixed[..], more].concat(), &[])
    };
    let works =
        ["--source", source, "--from", "genesis", "--grid", "2:4096", "--listen", &listen, "--workers", "1"];
    let mut works_once = Some(start("works", &works));
    let gate = ["--roles", "gateway", "--listen", "127.0.0.1:0", "--join", &listen, "--http", "127.0.0.1:0"];
    let mut gate = start("gate", &gate);
    let http = gate.http();
    let mut reader = None;
    gate.until("feed", |_| {
        reader = Reader::connect(&http, "/v1/feed");
        reader.is_some().then_some(())
    });
    let mut reader = reader.unwrap();
    reader.subscribe("latest", &json!({}));
    let ledger = |reader: &mut Reader| reader.hear_until("events")["ledger"].as_u64().unwrap();
    let first = ledger(&mut reader);
    assert!((0..20).all(|at| ledger(&mut reader) == first + 1 + at), "a ledger is missing");
    assert_eq!(gate.actor(&["cluster", "relay"]).unwrap()["state"], "running");
    // It begins again where the dataset ends, and soon has what is new to readers.
    drop(works_once.take());
    works_once = Some(start("works", &works));
    assert!((20..40).all(|at| ledger(&mut reader) == first + 1 + at), "a ledger is missing");
    let status: Value = serde_json::from_str(&get(&http, "/v1/status").1).unwrap();
    assert!(status["tip"].as_u64() > status["checkpoint"].as_u64().or(Some(0)), "{status}");
    assert!(get(&http, "/metrics").1.contains("orrery_feed_relayed_ledgers_total"), "it is not counted");
    drop(works_once);
}
