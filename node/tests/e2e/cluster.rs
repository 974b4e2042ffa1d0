//! Nodes that share the work of one dataset.

use crate::process::{Home, Node, assert_same, files};

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
    let state = home.path(&format!("state-{name}"));
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
    check(&["--listen", "127.0.0.1:0", "--certificates", "nowhere"], 69, "nowhere");
}
