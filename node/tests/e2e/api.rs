//! The API of a running node, held against the events that its source has.

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::TcpStream;

use orrery_schemas::Volume;
use serde_json::{Value, json};

use crate::process::{Home, Node};

const SOURCE: &str = "synthetic:?ledgers=100&density=sparse&seed=5";

/// The last ledger of the last whole slot.
const TIP: u32 = 95;

/// An answer.
struct Answer {
    status: u16,
    headers: BTreeMap<String, String>,
    body: Vec<u8>,
}

impl Answer {
    fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap()
    }

    fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", String::as_str)
    }
}

/// A GET of `path`, whose spaces and the like are encoded already.
fn get(http: &str, path: &str, headers: &str) -> Answer {
    let mut stream = TcpStream::connect(http).unwrap();
    write!(stream, "GET {path} HTTP/1.1\r\nHost: {http}\r\nConnection: close\r\n{headers}\r\n").unwrap();
    let mut bytes = Vec::new();
    stream.read_to_end(&mut bytes).unwrap();
    let end = bytes.windows(4).position(|window| window == b"\r\n\r\n").unwrap();
    let head = String::from_utf8(bytes[..end].to_vec()).unwrap();
    let mut lines = head.lines();
    let status = lines.next().unwrap().split(' ').nth(1).unwrap().parse().unwrap();
    let headers: BTreeMap<_, _> = lines
        .filter_map(|line| line.split_once(": "))
        .map(|(name, value)| (name.to_lowercase(), value.to_owned()))
        .collect();
    let mut body = bytes[end + 4..].to_vec();
    if headers.get("transfer-encoding").is_some_and(|encoding| encoding == "chunked") {
        body = unchunked(&body);
    }
    Answer { status, headers, body }
}

fn unchunked(mut rest: &[u8]) -> Vec<u8> {
    let mut body = Vec::new();
    loop {
        let end = rest.windows(2).position(|window| window == b"\r\n").expect("a whole body");
        let size = usize::from_str_radix(std::str::from_utf8(&rest[..end]).unwrap(), 16).unwrap();
        if size == 0 {
            return body;
        }
        body.extend_from_slice(&rest[end + 2..end + 2 + size]);
        rest = &rest[end + 2 + size + 2..];
    }
}

/// A node whose dataset has every whole slot of the source, where it is served, and the events of these.
fn served(home: &Home) -> (Node, String, Vec<Value>) {
    let mut node = home.follow(SOURCE, &home.url("dataset"), &["--from", "genesis"], &[]);
    let http = node.http();
    let tip = format!("{TIP}");
    node.until("tip", |_| {
        let answer = get(&http, "/v1/events?order=desc&limit=1", "");
        (answer.status == 200 && answer.json()["tip"] == tip.as_str()).then_some(())
    });
    let lines = home.run(&["events", SOURCE, "--format", "jsonl", "--to", &tip]).expect(0, "");
    let events = lines.stdout().lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    (node, http, events)
}

/// Every row, a page at a time.
fn paged(http: &str, path: &str, rows: &str) -> Vec<Value> {
    let (mut found, mut from) = (Vec::new(), String::new());
    loop {
        let answer = get(http, &format!("{path}{from}"), "");
        let mut page = answer.json();
        assert_eq!(answer.status, 200, "{path}{from}: {page}");
        found.append(page[rows].as_array_mut().unwrap());
        match page["next"].as_str() {
            Some(next) => from = format!("&from={next}"),
            None => return found,
        }
    }
}

