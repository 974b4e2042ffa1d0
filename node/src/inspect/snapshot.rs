//! What was seen of a cluster at one moment, and what two such looks measure.
//!
//! Every field may be missing: another version of a node may say less.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::regions::{PeerRegionView, RegionsView};

/// A cluster, or a node alone.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct Snapshot {
    /// The newest lease that is known of.
    pub(crate) coordinator: Option<Lease>,
    pub(crate) nodes: Vec<NodeView>,
    /// The newest ledger that is wanted and is there.
    #[serde(skip_deserializing)]
    pub(crate) newest: Option<u64>,
    /// The last ledger that is known to be durable.
    #[serde(skip_deserializing)]
    pub(crate) checkpoint: Option<u64>,
    /// How far that is behind the newest.
    #[serde(skip_deserializing)]
    pub(crate) lag_ledgers: Option<u64>,
    /// Since it closed, by this machine's calendar.
    #[serde(skip_deserializing)]
    pub(crate) lag_seconds: Option<u64>,
    /// Of all nodes.
    #[serde(skip_deserializing)]
    pub(crate) ledgers_per_second: Option<f64>,
}

/// Who coordinates.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct Lease {
    pub(crate) node: String,
    pub(crate) incarnation: u64,
    pub(crate) epoch: u64,
    /// What it wants a person to know.
    pub(crate) concerns: Vec<String>,
}

/// One node.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct NodeView {
    pub(crate) name: String,
    pub(crate) incarnation: u64,
    pub(crate) state: String,
    pub(crate) draining: bool,
    pub(crate) address: String,
    pub(crate) roles: Vec<String>,
    pub(crate) version: String,
    pub(crate) protocol: u32,
    pub(crate) capacity: u32,
    pub(crate) load: f64,
    /// Why the rest is missing.
    pub(crate) error: Option<String>,
    /// What a person should see to, though the node works.
    pub(crate) warnings: Vec<String>,
    /// Its own monotonic time.
    pub(crate) now_ms: u64,
    pub(crate) pipeline: Option<PipelineView>,
    pub(crate) exchange: Option<Exchange>,
    /// What it was told of its region's peers.
    pub(crate) regions: Option<RegionsView>,
    pub(crate) tree: Option<ActorView>,
}

/// A node's pipeline.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct PipelineView {
    pub(crate) name: String,
    /// Why it is parked as a whole, or does not do what a coordinator says.
    pub(crate) parked: Option<String>,
    /// Why it does not do what one coordinator says while it does what another one says.
    pub(crate) stranger: Option<String>,
    /// Tasks that parked on this node, and why; others may have them by now.
    pub(crate) parked_tasks: BTreeMap<String, String>,
    pub(crate) counts: Counts,
    pub(crate) tasks: BTreeMap<String, Counts>,
}

/// Of `PipelineCounts`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct Counts {
    pub(crate) received_ledgers: u64,
    pub(crate) received_bytes: u64,
    pub(crate) fetched: u64,
    pub(crate) sent_ledgers: u64,
    pub(crate) sent_events: u64,
    pub(crate) processed: u64,
    pub(crate) refused: u64,
    pub(crate) checkpoint: u64,
    pub(crate) checkpoint_closed_at: i64,
    pub(crate) newest: u64,
    pub(crate) in_flight_batches: u64,
    pub(crate) in_flight_bytes: u64,
}

/// Of `ExchangeCounts`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct Exchange {
    pub(crate) streams: u64,
    pub(crate) sent_bytes: u64,
    pub(crate) received_bytes: u64,
    pub(crate) in_flight_bytes: u64,
    pub(crate) in_flight_bytes_max: u64,
    pub(crate) durable: u64,
}

/// An actor, and what is below it.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct ActorView {
    pub(crate) id: String,
    pub(crate) kind: String,
    pub(crate) state: String,
    pub(crate) incarnation: u64,
    pub(crate) restarts_in_window: u64,
    pub(crate) restarts_total: u64,
    pub(crate) mailbox_depth: Option<u64>,
    pub(crate) age_seconds: f64,
    pub(crate) last_error: Option<String>,
    /// Of pipelines and tasks.
    #[serde(skip_deserializing, skip_serializing_if = "Option::is_none")]
    pub(crate) measures: Option<Measures>,
    pub(crate) children: Vec<ActorView>,
}

