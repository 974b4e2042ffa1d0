//! A slot made anew from what is stored: the slots before it, its data file, and what the other table says of its ledgers.
//! Its bytes follow from these; where the slot after it has its hash, they have to have it.

use std::ops::RangeInclusive;

use bytes::Bytes;
use orrery_schemas::{CloseTime, Hash32, LedgerSequence, RowDigest};

use super::Scrub;
use super::slots::below;
use crate::dataset::attest::{Remade, remake};
use crate::dataset::chain::Chain;
use crate::dataset::compaction::blocking;
use crate::dataset::configuration::{Configuration, Epoch, Epochs};
use crate::dataset::file::FILE_BYTES_MAX;
use crate::dataset::inventory::ObjectKind;
use crate::dataset::kind::TableKind;
use crate::dataset::slot::{
    AddFile, Change, Commit, FileName, MetaData, RemovedFile, SLOT_BYTES_MAX, encode_genesis, parse_genesis,
    sha256, slot_path,
};
use crate::dataset::{DatasetError, Store};

/// Hash before the first, hash of the last and close time of the last ledger.
type Ends = (Hash32, Hash32, CloseTime);

impl Scrub<'_> {
    /// Slot `slot` of a table, if what is stored determines it. Without `expected` only a slot with a file is.
    pub(super) async fn rebuild(
        &self,
        kind: TableKind,
        slot: u64,
        expected: Option<Hash32>,
    ) -> Result<Option<Bytes>, DatasetError> {
        if !self.settings.repairs {
            return Ok(None);
        }
        let is_expected = |bytes: &Bytes| expected.is_none_or(|expected| sha256(bytes) == expected);
        if slot == 0 {
            return Ok(self.first_slot(kind).await?.filter(|bytes| expected.is_some() && is_expected(bytes)));
        }
        let table = self.dataset.within(kind.as_str());
        let Some(chain) = chain_before(&table, slot).await? else { return Ok(None) };
        for name in self.names_at(kind, &chain) {
            let Some(remade) = self.remade(kind, &chain, &name).await? else { continue };
            let bytes = self.with_file(kind, &chain, &name.range, &remade);
            if let Some(bytes) = bytes.filter(is_expected) {
                return Ok(Some(bytes));
            }
        }
        if expected.is_none() {
            return Ok(None);
        }
        Ok(self.without_file(kind, &chain, slot).await?.filter(is_expected))
    }

    /// Data files that the slot after `chain` may have added.
    fn names_at(&self, kind: TableKind, chain: &Chain) -> Vec<FileName> {
        let names = self.listed.keys().filter_map(|path| match ObjectKind::of(path) {
            ObjectKind::Data(of, name) if of == kind => Some(name),
            _ => None,
        });
        let may_come = |name: &FileName| {
            let is_next = *name.range.start() == chain.tip.next_ledger;
            let is_compaction = covered(chain, &name.range).len() > 1;
            (is_next || is_compaction) && chain.files.values().all(|live| live.name != *name)
        };
        names.filter(may_come).collect()
    }

    async fn remade(
        &self,
        kind: TableKind,
        chain: &Chain,
        name: &FileName,
    ) -> Result<Option<Remade>, DatasetError> {
        let bytes = self.dataset.read(&below(kind, &name.to_string()), FILE_BYTES_MAX).await?;
        let Some(bytes) = bytes.filter(|bytes| name.is_of(sha256(bytes))) else { return Ok(None) };
        let (range, network) = (name.range.clone(), chain.configuration().network_passphrase.clone());
        Ok(blocking(move || remake(kind, &network, &range, bytes)).await.ok())
    }

    fn with_file(
        &self,
        kind: TableKind,
        chain: &Chain,
        range: &RangeInclusive<LedgerSequence>,
        remade: &Remade,
    ) -> Option<Bytes> {
        let commit = if *range.start() == chain.tip.next_ledger {
            let ends = remade.ends.or_else(|| self.ledger_ends.get(range.end()).copied())?;
            append(chain, range, ends, Some(remade.file.to_add(remade.digest, ends.2)))
        } else {
            compaction(chain, range, remade)?
        };
        chain.check(&commit).ok()?;
        commit.encode(kind).ok()
    }

    /// A slot of ledgers without rows: where it ends, the slot after it says.
    async fn without_file(
        &self,
        kind: TableKind,
        chain: &Chain,
        slot: u64,
    ) -> Result<Option<Bytes>, DatasetError> {
        let next = self.begins_next(kind, slot).await?;
        let last = next.and_then(|next| next.0.checked_sub(1)).map(LedgerSequence);
        let Some((last, ends)) = last.and_then(|last| Some((last, *self.ledger_ends.get(&last)?))) else {
            return Ok(None);
        };
        let commit = append(chain, &(chain.tip.next_ledger..=last), ends, None);
        Ok(chain.check(&commit).ok().and_then(|()| commit.encode(kind).ok()))
    }

    /// Slot 0, by the settings of the other table, which is of the same network, start and grid.
    async fn first_slot(&self, kind: TableKind) -> Result<Option<Bytes>, DatasetError> {
        let others = TableKind::ALL.into_iter().filter(|other| *other != kind);
        for other in others {
            let bytes = self.dataset.read(&below(other, &slot_path(0)), SLOT_BYTES_MAX).await?;
            let Some(found) = bytes.and_then(|bytes| parse_genesis(&bytes).ok()) else { continue };
            let settings = found.configuration;
            let Some(first) = settings.epochs.as_slice().first().copied() else { continue };
            let epochs = Epochs::first(Epoch { schema_version: kind.schema_version(), ..first });
            let settings = Configuration { kind, epochs, ..settings };
            return Ok(Some(encode_genesis(&MetaData::new(settings))));
        }
        Ok(None)
    }
}

