//! What is looked at now and then rather than counted as it happens: the supervision tree, the cluster, readiness.

use std::collections::BTreeMap;
use std::time::Duration;

use metrics::gauge;
use orrery_supervisor::cluster::membership::{MemberState, Members};
use orrery_supervisor::{NodeKind, NodeState, SupervisorHandle, TreeNode};
use tokio::time::MissedTickBehavior;

use super::contract::{
    ACTORS, CONCERNS, COORDINATES, MAILBOX, MEMBERS, NODE_TRAFFIC, READY, RESTARTS_IN_WINDOW, UNREADY,
    WARNINGS,
};

/// Between two looks at the tree. Prometheus asks less often.
const LOOK_EVERY: Duration = Duration::from_secs(5);

/// Time for supervisors to tell what is below them.
const TREE_WITHIN: Duration = Duration::from_secs(2);

/// Why a node may not be ready, as `/readyz` names it.
const REASONS: [&str; 8] = [
    "starting",
    "draining",
    "parked",
    "other_dataset",
    "other_network",
    "dataset_gone",
    "source_outage",
    "dataset_outage",
];

const STATES: [NodeState; 6] = [
    NodeState::Starting,
    NodeState::Running,
    NodeState::Restarting,
    NodeState::Stopping,
    NodeState::Parked,
    NodeState::Ended,
];

/// A path of the tree without what numbers a task: there is no end of those.
pub(crate) fn path(path: &str) -> String {
    let word = |segment: &str| match segment.strip_prefix("until-") {
        Some(_) => "until".to_owned(),
        None => segment.to_owned(),
    };
    path.split('/').map(word).collect::<Vec<_>>().join("/")
}

/// A tree in few numbers.
#[derive(Debug, Default, PartialEq, Eq)]
struct Seen {
    /// By [`STATES`].
    actors: [u32; STATES.len()],
    /// By the actor's own name.
    mailboxes: BTreeMap<String, u64>,
    /// By the supervisor's path; the most of those with one path.
    restarts: BTreeMap<String, u32>,
}

impl Seen {
    fn add(&mut self, node: &TreeNode, above: &str) {
        let own = if above.is_empty() { node.id.to_string() } else { format!("{above}/{}", node.id) };
        let own = path(&own);
        if let Some(at) = STATES.iter().position(|state| *state == node.state) {
            self.actors[at] += 1;
        }
        if let Some(depth) = node.mailbox_depth {
            *self.mailboxes.entry(path(node.id.as_str())).or_default() += depth;
        }
        if node.kind == NodeKind::Supervisor {
            let most = self.restarts.entry(own.clone()).or_default();
            *most = node.restarts_in_window.max(*most);
        }
        node.children.iter().for_each(|child| self.add(child, &own));
    }
}

/// Looks at the tree for ever.
pub(crate) async fn follow(handle: &SupervisorHandle) {
    let mut ticks = tokio::time::interval(LOOK_EVERY);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut before = Seen::default();
    loop {
        ticks.tick().await;
        let Ok(tree) = handle.tree(TREE_WITHIN).await else { continue };
        let mut seen = Seen::default();
        seen.add(&tree, "");
        for (state, actors) in STATES.iter().zip(seen.actors) {
            gauge!(ACTORS, "state" => state.as_str()).set(f64::from(actors));
        }
        // What is gone has nothing any more.
        for actor in before.mailboxes.keys().filter(|actor| !seen.mailboxes.contains_key(*actor)) {
            gauge!(MAILBOX, "actor" => actor.clone()).set(0.0);
        }
        for (actor, depth) in &seen.mailboxes {
            gauge!(MAILBOX, "actor" => actor.clone()).set(*depth as f64);
        }
        for supervisor in before.restarts.keys().filter(|path| !seen.restarts.contains_key(*path)) {
            gauge!(RESTARTS_IN_WINDOW, "supervisor" => supervisor.clone()).set(0.0);
        }
        for (supervisor, restarts) in &seen.restarts {
            gauge!(RESTARTS_IN_WINDOW, "supervisor" => supervisor.clone()).set(f64::from(*restarts));
        }
        before = seen;
    }
}

/// Who is there.
pub(crate) fn set_members(members: &Members) {
    for state in [MemberState::Alive, MemberState::Suspect] {
        let count = members.iter().filter(|member| member.state == state).count();
        gauge!(MEMBERS, "state" => state.as_str()).set(count as f64);
    }
}

/// Whether this node is the active coordinator, and how much it wants a person to know.
pub(crate) fn set_coordination(is_active: bool, concerns: usize) {
    gauge!(COORDINATES).set(f64::from(u8::from(is_active)));
    gauge!(CONCERNS).set(concerns as f64);
}

/// Whether the node does its work, and why not.
pub(crate) fn set_readiness(reasons: &[&str], has_traffic: bool, warnings: usize) {
    let is = |so: bool| f64::from(u8::from(so));
    gauge!(READY).set(is(reasons.is_empty()));
    gauge!(NODE_TRAFFIC).set(is(has_traffic));
    gauge!(WARNINGS).set(warnings as f64);
    for reason in REASONS {
        gauge!(UNREADY, "reason" => reason).set(is(reasons.contains(&reason)));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_task_has_no_number_in_a_label() {
        let check = |text: &str, expect: &str| assert_eq!(path(text), expect);
        check("node/pipelines/main/until-4095", "node/pipelines/main/until");
        check("node/pipelines/main/live/sink", "node/pipelines/main/live/sink");
        check("processor", "processor");
    }

    #[test]
    fn a_tree_is_summed_up_by_names_that_stay() {
        let node = |id: &str, kind, state, mailbox, restarts, children| TreeNode {
            id: id.into(),
            kind,
            state,
            incarnation: 1,
            restarts_total: 9,
            restarts_in_window: restarts,
            age: Duration::ZERO,
            mailbox_depth: mailbox,
            last_error: None,
            answered: true,
            children,
        };
        let task = |id: &str, depth, restarts| {
            let worker = node("sink", NodeKind::Worker, NodeState::Running, Some(depth), 0, Vec::new());
            node(id, NodeKind::Supervisor, NodeState::Restarting, None, restarts, vec![worker])
        };
        let children = vec![task("until-9", 3, 2), task("until-17", 4, 1)];
        let mut seen = Seen::default();
        seen.add(&node("main", NodeKind::Supervisor, NodeState::Running, None, 5, children), "");
        let expect = Seen {
            actors: [0, 3, 2, 0, 0, 0],
            mailboxes: [("sink".to_owned(), 7)].into(),
            restarts: [("main".to_owned(), 5), ("main/until".to_owned(), 2)].into(),
        };
        assert_eq!(seen, expect);
    }
}
