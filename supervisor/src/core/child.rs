//! What the core keeps of one child.

use crate::child_spec::{ChildRules, Restart};
use crate::clock::MonotonicTime;
use crate::exit::ExitReason;
use crate::probe::Reading;

/// Where a child is in its life. The core alone writes it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum State {
    /// Started as soon as its turn comes and its delay has passed.
    Waiting,
    /// Its factory runs.
    Starting,
    /// It runs, so far as anybody knows.
    Running,
    /// Asked to stop, or killed.
    Stopping(Stop),
    /// Not started again before `resume`.
    Parked,
    /// Not started again, unless its group is.
    Ended,
}

/// How far a stop has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stop {
    Asked,
    Killed,
}

/// Why a child that is alive is to be stopped, which is what happens with it afterwards.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Leaving {
    /// It is restarted together with a sibling that failed.
    Restart,
    /// An operator parks it.
    Park,
    /// It is resumed before it was parked: its next life begins when this one has ended.
    Resume,
    /// It is taken from the list.
    Remove,
    /// The supervisor ends.
    Finish,
}

/// One child.
#[derive(Clone, Debug)]
pub(crate) struct Child {
    pub(crate) rules: ChildRules,
    pub(crate) state: State,
    /// Of the current life, or of the last one. 0 before the first.
    pub(crate) incarnation: u64,
    /// Of the life to be started next.
    pub(crate) next_incarnation: u64,
    /// While it lives: set when it must not live on.
    pub(crate) leaving: Option<Leaving>,
    /// Its backoff has not passed yet.
    pub(crate) held: bool,
    /// Why it was killed by us, to be told instead of `Killed`.
    pub(crate) doom: Option<ExitReason>,
    /// Failures since it last ran well.
    pub(crate) failures: u32,
    /// Lives after the first.
    pub(crate) restarts: u64,
    pub(crate) last_error: Option<ExitReason>,
    /// When the current state began.
    pub(crate) since: MonotonicTime,
    /// Last progress seen, and when it was first seen so.
    stall: Option<(u64, MonotonicTime)>,
}

impl Child {
    pub(crate) const fn new(rules: ChildRules, now: MonotonicTime) -> Self {
        Self {
            rules,
            state: State::Waiting,
            incarnation: 0,
            next_incarnation: 1,
            leaving: None,
            held: false,
            doom: None,
            failures: 0,
            restarts: 0,
            last_error: None,
            since: now,
            stall: None,
        }
    }

    /// There is, or may be, an actor.
    pub(crate) const fn is_alive(&self) -> bool {
        matches!(self.state, State::Starting | State::Running | State::Stopping(_))
    }

    pub(crate) const fn is_stopping(&self) -> bool {
        matches!(self.state, State::Stopping(_))
    }

    /// Alive, to be stopped, and not asked yet.
    pub(crate) const fn must_stop(&self) -> bool {
        matches!(self.state, State::Starting | State::Running) && self.leaving.is_some()
    }

    /// Started again when its group is. One that is parked stays so; a temporary one has had its only life.
    pub(crate) const fn takes_part(&self) -> bool {
        !matches!(self.state, State::Parked) && !matches!(self.rules.restart, Restart::Temporary)
    }

    pub(crate) fn enter(&mut self, state: State, now: MonotonicTime) {
        self.state = state;
        self.since = now;
        self.stall = None;
    }

    /// To be started, with the incarnation `next`.
    pub(crate) fn wait(&mut self, next: u64, now: MonotonicTime) {
        self.next_incarnation = next;
        if self.is_alive() {
            self.leaving.get_or_insert(Leaving::Restart);
        } else {
            self.enter(State::Waiting, now);
        }
    }

    /// Looks whether it gets on; tells since when it does not, if that is too long.
    pub(crate) fn observe(&mut self, reading: Reading, now: MonotonicTime) -> Option<ExitReason> {
        let limit = self.rules.stall_after.filter(|_| self.state == State::Running)?;
        match self.stall {
            Some((progress, since)) if progress == reading.progress && reading.queued > 0 => {
                let stalled = now.since(since);
                (stalled >= limit).then_some(ExitReason::Stalled { queued: reading.queued, since: stalled })
            }
            _ => {
                self.stall = (reading.queued > 0).then_some((reading.progress, now));
                None
            }
        }
    }
}
