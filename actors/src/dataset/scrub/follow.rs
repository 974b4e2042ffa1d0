//! The log of one table as it is now, followed to its end: what its slots say, and what follows from them, checkpoints and the
//! hint to the newest. The last slot is judged here, since it takes all before it.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use futures::StreamExt;
use orrery_schemas::Hash32;

use super::slots::{FIX_SLOT, below, read_slots, see};
use super::{FROM_LOG, FROM_STORED, Fault, Scrub};
use crate::dataset::announced::{ANNOUNCEMENT_BYTES_MAX, AnnouncedEpoch};
use crate::dataset::attest::attest;
use crate::dataset::chain::Chain;
use crate::dataset::checkpoint::{
    HINT_BYTES_MAX, HINT_PATH, checkpoint_path, encode, encode_hint, parse_hint,
};
use crate::dataset::compaction::blocking;
use crate::dataset::inventory::ObjectKind;
use crate::dataset::kind::TableKind;
use crate::dataset::slot::{Change, Commit, SLOT_BYTES_MAX, sha256, slot_path};
use crate::dataset::{DatasetError, Store, StoreError};

const FIX_ANNOUNCEMENT: &str = "scrub with --repair-from another region's dataset; if no other has it, move it elsewhere and announce it again";
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

impl Scrub<'_> {
    /// Goes through the log as it is now: checks checkpoints and the last slot on the way.
    pub(super) async fn follow(
        &mut self,
        kind: TableKind,
        slots: u64,
        lost: &BTreeSet<u64>,
        hint: Option<u64>,
    ) -> Result<Followed, DatasetError> {
        let mut followed = Followed::default();
        let mut read = std::pin::pin!(read_slots(self.dataset.clone(), kind, 0));
        while let Some((slot, read)) = read.next().await.filter(|(slot, _)| *slot < slots) {
            let bytes = match read {
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
        let found = self.hash(&path).await?;
        if found != Some(sha256(&expected)) {
            let what = match found {
                Some(_) => "it is not what the slots give",
                None => "_last_checkpoint names it, and it is not there",
            };
            let fault = Fault { path, found, what: what.to_owned() };
            self.settle(fault, Some((expected, FROM_LOG)), FIX_CHECKPOINT).await?;
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

    pub(super) async fn judge_last(
        &self,
        table: &Store,
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

    pub(super) async fn see_hint(&mut self, kind: TableKind) -> Result<Option<Bytes>, DatasetError> {
        let hint = match self.dataset.read(&below(kind, HINT_PATH), HINT_BYTES_MAX).await {
            // It is judged by its absence then, and stays.
            Err(StoreError::TooLarge { .. }) => None,
            hint => hint?,
        };
        self.count(hint.as_ref().map_or(0, |hint| hint.len() as u64)).await;
        Ok(hint)
    }

    /// The slot of the checkpoint that the hint names, if it is there or should be: they stand at multiples of a number of
    /// slots. Otherwise it is the hint that is damaged.
    pub(super) async fn hinted(
        &self,
        kind: TableKind,
        hint: Option<&Bytes>,
    ) -> Result<Option<u64>, DatasetError> {
        let Some(slot) = hint.and_then(|hint| parse_hint(hint).ok()) else { return Ok(None) };
        if self.dataset.head(&below(kind, &checkpoint_path(slot))).await?.is_some() {
            return Ok(Some(slot));
        }
        let checkpoints = self.listed.keys().filter_map(|path| match ObjectKind::of(path) {
            ObjectKind::Checkpoint(of, slot) if of == kind && slot > 0 => Some(slot),
            _ => None,
        });
        let interval = checkpoints.min().unwrap_or(1);
        Ok(Some(slot).filter(|slot| slot.is_multiple_of(interval)))
    }

    /// The hint names a checkpoint that is there, as it was written.
    pub(super) async fn hint(
        &mut self,
        kind: TableKind,
        hint: Option<Bytes>,
        followed: &Followed,
    ) -> Result<(), DatasetError> {
        if followed.chain.is_none() {
            // The log comes first: what is behind its fault gives checkpoints too.
            return Ok(());
        }
        let path = below(kind, HINT_PATH);
        let found = hint.as_deref().map(sha256);
        let is_sound = match &hint {
            Some(found) => followed.hints.values().any(|hint| hint == found),
            // A writer may have been between its first checkpoint and the hint to it.
            None => followed.hints.is_empty() || self.dataset.head(&path).await?.is_some(),
        };
        if is_sound {
            return Ok(());
        }
        let newest = followed.hints.values().next_back().cloned();
        let what = if found.is_some() { "it names no checkpoint that is there" } else { "it is not there" };
        let fault = Fault { path, found, what: what.to_owned() };
        self.settle(fault, newest.map(|hint| (hint, FROM_LOG)), FIX_CHECKPOINT).await.map(drop)
    }

    /// Announcements of epochs that the log has say what it says; one of an epoch to come is written as such.
    pub(super) async fn announcements(
        &mut self,
        kind: TableKind,
        followed: &Followed,
    ) -> Result<(), DatasetError> {
        let Some(chain) = &followed.chain else { return Ok(()) };
        let announced = self.listed.keys().filter_map(|path| match ObjectKind::of(path) {
            ObjectKind::Announcement(of, epoch) if of == kind => Some((path.clone(), epoch)),
            _ => None,
        });
        for (path, epoch) in announced.collect::<Vec<_>>() {
            let Some(found) = self.hash(&path).await? else { continue };
            let logged = AnnouncedEpoch::of(chain.configuration(), epoch).map(|epoch| epoch.encode());
            let is_sound = match &logged {
                Some(logged) => sha256(logged) == found,
                None => {
                    let bytes = self.dataset.read(&path, ANNOUNCEMENT_BYTES_MAX).await;
                    bytes.ok().flatten().is_some_and(|bytes| AnnouncedEpoch::parse(epoch, &bytes).is_some())
                }
            };
            if is_sound {
                continue;
            }
            let is_good = |bytes: &Bytes| AnnouncedEpoch::parse(epoch, bytes).is_some();
            let good = match logged {
                Some(logged) => Some((logged, FROM_LOG)),
                None => self.ask_other(&path, ANNOUNCEMENT_BYTES_MAX, is_good).await?,
            };
            let what = format!("it is not as epoch {epoch} was announced");
            self.settle(Fault { path, found: Some(found), what }, good, FIX_ANNOUNCEMENT).await?;
        }
        Ok(())
    }
}
