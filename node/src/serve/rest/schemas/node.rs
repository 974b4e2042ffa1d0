//! What a node says of itself: how it is, its tree, its quarantine, its health.

use serde_json::{Value, json};

use super::{count, flag, list, number, object, or_null, text, time, with_optional};
use crate::serve::describe::named;

/// What is named here.
pub(super) fn schemas() -> Vec<(&'static str, Value)> {
    vec![
        ("Status", status()),
        ("Node", node()),
        ("Tree", tree()),
        ("TreeNode", tree_node()),
        ("TreeActor", tree_actor()),
        ("Pipeline", pipeline()),
        ("Counts", all_counts(&COUNTS)),
        ("Measures", object(&measures())),
        ("Actor", actor()),
        ("Restart", restart()),
        ("Done", object(&[("nodes", list(object(&[("node", text()), ("answer", any_object())])))])),
        ("Quarantined", quarantined()),
        ("Reason", reason()),
        ("Readiness", with_reasons("ready", &[("warnings", list(text()))])),
        ("Traffic", with_reasons("traffic", &region_of_traffic())),
    ]
}

/// Of a pipeline or a task.
const COUNTS: [&str; 12] = [
    "received_ledgers",
    "received_bytes",
    "fetched",
    "sent_ledgers",
    "sent_events",
    "processed",
    "refused",
    "checkpoint",
    "checkpoint_closed_at",
    "newest",
    "in_flight_batches",
    "in_flight_bytes",
];

/// Between nodes.
const EXCHANGE: [&str; 6] =
    ["streams", "sent_bytes", "received_bytes", "in_flight_bytes", "in_flight_bytes_max", "durable"];

fn any_object() -> Value {
    json!({ "type": "object" })
}

fn map(of: Value) -> Value {
    json!({ "type": "object", "additionalProperties": of })
}

fn all_counts(names: &[&str]) -> Value {
    let counts: Vec<_> = names.iter().map(|name| (*name, count())).collect();
    object(&counts)
}

fn status() -> Value {
    let pipeline = object(&[("name", text()), ("state", text()), ("parked", or_null(text()))]);
    let rates = ["ledgers_per_second", "events_per_second"].map(|name| (name, or_null(number())));
    object(&[
        ("node", text()),
        ("version", text()),
        ("network", or_null(text())),
        ("tip", or_null(count())),
        ("tip_closed_at", or_null(time())),
        ("checkpoint", or_null(count())),
        ("oldest", or_null(count())),
        ("lag_ledgers", or_null(count())),
        ("lag_seconds", or_null(count())),
        ("ready", flag()),
        ("reasons", list(named("Reason"))),
        ("nodes", count()),
        ("pipelines", list(pipeline)),
        ("rates", object(&rates)),
        ("feed", all_counts(&["connections", "subscriptions", "evicted"])),
    ])
}