/// The log before slot `slot`, if it can be followed.
pub(super) async fn chain_before(table: &Store, slot: u64) -> Result<Option<Chain>, DatasetError> {
    let mut chain: Option<Chain> = None;
    for number in 0..slot {
        let Some(bytes) = table.read(&slot_path(number), SLOT_BYTES_MAX).await? else { return Ok(None) };
        let is_followed = match &mut chain {
            None => {
                chain = Chain::genesis(&bytes).ok();
                chain.is_some()
            }
            Some(chain) => chain.follow(&bytes).is_ok(),
        };
        if !is_followed {
            return Ok(None);
        }
    }
    Ok(chain)
}

/// Live files inside a range, in order.
fn covered<'a>(chain: &'a Chain, range: &RangeInclusive<LedgerSequence>) -> Vec<&'a AddFile> {
    let files = chain.files.range(range.clone()).map(|(_, file)| file);
    files.filter(|file| file.name.range.end() <= range.end()).collect()
}

fn append(
    chain: &Chain,
    range: &RangeInclusive<LedgerSequence>,
    (parent, hash, closed_at): Ends,
    add: Option<AddFile>,
) -> Commit {
    let tip = &chain.tip;
    let (rows, row_digest) = add.as_ref().map_or((0, RowDigest::default()), |add| (add.rows, add.digest));
    let mut total_digest = tip.total_digest;
    total_digest.add(&row_digest);
    Commit {
        prev: tip.slot_sha256,
        epoch: tip.epoch,
        first_ledger: *range.start(),
        last_ledger: *range.end(),
        // `ledgers` may have been cut elsewhere: what the table itself says comes first.
        parent_ledger_hash: tip.last_ledger_hash.unwrap_or(parent),
        last_ledger_hash: hash,
        rows,
        total_rows: tip.total_rows.saturating_add(rows),
        row_digest,
        total_digest,
        closed_at,
        change: Change::Append(add),
    }
}

fn compaction(chain: &Chain, range: &RangeInclusive<LedgerSequence>, remade: &Remade) -> Option<Commit> {
    let replaced = covered(chain, range);
    let modified_at = replaced.last()?.modified_at;
    let remove =
        replaced.iter().map(|file| RemovedFile { name: file.name.clone(), bytes: file.bytes }).collect();
    let add = remade.file.to_add(remade.digest, modified_at);
    Some(chain.without_ledgers(Change::Compaction { add, remove }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dataset::chain::tests::{append as appended, chain, file};

    #[test]
    fn an_append_is_determined_by_its_file_and_the_ends_of_its_ledgers() {
        let chain = chain();
        let expected = appended(&chain, 24, 31);
        let ends = (Hash32::ZERO, expected.last_ledger_hash, expected.closed_at);
        let range = LedgerSequence(24)..=LedgerSequence(31);
        assert_eq!(append(&chain, &range, ends, Some(file(24, 31))), expected);
    }

    #[test]
    fn a_compaction_replaces_what_lies_inside_its_range() {
        let chain = chain();
        let check = |first, last, expect: &[u32]| {
            let range = LedgerSequence(first)..=LedgerSequence(last);
            let found: Vec<_> =
                covered(&chain, &range).iter().map(|file| file.name.range.start().0).collect();
            assert_eq!(found, expect, "{first} to {last}");
        };
        check(5, 23, &[5, 8, 16]);
        check(5, 22, &[5, 8]);
        check(6, 15, &[8]);
        check(24, 99, &[]);
    }
}
