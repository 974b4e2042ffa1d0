//! A real Prometheus and a real Alertmanager watch three real nodes, with the configuration that is shipped.
//!
//! Only times are shorter: rules wait for a sixth of what they say (`for`), targets are looked at every five seconds, and
//! instead of PagerDuty, Slack and mail one hook is told, which notes for whom it was. The simulated network's ledgers closed
//! long ago, so that alerts about their age fire from the beginning: what is looked at is what a killed node adds to that.

use std::collections::BTreeSet;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};

use serde_json::Value;

use crate::process::{Home, Node, get, wait_for};
use crate::tools::{files, ops, program, read, succeeds};

/// Waiting times of rules are divided by it.
const FASTER: u64 = 6;

/// A busy machine may be late with its work, which has alerts too.
const OF_LOAD: [&str; 9] = [
    "OrreryLagFetch",
    "OrreryLagProcess",
    "OrreryLagCommit",
    "OrreryCommitSlow",
    "OrreryHttpSlow",
    "OrreryScrapeSlow",
    "OrreryMemoryGrows",
    "OrreryNetworkStandsStill",
    "OrreryCreditStall",
];

/// A program that runs until the test ends.
pub(crate) struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

pub(crate) fn run(command: &mut Command, log: &Path) -> Running {
    let log = std::fs::File::create(log).unwrap();
    command.stdin(Stdio::null()).stdout(log.try_clone().unwrap()).stderr(log);
    Running(command.spawn().unwrap())
}

/// An address that nobody listens on now.
pub(crate) fn free() -> String {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string()
}

/// What an HTTP server answers as JSON; `None` while it does not. Of HTTP/1.0, so that it comes in one piece.
fn ask(address: &str, path: &str) -> Option<Value> {
    let mut stream = TcpStream::connect(address).ok()?;
    write!(stream, "GET {path} HTTP/1.0\r\nHost: {address}\r\n\r\n").ok()?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).ok()?;
    serde_json::from_str(answer.split_once("\r\n\r\n")?.1).ok()
}

/// What was told: for whom, firing or resolved, which alert, of which instance.
type Told = (String, String, String, String);

/// A hook that notes what it is told, for ever.
fn hook() -> (String, Arc<Mutex<Vec<Told>>>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let (address, told) = (listener.local_addr().unwrap().to_string(), Arc::<Mutex<Vec<Told>>>::default());
    let noted = told.clone();
    let serve = move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let (mut bytes, mut part) = (Vec::new(), [0; 4096]);
            let message: Value = loop {
                let count = stream.read(&mut part).unwrap_or(0);
                bytes.extend(&part[..count]);
                let body = bytes.windows(4).position(|end| end == b"\r\n\r\n").map(|at| &bytes[at + 4..]);
                if let Some(message) = body.and_then(|body| serde_json::from_slice(body).ok()) {
                    break message;
                }
                if count == 0 {
                    break Value::Null;
                }
            };
            let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
            for alert in message["alerts"].as_array().into_iter().flatten() {
                let labels = &alert["labels"];
                let one = (
                    text(&message["receiver"]),
                    text(&alert["status"]),
                    text(&labels["alertname"]),
                    text(&labels["instance"]),
                );
                noted.lock().unwrap().push(one);
            }
            let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
        }
    };
    std::thread::Builder::new().spawn(serve).unwrap();
    (address, told)
}

/// The rules, which wait for less.
fn faster(rules: &str) -> String {
    let line = |line: &str| match line.trim_start().strip_prefix("for: ") {
        Some(time) => {
            let (number, unit) = time.split_at(time.len() - 1);
            let seconds = number.parse::<u64>().unwrap() * if unit == "h" { 3600 } else { 60 } / FASTER;
            format!("        for: {seconds}s")
        }
        None => line.to_owned(),
    };
    rules.lines().map(line).collect::<Vec<_>>().join("\n") + "\n"
}

