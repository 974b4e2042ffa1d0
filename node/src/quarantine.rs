//! What can be asked of quarantined ledgers, by a running node or of a stopped one's state.

use orrery_actors::checkpoint::{NodeState, StateError};
use orrery_schemas::LedgerSequence;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

/// The question.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(tag = "what", rename_all = "snake_case", deny_unknown_fields)]
pub(crate) enum Request {
    /// All of them.
    List,
    /// One, with its bytes in hexadecimal.
    Show {
        /// The ledger.
        ledger: u32,
    },
    /// Forget one, so that it is tried again.
    Retry {
        /// The ledger.
        ledger: u32,
    },
}

impl Request {
    /// Whether a ledger is tried again.
    pub(crate) fn retried(&self) -> bool {
        matches!(self, Self::Retry { .. })
    }
}

/// Answers from the node's state.
pub(crate) fn perform(state: &NodeState, request: Request) -> Result<Value, StateError> {
    match request {
        Request::List => Ok(json!(state.quarantine.list()?)),
        Request::Show { ledger } => {
            let found = state.quarantine.get(LedgerSequence(ledger))?;
            Ok(found.map_or(Value::Null, |(entry, bytes)| {
                let mut value = json!(entry);
                value["bytes"] = json!(bytes.map(|bytes| hex::encode(&bytes)));
                value
            }))
        }
        Request::Retry { ledger } => {
            let found = state.quarantine.get(LedgerSequence(ledger))?;
            let Some((entry, _)) = found else { return Ok(Value::Null) };
            state.quarantine.release(LedgerSequence(ledger))?;
            state.parked.resume(&entry.pipeline)?;
            Ok(json!({ "ledger": ledger, "pipeline": entry.pipeline }))
        }
    }
}
