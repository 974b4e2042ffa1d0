//! Two regions, each a node with a dataset and an authority of its own, that compare what they have, or copy it.

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::cable::Cable;
use crate::process::{Home, Node, assert_same, files, get, wait_for};

/// Slots of 16 ledgers, as live nodes have.
const GRID: &str = "2:16";

/// Two regions, `eu` and `us`, and cables between them.
struct World {
    home: Home,
    /// What leads to each.
    to_eu: Cable,
    to_us: Cable,
}

impl World {
    fn new() -> Self {
        let world = Self { home: Home::new(), to_eu: Cable::new(), to_us: Cable::new() };
        for region in ["eu", "us"] {
            let folder = world.authority(region);
            let folder = folder.to_str().unwrap();
            world.home.run(&["certs", "init", "--dir", folder, "--cluster", region]).expect(0, "");
            world.home.run(&["certs", "issue", &format!("{region}-1"), "--dir", folder]).expect(0, "");
        }
        world
    }

    fn authority(&self, region: &str) -> PathBuf {
        self.home.path(&format!("authority-{region}"))
    }

    fn dataset(&self, region: &str) -> PathBuf {
        self.home.path(&format!("dataset-{region}"))
    }

    fn log(&self, region: &str) -> PathBuf {
        self.dataset(region).join("ledgers/_delta_log")
    }

    /// The newest slot of the table of ledgers; 0 if there is none.
    fn slot(&self, region: &str) -> u64 {
        let listed = fs::read_dir(self.log(region)).into_iter().flatten();
        let number = |name: String| name.strip_suffix(".json")?.parse().ok();
        listed
            .filter_map(|entry| number(entry.unwrap().file_name().into_string().unwrap()))
            .max()
            .unwrap_or(0)
    }

    /// Starts a region's node, which then has the other region as a peer in this mode.
    fn start(&self, region: &str, mode: &str, source: &[&str]) -> Node {
        let (other, to_other, to_self) = match region {
            "eu" => ("us", &self.to_us, &self.to_eu),
            _ => ("eu", &self.to_eu, &self.to_us),
        };
        let toml = format!(
            "[region]\nname = \"{region}\"\n[[region.peers]]\nname = \"{other}\"\naddresses = [\"127.0.0.1:1\", \"{}\"]\n\
             authority = \"{}\"\nmode = \"{mode}\"\n",
            to_other.address(),
            self.authority(other).join("ca.pem").display(),
        );
        let config = self.home.path(&format!("{region}.toml"));
        fs::write(&config, toml).unwrap();
        let certificates = self.authority(region).join(format!("{region}-1"));
        let (dataset, state) = (self.dataset(region), self.home.path(&format!("state-{region}")));
        let url = format!("file://{}", dataset.display());
        let fixed = [
            "run",
            "-c",
            config.to_str().unwrap(),
            "--listen",
            "127.0.0.1:0",
            "--certificates",
            certificates.to_str().unwrap(),
            "--dataset",
            &url,
            "--data-dir",
            state.to_str().unwrap(),
            "--http",
            "127.0.0.1:0",
            "--workers",
            "1",
        ];
        let mut node = self.home.start_elsewhere(&[&fixed[..], source].concat(), &[]);
        to_self.lead_to(&address(&mut node));
        node
    }
}

/// Where the node says that it listens.
fn address(node: &mut Node) -> String {
    node.until("address", |node| {
        let log = node.log();
        let line = log.lines().find(|line| line.contains("node of a cluster"))?;
        let (_, rest) = line.split_once("address=")?;
        Some(rest.split_whitespace().next()?.to_owned())
    })
}

/// How the only peer stands.
fn peer(node: &Node) -> Option<Value> {
    let status = node.ask(&serde_json::json!({ "op": "status" }))?;
    status["done"]["regions"]["peers"].get(0).cloned()
}

/// Waits until the peer stands so.
#[track_caller]
fn until_peer_is(node: &mut Node, state: &str) -> Value {
    node.until(state, |node| peer(node).filter(|peer| peer["state"] == state))
}

/// Waits until both tables are equal up to this slot, and the peer has no more; how it stands then.
#[track_caller]
fn until_equal(node: &mut Node, slot: u64) -> Value {
    node.until("equality", |node| {
        let peer = peer(node)?;
        let is_all = peer["equal_slots"] == serde_json::json!([slot, slot]) && peer["lag_ledgers"] == 0;
        (is_all && peer["state"] == "equal").then_some(peer)
    })
}

