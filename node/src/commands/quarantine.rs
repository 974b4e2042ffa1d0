//! `orrery quarantine`: asks the node that runs, or opens the state of one that does not.

use std::fs;

use serde_json::Value;

use crate::cli::{QuarantineAction, QuarantineArgs};
use crate::commands::asked::Asked;
use crate::console::Console;
use crate::control;
use crate::exit::Failure;
use crate::quarantine::{self, Request};

/// Lists, shows or releases.
pub(crate) fn run(args: &QuarantineArgs, console: &Console) -> Result<(), Failure> {
    let (request, out) = match &args.action {
        QuarantineAction::List => (Request::List, None),
        QuarantineAction::Show { ledger, out } => (Request::Show { ledger: *ledger }, out.as_ref()),
        QuarantineAction::Retry { ledger } => (Request::Retry { ledger: *ledger }, None),
    };
    let asked = control::Request::Quarantine { request: request.clone() };
    let answer =
        Asked::new(&args.node)?.answer(&asked, |state| Ok(quarantine::perform(state, request.clone())?))?;
    match (request, answer) {
        (Request::List, Value::Array(entries)) => console.list(&entries),
        (Request::Show { ledger } | Request::Retry { ledger }, Value::Null) => Err(Failure::CheckFailed(
            format!("ledger {ledger} is not in quarantine: see orrery quarantine list"),
        )),
        (Request::Show { ledger }, mut entry) => {
            let bytes = entry.as_object_mut().and_then(|entry| entry.remove("bytes"));
            if let Some(out) = out {
                let bytes = bytes.as_ref().and_then(Value::as_str).and_then(|bytes| hex::decode(bytes).ok());
                let bytes = bytes.ok_or_else(|| {
                    Failure::CheckFailed(format!("the bytes of ledger {ledger} were damaged and are lost"))
                })?;
                fs::write(out, bytes).map_err(|error| {
                    Failure::Unavailable(format!("{}: cannot write: {error}", out.display()))
                })?;
            }
            console.object(&entry)
        }
        (_, answer) => console.object(&answer),
    }
}
