//! Profiles that a node sends, as a server gets them that reads their form with other people's parsers.

use std::env;
use std::io::{BufRead, BufReader, Lines};
use std::process::{Child, ChildStdout, Command, Stdio};

use serde_json::Value;

use crate::process::Home;

/// A server for profiles that runs until the test ends.
struct Receiver {
    child: Child,
    lines: Lines<BufReader<ChildStdout>>,
}

impl Drop for Receiver {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Receiver {
    /// `ORRERY_PPROF` is a folder into which npm has installed the parser; `None`, said, without it.
    fn start() -> Option<Self> {
        let Ok(folder) = env::var("ORRERY_PPROF") else {
            eprintln!("skipped: name the folder with pprof-format with ORRERY_PPROF");
            return None;
        };
        let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/pprof/receive.mjs");
        let mut command = Command::new("node");
        let mut child = command.args([script, &folder]).stdout(Stdio::piped()).spawn().unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        Some(Self { child, lines })
    }

    fn line(&mut self) -> String {
        self.lines.next().unwrap().unwrap()
    }
}

#[test]
fn a_node_sends_profiles_that_others_read() {
    let Some(mut receiver) = Receiver::start() else { return };
    let address = receiver.line();
    let home = Home::new();
    let (dataset, source) = (home.url("dataset"), "synthetic:?ledgers=100000&density=sparse&rate=100");
    let variables = [("ORRERY_TELEMETRY__PROFILES", address.as_str())];
    let node = home.follow(source, &dataset, &["--from", "genesis"], &variables);
    let told: Value = serde_json::from_str(&receiver.line()).unwrap();
    let says = |key: &str| told[key].as_str().unwrap_or_default().to_owned();
    assert_eq!(told["error"], Value::Null, "{told}");
    assert_eq!(
        (&told["asked"]["name"], &told["asked"]["format"]),
        (&"orrery{node=orrery}".into(), &"pprof".into())
    );
    let number = |key: &str| told["asked"][key].as_str().unwrap().parse::<u64>().unwrap();
    // Seconds since 1970, of a profile of fifteen.
    let took = number("until") - number("from");
    assert!((14..=60).contains(&took) && number("from") > 1_600_000_000, "{told}");
    assert_eq!((says("file"), number("sampleRate")), ("profile.pprof".to_owned(), 99));
    assert_eq!(told["kinds"], serde_json::json!(["samples/count", "cpu/nanoseconds"]));
    assert_eq!(told["seconds"].as_f64(), Some(15.0));
    // It works, on threads that have names, in functions that have names.
    let samples = told["sums"][0].as_u64().unwrap();
    assert!(samples > 20 && told["sums"][1].as_u64().unwrap() / samples == 1_000_000_000 / 99, "{told}");
    assert_eq!(told["unknown"], 0, "{told}");
    let functions = told["functions"].as_array().unwrap();
    let names = |part: &str| functions.iter().any(|name| name.as_str().unwrap().contains(part));
    assert!(names("orrery_actors::") && names("orrery-work"), "{functions:?}");
    assert!(!node.log().contains("profiles are lost"), "{}", node.log());
}
