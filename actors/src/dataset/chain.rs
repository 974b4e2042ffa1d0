//! What the log says, slot after slot: the end of the chain, the settings, the live files. Pure.
//!
//! Every slot is checked against the one before: its hash, its first ledger, the parent's hash, both totals, the epoch.

use std::collections::BTreeMap;
use std::ops::RangeInclusive;

use bytes::Bytes;
use orrery_schemas::{CloseTime, Hash32, LedgerSequence, RowDigest};

use super::configuration::Configuration;
use super::slot::{AddFile, Change, Commit, MetaData, parse_genesis, sha256};

/// The end of a table's chain.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tip {
    /// Number of the last slot; 0 is the one with the settings.
    pub slot: u64,
    /// SHA-256 of its bytes.
    pub slot_sha256: Hash32,
    /// The ledger that the next slot begins with.
    pub next_ledger: LedgerSequence,
    /// Hash of the ledger before it; `None` if the table has no ledger yet.
    pub last_ledger_hash: Option<Hash32>,
    /// Its close time.
    pub closed_at: Option<CloseTime>,
    /// Rows of the table.
    pub total_rows: u64,
    /// Their digest.
    pub total_digest: RowDigest,
    /// Epoch of the next ledger.
    pub epoch: u32,
}

/// A table's log up to its tip.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Chain {
    pub(super) tip: Tip,
    pub(super) metadata: MetaData,
    /// Live files by first ledger.
    pub(super) files: BTreeMap<LedgerSequence, AddFile>,
}

impl Chain {
    /// The chain of slot 0 alone.
    pub(super) fn genesis(bytes: &[u8]) -> Result<Self, String> {
        let metadata = parse_genesis(bytes)?;
        let next_ledger = metadata.configuration.start_ledger;
        if next_ledger.0 == 0 {
            return Err("it starts at ledger 0, which no network has".to_owned());
        }
        let tip = Tip {
            slot: 0,
            slot_sha256: sha256(bytes),
            next_ledger,
            last_ledger_hash: None,
            closed_at: None,
            total_rows: 0,
            total_digest: RowDigest::default(),
            epoch: epoch_of(&metadata.configuration, next_ledger),
        };
        Ok(Self { tip, metadata, files: BTreeMap::new() })
    }

    /// The chain at slot `slot`, from that slot's bytes and a checkpoint's settings and files.
    pub(super) fn at_checkpoint(
        slot: u64,
        bytes: &[u8],
        metadata: MetaData,
        files: Vec<AddFile>,
    ) -> Result<Self, String> {
        let commit = Commit::parse(bytes)?;
        let next_ledger = commit.last_ledger.next().ok_or("the last ledger is the last possible one")?;
        let is_empty = next_ledger == metadata.configuration.start_ledger;
        let tip = Tip {
            slot,
            slot_sha256: sha256(bytes),
            next_ledger,
            last_ledger_hash: (!is_empty).then_some(commit.last_ledger_hash),
            closed_at: (!is_empty).then_some(commit.closed_at),
            total_rows: commit.total_rows,
            total_digest: commit.total_digest,
            epoch: epoch_of(&metadata.configuration, next_ledger),
        };
        let chain = Self {
            tip,
            metadata,
            files: files.into_iter().map(|file| (*file.name.range.start(), file)).collect(),
        };
        let (rows, digest) = sums(chain.files.values());
        if rows != chain.tip.total_rows || digest != chain.tip.total_digest {
            return Err("its files do not add up to the rows of its slot".to_owned());
        }
        Ok(chain)
    }

    pub(super) fn configuration(&self) -> &Configuration {
        &self.metadata.configuration
    }

    /// The slot that begins with the next ledger: it ends at the grid's boundary, before an epoch, or at `to`.
    pub(super) fn next_range(&self, to: Option<LedgerSequence>) -> Option<RangeInclusive<LedgerSequence>> {
        self.configuration().slot_range(self.tip.next_ledger, to)
    }