/// The shipped configuration of Prometheus in a folder, with these targets.
fn prometheus_in(folder: &Path, nodes: &[String], prometheus: &str, alertmanager: &str) {
    for part in ["rules", "targets"] {
        std::fs::create_dir_all(folder.join(part)).unwrap();
    }
    for file in files("monitoring/prometheus/rules", ".yaml") {
        let name = Path::new(&file).file_name().unwrap();
        std::fs::write(folder.join("rules").join(name), faster(&read(&file))).unwrap();
    }
    let config = read("monitoring/prometheus/prometheus.yaml");
    let config = config.replace("scrape_interval: 15s", "scrape_interval: 5s");
    let config = config.replace("scrape_timeout: 10s", "scrape_timeout: 5s");
    std::fs::write(
        folder.join("prometheus.yaml"),
        config.replace("evaluation_interval: 15s", "evaluation_interval: 1s"),
    )
    .unwrap();
    for file in files("monitoring/prometheus/targets", ".yaml") {
        let targets =
            |addresses: &[String]| format!("- targets: {addresses:?}\n  labels: {{cluster: local}}\n");
        let text = match Path::new(&file).file_stem().unwrap().to_str().unwrap() {
            "nodes" => targets(nodes),
            "prometheus" => targets(&[prometheus.to_owned()]),
            "alertmanager" => targets(&[alertmanager.to_owned()]),
            _ => "[]\n".to_owned(),
        };
        std::fs::write(folder.join("targets").join(Path::new(&file).file_name().unwrap()), text).unwrap();
    }
}

/// The shipped configuration of Alertmanager: routes and inhibition as they are, every receiver is the hook.
fn alertmanager_in(path: &Path, hook: &str) {
    let text = std::fs::read_to_string(ops("monitoring/alertmanager/alertmanager.yaml")).unwrap();
    let (routes, receivers) = text.split_once("\nreceivers:\n").unwrap();
    let (_, routes) = routes.split_once("\nroute:\n").unwrap();
    let line = |line: &str| {
        let (key, value) = line.split_once(": ").unwrap_or((line, ""));
        match key.trim() {
            "group_wait" if value != "0s" => format!("{key}: 5s"),
            "group_interval" => format!("{key}: 5s"),
            _ => line.to_owned(),
        }
    };
    let routes: Vec<_> = routes.lines().map(line).collect();
    let names = receivers.lines().filter_map(|line| line.strip_prefix("  - name: "));
    let receivers = names.map(|name| {
        format!("  - name: {name}\n    webhook_configs: [{{url: 'http://{hook}/', send_resolved: true}}]\n")
    });
    let config = format!("route:\n{}\nreceivers:\n{}", routes.join("\n"), receivers.collect::<String>());
    std::fs::write(path, config).unwrap();
}

/// Starts a node of the cluster; `http` and `listen` are its addresses.
fn node(home: &Home, name: &str, http: &str, more: &[&str]) -> Node {
    let (state, dataset) = (home.path(&format!("state-{name}")), home.url("dataset"));
    let source = "synthetic:?ledgers=100000&density=sparse&rate=5";
    let work = [
        "run",
        "--source",
        source,
        "--dataset",
        &dataset,
        "--from",
        "genesis",
        "--http",
        http,
        "--workers",
        "1",
    ];
    let own = [
        "--name",
        name,
        "--data-dir",
        state.to_str().unwrap(),
        "--insecure-loopback",
        "--listen",
        "127.0.0.1:0",
    ];
    home.start_elsewhere(&[&work[..], &own, more].concat(), &[])
}

/// Alerts that fire, by name and instance.
fn firing(prometheus: &str) -> Option<BTreeSet<(String, String)>> {
    let alerts = ask(prometheus, "/api/v1/alerts")?;
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let firing = alerts["data"]["alerts"].as_array()?.iter().filter(|alert| alert["state"] == "firing");
    Some(
        firing
            .map(|alert| (text(&alert["labels"]["alertname"]), text(&alert["labels"]["instance"])))
            .collect(),
    )
}

/// Whether all targets are there and answer.
fn are_up(prometheus: &str, count: usize) -> bool {
    let Some(targets) = ask(prometheus, "/api/v1/targets?state=active") else { return false };
    let targets = targets["data"]["activeTargets"].as_array().cloned().unwrap_or_default();
    targets.len() == count && targets.iter().all(|target| target["health"] == "up")
}

