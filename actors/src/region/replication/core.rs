//! What is asked of a peer region, and what is made of its answers, for each table. Pure.
//!
//! One question of a table is under way at a time, and answers to others are passed over; files are fetched side by side, and
//! slots are put in order. Whatever is lost is asked for again in a later round.
//!
//! | ours, theirs | what is compared | then |
//! |---|---|---|
//! | same number | hashes, as reported | |
//! | ours ahead | our slot of their number with the hash they reported | |
//! | theirs ahead | their slot of our number with our hash | copied, where that is wanted |
//! | equal there | nothing before it need be compared | |
//! | different there | halves, between the newest that is known to be equal and it | both slots are judged |

mod incoming;

use std::collections::VecDeque;

use bytes::Bytes;

use super::layout::{Difference, Walk};
use super::message::{Action, Input, TableEnd};
use crate::dataset::object_sha256;
use crate::region::ReplicationState;
use incoming::{Incoming, Stage};

/// Slots that are asked for at a time.
const SLOTS_MAX: u32 = 32;

/// Slots that wait to be put: memory is this times a slot, which has some kilobytes.
const INCOMING_MAX: usize = 64;

/// Rounds before what differs or does not hold is looked at again.
const LOOK_AGAIN_ROUNDS: u32 = 10;

#[derive(Clone, Debug)]
enum Phase {
    /// What is known is equal.
    Equal,
    /// The first slot that differs is after `low` (`None`: it may be the first one), and not after `high`.
    Halve {
        low: Option<u64>,
        high: u64,
    },
    /// The same rows so far, compacted at other places.
    Layout(Walk),
    /// Looked at again after some rounds: somebody may have mended it.
    Different {
        rounds: u32,
    },
    OtherTables,
    Untrue {
        why: String,
        rounds: u32,
    },
}

/// One table of two regions.
#[derive(Clone, Debug)]
pub(super) struct ReplicationCore {
    ours: Option<TableEnd>,
    theirs: Option<TableEnd>,
    copies: bool,
    /// The newest slot that is known to be equal.
    equal: Option<u64>,
    phase: Phase,
    incoming: VecDeque<Incoming>,
    /// The question under way.
    asked: Option<(u64, Asked)>,
    questions: u64,
    /// Something could not be had or put: nothing more is begun before the next round.
    rests: bool,
    /// The slot that differs and why, until both are found to be equal.
    differs: Option<(u64, String)>,
    differences: u64,
}

/// What an answer is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Asked {
    /// Our slot of their number.
    Ours(u64),
    /// Theirs from our number on.
    Theirs(u64),
    /// Theirs that follow those which are on their way.
    More(u64),
    /// Both of one number.
    Both(u64),
    /// Whatever the walk wants.
    Walk,
}

impl Default for ReplicationCore {
    fn default() -> Self {
        Self {
            ours: None,
            theirs: None,
            copies: false,
            equal: None,
            phase: Phase::Equal,
            incoming: VecDeque::new(),
            asked: None,
            questions: 0,
            rests: false,
            differs: None,
            differences: 0,
        }
    }
}

impl ReplicationCore {
    /// Takes what happened; gives what to do.
    pub(super) fn step(&mut self, input: Input) -> Vec<Action> {
        match input {
            Input::Round { ours, theirs, copies } => return self.round(ours, theirs, copies),
            Input::Slots { question, ours, theirs } => {
                let Some((_, asked)) = self.asked.take_if(|(id, _)| *id == question) else {
                    return Vec::new();
                };
                if let Err(action) = self.answered(asked, ours, theirs) {
                    return action.into_iter().collect();
                }
            }
            Input::NoAnswer { question } => {
                let was_asked = self.asked.take_if(|(id, _)| *id == question);
                self.rests |= was_asked.is_some();
            }
            Input::Fetched { slot, object, bytes } => return self.fetched(slot, object, bytes),
            Input::NotFetched { slot, untrue } => {
                self.stage(slot, Stage::Waits);
                self.rests = true;
                if let Some(why) = untrue {
                    self.distrust(why);
                }
            }
            Input::FilePut { slot } => self.stage(slot, Stage::Ready),
            Input::FileNotPut { slot } => {
                self.stage(slot, Stage::Waits);
                self.rests = true;
            }
            Input::FileDiffers { slot, reason } => {
                return vec![self.differ(slot, reason, None)];
            }
            Input::SlotPut { ours } => {
                let put = self.incoming.pop_front_if(|front| front.slot == ours.slot);
                self.equal = self.equal.max(put.map(|put| put.slot));
                self.ours = Some(ours);
                self.differs = None;
            }
            Input::SlotNotPut => {
                self.incoming.clear();
                self.rests = true;
            }
            Input::SlotUnfit { slot, why } => {
                self.distrust(format!("slot {slot} does not continue this region's log: {why}"));
                return Vec::new();
            }
        }
        self.go_on()
    }

