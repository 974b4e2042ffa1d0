//! Every route of a running node, asked as everybody: what `ops/security/routes.md` says is so.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use serde_json::Value;

use crate::process::{Ended, Home, Node};

/// Who asks, in the order of the file's columns.
const ASKERS: [&str; 5] = ["nobody", "unknown", "viewer", "operator", "admin"];

/// A line of the file.
struct Route {
    listener: String,
    method: String,
    path: String,
    /// In the order of [`ASKERS`].
    answers: Vec<String>,
}

fn routes() -> Vec<Route> {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../ops/security/routes.md");
    let text = std::fs::read_to_string(path).unwrap();
    let cells = |line: &str| line.split('|').map(|cell| cell.trim().to_owned()).collect::<Vec<_>>();
    let lines = text.lines().filter(|line| line.starts_with("| HTTP |")).map(cells);
    lines
        .map(|cells| {
            let (method, path) = cells[3].trim_matches('`').split_once(' ').unwrap();
            let answers = cells[5..5 + ASKERS.len()].to_vec();
            Route { listener: cells[2].clone(), method: method.to_owned(), path: path.to_owned(), answers }
        })
        .collect()
}

/// Status of a request; the answer itself may have no end.
fn status(address: &str, method: &str, path: &str, headers: &str) -> u16 {
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(120))).unwrap();
    write!(stream, "{method} {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\nContent-Length: 0\r\n{headers}\r\n")
        .unwrap();
    let mut head = [0; 12];
    stream.read_exact(&mut head).unwrap();
    std::str::from_utf8(&head).unwrap().split(' ').nth(1).unwrap().parse().unwrap()
}

/// A token, and the line that lets it in.
fn token(home: &Home, role: &str) -> (String, String) {
    let made: Ended = home.run(&["token", role, "--role", role, "--output", "json"]).expect(0, "");
    let made: Value = made.json();
    (made["token"].as_str().unwrap().to_owned(), made["configuration"].as_str().unwrap().to_owned())
}

/// A node with both listeners, whom nobody may ask without a token; where it listens, and what the askers say of themselves.
fn served(home: &Home) -> (Node, [String; 2], Vec<String>) {
    let tokens = ["viewer", "operator", "admin"].map(|role| token(home, role));
    let hashed = format!("[{}]", tokens.clone().map(|(_, line)| format!("\"{line}\"")).join(","));
    let variables = [
        ("ORRERY_HTTP__TOKENS", hashed.as_str()),
        ("ORRERY_HTTP__ANONYMOUS", "nobody"),
        ("ORRERY_HTTP__REQUESTS_PER_SECOND", "0"),
        ("ORRERY_NODE__ADMIN", "127.0.0.1:0"),
    ];
    let source = "synthetic:?ledgers=40&density=sparse";
    let mut node = home.follow(source, &home.url("dataset"), &["--from", "genesis"], &variables);
    let http = node.http();
    let admin = node.until("the other listener", |node| {
        let log = node.log();
        let line = log.lines().find(|line| line.contains("INFO metrics are served"))?;
        Some(line.split_once("address=")?.1.trim().to_owned())
    });
    let bearer = |token: &str| format!("Authorization: Bearer {token}\r\n");
    let unknown = bearer("orrery_0123456789abcdef0123456789abcdef");
    let given = [String::new(), unknown].into_iter().chain(tokens.iter().map(|(token, _)| bearer(token)));
    (node, [http, admin], given.collect())
}

#[test]
fn every_route_answers_everybody_as_the_file_says() {
    let home = Home::new();
    let (mut node, [http, admin], askers) = served(&home);
    node.until("the dataset", |_| (status(&http, "GET", "/v1/ledgers/5", &askers[2]) == 200).then_some(()));
    let routes = routes();
    assert!(routes.len() > 30 && routes.iter().any(|route| route.method == "POST"));
    for route in routes {
        let address = if route.listener == "http" { &http } else { &admin };
        // Nothing of this name is there, so that nothing is changed.
        let path =
            route.path.replace("{sequence}", "7").replace("{id}", "nothing").replace("{asset}", "native");
        let path = path.replace("{name}", "nothing").replace("{path}", "nothing");
        for ((asker, headers), answer) in ASKERS.iter().zip(&askers).zip(&route.answers) {
            let found = status(address, &route.method, &path, headers);
            let is_so = match answer.as_str() {
                "yes" => ![401, 403, 405].contains(&found),
                refused => refused.parse() == Ok(found),
            };
            assert!(is_so, "{} {path} as {asker}: {found}, not {answer}", route.method);
        }
    }
}

#[test]
fn an_operator_parks_and_resumes_over_http_and_a_strangers_page_does_not() {
    let home = Home::new();
    let (mut node, [http, _], askers) = served(&home);
    let operator = &askers[3];
    node.until("the node", |_| (status(&http, "GET", "/v1/status", operator) == 200).then_some(()));
    let post = |path: &str, headers: &str| status(&http, "POST", path, headers);
    let park = "/v1/pipelines/main/park";
    for origin in ["https://evil.example", "null", "http://127.0.0.1:1"] {
        assert_eq!(post(park, &format!("{operator}Origin: {origin}\r\n")), 403, "{origin}");
    }
    assert_eq!(post(park, &askers[2]), 403);
    assert_eq!(node.actor(&["pipelines", "main"]).unwrap()["state"], "running");
    let mut until = |state: &str| {
        node.until(state, |node| (node.actor(&["pipelines", "main"])?["state"] == state).then_some(()))
    };
    assert_eq!(post(park, &format!("{operator}Origin: http://{http}\r\n")), 200);
    until("parked");
    assert_eq!(post("/v1/pipelines/main/resume", operator), 200);
    until("running");
    // What is not there, what needs others, and what makes no sense.
    assert_eq!(post("/v1/pipelines/other/park", operator), 404);
    assert_eq!(post("/v1/quarantine/7/retry", operator), 404);
    assert_eq!(post("/v1/quarantine/x/retry", operator), 400);
    assert_eq!(post("/v1/nodes/other/drain", operator), 404);
    assert_eq!(post("/v1/nodes/orrery/drain", operator), 409);
    assert_eq!(post(&format!("{park}?force=1"), operator), 400);
    assert_eq!(status(&http, "GET", park, operator), 405);
    let audit = std::fs::read_to_string(home.path("state/audit.jsonl")).unwrap();
    let entries: Vec<Value> = audit.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let of = |action: &str, who: &str, target: &str| {
        let is_it =
            |entry: &&Value| entry["action"] == action && entry["who"] == who && entry["target"] == target;
        entries.iter().filter(is_it).count()
    };
    assert_eq!((of("park", "operator", "main"), of("resume", "operator", "main")), (1, 1), "{audit}");
    assert_eq!(of("refused", "viewer", "/v1/pipelines/{name}/park"), 1, "{audit}");
    assert_eq!(of("drain", "operator", "orrery"), 1, "{audit}");
}
