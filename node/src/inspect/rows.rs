//! The trees of all nodes as a flat list.

use serde::Serialize;
use serde_json::Value;

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

impl Row {
    /// Whether a restart was of this actor, or of the group that it restarts with. Supervisors are named from the root on.
    pub(crate) fn is_in(&self, record: &Value) -> bool {
        let (Some(supervisor), Some(child)) = (record["supervisor"].as_str(), record["child"].as_str())
        else {
            return false;
        };
        let below_root = supervisor.split_once('/').map_or("", |(_, below)| below);
        let ended = [self.node.as_str(), below_root, child].into_iter().filter(|part| !part.is_empty());
        ended.collect::<Vec<_>>().join("/") == self.path
    }
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
        age_seconds: (actor.age_seconds * 10.0).round() / 10.0,
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
    use serde_json::json;

    use super::*;
    use crate::inspect::snapshot::tests::seen;

    fn row(path: &str) -> Row {
        let node = path.split('/').next().unwrap().to_owned();
        Row {
            node,
            path: path.to_owned(),
            kind: "worker".to_owned(),
            state: "running".to_owned(),
            incarnation: 1,
            restarts_in_window: 0,
            restarts_total: 0,
            mailbox_depth: None,
            age_seconds: 1.0,
            last_error: None,
            measures: None,
        }
    }

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

    #[test]
    fn restarts_are_those_of_the_actor_itself() {
        let check = |supervisor: &str, child: &str, path: &str, expect: bool| {
            let record = json!({ "supervisor": supervisor, "child": child });
            assert_eq!(row(path).is_in(&record), expect, "{supervisor} {child} {path}");
        };
        check("node/pipelines/main", "fetcher", "a/pipelines/main/fetcher", true);
        check("node/pipelines/main", "sink/ledgers", "a/pipelines/main/sink/ledgers", true);
        check("node", "pipelines", "a/pipelines", true);
        check("node/pipelines/main", "fetcher", "a/pipelines/main/processor", false);
        check("node/pipelines/main/live", "fetcher", "a/pipelines/main/fetcher", false);
    }
}