    /// How both tables stand to each other, and what stands behind it.
    pub(super) fn state(&self) -> (ReplicationState, Option<String>) {
        let common =
            self.ours.as_ref().zip(self.theirs.as_ref()).map(|(ours, theirs)| ours.slot.min(theirs.slot));
        if let Some((slot, reason)) = &self.differs {
            return (ReplicationState::Different, Some(format!("slot {slot}: {reason}")));
        }
        match &self.phase {
            Phase::OtherTables => {
                let detail = "its tables have other settings: give both regions the same network, first ledger and grid";
                (ReplicationState::OtherTables, Some(detail.to_owned()))
            }
            Phase::Untrue { why, .. } => (ReplicationState::Untrue, Some(why.clone())),
            Phase::Layout(_) => {
                let detail = "the same rows, compacted at other places: nothing is copied";
                (ReplicationState::OtherLayout, Some(detail.to_owned()))
            }
            _ if !self.incoming.is_empty() => (ReplicationState::Copying, None),
            Phase::Equal if self.copies && common.is_some() && self.equal >= common && self.is_behind() => {
                (ReplicationState::Copying, None)
            }
            Phase::Equal if common.is_some() && self.equal >= common => (ReplicationState::Equal, None),
            Phase::Equal | Phase::Halve { .. } | Phase::Different { .. } => {
                (ReplicationState::Comparing, None)
            }
        }
    }

    fn is_behind(&self) -> bool {
        let slot = |end: &Option<TableEnd>| end.as_ref().map(|end| end.slot);
        slot(&self.ours) < slot(&self.theirs)
    }

    /// The newest slot that is known to be equal.
    pub(super) const fn equal(&self) -> Option<u64> {
        self.equal
    }

    /// Slots that were found to differ.
    pub(super) const fn differences(&self) -> u64 {
        self.differences
    }

    fn round(&mut self, ours: Option<TableEnd>, theirs: Option<TableEnd>, copies: bool) -> Vec<Action> {
        let is_another = |known: &Option<TableEnd>, new: &Option<TableEnd>| {
            let slot = |end: &Option<TableEnd>| end.as_ref().map(|end| end.slot);
            let hash = |end: &Option<TableEnd>| end.as_ref().map(|end| end.sha256);
            slot(new) < slot(known) || slot(new) == slot(known) && hash(new) != hash(known)
        };
        if is_another(&self.ours, &ours) || is_another(&self.theirs, &theirs) {
            // One of both was restored, emptied or changed: what was known does not hold for what comes.
            (self.phase, self.equal) = (Phase::Equal, None);
            self.incoming.clear();
        }
        (self.ours, self.theirs, self.copies) = (ours, theirs, copies);
        self.rests = false;
        let follows = |front: &Incoming| match &self.ours {
            Some(ours) => front.slot == ours.slot + 1 && front.prev == Some(ours.sha256),
            None => front.slot == 0,
        };
        if !copies || !self.incoming.front().is_none_or(follows) {
            self.incoming.clear();
        }
        match &mut self.phase {
            Phase::Different { rounds } => {
                *rounds += 1;
                if *rounds < LOOK_AGAIN_ROUNDS {
                    return Vec::new();
                }
                (self.phase, self.equal) = (Phase::Equal, None);
            }
            Phase::Untrue { rounds, .. } => {
                *rounds += 1;
                if *rounds < LOOK_AGAIN_ROUNDS {
                    return Vec::new();
                }
                self.phase = Phase::Equal;
            }
            Phase::OtherTables => self.phase = Phase::Equal,
            Phase::Equal | Phase::Halve { .. } | Phase::Layout(_) => {}
        }
        self.go_on()
    }

