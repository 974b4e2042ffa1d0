//! Who holds the memory: only of a program that was built with the feature `heap-profile`.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stderr,
    reason = "this is a test"
)]

#[path = "e2e/process.rs"]
#[allow(dead_code, reason = "a part of it is used here")]
mod process;

use std::io::{Read, Write};
use std::net::TcpStream;
use std::process::Command;

use process::{Home, Node};
use serde_json::Value;

/// Sampled often, so that a small node has many samples.
const ON: [(&str, &str); 1] = [("_RJEM_MALLOC_CONF", "prof:true,lg_prof_sample:14")];

/// A node that works, and the address at which administrators ask.
fn started(home: &Home, variables: &[(&str, &str)]) -> (Node, String) {
    let admin = [("ORRERY_NODE__ADMIN", "127.0.0.1:0")];
    let (dataset, source) = (home.url("dataset"), "synthetic:?ledgers=100000&density=sparse&rate=50");
    let mut node = home.follow(source, &dataset, &["--from", "genesis"], &[&admin, variables].concat());
    let address = node.until("the other listener", |node| {
        let log = node.log();
        let line = log.lines().find(|line| line.contains("INFO metrics are served"))?;
        Some(line.split_once("address=")?.1.trim().to_owned())
    });
    node.until_committed();
    (node, address)
}

/// Head and body of an answer.
fn ask(address: &str) -> (String, Vec<u8>) {
    let mut stream = TcpStream::connect(address).unwrap();
    write!(stream, "GET /debug/pprof/heap HTTP/1.0\r\nHost: {address}\r\n\r\n").unwrap();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).unwrap();
    let end = answer.windows(4).position(|end| end == b"\r\n\r\n").unwrap();
    let body = answer.split_off(end + 4);
    (String::from_utf8(answer).unwrap(), body)
}

/// What other people's parser finds in a profile. `ORRERY_PPROF` is a folder into which npm has installed it; `None`, said, without it.
fn parsed(home: &Home, profile: &[u8]) -> Option<Value> {
    let Ok(folder) = std::env::var("ORRERY_PPROF") else {
        eprintln!("skipped: name the folder with pprof-format with ORRERY_PPROF");
        return None;
    };
    let path = home.path("heap.pb.gz");
    std::fs::write(&path, profile).unwrap();
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/pprof/read.mjs");
    let output = Command::new("node").args([script, &folder]).arg(path).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    Some(serde_json::from_slice(&output.stdout).unwrap())
}

#[test]
fn a_node_says_who_holds_its_memory() {
    let home = Home::new();
    let (_node, admin) = started(&home, &ON);
    let (head, profile) = ask(&admin);
    assert!(head.starts_with("HTTP/1.1 200") || head.starts_with("HTTP/1.0 200"), "{head}");
    assert!(profile.starts_with(&[0x1f, 0x8b]), "{} bytes", profile.len());
    // The same by one command, over the socket in its folder.
    let file = home.path("by-command.pb.gz");
    let asked = ["--output", "json", "inspect", "heap", "--out", file.to_str().unwrap()];
    let told = home.run_here(&asked).expect(0, "").json();
    let written = std::fs::read(file).unwrap();
    assert_eq!(told["bytes"].as_u64(), Some(written.len() as u64));
    for profile in [profile, written] {
        let Some(found) = parsed(&home, &profile) else { return };
        assert_eq!(found["kinds"], serde_json::json!(["inuse_space/bytes"]), "{found}");
        let held = found["sums"][0].as_u64().unwrap();
        assert!((100_000..2_000_000_000).contains(&held), "{held} bytes");
        let functions = found["functions"].as_array().unwrap();
        let names = |part: &str| functions.iter().any(|name| name.as_str().unwrap().contains(part));
        assert!(names("orrery") && names("sled"), "{functions:?}");
    }
}

#[test]
fn a_node_whose_profiler_is_off_says_how_to_turn_it_on() {
    let home = Home::new();
    let (_node, admin) = started(&home, &[]);
    let (head, body) = ask(&admin);
    assert!(head.contains(" 501 "), "{head}");
    assert!(String::from_utf8(body).unwrap().contains("_RJEM_MALLOC_CONF=prof:true"));
    home.run_here(&["inspect", "heap"]).expect(1, "_RJEM_MALLOC_CONF=prof:true");
}
