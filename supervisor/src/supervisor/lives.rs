//! The actors behind the children: who is who, which starts are under way, and how each kind is stopped.

use std::collections::{BTreeMap, HashMap};
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use futures::FutureExt;
use futures::future::BoxFuture;
use ractor::{ActorCell, ActorId, ActorRef};
use tokio::sync::oneshot;

use super::{SupervisorMessage, is_supervisor};
use crate::child_spec::{ChildId, ChildSpec, Shutdown};
use crate::clock::MonotonicTime;
use crate::core::{Child, CommandRefused, KILL_GRACE, State, SupervisorCore};
use crate::exit::{ErrorClass, ExitError, ExitReason, StartError};
use crate::probe::{Life, Probe, Reading};
use crate::start::StartContext;
use crate::tree::{NodeKind, NodeState, TreeNode};

/// How one start ended.
pub(crate) struct StartEnd {
    pub(super) number: u64,
    pub(super) result: Result<ActorCell, ExitReason>,
}

/// A start under way.
struct Start {
    child: ChildId,
    incarnation: u64,
    probe: Arc<Probe>,
    /// Dropped to cancel it.
    running: Option<oneshot::Sender<()>>,
}

/// One supervisor's actors.
pub(super) struct Lives {
    specs: HashMap<ChildId, ChildSpec>,
    /// The current life of each child that has one.
    lives: BTreeMap<ChildId, (u64, Life)>,
    ids: HashMap<ActorId, (ChildId, u64)>,
    /// One, besides those that were left behind.
    starts: BTreeMap<u64, Start>,
    starts_so_far: u64,
    /// Ends of actors whose start has not been reported yet; empty unless a start is under way.
    early: HashMap<ActorId, ExitReason>,
}

impl Lives {
    pub(super) fn new(specs: Vec<ChildSpec>) -> Self {
        Self {
            specs: specs.into_iter().map(|spec| (spec.rules.id.clone(), spec)).collect(),
            lives: BTreeMap::new(),
            ids: HashMap::new(),
            starts: BTreeMap::new(),
            starts_so_far: 0,
            early: HashMap::new(),
        }
    }

    pub(super) fn add(&mut self, spec: ChildSpec) {
        self.specs.insert(spec.rules.id.clone(), spec);
    }

    /// The child is no longer in the list.
    pub(super) fn forget(&mut self, child: &ChildId) {
        self.specs.remove(child);
    }

    /// For a sibling that starts.
    pub(super) fn running(&self) -> BTreeMap<ChildId, Life> {
        self.lives.iter().map(|(id, (_, life))| (id.clone(), life.clone())).collect()
    }

