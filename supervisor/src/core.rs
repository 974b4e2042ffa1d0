//! What a supervisor decides: events in, actions out. No handle, no clock, no I/O, so that a test can drive it through
//! years of failures.
//!
//! - **Starts** go one at a time, in the order of the list. Under [`Strategy::OneForOne`] a child whose start fails, or
//!   whose backoff runs, holds nobody up; under the others those behind it wait.
//! - **Stops** go one at a time, in reverse. A child that is asked and does not end in time is killed. One that does not
//!   even yield to that within [`KILL_GRACE`] is left behind: its supervisor goes on without it, and says so.
//! - **Lives** are numbered. What is told of any life but the current one is ignored.
//! - **A failed start** is a failure like any other: it counts, it backs off, its group is restarted.
//! - **Failures that come together**, of siblings that are restarted together, are each reported and count once.
//! - The first reason to end a supervisor stays the reason, whatever happens while its children stop.

mod child;
mod verdict;
mod command;
mod advance;

use std::time::Duration;

use crate::child_spec::{ChildId, ChildRules, EndWhen, Restart, Strategy};
use crate::clock::MonotonicTime;
use crate::exit::{ErrorClass, ExitError, ExitReason};
use crate::probe::Reading;
use crate::report::{Outcome, RestartReport};
use crate::restart_intensity::{RestartIntensity, RestartVerdict, RestartWindow};

pub(crate) use child::{Child, State};
use child::{Leaving, Stop};
pub(crate) use command::Command;
pub use command::CommandRefused;
use verdict::{Verdict, verdict};

/// How long a killed actor may take to be gone. Ractor ends it at its next await, so only a handler that blocks its thread
/// takes longer, and waiting for that would block the whole supervisor.
pub(crate) const KILL_GRACE: Duration = Duration::from_secs(5);

/// What the core waits for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Timer {
    /// The backoff before this life has passed.
    Backoff { child: ChildId, incarnation: u64 },
    /// The child should have stopped by now.
    StopDeadline { child: ChildId, incarnation: u64 },
    /// The killed child should be gone by now.
    KillGrace { child: ChildId, incarnation: u64 },
    /// The whole supervisor should have stopped by now.
    FinishDeadline,
    /// Time to read the probes.
    Watchdog,
}

/// What happened.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Event {
    /// The supervisor runs.
    Begin,
    ChildStarted {
        child: ChildId,
        incarnation: u64,
    },
    StartFailed {
        child: ChildId,
        incarnation: u64,
        reason: ExitReason,
    },
    ChildExited {
        child: ChildId,
        incarnation: u64,
        reason: ExitReason,
    },
    /// Any timer but the watchdog's.
    Elapsed(Timer),
    /// The watchdog's timer, with what the probes said.
    Watched(Vec<(ChildId, u64, Reading)>),
    StopRequested {
        within: Option<Duration>,
    },
    Command(Command),
}

/// What is to be done.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Action {
    Start {
        child: ChildId,
        incarnation: u64,
    },
    /// Ask it to stop; if its factory still runs, drop that.
    Stop {
        child: ChildId,
        incarnation: u64,
    },
    Kill {
        child: ChildId,
        incarnation: u64,
    },
    /// It did not yield to a kill: go on without it.
    Abandon {
        child: ChildId,
        incarnation: u64,
    },
    /// It is no longer in the list.
    Forget {
        child: ChildId,
    },
    ArmTimer {
        timer: Timer,
        after: Duration,
    },
    Report(RestartReport),
    /// The last action: every child is gone.
    Finish(ExitReason),
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Phase {
    Running,
    Finishing(ExitReason),
    Finished,
}

/// What the core is made from, less the children.
#[derive(Clone, Debug)]
pub(crate) struct CoreRules {
    /// From the root: for reports.
    pub(crate) path: String,
    pub(crate) strategy: Strategy,
    pub(crate) intensity: RestartIntensity,
    pub(crate) end_when: EndWhen,
}

/// State of one supervisor.
#[derive(Debug)]
pub(crate) struct SupervisorCore {
    rules: CoreRules,
    window: RestartWindow,
    children: Vec<Child>,
    phase: Phase,
    /// The deadline for stopping has passed: kill the rest.
    hurry: bool,
    /// A watchdog's timer runs.
    watching: bool,
    /// When it was made.
    born: MonotonicTime,
}

impl SupervisorCore {
    pub(crate) fn new(rules: CoreRules, children: Vec<ChildRules>, now: MonotonicTime) -> Self {
        Self {
            window: RestartWindow::new(rules.intensity),
            rules,
            children: children.into_iter().map(|rules| Child::new(rules, now)).collect(),
            phase: Phase::Running,
            hurry: false,
            watching: false,
            born: now,
        }
    }