    fn go_on(&mut self) -> Vec<Action> {
        if self.rests {
            return Vec::new();
        }
        let mut actions = self.pump();
        if self.asked.is_none() {
            actions.extend(self.next_question());
        }
        actions
    }

    fn next_question(&mut self) -> Option<Action> {
        let theirs = self.theirs.clone()?;
        let Some(ours) = self.ours.clone() else {
            let from = self.incoming.back().map_or(0, |last| last.slot + 1);
            return self.more(from, theirs.slot);
        };
        if ours.id != theirs.id {
            self.phase = Phase::OtherTables;
            return None;
        }
        match &self.phase {
            Phase::Equal => {}
            Phase::Halve { low, high } => {
                let from = low.map_or(0, |low| low + 1);
                let middle = from + (high - from) / 2;
                return Some(self.ask(Asked::Both(middle), Some((middle, 1)), Some((middle, 1))));
            }
            Phase::Layout(walk) => {
                let Some([of_ours, of_theirs]) = walk.wanted(ours.slot, theirs.slot, SLOTS_MAX) else {
                    return self.compare_digests(&ours, &theirs);
                };
                return Some(self.ask(Asked::Walk, of_ours, of_theirs));
            }
            Phase::Different { .. } | Phase::OtherTables | Phase::Untrue { .. } => return None,
        }
        let common = ours.slot.min(theirs.slot);
        if ours.slot == theirs.slot && ours.sha256 != theirs.sha256 {
            // Also if it was equal: somebody has changed one of both.
            self.equal = None;
        }
        if self.equal >= Some(common) {
            if ours.slot == theirs.slot && ours.digest != theirs.digest {
                self.distrust("its digest is another than that of its newest slot".to_owned());
                return None;
            }
            if !self.copies || ours.slot >= theirs.slot {
                self.differs = None;
            }
            let from = self.incoming.back().map_or(ours.slot, |last| last.slot) + 1;
            return self.more(from, theirs.slot);
        }
        if ours.slot == theirs.slot {
            self.compared(common, ours.sha256 == theirs.sha256);
            return self.next_question();
        }
        if ours.slot > theirs.slot {
            return Some(self.ask(Asked::Ours(common), Some((common, 1)), None));
        }
        let max = if self.copies { SLOTS_MAX } else { 1 };
        Some(self.ask(Asked::Theirs(common), None, Some((common, max))))
    }

    /// Asks for slots that are to be copied, if there are any and there is room.
    fn more(&mut self, from: u64, end: u64) -> Option<Action> {
        let is_wanted =
            self.copies && from <= end && self.incoming.len() + (SLOTS_MAX as usize) <= INCOMING_MAX;
        is_wanted.then(|| self.ask(Asked::More(from), None, Some((from, SLOTS_MAX))))
    }

    fn ask(&mut self, asked: Asked, ours: Option<(u64, u32)>, theirs: Option<(u64, u32)>) -> Action {
        self.questions += 1;
        self.asked = Some((self.questions, asked));
        Action::Ask { question: self.questions, ours, theirs }
    }

    /// What two slots of one number are to each other.
    fn compared(&mut self, slot: u64, is_equal: bool) {
        let low = self.equal;
        match &mut self.phase {
            Phase::Halve { low, .. } if is_equal => {
                *low = Some(slot);
                self.equal = self.equal.max(Some(slot));
            }
            Phase::Halve { high, .. } => *high = slot,
            _ if is_equal => {
                self.phase = Phase::Equal;
                self.equal = self.equal.max(Some(slot));
            }
            _ => self.phase = Phase::Halve { low, high: slot },
        }
    }