#[test]
fn pages_are_what_the_source_has_in_either_direction() {
    let home = Home::new();
    let (_node, http, events) = served(&home);
    assert!(events.len() > 500);
    let payer = events.iter().rev().find(|event| event["kind"] == "fee").unwrap();
    let account = payer["from"].as_str().unwrap().to_owned();
    let contract = events[3]["contract_id"].as_str().unwrap().to_owned();
    let check = |path: &str, is_wanted: &dyn Fn(&Value) -> bool| {
        let mut expect: Vec<_> = events.iter().filter(|event| is_wanted(event)).cloned().collect();
        assert!(!expect.is_empty(), "{path}");
        assert_eq!(paged(&http, &format!("{path}order=asc"), "events"), expect, "{path}");
        expect.reverse();
        assert_eq!(paged(&http, &format!("{path}order=desc"), "events"), expect, "{path}");
    };
    check("/v1/events?limit=83&", &|_| true);
    check("/v1/events?limit=1000&kind=mint,burn&", &|event| {
        event["kind"] == "mint" || event["kind"] == "burn"
    });
    let is_of = |event: &Value| event["from"] == account.as_str() || event["to"] == account.as_str();
    check(&format!("/v1/accounts/{account}/events?limit=2&"), &is_of);
    check(&format!("/v1/events?account={account}&kind=fee&"), &|event| {
        is_of(event) && event["kind"] == "fee"
    });
    check(&format!("/v1/contracts/{contract}/events?limit=700&"), &|event| {
        event["contract_id"] == contract.as_str()
    });

    // What is before a page, read the other way, ends where it begins.
    let page = get(&http, "/v1/events?limit=10&from=40:2", "").json();
    let at = events.iter().position(|event| event["event_id"] == page["events"][0]["event_id"]).unwrap();
    let before = format!("/v1/events?order=desc&limit=10&from={}", page["previous"].as_str().unwrap());
    let mut before = get(&http, &before, "").json();
    before["events"].as_array_mut().unwrap().reverse();
    assert_eq!(before["events"].as_array().unwrap()[..], events[at - 10..at]);

    let ledgers = paged(&http, "/v1/ledgers?limit=40&order=desc", "ledgers");
    let numbers: Vec<_> = ledgers.iter().map(|ledger| ledger["sequence"].as_u64().unwrap()).collect();
    assert_eq!(numbers, (2..=u64::from(TIP)).rev().collect::<Vec<_>>());
    let one = get(&http, "/v1/ledgers/50", "").json();
    assert_eq!(one, ledgers[TIP as usize - 50]);
    let of_50 = events.iter().filter(|event| event["ledger_sequence"] == 50).count();
    assert_eq!(one["event_count"], of_50);
}

#[test]
fn assets_and_exports_are_what_the_source_has() {
    let home = Home::new();
    let (_node, http, events) = served(&home);
    let answer = get(&http, "/v1/assets?window=24h&limit=1000", "").json();
    assert_eq!((&answer["from_ledger"], &answer["to_ledger"]), (&json!(2), &json!(TIP)));
    let mut sums: BTreeMap<(String, String), (u64, Volume)> = BTreeMap::new();
    for event in &events {
        let text = |key: &str| event[key].as_str().unwrap().to_owned();
        let sum = sums.entry((text("contract_id"), text("kind"))).or_default();
        sum.0 += 1;
        sum.1.add(text("amount").parse().unwrap());
    }
    let mut found = BTreeMap::new();
    for asset in answer["assets"].as_array().unwrap() {
        for (kind, sum) in asset["by_kind"].as_object().unwrap() {
            let key = (asset["contract_id"].as_str().unwrap().to_owned(), kind.clone());
            found.insert(key, (sum["count"].as_u64().unwrap(), sum["volume"].as_str().unwrap().to_owned()));
        }
    }
    let sums: BTreeMap<_, _> =
        sums.into_iter().map(|(key, (count, volume))| (key, (count, volume.to_string()))).collect();
    assert_eq!(found, sums);
    assert_eq!(get(&http, "/v1/assets/native", "").json()["by_kind"], answer["assets"][0]["by_kind"]);
    // An hour before the last ledger of five seconds each is further back than there are ledgers.
    assert_eq!(get(&http, "/v1/assets?window=1h&limit=1000", "").json()["assets"], answer["assets"]);

    let export = |more: &str| get(&http, &format!("/v1/export?from=10&to=60{more}"), "");
    let wanted = |event: &&Value| (10..=60).contains(&event["ledger_sequence"].as_u64().unwrap());
    let lines = String::from_utf8(export("").body).unwrap();
    let lines: Vec<Value> = lines.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(lines, events.iter().filter(wanted).cloned().collect::<Vec<_>>());
    let fees = events.iter().filter(wanted).filter(|event| event["kind"] == "fee").count();
    let csv = export("&format=csv&kind=fee");
    assert_eq!(csv.header("content-type"), "text/csv");
    assert_eq!(String::from_utf8(csv.body).unwrap().lines().count(), fees + 1);
    let parquet = export("&format=parquet").body;
    assert!(parquet.starts_with(b"PAR1") && parquet.ends_with(b"PAR1"));
    // As the command writes it: the same rows give the same bytes.
    let file = home.path("events.parquet").display().to_string();
    home.run(&["events", SOURCE, "--format", "parquet", "--from", "10", "--to", "60", "--out", &file])
        .expect(0, "");
    assert!(parquet == std::fs::read(&file).unwrap());
    assert_eq!(export("&format=arrow").header("content-type"), "application/vnd.apache.arrow.stream");
}

