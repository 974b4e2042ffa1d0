//! Nodes that share the work of one dataset.

use std::fs;
use std::path::PathBuf;

use crate::process::{Home, Node, assert_same, files, get};

/// Ledgers of the lake: three ranges of a coordinator, in slots of 256.
const LEDGERS: u32 = 3000;
const GRID: &str = "1:256";

/// A lake, and the dataset that one process makes of it.
fn undisturbed(home: &Home) -> String {
    let lake = home.synth("lake", LEDGERS);
    let range = ["--from", "genesis", "--to", "3001", "--grid", GRID];
    home.backfill(&lake, &home.url("one"), &range).expect(0, "complete");
    lake
}

/// Starts a node with a state of its own.
fn start(home: &Home, name: &str, arguments: &[&str]) -> Node {
    start_with_state(home, name, &format!("state-{name}"), arguments)
}

fn start_with_state(home: &Home, name: &str, state: &str, arguments: &[&str]) -> Node {
    let state = home.path(state);
    let state = state.to_str().unwrap();
    let more = ["--name", name, "--data-dir", state, "--listen", "127.0.0.1:0", "--workers", "1"];
    home.start_elsewhere(&[&["run"], arguments, &more].concat(), &[])
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

/// All end by themselves, with the dataset that one process makes.
fn check_end(home: &Home, nodes: &mut [Node]) {
    for node in nodes {
        assert_eq!(node.end().0, Some(0), "{}", node.log());
    }
    assert_same(&files(&home.path("one")), &files(&home.path("three")));
}

#[test]
fn nodes_with_certificates_make_the_dataset_of_one() {
    let home = Home::new();
    let lake = undisturbed(&home);
    let authority = home.path("authority");
    let authority = authority.to_str().unwrap();
    home.run(&["certs", "init", "--dir", authority, "--cluster", "test"]).expect(0, "");
    let dataset = home.url("three");
    let issue = |name: &str| {
        home.run(&["certs", "issue", name, "--dir", authority]).expect(0, name);
        format!("{authority}/{name}")
    };
    let work =
        ["--source", &lake, "--dataset", &dataset, "--from", "genesis", "--to", "3001", "--grid", GRID];
    let with = |certificates: &str, join: &[&str], name: &str| {
        start(&home, name, &[&work[..], &["--certificates", certificates], join].concat())
    };
    let mut first = with(&issue("a"), &[], "a");
    let joined = address(&mut first);
    let mut nodes = vec![first];
    for name in ["b", "c"] {
        nodes.push(with(&issue(name), &["--join", &joined], name));
    }
    check_end(&home, &mut nodes);
}

#[test]
fn nodes_with_one_role_each_make_the_dataset_of_one() {
    let home = Home::new();
    let lake = undisturbed(&home);
    let dataset = home.url("three");
    let range = ["--from", "genesis", "--to", "3001", "--grid", GRID];
    let all = ["--insecure-loopback", "--source", &lake, "--dataset", &dataset];
    let mut first =
        start(&home, "fetches", &[&all[..], &range, &["--roles", "fetcher,coordinator"]].concat());
    let joined = address(&mut first);
    let join = ["--insecure-loopback", "--join", &joined];
    let processes = start(&home, "processes", &[&join[..], &["--roles", "processor"]].concat());
    let writes = start(&home, "writes", &[&join[..], &["--roles", "sink", "--dataset", &dataset]].concat());
    let mut nodes = [first, processes, writes];
    check_end(&home, &mut nodes);
    let commits = |node: &Node| node.log().matches("slot committed").count();
    assert_eq!((commits(&nodes[0]), commits(&nodes[1])), (0, 0));
    assert!(commits(&nodes[2]) >= 24, "{}", nodes[2].log());
}

/// The dataset is another than this node once wrote, and only a person can say whether that is as it should be.
#[test]
fn what_a_node_will_not_do_others_do() {
    let home = Home::new();
    let lake = undisturbed(&home);
    let (dataset, state) = (home.url("three"), home.path("state-alarmed"));
    let work = ["--source", &lake, "--dataset", &dataset, "--from", "genesis", "--grid", GRID];
    let before = ["--to", "1023", "--data-dir", state.to_str().unwrap()];
    home.run(&[&["backfill"], &work[..], &before].concat()).expect(0, "complete");
    std::fs::remove_dir_all(home.path("three")).unwrap();
    let more = ["--to", "3001", "--insecure-loopback"];
    let mut first = start(&home, "alarmed", &[&work[..], &more].concat());
    first.until("alarm", |node| node.log().contains("CKPT-1").then_some(()));
    let joined = address(&mut first);
    let second = start(&home, "works", &[&work[..], &more, &["--join", &joined]].concat());
    let mut nodes = [first, second];
    check_end(&home, &mut nodes);
    let commits = |node: &Node| node.log().matches("slot committed").count();
    assert_eq!((commits(&nodes[0]), commits(&nodes[1])), (0, 24));
}

/// The first keeps on working; when it is killed, the second takes its place at another address.
#[test]
fn a_name_is_used_once_and_can_be_taken_when_its_node_was_killed() {
    let home = Home::new();
    let lake = home.synth("lake", 100);
    let dataset = home.url("dataset");
    let work = ["--insecure-loopback", "--source", &lake, "--dataset", &dataset, "--from", "genesis"];
    let with = |name: &str, state: &str, join: &[&str]| {
        start_with_state(&home, name, state, &[&work[..], join].concat())
    };
    let mut other = with("other", "state-other", &[]);
    let joined = address(&mut other);
    let mut first = with("twice", "state-1", &["--join", &joined]);
    let taken = address(&mut first);
    let twice = |node: &Node| node.log().matches("node joined node=twice").count();
    other.until("first", |node| (twice(node) == 1).then_some(()));
    let mut second = with("twice", "state-2", &["--join", &joined]);
    assert_eq!(second.end().0, Some(78), "{}", second.log());
    let says = format!("a node named `twice` is already in the cluster at {taken}");
    assert!(second.log().contains(&says), "{}", second.log());
    assert!(!second.log().contains("child failed"), "{}", second.log());
    first.signal("-KILL");
    first.end();
    let _second = with("twice", "state-2", &["--join", &joined]);
    other.until("second", |node| (twice(node) == 2).then_some(()));
    assert!(!other.log().contains("datagram of the gossip dropped"), "{}", other.log());
}

/// Others may hold the lease that it cannot see.
#[test]
fn a_node_that_meets_nobody_warns_and_does_not_coordinate() {
    let home = Home::new();
    let lake = home.synth("lake", 100);
    let dataset = home.url("dataset");
    let work = ["--insecure-loopback", "--source", &lake, "--dataset", &dataset, "--from", "genesis"];
    // Nobody listens on the port of that number.
    let mut alone = start(&home, "alone", &[&work[..], &["--join", "127.0.0.1:1"]].concat());
    alone.until("warning", |node| node.log().contains("no node that is to be joined answers").then_some(()));
    assert!(alone.log().contains("127.0.0.1:1"), "{}", alone.log());
    assert!(!alone.log().contains("this node coordinates"), "{}", alone.log());
    let joined = address(&mut alone);
    let other = start(&home, "other", &[&work[..], &["--join", &joined]].concat());
    let works = |node: &Node| node.log().contains("slot committed");
    alone.until("work", |node| (works(node) || works(&other)).then_some(()));
}

#[test]
fn a_node_that_comes_when_all_is_done_ends_though_nobody_is_left() {
    let home = Home::new();
    let lake = home.synth("lake", 100);
    let dataset = home.url("dataset");
    let work = ["--source", &lake, "--dataset", &dataset, "--from", "genesis", "--to", "101"];
    let join = ["--insecure-loopback", "--join", "127.0.0.1:1"];
    home.backfill(&lake, &dataset, &work[4..]).expect(0, "complete");
    let mut late = start(&home, "late", &[&work[..], &join].concat());
    assert_eq!(late.end().0, Some(0), "{}", late.log());
    assert!(!late.log().contains("this node coordinates"), "{}", late.log());
}

/// Another lake than the one at hand, whose object of ledger 40 ends too early; the object, and what it should be.
fn torn_lake(home: &Home) -> (String, PathBuf, Vec<u8>) {
    let lake = home.synth("torn", LEDGERS);
    let object = home.path("torn/FFFFFFFF--0-63999/FFFFFFD7--40.xdr.zst");
    let whole = fs::read(&object).unwrap();
    fs::write(&object, &whole[..whole.len() - 20]).unwrap();
    (lake, object, whole)
}

/// A node that is alone with a torn lake, parked; and its arguments without the lake.
fn parked<'a>(home: &Home, torn: &str, dataset: &'a str) -> (Node, Vec<&'a str>) {
    let work = vec![
        "--insecure-loopback",
        "--dataset",
        dataset,
        "--from",
        "genesis",
        "--to",
        "3001",
        "--grid",
        GRID,
    ];
    let more = ["--source", torn, "--http", "127.0.0.1:0"];
    let mut node = start(home, "torn", &[&work[..], &more].concat());
    let http = node.http();
    node.until("parking", |_| get(&http, "/readyz").1.contains("main/until-1023").then_some(()));
    (node, work)
}

