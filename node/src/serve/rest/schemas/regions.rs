//! What a node says of regions: who has traffic, who is behind, what was decided.

use serde_json::{Value, json};

use super::{count, flag, list, object, or_null, text, time};
use crate::serve::describe::named;

/// What is named here.
pub(super) fn schemas() -> Vec<(&'static str, Value)> {
    vec![
        ("Regions", regions()),
        ("Decision", decision()),
        ("Failover", object(&[("decision", named("Decision")), ("behind_ledgers", or_null(count()))])),
    ]
}

fn decision() -> Value {
    object(&[
        ("generation", count()),
        ("to", or_null(text())),
        ("forced", flag()),
        ("by", text()),
        ("reason", text()),
    ])
}

fn regions() -> Value {
    let row = object(&[
        ("region", text()),
        ("own", flag()),
        ("traffic", flag()),
        ("priority", or_null(count())),
        ("state", text()),
        ("why", text()),
        ("tip", or_null(count())),
        ("tip_closed_at", or_null(time())),
        ("lag_ledgers", or_null(json!({ "type": "integer" }))),
        ("lag_seconds", or_null(json!({ "type": "integer" }))),
        ("replica", or_null(text())),
        ("mode", or_null(text())),
        ("heard_ms_ago", or_null(count())),
    ]);
    object(&[
        ("region", or_null(text())),
        ("traffic", flag()),
        ("decision", or_null(named("Decision"))),
        ("concerns", list(text())),
        ("regions", list(row)),
    ])
}
