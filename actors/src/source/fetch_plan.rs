//! What to fetch next, from where, and when: the decisions of a ledger stream. Pure: no I/O, no clock, no tasks.
//!
//! The plan is a queue of slots in the order of the ledgers. Each slot is fetched for itself, in any order; only the first
//! is delivered. Slots are made as far ahead as depth, bytes and the tip allow:
//!
//! | state | slots ahead |
//! |---|---|
//! | catching up | 1, then twice as many with each slot delivered, up to the depth |
//! | at the tip | 1, asked for when it is due |
//!
//! Bytes: a slot is made only if what it is likely to need is free, and it may not fetch more. If it turns out to need
//! more, it and those behind it are given up and made again when there is room, so that the budget is never exceeded, but
//! by a single object that is larger than all of it.
//!
//! A store that fails for good, or too often, loses the slot to the next store, which new slots then go to as well.

use std::collections::VecDeque;
use std::ops::RangeInclusive;
use std::sync::Arc;
use std::time::Duration;

use orrery_schemas::LedgerSequence;
use orrery_supervisor::MonotonicTime;

use super::cadence::Cadence;
use super::retry_budget::Attempts;
use super::stream_limits::{AtTip, StreamError, StreamLimits, StreamStart, Tried};
use super::{FetchedObject, LedgerStore, SourceError, SourceErrorKind};

/// Names a slot for as long as it exists.
pub(super) type SlotId = u64;

/// What the stream has to do now.
#[derive(Debug)]
pub(super) enum Action {
    /// Hand these out; they are the next.
    Deliver { id: SlotId, source: usize, objects: Vec<FetchedObject> },
    /// Fetch and report what came of it.
    Fetch(Fetch),
    /// Nothing, until a fetch ends, or `until`, or `room` bytes of the budget are free.
    Wait { until: Option<MonotonicTime>, room: Option<usize> },
    /// All was delivered.
    End,
    /// It cannot go on.
    Fail(StreamError),
}

#[derive(Debug)]
pub(super) struct Fetch {
    pub(super) id: SlotId,
    pub(super) source: usize,
    pub(super) range: RangeInclusive<LedgerSequence>,
    /// Its share of the budget. Held from the first fetch of the slot until it is delivered or given up.
    pub(super) bytes_max: usize,
    /// Ask for the store's tip before, so that the store can tell a gap from the tip.
    pub(super) refresh_tip: bool,
}

/// Ledgers that are fetched together.
struct Slot {
    id: SlotId,
    source: usize,
    range: RangeInclusive<LedgerSequence>,
    bytes_max: usize,
    state: SlotState,
    /// At the present store.
    attempts: Attempts,
    /// Stores that it was given up at.
    tried: Vec<Tried>,
    /// Answers that it is not there yet.
    not_yets: u32,
    /// Since the first of them.
    waiting_since: Option<MonotonicTime>,
    refresh_tip: bool,
    /// How long the ledger may be awaited before the store looks further and another one is asked.
    refresh_after: Duration,
}

enum SlotState {
    Waiting { until: MonotonicTime },
    Fetching,
    Ready(Vec<FetchedObject>),
    Failed(StreamError),
}

/// See the module.
pub(super) struct FetchPlan {
    stores: Vec<Arc<dyn LedgerStore>>,
    start: StreamStart,
    limits: StreamLimits,
    slots: VecDeque<Slot>,
    next_id: SlotId,
    /// First ledger that was not delivered; `None` past the last.
    undelivered: Option<LedgerSequence>,
    /// First ledger that has no slot; `None` past the last.
    next: Option<LedgerSequence>,
    /// Store of new slots.
    current: usize,
    /// When new slots go to the first store again.
    prefer_at: MonotonicTime,
    /// Slots ahead while catching up; `None` at the tip.
    ahead: Option<usize>,
    cadence: Cadence,
    /// What the slot that begins here was found to need.
    grown: Option<(LedgerSequence, usize)>,
    failed: bool,
}

