//! `orrery config`: what holds, and where it comes from; and what is wrong with it.

use figment::value::Value;
use orrery_actors::dataset::without_credentials;
use orrery_actors::source::SourceUrl;
use serde_json::json;

use crate::cli::{ConfigAction, ConfigArgs, ModeName, NetworkName, NodeArgs, ProofName, RunArgs};
use crate::config::{Flag, Layers};
use crate::console::Console;
use crate::exit::Failure;
use crate::serve::HashedToken;
use crate::settings::Settings;
use crate::shown_url::shown;
use crate::telemetry;

/// Checks nothing outside of the configuration itself.
pub(crate) fn run(args: &ConfigArgs, console: &Console) -> Result<(), Failure> {
    let layers = layers(&args.node);
    let config = layers.config()?;
    match args.action {
        ConfigAction::Check => {
            Settings::new(&config)?;
            telemetry::check(&config.telemetry)?;
            console.result(&[("configuration", json!("ok"))])
        }
        ConfigAction::Print => {
            let mut sections =
                serde_json::to_value(&config).map_err(|error| Failure::Bug(error.to_string()))?;
            let mut lines = Vec::new();
            for (name, section) in sections.as_object_mut().into_iter().flatten() {
                print(name, section, &layers, &mut lines);
            }
            console.text(lines.join("\n"))?;
            console.json(&sections)
        }
    }
}

/// Adds a section as TOML, and those in it; hides secrets.
fn print(name: &str, section: &mut serde_json::Value, layers: &Layers, lines: &mut Vec<String>) {
    let mut inner = Vec::new();
    lines.push(format!("[{name}]"));
    for (key, value) in section.as_object_mut().into_iter().flatten() {
        let path = format!("{name}.{key}");
        if value.is_object() {
            print(&path, value, layers, &mut inner);
            continue;
        }
        if let Some(tables) = value.as_array().filter(|list| list.iter().any(serde_json::Value::is_object)) {
            for table in tables {
                inner.push(format!("[[{path}]]  # {}", layers.origin(&path)));
                let keys = table.as_object().into_iter().flatten();
                inner.extend(keys.map(|(key, value)| format!("{key} = {value}")));
                inner.push(String::new());
            }
            continue;
        }
        match (path.as_str(), value.as_str()) {
            ("source.urls", _) => {
                *value = value.as_array().into_iter().flatten().map(without_secrets).collect();
            }
            ("http.tokens", _) => {
                *value = value.as_array().into_iter().flatten().map(without_token).collect()
            }
            ("telemetry.otlp" | "telemetry.profiles", Some(url)) if !url.is_empty() => {
                *value = json!(shown(url))
            }
            // A file otherwise.
            ("http.oidc.keys", Some(url)) if url.contains("://") => *value = json!(shown(url)),
            ("dataset.url", Some(url)) => *value = json!(without_credentials(url)),
            _ => {}
        }
        // Text, numbers and lists of them are written alike in JSON and in TOML.
        lines.push(format!("{key} = {value}  # {}", layers.origin(&path)));
    }
    lines.push(String::new());
    lines.append(&mut inner);
}

/// The layers that the flags name, the flags on top.
pub(crate) fn layers(args: &NodeArgs) -> Layers {
    Layers::read(args.config.as_deref(), node_flags(args))
}

/// As [`layers`], of a node that may take part in a cluster.
pub(crate) fn cluster_layers(args: &RunArgs) -> Layers {
    let mut flags = node_flags(&args.node);
    let cluster = &args.cluster;
    let mut put = |key, value: Option<Value>| flags.extend(value.map(|value| ("cluster", key, value)));
    let path = cluster.certificates.as_ref().map(|path| path.to_string_lossy());
    put("listen", cluster.listen.as_deref().map(Value::from));
    put("advertise", cluster.advertise.as_deref().map(Value::from));
    put("certificates", path.as_deref().map(Value::from));
    put("join", list(&cluster.join));
    put("roles", list(&cluster.roles));
    put("insecure_loopback", cluster.insecure_loopback.then(|| Value::from(true)));
    put("tasks", cluster.tasks.map(|count| Value::from(count.get())));
    Layers::read(args.node.config.as_deref(), flags)
}

/// `None` if there is nothing in it.
fn list(values: &[String]) -> Option<Value> {
    let values: Vec<_> = values.iter().map(|value| Value::from(value.as_str())).collect();
    (!values.is_empty()).then(|| Value::from(values))
}

fn node_flags(args: &NodeArgs) -> Vec<Flag> {
    let mut flags: Vec<Flag> = Vec::new();
    let mut text = |section, key, value: Option<&str>| {
        flags.extend(value.map(|value| (section, key, Value::from(value))));
    };
    text("node", "name", args.name.as_deref());
    text("node", "data_dir", args.data_dir.as_ref().map(|path| path.to_string_lossy()).as_deref());
    text("node", "http", args.http.as_deref());
    text("source", "network", args.network.map(network_name));
    text("source", "passphrase", args.passphrase.as_deref());
    text("source", "from", args.from.as_deref());
    text("source", "to", args.to.as_deref());
    text("dataset", "url", args.dataset.as_deref());
    text("pipeline", "mode", args.mode.map(mode_name));
    text("pipeline", "proof", args.proof.map(proof_name));
    text("telemetry", "log", args.log.as_deref());
    flags.extend(args.workers.map(|count| ("pipeline", "workers", Value::from(count.get()))));
    flags.extend(list(&args.sources).map(|urls| ("source", "urls", urls)));
    flags.extend(list(&args.grid).map(|grid| ("dataset", "grid", grid)));
    flags
}

fn network_name(name: NetworkName) -> &'static str {
    match name {
        NetworkName::Pubnet => "pubnet",
        NetworkName::Testnet => "testnet",
        NetworkName::Futurenet => "futurenet",
    }
}

fn mode_name(mode: ModeName) -> &'static str {
    match mode {
        ModeName::Auto => "auto",
        ModeName::Derived => "derived",
        ModeName::Unified => "unified",
    }
}

fn proof_name(proof: ProofName) -> &'static str {
    match proof {
        ProofName::Hashes => "hashes",
        ProofName::Everything => "everything",
    }
}

/// A source as logs name it: keys and passwords in its URL are not shown.
fn without_secrets(url: &serde_json::Value) -> serde_json::Value {
    let shown = url.as_str().and_then(|url| url.parse::<SourceUrl>().ok()).map(|url| url.to_string());
    json!(shown.unwrap_or_else(|| "(not a source)".to_owned()))
}

/// A hash opens nothing; whatever else stands in its place may be the token itself.
fn without_token(text: &serde_json::Value) -> serde_json::Value {
    let hashed = text.as_str().filter(|text| text.parse::<HashedToken>().is_ok());
    json!(hashed.unwrap_or("(not NAME:ROLE:SHA256)"))
}
