//! A snapshot of a supervision tree, for people and for health checks.

use std::time::Duration;

use crate::child_spec::ChildId;

/// Worker or supervisor.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum NodeKind {
    /// Does the work.
    Worker,
    /// Runs what is below it.
    Supervisor,
}

/// Where a child is in its life.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum NodeState {
    /// It is being started, or its turn has not come yet.
    Starting,
    /// It runs.
    Running,
    /// It ended, and waits for its backoff or its turn.
    Restarting,
    /// It was asked to stop, or killed.
    Stopping,
    /// It does not run until it is resumed.
    Parked,
    /// It ended, and is started again only with its group.
    Ended,
}

impl NodeState {
    /// For labels and output: a word in lower case that stays the same.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Starting => "starting",
            Self::Running => "running",
            Self::Restarting => "restarting",
            Self::Stopping => "stopping",
            Self::Parked => "parked",
            Self::Ended => "ended",
        }
    }
}

/// One actor, as its supervisor sees it, and what is below it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TreeNode {
    /// Among its siblings.
    pub id: ChildId,
    /// Worker or supervisor.
    pub kind: NodeKind,
    /// Where it is in its life.
    pub state: NodeState,
    /// Of this life, or of the last one; 0 before the first.
    pub incarnation: u64,
    /// Lives after the first.
    pub restarts_total: u64,
    /// Of a supervisor: restarts of its children that count now. When they would exceed its intensity, it gives up.
    pub restarts_in_window: u32,
    /// Since the state began.
    pub age: Duration,
    /// Messages that wait, the one in work included; at least so many (see [`Probe`](crate::Probe)). `None` if nobody
    /// counts.
    pub mailbox_depth: Option<u64>,
    /// How its last abnormal end, or its parking, was told.
    pub last_error: Option<String>,
    /// Of a supervisor: whether it told what is below it in time. `true` for all others.
    pub answered: bool,
    /// In start order.
    pub children: Vec<TreeNode>,
}

impl TreeNode {
    /// The node below this one at `path`, ids without the own one.
    pub fn find(&self, path: &[&str]) -> Option<&Self> {
        let Some((first, rest)) = path.split_first() else { return Some(self) };
        self.children.iter().find(|child| child.id.as_str() == *first)?.find(rest)
    }
}