impl FetchPlan {
    pub(super) fn new(stores: Vec<Arc<dyn LedgerStore>>, start: StreamStart, limits: StreamLimits) -> Self {
        let next = start.to.is_none_or(|to| start.from <= to).then_some(start.from);
        let mut plan = Self {
            stores,
            start,
            limits,
            slots: VecDeque::new(),
            next_id: 0,
            undelivered: next,
            next,
            current: 0,
            prefer_at: MonotonicTime::ORIGIN,
            ahead: Some(1),
            cadence: Cadence::new(),
            grown: None,
            failed: false,
        };
        // A store whose ledgers are refused is as one that fails: what follows is fetched elsewhere for a while, too.
        if let Some(source) = plan.store_for(plan.start.from).filter(|source| *source != plan.current) {
            plan.current = source;
            plan.prefer_at = MonotonicTime::ORIGIN.after(plan.limits.prefer_again);
        }
        plan
    }

    /// What to do now. `free` is how much of the byte budget nobody holds, in bytes.
    pub(super) fn next_action(&mut self, now: MonotonicTime, free: usize) -> Action {
        if self.failed {
            return Action::End;
        }
        if let Some(head) = self.slots.front_mut() {
            match std::mem::replace(&mut head.state, SlotState::Fetching) {
                SlotState::Ready(objects) => {
                    let (id, source, end) = (head.id, head.source, *head.range.end());
                    self.slots.pop_front();
                    self.undelivered = self.after(end);
                    self.ahead = self.ahead.map(|ahead| (ahead * 2).min(self.limits.depth.max(1)));
                    return Action::Deliver { id, source, objects };
                }
                SlotState::Failed(error) => {
                    self.failed = true;
                    return Action::Fail(error);
                }
                other => head.state = other,
            }
        }
        if let Some(fetch) = self.due_fetch(now) {
            return Action::Fetch(fetch);
        }
        let room = match self.make_slot(now, free) {
            Made::Slot => match self.due_fetch(now) {
                Some(fetch) => return Action::Fetch(fetch),
                None => None,
            },
            Made::NeedsRoom(bytes) => Some(bytes),
            Made::Nothing if self.slots.is_empty() => return Action::End,
            Made::Nothing => None,
            Made::Failed(error) => {
                self.failed = true;
                return Action::Fail(error);
            }
        };
        let until = self.slots.iter().filter_map(|slot| match slot.state {
            SlotState::Waiting { until } => Some(until),
            _ => None,
        });
        Action::Wait { until: until.min(), room }
    }

    /// Objects arrived.
    pub(super) fn found(
        &mut self,
        id: SlotId,
        objects: Vec<FetchedObject>,
        now: MonotonicTime,
        random: &mut impl FnMut() -> u64,
    ) {
        let Some(index) = self.index_of(id) else { return };
        let Some(last) = end_of(&self.slots[index].range, &objects) else {
            let kind =
                SourceErrorKind::Fetch("the store gave other ledgers than it was asked for".to_owned());
            let name = self.stores[self.slots[index].source].name();
            return self.failed(id, SourceError::new(name, kind), now, random);
        };
        let slot = &mut self.slots[index];
        let range = slot.range.clone();
        slot.range = *range.start()..=last;
        slot.state = SlotState::Ready(objects);
        let was_polled = slot.not_yets > 0;
        if slot.source != self.current && was_polled {
            // The store that was polled before has fallen behind.
            self.current = slot.source;
            self.prefer_at = now.after(self.limits.prefer_again);
        }
        if self.ahead.is_none() && index == 0 {
            self.cadence.found(now);
        }
        if last < *range.end() {
            self.truncate(index + 1);
        }
    }

