//! How the node is, and the others: what the commands `tree`, `nodes` and `quarantine` say, and a summary.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use orrery_actors::dataset::Snapshot as Dataset;
use orrery_supervisor::{Clock, MonotonicTime};
use serde_json::{Value, json};
use tokio::sync::Mutex;
use warp::http::StatusCode;

use super::Rest;
use super::answer::{self, Holds, JSON};
use super::query::only;
use crate::inspect::{Snapshot, listed};
use crate::reach::{Question, Unanswered};
use crate::readiness::Readiness;
use crate::serve::access::{Access, Role};
use crate::serve::describe::named;
use crate::serve::problem::Problem;
use crate::serve::request::Request;
use crate::serve::router::{Answer, Endpoint};
use crate::wall_clock;

/// A look serves all who ask within this time: in a cluster it asks every node. Two looks so far apart give rates.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// The newest look, and an earlier one.
#[derive(Default)]
pub(super) struct Looks {
    newest: Mutex<Option<Look>>,
}

#[derive(Clone)]
pub(super) struct Look {
    at: MonotonicTime,
    pub(super) seen: Arc<Snapshot>,
    events_per_second: Option<f64>,
    events: u64,
}

pub(super) fn endpoints(rest: &Arc<Rest>) -> Vec<Endpoint> {
    let (of_status, of_tree) = (rest.clone(), rest.clone());
    let (of_nodes, of_quarantine) = (rest.clone(), rest.clone());
    let viewer = Access::Of(Role::Viewer);
    vec![
        Endpoint::get("/v1/status", viewer, "How far the node is, and how it is", move |request| {
            let rest = of_status.clone();
            async move { status(&rest, &request).await }
        })
        .gives(JSON, named("Status")),
        Endpoint::get("/v1/tree", viewer, "The supervision tree of every node", move |request| {
            let rest = of_tree.clone();
            async move {
                only(&request, &[])?;
                let look = rest.look().await?;
                answer::json(&request, look.seen.as_ref(), Holds::Now)
            }
        })
        .gives(JSON, named("Tree")),
        Endpoint::get("/v1/nodes", viewer, "Every node of the cluster", move |request| {
            let rest = of_nodes.clone();
            async move {
                only(&request, &[])?;
                let look = rest.look().await?;
                answer::json(&request, &listed(&look.seen), Holds::Now)
            }
        })
        .gives(JSON, json!({ "type": "array", "items": named("Node") })),
        Endpoint::get("/v1/quarantine", viewer, "Ledgers that this node could not process", move |request| {
            let rest = of_quarantine.clone();
            async move {
                only(&request, &[])?;
                let listed = rest.ask(Question::Quarantine).await?;
                answer::json(&request, &listed, Holds::Now)
            }
        })
        .gives(JSON, json!({ "type": "array", "items": named("Quarantined") })),
    ]
}

impl Rest {
    pub(super) async fn ask(&self, question: Question) -> Result<Value, Problem> {
        // Before the node runs nobody answers; it may be long until it does.
        self.ask_within(question, Duration::from_secs(5), "the node does not run yet").await
    }

    /// `late` is what it means that there is no answer in time.
    pub(super) async fn ask_within(
        &self,
        question: Question,
        within: Duration,
        late: &str,
    ) -> Result<Value, Problem> {
        let asked = tokio::time::timeout(within, self.readiness.reach.ask(question)).await;
        let answer = asked.map_err(|_| Problem::unavailable(late, 2))?;
        answer.map_err(|why| match why {
            Unanswered::Away(why) => Problem::unavailable(why, 2),
            Unanswered::Refused(why) => Problem::new(StatusCode::CONFLICT, "not_done", why),
            Unanswered::Unknown(why) => Problem::not_found(why),
        })
    }