    /// Takes one event. `now` must not go back; `random` gives 64 even random bits.
    pub(crate) fn step(
        &mut self,
        event: Event,
        now: MonotonicTime,
        random: &mut impl FnMut() -> u64,
    ) -> Vec<Action> {
        let mut actions = Vec::new();
        match event {
            Event::Begin => {}
            Event::ChildStarted { child, incarnation } => {
                self.started(&child, incarnation, now, &mut actions);
            }
            Event::StartFailed { child, incarnation, reason }
            | Event::ChildExited { child, incarnation, reason } => {
                if let Some(index) = self.alive(&child, incarnation) {
                    self.ended(index, reason, now, random, &mut actions);
                }
            }
            Event::Elapsed(timer) => self.elapsed(&timer, now, random, &mut actions),
            Event::Watched(readings) => self.watched(&readings, now, &mut actions),
            Event::StopRequested { within } => {
                self.finish(ExitReason::Shutdown, now);
                let after = within.filter(|_| self.phase != Phase::Finished);
                actions.extend(after.map(|after| Action::ArmTimer { timer: Timer::FinishDeadline, after }));
            }
            Event::Command(command) => {
                if self.check(&command).is_ok() {
                    self.command(command, now, &mut actions);
                }
            }
        }
        self.advance(now, &mut actions);
        actions
    }

    /// In start order.
    pub(crate) fn children(&self) -> &[Child] {
        &self.children
    }

    pub(crate) fn child(&self, id: &ChildId) -> Option<&Child> {
        self.children.iter().find(|child| child.rules.id == *id)
    }

    /// Restarts that count at `now`.
    pub(crate) fn restarts_in_window(&self, now: MonotonicTime) -> u32 {
        self.window.count(now)
    }

    pub(crate) const fn path(&self) -> &String {
        &self.rules.path
    }

    pub(crate) const fn born(&self) -> MonotonicTime {
        self.born
    }

    pub(crate) const fn intensity(&self) -> RestartIntensity {
        self.rules.intensity
    }

    pub(crate) const fn is_stopping(&self) -> bool {
        !matches!(self.phase, Phase::Running)
    }

    /// Where the child is of which this life is the current one, if it lives.
    fn alive(&self, id: &ChildId, incarnation: u64) -> Option<usize> {
        self.children
            .iter()
            .position(|child| child.rules.id == *id && child.incarnation == incarnation && child.is_alive())
    }

    fn started(&mut self, id: &ChildId, incarnation: u64, now: MonotonicTime, actions: &mut Vec<Action>) {
        let child = id.clone();
        let Some(index) = self.alive(id, incarnation) else {
            // It was left behind while its factory blocked.
            return actions.push(Action::Kill { child, incarnation });
        };
        match self.children[index].state {
            State::Starting => self.children[index].enter(State::Running, now),
            State::Stopping(Stop::Asked) => actions.push(Action::Stop { child, incarnation }),
            State::Stopping(Stop::Killed) => actions.push(Action::Kill { child, incarnation }),
            State::Waiting | State::Running | State::Parked | State::Ended => {}
        }
    }

    /// A life, or the attempt to start one, is over.
    fn ended(
        &mut self,
        index: usize,
        reason: ExitReason,
        now: MonotonicTime,
        random: &mut impl FnMut() -> u64,
        actions: &mut Vec<Action>,
    ) {
        let period = self.rules.intensity.period();
        let child = &mut self.children[index];
        let is_our_kill = child.state == State::Stopping(Stop::Killed) && child.doom.is_none();
        let reason = child.doom.take().unwrap_or(reason);
        if !reason.is_normal() {
            child.last_error = Some(reason.clone());
        }
        if child.state == State::Running && now.since(child.since) >= period {
            child.failures = 0;
        }
        child.enter(State::Ended, now);
        let leaving = child.leaving.take();
        let verdict = verdict(child.rules.restart, &reason);
        match leaving {
            Some(Leaving::Restart)
                if matches!(verdict, Verdict::ParkChild | Verdict::ParkAll | Verdict::Escalate) => {}
            Some(leaving) => {
                if leaving == Leaving::Restart
                    && verdict == Verdict::Restart
                    && !is_our_kill
                    && !reason.is_normal()
                {
                    // A sibling that noticed was faster: this one's reason may be the one that matters.
                    actions.push(Action::Report(self.report(index, &reason, Outcome::Restarted, now)));
                }
                return self.left(index, &leaving, now, actions);
            }
            None => {}
        }
        let outcome = match verdict {
            Verdict::Restart => return self.failed(index, reason, now, random, actions),
            Verdict::End => Outcome::Ended,
            Verdict::ParkChild | Verdict::ParkAll => Outcome::Parked,
            Verdict::Escalate => Outcome::Escalated,
        };
        if outcome == Outcome::Parked {
            self.children[index].enter(State::Parked, now);
            self.children[index].last_error = Some(reason.clone());
        }
        let report = self.report(index, &reason, outcome, now);
        actions.push(Action::Report(report));
        match verdict {
            Verdict::Restart | Verdict::End | Verdict::ParkChild => {}
            Verdict::ParkAll => {
                let why = format!("{} {reason}", self.children[index].rules.id);
                self.finish(ExitReason::Parked(why), now);
            }
            Verdict::Escalate => self.give_up(index, &reason, "", now),
        }
    }

