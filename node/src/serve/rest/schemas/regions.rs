//! What a node says of regions.

use serde_json::{Value, json};

use super::{count, flag, list, number, object, or_null, text, time};
use crate::serve::describe::named;

/// What is named here.
pub(super) fn schemas() -> Vec<(&'static str, Value)> {
    vec![
        ("Regions", regions()),
        ("Region", region()),
        ("Decision", decision()),
        ("Failover", object(&[("decision", named("Decision")), ("behind_ledgers", or_null(count()))])),
    ]
}

fn integer() -> Value {
    json!({ "type": "integer" })
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
    object(&[
        ("region", or_null(text())),
        ("traffic", flag()),
        ("traffic_since_seconds", or_null(count())),
        ("decision", or_null(named("Decision"))),
        ("concerns", list(text())),
        ("only_here_ledgers", or_null(count())),
        ("told_seconds_ago", or_null(count())),
        ("regions", list(named("Region"))),
    ])
}

fn region() -> Value {
    let hears = object(&[("region", text()), ("seconds_ago", or_null(count()))]);
    object(&[
        ("region", text()),
        ("own", flag()),
        ("traffic", flag()),
        ("priority", or_null(count())),
        ("weight", or_null(count())),
        ("share", number()),
        ("state", text()),
        ("why", text()),
        ("ready", or_null(flag())),
        ("reasons", list(text())),
        ("version", or_null(text())),
        ("tip", or_null(count())),
        ("tip_closed_at", or_null(time())),
        ("lag_ledgers", or_null(integer())),
        ("lag_seconds", or_null(integer())),
        ("replica", or_null(text())),
        ("detail", or_null(text())),
        ("mode", or_null(text())),
        ("heard_ms_ago", or_null(count())),
        ("hears", list(hears)),
        ("equal_slots", or_null(list(or_null(count())))),
        ("bytes_copied", or_null(count())),
        ("differences", or_null(count())),
    ])
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::time::Duration;

    use orrery_actors::region::RegionView;
    use orrery_actors::region::traffic::{RegionTraffic, TrafficState, TrafficView};
    use orrery_supervisor::MonotonicTime;

    use super::*;
    use crate::region::Regions;

    /// An answer has the properties that are described, and no others.
    fn check(schema: &Value, answer: &Value) {
        let keys = |value: &Value| value.as_object().unwrap().keys().cloned().collect::<BTreeSet<_>>();
        assert_eq!(keys(&schema["properties"]), keys(answer));
    }

    #[test]
    fn what_a_node_says_of_regions_is_described() {
        let region = RegionTraffic {
            region: "eu".parse().unwrap(),
            priority: Some(1),
            weight: Some(100),
            has: true,
            state: TrafficState::Stable,
            why: String::new(),
        };
        let traffic = TrafficView {
            region: "eu".parse().unwrap(),
            has: true,
            since_seconds: 9,
            decision: None,
            regions: vec![region],
            concerns: Vec::new(),
        };
        let told = Regions::new(true);
        let at = MonotonicTime::ORIGIN;
        told.tell(&RegionView { own: None, peers: Vec::new(), traffic: Some(traffic) }, at);
        let shown = told.shown(at.after(Duration::from_secs(2)));
        check(&regions(), &shown);
        check(&super::region(), &shown["regions"][0]);
        assert_eq!(shown["told_seconds_ago"], 2);
        // Before anything was told.
        check(&regions(), &Regions::new(true).shown(at));
    }
}