#[test]
fn answers_that_hold_are_tagged_and_refusals_name_the_way_out() {
    let home = Home::new();
    let (mut node, http, _) = served(&home);
    for path in ["/v1/ledgers/7", "/v1/events?limit=5&from=9", "/v1/events?order=desc&from=20:1&limit=3"] {
        let first = get(&http, path, "");
        assert!(first.header("cache-control").contains("immutable"), "{path}");
        let tag = first.header("etag").to_owned();
        assert!(tag.starts_with('"'), "{path}: {tag}");
        let again = get(&http, path, &format!("If-None-Match: {tag}\r\n"));
        assert_eq!((again.status, again.body.len(), again.header("etag")), (304, 0, tag.as_str()));
    }
    for path in ["/v1/events?order=desc", "/v1/events?limit=1000&from=95", "/v1/status", "/v1/assets"] {
        let answer = get(&http, path, "");
        assert_eq!(
            (answer.status, answer.header("cache-control"), answer.header("etag")),
            (200, "no-store", "")
        );
    }
    let check = |path: &str, status: u16, fragments: &[&str]| {
        let answer = get(&http, path, "");
        let problem = answer.json();
        assert_eq!(
            (answer.status, answer.header("content-type")),
            (status, "application/problem+json"),
            "{path}"
        );
        let detail = problem["detail"].as_str().unwrap();
        assert!(fragments.iter().all(|fragment| detail.contains(fragment)), "{path}: {detail}");
    };
    check("/v1/events?limit=1001", 400, &["limit", "1001", "1 to 1000"]);
    check("/v1/events?from=x", 400, &["from", "\"x\"", "53312000:17"]);
    // The newest ledger is the feed's, from 95 to 101; 1,024 further is what a region may be behind.
    check("/v1/events?from=1126", 400, &["1126", "newest ledger here, "]);
    assert_eq!(get(&http, "/v1/events?from=1119", "").json()["events"], json!([]));
    check("/v1/events?order=up", 400, &["order", "\"up\"", "asc"]);
    check("/v1/events?kind=gift", 400, &["kind", "gift", "transfer"]);
    check("/v1/events?acount=G", 400, &["acount", "account"]);
    check("/v1/events?limit=1&limit=2", 400, &["limit", "once"]);
    check("/v1/accounts/GABC/events", 400, &["id", "GABC"]);
    check("/v1/ledgers/-1", 400, &["sequence", "-1"]);
    check("/v1/ledgers/96", 404, &["96", "2 to 95"]);
    check("/v1/assets/USD", 400, &["asset", "USD"]);
    check("/v1/assets?window=2h", 400, &["window", "2h", "24h"]);
    check("/v1/export?from=5", 400, &["to", "missing"]);
    check("/v1/export?from=5&to=4", 400, &["to", "before 5"]);
    check("/v1/export?from=5&to=96", 404, &["2 to 95"]);
    check("/v1/export?from=2&to=250002", 400, &["250000"]);
    check("/v1/export?from=5&to=6&format=xml", 400, &["format", "xml"]);

    let status = get(&http, "/v1/status", "").json();
    for (key, expect) in
        [("checkpoint", json!(TIP)), ("oldest", json!(2)), ("ready", json!(true)), ("nodes", json!(1))]
    {
        assert_eq!(status[key], expect, "{key}: {status}");
    }
    // The feed has what is not durable yet.
    assert!((u64::from(TIP)..=101).contains(&status["tip"].as_u64().unwrap()), "{status}");
    assert_eq!(status["feed"], json!({ "connections": 0, "subscriptions": 0, "evicted": 0 }));
    assert_eq!(status["pipelines"], json!([{ "name": "main", "state": "running", "parked": null }]));
    let tree = get(&http, "/v1/tree", "").json();
    let printed = home.run_here(&["tree", "--output", "json"]).expect(0, "").json();
    let names = |tree: &Value| tree["nodes"][0]["tree"]["children"][0]["children"][0]["id"].clone();
    assert_eq!((names(&tree), names(&printed)), (json!("main"), json!("main")));
    let keys = |value: &Value| value.as_object().unwrap().keys().cloned().collect::<Vec<_>>();
    assert_eq!(keys(&tree), keys(&printed));
    assert_eq!(get(&http, "/v1/nodes", "").json()[0]["name"], "orrery");
    assert_eq!(get(&http, "/v1/quarantine", "").json(), json!([]));
    node.signal("-TERM");
    assert_eq!(node.end().0, Some(0));
}

