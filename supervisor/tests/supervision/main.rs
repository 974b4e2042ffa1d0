//! Trees of real actors: what the supervisor's promises look like from outside.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test panics, and so do its actors")]

mod actors;
mod lifecycle;
mod restarts;
mod parking;
mod canaries;
mod tasks;

use std::sync::{Arc, Mutex};
use std::time::Duration;

use orrery_supervisor::{
    ExitReason, NodeState, Observer, RestartReport, SupervisorHandle, SupervisorSpec, SystemClock, TreeNode,
};

/// A running tree and its reports.
pub(crate) struct Tree {
    pub(crate) handle: SupervisorHandle,
    pub(crate) reports: Arc<Mutex<Vec<RestartReport>>>,
}

impl Tree {
    pub(crate) async fn start(spec: SupervisorSpec) -> Self {
        let reports: Arc<Mutex<Vec<RestartReport>>> = Arc::default();
        let observed = Arc::clone(&reports);
        let observer: Observer = Arc::new(move |report| observed.lock().unwrap().push(report.clone()));
        let handle = SupervisorHandle::start(spec, Arc::new(SystemClock::new()), 1, Some(observer)).await;
        Self { handle: handle.unwrap(), reports }
    }

    pub(crate) async fn snapshot(&self) -> TreeNode {
        self.handle.tree(Duration::from_secs(5)).await.unwrap()
    }

    /// Asks until the node at `path` is as wanted.
    pub(crate) async fn until(&self, path: &[&str], is_wanted: impl Fn(&TreeNode) -> bool) -> TreeNode {
        for _ in 0..200_000 {
            let tree = self.snapshot().await;
            let node = tree.find(path).unwrap_or_else(|| panic!("no {path:?} in {tree:?}"));
            if is_wanted(node) {
                return node.clone();
            }
            tokio::task::yield_now().await;
        }
        panic!("never: {:?}", self.snapshot().await);
    }

    pub(crate) async fn until_state(&self, path: &[&str], state: NodeState) -> TreeNode {
        self.until(path, |node| node.state == state).await
    }

    pub(crate) async fn stop(&self) -> ExitReason {
        self.handle.stop(Duration::from_secs(20)).await
    }

    /// Kind of the reason and what came of it, in order.
    pub(crate) fn told(&self) -> Vec<String> {
        let reports = self.reports.lock().unwrap();
        let told = |report: &RestartReport| {
            format!("{}/{} {} {}", report.supervisor, report.child, report.reason.kind(), report.outcome)
        };
        reports.iter().map(told).collect()
    }
}
