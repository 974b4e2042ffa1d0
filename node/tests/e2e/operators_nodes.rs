//! What an operator has a cluster do over HTTP: through any node, for all of them, or for another one.

use std::io::{Read, Write};
use std::net::TcpStream;

use serde_json::{Value, json};

use crate::process::{Home, Node};

/// Two nodes of one dataset that let nobody in without a token, and where each is asked over HTTP.
struct Two {
    nodes: [Node; 2],
    http: [String; 2],
    tokens: [String; 2],
}

impl Two {
    /// Both, when each knows of the other.
    fn new(home: &Home) -> Self {
        let made = ["viewer", "operator"].map(|role| {
            let made = home.run(&["token", role, "--role", role, "--output", "json"]).expect(0, "").json();
            (text(&made["token"]), text(&made["configuration"]))
        });
        let lines = format!("[\"{}\",\"{}\"]", made[0].1, made[1].1);
        let variables = [
            ("ORRERY_HTTP__TOKENS", lines.as_str()),
            ("ORRERY_HTTP__ANONYMOUS", "nobody"),
            // What waits here asks all the time.
            ("ORRERY_HTTP__REQUESTS_PER_SECOND", "0"),
        ];
        let (dataset, source) = (home.url("dataset"), "synthetic:?ledgers=1000000&density=sparse&rate=50");
        let start = |name: &str, more: &[&str]| {
            let state = home.path(name).display().to_string();
            let work = ["run", "--insecure-loopback", "--source", source, "--dataset", &dataset];
            let own = ["--from", "genesis", "--grid", "2:8", "--name", name, "--data-dir", &state];
            let addresses = ["--listen", "127.0.0.1:0", "--http", "127.0.0.1:0", "--workers", "1"];
            home.start_elsewhere(&[&work[..], &own, &addresses, more].concat(), &variables)
        };
        let mut first = start("a", &[]);
        let listens = first.until("address", |node| {
            let log = node.log();
            let line = log.lines().find(|line| line.contains("node of a cluster"))?;
            Some(line.split_once("address=")?.1.split_whitespace().next()?.to_owned())
        });
        let mut second = start("b", &["--join", &listens]);
        let http = [first.http(), second.http()];
        let [(viewer, _), (operator, _)] = made;
        let mut two = Self { nodes: [first, second], http, tokens: [viewer, operator] };
        for asked in 0..2 {
            two.until_running(asked);
        }
        two
    }

    /// Waits until this node sees the pipeline of both at work.
    fn until_running(&mut self, asked: usize) {
        let (http, token) = (self.http[asked].clone(), self.tokens[0].clone());
        self.nodes[asked].until("both pipelines at work", |_| {
            let (status, tree) = ask(&http, &token, "GET", "/v1/tree");
            let states = pipelines(&tree);
            (status == 200 && states == ["running", "running"]).then_some(())
        });
    }

    /// Waits until the pipeline is parked on both nodes.
    fn until_parked(&mut self) {
        for node in &mut self.nodes {
            node.until("parking", |node| {
                (node.actor(&["pipelines", "main"])?["state"] == "parked").then_some(())
            });
        }
    }

    fn post(&self, asked: usize, who: usize, path: &str) -> (u16, Value) {
        ask(&self.http[asked], &self.tokens[who], "POST", path)
    }
}

fn text(value: &Value) -> String {
    value.as_str().unwrap().to_owned()
}

/// The state of each node's pipeline.
fn pipelines(tree: &Value) -> Vec<String> {
    let nodes = tree["nodes"].as_array().into_iter().flatten();
    let of = |node: &Value| {
        let groups = node["tree"]["children"].as_array()?;
        let pipelines = groups.iter().find(|group| group["id"] == "pipelines")?["children"].as_array()?;
        Some(text(&pipelines.iter().find(|pipeline| pipeline["id"] == "main")?["state"]))
    };
    nodes.filter_map(of).collect()
}

/// Status and body of a request.
fn ask(http: &str, token: &str, method: &str, path: &str) -> (u16, Value) {
    let mut stream = TcpStream::connect(http).unwrap();
    write!(stream, "{method} {path} HTTP/1.0\r\nHost: {http}\r\nAuthorization: Bearer {token}\r\nContent-Length: 0\r\n\r\n")
        .unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    (head.split(' ').nth(1).unwrap().parse().unwrap(), serde_json::from_str(body).unwrap_or(Value::Null))
}

/// The names of the nodes that have done it.
fn done(answer: &Value) -> Vec<String> {
    let mut names: Vec<_> =
        answer["nodes"].as_array().unwrap().iter().map(|node| text(&node["node"])).collect();
    names.sort();
    names
}

#[test]
fn any_node_parks_resumes_and_drains_for_an_operator() {
    let home = Home::new();
    let mut two = Two::new(&home);
    let (viewer, operator, park) = (0, 1, "/v1/pipelines/main/park");
    assert_eq!(two.post(1, viewer, park).0, 403);
    // Through the one that joined, on both.
    let (status, answer) = two.post(1, operator, park);
    assert_eq!((status, done(&answer)), (200, vec!["a".to_owned(), "b".to_owned()]), "{answer}");
    two.until_parked();
    // It holds for work that a coordinator gives out, too: nothing more becomes durable through the other.
    let (status, answer) = two.post(0, operator, "/v1/pipelines/main/resume");
    assert_eq!((status, done(&answer)), (200, vec!["a".to_owned(), "b".to_owned()]), "{answer}");
    for asked in 0..2 {
        two.until_running(asked);
    }
    // What is nowhere.
    assert_eq!(two.post(0, operator, "/v1/nodes/c/drain").0, 404);
    assert_ne!(two.post(0, operator, "/v1/pipelines/other/park").0, 200);
    // The one that joined leaves, and was told so by the other.
    assert_eq!(two.post(1, viewer, "/v1/nodes/b/drain").0, 403);
    let (status, answer) = two.post(0, operator, "/v1/nodes/b/drain");
    assert_eq!((status, &answer["nodes"][0]["node"]), (200, &json!("b")), "{answer}");
    assert_eq!(two.nodes[1].end().0, Some(0), "{}", two.nodes[1].log());
    let (http, token) = (two.http[0].clone(), two.tokens[0].clone());
    two.nodes[0].until("one pipeline at work", |_| {
        (pipelines(&ask(&http, &token, "GET", "/v1/tree").1) == ["running"]).then_some(())
    });
    // Each told its own log who had it done.
    let audit = |node: &str| std::fs::read_to_string(home.path(node).join("audit.jsonl")).unwrap();
    let has = |log: &str, action: &str| {
        let entries = log.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
        entries.into_iter().any(|entry| entry["action"] == action && entry["who"] == "operator")
    };
    assert!(has(&audit("b"), "park") && has(&audit("a"), "resume") && has(&audit("a"), "drain"));
}
