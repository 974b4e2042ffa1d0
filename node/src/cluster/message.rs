//! What nodes of a cluster ask of each other. The envelope around it (version, deadline, trace) is the control plane's.

use orrery_actors::coordinator::{Task, TaskId};
use orrery_actors::region::RegionView;
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// A question.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "ask", rename_all = "snake_case")]
pub(crate) enum Ask {
    /// By the coordinator: all that the node is to do.
    Assign(Assignment),
    /// How the node is.
    Report,
    /// Its supervision tree, and what it counts.
    Tree,
    /// The newest lease that it has seen.
    Coordinator,
    /// What its supervisors restarted, newest last.
    Restarts {
        /// At most so many.
        last: usize,
    },
    /// Stop the pipeline on this node until it is resumed.
    Park {
        /// Its name.
        pipeline: String,
        /// Why, if no operator says so.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        reason: Option<String>,
    },
    /// Start a parked pipeline.
    Resume {
        /// Its name.
        pipeline: String,
    },
    /// Leave the cluster: end what is in work, then the process.
    Drain,
    /// Of the coordinator: write down where traffic belongs.
    Failover {
        /// The region; `None` for priorities.
        region: Option<String>,
        /// Even if it is behind.
        forced: bool,
        /// Why.
        reason: String,
        /// Who wants it.
        by: String,
    },
    /// The newest lines of the log.
    Logs {
        /// Those after this number.
        after: u64,
    },
}

/// All that a node is to do. The next one replaces it; what is not in it is ended.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Assignment {
    /// Of the lease of whoever says so: nobody listens to an older coordinator.
    pub(crate) epoch: u64,
    /// Who says so, as in the lease: the node's name and incarnation.
    pub(crate) coordinator: String,
    /// Passphrase of the ledgers' network.
    pub(crate) network: String,
    /// What to do.
    pub(crate) tasks: Vec<Task>,
    /// The first ledger that is not durable; `None` if that is not known now.
    pub(crate) next: Option<u32>,
    /// The last ledger that is wanted; `None` goes on for ever.
    pub(crate) to: Option<u32>,
    /// Every ledger that was wanted is durable: the node may end.
    pub(crate) is_complete: bool,
    /// More nodes refuse what this coordinator says than do it: whoever does is with the few that differ.
    #[serde(default)]
    pub(crate) is_outvoted: bool,
    /// This region and its peers, if it has any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) regions: Option<Box<RegionView>>,
}

/// How a node is.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Report {
    /// The tasks it has, in whatever state.
    pub(crate) tasks: Vec<TaskReport>,
    /// Why it may do nothing at all, if so: its pipeline is parked as a whole, or its dataset is another.
    pub(crate) parked: Option<String>,
    /// That is because the coordinator is of another network or dataset.
    #[serde(default)]
    pub(crate) refuses: bool,
    /// Tasks that parked here and were not resumed, also those that others have by now.
    pub(crate) parked_tasks: Vec<TaskId>,
    /// It is about to leave.
    pub(crate) is_draining: bool,
    /// Why it serves no readers now, if so.
    #[serde(default)]
    pub(crate) unready: Option<String>,
}

/// How one task is.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct TaskReport {
    /// Which.
    pub(crate) id: TaskId,
    /// As in the supervision tree.
    pub(crate) state: String,
}

/// An answer.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Told {
    /// To [`Ask::Assign`] and [`Ask::Report`].
    Report(Report),
    /// What was asked for.
    Value(Value),
}