    /// Judges an answer. The error is what is to be done instead of going on.
    fn answered(&mut self, asked: Asked, ours: Vec<Bytes>, theirs: Vec<Bytes>) -> Result<(), Option<Action>> {
        match asked {
            Asked::Ours(slot) => {
                let found = ours.first().ok_or(None)?;
                let reported = self.theirs.as_ref().filter(|end| end.slot == slot).ok_or(None)?;
                let is_equal = object_sha256(found) == reported.sha256;
                self.compared(slot, is_equal);
            }
            Asked::Theirs(slot) => {
                let found = theirs.first().ok_or(None)?;
                let known = self.ours.as_ref().filter(|end| end.slot == slot).ok_or(None)?;
                let is_equal = object_sha256(found) == known.sha256;
                self.compared(slot, is_equal);
                if is_equal {
                    self.accept(slot + 1, theirs.into_iter().skip(1).collect());
                }
            }
            Asked::More(from) => {
                if theirs.is_empty() {
                    return Err(None);
                }
                self.accept(from, theirs);
            }
            Asked::Both(slot) => {
                let (ours, theirs) = (ours.first().ok_or(None)?, theirs.first().ok_or(None)?);
                return self.both(slot, ours, theirs);
            }
            Asked::Walk => {
                let is_empty = ours.is_empty() && theirs.is_empty();
                let Phase::Layout(walk) = &mut self.phase else { return Err(None) };
                if let Err(difference) = walk.take(ours, theirs) {
                    let Difference { slot, reason, ours, theirs, .. } = difference;
                    return Err(Some(self.differ(slot, reason, Some((ours, theirs)))));
                }
                if is_empty {
                    return Err(None);
                }
            }
        }
        Ok(())
    }

    fn both(&mut self, slot: u64, ours: &Bytes, theirs: &Bytes) -> Result<(), Option<Action>> {
        let is_equal = ours == theirs;
        let Phase::Halve { low, high } = self.phase else { return Err(None) };
        let is_last = low.map_or(0, |low| low + 1) == high;
        if !is_last {
            self.compared(slot, is_equal);
            return Ok(());
        }
        if is_equal {
            // What was said to differ does not: whoever said so was wrong, or has changed.
            self.phase = Phase::Equal;
            self.distrust(format!("slot {slot} is not what it reported"));
            return Err(None);
        }
        let mut walk = Walk::new(slot);
        match walk.take(vec![ours.clone()], vec![theirs.clone()]) {
            Ok(()) => {
                self.phase = Phase::Layout(walk);
                Ok(())
            }
            Err(Difference { slot, reason, ours, theirs, .. }) => {
                Err(Some(self.differ(slot, reason, Some((ours, theirs)))))
            }
        }
    }

    /// Both logs were walked to the end of one: with as many ledgers they have the same rows.
    fn compare_digests(&mut self, ours: &TableEnd, theirs: &TableEnd) -> Option<Action> {
        if ours.next_ledger != theirs.next_ledger || ours.digest == theirs.digest {
            self.differs = None;
            return None;
        }
        let reason = format!(
            "all rows before ledger {} have digest {} here and {} there",
            ours.next_ledger, ours.digest, theirs.digest
        );
        Some(self.differ(ours.slot, reason, None))
    }

    fn differ(&mut self, slot: u64, reason: String, evidence: Option<(Bytes, Bytes)>) -> Action {
        if self.differs.as_ref().is_none_or(|(known, _)| *known != slot) {
            self.differences += 1;
        }
        self.incoming.clear();
        self.differs = Some((slot, reason.clone()));
        self.phase = Phase::Different { rounds: 0 };
        Action::Park { slot, reason, evidence }
    }

    fn distrust(&mut self, why: String) {
        self.incoming.clear();
        self.phase = Phase::Untrue { why, rounds: 0 };
    }
}

#[cfg(test)]
mod tests;
