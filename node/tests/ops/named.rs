//! Commands, flags, paths, ports and variables that pages and configurations name.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use crate::process::Home;
use crate::tools::{ops, read};

/// Ports of the shipped configuration: node.http, node.admin.
const PORTS: [(&str, &str); 2] = [("9464", "http"), ("9465", "admin")];

/// Variables that are no settings of a node: a reader's token, and what this project's own tests and scripts are told.
const OTHER_VARIABLES: [&str; 6] = [
    "ORRERY_TOKEN",
    "ORRERY_UPDATE_GOLDEN",
    "ORRERY_PROMTOOL",
    "ORRERY_AMTOOL",
    "ORRERY_PROMETHEUS",
    "ORRERY_ALERTMANAGER",
];

/// Every file below a folder of `ops/`, with what is in it.
fn texts(folder: &str) -> Vec<(String, String)> {
    let mut found = Vec::new();
    let mut folders = vec![ops(folder)];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if let Ok(text) = std::fs::read_to_string(&path) {
                found.push((path.strip_prefix(ops("")).unwrap_or(&path).display().to_string(), text));
            }
        }
    }
    assert!(!found.is_empty(), "{folder}");
    found
}

/// What `--help` of each command says, asked once.
#[derive(Default)]
struct Helps(BTreeMap<String, Option<String>>);

impl Helps {
    /// `None` if there is no such command.
    fn of(&mut self, command: &[&str]) -> Option<String> {
        let help = || {
            let ended = Home::new().run(&[command, &["--help"]].concat());
            let usage = format!("Usage: orrery {}", command.join(" "));
            let text = ended.stdout().to_owned();
            text.contains(usage.trim_end()).then_some(text)
        };
        self.0.entry(command.join(" ")).or_insert_with(help).clone()
    }
}

/// Commands of the program in fenced blocks and in inline code, as words.
fn commands(text: &str) -> Vec<Vec<String>> {
    let mut found = Vec::new();
    let mut fenced = false;
    for line in text.lines() {
        if line.trim_start().starts_with("```") {
            fenced = !fenced;
            continue;
        }
        let code: Vec<&str> = match fenced {
            true => vec![line],
            false => line.split('`').skip(1).step_by(2).collect(),
        };
        for code in code {
            let Some(command) = code.trim().strip_prefix("orrery ") else { continue };
            let command = command.split(['|', '>', ';']).next().unwrap();
            found.push(
                command.split_whitespace().map(|word| word.trim_matches(['"', '\'']).to_owned()).collect(),
            );
        }
    }
    found
}

#[test]
fn pages_name_commands_and_flags_that_are_there() {
    let mut helps = Helps::default();
    let mut count = 0;
    for (file, text) in texts("runbooks").into_iter().chain(texts("monitoring")) {
        for command in commands(&text) {
            let words: Vec<&str> = command.iter().map(String::as_str).collect();
            let plain = |word: &&str| word.chars().all(|one| one.is_ascii_lowercase() || one == '-');
            let plain: Vec<&str> =
                words.iter().copied().take_while(|word| !word.starts_with("--") && plain(word)).collect();
            let help = [plain.get(..2), plain.get(..1)].into_iter().flatten().find_map(|path| helps.of(path));
            let help =
                help.unwrap_or_else(|| panic!("{file}: there is no command `orrery {}`", command.join(" ")));
            for flag in words.iter().filter(|word| word.starts_with('-') && word.len() > 1) {
                let flag = flag.split('=').next().unwrap();
                let is_there = help.split_whitespace().any(|word| word.trim_end_matches([',', '.']) == flag);
                assert!(is_there, "{file}: `orrery {}`: no flag {flag}", command.join(" "));
            }
            count += 1;
        }
    }
    assert!(count > 150, "{count}");
}

/// Routes of a node by listener, as `ops/security/routes.md` has them: that file is made from the router's tables.
fn routes() -> BTreeSet<(String, String)> {
    let table = read("security/routes.md");
    let rows = table.lines().filter(|line| line.starts_with("| HTTP |"));
    let row = |line: &str| {
        let cells: Vec<_> = line.split('|').map(str::trim).collect();
        let (_, path) = cells[3].trim_matches('`').split_once(' ').unwrap();
        (cells[2].to_owned(), path.to_owned())
    };
    rows.map(row).collect()
}

fn fits(template: &str, path: &str) -> bool {
    let (template, path): (Vec<_>, Vec<_>) = (template.split('/').collect(), path.split('/').collect());
    template.len() == path.len()
        && template
            .iter()
            .zip(&path)
            .all(|(expect, found)| expect == found || expect.starts_with('{') && !found.is_empty())
}

