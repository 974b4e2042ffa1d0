//! Signals, and a second node where one runs.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use serde_json::{Value, json};

use crate::process::{Home, assert_same, files, get, wait_for};
use crate::reader::Reader;

/// A clean end takes no longer, with nothing away.
const SECONDS: Duration = Duration::from_secs(5);

const SOURCE: &str = "synthetic:?ledgers=300&density=sparse";

#[test]
fn an_interrupted_run_ends_in_seconds_and_goes_on_where_it_was() {
    let undisturbed = Home::new();
    let to = ["--from", "genesis", "--to", "301", "--grid", "2:4"];
    undisturbed.backfill(SOURCE, &undisturbed.url("dataset"), &to).expect(0, "complete");

    let home = Home::new();
    let (dataset, paced) = (home.url("dataset"), format!("{SOURCE}&rate=200"));
    for signal in ["-INT", "-TERM"] {
        let arguments =
            ["run", "--source", &paced, "--dataset", &dataset, "--from", "genesis", "--grid", "2:4"];
        let mut node = home.start(&arguments, &[]);
        node.until_committed();
        node.signal(signal);
        let (code, taken) = node.end();
        assert_eq!(code, Some(0), "{}", node.log());
        assert!(node.stdout().starts_with("drained: every ledger up to "), "{}", node.stdout());
        assert!(taken < SECONDS, "{taken:?}");
    }
    let arguments =
        [&["backfill", "--source", SOURCE, "--dataset", &dataset, "--log", "info"][..], &to].concat();
    let mut node = home.start(&arguments, &[]);
    node.until_committed();
    node.signal("-INT");
    let (code, taken) = node.end();
    // It may have been faster.
    assert!([Some(130), Some(0)].contains(&code), "{code:?} {}", node.log());
    assert!(taken < SECONDS, "{taken:?}");
    home.backfill(SOURCE, &dataset, &to).expect(0, "");
    home.backfill(SOURCE, &dataset, &to).expect(0, "nothing to do");
    assert_same(&files(&home.path("dataset")), &files(&undisturbed.path("dataset")));
}

#[test]
fn an_interrupt_is_how_a_demo_ends() {
    let home = Home::new();
    let out = home.path("demo").display().to_string();
    let mut node = home.start_elsewhere(&["demo", "--density", "sparse", "--rate", "50", "--out", &out], &[]);
    node.until_committed();
    node.signal("-INT");
    let (code, taken) = node.end();
    assert_eq!(code, Some(0), "{}", node.log());
    assert!(taken < SECONDS, "{taken:?}");
    assert!(node.stdout().contains("duckdb -c"), "{}", node.stdout());
}

#[test]
fn a_second_node_on_the_same_state_is_refused() {
    let home = Home::new();
    let (dataset, paced) = (home.url("dataset"), format!("{SOURCE}&rate=20"));
    let mut node = home.start(&["run", "--source", &paced, "--dataset", &dataset, "--from", "genesis"], &[]);
    node.until("tree", |node| node.actor(&["pipelines", "main"]));
    for command in ["run", "backfill"] {
        let arguments = [command, "--source", SOURCE, "--dataset", &dataset, "--to", "9"];
        home.run_here(&arguments).expect(69, "another process uses this node's state");
    }
    // Nor on the same port.
    let held = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = held.local_addr().unwrap().to_string();
    let other = Home::new();
    let (other_dataset, arguments) = (other.url("dataset"), ["--to", "9", "--http", address.as_str()]);
    other.backfill(&paced, &other_dataset, &arguments).expect(69, "node.http: listen on");
    // The first one is not disturbed, and still answers.
    assert_eq!(node.actor(&["pipelines", "main"]).unwrap()["restarts_total"], 0);
    node.signal("-INT");
    assert_eq!(node.end().0, Some(0));
}

#[test]
fn a_node_that_ends_says_so_sends_its_readers_on_and_then_closes() {
    let home = Home::new();
    let (dataset, paced) = (home.url("dataset"), "synthetic:?ledgers=100000&density=sparse&rate=50");
    let mut node = home.follow(paced, &dataset, &["--from", "genesis", "--grid", "2:8"], &[]);
    let http = node.http();
    let connect = || {
        let mut reader = None;
        wait_for("feed", || {
            reader = Reader::connect(&http, "/v1/feed");
            reader.is_some()
        });
        let mut reader = reader.unwrap();
        reader.subscribe("oldest", &json!({}));
        let cursor = reader.hear_until("events")["cursor"].as_str().unwrap().to_owned();
        (reader, cursor)
    };
    let ((mut reader, mut cursor), stuck) = (connect(), connect());
    let mut events = TcpStream::connect(&http).unwrap();
    write!(events, "GET /v1/feed.sse?from=oldest HTTP/1.1\r\nHost: {http}\r\nConnection: close\r\n\r\n")
        .unwrap();
    let mut began = [0; 64];
    events.read_exact(&mut began).unwrap();
    assert!(began.starts_with(b"HTTP/1.1 200"));
    node.signal("-TERM");
    // While a reader does not go, the node answers, and says that nobody should come.
    let mut answer = (200, String::new());
    wait_for("the end of readiness", || {
        answer = get(&http, "/readyz");
        answer.0 == 503
    });
    assert!(answer.1.contains("draining"), "{}", answer.1);
    assert_eq!(get(&http, "/healthz/traffic").0, 503);
    assert!(Reader::connect(&http, "/v1/feed").is_none(), "a reader was let in");
    let close = loop {
        let message = reader.hear().unwrap();
        match message["type"].as_str().unwrap() {
            "events" => message["cursor"].as_str().unwrap().clone_into(&mut cursor),
            "closed" => break message["close"].clone(),
            _ => {}
        }
    };
    let place = |cursor: &str| cursor.split(':').next().unwrap().parse::<u32>().unwrap();
    assert_eq!(close[0], 1001, "{close}");
    assert!(place(close[1].as_str().unwrap()) >= place(&cursor), "{close} after {cursor}");
    let mut rest = Vec::new();
    events.read_to_end(&mut rest).unwrap();
    assert!(rest.ends_with(b"\n\n\r\n0\r\n\r\n"), "{}", String::from_utf8_lossy(&rest[rest.len() - 80..]));
    assert_eq!(node.end().0, Some(0), "{}", node.log());
    assert!(TcpStream::connect(&http).is_err());
    drop(stuck);
}

