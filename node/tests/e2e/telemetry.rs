//! What a node tells: metrics that Prometheus takes, and spans from the fetch to the commit.

use std::collections::BTreeSet;
use std::io::{Read, Write};
use std::net::TcpListener;
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex};

use crate::process::{Home, get};

/// Checks the text form of Prometheus: with its own tool where that is installed, and line by line anyway.
fn check_metrics(text: &str) {
    let mut typed = BTreeSet::new();
    for line in text.lines().filter(|line| !line.is_empty()) {
        if let Some(comment) = line.strip_prefix("# ") {
            let words: Vec<_> = comment.splitn(3, ' ').collect();
            assert!(["HELP", "TYPE"].contains(&words[0]) && words.len() == 3, "{line}");
            if words[0] == "TYPE" {
                assert!(typed.insert(words[1].to_owned()), "two types: {line}");
            }
            continue;
        }
        let (name, value) = line.rsplit_once(' ').unwrap();
        value.parse::<f64>().unwrap();
        let name = name.split('{').next().unwrap();
        let is_typed = ["", "_bucket", "_sum", "_count"]
            .iter()
            .any(|suffix| name.strip_suffix(suffix).is_some_and(|name| typed.contains(name)));
        assert!(is_typed && (name.starts_with("orrery_") || name.starts_with("process_")), "{line}");
    }
    let program = std::env::var_os("ORRERY_PROMTOOL");
    let mut tool = Command::new(program.as_deref().unwrap_or("promtool".as_ref()));
    let tool =
        tool.args(["check", "metrics"]).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut tool = match tool.spawn() {
        Ok(tool) => tool,
        Err(error) if program.is_some() => panic!("{program:?}: {error}"),
        Err(_) => {
            eprintln!("skipped: no promtool (Debian package prometheus)");
            return;
        }
    };
    tool.stdin.take().unwrap().write_all(text.as_bytes()).unwrap();
    let output = tool.wait_with_output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && said.is_empty(), "{}: {said}", output.status);
}

#[test]
fn metrics_say_what_a_node_does() {
    let home = Home::new();
    let (dataset, source) = (home.url("dataset"), "synthetic:?ledgers=100000&density=sparse&rate=100");
    let mut node = home.follow(source, &dataset, &["--from", "genesis"], &[]);
    let http = node.http();
    node.until_committed();
    home.run_here(&["kill", "pipelines/main/processor"]).expect(0, "");
    let text = node.until("restart", |_| {
        let (status, text) = get(&http, "/metrics");
        assert_eq!(status, 200);
        // Whoever sends to it may fail, and be counted, before it is.
        let is_counted = text.contains("child=\"processor\",kind=\"killed\"");
        // Every metric of the data path, once the pipeline is under way again.
        (is_counted && text.contains("orrery_sink_commit_seconds_count{")).then_some(text)
    });
    check_metrics(&text);
    let value = |name: &str| {
        let line = text.lines().find(|line| line.starts_with(name) && !line.starts_with('#'));
        line.unwrap_or_else(|| panic!("no {name}:\n{text}"))
            .rsplit_once(' ')
            .unwrap()
            .1
            .parse::<f64>()
            .unwrap()
    };
    assert!(value("orrery_source_received_ledgers_total") >= value("orrery_processor_sent_ledgers_total"));
    assert!(value("orrery_sink_checkpoint_ledger") >= 15.0);
    assert!(value("orrery_processor_in_flight_batches") >= 0.0);
    assert!((value("orrery_pipeline_parked"), value("orrery_build_info")) == (0.0, 1.0));
    assert!(value("orrery_supervisor_restarts_total") >= 1.0);
    assert_eq!(get(&http, "/nothing").0, 404);
}

/// Heads and bodies.
pub(crate) type Posted = Arc<Mutex<Vec<(String, Vec<u8>)>>>;

/// Takes what is posted to it, for ever.
pub(crate) fn collector() -> (String, Posted) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = format!("http://{}", listener.local_addr().unwrap());
    let posted = Arc::new(Mutex::new(Vec::new()));
    let seen = posted.clone();
    let serve = move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let mut bytes = Vec::new();
            let mut part = [0; 4096];
            let (head, body) = loop {
                let count = stream.read(&mut part).unwrap_or(0);
                bytes.extend(&part[..count]);
                let end = bytes.windows(4).position(|end| end == b"\r\n\r\n");
                let Some(end) = end else {
                    if count == 0 {
                        break (String::new(), Vec::new());
                    }
                    continue;
                };
                let head = String::from_utf8_lossy(&bytes[..end]).to_ascii_lowercase();
                let length = head.lines().find_map(|line| line.strip_prefix("content-length: "));
                let length: usize = length.unwrap().trim().parse().unwrap();
                if bytes.len() >= end + 4 + length {
                    break (head, bytes[end + 4..].to_vec());
                }
            };
            seen.lock().unwrap().push((head, body));
            let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
        }
    };
    std::thread::Builder::new().spawn(serve).unwrap();
    (address, posted)
}