#[test]
fn a_ledger_that_parks_one_node_is_done_by_another() {
    let home = Home::new();
    let (lake, dataset) = (undisturbed(&home), home.url("three"));
    let (torn, ..) = torn_lake(&home);
    let (mut first, work) = parked(&home, &torn, &dataset);
    let joined = address(&mut first);
    let second = start(&home, "whole", &[&work[..], &["--source", &lake, "--join", &joined]].concat());
    let mut nodes = [first, second];
    check_end(&home, &mut nodes);
    let log = nodes[0].log();
    assert!(log.contains("it leaves the quarantine"), "{log}");
    let state = home.path("state-torn");
    home.run(&["quarantine", "list", "--data-dir", state.to_str().unwrap()]).expect(0, "none");
}

#[test]
fn a_ledger_that_parks_everywhere_waits_until_it_is_retried() {
    let home = Home::new();
    let dataset = home.url("three");
    undisturbed(&home);
    let (torn, object, whole) = torn_lake(&home);
    let (mut node, _) = parked(&home, &torn, &dataset);
    let http = node.http();
    let (_, metrics) = get(&http, "/metrics");
    assert!(metrics.contains("orrery_pipeline_parked{pipeline=\"main\"} 1"), "{metrics}");
    let state = home.path("state-torn");
    let state = ["--data-dir", state.to_str().unwrap()];
    let list = home.run(&[&["quarantine", "list", "--output", "json"], &state[..]].concat());
    assert_eq!(list.expect(0, "").json()[0]["pipeline"], "main/until-1023");

    // Not mended, it parks again.
    home.run(&[&["resume"], &state[..]].concat()).expect(0, "running");
    node.until("parking", |node| {
        let task = node.actor(&["pipelines", "main", "until-1023"])?;
        (task["incarnation"] == 2 && task["state"] == "parked").then_some(())
    });
    fs::write(object, whole).unwrap();
    home.run(&[&["quarantine", "retry", "40"], &state[..]].concat()).expect(0, "main/until-1023");
    check_end(&home, &mut [node]);
    home.run(&[&["quarantine", "list"], &state[..]].concat()).expect(0, "none");
}

