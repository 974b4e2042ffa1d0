//! The log of one table: every slot is judged, and repaired from whatever there is.

use std::collections::BTreeSet;

use bytes::Bytes;
use futures::{Stream, StreamExt, stream};
use orrery_schemas::LedgerSequence;

use super::log::{self, APART, Seen, judge};
use super::rebuild::chain_before;
use super::{AT_ONCE, FROM_STORED, Fault, Remedy, Scrub};
use crate::dataset::inventory::ObjectKind;
use crate::dataset::kind::TableKind;
use crate::dataset::slot::{Commit, SLOT_BYTES_MAX, parse_genesis, reread_first_slot, sha256, slot_path};
use crate::dataset::{DatasetError, Store, StoreError, reread_slot};

/// Way out for a slot.
pub(super) const FIX_SLOT: &str =
    "scrub with --repair-from another copy of the dataset; see ops/runbooks/corruption.md";

pub(super) fn below(kind: TableKind, path: &str) -> String {
    format!("{}/{path}", kind.as_str())
}

impl Scrub<'_> {
    /// Everything of one table but its evidence. Where the log lacked a file that was repaired, it is looked at once more.
    pub(super) async fn table(&mut self, kind: TableKind) -> Result<(), DatasetError> {
        let begun = self.report.findings.len();
        let repaired = self.report.repaired();
        if self.log_and_files(kind).await? || self.report.repaired() == repaired {
            return Ok(());
        }
        let mut index = 0;
        self.report.findings.retain(|finding| {
            index += 1;
            index <= begun || !matches!(finding.remedy, Remedy::Remains { .. })
        });
        self.log_and_files(kind).await.map(drop)
    }

    /// Whether the log can be followed to its end.
    async fn log_and_files(&mut self, kind: TableKind) -> Result<bool, DatasetError> {
        // Before the log: whatever slot it names is in the log that is seen.
        let hint = self.see_hint(kind).await?;
        let mut seen = self.see_log(kind).await?;
        if seen.iter().all(Option::is_none) {
            let (path, what) = (below(kind, &slot_path(0)), "no slot of the table is there".to_owned());
            let fix = "bring the table back with `orrery restore`; see ops/runbooks/total-loss.md";
            self.settle(Fault { path, found: None, what }, None, fix).await?;
            return Ok(true);
        }
        let lost = self.mend_log(kind, &mut seen).await?;
        let hinted = self.hinted(kind, hint.as_ref()).await?;
        let followed = self.follow(kind, seen.len() as u64, &lost, hinted).await?;
        self.hint(kind, hint, &followed).await?;
        self.announcements(kind, &followed).await?;
        self.data(kind, &followed).await?;
        Ok(followed.chain.is_some())
    }

    /// Reads all slots: those that are listed or that a checkpoint is of, and those behind.
    async fn see_log(&mut self, kind: TableKind) -> Result<Vec<Option<Seen>>, DatasetError> {
        let known = self.listed.keys().filter_map(|path| match ObjectKind::of(path) {
            ObjectKind::Slot(of, slot) | ObjectKind::Checkpoint(of, slot) if of == kind => Some(slot),
            _ => None,
        });
        let slots = known.max().map_or(0, |last| last + 1);
        let mut read = std::pin::pin!(read_slots(self.dataset.clone(), kind, 0));
        let mut seen = Vec::new();
        while let Some((slot, bytes)) = read.next().await {
            match self.see_slot(kind, slot, bytes).await? {
                None if slot >= slots => break,
                found => seen.push(found),
            }
        }
        Ok(seen)
    }

    async fn see_slot(
        &mut self,
        kind: TableKind,
        slot: u64,
        read: Result<Option<Bytes>, StoreError>,
    ) -> Result<Option<Seen>, DatasetError> {
        let bytes = match read {
            Ok(bytes) => bytes,
            // Whatever it is, it is no slot.
            Err(StoreError::TooLarge { .. }) => match self.hash(&below(kind, &slot_path(slot))).await? {
                Some(sha256) => {
                    let (is_well_formed, is_vouched) = (false, false);
                    return Ok(Some(Seen { sha256, prev: None, is_well_formed, is_vouched }));
                }
                None => None,
            },
            Err(error) => return Err(error.into()),
        };
        let Some(bytes) = bytes else { return Ok(None) };
        self.count(bytes.len() as u64).await;
        Ok(Some(see(kind, slot, &bytes)))
    }

    /// Repairs what can be, from the end of the log; slots that remain as they are.
    async fn mend_log(
        &mut self,
        kind: TableKind,
        seen: &mut [Option<Seen>],
    ) -> Result<BTreeSet<u64>, DatasetError> {
        // Slots that the other dataset cannot help with, and those that nothing can.
        let (mut alone, mut lost) = (BTreeSet::new(), BTreeSet::new());
        loop {
            let faults = judge(seen);
            let Some(fault) = next(&faults, &alone, &lost) else { return Ok(lost) };
            let path = below(kind, &slot_path(fault.slot));
            let good = if alone.contains(&fault.slot) {
                if let Some(slot) = self.to_vouch(kind, &faults).await? {
                    vouch(seen, slot);
                    continue;
                }
                let rebuilt = self.rebuild(kind, fault.slot, fault.expected).await?;
                rebuilt.map(|bytes| (bytes, FROM_STORED))
            } else {
                match self.slot_of_other(kind, fault, seen).await? {
                    // The same as ours: if anything, the slot before is damaged.
                    Some((bytes, _)) if Some(sha256(&bytes)) == fault.found => {
                        vouch(seen, fault.slot);
                        continue;
                    }
                    None => {
                        alone.insert(fault.slot);
                        continue;
                    }
                    good => good,
                }
            };
            let slot = fault.slot;
            let fault = Fault { path, found: fault.found, what: fault.what.to_owned() };
            if self.settle(fault, good, FIX_SLOT).await? {
                let read = self.dataset.read(&below(kind, &slot_path(slot)), SLOT_BYTES_MAX).await;
                let now = self.see_slot(kind, slot, read).await?;
                if let Some(at) = usize::try_from(slot).ok().and_then(|index| seen.get_mut(index)) {
                    *at = now;
                }
                // More is known than before.
                alone.clear();
            }
            // Once is enough: what is not sound now stays so.
            lost.insert(slot);
            lost.retain(|lost| judge(seen).iter().any(|fault| fault.slot == *lost));
        }
    }

    /// The last slot that does not fit the one before because that one is damaged.
    async fn to_vouch(&self, kind: TableKind, faults: &[log::Fault]) -> Result<Option<u64>, DatasetError> {
        for fault in faults.iter().filter(|fault| fault.what == APART) {
            if self.blames_before(kind, fault.slot).await? {
                return Ok(Some(fault.slot));
            }
        }
        Ok(None)
    }

    /// Of two slots that do not fit together, whether it is the one before `slot` that cannot be as it was written.
    async fn blames_before(&self, kind: TableKind, slot: u64) -> Result<bool, DatasetError> {
        let table = self.dataset.within(kind.as_str());
        let Some(before) = slot.checked_sub(1) else { return Ok(false) };
        let Some(chain) = chain_before(&table, before).await? else { return Ok(false) };
        let bytes = table.read(&slot_path(before), SLOT_BYTES_MAX).await?;
        match bytes {
            Some(bytes) => Ok(self.judge_last(&table, &chain, &bytes).await?.is_err()),
            None => Ok(false),
        }
    }

    /// A slot of the other dataset that may stand here.
    async fn slot_of_other(
        &self,
        kind: TableKind,
        fault: &log::Fault,
        seen: &[Option<Seen>],
    ) -> Result<Option<(Bytes, &'static str)>, DatasetError> {
        let slot = fault.slot;
        let before = usize::try_from(slot).ok().and_then(|index| index.checked_sub(1));
        let before = before.and_then(|index| seen.get(index)).and_then(Option::as_ref).map(|it| it.sha256);
        let (expected, found) = (fault.expected, fault.found);
        let fits = move |bytes: &Bytes| {
            let theirs = see(kind, slot, bytes);
            match expected {
                Some(expected) => theirs.sha256 == expected,
                None if !theirs.is_well_formed => false,
                None => Some(theirs.sha256) == found || before.is_none() || theirs.prev == before,
            }
        };
        self.ask_other(&below(kind, &slot_path(slot)), SLOT_BYTES_MAX, fits).await
    }

    /// The first ledger of the slot after a hole: where the slot in it ended.
    pub(super) async fn begins_next(
        &self,
        kind: TableKind,
        slot: u64,
    ) -> Result<Option<LedgerSequence>, DatasetError> {
        let bytes = match self.dataset.read(&below(kind, &slot_path(slot + 1)), SLOT_BYTES_MAX).await {
            Err(StoreError::TooLarge { .. }) => None,
            bytes => bytes?,
        };
        Ok(bytes.and_then(|bytes| Commit::parse(&bytes).ok()).map(|commit| commit.first_ledger))
    }
}