    /// What was seen within the last second.
    pub(super) async fn look(&self) -> Result<Look, Problem> {
        let mut newest = self.looks.newest.lock().await;
        let now = self.readiness.clock.now();
        if let Some(look) = newest.as_ref().filter(|look| now.since(look.at) < LOOK_EVERY) {
            return Ok(look.clone());
        }
        let answer = self.ask(Question::Tree).await?;
        let seen: Snapshot = serde_json::from_value(answer)
            .map_err(|error| Problem::unavailable(format!("the node's answer cannot be read: {error}"), 2))?;
        let before = newest.take();
        let seen = seen.measured(before.as_ref().map(|look| &*look.seen), wall_clock::milliseconds() / 1000);
        let events = seen.events();
        let events_per_second = before.and_then(|before| {
            let seconds = now.since(before.at).as_secs_f64();
            let more = events.checked_sub(before.events)?;
            (seconds > 0.0).then(|| (more as f64 / seconds * 10.0).round() / 10.0)
        });
        let look = Look { at: now, seen: Arc::new(seen), events_per_second, events };
        *newest = Some(look.clone());
        Ok(look)
    }
}

async fn status(rest: &Rest, request: &Request) -> Answer {
    only(request, &[])?;
    let look = rest.look().await?;
    let dataset = rest.dataset().ok().map(|(_, snapshot)| snapshot);
    let (is_ready, readiness) = rest.readiness.answer();
    let seen = &look.seen;
    let newest = dataset.as_deref().and_then(Dataset::last_ledger);
    // The feed may be ahead of what is durable.
    let tips = rest.readiness.feed.tips_now();
    let live = tips.memory.and_then(|memory| Some((memory.next.0.checked_sub(1)?, tips.closed_at)));
    let durable = newest.map(|(ledger, _, closed_at)| (ledger.0, Some(closed_at)));
    let tip = live.max(durable);
    let checkpoint = seen.checkpoint.or(newest.map(|(ledger, ..)| ledger.0.into()));
    let oldest =
        dataset.as_deref().filter(|dataset| dataset.last().is_some()).map(|dataset| dataset.first().0);
    let answer = json!({
        "node": rest.readiness.node(),
        "version": env!("CARGO_PKG_VERSION"),
        "network": dataset.as_ref().map(|dataset| dataset.network_passphrase().to_owned()),
        "tip": tip.map(|(ledger, _)| ledger),
        "tip_closed_at": tip.and_then(|(_, closed_at)| Some(closed_at?.to_string())),
        "checkpoint": checkpoint,
        "oldest": oldest,
        "lag_ledgers": seen.lag_ledgers,
        "lag_seconds": seen.lag_seconds,
        "ready": is_ready,
        "reasons": readiness.get("reasons").cloned().unwrap_or_else(|| json!([])),
        "nodes": seen.nodes.len(),
        "pipelines": pipelines(seen),
        "rates": { "ledgers_per_second": seen.ledgers_per_second, "events_per_second": look.events_per_second },
        "feed": feed(&rest.readiness),
    });
    answer::json(request, &answer, Holds::Now)
}

/// Who follows this node.
fn feed(readiness: &Readiness) -> Value {
    let counts = &readiness.feed.counts;
    json!({
        "connections": counts.connections.load(Ordering::Relaxed),
        "subscriptions": counts.subscriptions.load(Ordering::Relaxed),
        "evicted": counts.evicted.load(Ordering::Relaxed),
    })
}

/// Pipelines of all nodes by name: parked if any node has it parked.
fn pipelines(seen: &Snapshot) -> Vec<Value> {
    let mut found: BTreeMap<&str, (&str, Option<&str>)> = BTreeMap::new();
    for node in &seen.nodes {
        let Some(pipeline) = &node.pipeline else { continue };
        let actor = node.tree.as_ref().and_then(|tree| tree.child("pipelines")?.child(&pipeline.name));
        let state = actor.map_or("unknown", |actor| actor.state.as_str());
        let known = found.entry(&pipeline.name).or_insert((state, None));
        if let Some(parked) = &pipeline.parked {
            *known = ("parked", Some(parked));
        }
    }
    let described = |(name, (state, parked))| json!({ "name": name, "state": state, "parked": parked });
    found.into_iter().map(described).collect()
}
