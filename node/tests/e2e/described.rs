//! What a node says of its own interfaces, held against what it does, by programs that others have written.

use std::env;
use std::fs;
use std::process::Command;

use serde_json::{Value, json};

use crate::delta::python::{check_agreement, python};
use crate::process::{Home, Node, get};
use crate::reader::Reader;

/// Made-up requests of the endpoints: what is documented is answered, nothing else is, and nothing fails.
fn check(python: &str, home: &Home, http: &str, less: &str, more: &[&str]) {
    let url = format!("http://{http}/openapi.json");
    let fixed = ["-m", "schemathesis.cli", "run", &url, "--exclude-checks", less];
    let always = ["--seed", "7", "--continue-on-failure", "--no-color", "--generation-database", "none"];
    let output = Command::new(python).args(fixed).args(always).args(more).current_dir(home.path("")).output();
    let output = output.unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{said}{}", String::from_utf8_lossy(&output.stderr));
    assert!(said.contains("passed"), "{said}");
}

/// A node that has made all of these ledgers durable.
fn served(home: &Home, ledgers: u32) -> (Node, String) {
    let source = format!("synthetic:?ledgers={ledgers}&density=sparse");
    let more = ["--from", "genesis", "--grid", "2:8"];
    // Whoever asks as fast as it can is not to be told that it asks too often.
    let often = [("ORRERY_HTTP__REQUESTS_PER_SECOND", "100000")];
    let mut node = home.follow(&source, &home.url("dataset"), &more, &often);
    let http = node.http();
    let last = format!("/v1/ledgers/{}", ledgers + 1);
    node.until("all ledgers", |_| (get(&http, &last).0 == 200).then_some(()));
    (node, http)
}

#[test]
fn the_api_is_as_its_description_says() {
    let Some(python) = python("schemathesis") else { return };
    let home = Home::new();
    let (_node, http) = served(&home, 94);
    // Random texts are no account, however the description puts it: that they are refused is no failure.
    let less = "positive_data_acceptance";
    // An answer without an end, which it would wait for.
    check(&python, &home, &http, less, &["--exclude-path", "/v1/feed.sse", "--max-examples", "25"]);
}

/// Restarts, a ledger in quarantine, a parked pipeline: what a node tells only then is described too.
#[test]
fn what_a_node_in_trouble_says_is_as_its_description_says() {
    let Some(python) = python("schemathesis") else { return };
    let home = Home::new();
    let lake = home.synth("lake", 40);
    let object = home.path("lake/FFFFFFFF--0-63999/FFFFFFE1--30.xdr.zst");
    let whole = fs::read(&object).unwrap();
    fs::write(&object, &whole[..whole.len() - 20]).unwrap();
    let mut node = home.follow(&lake, &home.url("dataset"), &["--from", "genesis", "--grid", "2:8"], &[]);
    let http = node.http();
    node.until("parking", |_| get(&http, "/readyz").1.contains("parked").then_some(()));
    node.until("tree", |_| (get(&http, "/v1/status").0 == 200).then_some(()));
    let quarantine: Value = serde_json::from_str(&get(&http, "/v1/quarantine").1).unwrap();
    assert_eq!((&quarantine[0]["ledger"], &quarantine[0]["attempts"]), (&json!(30), &json!(3)));
    let paths = "^/(readyz|startupz|healthz|healthz/traffic|v1/status|v1/tree|v1/nodes|v1/quarantine)$";
    // 503 is what these answer then.
    let less = "not_a_server_error";
    check(&python, &home, &http, less, &["--include-path-regex", paths, "--max-examples", "2"]);
}

/// Everything that a node says on the feed: but a gap, which no healthy node has.
fn frames(http: &str) -> String {
    let mut reader = Reader::connect(http, "/v1/feed").unwrap();
    let mut said = Vec::new();
    let mut ask = |message: Value, answers: &[&str]| {
        reader.say(&message);
        for answer in answers {
            loop {
                let heard = reader.hear().unwrap();
                said.push(heard.to_string());
                if heard["type"] == *answer {
                    break;
                }
            }
        }
    };
    let filter = json!({ "kind": ["transfer", "mint", "burn", "clawback", "fee"] });
    ask(
        json!({ "op": "subscribe", "id": "a", "from": "oldest", "filter": filter }),
        &["subscribed", "events", "heartbeat"],
    );
    ask(json!({ "op": "subscribe", "id": "b", "from": "4294967295" }), &["error"]);
    ask(json!({ "op": "subscribe", "id": "b", "filter": { "kind": ["gift"] } }), &["error"]);
    ask(json!({ "op": "nothing" }), &["error"]);
    ask(json!({ "op": "unsubscribe", "id": "a" }), &["unsubscribed"]);
    said.join("\n")
}

/// `ORRERY_ASYNCAPI` is a folder into which npm has installed the parser.
#[test]
fn the_feed_is_as_its_description_says() {
    let Ok(folder) = env::var("ORRERY_ASYNCAPI") else {
        eprintln!("skipped: name the folder with @asyncapi/parser with ORRERY_ASYNCAPI");
        return;
    };
    let home = Home::new();
    let (_node, http) = served(&home, 30);
    let (document, said) = (home.path("asyncapi.json"), home.path("frames.jsonl"));
    fs::write(&document, get(&http, "/asyncapi.json").1).unwrap();
    fs::write(&said, frames(&http)).unwrap();
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/asyncapi/check.mjs");
    let output = Command::new("node").arg(script).arg(folder).args([document, said]).output().unwrap();
    check_agreement(&output, "agreed: error, events, heartbeat, subscribed, unsubscribed");
}