/// What the list of nodes and the tree both say of one.
fn membership() -> [(&'static str, Value); 10] {
    [
        ("name", text()),
        ("incarnation", count()),
        ("state", text()),
        ("draining", flag()),
        ("capacity", count()),
        ("load", number()),
        ("version", text()),
        ("protocol", count()),
        ("address", text()),
        ("roles", list(text())),
    ]
}

fn node() -> Value {
    object(&[&membership()[..], &[("coordinator", flag())]].concat())
}

fn tree() -> Value {
    let lease = [("node", text()), ("incarnation", count()), ("epoch", count()), ("concerns", list(text()))];
    object(&[
        ("coordinator", or_null(object(&lease))),
        ("nodes", list(named("TreeNode"))),
        ("newest", or_null(count())),
        ("checkpoint", or_null(count())),
        ("lag_ledgers", or_null(count())),
        ("lag_seconds", or_null(count())),
        ("ledgers_per_second", or_null(number())),
    ])
}

fn tree_node() -> Value {
    let more = [
        ("error", or_null(text())),
        ("warnings", list(text())),
        ("now_ms", count()),
        ("pipeline", or_null(named("Pipeline"))),
        ("exchange", or_null(all_counts(&EXCHANGE))),
        ("regions", or_null(object(&[("peers", list(peer_region()))]))),
        ("tree", or_null(named("TreeActor"))),
    ];
    object(&[&membership()[..], &more].concat())
}

/// Another region, as the tree has it.
fn peer_region() -> Value {
    object(&[
        ("region", text()),
        ("mode", text()),
        ("state", text()),
        ("detail", or_null(text())),
        ("heard_ms_ago", or_null(count())),
        ("lag_ledgers", or_null(json!({ "type": "integer" }))),
        ("bytes_copied", count()),
    ])
}

fn pipeline() -> Value {
    object(&[
        ("name", text()),
        ("parked", or_null(text())),
        ("stranger", or_null(text())),
        ("parked_tasks", map(text())),
        ("counts", named("Counts")),
        ("tasks", map(named("Counts"))),
    ])
}

fn measures() -> [(&'static str, Value); 8] {
    [
        ("ledgers_per_second", or_null(number())),
        ("processed", or_null(count())),
        ("checkpoint", or_null(count())),
        ("in_flight_batches", count()),
        ("in_flight_bytes", count()),
        ("lag_ledgers", or_null(count())),
        ("lag_seconds", or_null(count())),
        ("left_ledgers", or_null(count())),
    ]
}

/// What is said of an actor wherever it is named.
fn life() -> [(&'static str, Value); 8] {
    [
        ("kind", text()),
        ("state", text()),
        ("incarnation", count()),
        ("restarts_in_window", count()),
        ("restarts_total", count()),
        ("mailbox_depth", or_null(count())),
        ("age_seconds", number()),
        ("last_error", or_null(text())),
    ]
}

fn tree_actor() -> Value {
    let own = [("id", text()), ("children", list(named("TreeActor")))];
    with_optional(object(&[&own[..], &life()].concat()), &[("measures", named("Measures"))])
}

fn actor() -> Value {
    let own = [("node", text()), ("path", text()), ("restarts", or_null(list(named("Restart"))))];
    with_optional(object(&[&own[..], &life()].concat()), &measures())
}

fn restart() -> Value {
    object(&[
        ("supervisor", text()),
        ("child", text()),
        ("reason", text()),
        ("restarts_in_window", count()),
        ("incarnation", count()),
    ])
}

fn quarantined() -> Value {
    object(&[
        ("ledger", count()),
        ("pipeline", text()),
        ("dataset", text()),
        ("source", text()),
        ("file", text()),
        ("reason", text()),
        ("attempts", count()),
        ("object_bytes", count()),
    ])
}

fn reason() -> Value {
    let always = object(&[("reason", text()), ("pipeline", text()), ("detail", text())]);
    with_optional(always, &[("seconds", count())])
}

/// What DNS is told of the region of a node that has traffic.
fn region_of_traffic() -> [(&'static str, Value); 3] {
    [("region", text()), ("weight", or_null(count())), ("share", number())]
}

/// Whether it is so, and if not why; and what else may be said.
fn with_reasons(is_so: &'static str, more: &[(&'static str, Value)]) -> Value {
    let reasons = [("reasons", list(named("Reason")))];
    with_optional(object(&[(is_so, flag())]), &[&reasons[..], more].concat())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::inspect::{Snapshot, listed, rows};

    /// An answer has no property that its description lacks, and lacks none that is always there.
    fn check(schema: &Value, answer: &Value) {
        let keys = answer.as_object().unwrap();
        for key in keys.keys() {
            assert!(schema["properties"][key].is_object(), "{key} is not described");
        }
        for name in schema["required"].as_array().unwrap() {
            assert!(keys.contains_key(name.as_str().unwrap()), "{name} is not there");
        }
    }

    #[test]
    fn what_a_node_says_of_itself_is_described() {
        let actor = json!({ "id": "main", "children": [{ "id": "until-9" }] });
        let tree = json!({ "children": [{ "id": "pipelines", "children": [actor] }] });
        let counts = json!({ "name": "main", "counts": { "newest": 7 }, "tasks": { "until-9": {} } });
        let node = json!({ "name": "a", "pipeline": counts, "exchange": {}, "tree": tree });
        let seen = json!({ "coordinator": {}, "nodes": [node] });
        let seen = serde_json::from_value::<Snapshot>(seen).unwrap().measured(None, 9);
        let answer = json!(seen);
        check(&super::tree(), &answer);
        check(&super::tree()["properties"]["coordinator"]["anyOf"][0], &answer["coordinator"]);
        check(&super::node(), &listed(&seen)[0]);
        let node = &answer["nodes"][0];
        check(&tree_node(), node);
        check(&tree_node()["properties"]["exchange"]["anyOf"][0], &node["exchange"]);
        check(&pipeline(), &node["pipeline"]);
        check(&all_counts(&COUNTS), &node["pipeline"]["counts"]);
        let main = &node["tree"]["children"][0]["children"][0];
        check(&tree_actor(), main);
        check(&object(&measures()), &main["measures"]);
        let mut row = json!(rows(&seen).into_iter().find(|row| row.path == "a/pipelines/main").unwrap());
        row["restarts"] = Value::Null;
        check(&super::actor(), &row);
    }
}
