//! A real blackbox exporter asks a real node, with the modules and at the paths that are shipped.

use std::net::TcpStream;

use crate::process::{Home, get, wait_for};
use crate::tools::{program, read};
use crate::watched::{free, run};

/// Where the shipped targets have a node.
const NODE: &str = "http://127.0.0.1:9464";

/// Each path that is probed, and by which module.
fn probed() -> Vec<(String, String)> {
    let (mut paths, mut probed) = (Vec::new(), Vec::new());
    for file in ["probes", "traffic"] {
        for line in read(&format!("monitoring/prometheus/targets/{file}.yaml")).lines() {
            let named = line.split(NODE).skip(1);
            paths.extend(named.map(|rest| rest.split(['"', ',', ']']).next().unwrap().trim().to_owned()));
            if let Some((_, module)) = line.split_once("module: ") {
                let module = module.trim_end_matches('}').trim();
                probed.extend(paths.drain(..).map(|path| (path, module.to_owned())));
            }
        }
    }
    assert!(paths.is_empty(), "no module for {paths:?}");
    probed
}

#[test]
fn what_readers_ask_is_probed_with_what_is_shipped() {
    let Some(mut exporter) = program("ORRERY_BLACKBOX", "prometheus-blackbox-exporter") else { return };
    let home = Home::new();
    let made = home.run(&["token", "probe", "--role", "viewer", "--output", "json"]).expect(0, "").json();
    let tokens = format!("[{}]", made["configuration"]);
    let variables = [("ORRERY_HTTP__ANONYMOUS", "nobody"), ("ORRERY_HTTP__TOKENS", &*tokens)];
    let source = "synthetic:?ledgers=100000&density=sparse&rate=5";
    let mut node = home.follow(source, &home.url("dataset"), &["--from", "genesis"], &variables);
    let http = node.http();
    wait_for("a node that is ready", || get(&http, "/readyz").0 == 200);
    let (token, config) = (home.path("probe.token"), home.path("blackbox.yaml"));
    std::fs::write(&token, made["token"].as_str().unwrap()).unwrap();
    let shipped = read("monitoring/blackbox/blackbox.yaml");
    assert!(shipped.contains("/etc/orrery/probe.token"));
    let token = token.display().to_string();
    std::fs::write(&config, shipped.replace("/etc/orrery/probe.token", &token)).unwrap();
    let address = free();
    let arguments =
        [format!("--config.file={}", config.display()), format!("--web.listen-address={address}")];
    let _exporter = run(exporter.args(arguments), &home.path("blackbox.log"));
    wait_for("exporter", || TcpStream::connect(&address).is_ok());
    let succeeds = |path: &str, module: &str| {
        let (status, text) = get(&address, &format!("/probe?target=http://{http}{path}&module={module}"));
        assert_eq!(status, 200, "{text}");
        text.contains("\nprobe_success 1\n")
    };
    let probed = probed();
    assert!(probed.len() >= 9 && probed.iter().any(|(path, _)| path == "/healthz/traffic"), "{probed:?}");
    for (path, module) in &probed {
        wait_for(path, || succeeds(path, module));
    }
    // Not whatever is asked: for who has no token, of another kind, and where nothing is.
    assert!(!succeeds("/v1/status", "orrery_ok"));
    assert!(!succeeds("/healthz", "orrery_page"));
    assert!(!succeeds("/nothing", "orrery_ok"));
    // A node that is taken out of traffic is well.
    std::fs::write(home.path("state/out-of-traffic"), "a new disk\n").unwrap();
    wait_for("the end of traffic", || !succeeds("/healthz/traffic", "orrery_ok"));
    assert!(succeeds("/readyz", "orrery_ok"));
}