#[test]
fn a_killed_node_is_told_as_such_and_so_is_its_return() {
    let (Some(mut prometheus), Some(mut alertmanager)) = (
        program("ORRERY_PROMETHEUS", "prometheus"),
        program("ORRERY_ALERTMANAGER", "prometheus-alertmanager"),
    ) else {
        return;
    };
    let home = Home::new();
    let mut first = node(&home, "a", "127.0.0.1:0", &[]);
    let joined = first.until("address", |node| {
        let log = node.log();
        let line = log.lines().find(|line| line.contains("node of a cluster"))?;
        Some(line.split_once("address=")?.1.split_whitespace().next()?.to_owned())
    });
    let join = ["--join", joined.as_str()];
    let mut second = node(&home, "b", "127.0.0.1:0", &join);
    // It never coordinates: who does is another matter, with alerts of its own.
    let works = [&join[..], &["--roles", "fetcher,processor,sink"]].concat();
    let mut third = node(&home, "c", "127.0.0.1:0", &works);
    let nodes = [first.http(), second.http(), third.http()];
    for http in &nodes {
        let all = "orrery_cluster_members{state=\"alive\"} 3\n";
        wait_for("three nodes", || get(http, "/metrics").1.contains(all));
    }
    let (watches, tells) = (free(), free());
    let (hook, told) = hook();
    let folder = home.path("prometheus");
    prometheus_in(&folder, &nodes, &watches, &tells);
    alertmanager_in(&home.path("alertmanager.yaml"), &hook);
    let argument = |name: &str, path: &str| format!("--{name}={}", home.path(path).display());
    let _tells = run(
        alertmanager
            .args([argument("config.file", "alertmanager.yaml"), argument("storage.path", "told")])
            .args([format!("--web.listen-address={tells}"), "--cluster.listen-address=".to_owned()]),
        &home.path("alertmanager.log"),
    );
    let _watches = run(
        prometheus
            .args([
                argument("config.file", "prometheus/prometheus.yaml"),
                argument("storage.tsdb.path", "series"),
            ])
            .arg(format!("--web.listen-address={watches}")),
        &home.path("prometheus.log"),
    );
    wait_for("all targets up", || are_up(&watches, nodes.len() + 2));
    for http in &nodes {
        check_metrics(&home, &get(http, "/metrics").1);
    }
    // What needs no more than the simulated network's old ledgers has come when the slowest of it has.
    let slowest = "OrreryLedgerAgeCritical".to_owned();
    wait_for("old ledgers", || {
        firing(&watches).is_some_and(|firing| firing.iter().any(|(name, _)| *name == slowest))
    });
    let is_told = |status: &str, alert: &str, receiver: &str| {
        let wanted = (receiver, status, alert, nodes[2].as_str());
        told.lock().unwrap().iter().any(|(to, how, what, of)| (&**to, &**how, &**what, &**of) == wanted)
    };
    assert!(!is_told("firing", "OrreryNodeDown", "pagerduty"), "{:?}", told.lock().unwrap());
    let (before, told_before) = (firing(&watches).unwrap(), told.lock().unwrap().len());
    third.signal("-KILL");
    third.end();
    for receiver in ["pagerduty", "slack"] {
        wait_for("an alert", || is_told("firing", "OrreryNodeDown", receiver));
    }
    let known: BTreeSet<&str> = before.iter().map(|(name, _)| name.as_str()).chain(OF_LOAD).collect();
    let new: BTreeSet<(String, String)> = told.lock().unwrap()[told_before..]
        .iter()
        .filter(|(_, status, name, _)| {
            status == "firing" && !known.contains(name.as_str()) && !is_of_age(name)
        })
        .map(|(.., name, instance)| (name.clone(), instance.clone()))
        .collect();
    assert_eq!(new, [("OrreryNodeDown".to_owned(), nodes[2].clone())].into(), "{before:?}");
    let mut back = node(&home, "c", &nodes[2], &works);
    assert_eq!(back.http(), nodes[2]);
    wait_for("all targets up again", || are_up(&watches, nodes.len() + 2));
    for receiver in ["pagerduty", "slack"] {
        wait_for("the end of it", || is_told("resolved", "OrreryNodeDown", receiver));
    }
    assert!(firing(&watches).unwrap().iter().all(|(name, _)| name != "OrreryNodeDown"));
}

/// The ledgers are old for longer and longer, and a machine that tests may have a full disk.
fn is_of_age(alert: &str) -> bool {
    ["OrrerySloFreshness", "OrreryFeedTipOld", "OrreryLedgerAge", "OrreryBackupUnknown", "OrreryDisk"]
        .iter()
        .any(|beginning| alert.starts_with(beginning))
}

/// Prometheus's own tool has nothing to say about it.
fn check_metrics(home: &Home, text: &str) {
    let Some(mut promtool) = program("ORRERY_PROMTOOL", "promtool") else { return };
    let path = home.path("metrics.txt");
    std::fs::write(&path, text).unwrap();
    let said = succeeds(promtool.args(["check", "metrics"]).stdin(std::fs::File::open(path).unwrap()));
    assert!(said.trim().is_empty(), "{said}");
}