    /// A child that was told to leave has left.
    fn left(&mut self, index: usize, leaving: &Leaving, now: MonotonicTime, actions: &mut Vec<Action>) {
        let child = &mut self.children[index];
        match leaving {
            Leaving::Restart if child.rules.restart == Restart::Temporary => {}
            Leaving::Restart => child.enter(State::Waiting, now),
            Leaving::Park => child.enter(State::Parked, now),
            Leaving::Resume => {
                child.failures = 0;
                child.held = false;
                child.wait(child.incarnation + 1, now);
            }
            Leaving::Remove => {
                actions.push(Action::Forget { child: child.rules.id.clone() });
                self.children.remove(index);
            }
            Leaving::Finish => {}
        }
    }

    /// A child is to be restarted, with its group, if there have not been too many restarts.
    fn failed(
        &mut self,
        index: usize,
        reason: ExitReason,
        now: MonotonicTime,
        random: &mut impl FnMut() -> u64,
        actions: &mut Vec<Action>,
    ) {
        if let RestartVerdict::Escalate = self.window.record(now) {
            let report = self.report(index, &reason, Outcome::Escalated, now);
            actions.push(Action::Report(report));
            let intensity = self.rules.intensity;
            let count = format!(", more than {} restarts within {:?}", intensity.max(), intensity.period());
            return self.give_up(index, &reason, &count, now);
        }
        let child = &mut self.children[index];
        child.failures = child.failures.saturating_add(1);
        let failures = child.failures;
        let delay = child.rules.backoff.map_or(Duration::ZERO, |backoff| backoff.delay(failures, random));
        let id = child.rules.id.clone();
        let group = self.group(index);
        let next = group.clone().map(|index| self.children[index].incarnation).max().unwrap_or(0) + 1;
        for member in group {
            let member = &mut self.children[member];
            if member.takes_part() {
                member.wait(next, now);
                member.held = !delay.is_zero();
            } else if member.is_alive() {
                member.leaving.get_or_insert(Leaving::Restart);
            }
        }
        let report = self.report(index, &reason, Outcome::Restarted, now);
        actions.push(Action::Report(RestartReport { delay, ..report }));
        if !delay.is_zero() {
            let timer = Timer::Backoff { child: id, incarnation: next };
            actions.push(Action::ArmTimer { timer, after: delay });
        }
    }

    /// Who is restarted with the child at `index`, itself included.
    fn group(&self, index: usize) -> std::ops::Range<usize> {
        match self.rules.strategy {
            Strategy::OneForOne => index..index + 1,
            Strategy::OneForAll => 0..self.children.len(),
            Strategy::RestForOne => index..self.children.len(),
        }
    }

    fn report(
        &self,
        index: usize,
        reason: &ExitReason,
        outcome: Outcome,
        now: MonotonicTime,
    ) -> RestartReport {
        let child = &self.children[index];
        RestartReport {
            supervisor: self.rules.path.clone(),
            child: child.rules.id.clone(),
            reason: reason.clone(),
            outcome,
            restarts_in_window: self.window.count(now),
            incarnation: child.incarnation,
            delay: Duration::ZERO,
        }
    }

    fn give_up(&mut self, index: usize, reason: &ExitReason, count: &str, now: MonotonicTime) {
        let class = reason.class().unwrap_or(ErrorClass::Internal);
        let message = format!("{} {reason}{count}", self.children[index].rules.id);
        self.finish(ExitReason::Failed(ExitError::new(class, message)), now);
    }

    fn finish(&mut self, reason: ExitReason, now: MonotonicTime) {
        if self.phase != Phase::Running {
            return;
        }
        self.phase = Phase::Finishing(reason);
        for child in &mut self.children {
            if child.is_alive() {
                child.leaving = Some(Leaving::Finish);
            } else if child.state == State::Waiting {
                child.enter(State::Ended, now);
            }
        }
    }
}

#[cfg(test)]
mod tests;
