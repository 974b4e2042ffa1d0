//! What a node tells of itself at one moment, for commands that inspect it: its tree, and what it counts.

use std::collections::BTreeMap;
use std::time::Duration;

use orrery_actors::coordinator::TaskId;
use orrery_actors::exchange::ExchangeCounts;
use orrery_actors::metrics::PipelineCounts;
use orrery_supervisor::{Clock, MonotonicTime};
use serde_json::{Map, Value, json};

use crate::runner::Node;

/// As JSON. `now_ms` is the node's own monotonic time, so that two of these give rates.
pub(crate) fn status(
    node: &Node,
    parked: Option<String>,
    parked_tasks: BTreeMap<TaskId, String>,
    tree: Value,
) -> Value {
    let parked_tasks: Map<String, Value> =
        parked_tasks.into_iter().map(|(task, why)| (task.to_string(), why.into())).collect();
    let metrics = &node.readiness.metrics;
    let now: Duration = node.readiness.clock.now().since(MonotonicTime::ORIGIN);
    let tasks: Map<String, Value> =
        metrics.parts().into_iter().map(|(task, counts)| (task, counted(&counts))).collect();
    json!({
        "name": node.settings.name,
        "version": env!("CARGO_PKG_VERSION"),
        "now_ms": u64::try_from(now.as_millis()).unwrap_or(u64::MAX),
        "pipeline": {
            "name": node.settings.pipeline,
            "parked": parked,
            "stranger": node.readiness.stranger().map(|refused| refused.detail),
            "parked_tasks": parked_tasks,
            "counts": counted(&metrics.counts()),
            "tasks": tasks,
        },
        "warnings": node.readiness.warnings(),
        "exchange": node.exchange_counts().map(|counts| exchanged(&counts)),
        "regions": node.settings.region.as_ref().map(|_| json!(node.readiness.regions.subscribe().borrow().view)),
        "tree": tree,
    })
}

fn counted(counts: &PipelineCounts) -> Value {
    json!({
        "received_ledgers": counts.received_ledgers,
        "received_bytes": counts.received_bytes,
        "fetched": counts.fetched,
        "sent_ledgers": counts.sent_ledgers,
        "sent_events": counts.sent_events,
        "processed": counts.processed,
        "refused": counts.refused,
        "checkpoint": counts.checkpoint,
        "checkpoint_closed_at": counts.checkpoint_closed_at,
        "newest": counts.newest,
        "in_flight_batches": counts.in_flight_batches,
        "in_flight_bytes": counts.in_flight_bytes,
    })
}

fn exchanged(counts: &ExchangeCounts) -> Value {
    json!({
        "streams": counts.streams,
        "sent_bytes": counts.sent_bytes,
        "received_bytes": counts.received_bytes,
        "in_flight_bytes": counts.in_flight_bytes,
        "in_flight_bytes_max": counts.in_flight_bytes_max,
        "durable": counts.durable,
    })
}
