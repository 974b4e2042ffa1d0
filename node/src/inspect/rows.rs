//! The trees of all nodes as a flat list.

use serde::Serialize;

use super::snapshot::{ActorView, Measures, NodeView, Snapshot};
use crate::cli::PsOrder;

/// One actor.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(crate) struct Row {
    pub(crate) node: String,
    /// From the node's name on.
    pub(crate) path: String,
    pub(crate) kind: String,
    pub(crate) state: String,
    pub(crate) incarnation: u64,
    pub(crate) restarts_in_window: u64,
    pub(crate) restarts_total: u64,
    pub(crate) mailbox_depth: Option<u64>,
    pub(crate) age_seconds: f64,
    pub(crate) last_error: Option<String>,
    #[serde(flatten)]
    pub(crate) measures: Option<Measures>,
}

/// Every actor below the roots, in the order of the trees.
pub(crate) fn rows(snapshot: &Snapshot) -> Vec<Row> {
    let mut rows = Vec::new();
    for node in &snapshot.nodes {
        for child in node.tree.iter().flat_map(|tree| &tree.children) {
            add(&mut rows, node, &node.name, child);
        }
    }
    rows
}

fn add(rows: &mut Vec<Row>, node: &NodeView, above: &str, actor: &ActorView) {
    let path = format!("{above}/{}", actor.id);
    rows.push(Row {
        node: node.name.clone(),
        path: path.clone(),
        kind: actor.kind.clone(),
        state: actor.state.clone(),
        incarnation: actor.incarnation,
        restarts_in_window: actor.restarts_in_window,
        restarts_total: actor.restarts_total,
        mailbox_depth: actor.mailbox_depth,
        age_seconds: actor.age_seconds,
        last_error: actor.last_error.clone(),
        measures: actor.measures.clone(),
    });
    for child in &actor.children {
        add(rows, node, &path, child);
    }
}

/// The most first; equals stay in the order of the trees.
pub(crate) fn sort(rows: &mut [Row], order: PsOrder) {
    match order {
        PsOrder::Mailbox => rows.sort_by_key(|row| std::cmp::Reverse(row.mailbox_depth)),
        PsOrder::Restarts => rows.sort_by_key(|row| std::cmp::Reverse(row.restarts_total)),
        PsOrder::Age => rows.sort_by(|a, b| b.age_seconds.total_cmp(&a.age_seconds)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::inspect::snapshot::tests::seen;

    #[test]
    fn every_actor_has_its_path_and_the_most_comes_first() {
        let mut all = rows(&seen(1, 1));
        let paths: Vec<_> = all.iter().map(|row| row.path.as_str()).collect();
        let expect = [
            "a/pipelines",
            "a/pipelines/main",
            "a/pipelines/main/until-2047",
            "a/pipelines/main/until-2047/fetcher",
            "a/pipelines/main/live",
            "a/pipelines/main/live/sink/ledgers",
        ];
        assert_eq!(paths, expect);
        let mut check = |order, expect: &str| {
            sort(&mut all, order);
            assert_eq!(all[0].path, expect, "{order:?}");
        };
        check(PsOrder::Mailbox, "a/pipelines/main/live/sink/ledgers");
        check(PsOrder::Restarts, "a/pipelines/main/until-2047");
    }
}
