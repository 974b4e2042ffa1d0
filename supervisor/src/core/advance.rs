//! What follows from the state alone: whose turn it is to stop or to start, which deadlines have passed, and whether the
//! supervisor is done.

use std::time::Duration;

use super::child::{Child, State, Stop};
use super::{Action, KILL_GRACE, Phase, SupervisorCore, Timer};
use crate::child_spec::{ChildId, EndWhen, Shutdown, Strategy};
use crate::clock::MonotonicTime;
use crate::exit::ExitReason;
use crate::probe::Reading;

/// Readings within one stall limit: a stall is noticed at most this part of it too late.
const READINGS_PER_LIMIT: u32 = 4;

impl SupervisorCore {
    /// Takes every step that is possible now.
    pub(super) fn advance(&mut self, now: MonotonicTime, actions: &mut Vec<Action>) {
        if self.phase == Phase::Finished {
            return;
        }
        if let Some(reason) = self.own_end() {
            self.phase = Phase::Finishing(reason);
        }
        self.stop_next(now, actions);
        if let Some(index) = self.next_to_start() {
            let child = &mut self.children[index];
            child.restarts += u64::from(child.incarnation > 0);
            child.incarnation = child.next_incarnation;
            child.enter(State::Starting, now);
            let (child, incarnation) = (child.rules.id.clone(), child.incarnation);
            actions.push(Action::Start { child, incarnation });
        }
        self.watch(actions);
        let Phase::Finishing(reason) = &self.phase else { return };
        if self.children.iter().all(|child| !child.is_alive()) {
            actions.push(Action::Finish(reason.clone()));
            self.phase = Phase::Finished;
        }
    }

    /// Why it ends by itself, if it may and has nothing left to do.
    fn own_end(&self) -> Option<ExitReason> {
        let is_over = |child: &Child| matches!(child.state, State::Ended | State::Parked);
        if self.rules.end_when == EndWhen::Told
            || self.phase != Phase::Running
            || self.children.is_empty()
            || !self.children.iter().all(is_over)
        {
            return None;
        }
        let parked = self.children.iter().find(|child| child.state == State::Parked);
        Some(parked.map_or(ExitReason::Normal, |child| {
            let why = child.last_error.as_ref().map_or_else(|| "by request".to_owned(), ToString::to_string);
            ExitReason::Parked(format!("{} {why}", child.rules.id))
        }))
    }

    /// Stops the last of those that must stop, unless one is stopping already.
    fn stop_next(&mut self, now: MonotonicTime, actions: &mut Vec<Action>) {
        if self.hurry {
            for index in (0..self.children.len()).rev() {
                if self.children[index].is_alive() {
                    self.kill(index, now, actions);
                }
            }
            return;
        }
        if self.children.iter().any(|child| matches!(child.state, State::Stopping(_))) {
            return;
        }
        let Some(child) = self.children.iter_mut().rev().find(|child| child.must_stop()) else { return };
        let (id, incarnation) = (child.rules.id.clone(), child.incarnation);
        match child.rules.shutdown {
            Shutdown::Kill => {
                child.enter(State::Stopping(Stop::Killed), now);
                kill_actions(id, incarnation, actions);
            }
            Shutdown::Within(after) => {
                child.enter(State::Stopping(Stop::Asked), now);
                actions.push(Action::Stop { child: id.clone(), incarnation });
                let timer = Timer::StopDeadline { child: id, incarnation };
                actions.push(Action::ArmTimer { timer, after });
            }
        }
    }

    /// Kills a child that lives, once.
    fn kill(&mut self, index: usize, now: MonotonicTime, actions: &mut Vec<Action>) {
        let child = &mut self.children[index];
        if child.state != State::Stopping(Stop::Killed) {
            child.enter(State::Stopping(Stop::Killed), now);
            kill_actions(child.rules.id.clone(), child.incarnation, actions);
        }
    }

    fn next_to_start(&self) -> Option<usize> {
        if self.phase != Phase::Running || self.children.iter().any(|child| child.state == State::Starting) {
            return None;
        }
        let is_waiting = |index: &usize| self.children[*index].state == State::Waiting;
        let is_free = |index: &usize| !self.children[*index].held;
        let mut indices = 0..self.children.len();
        match self.rules.strategy {
            Strategy::OneForOne => indices.find(|index| is_waiting(index) && is_free(index)),
            // A child may look up those before it: they run, and none of an old life runs beside it.
            Strategy::OneForAll | Strategy::RestForOne => {
                let is_leaving = self
                    .children
                    .iter()
                    .any(|child| child.leaving.is_some() || matches!(child.state, State::Stopping(_)));
                indices.find(is_waiting).filter(|index| !is_leaving && is_free(index))
            }
        }
    }

    pub(super) fn elapsed(
        &mut self,
        timer: &Timer,
        now: MonotonicTime,
        random: &mut impl FnMut() -> u64,
        actions: &mut Vec<Action>,
    ) {
        match timer {
            Timer::Backoff { child, incarnation } => self.release(child, *incarnation),
            Timer::StopDeadline { child, incarnation } => {
                if let Some(index) = self.alive(child, *incarnation) {
                    self.kill(index, now, actions);
                }
            }
            Timer::KillGrace { child, incarnation } => {
                if let Some(index) = self.alive(child, *incarnation) {
                    let (child, incarnation) = (child.clone(), *incarnation);
                    actions.push(Action::Abandon { child, incarnation });
                    self.ended(index, ExitReason::Killed, now, random, actions);
                }
            }
            Timer::FinishDeadline => self.hurry = self.phase != Phase::Running,
            Timer::Watchdog => self.watching = false,
        }
    }

    /// The delay before the life `incarnation` of a child, and of those restarted with it, has passed.
    fn release(&mut self, id: &ChildId, incarnation: u64) {
        let Some(index) = self.children.iter().position(|child| child.rules.id == *id) else { return };
        for member in self.group(index) {
            let member = &mut self.children[member];
            if member.next_incarnation == incarnation {
                member.held = false;
            }
        }
    }

    pub(super) fn watched(
        &mut self,
        readings: &[(ChildId, u64, Reading)],
        now: MonotonicTime,
        actions: &mut Vec<Action>,
    ) {
        self.watching = false;
        for (id, incarnation, reading) in readings {
            let Some(index) = self.alive(id, *incarnation) else { continue };
            if let Some(stalled) = self.children[index].observe(*reading, now) {
                self.children[index].doom = Some(stalled);
                self.kill(index, now, actions);
            }
        }
    }

    /// Keeps the watchdog's timer running while there is somebody to watch.
    fn watch(&mut self, actions: &mut Vec<Action>) {
        if self.watching || self.phase != Phase::Running {
            return;
        }
        let limits = self.children.iter().filter_map(|child| child.rules.stall_after);
        if let Some(shortest) = limits.min() {
            self.watching = true;
            let after = (shortest / READINGS_PER_LIMIT).max(Duration::from_millis(1));
            actions.push(Action::ArmTimer { timer: Timer::Watchdog, after });
        }
    }
}

fn kill_actions(child: ChildId, incarnation: u64, actions: &mut Vec<Action>) {
    actions.push(Action::Kill { child: child.clone(), incarnation });
    let timer = Timer::KillGrace { child, incarnation };
    actions.push(Action::ArmTimer { timer, after: KILL_GRACE });
}
