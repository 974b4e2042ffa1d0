//! How a slot is written: `step(event) -> action`, without I/O. `table` performs.
//!
//! | state | event | then |
//! |---|---|---|
//! | file put | created | put the slot |
//! | file put | exists, unknown | read the file |
//! | file read | our bytes | put the slot |
//! | file read | nothing there | put the file again |
//! | file read | other bytes | halt |
//! | its file is stored ahead of its turn | | done |
//! | slot put | created | committed |
//! | slot put | exists, unknown | read the slot |
//! | slot read | our bytes | committed |
//! | slot read | nothing there | put the slot again |
//! | slot read | same ledgers, same rows by digest | adopted |
//! | slot read | an epoch, a compaction | follow it, read the next; put ours behind if it still fits, else superseded |
//! | slot read | other ledgers from the same parent | follow it: superseded |
//! | slot read | anything else | halt |
//!
//! A put that was given up may still happen later. That is harmless: a slot is put only on the tip that it was made for,
//! and its bytes depend on ledgers and tip alone.

use std::borrow::BorrowMut;
use std::ops::RangeInclusive;

use bytes::Bytes;
use orrery_schemas::{CloseTime, Hash32, LedgerSequence, RowDigest};
use orrery_supervisor::seeded_bug;

use super::chain::Chain;
use super::slot::{AddFile, Change, Commit, slot_path};
use super::store::Put;

/// What came of a commit. Either way the table's tip is the newest that was seen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The log holds exactly our bytes.
    Committed,
    /// The log holds another slot of the same ledgers with the same rows by digest: nothing is left to do.
    Adopted,
    /// The log went on with something else: plan the next slot from the tip.
    Superseded,
}

/// Ledgers that are to be appended.
#[derive(Clone, Debug)]
pub(super) struct Append {
    pub(super) range: RangeInclusive<LedgerSequence>,
    pub(super) parent_hash: Hash32,
    pub(super) last_hash: Hash32,
    pub(super) closed_at: CloseTime,
    pub(super) digest: RowDigest,
    pub(super) file: Option<AddFile>,
}

/// What is to be written.
#[derive(Clone, Debug)]
pub(super) enum Intent {
    Append(Append),
    /// A compaction or an epoch.
    Change(Change),
    /// Nothing yet: its file is stored, and it is appended later.
    Store(AddFile),
}

/// What happened.
#[derive(Debug)]
pub(super) enum Event {
    FilePut(Put),
    FileRead(Option<Bytes>),
    SlotPut(Put),
    SlotRead(Option<Bytes>),
}

/// What to do next.
#[derive(Debug)]
pub(super) enum Action {
    /// Wait as before attempt `attempt` (0: not at all), then put-if-absent.
    PutFile {
        path: String,
        bytes: Bytes,
        attempt: u32,
    },
    ReadFile {
        path: String,
    },
    PutSlot {
        path: String,
        bytes: Bytes,
        attempt: u32,
    },
    ReadSlot {
        path: String,
    },
    Finish(Outcome),
    Halt {
        path: String,
        ours: Bytes,
        theirs: Bytes,
        reason: String,
    },
    /// The budget is spent; nothing is known to be wrong.
    GiveUp {
        path: String,
        attempts: u32,
    },
    /// The intent does not fit the chain at all: a defect of the caller.
    Refuse(String),
}

/// One commit in the making. The chain moves on slot by slot, so that a commit may be dropped at any moment.
#[derive(Debug)]
#[cfg_attr(test, derive(Clone))]
pub(super) struct CommitCore<C> {
    chain: C,
    intent: Intent,
    file: Option<(String, Bytes)>,
    slot_bytes: Bytes,
    attempts: u32,
    attempts_max: u32,
}