/// What a pipeline or task does.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub(crate) struct Measures {
    /// Proven and sent to the sinks; `None` at the first look.
    pub(crate) ledgers_per_second: Option<f64>,
    pub(crate) processed: Option<u64>,
    pub(crate) checkpoint: Option<u64>,
    pub(crate) in_flight_batches: u64,
    pub(crate) in_flight_bytes: u64,
    /// Of a pipeline and of a live task: as of the whole cluster, since a dataset is durable up to one ledger.
    pub(crate) lag_ledgers: Option<u64>,
    pub(crate) lag_seconds: Option<u64>,
    /// Of a task with an end: ledgers up to it that are not proven.
    pub(crate) left_ledgers: Option<u64>,
}

impl Snapshot {
    /// Works out rates since an earlier look, and lags at `unix_seconds`.
    #[must_use]
    pub(crate) fn measured(mut self, before: Option<&Self>, unix_seconds: u64) -> Self {
        let counts = || self.nodes.iter().filter_map(|node| Some(&node.pipeline.as_ref()?.counts));
        let newest = counts().map(|counts| counts.newest).max().filter(|&ledger| ledger > 0);
        let durable = counts().map(|counts| (counts.checkpoint, counts.checkpoint_closed_at)).max();
        let durable = durable.filter(|(checkpoint, _)| *checkpoint > 0);
        self.checkpoint = durable.map(|(checkpoint, _)| checkpoint);
        // Sources are asked every few seconds, so that what they had then may be behind what is durable by now.
        let newest = newest.map(|newest| self.checkpoint.map_or(newest, |durable| newest.max(durable)));
        self.newest = newest;
        self.lag_ledgers =
            newest.zip(self.checkpoint).map(|(newest, durable)| newest.saturating_sub(durable));
        // A node that writes through another does not know when a ledger closed.
        let closed_at = durable.and_then(|(_, closed_at)| u64::try_from(closed_at).ok()).filter(|&at| at > 0);
        self.lag_seconds = closed_at.map(|closed_at| unix_seconds.saturating_sub(closed_at));
        let lags = (self.lag_ledgers, self.lag_seconds);
        for node in &mut self.nodes {
            let before = before.and_then(|before| before.life_of(node));
            node.measure(before, lags);
        }
        let rates = self.nodes.iter().filter_map(|node| node.measures()?.ledgers_per_second);
        self.ledgers_per_second = rates.fold(None, |sum, rate| Some(sum.unwrap_or(0.0) + rate));
        self
    }

    /// Events that were proven and sent to sinks, by all nodes in their present lives.
    pub(crate) fn events(&self) -> u64 {
        let counts = self.nodes.iter().filter_map(|node| Some(node.pipeline.as_ref()?.counts.sent_events));
        counts.fold(0, u64::saturating_add)
    }

    /// What the coordinator wants a person to know.
    pub(crate) fn concerns(&self) -> &[String] {
        self.coordinator.as_ref().map_or(&[], |lease| lease.concerns.as_slice())
    }

    /// What a node was told of peer regions: all are told the same.
    pub(crate) fn peer_regions(&self) -> &[PeerRegionView] {
        let told = self.nodes.iter().filter_map(|node| node.regions.as_ref());
        told.map(|regions| regions.peers.as_slice()).find(|peers| !peers.is_empty()).unwrap_or_default()
    }

    /// Whether this node coordinates.
    pub(crate) fn is_coordinator(&self, node: &NodeView) -> bool {
        let lease = self.coordinator.as_ref();
        lease.is_some_and(|lease| lease.node == node.name && lease.incarnation == node.incarnation)
    }

    /// The same life of a node, as it was seen here.
    fn life_of(&self, node: &NodeView) -> Option<&NodeView> {
        self.nodes.iter().find(|before| {
            before.name == node.name && before.incarnation == node.incarnation && before.now_ms <= node.now_ms
        })
    }
}