/// The slots of a log from `first` on, in order, several read at once; it does not end.
pub(super) fn read_slots(
    dataset: Store,
    kind: TableKind,
    first: u64,
) -> impl Stream<Item = (u64, Result<Option<Bytes>, StoreError>)> {
    stream::iter(first..)
        .map(move |slot| {
            let dataset = dataset.clone();
            async move { (slot, dataset.read(&below(kind, &slot_path(slot)), SLOT_BYTES_MAX).await) }
        })
        .buffered(AT_ONCE)
}

/// The fault to work on: the last one that the other dataset may mend, else the first one.
fn next<'a>(faults: &'a [log::Fault], alone: &BTreeSet<u64>, lost: &BTreeSet<u64>) -> Option<&'a log::Fault> {
    let open = || faults.iter().filter(|fault| !lost.contains(&fault.slot));
    open().find(|fault| !alone.contains(&fault.slot)).or_else(|| open().next_back())
}

fn vouch(seen: &mut [Option<Seen>], slot: u64) {
    let at = usize::try_from(slot).ok().and_then(|index| seen.get_mut(index));
    if let Some(at) = at.and_then(Option::as_mut) {
        at.is_vouched = true;
    }
}

/// What is seen of a slot's bytes.
pub(super) fn see(kind: TableKind, slot: u64, bytes: &Bytes) -> Seen {
    let again = if slot == 0 { reread_first_slot(bytes) } else { reread_slot(bytes, kind) };
    let is_well_formed = again.is_ok_and(|again| again == *bytes) && (slot > 0 || is_of(kind, bytes));
    let prev = if slot == 0 { None } else { Commit::parse(bytes).ok().map(|commit| commit.prev) };
    Seen { sha256: sha256(bytes), prev, is_well_formed, is_vouched: false }
}

fn is_of(kind: TableKind, genesis: &[u8]) -> bool {
    parse_genesis(genesis).is_ok_and(|metadata| metadata.configuration.kind == kind)
}