#[test]
fn an_operator_takes_a_node_out_of_traffic_and_gives_it_back() {
    let home = Home::new();
    let mut node = home.follow(SOURCE, &home.url("dataset"), &["--from", "genesis", "--grid", "2:8"], &[]);
    let http = node.http();
    node.until("traffic", |_| {
        (get(&http, "/healthz/traffic") == (200, "{\"traffic\":true}".to_owned())).then_some(())
    });
    let file = home.path("state/out-of-traffic");
    std::fs::write(&file, "the disk is being changed\n").unwrap();
    let (status, body) = get(&http, "/healthz/traffic");
    let answer: Value = serde_json::from_str(&body).unwrap();
    assert_eq!(
        (status, &answer["traffic"], &answer["reasons"][0]["reason"]),
        (503, &json!(false), &json!("out_of_traffic"))
    );
    let detail = answer["reasons"][0]["detail"].as_str().unwrap();
    assert!(detail.starts_with("the disk is being changed; ") && detail.contains("is deleted"), "{detail}");
    assert_eq!(get(&http, "/readyz").0, 200);
    std::fs::remove_file(&file).unwrap();
    assert_eq!(get(&http, "/healthz/traffic").0, 200);
}

/// Status of a request with a token.
fn with_token(http: &str, token: &str) -> u16 {
    let mut stream = TcpStream::connect(http).unwrap();
    let head = format!("GET /v1/quarantine HTTP/1.1\r\nHost: {http}\r\nAuthorization: Bearer {token}\r\n");
    write!(stream, "{head}Connection: close\r\n\r\n").unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer.split(' ').nth(1).unwrap().parse().unwrap()
}

#[test]
fn a_hang_up_has_a_node_read_its_tokens_again_and_go_on() {
    let home = Home::new();
    let made = ["one", "two"]
        .map(|name| home.run(&["--output", "json", "token", name, "--role", "viewer"]).expect(0, "").json());
    let text = |of: &Value, key: &str| of[key].as_str().unwrap().to_owned();
    let config = home.path("orrery.toml");
    let write = |hashed: &str| {
        let tokens = format!("[http]\nanonymous = \"nobody\"\ntokens = [{hashed:?}]\n");
        std::fs::write(&config, tokens).unwrap();
    };
    write(&text(&made[0], "configuration"));
    let more = ["--from", "genesis", "--config", config.to_str().unwrap()];
    let mut node = home.follow(SOURCE, &home.url("dataset"), &more, &[]);
    let http = node.http();
    let tokens = [text(&made[0], "token"), text(&made[1], "token")];
    let statuses = || [with_token(&http, &tokens[0]), with_token(&http, &tokens[1])];
    node.until("the node", |_| (statuses() == [200, 401]).then_some(()));
    write(&text(&made[1], "configuration"));
    node.signal("-HUP");
    node.until("other tokens", |_| (statuses() == [401, 200]).then_some(()));
    std::fs::write(&config, "[http\n").unwrap();
    node.signal("-HUP");
    node.until("a complaint", |node| node.log().contains("its tokens stay as they were").then_some(()));
    assert_eq!(statuses(), [401, 200]);
    node.signal("-TERM");
    assert_eq!(node.end().0, Some(0), "{}", node.log());
}

#[test]
fn a_hang_up_has_a_node_take_up_its_new_certificates_at_once() {
    let home = Home::new();
    home.run(&["certs", "init", "--dir", "ca", "--cluster", "test"]).expect(0, "");
    home.run(&["certs", "issue", "a", "--dir", "ca"]).expect(0, "");
    let config = "[http]\ntls_certificate = \"ca/a/node.pem\"\ntls_key = \"ca/a/node.key\"\n";
    std::fs::write(home.path("orrery.toml"), config).unwrap();
    let cluster = ["--listen", "127.0.0.1:0", "--certificates", "ca/a", "--config", "orrery.toml"];
    let more = [&cluster[..], &["--from", "genesis"]].concat();
    let mut node = home.follow(SOURCE, &home.url("dataset"), &more, &[]);
    node.until("commit", |node| node.log().contains("slot committed").then_some(()));
    home.run(&["certs", "issue", "a", "--dir", "ca", "--out", "renewed"]).expect(0, "");
    for file in ["node.pem", "node.key"] {
        std::fs::copy(home.path(&format!("renewed/{file}")), home.path(&format!("ca/a/{file}"))).unwrap();
    }
    let denied = format!("{config}[cluster]\ndenied_names = [\"old-laptop\"]\n");
    std::fs::write(home.path("orrery.toml"), denied).unwrap();
    node.signal("-HUP");
    node.until("denied names", |node| node.log().contains("names are denied from now on").then_some(()));
    // Nobody connects, so that nothing else has it look.
    node.until("its certificate", |node| node.log().contains("another certificate is served").then_some(()));
    // Perhaps it looked by itself just before.
    node.until("the cluster's", |node| node.log().contains("new connections use it").then_some(()));
    node.signal("-TERM");
    assert_eq!(node.end().0, Some(0), "{}", node.log());
}