#[test]
fn spans_from_fetch_to_commit_reach_a_collector() {
    let (address, posted) = collector();
    let home = Home::new();
    let (dataset, source) = (home.url("dataset"), "synthetic:?ledgers=40&density=sparse");
    let more = ["--from", "genesis", "--to", "41", "--grid", "2:16"];
    let variables = [("ORRERY_TELEMETRY__OTLP", address.as_str())];
    let ended = home.backfill_with(source, &dataset, &more, &variables).expect(0, "complete");
    assert_eq!(ended.stderr(), "", "only warnings are logged");
    let posted = posted.lock().unwrap();
    assert!(!posted.is_empty());
    let mut all = Vec::new();
    for (head, body) in posted.iter() {
        assert!(head.starts_with("post /v1/traces http/1.1"), "{head}");
        assert!(head.contains("content-type: application/x-protobuf"), "{head}");
        all.extend(body);
    }
    let count = |name: &str| spans(&all, name);
    // One of each a ledger and output, but for the commits: 2-15, 16-31, 32-41, in two tables.
    assert_eq!(["ledgers", "fetch", "process"].map(count), [40, 40, 40]);
    assert_eq!(["write", "commit"].map(count), [80, 6]);
    for text in ["orrery", "main", "token_transfers", "service.instance.id"] {
        assert!(all.windows(text.len()).any(|part| part == text.as_bytes()), "{text}");
    }
}

#[test]
fn a_collector_that_is_away_is_told_once_and_counted() {
    let held = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = format!("http://{}", held.local_addr().unwrap());
    drop(held);
    let home = Home::new();
    let (dataset, source) = (home.url("dataset"), "synthetic:?ledgers=100000&density=sparse&rate=200");
    let collector = [("ORRERY_TELEMETRY__OTLP", address.as_str())];
    let mut node = home.follow(source, &dataset, &["--from", "genesis"], &collector);
    let http = node.http();
    let lost = || {
        let text = get(&http, "/metrics").1;
        let line = text.lines().find(|line| line.starts_with("orrery_telemetry_lost_spans_total "))?;
        line.rsplit_once(' ')?.1.parse::<u64>().ok()
    };
    // Batches have 512 spans: several are lost.
    node.until("losses", |_| lost().filter(|lost| *lost > 2000));
    node.until_committed();
    node.signal("-INT");
    assert_eq!(node.end().0, Some(0), "{}", node.log());
    let told = node.log().matches("spans").count();
    assert_eq!(told, 1, "{}", node.log());
    assert!(node.log().contains("the collector takes no spans, they are lost; see telemetry.otlp"));
}

/// Spans of a name in OTLP's protobuf: field 5 of a span, a text with its length in front.
fn spans(bytes: &[u8], name: &str) -> usize {
    let field = [&[5 << 3 | 2, name.len() as u8], name.as_bytes()].concat();
    bytes.windows(field.len()).filter(|part| *part == field).count()
}

#[test]
fn a_backfill_gives_a_flame_graph_of_itself_by_one_command() {
    let home = Home::new();
    let (dataset, source) = (home.url("dataset"), "synthetic:?ledgers=100000&density=sparse");
    let range = ["--from", "genesis", "--to", "90000"];
    let work = ["backfill", "--source", source, "--dataset", &dataset];
    let mut node = home.start(&[&work[..], &range].concat(), &[]);
    // From then on somebody answers.
    node.until("an answer", |node| node.ask(&serde_json::json!({ "op": "status" })));
    let picture = home.path("flame.svg");
    let asked = ["inspect", "profile", "--seconds", "1", "--out", picture.to_str().unwrap()];
    let told = home.run_here(&[&asked[..], &["--output", "json"]].concat()).expect(0, "").json();
    assert!(told["samples"].as_u64().is_some_and(|samples| samples > 0), "{told}");
    let picture = std::fs::read_to_string(picture).unwrap();
    assert!(picture.starts_with("<svg ") && picture.contains("orrery"), "{picture}");
    node.signal("-INT");
}
