//! `orrery park` and `orrery resume`: of a node that runs, or for the next start of one that does not.

use serde_json::json;

#[cfg(debug_assertions)]
use crate::cli::KillArgs;
use crate::cli::PipelineArgs;
use crate::commands::asked::Asked;
use crate::console::Console;
use crate::control::Request;
use crate::exit::Failure;

/// Stops a pipeline until it is resumed.
pub(crate) fn park(args: &PipelineArgs, console: &Console) -> Result<(), Failure> {
    let node = Asked::new(&args.node)?;
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
    let node = Asked::new(&args.node)?;
    let pipeline = args.pipeline.clone().unwrap_or_else(|| node.pipeline().to_owned());
    let answer = node.answer(&Request::Resume { pipeline: pipeline.clone() }, |state| {
        node.check_known(state, &pipeline)?;
        if !state.parked.resume(&pipeline)? {
            return Err(Failure::CheckFailed(format!("pipeline {pipeline} is not parked")));
        }
        Ok(json!({ "pipeline": pipeline, "state": "starts with the node", "node": "not running" }))
    })?;
    console.object(&answer)
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