/// Nodes, as `orrery nodes` and the API list them.
pub(crate) fn listed(snapshot: &Snapshot) -> Value {
    let listed = snapshot.nodes.iter().map(|node| {
        json!({
            "name": node.name,
            "incarnation": node.incarnation,
            "state": node.state,
            "draining": node.draining,
            "coordinator": snapshot.is_coordinator(node),
            "capacity": node.capacity,
            "load": node.load,
            "version": node.version,
            "protocol": node.protocol,
            "address": node.address,
            "roles": node.roles,
        })
    });
    Value::Array(listed.collect())
}

impl NodeView {
    /// Name and life, as in a cluster; a node alone has no number of its life.
    pub(crate) fn identity(&self) -> String {
        match self.incarnation {
            0 => self.name.clone(),
            incarnation => format!("{}.{incarnation}", self.name),
        }
    }

    /// Of its pipeline as a whole.
    pub(crate) fn measures(&self) -> Option<&Measures> {
        let name = &self.pipeline.as_ref()?.name;
        let pipelines = self.tree.as_ref()?.child("pipelines")?;
        pipelines.child(name)?.measures.as_ref()
    }

    fn measure(&mut self, before: Option<&Self>, lags: (Option<u64>, Option<u64>)) {
        let (Some(pipeline), Some(tree)) = (&self.pipeline, &mut self.tree) else { return };
        let earlier = before.and_then(|before| before.pipeline.as_ref());
        let milliseconds = before.map_or(0, |before| self.now_ms.saturating_sub(before.now_ms));
        let pipelines = tree.children.iter_mut().find(|child| child.id == "pipelines");
        let actor = pipelines.and_then(|all| all.children.iter_mut().find(|child| child.id == pipeline.name));
        let Some(actor) = actor else { return };
        let (lag_ledgers, lag_seconds) = lags;
        let whole = pipeline.counts.measures(earlier.map(|earlier| &earlier.counts), milliseconds);
        actor.measures = Some(Measures { lag_ledgers, lag_seconds, ..whole });
        for task in &mut actor.children {
            let Some(counts) = pipeline.tasks.get(&task.id) else { continue };
            let earlier = earlier.and_then(|earlier| earlier.tasks.get(&task.id));
            let measures = counts.measures(earlier, milliseconds);
            let last = task.id.strip_prefix("until-").and_then(|last| last.parse::<u64>().ok());
            let left_ledgers = last.zip(measures.processed).map(|(last, at)| last.saturating_sub(at));
            task.measures = Some(match last {
                Some(_) => Measures { left_ledgers, ..measures },
                None => Measures { lag_ledgers, lag_seconds, ..measures },
            });
        }
    }
}

impl Counts {
    fn measures(&self, before: Option<&Self>, milliseconds: u64) -> Measures {
        Measures {
            ledgers_per_second: before
                .and_then(|before| rate(before.sent_ledgers, self.sent_ledgers, milliseconds)),
            processed: Some(self.processed).filter(|&ledger| ledger > 0),
            checkpoint: Some(self.checkpoint).filter(|&ledger| ledger > 0),
            in_flight_batches: self.in_flight_batches,
            in_flight_bytes: self.in_flight_bytes,
            ..Measures::default()
        }
    }
}

impl ActorView {
    pub(crate) fn child(&self, id: &str) -> Option<&Self> {
        self.children.iter().find(|child| child.id == id)
    }
}