    /// The store does not have the slot's ledgers yet.
    pub(super) fn not_yet(&mut self, id: SlotId, now: MonotonicTime, random: &mut impl FnMut() -> u64) {
        let Some(index) = self.index_of(id) else { return };
        if index > 0 {
            return self.truncate(index);
        }
        self.truncate(1);
        let source = self.slots[0].source;
        let is_first = self.slots[0].not_yets == 0;
        if self.start.at_tip == AtTip::Fail && !is_first {
            let missing = self.stores[source].missing(*self.slots[0].range.start());
            return self.failed(id, missing, now, random);
        }
        let (was_behind, pause) = match self.start.at_tip {
            AtTip::Fail => (true, Duration::ZERO),
            AtTip::Wait => (self.ahead.take().is_some(), self.cadence.not_yet(random)),
        };
        let slot = &mut self.slots[0];
        slot.not_yets = slot.not_yets.saturating_add(1);
        slot.waiting_since.get_or_insert(now);
        slot.attempts = Attempts::default();
        slot.state = SlotState::Waiting { until: now.after(pause) };
        let overdue = now.since(slot.waiting_since.unwrap_or(now));
        // A gap looks like the tip until the store looks further: at first, and again at doubling times.
        slot.refresh_tip = was_behind && is_first;
        if overdue >= slot.refresh_after {
            slot.refresh_tip = true;
            slot.refresh_after = slot.refresh_after.saturating_mul(2);
            if let Some(other) = self.other_store(0) {
                self.move_to(0, other);
            }
        }
    }

    /// The slot needs more than its share.
    pub(super) fn too_large(&mut self, id: SlotId, bytes: usize) {
        let Some(index) = self.index_of(id) else { return };
        self.grown = Some((*self.slots[index].range.start(), bytes));
        self.truncate(index);
    }

    /// A fetch failed.
    pub(super) fn failed(
        &mut self,
        id: SlotId,
        error: SourceError,
        now: MonotonicTime,
        random: &mut impl FnMut() -> u64,
    ) {
        let Some(index) = self.index_of(id) else { return };
        let slot = &mut self.slots[index];
        let pause = error
            .kind
            .is_transient()
            .then(|| slot.attempts.pause(&self.limits.retry, now, error.kind.pause_wanted(), random));
        if let Some(pause) = pause.flatten() {
            slot.state = SlotState::Waiting { until: now.after(pause) };
            return;
        }
        let store = self.stores[slot.source].name().into();
        let (attempts, elapsed) = (slot.attempts.count(), slot.attempts.elapsed(now));
        slot.tried.push(Tried { source: slot.source, store, attempts, elapsed, error });
        let source = slot.source;
        match self.other_store(index) {
            Some(other) => {
                if self.current == source {
                    self.current = other;
                    self.prefer_at = now.after(self.limits.prefer_again);
                }
                self.move_to(index, other);
                self.slots[index].state = SlotState::Waiting { until: now };
            }
            None => {
                let slot = &mut self.slots[index];
                let error =
                    StreamError { ledger: *slot.range.start(), tried: std::mem::take(&mut slot.tried) };
                slot.state = SlotState::Failed(error);
            }
        }
    }

    /// True while the slot exists: its share of the budget is to be kept.
    pub(super) fn holds(&self, id: SlotId) -> bool {
        self.index_of(id).is_some()
    }

    /// Stores by their index.
    pub(super) fn stores(&self) -> &[Arc<dyn LedgerStore>] {
        &self.stores
    }

    fn index_of(&self, id: SlotId) -> Option<usize> {
        self.slots.iter().position(|slot| slot.id == id)
    }

    /// Gives up all slots from `index` on; they are made again later.
    fn truncate(&mut self, index: usize) {
        self.slots.truncate(index);
        let last = self.slots.back().map(|slot| *slot.range.end());
        self.next = match last {
            Some(last) => self.after(last),
            None => self.undelivered,
        };
    }

    /// The ledger after `last`, unless that is the last one wanted.
    fn after(&self, last: LedgerSequence) -> Option<LedgerSequence> {
        last.next().filter(|next| self.start.to.is_none_or(|to| *next <= to))
    }

    fn due_fetch(&mut self, now: MonotonicTime) -> Option<Fetch> {
        let is_due = |slot: &Slot| matches!(slot.state, SlotState::Waiting { until } if until <= now);
        let slot = self.slots.iter_mut().find(|slot| is_due(slot))?;
        slot.state = SlotState::Fetching;
        slot.attempts.begin(now);
        Some(Fetch {
            id: slot.id,
            source: slot.source,
            range: slot.range.clone(),
            bytes_max: slot.bytes_max,
            // Until an answer arrives: a refresh that failed told nothing.
            refresh_tip: slot.refresh_tip,
        })
    }