    /// What runs the factory to its end, under the start timeout.
    pub(super) fn begin_start(
        &mut self,
        child: ChildId,
        incarnation: u64,
        probe: Arc<Probe>,
        context: StartContext,
    ) -> Option<BoxFuture<'static, StartEnd>> {
        let spec = self.specs.get(&child)?;
        let (factory, timeout) = (Arc::clone(&spec.factory), spec.start_timeout);
        let (running, cancelled) = oneshot::channel();
        self.starts_so_far += 1;
        let number = self.starts_so_far;
        self.starts.insert(number, Start { child, incarnation, probe, running: Some(running) });
        // In a block of its own, so that a factory that panics while making its future is caught too.
        let start = AssertUnwindSafe(async move { factory(context).await }).catch_unwind();
        Some(Box::pin(async move {
            let result = tokio::select! {
                biased;
                _ = cancelled => Err(ExitReason::Shutdown),
                started = tokio::time::timeout(timeout, start) => match started {
                    Ok(Ok(started)) => started.map_err(ExitReason::from),
                    Ok(Err(_)) => Err(panicked()),
                    Err(_) => Err(ExitReason::StartTimedOut(timeout)),
                },
            };
            StartEnd { number, result }
        }))
    }

    pub(super) fn end_start(&mut self, number: u64) -> Option<(ChildId, u64, Arc<Probe>)> {
        self.starts.remove(&number).map(|start| (start.child, start.incarnation, start.probe))
    }

    /// Why it is over already, if it is.
    pub(super) fn begin_life(
        &mut self,
        child: ChildId,
        incarnation: u64,
        cell: ActorCell,
        probe: Arc<Probe>,
    ) -> Option<ExitReason> {
        let early = self.early.remove(&cell.get_id());
        if self.starts.is_empty() {
            self.early.clear();
        }
        self.ids.insert(cell.get_id(), (child.clone(), incarnation));
        self.lives.insert(child, (incarnation, Life { cell, probe }));
        early
    }

    /// Whose life it was; `None` if nobody knows it, or not yet.
    pub(super) fn end_life(&mut self, cell: &ActorCell, reason: &ExitReason) -> Option<(ChildId, u64)> {
        let Some((child, incarnation)) = self.ids.get(&cell.get_id()).cloned() else {
            if !self.starts.is_empty() {
                self.early.insert(cell.get_id(), reason.clone());
            }
            return None;
        };
        self.forget_life(&child, incarnation);
        Some((child, incarnation))
    }

    pub(super) fn forget_life(&mut self, child: &ChildId, incarnation: u64) {
        if self.lives.get(child).is_some_and(|(current, _)| *current == incarnation)
            && let Some((_, life)) = self.lives.remove(child)
        {
            self.ids.remove(&life.cell.get_id());
        }
    }

    fn life(&self, child: &ChildId, incarnation: u64) -> Option<&Life> {
        self.lives.get(child).filter(|(current, _)| *current == incarnation).map(|(_, life)| life)
    }

    /// Asks it to stop, or cancels its start.
    pub(super) fn stop(&mut self, child: &ChildId, incarnation: u64) {
        self.cancel_start(child, incarnation);
        if let Some(supervisor) = self.supervisor(child) {
            // If it has ended, its end is on its way here.
            let _ = supervisor.send_message(SupervisorMessage::Stop { within: None });
        } else if let Some(life) = self.life(child, incarnation) {
            life.cell.stop(Some("shutdown".to_owned()));
        }
    }

    /// Kills it, or cancels its start.
    pub(super) fn kill(&mut self, child: &ChildId, incarnation: u64) {
        self.cancel_start(child, incarnation);
        if let Some(life) = self.life(child, incarnation) {
            life.cell.kill();
        }
    }

    fn cancel_start(&mut self, child: &ChildId, incarnation: u64) {
        for start in self.starts.values_mut() {
            if start.child == *child && start.incarnation == incarnation {
                start.running = None;
            }
        }
    }

    /// Kills whatever life it has, without telling the core: that sees it as it would see any end from outside.
    pub(super) fn kill_now(&self, child: &ChildId) -> Result<(), CommandRefused> {
        let (_, life) =
            self.lives.get(child).ok_or_else(|| CommandRefused::NoSuchChild(child.to_string()))?;
        life.cell.kill();
        Ok(())
    }

    pub(super) fn kill_strangers(&mut self, linked: Vec<ActorCell>) {
        for cell in linked.iter().filter(|cell| !self.ids.contains_key(&cell.get_id())) {
            cell.kill();
        }
        if self.starts.is_empty() {
            self.early.clear();
        }
    }

    /// The child, if it is a supervisor and runs.
    pub(super) fn supervisor(&self, child: &ChildId) -> Option<ActorRef<SupervisorMessage>> {
        let is_supervisor = self.specs.get(child).is_some_and(|spec| is_supervisor(&spec.kind));
        let (_, life) = self.lives.get(child).filter(|_| is_supervisor)?;
        Some(ActorRef::from(life.cell.clone()))
    }

    /// What the probes of watched children say.
    pub(super) fn readings(&self) -> Vec<(ChildId, u64, Reading)> {
        let is_watched =
            |id: &ChildId| self.specs.get(id).is_some_and(|spec| spec.rules.stall_after.is_some());
        self.lives
            .iter()
            .filter(|(id, _)| is_watched(id))
            .map(|(id, (incarnation, life))| (id.clone(), *incarnation, life.probe.read()))
            .collect()
    }

    /// Stops everybody in reverse, each within its limit.
    pub(super) async fn stop_all(&mut self, children: &[Child]) {
        for child in children.iter().rev() {
            let id = &child.rules.id;
            let supervisor = self.supervisor(id);
            let Some((_, life)) = self.lives.remove(id) else { continue };
            let within = match child.rules.shutdown {
                Shutdown::Kill => Duration::ZERO,
                Shutdown::Within(limit) => limit,
            };
            match supervisor {
                Some(supervisor) => {
                    let _ = supervisor.send_message(SupervisorMessage::Stop { within: None });
                }
                None if within.is_zero() => {}
                None => life.cell.stop(Some("shutdown".to_owned())),
            }
            if life.cell.wait(Some(within)).await.is_err() {
                life.cell.kill();
                let _ = life.cell.wait(Some(KILL_GRACE)).await;
            }
        }
    }

    /// What is known here; supervisors below are asked by the caller.
    pub(super) fn tree(&self, core: &SupervisorCore, now: MonotonicTime) -> TreeNode {
        TreeNode {
            id: ChildId::from(core.path().as_str()),
            kind: NodeKind::Supervisor,
            state: if core.is_stopping() { NodeState::Stopping } else { NodeState::Running },
            incarnation: 1,
            restarts_total: 0,
            restarts_in_window: core.restarts_in_window(now),
            age: now.since(core.born()),
            mailbox_depth: None,
            last_error: None,
            answered: true,
            children: core.children().iter().map(|child| self.node(child, now)).collect(),
        }
    }

    fn node(&self, child: &Child, now: MonotonicTime) -> TreeNode {
        let id = child.rules.id.clone();
        let is_supervisor = self.specs.get(&id).is_some_and(|spec| is_supervisor(&spec.kind));
        let life = self.life(&id, child.incarnation).filter(|_| !is_supervisor);
        TreeNode {
            kind: if is_supervisor { NodeKind::Supervisor } else { NodeKind::Worker },
            state: match child.state {
                State::Waiting if child.incarnation > 0 => NodeState::Restarting,
                State::Waiting | State::Starting => NodeState::Starting,
                State::Running => NodeState::Running,
                State::Stopping(_) => NodeState::Stopping,
                State::Parked => NodeState::Parked,
                State::Ended => NodeState::Ended,
            },
            incarnation: child.incarnation,
            restarts_total: child.restarts,
            restarts_in_window: 0,
            age: now.since(child.since),
            mailbox_depth: life.map(|life| life.probe.mailbox_depth()),
            last_error: child.last_error.as_ref().map(ToString::to_string),
            answered: true,
            children: Vec::new(),
            id,
        }
    }
}

fn panicked() -> ExitReason {
    let error = ExitError::new(ErrorClass::Internal, "the factory panicked");
    ExitReason::from(StartError::from(error))
}