#[test]
fn any_node_of_a_cluster_tells_of_all() {
    let home = Home::new();
    let dataset = home.url("dataset");
    let work = ["run", "--insecure-loopback", "--source", SOURCE, "--dataset", &dataset, "--from", "genesis"];
    let start = |name: &str, join: &[&str]| {
        let state = home.path(name).display().to_string();
        let own = ["--name", name, "--data-dir", &state, "--listen", "127.0.0.1:0", "--http", "127.0.0.1:0"];
        home.start_elsewhere(&[&work[..], &own, join].concat(), &[])
    };
    let mut first = start("one", &[]);
    let joined = first.until("address", |node| {
        let log = node.log();
        let (_, rest) =
            log.lines().find(|line| line.contains("node of a cluster"))?.split_once("address=")?;
        Some(rest.split_whitespace().next()?.to_owned())
    });
    let mut second = start("two", &["--join", &joined]);
    let http = second.http();
    let names = |nodes: &Value| -> Vec<String> {
        let names =
            nodes.as_array().into_iter().flatten().map(|node| node["name"].as_str().unwrap().to_owned());
        names.collect()
    };
    second.until("both nodes", |_| {
        let answer = get(&http, "/v1/nodes", "");
        (answer.status == 200 && names(&answer.json()) == ["one", "two"]).then_some(())
    });
    let tree = second.until("both trees", |_| {
        let tree = get(&http, "/v1/tree", "").json();
        let trees = tree["nodes"].as_array()?.iter().filter(|node| node["tree"]["id"] == "node");
        (trees.count() == 2).then_some(tree)
    });
    assert_eq!(names(&tree["nodes"]), ["one", "two"]);
    let status = second.until("the dataset's tip", |_| {
        let answer = get(&http, "/v1/status", "");
        (answer.status == 200 && answer.json()["checkpoint"] == TIP).then(|| answer.json())
    });
    assert_eq!((&status["nodes"], &status["node"]), (&json!(2), &json!("two")));
    assert!(
        get(&http, "/v1/nodes", "").json().as_array().unwrap().iter().any(|node| node["coordinator"] == true)
    );
}
