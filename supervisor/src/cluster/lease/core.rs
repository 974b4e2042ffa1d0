//! What decides about the lease.

use super::contest::Contests;
use super::electorate::{Electorate, Eligibility};
use super::{Created, Epoch, Lease, LeaseTimings};
use crate::clock::MonotonicTime;
use crate::cluster::name::NodeIdentity;

/// What happens to a node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// Time passed. Comes several times a second.
    Tick,
    /// The members changed.
    Members(Electorate),
    /// The store was read.
    Read(Option<Lease>),
    /// What the store made of the lease that it was to create.
    Created(Created),
    /// The store failed, or did not answer in time. What it was to create may be there.
    Failed,
}

/// What is to be done. Of [`Action::Read`] and [`Action::Create`] only one is under way at a time, and each ends with one
/// event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    /// Read the newest lease.
    Read,
    /// Create this lease, if there is none of its epoch.
    Create(Lease),
    /// This node is active from now on.
    Activate(Epoch),
    /// This node is no longer active.
    StandDown {
        /// Of the lease that it had.
        epoch: Epoch,
        /// Why.
        reason: StandDownReason,
    },
}

/// Why a node is no longer active.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StandDownReason {
    /// There is a newer lease.
    Deposed,
    /// The store has not answered for too long to know whether there is.
    Blind,
    /// The node was paused; there may be a newer lease.
    Paused,
}

impl StandDownReason {
    /// As shown to people.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Deposed => "there is a newer lease",
            Self::Blind => "the store does not answer",
            Self::Paused => "the node was paused",
        }
    }
}

/// What is under way at the store.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Operation {
    None,
    Reading,
    Creating,
}

/// What is thought of the holder of the newest lease.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Holder {
    /// There has been no lease.
    None,
    Present,
    Gone,
    Unknown,
}

/// A takeover to come.
#[derive(Clone, Copy, Debug)]
struct Takeover {
    holder: Holder,
    at: MonotonicTime,
}

/// Decides for one life of one node. Whoever owns it performs its actions and tells it of events.
#[derive(Clone, Debug)]
pub struct LeaseCore {
    me: NodeIdentity,
    timings: LeaseTimings,
    electorate: Electorate,
    /// Since when others are there, without a break.
    company_since: Option<MonotonicTime>,
    newest: Option<Lease>,
    /// Whether the holder of the newest lease has been a member since it is the newest.
    holder_met: bool,
    /// Since when nothing changed.
    changed_at: MonotonicTime,
    /// The last answer to a read. Nothing is decided before the first.
    read_at: Option<MonotonicTime>,
    read_due: MonotonicTime,
    operation: Operation,
    takeover: Option<Takeover>,
    active: Option<Epoch>,
    contests: Contests,
    stepped_at: Option<MonotonicTime>,
    /// A pause has not been followed by a read: being deposed in it is nobody's fault.
    paused: bool,
    /// What is under way began before the pause: its answer says what was then.
    outdated: bool,
}

impl LeaseCore {
    /// A node that knows nothing yet.
    pub fn new(me: NodeIdentity, timings: LeaseTimings) -> Self {
        Self {
            me,
            timings,
            electorate: Electorate::default(),
            company_since: None,
            newest: None,
            holder_met: false,
            changed_at: MonotonicTime::ORIGIN,
            read_at: None,
            read_due: MonotonicTime::ORIGIN,
            operation: Operation::None,
            takeover: None,
            active: None,
            contests: Contests::default(),
            stepped_at: None,
            paused: false,
            outdated: false,
        }
    }

    /// This life of this node.
    pub const fn identity(&self) -> &NodeIdentity {
        &self.me
    }

    /// The epoch with which this node is active.
    pub const fn active(&self) -> Option<Epoch> {
        self.active
    }

    /// The newest lease that this node has seen.
    pub const fn newest(&self) -> Option<&Lease> {
        self.newest.as_ref()
    }

    /// Takes an event, and says what is to be done about it.
    pub fn step(&mut self, event: Event, now: MonotonicTime) -> Vec<Action> {
        let mut actions = Vec::new();
        self.notice_pause(now, &mut actions);
        let answered = matches!(event, Event::Read(_) | Event::Created(_) | Event::Failed);
        let event = if answered && std::mem::take(&mut self.outdated) { Event::Failed } else { event };
        match event {
            Event::Tick => {}
            Event::Members(electorate) => self.meet(electorate, now),
            Event::Read(newest) => {
                self.operation = Operation::None;
                self.read_due = now.after(self.timings.read_interval);
                self.read(newest, now, &mut actions);
            }
            Event::Created(created) => {
                self.operation = Operation::None;
                self.takeover = None;
                self.created(created, now, &mut actions);
            }
            Event::Failed => {
                // What was to be created may be there: look before anything else.
                let look_now = self.operation == Operation::Creating || self.paused;
                self.read_due = if look_now { now } else { now.after(self.timings.retry_interval) };
                self.operation = Operation::None;
                self.takeover = None;
            }
        }
        self.notice_blindness(now, &mut actions);
        self.ask(now, &mut actions);
        actions
    }

    fn notice_pause(&mut self, now: MonotonicTime, actions: &mut Vec<Action>) {
        let gap = self.stepped_at.replace(now).map(|last| now.since(last));
        if gap.is_some_and(|gap| gap >= self.timings.pause) {
            self.paused = true;
            self.outdated = self.operation != Operation::None;
            self.takeover = None;
            self.read_due = now;
            self.stand_down(StandDownReason::Paused, actions);
        }
    }

