//! Two logs that differ: whether they have the same rows all the same, compacted at other places. Pure.

use std::collections::VecDeque;

use bytes::Bytes;

use crate::dataset::{SlotDoes, slot_facts};

/// Two slots that contradict each other.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Difference {
    /// Number of ours.
    pub(super) slot: u64,
    /// Number of theirs.
    pub(super) theirs_slot: u64,
    /// What differs, for a person.
    pub(super) reason: String,
    /// Bytes of ours.
    pub(super) ours: Bytes,
    /// Bytes of theirs.
    pub(super) theirs: Bytes,
}

/// One log on its way.
#[derive(Clone, Debug, Default)]
struct Side {
    /// The next slot that is to be read.
    next: u64,
    /// Slots that say something about rows, and that were not compared yet.
    waiting: VecDeque<(u64, Bytes, SlotDoes)>,
}

/// Goes along both logs from their first difference on, and passes over compactions.
#[derive(Clone, Debug)]
pub(super) struct Walk {
    ours: Side,
    theirs: Side,
}

impl Side {
    fn push(&mut self, slots: Vec<Bytes>) -> Result<(), (u64, Bytes, String)> {
        for bytes in slots {
            let slot = self.next;
            let facts = slot_facts(slot, &bytes).map_err(|problem| (slot, bytes.clone(), problem))?;
            self.next += 1;
            if facts.does != SlotDoes::Compacts {
                self.waiting.push_back((slot, bytes, facts.does));
            }
        }
        Ok(())
    }
}

impl Walk {
    /// From the first slot that differs.
    pub(super) fn new(slot: u64) -> Self {
        let side = Side { next: slot, waiting: VecDeque::new() };
        Self { ours: side.clone(), theirs: side }
    }

    /// What is to be read next of ours and theirs, whose last slots are these; `None` if one log is at its end.
    pub(super) fn wanted(&self, ours_end: u64, theirs_end: u64, max: u32) -> Option<[Option<(u64, u32)>; 2]> {
        let ask = |side: &Side, end: u64| {
            let is_wanted = side.waiting.is_empty() && side.next <= end;
            is_wanted.then_some((side.next, max))
        };
        let wanted = [ask(&self.ours, ours_end), ask(&self.theirs, theirs_end)];
        let is_over = |side: &Side, end: u64| side.waiting.is_empty() && side.next > end;
        let is_done = is_over(&self.ours, ours_end) || is_over(&self.theirs, theirs_end);
        (!is_done && wanted.iter().any(Option::is_some)).then_some(wanted)
    }

    /// Takes what was read.
    ///
    /// # Errors
    ///
    /// The first difference in what the slots say; theirs that cannot be read is one too.
    pub(super) fn take(&mut self, ours: Vec<Bytes>, theirs: Vec<Bytes>) -> Result<(), Difference> {
        let unreadable = |whose: &str, (slot, bytes, problem): (u64, Bytes, String)| {
            let (ours, theirs) = if whose == "our" { (bytes, Bytes::new()) } else { (Bytes::new(), bytes) };
            let reason = format!("{whose} slot {slot} cannot be read: {problem}");
            Difference { slot, theirs_slot: slot, reason, ours, theirs }
        };
        self.ours.push(ours).map_err(|found| unreadable("our", found))?;
        self.theirs.push(theirs).map_err(|found| unreadable("their", found))?;
        while let (Some(_), Some(_)) = (self.ours.waiting.front(), self.theirs.waiting.front()) {
            let (Some((slot, ours, does)), Some((theirs_slot, theirs, they_do))) =
                (self.ours.waiting.pop_front(), self.theirs.waiting.pop_front())
            else {
                return Ok(());
            };
            if let Some(reason) = differs(&does, &they_do) {
                return Err(Difference { slot, theirs_slot, reason, ours, theirs });
            }
        }
        Ok(())
    }
}

/// What differs in what two slots say about rows.
fn differs(ours: &SlotDoes, theirs: &SlotDoes) -> Option<String> {
    match (ours, theirs) {
        (SlotDoes::Appends(ours), SlotDoes::Appends(theirs)) => {
            let (start, end) = (ours.range.start(), ours.range.end());
            if ours.range != theirs.range {
                let (first, last) = (theirs.range.start(), theirs.range.end());
                return Some(format!("ours has ledgers {start} to {end}, theirs {first} to {last}"));
            }
            if ours.parent != theirs.parent || ours.last != theirs.last {
                return Some(format!(
                    "it is another chain: ledger {end} is {} here and {} there; one of the sources tells of another network or \
                     of changed history",
                    ours.last, theirs.last
                ));
            }
            (ours.digest != theirs.digest || ours.rows != theirs.rows).then(|| {
                format!(
                    "ledgers {start} to {end} have {} rows with digest {} here, {} with {} there",
                    ours.rows, ours.digest, theirs.rows, theirs.digest
                )
            })
        }
        (ours, theirs) if ours == theirs => None,
        _ => Some("one changes the table where the other one does not".to_owned()),
    }
}
