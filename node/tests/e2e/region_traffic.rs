//! Traffic between two regions that follow one lake, with datasets of their own: it is moved by plan, and goes to who is left
//! when a region dies. A reader with both addresses sees every event once, in order.

use std::fs;
use std::net::{TcpListener, TcpStream};
use std::path::PathBuf;

use serde_json::Value;

use crate::feed_regions::Lake;
use crate::process::{Ended, Home, Node, get, wait_for};

/// Ledgers there are at most.
const LEDGERS: u32 = 1500;

/// Ledgers that close before the reader has seen them: the regions have work at any moment.
const AHEAD: u32 = 20;

/// Region `a`, where traffic belongs, and region `b`.
struct Two {
    home: Home,
    lake: Lake,
    addresses: [Addresses; 2],
    nodes: [Option<Node>; 2],
    expected: Vec<String>,
    out: PathBuf,
}

struct Addresses {
    listen: String,
    http: String,
}

const NAMES: [&str; 2] = ["a", "b"];

impl Two {
    fn new() -> Self {
        let home = Home::new();
        let lake = Lake::new(&home, LEDGERS);
        let free = || TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string();
        let addresses = [(); 2].map(|()| Addresses { listen: free(), http: free() });
        let ended = home.run(&["events", &home.url("all"), "--format", "jsonl"]).expect(0, "");
        let expected = ended.stdout().lines().map(str::to_owned).collect();
        let mut two = Self { home, lake, addresses, nodes: [None, None], expected, out: PathBuf::new() };
        two.lake.grow(AHEAD);
        (0..2).for_each(|region| two.start(region));
        two.until_traffic(0);
        two
    }

    fn start(&mut self, region: usize) {
        let (name, other) = (NAMES[region], 1 - region);
        // A machine that is busy with other tests is no reason to think that a region is gone, or behind.
        let text = format!(
            "[region]\nname = \"{name}\"\npriority = {}\nlag_max_ledgers = 10000\nunheard_after_seconds = 15\nstable_seconds = 2\n\
             [[region.peers]]\nname = \"{}\"\naddresses = [\"{}\"]\nmode = \"recompute\"\n",
            region + 1,
            NAMES[other],
            self.addresses[other].listen,
        );
        let config = self.home.path(&format!("{name}.toml"));
        fs::write(&config, text).unwrap();
        let (lake, dataset) = (self.home.url("lake"), self.home.url(&format!("dataset-{name}")));
        let (config, state) = (config.display().to_string(), self.home.path(name).display().to_string());
        let Addresses { listen, http } = &self.addresses[region];
        let work = ["run", "-c", &config, "--source", &lake, "--dataset", &dataset, "--from", "genesis"];
        let own = ["--grid", "2:4", "--workers", "1", "--name", name, "--data-dir", &state];
        let reached = ["--insecure-loopback", "--listen", listen, "--http", http];
        self.nodes[region] = Some(self.home.start_elsewhere(&[&work[..], &own, &reached].concat(), &[]));
    }

    /// Ledgers close while something is waited for, a few more than the reader has seen.
    #[track_caller]
    fn wait_for(&self, what: &str, mut is_so: impl FnMut(&Self) -> bool) {
        wait_for(what, || {
            self.lake.grow(self.seen().last().map_or(0, |line| ledger(line)) + AHEAD);
            is_so(self)
        });
    }

    fn has_traffic(&self, region: usize) -> bool {
        let http = &self.addresses[region].http;
        TcpStream::connect(http).is_ok() && get(http, "/healthz/traffic").0 == 200
    }

    /// Until one has it alone.
    #[track_caller]
    fn until_traffic(&self, region: usize) {
        self.wait_for("traffic", |two| two.has_traffic(region) && !two.has_traffic(1 - region));
    }

