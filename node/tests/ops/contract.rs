//! What a node may show, what others show, and what a running node does show.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use crate::process::{Home, get};
use crate::query::TARGET_LABELS;
use crate::tools::read;

/// A metric's declaration.
#[derive(Clone, Debug)]
pub(crate) struct Declared {
    pub(crate) kind: String,
    pub(crate) unit: String,
    pub(crate) shown: String,
    pub(crate) help: String,
    pub(crate) labels: BTreeSet<String>,
}

/// All that `orrery inspect metrics` prints, by name.
pub(crate) fn own() -> BTreeMap<String, Declared> {
    let printed = Home::new().run(&["inspect", "metrics", "--output", "json"]).expect(0, "").json();
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let declared = printed.as_array().unwrap().iter().map(|metric| {
        let labels = metric["labels"].as_array().unwrap().iter().map(text).collect();
        let [kind, unit, shown, help] = ["kind", "unit", "shown", "help"].map(|key| text(&metric[key]));
        (text(&metric["name"]), Declared { kind, unit, shown, help, labels })
    });
    declared.collect()
}

/// Every name that a query may have, with its labels: ours, what recording rules make, and what others show.
pub(crate) fn known() -> BTreeMap<String, BTreeSet<String>> {
    let mut known = BTreeMap::new();
    for (name, declared) in own() {
        if declared.kind == "histogram" {
            for part in ["bucket", "sum", "count"] {
                known.insert(format!("{name}_{part}"), declared.labels.clone());
            }
        } else {
            known.insert(name, declared.labels);
        }
    }
    // `exporter: {metric: [label, label], ...}`, a line each.
    let others = read("monitoring/prometheus/external-metrics.yaml");
    for line in others.lines().filter(|line| !line.starts_with('#')) {
        let (_, metrics) = line.split_once(": {").unwrap_or_else(|| panic!("{line}"));
        for metric in metrics.trim_end_matches('}').split("],").filter(|metric| !metric.trim().is_empty()) {
            let (name, labels) = metric.split_once(':').unwrap();
            let labels =
                labels.trim().trim_matches(['[', ']']).split(',').map(|label| label.trim().to_owned());
            known.insert(name.trim().to_owned(), labels.filter(|label| !label.is_empty()).collect());
        }
    }
    for (name, labels) in crate::rules::recorded() {
        known.entry(name).or_insert_with(BTreeSet::new).extend(labels);
    }
    known
}

/// Names and labels that a text in Prometheus's form has.
fn shown(text: &str) -> BTreeMap<String, (String, BTreeSet<String>)> {
    let mut kinds = BTreeMap::new();
    let mut shown = BTreeMap::new();
    for line in text.lines().filter(|line| !line.is_empty()) {
        if let Some(kind) = line.strip_prefix("# TYPE ") {
            let (name, kind) = kind.split_once(' ').unwrap();
            kinds.insert(name.to_owned(), kind.to_owned());
        }
        if line.starts_with('#') {
            continue;
        }
        let (series, _) = line.rsplit_once(' ').unwrap();
        let (name, labels) = series.split_once('{').unwrap_or((series, ""));
        let suffixes = ["", "_bucket", "_sum", "_count"];
        let base = suffixes
            .iter()
            .find_map(|suffix| name.strip_suffix(suffix).filter(|name| kinds.contains_key(*name)));
        let base = base.unwrap_or_else(|| panic!("no type: {line}"));
        let labels =
            labels.trim_end_matches('}').split("\",").filter_map(|label| Some(label.split_once("=\"")?.0));
        let labels = labels.filter(|label| *label != "le").map(str::to_owned);
        let entry: &mut (String, BTreeSet<String>) =
            shown.entry(base.to_owned()).or_insert_with(|| (kinds[base].clone(), BTreeSet::new()));
        entry.1.extend(labels);
    }
    shown
}

/// What is shown is declared as it is, and what is said to be shown here is.
#[track_caller]
fn check_shown(text: &str, where_shown: &[&str]) {
    let declared = own();
    let shown = shown(text);
    for (name, (kind, labels)) in &shown {
        let of = declared.get(name).unwrap_or_else(|| panic!("{name} is shown and not declared"));
        assert_eq!((kind, labels), (&of.kind, &of.labels), "{name}");
    }
    for (name, of) in declared {
        let is_due = where_shown.contains(&of.shown.as_str());
        assert!(!is_due || shown.contains_key(&name), "{name} is not shown:\n{text}");
    }
}

#[test]
fn a_node_shows_the_metrics_of_the_contract_and_no_others() {
    let home = Home::new();
    let (dataset, source) = (home.url("dataset"), "synthetic:?ledgers=100000&density=sparse&rate=100");
    let mut node = home.follow(source, &dataset, &["--from", "genesis"], &[]);
    let http = node.http();
    node.until_committed();
    // The tree is looked at now and then, the feed as often; and a request is counted when it was answered.
    let text = node.until("every metric", |_| {
        let text = get(&http, "/metrics").1;
        let all =
            ["orrery_supervisor_actors{", "orrery_feed_tip_ledger ", "orrery_sink_commit_seconds_count{"];
        let more = ["orrery_http_request_seconds_count{", "kind=\"transfer\"", "{actor=\"processor\"}"];
        all.iter().chain(&more).all(|name| text.contains(name)).then_some(text)
    });
    check_shown(&text, &["always"]);
    assert!(text.contains("orrery_node_ready 1\n"), "{text}");
    let kinds = text.lines().filter(|line| line.starts_with("orrery_processor_events_by_kind_total{"));
    let events = kinds.map(|line| line.rsplit_once(' ').unwrap().1.parse::<u64>().unwrap()).sum::<u64>();
    let classes =
        text.lines().filter(|line| line.starts_with("orrery_processor_events_by_asset_class_total{"));
    let by_class = classes.map(|line| line.rsplit_once(' ').unwrap().1.parse::<u64>().unwrap()).sum::<u64>();
    // Both are of the same moment only nearly.
    assert!(events > 0 && by_class > 0, "{text}");
}

#[test]
fn a_node_of_a_cluster_shows_the_cluster_too() {
    let home = Home::new();
    let (dataset, source) = (home.url("dataset"), "synthetic:?ledgers=100000&density=sparse&rate=50");
    let more = ["--from", "genesis", "--name", "a", "--listen", "127.0.0.1:0", "--insecure-loopback"];
    let mut node = home.follow(source, &dataset, &more, &[]);
    let http = node.http();
    let text = node.until("every metric", |_| {
        let text = get(&http, "/metrics").1;
        let all =
            ["orrery_coordinator_active 1", "orrery_coordinator_missing_roles{", "orrery_feed_tip_ledger "];
        let more = [
            "orrery_supervisor_actors{",
            "orrery_sink_commit_seconds_count{",
            "orrery_http_request_seconds_count{",
        ];
        let more = more.iter().chain(&["orrery_processor_transactions_total{", "{actor=\"processor\"}"]);
        all.iter().chain(more).all(|name| text.contains(name)).then_some(text)
    });
    check_shown(&text, &["always", "in a cluster"]);
    assert!(text.contains("orrery_cluster_members{state=\"alive\"} 1\n"), "{text}");
}

#[test]
fn labels_of_targets_are_no_labels_of_metrics() {
    for (name, declared) in own() {
        let twice: Vec<_> =
            declared.labels.iter().filter(|label| TARGET_LABELS.contains(&label.as_str())).collect();
        assert!(twice.is_empty(), "{name}: Prometheus would rename {twice:?}");
    }
}
