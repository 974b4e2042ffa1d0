//! `orrery park` and `orrery resume`: of a node that runs, or for the next start of one that does not.

use serde_json::{Value, json};

#[cfg(debug_assertions)]
use crate::cli::KillArgs;
use crate::cli::PipelineArgs;
use crate::console::Console;
use crate::control::{self, Request};
use crate::exit::Failure;
use crate::runner;

/// Stops a pipeline until it is resumed.
pub(crate) fn park(args: &PipelineArgs, console: &Console) -> Result<(), Failure> {
    let pipeline = args.pipeline.clone();
    let answer = match ask(args, &Request::Park { pipeline: pipeline.clone() })? {
        Some(answer) => answer,
        None => {
            runner::existing_state(&args.node.data_dir)?.parked.park(&pipeline, "parked by an operator")?;
            json!({ "pipeline": pipeline, "state": "parked", "node": "not running" })
        }
    };
    console.object(&answer)
}

/// Starts a parked pipeline.
pub(crate) fn resume(args: &PipelineArgs, console: &Console) -> Result<(), Failure> {
    let pipeline = args.pipeline.clone();
    let answer = match ask(args, &Request::Resume { pipeline: pipeline.clone() })? {
        Some(answer) => answer,
        None => {
            if !runner::existing_state(&args.node.data_dir)?.parked.resume(&pipeline)? {
                return Err(Failure::CheckFailed(format!("pipeline {pipeline} is not parked")));
            }
            json!({ "pipeline": pipeline, "state": "starts with the node", "node": "not running" })
        }
    };
    console.object(&answer)
}

fn ask(args: &PipelineArgs, request: &Request) -> Result<Option<Value>, Failure> {
    runner::runtime()?.block_on(control::ask(&args.node.data_dir, request))
}

/// Kills an actor.
#[cfg(debug_assertions)]
pub(crate) fn kill(args: &KillArgs, console: &Console) -> Result<(), Failure> {
    let path = match args.path.split_once("/sink/") {
        // Names of sinks have a slash themselves.
        Some((above, sink)) => above.split('/').map(str::to_owned).chain([format!("sink/{sink}")]).collect(),
        None => args.path.split('/').map(str::to_owned).collect(),
    };
    let answer = runner::runtime()?.block_on(control::ask(&args.node.data_dir, &Request::Kill { path }))?;
    console.object(&answer.ok_or_else(|| Failure::Unavailable("no node runs there".to_owned()))?)
}
