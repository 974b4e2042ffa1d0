//! `orrery restarts`: what supervisors restarted, from the node that runs or the state of one that does not.

use serde_json::{Value, json};

use crate::cli::RestartsArgs;
use crate::commands::asked::Asked;
use crate::console::Console;
use crate::control::Request;
use crate::exit::Failure;

/// Lists the newest, newest last.
pub(crate) fn run(args: &RestartsArgs, console: &Console) -> Result<(), Failure> {
    let last = args.last as usize;
    let node = Asked::new(&args.node)?;
    let answer = node.answer(&Request::Restarts { last }, |state| Ok(json!(state.restarts.latest(last)?)))?;
    match answer {
        Value::Array(records) => console.list(&records),
        other => Err(Failure::Bug(format!("restarts are listed as {other}"))),
    }
}