    fn make_slot(&mut self, now: MonotonicTime, free: usize) -> Made {
        let Some(from) = self.next else { return Made::Nothing };
        if self.current != 0 && now >= self.prefer_at {
            self.current = 0;
        }
        let mut until = now;
        if self.ahead.is_none() {
            if !self.slots.is_empty() {
                return Made::Nothing;
            }
            match self.cadence.next_due().filter(|_| !self.cadence.is_behind(now)) {
                Some(due) => until = due.max(now),
                None => {
                    self.cadence.leave_tip();
                    self.ahead = Some(1);
                }
            }
        }
        let Some(source) = self.store_for(from) else {
            return Made::Failed(StreamError { ledger: from, tried: Vec::new() });
        };
        let ahead = self.ahead.unwrap_or(1).min(self.stores[source].fetches_max()).max(1);
        if self.slots.len() >= ahead {
            return Made::Nothing;
        }
        let range = self.range_at(from, source);
        let grown = self.grown.filter(|(at, _)| *at == from).map_or(0, |(_, bytes)| bytes);
        let wanted =
            self.stores[source].bytes_estimate(&range).max(grown).clamp(1, self.limits.bytes_max.max(1));
        if wanted > free {
            return Made::NeedsRoom(wanted);
        }
        // Only an object that is larger than the whole budget may exceed it.
        let bytes_max = wanted.max(grown);
        self.next = self.after(*range.end());
        self.slots.push_back(Slot {
            id: self.next_id,
            source,
            range,
            bytes_max,
            state: SlotState::Waiting { until },
            attempts: Attempts::default(),
            tried: Vec::new(),
            not_yets: 0,
            waiting_since: None,
            refresh_tip: false,
            refresh_after: self.limits.stale_after,
        });
        self.next_id += 1;
        Made::Slot
    }

    fn range_at(&self, from: LedgerSequence, source: usize) -> RangeInclusive<LedgerSequence> {
        let end = *self.stores[source].unit(from).end();
        from..=self.start.to.map_or(end, |to| end.min(to)).max(from)
    }

    /// The store for a new slot: the current one, or the next that was not rejected for this ledger.
    fn store_for(&self, from: LedgerSequence) -> Option<usize> {
        let count = self.stores.len();
        (0..count).map(|step| (self.current + step) % count).find(|source| !self.is_rejected(from, *source))
    }

    fn is_rejected(&self, from: LedgerSequence, source: usize) -> bool {
        let range = self.range_at(from, source);
        self.start.rejected.iter().any(|bad| bad.source == source && range.contains(&bad.ledger))
    }

    /// A store that this slot was not given up at, other than its own.
    fn other_store(&self, index: usize) -> Option<usize> {
        let slot = &self.slots[index];
        let count = self.stores.len();
        (1..count).map(|step| (slot.source + step) % count).find(|source| {
            !slot.tried.iter().any(|tried| tried.source == *source)
                && !self.is_rejected(*slot.range.start(), *source)
        })
    }

    /// The slot goes to another store, whose unit may end earlier; then those behind it are made again.
    fn move_to(&mut self, index: usize, source: usize) {
        let (from, end) = self.slots[index].range.clone().into_inner();
        let range = self.range_at(from, source);
        let slot = &mut self.slots[index];
        slot.source = source;
        slot.attempts = Attempts::default();
        if *range.end() < end {
            slot.range = range;
            self.truncate(index + 1);
        }
    }
}

enum Made {
    Slot,
    NeedsRoom(usize),
    Nothing,
    Failed(StreamError),
}

/// Last ledger of `objects`, if they begin where `range` does, follow each other and do not go beyond it.
fn end_of(range: &RangeInclusive<LedgerSequence>, objects: &[FetchedObject]) -> Option<LedgerSequence> {
    let mut due = Some(*range.start());
    let mut last = None;
    for object in objects {
        if due != Some(*object.range.start()) || object.range.is_empty() {
            return None;
        }
        due = object.range.end().next();
        last = Some(*object.range.end());
    }
    last.filter(|last| last <= range.end())
}

#[cfg(test)]
mod tests;
