//! `orrery tree`, `ps` and `nodes`: what runs where.

use std::time::Duration;

use serde_json::Value;

use crate::cli::{NodesArgs, PsArgs, TargetArgs, TreeArgs};
use crate::console::Console;
use crate::exit::Failure;
use crate::inspect::{
    Cluster, Columns, Snapshot, Target, bytes, draw_tree, listed, number, remarks, restarts, roles, rows,
    seconds, sort,
};
use crate::{threads, wall_clock};

/// Between the two looks that give rates: objects come in bursts.
const LOOK_FOR: Duration = Duration::from_millis(700);

/// Draws the tree.
pub(crate) fn tree(args: &TreeArgs, console: &Console) -> Result<(), Failure> {
    let (_, snapshot) = threads::runtime()?.block_on(look_twice(&args.target))?;
    console.text(draw_tree(&snapshot).join("\n"))?;
    console.json(&value(&snapshot)?)
}

/// Lists actors.
pub(crate) fn ps(args: &PsArgs, console: &Console) -> Result<(), Failure> {
    let (_, snapshot) = threads::runtime()?.block_on(look_twice(&args.target))?;
    let mut listed = rows(&snapshot);
    if let Some(order) = args.sort {
        sort(&mut listed, order);
    }
    let mut columns = Columns::new(["STATE", "LIFE", "RESTARTS", "MAILBOX", "AGE", "IN FLIGHT", "ACTOR"]);
    for row in &listed {
        columns.add([
            row.state.clone(),
            row.incarnation.to_string(),
            restarts(row.restarts_in_window, row.restarts_total),
            number(row.mailbox_depth),
            seconds(row.age_seconds),
            row.measures.as_ref().map_or_else(|| "-".to_owned(), |measures| bytes(measures.in_flight_bytes)),
            match remarks(None, row.last_error.as_deref()) {
                error if error.is_empty() => row.path.clone(),
                error => format!("{}  ({error})", row.path),
            },
        ]);
    }
    console.text(columns.lines().join("\n"))?;
    console.json(&value(&listed)?)
}

/// Lists nodes.
pub(crate) fn nodes(args: &NodesArgs, console: &Console) -> Result<(), Failure> {
    let snapshot = threads::runtime()?.block_on(async {
        let cluster = Cluster::new(&args.cluster, &args.proof).await?;
        cluster.look("nodes").await
    })?;
    let mut columns =
        Columns::new(["NODE", "STATE", "COORDINATOR", "TASKS", "LOAD", "VERSION", "ADDRESS", "ROLES"]);
    for node in &snapshot.nodes {
        columns.add([
            node.identity(),
            if node.draining { "draining".to_owned() } else { node.state.clone() },
            if snapshot.is_coordinator(node) { "active".to_owned() } else { "-".to_owned() },
            format!("up to {}", node.capacity),
            format!("{:.2}", node.load),
            node.version.clone(),
            node.address.clone(),
            roles(node),
        ]);
    }
    console.text(columns.lines().join("\n"))?;
    // Not in the array, whose every line is a node.
    for concern in snapshot.concerns() {
        console.warn(concern);
    }
    console.json(&listed(&snapshot))
}

/// Asks twice, so that what is counted gives rates.
pub(super) async fn look_twice(args: &TargetArgs) -> Result<(Target, Snapshot), Failure> {
    let target = Target::new(args).await?;
    let before = target.look().await?;
    tokio::time::sleep(LOOK_FOR).await;
    let now = target.look().await?.measured(Some(&before), wall_clock::milliseconds() / 1000);
    Ok((target, now))
}

pub(super) fn value(value: &impl serde::Serialize) -> Result<Value, Failure> {
    serde_json::to_value(value).map_err(|error| Failure::Bug(error.to_string()))
}