    fn notice_blindness(&mut self, now: MonotonicTime, actions: &mut Vec<Action>) {
        if self.read_at.is_some_and(|at| now.since(at) >= self.timings.blind_max) {
            self.stand_down(StandDownReason::Blind, actions);
        }
    }

    fn meet(&mut self, electorate: Electorate, now: MonotonicTime) {
        let company = electorate.others(&self.me) > 0;
        self.company_since = if company { self.company_since.or(Some(now)) } else { None };
        self.electorate = electorate;
        self.note_holder();
    }

    fn note_holder(&mut self) {
        let present = |lease: &Lease| self.electorate.eligibility(&lease.holder).is_some();
        self.holder_met |= self.newest.as_ref().is_some_and(present);
    }

    fn read(&mut self, newest: Option<Lease>, now: MonotonicTime, actions: &mut Vec<Action>) {
        if self.read_at.replace(now).is_none() {
            self.changed_at = now;
        }
        let known = self.newest.as_ref().map(|lease| lease.epoch);
        // A store that forgets is not believed: epochs only grow.
        if let Some(lease) = newest.filter(|lease| Some(lease.epoch) >= known) {
            self.learn(lease, now, actions);
        }
        self.paused = false;
    }

    fn created(&mut self, created: Created, now: MonotonicTime, actions: &mut Vec<Action>) {
        match created {
            Created::Created => {
                self.read_at = Some(now);
                let epoch = self.next_epoch();
                self.learn(Lease { epoch, holder: self.me.clone() }, now, actions);
            }
            Created::Exists => self.read_due = now,
        }
    }

    /// Takes note of the newest lease.
    fn learn(&mut self, lease: Lease, now: MonotonicTime, actions: &mut Vec<Action>) {
        if self.newest.as_ref() != Some(&lease) {
            // Who held the lease and was well, as seen from here, was deposed by somebody who saw it otherwise.
            if self.holder(now) == Holder::Present && !self.paused && lease.holder != self.me {
                self.contests.add(now);
            }
            self.changed_at = now;
            self.takeover = None;
            self.holder_met = false;
            self.newest = Some(lease.clone());
            self.note_holder();
        }
        let deposed = |epoch: Epoch| crate::seeded_bug!(B21, epoch.next() < lease.epoch, epoch < lease.epoch);
        if self.active.is_some_and(deposed) {
            self.stand_down(StandDownReason::Deposed, actions);
        }
        if lease.holder == self.me && self.active.is_none() {
            self.active = Some(lease.epoch);
            actions.push(Action::Activate(lease.epoch));
        }
    }

    fn stand_down(&mut self, reason: StandDownReason, actions: &mut Vec<Action>) {
        if let Some(epoch) = self.active.take() {
            actions.push(Action::StandDown { epoch, reason });
        }
    }

    fn holder(&self, now: MonotonicTime) -> Holder {
        let Some(Lease { holder, .. }) = &self.newest else { return Holder::None };
        if *holder == self.me {
            return Holder::Present;
        }
        match self.electorate.eligibility(holder) {
            Some(Eligibility::Candidate | Eligibility::Suspect) => return Holder::Present,
            Some(Eligibility::Never) => return Holder::Gone,
            None => {}
        }
        let outlived = self.electorate.outlived(holder) || holder.name == self.me.name;
        let settled = self.company_since.is_some_and(|since| now.since(since) >= self.timings.settle);
        if outlived || self.holder_met || settled { Holder::Gone } else { Holder::Unknown }
    }

    fn next_epoch(&self) -> Epoch {
        self.newest.as_ref().map_or(Epoch::FIRST, |lease| lease.epoch.next())
    }

    /// Asks the store, if there is a reason to and nothing is under way.
    fn ask(&mut self, now: MonotonicTime, actions: &mut Vec<Action>) {
        self.plan_takeover(now);
        if self.operation != Operation::None {
            return;
        }
        if now >= self.read_due {
            self.operation = Operation::Reading;
            actions.push(Action::Read);
        } else if self.takeover.is_some_and(|takeover| now >= takeover.at) {
            self.operation = Operation::Creating;
            actions.push(Action::Create(Lease { epoch: self.next_epoch(), holder: self.me.clone() }));
        }
    }

    fn plan_takeover(&mut self, now: MonotonicTime) {
        let holder = self.holder(now);
        let may = self.electorate.eligibility(&self.me) == Some(Eligibility::Candidate)
            && self.read_at.is_some_and(|at| now.since(at) < self.timings.blind_max)
            && !self.paused;
        if !may || holder == Holder::Present {
            self.takeover = None;
            return;
        }
        if self.takeover.is_some_and(|takeover| takeover.holder == holder) {
            return;
        }
        let turn = self.timings.stagger * self.electorate.rank(&self.me).min(LeaseTimings::RANKS_MAX);
        let wait = self.contests.wait(now, &self.timings);
        let at = match holder {
            Holder::Unknown => self.changed_at.after(self.timings.unknown_after).max(now).after(turn + wait),
            Holder::None | Holder::Present | Holder::Gone => now.after(turn + wait),
        };
        self.takeover = Some(Takeover { holder, at });
    }
}