/// A second, to a tenth; `None` if no time has passed, or if it was counted from the beginning again.
fn rate(before: u64, now: u64, milliseconds: u64) -> Option<f64> {
    let more = now.checked_sub(before)?;
    (milliseconds > 0).then(|| (more as f64 * 10_000.0 / milliseconds as f64).round() / 10.0)
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// A cluster of two: `a` coordinates and has two tasks, one of which has failed; `b` does not answer.
    pub(in super::super) fn seen(now_ms: u64, sent: u64) -> Snapshot {
        let actor = |id: &str, state: &str, mailbox: Value, children: Value| {
            let kind = if children == json!([]) { "worker" } else { "supervisor" };
            json!({ "id": id, "kind": kind, "state": state, "incarnation": 1, "restarts_total": 0,
                    "restarts_in_window": 0, "age_seconds": 12.5, "mailbox_depth": mailbox, "last_error": null,
                    "children": children })
        };
        let mut failed = actor(
            "until-2047",
            "restarting",
            json!(null),
            json!([actor("fetcher", "ended", json!(3), json!([]))]),
        );
        failed["last_error"] = json!("lake: object is torn");
        failed["incarnation"] = json!(3);
        failed["restarts_in_window"] = json!(2);
        failed["restarts_total"] = json!(2);
        let live = actor(
            "live",
            "running",
            json!(0),
            json!([actor("sink/ledgers", "running", json!(7), json!([]))]),
        );
        let main = actor("main", "running", json!(null), json!([failed, live]));
        let tree = actor(
            "node",
            "running",
            json!(null),
            json!([actor("pipelines", "running", json!(null), json!([main]))]),
        );
        let counts = |sent: u64| {
            json!({ "sent_ledgers": sent, "processed": sent + 1, "checkpoint": 5000, "newest": 20_001,
                    "checkpoint_closed_at": 1_700_000_000, "in_flight_batches": 4, "in_flight_bytes": 3_145_728 })
        };
        let a = json!({ "name": "a", "incarnation": 17, "state": "alive", "address": "127.0.0.1:7101", "load": 1.0,
                        "roles": ["fetcher", "processor"], "version": "0.1.0", "capacity": 2, "now_ms": now_ms, "tree": tree,
                        "pipeline": { "name": "main", "counts": counts(sent), "tasks": { "live": counts(sent / 2) } } });
        let b = json!({ "name": "b", "incarnation": 18, "state": "suspect", "address": "127.0.0.1:7102",
                        "error": "node `b` did not answer within 2s" });
        let coordinator = json!({ "node": "a", "incarnation": 17, "epoch": 3 });
        serde_json::from_value(json!({ "coordinator": coordinator, "nodes": [a, b] })).unwrap()
    }

    #[test]
    fn two_looks_give_rates_and_lags() {
        let first = seen(1_000, 100).measured(None, 1_700_000_060);
        assert_eq!(
            (first.newest, first.checkpoint, first.ledgers_per_second),
            (Some(20_001), Some(5000), None)
        );
        let second = seen(3_000, 400).measured(Some(&first), 1_700_000_060);
        assert_eq!(second.ledgers_per_second, Some(150.0));
        let node = &second.nodes[0];
        assert!(second.is_coordinator(node) && !second.is_coordinator(&second.nodes[1]));
        let whole = node.measures().unwrap();
        assert_eq!(
            (whole.lag_ledgers, whole.lag_seconds, whole.in_flight_batches),
            (Some(15_001), Some(60), 4)
        );
        let main = node.tree.as_ref().unwrap().child("pipelines").unwrap().child("main").unwrap();
        let rate =
            |task| main.child(task).unwrap().measures.as_ref().map(|measures| measures.ledgers_per_second);
        assert_eq!((rate("live"), rate("until-2047")), (Some(Some(75.0)), None));
    }

    #[test]
    fn the_newest_ledger_is_not_behind_a_durable_one() {
        let check = |newest: u64, checkpoint: u64, expect: (Option<u64>, Option<u64>)| {
            let mut snapshot = seen(1_000, 100);
            let counts = &mut snapshot.nodes[0].pipeline.as_mut().unwrap().counts;
            (counts.newest, counts.checkpoint) = (newest, checkpoint);
            let measured = snapshot.measured(None, 1_700_000_060);
            assert_eq!((measured.newest, measured.lag_ledgers), expect, "{newest} {checkpoint}");
        };
        check(20, 15, (Some(20), Some(5)));
        check(15, 20, (Some(20), Some(0)));
        check(15, 0, (Some(15), None));
        check(0, 20, (None, None));
    }

    #[test]
    fn a_node_that_began_again_has_no_rate_yet() {
        let check = |before: u64, now: u64, milliseconds: u64, expect: Option<f64>| {
            assert_eq!(rate(before, now, milliseconds), expect);
        };
        check(10, 30, 500, Some(40.0));
        check(10, 30, 0, None);
        check(30, 10, 500, None);
        let later = seen(500, 400).measured(Some(&seen(1_000, 100)), 0);
        assert_eq!(later.ledgers_per_second, None);
    }
}