    fn tail(&mut self) -> Node {
        let urls = self.addresses.each_ref().map(|addresses| format!("http://{}", addresses.http));
        let work = ["--output", "json", "tail", "--url", &urls[0], "--url", &urls[1], "--from", "oldest"];
        let tail = self.home.start_elsewhere(&work, &[]);
        self.out = tail.out();
        tail
    }

    /// What the reader has seen; its last line may not be whole.
    fn seen(&self) -> Vec<String> {
        let text = fs::read_to_string(&self.out).unwrap_or_default();
        let whole = text.rfind('\n').map_or("", |end| &text[..=end]);
        whole.lines().map(str::to_owned).collect()
    }

    /// Until the reader has gone on at a region so many times, and has seen more there.
    #[track_caller]
    fn until_read_at(&self, tail: &Node, region: usize, times: usize) {
        let moved = format!("going on at http://{}/v1/feed behind ", self.addresses[region].http);
        self.wait_for("move", |_| tail.log().matches(&moved).count() >= times);
        let count = (self.seen().len() + 100).min(self.expected.len());
        self.wait_for("events", |two| two.seen().len() >= count);
    }

    fn command(&self, arguments: &[&str], region: usize) -> Ended {
        let target = ["--cluster", &self.addresses[region].listen, "--insecure-loopback"];
        self.home.run(&[arguments, &target].concat())
    }

    /// What the reader saw is what there is, from the first event on.
    fn check(&self) {
        let seen = self.seen();
        assert!(
            seen[..] == self.expected[..seen.len()],
            "{} events, and some are not as they should be",
            seen.len()
        );
    }
}

fn ledger(line: &str) -> u32 {
    let event: Value = serde_json::from_str(line).unwrap();
    event["ledger_sequence"].as_u64().unwrap().try_into().unwrap()
}

#[test]
fn traffic_is_moved_by_plan_under_load_and_a_reader_sees_every_event_once() {
    let mut two = Two::new();
    let mut tail = two.tail();
    let at_first = 100.min(two.expected.len());
    two.wait_for("events", |two| two.seen().len() >= at_first);
    two.command(&["failover", "b", "--wait", "10m", "--reason", "drill"], 0).expect(0, "traffic         b");
    two.until_traffic(1);
    two.until_read_at(&tail, 1, 1);
    let listed = two.command(&["--output", "json", "regions"], 0).expect(0, "").json();
    let row =
        |name: &str| listed.as_array().unwrap().iter().find(|row| row["region"] == name).unwrap().clone();
    assert_eq!(
        (&row("a")["own"], &row("a")["traffic"], &row("b")["traffic"]),
        (&true.into(), &false.into(), &true.into())
    );
    // Where priorities say: told to the region that has traffic now, and followed by both.
    two.command(&["failover", "--automatic", "--wait", "10m"], 1).expect(0, "traffic         a");
    two.until_traffic(0);
    two.until_read_at(&tail, 0, 1);
    tail.signal("-9");
    tail.end();
    two.check();
    let refused = two.command(&["failover", "nowhere"], 0);
    refused.expect(1, "no region `nowhere`; there are a, b");
    let audit =
        two.home.run(&["--output", "json", "audit", "--data-dir", &two.home.path("a").display().to_string()]);
    audit.expect(0, "failover").expect(0, "drill");
}

#[test]
fn a_region_that_dies_is_replaced_and_has_traffic_again_when_it_is_stable() {
    let mut two = Two::new();
    let mut tail = two.tail();
    let at_first = 100.min(two.expected.len());
    two.wait_for("events", |two| two.seen().len() >= at_first);
    two.nodes[0] = None;
    two.until_read_at(&tail, 1, 1);
    two.wait_for("traffic", |two| two.has_traffic(1));
    two.start(0);
    two.until_traffic(0);
    // Its readers are sent back, each with its place.
    two.until_read_at(&tail, 0, 1);
    tail.signal("-9");
    tail.end();
    two.check();
    assert!(tail.log().contains("(code 1001); going on at"), "{}", tail.log());
}
