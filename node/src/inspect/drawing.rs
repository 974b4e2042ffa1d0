//! The supervision tree of a whole cluster as text.

use orrery_supervisor::cluster::role::Roles;

use super::columns::{Columns, bytes, number, seconds};
use super::regions::PeerRegionView;
use super::snapshot::{ActorView, Measures, NodeView, PipelineView, Snapshot};
use crate::console::thousands;

/// Characters of an error in a line; `inspect` has all of it.
const ERROR_CHARS_MAX: usize = 100;

/// Draws it, line by line.
pub(crate) fn draw_tree(snapshot: &Snapshot) -> Vec<String> {
    let mut columns = Columns::new(["ACTOR", "STATE", "LIFE", "RESTARTS", "MAILBOX", "AGE", ""]);
    for node in &snapshot.nodes {
        columns.across(heading(snapshot, node));
        if let Some(error) = &node.error {
            columns.across(format!("└─ {}", shortened(error)));
        }
        for line in node.pipeline.iter().flat_map(parked) {
            columns.across(line);
        }
        for warning in &node.warnings {
            columns.across(format!("!  {}", shortened(warning)));
        }
        if let Some(tree) = &node.tree {
            draw_below(&mut columns, "", tree);
        }
    }
    let mut lines = vec![summary(snapshot)];
    lines.extend(snapshot.concerns().iter().map(|concern| format!("!  {concern}")));
    lines.extend(snapshot.peer_regions().iter().map(PeerRegionView::line));
    lines.extend(columns.lines());
    lines
}

/// One line about all of it.
pub(super) fn summary(snapshot: &Snapshot) -> String {
    let mut parts = Vec::new();
    parts.extend(
        snapshot
            .coordinator
            .as_ref()
            .map(|lease| format!("coordinator {} (epoch {})", lease.node, lease.epoch)),
    );
    parts.extend(snapshot.newest.map(|newest| format!("newest ledger {}", thousands(newest))));
    parts.extend(snapshot.checkpoint.map(|durable| format!("durable to {}", thousands(durable))));
    parts.extend(snapshot.ledgers_per_second.map(per_second));
    match (snapshot.nodes.len(), parts.is_empty()) {
        (1, true) => "1 node".to_owned(),
        (1, false) => format!("1 node: {}", parts.join(", ")),
        (count, true) => format!("{count} nodes"),
        (count, false) => format!("{count} nodes: {}", parts.join(", ")),
    }
}

pub(super) fn per_second(rate: f64) -> String {
    format!("{} ledgers/s", thousands(rate.round() as u64))
}

fn heading(snapshot: &Snapshot, node: &NodeView) -> String {
    let mut parts = vec![node.identity(), node_state(node)];
    if snapshot.is_coordinator(node) {
        parts.push("* coordinator".to_owned());
    }
    if !node.roles.is_empty() {
        parts.push(roles(node));
    }
    parts.extend(
        Some(&node.version).filter(|version| !version.is_empty()).map(|version| format!("v{version}")),
    );
    parts.extend(Some(&node.address).filter(|address| !address.is_empty()).cloned());
    if let Some(exchange) = node.exchange.as_ref().filter(|exchange| exchange.streams > 0) {
        parts.push(format!("{} streams, {} in flight", exchange.streams, bytes(exchange.in_flight_bytes)));
    }
    parts.join("  ")
}

/// What waits for a person, and why; and what does not wait, and should not be.
fn parked(pipeline: &PipelineView) -> Vec<String> {
    let whole = pipeline.parked.iter().map(|why| (pipeline.name.clone(), why));
    let tasks = pipeline.parked_tasks.iter().map(|(task, why)| (format!("{}/{task}", pipeline.name), why));
    let stranger = pipeline
        .stranger
        .iter()
        .map(|why| format!("!  another coordinator is not heard: {}", shortened(why)));
    let parked = whole.chain(tasks).map(|(name, why)| format!("!  {name} is parked: {}", shortened(why)));
    parked.chain(stranger).collect()
}

/// In a word, if it has all that there are.
pub(crate) fn roles(node: &NodeView) -> String {
    match node.roles.len() == Roles::all().iter().count() {
        true => "all roles".to_owned(),
        false => node.roles.join(","),
    }
}

pub(super) fn node_state(node: &NodeView) -> String {
    if node.draining { "draining".to_owned() } else { node.state.clone() }
}

fn draw_below(columns: &mut Columns, above: &str, actor: &ActorView) {
    for (index, child) in actor.children.iter().enumerate() {
        let is_last = index + 1 == actor.children.len();
        let (branch, trunk) = if is_last { ("└─ ", "   ") } else { ("├─ ", "│  ") };
        columns.add([
            format!("{above}{branch}{}", child.id),
            child.state.clone(),
            child.incarnation.to_string(),
            restarts(child.restarts_in_window, child.restarts_total),
            number(child.mailbox_depth),
            seconds(child.age_seconds),
            remarks(child.measures.as_ref(), child.last_error.as_deref()),
        ]);
        draw_below(columns, &format!("{above}{trunk}"), child);
    }
}

