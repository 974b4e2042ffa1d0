//! Dashboards of Grafana, made from the contract: a panel for each metric, with its help and unit, and some for what is computed
//! from several. `ORRERY_UPDATE_GOLDEN=1 cargo test --workspace --test ops -- dashboards` writes them anew.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use crate::contract::{Declared, known, own};
use crate::rules::check_query;
use crate::tools::{ops, program, succeeds};

/// Where what is selected at the top of the page goes.
const CHOSEN: &str = "cluster=~\"$cluster\",instance=~\"$instance\"";
const CLUSTER: &str = "cluster=~\"$cluster\"";

/// Title, unit, and queries with their legends.
type Panel = (&'static str, &'static str, Vec<(String, &'static str)>);

/// A dashboard: its file, its title, panels that are written by hand (title, unit, queries with legends), and which metrics
/// of the contract get a panel each.
struct Dashboard {
    name: &'static str,
    title: &'static str,
    panels: Vec<Panel>,
    /// Beginnings of names.
    metrics: &'static [&'static str],
}

fn of(query: &str, legend: &'static str) -> Vec<(String, &'static str)> {
    vec![(query.replace("CHOSEN", CHOSEN).replace("CLUSTER", CLUSTER), legend)]
}

fn dashboards() -> Vec<Dashboard> {
    vec![
        Dashboard {
            name: "overview",
            title: "Overview",
            panels: vec![
                (
                    "Age of the newest durable ledger",
                    "s",
                    of("orrery:ledger_age:seconds{CLUSTER}", "{{cluster}} {{pipeline}}"),
                ),
                (
                    "Nodes that answer",
                    "short",
                    of("count by (cluster) (up{job=\"orrery\",CLUSTER} == 1)", "{{cluster}}"),
                ),
                ("Ledgers a second", "short", of("orrery:ledgers:rate5m{CLUSTER}", "{{cluster}}")),
                ("Events a second", "short", of("orrery:events:rate5m{CLUSTER}", "{{cluster}}")),
                ("Readers", "short", of("sum by (cluster) (orrery_feed_connections{CHOSEN})", "{{cluster}}")),
                (
                    "Requests a second by status",
                    "reqps",
                    of(
                        "sum by (status) (rate(orrery_http_requests_total{CHOSEN}[$__rate_interval]))",
                        "{{status}}",
                    ),
                ),
            ],
            metrics: &["orrery_node_", "orrery_build_", "orrery_backup_"],
        },
        Dashboard {
            name: "pipeline",
            title: "Pipeline",
            panels: vec![
                ("Lag by stage", "short", of("orrery:lag_ledgers{CLUSTER}", "{{cluster}} {{stage}}")),
                (
                    "Age of the newest durable ledger",
                    "s",
                    of("orrery:ledger_age:seconds{CLUSTER}", "{{cluster}}"),
                ),
                (
                    "Share of requests to the store that fail",
                    "percentunit",
                    of(
                        "sum by (action) (rate(orrery_store_errors_total{CHOSEN}[$__rate_interval])) / sum by (action) (rate(orrery_store_requests_total{CHOSEN}[$__rate_interval]))",
                        "{{action}}",
                    ),
                ),
            ],
            metrics: &[
                "orrery_source_",
                "orrery_processor_",
                "orrery_sink_",
                "orrery_store_",
                "orrery_pipeline_",
                "orrery_exchange_",
            ],
        },
        Dashboard { name: "actors", title: "Actors", panels: vec![], metrics: &["orrery_supervisor_"] },
        Dashboard {
            name: "cluster",
            title: "Cluster and regions",
            panels: vec![
                (
                    "Coordinators",
                    "short",
                    of("sum by (cluster) (orrery_coordinator_active{CLUSTER})", "{{cluster}}"),
                ),
                (
                    "Regions with traffic",
                    "short",
                    of(
                        "sum by (cluster) (max by (cluster, region) (orrery_region_traffic{CLUSTER}))",
                        "{{cluster}}",
                    ),
                ),
            ],
            metrics: &["orrery_cluster_", "orrery_coordinator_", "orrery_membership_", "orrery_region_"],
        },
        Dashboard {
            name: "feed",
            title: "Feed and API",
            panels: vec![
                (
                    "Age of the feed's tip",
                    "s",
                    of("time() - orrery_feed_tip_closed_at_seconds{CHOSEN}", "{{instance}}"),
                ),
                (
                    "Time of an answer, 95th percentile",
                    "s",
                    of(
                        "histogram_quantile(0.95, sum by (route, le) (rate(orrery_http_request_seconds_bucket{CHOSEN}[$__rate_interval])))",
                        "{{route}}",
                    ),
                ),
            ],
            metrics: &[
                "orrery_feed_",
                "orrery_http_requests",
                "orrery_http_request_",
                "orrery_http_connections",
                "orrery_http_turned",
                "orrery_grpc_",
            ],
        },
        Dashboard {
            name: "business",
            title: "What the network does",
            panels: vec![
                (
                    "Share of each class of assets",
                    "percentunit",
                    of("orrery:asset_share:ratio1h{CLUSTER}", "{{class}}"),
                ),
                (
                    "Share of transactions that fail",
                    "percentunit",
                    of(
                        "sum by (cluster) (rate(orrery_processor_transactions_total{outcome=\"failed\",CHOSEN}[1h])) / sum by (cluster) (rate(orrery_processor_transactions_total{CHOSEN}[1h]))",
                        "{{cluster}}",
                    ),
                ),
                ("Events a second against a week ago", "short", {
                    let mut queries = of("orrery:events:rate1h{CLUSTER}", "{{cluster}} now");
                    queries.extend(of("orrery:events:rate1h{CLUSTER} offset 1w", "{{cluster}} a week ago"));
                    queries
                }),
                (
                    "Events of a ledger",
                    "short",
                    of(
                        "sum by (cluster) (rate(orrery_processor_sent_events_total{CHOSEN}[1h])) / sum by (cluster) (rate(orrery_processor_sent_ledgers_total{CHOSEN}[1h]))",
                        "{{cluster}}",
                    ),
                ),
            ],
            metrics: &[
                "orrery_processor_events_by",
                "orrery_processor_transactions",
                "orrery_processor_sent_events",
            ],
        },
        Dashboard {
            name: "slo",
            title: "Promises: 99.9 %",
            panels: vec![
                (
                    "Left of the budget of three days",
                    "percentunit",
                    of("1 - orrery:slo_errors:ratio_rate3d{CLUSTER} / 0.001", "{{cluster}} {{slo}}"),
                ),
                (
                    "Pace of the last hour (1 spends the budget in time)",
                    "short",
                    of("orrery:slo_errors:ratio_rate1h{CLUSTER} / 0.001", "{{cluster}} {{slo}}"),
                ),
                (
                    "Pace of the last five minutes",
                    "short",
                    of("orrery:slo_errors:ratio_rate5m{CLUSTER} / 0.001", "{{cluster}} {{slo}}"),
                ),
                (
                    "Pace of the last six hours",
                    "short",
                    of("orrery:slo_errors:ratio_rate6h{CLUSTER} / 0.001", "{{cluster}} {{slo}}"),
                ),
                (
                    "Probes that succeed",
                    "percentunit",
                    of("avg by (cluster, job) (probe_success{CLUSTER})", "{{cluster}} {{job}}"),
                ),
            ],
            metrics: &[],
        },
        Dashboard {
            name: "resources",
            title: "Resources",
            panels: vec![
                (
                    "CPU",
                    "short",
                    of(
                        "rate(process_cpu_seconds_total{job=\"orrery\",CHOSEN}[$__rate_interval])",
                        "{{instance}}",
                    ),
                ),
                (
                    "Disk in use",
                    "percentunit",
                    of(
                        "1 - orrery_disk_free_bytes{CHOSEN} / orrery_disk_size_bytes{CHOSEN}",
                        "{{instance}} {{volume}}",
                    ),
                ),
                (
                    "Memory of pods against their limit",
                    "percentunit",
                    of(
                        "max by (namespace, pod) (container_memory_working_set_bytes{namespace=\"orrery\",container=\"orrery\"}) / on (namespace, pod) max by (namespace, pod) (kube_pod_container_resource_limits{namespace=\"orrery\",resource=\"memory\"})",
                        "{{pod}}",
                    ),
                ),
            ],
            metrics: &["process_", "orrery_disk_", "orrery_telemetry_"],
        },
        Dashboard {
            name: "security",
            title: "Security",
            panels: vec![
                (
                    "Requests refused a second",
                    "reqps",
                    of(
                        "sum by (instance, status) (rate(orrery_http_requests_total{status=~\"401|403|429\",CHOSEN}[$__rate_interval]))",
                        "{{instance}} {{status}}",
                    ),
                ),
                (
                    "Certificate as seen from outside, left",
                    "s",
                    of("min by (cluster) (probe_ssl_earliest_cert_expiry{CLUSTER}) - time()", "{{cluster}}"),
                ),
            ],
            metrics: &[
                "orrery_audit_",
                "orrery_certificate_",
                "orrery_http_certificate_",
                "orrery_membership_refused",
                "orrery_http_turned",
            ],
        },
    ]
}

/// A panel of one metric of the contract.
fn panel_of(name: &str, of: &Declared) -> (String, &'static str, Vec<(String, String)>) {
    let labels: Vec<&str> = of.labels.iter().map(String::as_str).collect();
    let legend = |first: &str| {
        let all = labels.iter().map(|label| format!("{{{{{label}}}}}"));
        std::iter::once(first.to_owned()).chain(all).collect::<Vec<_>>().join(" ")
    };
    let by = |first: &[&str]| [first, &labels].concat().join(", ");
    let is_seconds = of.unit == "seconds" || of.unit == "unix seconds";
    let unit = match of.unit.as_str() {
        _ if is_seconds => "s",
        "bytes" if of.kind == "counter" => "Bps",
        "bytes" => "bytes",
        _ => "short",
    };
    let chosen = if of.shown == "of a backup" { "" } else { CHOSEN };
    let queries = match of.kind.as_str() {
        "counter" => {
            let query =
                format!("sum by ({}) (rate({name}{{{chosen}}}[$__rate_interval]))", by(&["instance"]));
            vec![(query, legend("{{instance}}"))]
        }
        "histogram" => ["0.5", "0.99"]
            .map(|quantile| {
                let rate = format!("rate({name}_bucket{{{chosen}}}[$__rate_interval])");
                let query = format!("histogram_quantile({quantile}, sum by ({}) ({rate}))", by(&["le"]));
                (query, legend(quantile))
            })
            .to_vec(),
        _ if name.ends_with("expiry_seconds") => {
            vec![(format!("{name}{{{chosen}}} - time()"), legend("{{instance}} left"))]
        }
        _ if of.unit == "unix seconds" => {
            vec![(format!("time() - {name}{{{chosen}}}"), legend("{{instance}} ago"))]
        }
        _ => vec![(format!("{name}{{{chosen}}}"), legend("{{instance}}"))],
    };
    let title = name.trim_start_matches("orrery_").trim_end_matches("_total").replace('_', " ");
    let title = if of.kind == "counter" { format!("{title} a second") } else { title };
    (title, unit, queries)
}

fn panel(id: usize, title: &str, help: &str, unit: &str, queries: &[(String, String)]) -> Value {
    let (x, y) = (12 * (id % 2), 8 * (id / 2));
    let targets: Vec<Value> = queries
        .iter()
        .enumerate()
        .map(|(at, (query, legend))| {
            let letter = char::from(b'A' + u8::try_from(at).unwrap());
            json!({ "refId": letter.to_string(), "expr": query, "legendFormat": legend, "editorMode": "code", "range": true })
        })
        .collect();
    json!({
        "id": id + 1,
        "type": "timeseries",
        "title": title,
        "description": help,
        "datasource": { "type": "prometheus", "uid": "prometheus" },
        "gridPos": { "x": x, "y": y, "w": 12, "h": 8 },
        "fieldConfig": { "defaults": { "unit": unit, "min": if unit == "percentunit" { json!(0) } else { Value::Null } }, "overrides": [] },
        "options": { "legend": { "displayMode": "list", "placement": "bottom" }, "tooltip": { "mode": "multi" } },
        "targets": targets,
    })
}

fn chooser(name: &str, query: &str) -> Value {
    json!({
        "name": name,
        "type": "query",
        "datasource": { "type": "prometheus", "uid": "prometheus" },
        "query": { "query": query, "refId": name },
        "definition": query,
        "refresh": 2,
        "multi": true,
        "includeAll": true,
        "allValue": ".*",
        "current": { "text": "All", "value": "$__all" },
    })
}

/// A dashboard as Grafana reads it, and the metrics of the contract that it has a panel for.
fn made(dashboard: &Dashboard, contract: &BTreeMap<String, Declared>) -> (Value, Vec<String>) {
    let mut panels = Vec::new();
    for (title, unit, queries) in &dashboard.panels {
        let queries: Vec<_> =
            queries.iter().map(|(query, legend)| (query.clone(), (*legend).to_owned())).collect();
        panels.push(panel(panels.len(), title, "", unit, &queries));
    }
    let is_shown = |name: &&String| dashboard.metrics.iter().any(|prefix| name.starts_with(prefix));
    let shown: Vec<String> = contract.keys().filter(is_shown).cloned().collect();
    for name in &shown {
        let (title, unit, queries) = panel_of(name, &contract[name]);
        panels.push(panel(panels.len(), &title, &contract[name].help, unit, &queries));
    }
    let value = json!({
        "uid": format!("orrery-{}", dashboard.name),
        "title": format!("Orrery: {}", dashboard.title),
        "tags": ["orrery"],
        "schemaVersion": 39,
        "editable": false,
        "refresh": "30s",
        "time": { "from": "now-3h", "to": "now" },
        "templating": { "list": [
            chooser("cluster", "label_values(orrery_build_info, cluster)"),
            chooser("instance", "label_values(orrery_build_info{cluster=~\"$cluster\"}, instance)"),
        ] },
        "links": [{ "type": "dashboards", "tags": ["orrery"], "title": "Orrery", "asDropdown": true }],
        "panels": panels,
    });
    (value, shown)
}

fn queries(dashboard: &Value) -> Vec<String> {
    let panels = dashboard["panels"].as_array().unwrap().iter();
    let targets = panels.flat_map(|panel| panel["targets"].as_array().unwrap());
    targets.map(|target| target["expr"].as_str().unwrap().to_owned()).collect()
}

#[test]
fn dashboards_are_as_the_contract_is() {
    let contract = own();
    let mut left: Vec<&String> = contract.keys().collect();
    for dashboard in dashboards() {
        let (value, shown) = made(&dashboard, &contract);
        left.retain(|name| !shown.contains(name));
        let text = format!("{}\n", serde_json::to_string_pretty(&value).unwrap());
        let path = ops(&format!("monitoring/grafana/dashboards/{}.json", dashboard.name));
        if std::env::var_os("ORRERY_UPDATE_GOLDEN").is_some() {
            std::fs::write(&path, &text).unwrap();
        }
        let found = std::fs::read_to_string(&path).unwrap_or_default();
        assert!(
            found == text,
            "{}: another contract: look, and run with ORRERY_UPDATE_GOLDEN=1",
            path.display()
        );
    }
    assert!(left.is_empty(), "no dashboard has a panel for {left:?}");
}

#[test]
fn dashboards_ask_for_what_is_there_in_the_language_of_prometheus() {
    let known = known();
    let contract = own();
    let mut rules = "groups:\n  - name: dashboards\n    rules:\n".to_owned();
    let mut count = 0;
    for dashboard in dashboards() {
        for query in queries(&made(&dashboard, &contract).0) {
            check_query(&query, dashboard.name, &known);
            let plain = query.replace("$__rate_interval", "5m");
            rules += &format!("      - record: dashboard:query:{count}\n        expr: '{plain}'\n");
            count += 1;
        }
    }
    assert!(count > 100, "{count}");
    let Some(mut promtool) = program("ORRERY_PROMTOOL", "promtool") else { return };
    let home = tempfile::tempdir().unwrap();
    let path = home.path().join("rules.yaml");
    std::fs::write(&path, rules).unwrap();
    let said = succeeds(promtool.args(["check", "rules"]).arg(path));
    assert!(said.contains(&format!("SUCCESS: {count} rules found")), "{said}");
}