    /// A commit on the tip that adds no ledgers.
    pub(super) fn without_ledgers(&self, change: Change) -> Commit {
        let tip = &self.tip;
        Commit {
            prev: tip.slot_sha256,
            epoch: tip.epoch,
            first_ledger: tip.next_ledger,
            last_ledger: LedgerSequence(tip.next_ledger.0.saturating_sub(1)),
            parent_ledger_hash: tip.last_ledger_hash.unwrap_or(Hash32::ZERO),
            last_ledger_hash: tip.last_ledger_hash.unwrap_or(Hash32::ZERO),
            rows: 0,
            total_rows: tip.total_rows,
            row_digest: RowDigest::default(),
            total_digest: tip.total_digest,
            closed_at: tip.closed_at.unwrap_or_else(before_time),
            change,
        }
    }

    /// Bytes of a commit on the tip.
    pub(super) fn encode(&self, commit: &Commit) -> Result<Bytes, String> {
        commit.encode(self.configuration().kind)
    }

    /// Goes on by the slot after the tip. The chain is as before if there is an error, which is for a person.
    pub(super) fn follow(&mut self, bytes: &[u8]) -> Result<Commit, String> {
        let commit = Commit::parse(bytes)?;
        self.check(&commit)?;
        let next = match &commit.change {
            Change::Append(_) => commit.last_ledger.next().ok_or("there is no ledger after its last one")?,
            Change::Compaction { .. } | Change::Epoch(_) => self.tip.next_ledger,
        };
        match &commit.change {
            Change::Append(None) => {}
            Change::Append(Some(add)) => {
                self.files.insert(*add.name.range.start(), add.clone());
            }
            Change::Compaction { add, remove } => {
                for removed in remove {
                    self.files.remove(removed.name.range.start());
                }
                self.files.insert(*add.name.range.start(), add.clone());
            }
            Change::Epoch(metadata) => self.metadata = metadata.clone(),
        }
        if matches!(commit.change, Change::Append(_)) {
            self.tip.last_ledger_hash = Some(commit.last_ledger_hash);
            self.tip.closed_at = Some(commit.closed_at);
        }
        self.tip.slot += 1;
        self.tip.slot_sha256 = sha256(bytes);
        self.tip.next_ledger = next;
        self.tip.total_rows = commit.total_rows;
        self.tip.total_digest = commit.total_digest;
        self.tip.epoch = epoch_of(self.configuration(), next);
        Ok(commit)
    }

    /// Whether the slot may come after the tip.
    pub(super) fn check(&self, commit: &Commit) -> Result<(), String> {
        let tip = &self.tip;
        expect("hash of the slot before", &commit.prev, &tip.slot_sha256)?;
        expect("first ledger", &commit.first_ledger, &tip.next_ledger)?;
        expect("epoch", &commit.epoch, &tip.epoch)?;
        let mut total_digest = tip.total_digest;
        total_digest.add(&commit.row_digest);
        let total_rows = tip.total_rows.checked_add(commit.rows).ok_or("its rows overflow the total")?;
        expect("sum of rows", &commit.total_rows, &total_rows)?;
        expect("sum of digests", &commit.total_digest, &total_digest)?;
        match &commit.change {
            Change::Append(add) => self.check_append(commit, add.as_ref()),
            Change::Compaction { add, remove } => {
                self.check_without_ledgers(commit)?;
                let removed = remove.iter().map(|removed| {
                    let live = self.files.get(removed.name.range.start());
                    live.filter(|live| live.name == removed.name && live.bytes == removed.bytes)
                        .ok_or_else(|| format!("it removes {}, which is not live", removed.name))
                });
                self.check_compaction(add, &removed.collect::<Result<Vec<_>, _>>()?)
            }
            Change::Epoch(metadata) => {
                self.check_without_ledgers(commit)?;
                self.check_epoch(metadata)
            }
        }
    }