fn end(mut node: Node, signal: &str) {
    node.signal(signal);
    node.end();
}

/// Ledgers that come for a while, and then no more.
fn live(ledgers: u32, seed: u32) -> Vec<String> {
    let source = format!("synthetic:?ledgers={ledgers}&density=sparse&rate=40&seed={seed}");
    ["--source", &source, "--from", "2", "--grid", GRID].map(str::to_owned).to_vec()
}

fn texts(arguments: &[String]) -> Vec<&str> {
    arguments.iter().map(String::as_str).collect()
}

#[test]
fn a_region_that_copies_becomes_equal_whatever_happens_to_it_and_to_the_link() {
    let world = World::new();
    let source = live(640, 1);
    let eu = world.start("eu", "recompute", &texts(&source));
    let mut us = world.start("us", "copy", &[]);
    us.until("copies", |_| (world.slot("us") >= 3).then_some(()));
    end(us, "-KILL");
    let mut us = world.start("us", "copy", &[]);
    // Nothing crosses for a while, and the other region goes on.
    until_peer_is(&mut us, "equal");
    world.to_eu.cut();
    let before = world.slot("eu");
    us.until("silence", |node| peer(node).filter(|peer| peer["state"] == "unheard"));
    wait_for("progress", || world.slot("eu") >= (before + 3).min(40));
    world.to_eu.mend();
    wait_for("all slots", || world.slot("eu") == 40 && world.slot("us") == 40);
    let told = until_equal(&mut us, 40);
    assert_eq!(told["differences"], 0, "{told}");
    assert_same(&files(&world.dataset("eu")), &files(&world.dataset("us")));
    let http = us.http();
    us.until("metrics", |_| {
        get(&http, "/metrics").1.contains("orrery_region_equal{region=\"eu\"} 1").then_some(())
    });

    // Emptied, it begins anew.
    end(us, "-TERM");
    fs::remove_dir_all(world.dataset("us")).unwrap();
    let mut us = world.start("us", "copy", &[]);
    until_equal(&mut us, 40);
    assert_same(&files(&world.dataset("eu")), &files(&world.dataset("us")));
    drop(eu);
}

#[test]
fn regions_that_derive_the_same_are_equal_and_a_slot_that_was_changed_parks_both() {
    let world = World::new();
    let source = live(160, 1);
    let mut eu = world.start("eu", "recompute", &texts(&source));
    let mut us = world.start("us", "recompute", &texts(&source));
    wait_for("all slots", || world.slot("eu") == 10 && world.slot("us") == 10);
    for node in [&mut eu, &mut us] {
        let told = until_equal(node, 10);
        assert_eq!(told["differences"], 0, "{told}");
    }
    end(us, "-TERM");
    change_hash(&world.log("us").join(format!("{:020}.json", 10)));
    let mut us = world.start("us", "recompute", &texts(&source));
    for (node, region, other) in [(&mut eu, "eu", "us"), (&mut us, "us", "eu")] {
        let told = until_peer_is(node, "different");
        let detail = told["detail"].as_str().unwrap();
        assert!(detail.contains("table ledgers: slot 10: it is another chain"), "{detail}");
        let http = node.http();
        node.until("parking", |_| get(&http, "/readyz").1.contains("\"parked\"").then_some(()));
        let (_, ready) = get(&http, "/readyz");
        assert!(ready.contains(&format!("region {other} and this one differ")), "{ready}");
        check_evidence(
            &world.dataset(region).join("ledgers/_quarantine/_delta_log.00000000000000000010.json"),
        );
    }
}

/// Changes the hash of a slot's last ledger, as a hand or a disk might: the slot is sound in itself.
pub(crate) fn change_hash(slot: &Path) {
    let text = fs::read_to_string(slot).unwrap();
    let (before, rest) = text.split_once("\"last_ledger_hash\":\"").unwrap();
    let digit = if rest.starts_with('0') { '1' } else { '0' };
    let changed = format!("{before}\"last_ledger_hash\":\"{digit}{}", &rest[1..]);
    fs::remove_file(slot).unwrap();
    fs::write(slot, changed).unwrap();
}

/// Both sides are there, and differ.
fn check_evidence(folder: &Path) {
    let sides = files(folder);
    let side = |start: &str| sides.iter().find(|(name, _)| name.starts_with(start)).unwrap().1;
    assert_ne!(side("ours"), side("theirs"), "{:?}", sides.keys());
}

