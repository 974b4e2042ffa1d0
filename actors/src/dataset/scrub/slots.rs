//! The log of one table: every slot judged and repaired, then followed to its end for all that the slots say.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use orrery_schemas::{Hash32, LedgerSequence};

use super::log::{self, APART, Seen, judge};
use super::rebuild::chain_before;
use super::{FROM_STORED, Fault, Remedy, Scrub};
use crate::dataset::attest::attest;
use crate::dataset::chain::Chain;
use crate::dataset::checkpoint::{
    HINT_BYTES_MAX, HINT_PATH, checkpoint_path, encode, encode_hint, parse_hint,
};
use crate::dataset::compaction::blocking;
use crate::dataset::inventory::ObjectKind;
use crate::dataset::kind::TableKind;
use crate::dataset::slot::{
    Change, Commit, SLOT_BYTES_MAX, parse_genesis, reread_first_slot, sha256, slot_path,
};
use crate::dataset::{DatasetError, StoreError, reread_slot};

/// Way out for a slot.
const FIX_SLOT: &str = "scrub with --repair-from another copy of the dataset; see ops/runbooks/corruption.md";
const FIX_CHECKPOINT: &str = "scrub with --repair: it is made anew from the log";

/// What the slots of a table say.
#[derive(Default)]
pub(super) struct Followed {
    /// At the last slot; `None` if the log cannot be followed to its end.
    pub(super) chain: Option<Chain>,
    pub(super) network: Option<String>,
    /// SHA-256 of every file that a slot added, by its path below the dataset.
    pub(super) named: BTreeMap<String, Hash32>,
    /// What a hint to each checkpoint says.
    pub(super) hints: BTreeMap<u64, Bytes>,
}

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
        let mut seen = self.see_log(kind).await?;
        if seen.iter().all(Option::is_none) {
            let (path, what) = (below(kind, &slot_path(0)), "no slot of the table is there".to_owned());
            let fix = "bring the table back with `orrery restore`; see ops/runbooks/total-loss.md";
            self.settle(Fault { path, found: None, what }, None, fix).await?;
            return Ok(true);
        }
        let lost = self.mend_log(kind, &mut seen).await?;
        let hint = self.hinted(kind).await?;
        let followed = self.follow(kind, seen.len() as u64, &lost, hint).await?;
        self.hint(kind, &followed).await?;
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
        let mut seen = Vec::new();
        loop {
            let slot = seen.len() as u64;
            match self.see_slot(kind, slot).await? {
                None if slot >= slots => return Ok(seen),
                found => seen.push(found),
            }
        }
    }

    async fn see_slot(&mut self, kind: TableKind, slot: u64) -> Result<Option<Seen>, DatasetError> {
        let path = below(kind, &slot_path(slot));
        let bytes = match self.dataset.read(&path, SLOT_BYTES_MAX).await {
            Ok(bytes) => bytes,
            // Whatever it is, it is no slot.
            Err(StoreError::TooLarge { .. }) => match self.hash(&path).await? {
                Some((_, sha256)) => {
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
                let now = self.see_slot(kind, slot).await?;
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

    /// Goes through the log as it is now: checks checkpoints and the last slot on the way.
    async fn follow(
        &mut self,
        kind: TableKind,
        slots: u64,
        lost: &BTreeSet<u64>,
        hint: Option<u64>,
    ) -> Result<Followed, DatasetError> {
        let mut followed = Followed::default();
        for slot in 0..slots {
            let path = below(kind, &slot_path(slot));
            let bytes = match self.dataset.read(&path, SLOT_BYTES_MAX).await {
                Err(StoreError::TooLarge { .. }) => None,
                bytes => bytes?.filter(|_| !lost.contains(&slot)),
            };
            let Some(mut bytes) = bytes else {
                followed.chain = None;
                continue;
            };
            if slot == 0 {
                followed.chain = Chain::genesis(&bytes).ok();
                followed.network =
                    followed.chain.as_ref().map(|chain| chain.configuration().network_passphrase.clone());
                continue;
            }
            if slot + 1 == slots
                && let Some(chain) = followed.chain.take()
            {
                let Some(last) = self.last_slot(kind, &chain, bytes).await? else { continue };
                (bytes, followed.chain) = (last, Some(chain));
            }
            self.note(kind, &bytes, &mut followed);
            if let Some(mut chain) = followed.chain.take()
                && self.goes_on(kind, &mut chain, &bytes, hint, &mut followed).await?
            {
                followed.chain = Some(chain);
            }
        }
        Ok(followed)
    }

    /// Whether the chain follows the slot; checks a checkpoint of it.
    async fn goes_on(
        &mut self,
        kind: TableKind,
        chain: &mut Chain,
        bytes: &Bytes,
        hint: Option<u64>,
        followed: &mut Followed,
    ) -> Result<bool, DatasetError> {
        let path = below(kind, &slot_path(chain.tip.slot + 1));
        if let Err(problem) = chain.follow(bytes) {
            let what = format!("its hash is right, but it does not follow: {problem}");
            self.settle(Fault { path, found: Some(sha256(bytes)), what }, None, FIX_SLOT).await?;
            return Ok(false);
        }
        let slot = chain.tip.slot;
        let path = below(kind, &checkpoint_path(slot));
        if !self.listed.contains_key(&path) && hint != Some(slot) {
            return Ok(true);
        }
        let at = chain.clone();
        let expected = blocking(move || encode(&at)).await;
        let expected =
            expected.map_err(|problem| DatasetError::content(&self.dataset.name(&path), problem))?;
        let found = self.hash(&path).await?.map(|(_, found)| found);
        if found != Some(sha256(&expected)) {
            let what = match found {
                Some(_) => "it is not what the slots give",
                None => "_last_checkpoint names it, and it is not there",
            };
            let fault = Fault { path, found, what: what.to_owned() };
            self.settle(fault, Some((expected, super::FROM_LOG)), FIX_CHECKPOINT).await?;
        }
        followed.hints.insert(slot, encode_hint(chain));
        Ok(true)
    }

    /// What a slot adds, for what is checked later.
    fn note(&mut self, kind: TableKind, bytes: &Bytes, followed: &mut Followed) {
        let Ok(commit) = Commit::parse(bytes) else { return };
        if let Some(file) = commit.file() {
            followed.named.insert(below(kind, &file.name.to_string()), file.sha256);
        }
        if kind == TableKind::Ledgers && matches!(commit.change, Change::Append(_)) {
            let ends = (commit.parent_ledger_hash, commit.last_ledger_hash, commit.closed_at);
            self.ledger_ends.insert(commit.last_ledger, ends);
        }
    }

    /// The last slot, which no other has the hash of; gives it as it is afterwards, if it is sound.
    async fn last_slot(
        &mut self,
        kind: TableKind,
        chain: &Chain,
        bytes: Bytes,
    ) -> Result<Option<Bytes>, DatasetError> {
        let table = self.dataset.within(kind.as_str());
        let Err(what) = self.judge_last(&table, chain, &bytes).await? else { return Ok(Some(bytes)) };
        let path = below(kind, &slot_path(chain.tip.slot + 1));
        let prev = chain.tip.slot_sha256;
        let fits = |theirs: &Bytes| see(kind, chain.tip.slot + 1, theirs).prev == Some(prev);
        let mut good = self.ask_other(&path, SLOT_BYTES_MAX, fits).await?;
        if let Some((theirs, _)) = &good
            && self.judge_last(&table, chain, theirs).await?.is_err()
        {
            good = None;
        }
        if good.is_none() {
            let rebuilt = self.rebuild(kind, chain.tip.slot + 1, None).await?;
            good = rebuilt.map(|bytes| (bytes, FROM_STORED));
        }
        let fault = Fault { path, found: Some(sha256(&bytes)), what };
        let now = good.as_ref().map(|(bytes, _)| bytes.clone());
        let is_repaired = self.settle(fault, good, FIX_SLOT).await?;
        Ok(now.filter(|_| is_repaired))
    }

    async fn judge_last(
        &self,
        table: &crate::dataset::Store,
        chain: &Chain,
        bytes: &Bytes,
    ) -> Result<Result<(), String>, DatasetError> {
        let commit = match attest(table, chain, bytes).await? {
            Ok(commit) => commit,
            Err(problem) => return Ok(Err(problem)),
        };
        let end = self.ledger_ends.get(&commit.last_ledger);
        let is_append = matches!(commit.change, Change::Append(_));
        let differs = end.is_some_and(|(_, hash, closed_at)| {
            is_append && (*hash, *closed_at) != (commit.last_ledger_hash, commit.closed_at)
        });
        Ok(if differs { Err("`ledgers` tells of another last ledger".to_owned()) } else { Ok(()) })
    }

    /// The slot of the checkpoint that the hint names, if there should be one: they stand at multiples of a number of slots.
    /// Otherwise it is the hint that is damaged.
    async fn hinted(&mut self, kind: TableKind) -> Result<Option<u64>, DatasetError> {
        let hint = match self.dataset.read(&below(kind, HINT_PATH), HINT_BYTES_MAX).await {
            Err(StoreError::TooLarge { .. }) => None,
            hint => hint?,
        };
        let checkpoints = self.listed.keys().filter_map(|path| match ObjectKind::of(path) {
            ObjectKind::Checkpoint(of, slot) if of == kind && slot > 0 => Some(slot),
            _ => None,
        });
        let interval = checkpoints.min().unwrap_or(1);
        Ok(hint.and_then(|hint| parse_hint(&hint).ok()).filter(|slot| slot.is_multiple_of(interval)))
    }

    /// The hint names a checkpoint that is there, as it was written.
    async fn hint(&mut self, kind: TableKind, followed: &Followed) -> Result<(), DatasetError> {
        if followed.chain.is_none() {
            // The log comes first: what is behind its fault gives checkpoints too.
            return Ok(());
        }
        let path = below(kind, HINT_PATH);
        let found = self.hash(&path).await?.map(|(_, found)| found);
        let is_sound = match found {
            Some(found) => followed.hints.values().any(|hint| sha256(hint) == found),
            None => followed.hints.is_empty(),
        };
        if is_sound {
            return Ok(());
        }
        let newest = followed.hints.values().next_back().cloned();
        let what = if found.is_some() { "it names no checkpoint that is there" } else { "it is not there" };
        let fault = Fault { path, found, what: what.to_owned() };
        self.settle(fault, newest.map(|hint| (hint, super::FROM_LOG)), FIX_CHECKPOINT).await.map(drop)
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
fn see(kind: TableKind, slot: u64, bytes: &Bytes) -> Seen {
    let again = if slot == 0 { reread_first_slot(bytes) } else { reread_slot(bytes, kind) };
    let is_well_formed = again.is_ok_and(|again| again == *bytes) && (slot > 0 || is_of(kind, bytes));
    let prev = if slot == 0 { None } else { Commit::parse(bytes).ok().map(|commit| commit.prev) };
    Seen { sha256: sha256(bytes), prev, is_well_formed, is_vouched: false }
}

fn is_of(kind: TableKind, genesis: &[u8]) -> bool {
    parse_genesis(genesis).is_ok_and(|metadata| metadata.configuration.kind == kind)
}