    fn check_append(&self, commit: &Commit, add: Option<&AddFile>) -> Result<(), String> {
        if let Some(hash) = self.tip.last_ledger_hash {
            expect("parent's hash", &commit.parent_ledger_hash, &hash)?;
        }
        let widest = self.next_range(None).ok_or("no slot can follow")?;
        if commit.last_ledger < commit.first_ledger || commit.last_ledger > *widest.end() {
            return Err(format!("it ends at ledger {}, its slot at {}", commit.last_ledger, widest.end()));
        }
        if self.tip.closed_at.is_some_and(|before| commit.closed_at < before) {
            return Err("its last ledger closed before the slot before".to_owned());
        }
        let Some(add) = add else {
            expect("rows without a file", &commit.rows, &0)?;
            return expect("digest without a file", &commit.row_digest, &RowDigest::default());
        };
        expect("rows of its file", &add.rows, &commit.rows)?;
        expect("digest of its file", &add.digest, &commit.row_digest)?;
        expect("first ledger of its file", add.name.range.start(), &commit.first_ledger)?;
        expect("last ledger of its file", add.name.range.end(), &commit.last_ledger)
    }

    fn check_without_ledgers(&self, commit: &Commit) -> Result<(), String> {
        let expected = self.without_ledgers(commit.change.clone());
        if *commit == expected { Ok(()) } else { Err("it claims ledgers, but adds none".to_owned()) }
    }

    fn check_compaction(&self, add: &AddFile, removed: &[&AddFile]) -> Result<(), String> {
        let (rows, digest) = sums(removed.iter().copied());
        expect("rows of the compacted file", &add.rows, &rows)?;
        expect("digest of the compacted file", &add.digest, &digest)?;
        let names: std::collections::BTreeSet<_> =
            removed.iter().map(|file| *file.name.range.start()).collect();
        if names.len() != removed.len() {
            return Err("it removes a file twice".to_owned());
        }
        let inside = |file: &AddFile| {
            file.name.range.start() >= add.name.range.start() && file.name.range.end() <= add.name.range.end()
        };
        // Whatever is in the range of the new file is replaced by it, and nothing else.
        let covered = self.files.values().filter(|file| {
            file.name.range.start() <= add.name.range.end() && file.name.range.end() >= add.name.range.start()
        });
        if !removed.iter().all(|file| inside(file)) || covered.count() != removed.len() || removed.is_empty()
        {
            return Err(format!("it removes other files than those of {}", add.name));
        }
        Ok(())
    }

    fn check_epoch(&self, metadata: &MetaData) -> Result<(), String> {
        let (old, new) = (self.configuration(), &metadata.configuration);
        expect("table's name", &metadata.id, &self.metadata.id)?;
        let last = new.epochs.as_slice().last().copied().ok_or("it has no epochs")?;
        let expected = Configuration {
            epochs: old.epochs.with(last).map_err(|error| error.to_string())?,
            grid: new.grid.clone(),
            ..old.clone()
        };
        if *new != expected {
            return Err("it changes settings that are fixed for ever".to_owned());
        }
        if last.from_ledger < self.tip.next_ledger {
            return Err(format!(
                "it begins at ledger {}, but ledgers up to {} are written",
                last.from_ledger, self.tip.next_ledger
            ));
        }
        let steps = old.grid.steps();
        let is_longer = new.grid.steps().starts_with(steps);
        let added = new.grid.steps().iter().skip(steps.len());
        if !is_longer || added.clone().any(|step| step.from_ledger < last.from_ledger) {
            return Err("it moves slots of earlier epochs".to_owned());
        }
        Ok(())
    }
}

/// Stands for the close time of a table without ledgers: 1970.
fn before_time() -> CloseTime {
    CloseTime::from_unix_seconds(0).unwrap_or(CloseTime::MAX)
}

/// Rows and digest of files together.
pub(super) fn sums<'a>(files: impl Iterator<Item = &'a AddFile>) -> (u64, RowDigest) {
    let mut sums = (0_u64, RowDigest::default());
    for file in files {
        sums.0 = sums.0.saturating_add(file.rows);
        sums.1.add(&file.digest);
    }
    sums
}

fn epoch_of(configuration: &Configuration, ledger: LedgerSequence) -> u32 {
    configuration.epochs.at(ledger).map_or(0, |epoch| epoch.epoch)
}

fn expect<T: PartialEq + std::fmt::Debug>(what: &str, found: &T, expected: &T) -> Result<(), String> {
    if found == expected { Ok(()) } else { Err(format!("its {what} is {found:?}, not {expected:?}")) }
}

#[cfg(test)]
pub(super) mod tests;