impl<C: BorrowMut<Chain>> CommitCore<C> {
    pub(super) fn new(chain: C, intent: Intent, file_bytes: Option<Bytes>, attempts_max: u32) -> Self {
        let add = match &intent {
            Intent::Append(append) => append.file.as_ref(),
            Intent::Change(Change::Compaction { add, .. }) | Intent::Store(add) => Some(add),
            Intent::Change(Change::Append(_) | Change::Epoch(_)) => None,
        };
        let file = add.map(|add| add.name.to_string()).zip(file_bytes);
        Self { chain, intent, file, slot_bytes: Bytes::new(), attempts: 0, attempts_max }
    }

    /// The first action.
    pub(super) fn start(&mut self) -> Action {
        if let Err(problem) = self.propose() {
            return Action::Refuse(problem);
        }
        match &self.file {
            Some((path, bytes)) => Action::PutFile { path: path.clone(), bytes: bytes.clone(), attempt: 0 },
            None => self.put_slot(),
        }
    }

    /// The action after an event.
    pub(super) fn step(&mut self, event: Event) -> Action {
        match event {
            Event::FilePut(Put::Created) => self.put_slot(),
            Event::FilePut(Put::Exists | Put::Unknown) => Action::ReadFile { path: self.file_path() },
            Event::FileRead(None) => self.again(|core, attempt| match &core.file {
                Some((path, bytes)) => Action::PutFile { path: path.clone(), bytes: bytes.clone(), attempt },
                None => core.put_slot(),
            }),
            Event::FileRead(Some(found)) => self.judge_file(found),
            Event::SlotPut(Put::Created) => self.committed(),
            Event::SlotPut(Put::Exists) => seeded_bug!(
                B3,
                self.committed(),
                seeded_bug!(B6, self.behind(), seeded_bug!(B2, self.pass_over(), self.look()))
            ),
            Event::SlotPut(Put::Unknown) => seeded_bug!(B1, self.committed(), self.look()),
            Event::SlotRead(None) => self.again(|core, attempt| Action::PutSlot {
                path: core.slot_path(),
                bytes: core.slot_bytes.clone(),
                attempt,
            }),
            Event::SlotRead(Some(found)) if found == self.slot_bytes => self.committed(),
            Event::SlotRead(Some(found)) => self.judge_slot(found),
        }
    }

    fn file_path(&self) -> String {
        self.file.as_ref().map(|(path, _)| path.clone()).unwrap_or_default()
    }

    fn slot_path(&self) -> String {
        slot_path(self.chain.borrow().tip.slot + 1)
    }

    fn look(&self) -> Action {
        Action::ReadSlot { path: self.slot_path() }
    }

    #[cfg(feature = "seeded-bugs")]
    fn behind(&mut self) -> Action {
        self.chain.borrow_mut().tip.slot += 1;
        Action::PutSlot { path: self.slot_path(), bytes: self.slot_bytes.clone(), attempt: 0 }
    }

    #[cfg(feature = "seeded-bugs")]
    fn pass_over(&mut self) -> Action {
        if self.attempts == 0 {
            return self.look();
        }
        if let Intent::Append(append) = &self.intent {
            self.chain.borrow_mut().tip.next_ledger = LedgerSequence(append.range.end().0 + 1);
        }
        Action::Finish(Outcome::Superseded)
    }

    fn put_slot(&mut self) -> Action {
        if let Intent::Store(_) = self.intent {
            return Action::Finish(Outcome::Committed);
        }
        self.attempts = 0;
        Action::PutSlot { path: self.slot_path(), bytes: self.slot_bytes.clone(), attempt: 0 }
    }

    fn again(&mut self, action: impl FnOnce(&mut Self, u32) -> Action) -> Action {
        self.attempts += 1;
        if self.attempts >= self.attempts_max {
            let path = if self.slot_bytes.is_empty() { self.file_path() } else { self.slot_path() };
            return Action::GiveUp { path, attempts: self.attempts };
        }
        let attempt = self.attempts;
        action(self, attempt)
    }

    /// Our bytes are in the log.
    fn committed(&mut self) -> Action {
        let bytes = self.slot_bytes.clone();
        match self.chain.borrow_mut().follow(&bytes) {
            Ok(_) => Action::Finish(Outcome::Committed),
            Err(problem) => Action::Refuse(problem),
        }
    }

