//! Slots on their way into our log: files are fetched side by side, slots are put in order.

use bytes::Bytes;
use orrery_schemas::Hash32;

use super::{Action, ReplicationCore};
use crate::dataset::{OBJECT_BYTES_MAX, SlotObject, slot_facts};

/// Files that are fetched side by side: with fewer a long link is idle while it waits for answers.
pub(super) const FETCHES_MAX: usize = 8;

/// Bytes of files that are fetched and not put; one file may be larger.
pub(super) const FETCH_BYTES_MAX: u64 = 64 << 20;

/// How far a slot is on its way into our log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stage {
    /// Its file is to be fetched.
    Waits,
    /// Being fetched, or put.
    Fetched,
    /// Its file is here.
    Ready,
    /// It is being put.
    Put,
}

#[derive(Clone, Debug)]
pub(super) struct Incoming {
    pub(super) slot: u64,
    pub(super) sha256: Hash32,
    pub(super) prev: Option<Hash32>,
    pub(super) bytes: Bytes,
    pub(super) object: Option<SlotObject>,
    pub(super) stage: Stage,
}

impl ReplicationCore {
    /// Takes slots that follow those which are on their way, or our own.
    pub(super) fn accept(&mut self, from: u64, slots: Vec<Bytes>) {
        if !self.copies {
            return;
        }
        let known = self.incoming.back().map(|last| (last.slot, last.sha256));
        let mut before = known.or_else(|| self.ours.as_ref().map(|ours| (ours.slot, ours.sha256)));
        for (slot, bytes) in (from..).zip(slots) {
            if before.map_or(0, |(slot, _)| slot + 1) != slot {
                return;
            }
            let facts = match slot_facts(slot, &bytes) {
                Ok(facts) => facts,
                Err(problem) => return self.distrust(format!("slot {slot} cannot be read: {problem}")),
            };
            let reported = self.theirs.as_ref().filter(|theirs| theirs.slot == slot);
            let why = if facts.prev != before.map(|(_, sha256)| sha256) {
                Some(format!("slot {slot} does not follow the slot before"))
            } else if reported.is_some_and(|theirs| theirs.sha256 != facts.sha256) {
                Some(format!("slot {slot} is not the one it reported"))
            } else {
                let large = facts.object.as_ref().filter(|object| object.bytes > OBJECT_BYTES_MAX);
                large.map(|object| {
                    format!(
                        "{} has {} bytes: {OBJECT_BYTES_MAX} at most are copied",
                        object.path, object.bytes
                    )
                })
            };
            if let Some(why) = why {
                return self.distrust(why);
            }
            before = Some((slot, facts.sha256));
            let stage = if facts.object.is_some() { Stage::Waits } else { Stage::Ready };
            let (sha256, prev, object) = (facts.sha256, facts.prev, facts.object);
            self.incoming.push_back(Incoming { slot, sha256, prev, bytes, object, stage });
        }
    }

    pub(super) fn stage(&mut self, slot: u64, stage: Stage) {
        let incoming = self.incoming.iter_mut().find(|incoming| incoming.slot == slot);
        if let Some(incoming) = incoming.filter(|incoming| incoming.stage == Stage::Fetched) {
            incoming.stage = stage;
        }
    }

    pub(super) fn fetched(&mut self, slot: u64, object: SlotObject, bytes: Bytes) -> Vec<Action> {
        let is_wanted =
            |incoming: &Incoming| incoming.slot == slot && incoming.object.as_ref() == Some(&object);
        match self.incoming.iter().any(is_wanted) {
            true => vec![Action::PutFile { slot, object, bytes }],
            false => Vec::new(),
        }
    }

    /// Fetches files for which there is room, and puts the next slot if its file is there.
    pub(super) fn pump(&mut self) -> Vec<Action> {
        let mut actions = Vec::new();
        let under_way = self.incoming.iter().filter(|incoming| incoming.stage == Stage::Fetched);
        let sizes = under_way.filter_map(|incoming| incoming.object.as_ref()).map(|object| object.bytes);
        let (mut count, mut bytes) = sizes.fold((0, 0), |(count, sum), bytes| (count + 1, sum + bytes));
        for incoming in self.incoming.iter_mut().filter(|incoming| incoming.stage == Stage::Waits) {
            let Some(object) = &incoming.object else { continue };
            if count > 0 && (count >= FETCHES_MAX || bytes + object.bytes > FETCH_BYTES_MAX) {
                break;
            }
            (count, bytes) = (count + 1, bytes + object.bytes);
            incoming.stage = Stage::Fetched;
            actions.push(Action::FetchObject { slot: incoming.slot, object: object.clone() });
        }
        if let Some(front) = self.incoming.front_mut().filter(|front| front.stage == Stage::Ready) {
            front.stage = Stage::Put;
            actions.push(Action::PutSlot { slot: front.slot, bytes: front.bytes.clone() });
        }
        actions
    }
}
