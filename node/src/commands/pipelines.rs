//! `orrery park` and `orrery resume`: of all nodes of a cluster, of a node that runs, or for the next start of one that does
//! not.

use serde_json::{Value, json};

#[cfg(debug_assertions)]
use crate::cli::KillArgs;
use crate::cli::PipelineArgs;
use crate::commands::asked::Asked;
use crate::config::PipelineConfig;
use crate::console::Console;
use crate::control::Request;
use crate::exit::Failure;
use crate::inspect::{Cluster, Columns};
use crate::threads;

/// Stops a pipeline until it is resumed.
pub(crate) fn park(args: &PipelineArgs, console: &Console) -> Result<(), Failure> {
    if let Some(address) = &args.target.cluster.cluster {
        return everywhere("park", address, args, console);
    }
    let node = Asked::new(&args.target.node)?;
    let pipeline = args.pipeline.clone().unwrap_or_else(|| node.pipeline().to_owned());
    let answer = node.answer(&Request::Park { pipeline: pipeline.clone() }, |state| {
        node.check_known(state, &pipeline)?;
        state.parked.park(&pipeline, "parked by an operator")?;
        Ok(json!({ "pipeline": pipeline, "state": "parked", "node": "not running" }))
    })?;
    console.object(&answer)
}

/// Starts a parked pipeline.
pub(crate) fn resume(args: &PipelineArgs, console: &Console) -> Result<(), Failure> {
    if let Some(address) = &args.target.cluster.cluster {
        return everywhere("resume", address, args, console);
    }
    let node = Asked::new(&args.target.node)?;
    let pipeline = args.pipeline.clone().unwrap_or_else(|| node.pipeline().to_owned());
    let answer = node.answer(&Request::Resume { pipeline: pipeline.clone() }, |state| {
        node.check_known(state, &pipeline)?;
        // One that is not parked starts with the node as well.
        state.parked.resume(&pipeline)?;
        Ok(json!({ "pipeline": pipeline, "state": "starts with the node", "node": "not running" }))
    })?;
    console.object(&answer)
}

/// Has every node of a cluster do it, and says what each answered.
fn everywhere(action: &str, address: &str, args: &PipelineArgs, console: &Console) -> Result<(), Failure> {
    let pipeline = args.pipeline.clone().unwrap_or_else(|| PipelineConfig::default().name);
    let answer = threads::runtime()?.block_on(async {
        let cluster = Cluster::new(address, &args.target.cluster.proof).await?;
        cluster.act(action, &json!({ "pipeline": pipeline })).await
    })?;
    let nodes = answer["nodes"].as_array().cloned().unwrap_or_default();
    let mut columns = Columns::new(["NODE", "PIPELINE", "STATE"]);
    let mut failed = Vec::new();
    for node in &nodes {
        let text = |value: &Value| value.as_str().unwrap_or("-").to_owned();
        if node["error"].is_string() {
            failed.push(text(&node["node"]));
        }
        let state = if node["error"].is_string() { &node["error"] } else { &node["answer"]["state"] };
        columns.add([text(&node["node"]), pipeline.clone(), text(state)]);
    }
    console.text(columns.lines().join("\n"))?;
    console.json(&Value::Array(nodes))?;
    match failed.is_empty() {
        true => Ok(()),
        false => Err(Failure::CheckFailed(format!("{action}: not done on {}", failed.join(", ")))),
    }
}

/// Kills an actor.
#[cfg(debug_assertions)]
pub(crate) fn kill(args: &KillArgs, console: &Console) -> Result<(), Failure> {
    let path = match args.path.split_once("/sink/") {
        // Names of sinks have a slash themselves.
        Some((above, sink)) => above.split('/').map(str::to_owned).chain([format!("sink/{sink}")]).collect(),
        None => args.path.split('/').map(str::to_owned).collect(),
    };
    let answer = Asked::new(&args.node)?.ask(&Request::Kill { path })?;
    console.object(&answer.ok_or_else(|| Failure::Unavailable("no node runs there".to_owned()))?)
}