/// Those that count now, and all.
pub(crate) fn restarts(in_window: u64, total: u64) -> String {
    if total == 0 && in_window == 0 { "0".to_owned() } else { format!("{in_window}/{total}") }
}

/// What a pipeline does, and what went wrong last.
pub(crate) fn remarks(measures: Option<&Measures>, error: Option<&str>) -> String {
    let mut parts = Vec::new();
    if let Some(measures) = measures {
        parts.extend(measures.ledgers_per_second.map(per_second));
        if measures.in_flight_batches > 0 {
            parts.push(format!("{} in flight", bytes(measures.in_flight_bytes)));
        }
        parts.extend(measures.processed.map(|ledger| format!("at {}", thousands(ledger))));
        parts.extend(measures.left_ledgers.map(|left| format!("{} left", thousands(left))));
        parts.extend(measures.lag_ledgers.map(|lag| format!("lag {} ledgers", thousands(lag))));
        parts.extend(measures.lag_seconds.map(|lag| format!("durable ledger {} old", seconds(lag as f64))));
    }
    parts.extend(error.map(|error| format!("last error: {}", shortened(error))));
    parts.join(", ")
}

fn shortened(text: &str) -> String {
    match text.char_indices().nth(ERROR_CHARS_MAX) {
        Some((end, _)) => format!("{}...", text.get(..end).unwrap_or_default()),
        None => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::inspect::plain::plain_value;
    use crate::inspect::snapshot::tests::seen;

    #[test]
    fn what_is_parked_is_said_below_its_node() {
        let mut seen = seen(1, 1);
        let pipeline = seen.nodes[0].pipeline.as_mut().unwrap();
        pipeline.parked = Some("asked for".to_owned());
        pipeline.parked_tasks = [("until-9".to_owned(), "ledger 7".to_owned())].into();
        pipeline.stranger = Some("c's".to_owned());
        seen.nodes[0].warnings = vec!["the node's state cannot be written".to_owned()];
        let lines = draw_tree(&seen);
        let expect = [
            "!  main is parked: asked for",
            "!  main/until-9 is parked: ledger 7",
            "!  another coordinator is not heard: c's",
            "!  the node's state cannot be written",
        ];
        assert_eq!(lines[3..7], expect, "{lines:?}");
    }

    #[test]
    fn what_the_coordinator_wants_known_is_said_first() {
        let mut seen = seen(1, 1);
        seen.coordinator.as_mut().unwrap().concerns = vec!["no node has the role sink".to_owned()];
        assert_eq!(draw_tree(&seen)[1], "!  no node has the role sink");
    }

    #[test]
    fn a_cluster_is_drawn_with_every_actor_and_what_it_does() {
        let first = seen(1_000, 100).measured(None, 1_700_000_060);
        let lines = draw_tree(&seen(3_000, 400).measured(Some(&first), 1_700_000_060));
        let expect = "\
2 nodes: coordinator a (epoch 3), newest ledger 20,001, durable to 5,000, 150 ledgers/s
ACTOR                     STATE       LIFE  RESTARTS  MAILBOX  AGE
a.17  alive  * coordinator  fetcher,processor  v0.1.0  127.0.0.1:7101
└─ pipelines              running     1     0         -        12s
   └─ main                running     1     0         -        12s  150 ledgers/s, 3.0 MiB in flight, at 401, lag 15,001 ledgers, durable ledger 1m00s old
      ├─ until-2047       restarting  3     2/2       -        12s  last error: lake: object is torn
      │  └─ fetcher       ended       1     0         3        12s
      └─ live             running     1     0         0        12s  75 ledgers/s, 3.0 MiB in flight, at 201, lag 15,001 ledgers, durable ledger 1m00s old
         └─ sink/ledgers  running     1     0         7        12s
b.18  suspect  127.0.0.1:7102
└─ node `b` did not answer within 2s";
        assert_eq!(lines.join("\n"), expect);
    }

    #[test]
    fn nothing_that_a_node_says_reaches_the_terminal_as_a_command() {
        let mut said = serde_json::to_value(seen(1_000, 100)).unwrap();
        said["nodes"][1]["error"] = "\u{1b}]0;title\u{7}\r\nforged line".into();
        said["nodes"][0]["tree"]["children"][0]["id"] = "\u{9b}2J".into();
        let snapshot: Snapshot = serde_json::from_value(plain_value(said)).unwrap();
        let lines = draw_tree(&snapshot);
        assert!(lines.iter().all(|line| !line.chars().any(char::is_control)), "{lines:?}");
        assert!(
            lines.iter().any(|line| line.contains("forged line") && line.starts_with("└─ ")),
            "{lines:?}"
        );
    }

    #[test]
    fn long_errors_are_cut_between_characters() {
        let long = "ü".repeat(ERROR_CHARS_MAX + 1);
        assert_eq!(shortened(&long).chars().count(), ERROR_CHARS_MAX + 3);
        assert_eq!(shortened("short"), "short");
    }
}