#[test]
fn a_node_that_waits_for_roles_names_them_and_tells_at_its_end_what_others_made_durable() {
    let home = Home::new();
    let (lake, dataset) = (home.synth("lake", 60), home.url("dataset"));
    home.backfill(&lake, &dataset, &["--from", "genesis", "--to", "30", "--grid", "1:16"])
        .expect(0, "complete");
    let work = ["--insecure-loopback", "--source", &lake, "--dataset", &dataset];
    let mut node = start(&home, "a", &[&work[..], &["--roles", "coordinator,sink"]].concat());
    let joined = address(&mut node);
    let says = "no node that is ready has the role fetcher, processor: ";
    node.until("warning", |node| node.log().contains(says).then_some(()));
    for command in ["nodes", "tree"] {
        home.run(&[command, "--cluster", &joined, "--insecure-loopback"]).expect(0, says);
    }
    node.signal("-TERM");
    assert_eq!(node.end().0, Some(0), "{}", node.log());
    assert_eq!(node.stdout(), "drained: every ledger up to 30 is durable\n");
}

/// As with two folders of one name on two machines.
#[test]
fn a_node_with_another_dataset_works_for_nobody_else() {
    let home = Home::new();
    let lake = undisturbed(&home);
    let work =
        ["--source", &lake, "--from", "genesis", "--to", "3001", "--grid", GRID, "--insecure-loopback"];
    let (mine, other) = (home.url("three"), home.url("other"));
    let mut first = start(&home, "mine", &[&work[..], &["--dataset", &mine]].concat());
    let joined = address(&mut first);
    let second = start(&home, "other", &[&work[..], &["--dataset", &other, "--join", &joined]].concat());
    let mut nodes = [first, second];
    check_end(&home, &mut nodes);
    assert_same(&files(&home.path("one")), &files(&home.path("other")));
    for node in &nodes {
        assert!(node.log().contains("writes to another dataset than this node's"), "{}", node.log());
    }
}

/// It was stopped when the others were told that all is done, and finds out itself.
#[test]
fn a_writer_that_nobody_tells_ends_when_all_is_written() {
    let home = Home::new();
    let lake = undisturbed(&home);
    let dataset = home.url("three");
    let range = ["--from", "genesis", "--to", "3001", "--grid", GRID];
    let work = [&["--insecure-loopback", "--source", &lake, "--dataset", &dataset], &range[..]].concat();
    let mut first = start(&home, "works", &work);
    let joined = address(&mut first);
    let late = ["--join", &joined, "--roles", "fetcher,processor,sink"];
    let mut second = start(&home, "late", &[&work[..], &late].concat());
    second.until("task", |node| node.log().contains("task begins").then_some(()));
    second.signal("-STOP");
    assert_eq!(first.end().0, Some(0), "{}", first.log());
    second.signal("-CONT");
    check_end(&home, &mut [second]);
}

#[test]
fn a_node_that_cannot_take_part_says_why() {
    let home = Home::new();
    let check = |arguments: &[&str], code: i32, says: &str| {
        let work = ["run", "--source", "synthetic:?ledgers=9", "--dataset", &home.url("d")];
        home.run_here(&[&work[..], arguments].concat()).expect(code, says);
    };
    check(&["--join", "127.0.0.1:1"], 78, "--listen");
    check(&["--listen", "127.0.0.1:0"], 78, "--certificates DIR");
    check(&["--listen", "10.1.2.3:7100", "--insecure-loopback"], 78, "only loopback addresses");
    check(
        &["--listen", "127.0.0.1:0", "--insecure-loopback", "--roles", "writer"],
        78,
        "`writer` is no role",
    );
    check(&["--listen", "127.0.0.1:0", "--certificates", "nowhere"], 78, "nowhere");
    let processes = ["--listen", "127.0.0.1:0", "--insecure-loopback", "--roles", "processor"];
    check(&processes, 78, "give --join HOST:PORT");
}