#[test]
fn probes_and_pages_ask_for_paths_that_are_served_where_they_ask() {
    let routes = routes();
    let mut asked = BTreeSet::new();
    for (file, text) in texts("runbooks").into_iter().chain(texts("monitoring")) {
        for url in text.split("http").skip(1) {
            let Some(rest) = url.strip_prefix("://").or_else(|| url.strip_prefix("s://")) else { continue };
            let url = rest.split([' ', '"', '\'', '`', ')', '\n', ',']).next().unwrap();
            let (place, path) = url.find('/').map_or((url, ""), |at| url.split_at(at));
            let (host, port) = place.split_once(':').unwrap_or((place, ""));
            let path = path.split('?').next().unwrap();
            // Others' machines have other paths.
            let is_ours = host == "NODE" || host == "HOST" || PORTS.iter().any(|(ours, _)| *ours == port);
            if !is_ours || path.is_empty() {
                continue;
            }
            let listeners: Vec<_> = match PORTS.iter().find(|(ours, _)| *ours == port) {
                Some((_, listener)) => vec![*listener],
                None => vec!["http"],
            };
            assert!(
                port.is_empty() || host == "HOST" || PORTS.iter().any(|(ours, _)| *ours == port),
                "{file}: port of {url}"
            );
            let is_served =
                routes.iter().any(|(at, route)| listeners.contains(&at.as_str()) && fits(route, path));
            assert!(is_served, "{file}: {url}: nothing is served there at {listeners:?}");
            asked.insert(path.to_owned());
        }
    }
    for path in ["/healthz", "/readyz", "/startupz", "/healthz/traffic", "/metrics", "/v1/status"] {
        assert!(asked.contains(path), "nobody asks for {path}: {asked:?}");
    }
}

#[test]
fn ports_are_those_of_the_shipped_configuration() {
    let targets = read("monitoring/prometheus/targets/nodes.yaml");
    let (port, _) = PORTS[1];
    assert!(targets.contains(&format!("127.0.0.1:{port}")), "{targets}");
    let settings = read("config/orrery.example.toml");
    assert!(settings.contains(PORTS[0].0) && settings.contains("admin = "), "{settings}");
}

#[test]
fn variables_are_settings_that_are_there() {
    let printed = Home::new().run(&["config", "print", "--output", "json"]).expect(0, "").json();
    let mut known: BTreeSet<String> = OTHER_VARIABLES.map(str::to_owned).into();
    let text = printed.to_string();
    let config = read("config/orrery.example.toml");
    let mut section = String::new();
    for line in config.lines() {
        if let Some(name) = line.strip_prefix('[').and_then(|line| line.strip_suffix(']')) {
            section = name.replace('.', "__").to_uppercase();
        } else if let Some((key, _)) = line.split_once(" = ").filter(|(key, _)| !key.contains(['#', ' '])) {
            assert!(text.contains(key), "{key}: a setting of the example that `config print` does not know");
            known.insert(format!("ORRERY_{section}__{}", key.to_uppercase()));
        }
    }
    assert!(known.contains("ORRERY_TELEMETRY__OTLP"), "{known:?}");
    for folder in ["runbooks", "monitoring", "load", "config"] {
        for (file, text) in texts(folder) {
            for rest in text.split("ORRERY_").skip(1) {
                let end =
                    rest.find(|one: char| !one.is_ascii_uppercase() && one != '_').unwrap_or(rest.len());
                let name = format!("ORRERY_{}", &rest[..end]);
                let is_form = name == "ORRERY_" || rest.starts_with("<SECTION>");
                assert!(is_form || known.contains(&name), "{file}: there is no setting {name}");
            }
        }
    }
}

/// Whatever looks like one of ours, wherever it stands below `ops/`.
#[test]
fn metrics_that_are_named_exist() {
    let known = crate::contract::known();
    let own = crate::contract::own();
    let prefixes: BTreeSet<String> = own
        .keys()
        .filter_map(|name| Some(format!("orrery_{}_", name.strip_prefix("orrery_")?.split('_').next()?)))
        .collect();
    for (file, text) in texts("") {
        let mut rest = text.as_str();
        while let Some(at) = rest.find("orrery_") {
            let before = rest[..at].chars().last();
            let end = rest[at..]
                .find(|one: char| !one.is_ascii_alphanumeric() && one != '_')
                .map_or(rest.len(), |end| at + end);
            let (name, behind) = (&rest[at..end], &rest[end..]);
            rest = behind;
            let is_whole = before.is_none_or(|one| !one.is_ascii_alphanumeric() && !"_/.-%".contains(one));
            let is_pattern = behind.starts_with(['.', '*']) || name.ends_with('_');
            if !is_whole || is_pattern || !prefixes.iter().any(|prefix| name.starts_with(prefix.as_str())) {
                continue;
            }
            assert!(known.contains_key(name) || own.contains_key(name), "{file}: there is no metric {name}");
        }
    }
    assert!(Path::new(&ops("monitoring")).is_dir());
}
