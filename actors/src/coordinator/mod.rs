//! Which ledgers are due, and which node is to do them: what the active coordinator of a region decides.
//!
//! In: where the dataset ends, what the sources have, who is there. Out: the whole list of tasks of each node, again and
//! again, so that nothing depends on a message that was lost. Nothing here is needed for safety: two coordinators at once
//! only have ledgers done twice, with the same bytes.

mod core;
mod hearing;
mod ranges;

pub use core::{CoordinatorCore, Plan, View, Worker, missing_roles};
pub use hearing::{Hearing, SILENT_ROUNDS_MAX};
pub use ranges::{LedgerSpan, SPAN_LEDGERS, due_spans};

use std::fmt;

use orrery_schemas::LedgerSequence;
use serde::{Deserialize, Serialize};

/// A task, known by the last ledger of its span, which stays the same while the first one moves on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TaskId {
    /// The span that ends with this ledger.
    Until(u32),
    /// The newest ledgers, for ever.
    Live,
}

/// As a name in trees and logs.
impl fmt::Display for TaskId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Until(last) => write!(f, "until-{last}"),
            Self::Live => f.write_str("live"),
        }
    }
}

impl std::str::FromStr for TaskId {
    type Err = UnknownTask;

    fn from_str(text: &str) -> Result<Self, UnknownTask> {
        match text.strip_prefix("until-").map(str::parse) {
            Some(Ok(last)) => Ok(Self::Until(last)),
            None if text == "live" => Ok(Self::Live),
            Some(Err(_)) | None => Err(UnknownTask),
        }
    }
}

/// A name that no task has.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a task is called `live` or `until-` and its last ledger")]
pub struct UnknownTask;

/// Ledgers for one pipeline.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Task {
    /// Which.
    pub id: TaskId,
    /// Its first ledger, at which a slot begins.
    pub from: u32,
    /// The node that fetches, if it is not the one that has the task.
    pub fetcher: Option<String>,
    /// The node that writes, if it is not the one that has the task.
    pub sink: Option<String>,
}

impl Task {
    /// First ledger.
    pub fn from(&self) -> LedgerSequence {
        LedgerSequence(self.from)
    }

    /// Last ledger; `None` for the live tail.
    pub fn to(&self) -> Option<LedgerSequence> {
        match self.id {
            TaskId::Until(last) => Some(LedgerSequence(last)),
            TaskId::Live => None,
        }
    }
}