    fn judge_file(&mut self, found: Bytes) -> Action {
        match &self.file {
            Some((path, ours)) if *ours != found => Action::Halt {
                path: path.clone(),
                ours: ours.clone(),
                theirs: found,
                reason: "a data file of this name has other bytes".to_owned(),
            },
            _ => self.put_slot(),
        }
    }

    /// Somebody else's slot is where ours would be.
    fn judge_slot(&mut self, found: Bytes) -> Action {
        let halt = |core: &Self, reason: String| Action::Halt {
            path: core.slot_path(),
            ours: core.slot_bytes.clone(),
            theirs: found.clone(),
            reason,
        };
        let theirs = match Commit::parse(&found) {
            Ok(theirs) => theirs,
            Err(problem) => return halt(self, problem),
        };
        let outcome = match (&self.intent, &theirs.change) {
            (Intent::Append(ours), Change::Append(_)) => match compare(ours, &theirs) {
                Ok(outcome) => Some(outcome),
                Err(problem) => return halt(self, problem),
            },
            _ => None,
        };
        if let Err(problem) = self.chain.borrow_mut().follow(&found) {
            return halt(self, problem);
        }
        match outcome {
            Some(outcome) => Action::Finish(outcome),
            // Ours goes behind theirs if it still fits there.
            None => match self.propose() {
                // More may have come meanwhile: look before the next put.
                Ok(()) => {
                    self.attempts = 0;
                    Action::ReadSlot { path: self.slot_path() }
                }
                Err(_) => Action::Finish(Outcome::Superseded),
            },
        }
    }

    /// Makes our slot for the tip as it is now.
    fn propose(&mut self) -> Result<(), String> {
        let chain = self.chain.borrow();
        let commit = match &self.intent {
            Intent::Store(_) => return Ok(()),
            Intent::Change(change) => chain.without_ledgers(change.clone()),
            Intent::Append(append) => {
                let rows = append.file.as_ref().map_or(0, |file| file.rows);
                let mut total_digest = chain.tip.total_digest;
                total_digest.add(&append.digest);
                Commit {
                    prev: chain.tip.slot_sha256,
                    epoch: chain.tip.epoch,
                    first_ledger: *append.range.start(),
                    last_ledger: *append.range.end(),
                    parent_ledger_hash: append.parent_hash,
                    last_ledger_hash: append.last_hash,
                    rows,
                    total_rows: chain.tip.total_rows.saturating_add(rows),
                    row_digest: append.digest,
                    total_digest,
                    closed_at: append.closed_at,
                    change: Change::Append(append.file.clone()),
                }
            }
        };
        chain.check(&commit)?;
        self.slot_bytes = chain.encode(&commit)?;
        Ok(())
    }
}

/// Whether another writer's ledgers can stand where ours would.
fn compare(ours: &Append, theirs: &Commit) -> Result<Outcome, String> {
    if theirs.first_ledger != *ours.range.start() {
        return Err(format!(
            "it begins at ledger {}, the chain goes on at {}",
            theirs.first_ledger,
            ours.range.start()
        ));
    }
    if theirs.parent_ledger_hash != ours.parent_hash {
        return Err(format!("its parent ledger is {}, ours {}", theirs.parent_ledger_hash, ours.parent_hash));
    }
    if theirs.last_ledger != *ours.range.end() {
        // A bounded run cut the slot elsewhere. Rows of both cannot be compared here; hashes of the next slot will be.
        return Ok(Outcome::Superseded);
    }
    if theirs.last_ledger_hash != ours.last_hash {
        return Err(format!("its last ledger is {}, ours {}", theirs.last_ledger_hash, ours.last_hash));
    }
    let rows = ours.file.as_ref().map_or(0, |file| file.rows);
    if theirs.row_digest != ours.digest || theirs.rows != rows {
        return Err(format!(
            "it has {} rows with digest {}, ours {rows} with {}",
            theirs.rows, theirs.row_digest, ours.digest
        ));
    }
    Ok(Outcome::Adopted)
}

#[cfg(test)]
mod tests;
