//! `orrery inspect`: one actor with everything that is known of it; or `metrics`, `profile`, `heap`.

use std::path::PathBuf;

use base64::prelude::{BASE64_STANDARD, Engine};
use serde_json::{Value, json};

use super::contract;
use super::tree::{look_twice, value};
use crate::cli::InspectArgs;
use crate::console::Console;
use crate::control::{self, Request};
use crate::exit::Failure;
use crate::inspect::{Row, Snapshot, Target, rows};
use crate::threads;

/// Restarts that are looked through.
const RESTARTS_MAX: usize = 200;

/// Names of actors that are like one that is not there.
const LIKE_MAX: usize = 5;

/// Words that are no actors: those have paths.
const METRICS: &str = "metrics";
const PROFILE: &str = "profile";
const HEAP: &str = "heap";

/// Tells it.
pub(crate) fn run(args: &InspectArgs, console: &Console) -> Result<(), Failure> {
    match args.actor.as_str() {
        METRICS => return contract::metrics(console),
        PROFILE => return profile(args, console),
        HEAP => return heap(args, console),
        _ => {}
    }
    let (row, restarts) = threads::runtime()?.block_on(async {
        let (target, snapshot) = look_twice(&args.target).await?;
        let row = found(&snapshot, &args.actor, matches!(target, Target::Node(_)))?;
        let restarts = target.restarts(&row.node, RESTARTS_MAX).await?;
        Ok::<_, Failure>((row, restarts))
    })?;
    let restarts: Vec<Value> =
        restarts.as_array().into_iter().flatten().filter(|record| row.is_in(record)).cloned().collect();
    let mut actor = value(&row)?;
    if console.is_json() {
        actor["restarts"] = Value::Array(restarts);
        return console.json(&actor);
    }
    // In the order of the row, which a map would not keep.
    let mut fields: Vec<(&str, Value)> =
        FIELDS.iter().filter_map(|name| Some((*name, actor.get(*name)?.clone()))).collect();
    fields.retain(|(name, value)| !value.is_null() || ["mailbox_depth", "last_error"].contains(name));
    if restarts.is_empty() {
        fields.push(("restart_history", json!("none that this node remembers")));
    }
    console.result(&fields)?;
    if !restarts.is_empty() {
        console.text("\nrestart history, newest last:")?;
    }
    for record in &restarts {
        let text = |name: &str| record[name].as_str().unwrap_or_default().to_owned();
        console.text(format_args!(
            "  {}/{} life {}, restart {} in the window: {}",
            text("supervisor"),
            text("child"),
            record["incarnation"],
            record["restarts_in_window"],
            text("reason")
        ))?;
    }
    Ok(())
}

/// A flame graph of the node that uses a data directory: one that follows, or a backfill.
fn profile(args: &InspectArgs, console: &Console) -> Result<(), Failure> {
    let answer = of_this_machine(args, "flamegraph", &Request::Profile { seconds: args.seconds })?;
    let (picture, samples) = (answer["svg"].as_str().unwrap_or_default(), answer["samples"].as_u64());
    let out = write(args, "flame.svg", picture.as_bytes())?;
    console.result(&[("file", json!(out)), ("seconds", json!(args.seconds)), ("samples", json!(samples))])
}

/// Who holds the memory of that node, as `go tool pprof` reads it.
fn heap(args: &InspectArgs, console: &Console) -> Result<(), Failure> {
    let answer = of_this_machine(args, "heap", &Request::Heap)?;
    let taken = BASE64_STANDARD.decode(answer["pprof"].as_str().unwrap_or_default());
    let taken = taken.map_err(|error| Failure::Bug(format!("read the node's answer: {error}")))?;
    let out = write(args, "heap.pb.gz", &taken)?;
    console.result(&[("file", json!(out)), ("bytes", json!(taken.len()))])
}

/// What the node that uses the data directory answers; over HTTP it is at `route`.
fn of_this_machine(args: &InspectArgs, route: &str, request: &Request) -> Result<Value, Failure> {
    if args.target.cluster.cluster.is_some() {
        let fix =
            format!("give --data-dir on the node's machine, or ask its node.admin for /debug/pprof/{route}");
        return Err(Failure::Usage(format!("a profile is taken of the node on this machine: {fix}")));
    }
    let asked = super::asked::Asked::new(&args.target.node)?;
    let data_dir = asked.data_dir().to_owned();
    let answer = threads::runtime()?.block_on(control::ask(&data_dir, request))?;
    answer.ok_or_else(|| {
        let fix = "no node uses it: start one, or give --data-dir";
        Failure::Unavailable(format!("{}: {fix}", data_dir.display()))
    })
}

/// Into `--out`, or a file of this name; gives which.
fn write(args: &InspectArgs, name: &str, bytes: &[u8]) -> Result<PathBuf, Failure> {
    let out = args.out.clone().unwrap_or_else(|| name.into());
    std::fs::write(&out, bytes).map_err(|error| {
        Failure::Unavailable(format!("write {}: {error}: give another --out", out.display()))
    })?;
    Ok(out)
}

/// What is shown of an actor, in this order.
const FIELDS: [&str; 18] = [
    "path",
    "node",
    "kind",
    "state",
    "age_seconds",
    "incarnation",
    "restarts_in_window",
    "restarts_total",
    "mailbox_depth",
    "ledgers_per_second",
    "processed",
    "checkpoint",
    "in_flight_batches",
    "in_flight_bytes",
    "lag_ledgers",
    "lag_seconds",
    "left_ledgers",
    "last_error",
];

/// The actor at a path; of a node alone its name may be left out.
fn found(snapshot: &Snapshot, path: &str, is_alone: bool) -> Result<Row, Failure> {
    let all = rows(snapshot);
    let is_meant = |row: &&Row| {
        let below = row.path.strip_prefix(&row.node).and_then(|below| below.strip_prefix('/'));
        row.path == path || is_alone && below == Some(path)
    };
    if let Some(row) = all.iter().find(is_meant) {
        return Ok(row.clone());
    }
    let last = path.rsplit('/').next().unwrap_or(path);
    let like = all.iter().map(|row| row.path.as_str()).filter(|path| path.ends_with(last)).take(LIKE_MAX);
    let like: Vec<&str> = like.collect();
    let silent = snapshot
        .nodes
        .iter()
        .find(|node| path.split('/').next() == Some(&node.name))
        .and_then(|node| node.error.clone());
    let hint = match (silent, like.is_empty()) {
        (Some(error), _) => error,
        (None, true) => "`orrery ps` lists all".to_owned(),
        (None, false) => format!("did you mean {}?", like.join(" or ")),
    };
    Err(Failure::CheckFailed(format!("no actor `{path}`: {hint}")))
}