#[test]
fn a_source_of_another_chain_and_a_file_with_other_bytes_are_found() {
    let world = World::new();
    let mut eu = world.start("eu", "recompute", &texts(&live(48, 1)));
    let mut us = world.start("us", "recompute", &texts(&live(48, 2)));
    let told = until_peer_is(&mut us, "different");
    assert!(told["detail"].as_str().unwrap().contains("slot 1: it is another chain"), "{told}");
    until_peer_is(&mut eu, "different");
    let http = eu.http();
    eu.until("parking", |_| get(&http, "/readyz").1.contains("\"parked\"").then_some(()));
    let evidence = "ledgers/_quarantine/_delta_log.00000000000000000001.json";
    check_evidence(&world.dataset("us").join(evidence));
    end(us, "-KILL");
    end(eu, "-KILL");

    // Mended: what is wrong is deleted, and copied from the other side. One file comes back with other bytes.
    fs::remove_dir_all(world.dataset("us")).unwrap();
    let state = world.home.path("state-eu");
    let mut eu = world.start("eu", "recompute", &texts(&live(48, 1)));
    eu.until("tree", |node| node.actor(&["pipelines", "main"]));
    world.home.run(&["resume", "--data-dir", state.to_str().unwrap()]).expect(0, "running");
    wait_for("all slots", || world.slot("eu") == 3);
    let data = files(&world.dataset("eu").join("ledgers/data"));
    let (name, _) = data.iter().next().unwrap();
    let copy = world.dataset("us").join("ledgers/data");
    fs::create_dir_all(&copy).unwrap();
    fs::write(copy.join(name), b"rotten").unwrap();
    fs::remove_dir_all(world.home.path("state-us")).unwrap();
    let mut us = world.start("us", "copy", &[]);
    let told = until_peer_is(&mut us, "different");
    assert!(told["detail"].as_str().unwrap().contains("other bytes than its name says"), "{told}");
    check_evidence(&world.dataset("us").join(format!("ledgers/_quarantine/data.{name}")));
    let http = us.http();
    us.until("parking", |_| get(&http, "/readyz").1.contains("\"parked\"").then_some(()));
}

/// Its own source ends early: what comes after that it has from the other one.
#[test]
fn a_region_that_derives_and_is_behind_copies_what_it_has_not_made() {
    let world = World::new();
    let _eu = world.start("eu", "recompute", &texts(&live(160, 1)));
    let mut us = world.start("us", "both", &texts(&live(64, 1)));
    wait_for("all slots", || world.slot("eu") == 10 && world.slot("us") == 10);
    let told = until_equal(&mut us, 10);
    assert!(told["bytes_copied"].as_u64() > Some(0) && told["differences"] == 0, "{told}");
    assert_same(&files(&world.dataset("eu")), &files(&world.dataset("us")));
    let state = world.home.path("state-us");
    us.until("tree", |_| {
        let tree = world.home.run(&["tree", "--data-dir", state.to_str().unwrap()]);
        tree.stdout().contains("region eu (both): equal").then_some(())
    });
}

/// Announced in one region, known in both; what one of them cannot have any more parks it.
#[test]
fn an_epoch_that_is_announced_in_one_region_is_announced_in_the_other_one() {
    let world = World::new();
    let source = live(48, 1);
    let mut eu = world.start("eu", "recompute", &texts(&source));
    let mut us = world.start("us", "recompute", &texts(&source));
    wait_for("all slots", || world.slot("eu") == 3 && world.slot("us") == 3);
    until_equal(&mut eu, 3);
    until_equal(&mut us, 3);
    let dataset = format!("file://{}", world.dataset("eu").display());
    world.home.run(&["epoch", "--dataset", &dataset, "--from-ledger", "1200"]).expect(0, "");
    // Nodes look when their tables go on, or are opened: an operator's announcement is read with the next start.
    end(eu, "-TERM");
    let eu = world.start("eu", "recompute", &texts(&source));
    let of = |region: &str, table: &str| world.dataset(region).join(table).join("_epochs/0000000002.json");
    for table in ["ledgers", "token_transfers"] {
        wait_for("the announcement", || of("us", table).is_file());
        assert_eq!(fs::read(of("us", table)).unwrap(), fs::read(of("eu", table)).unwrap());
    }
    end(us, "-KILL");
    end(eu, "-KILL");
}
