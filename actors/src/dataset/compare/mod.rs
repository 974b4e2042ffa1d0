//! Two datasets held against each other by their logs, without reading rows: `orrery verify --against`.
//!
//! A log is a hash chain: where the newest slot that both have is equal, all before it is. Where it is not, the first slot that
//! differs is found by halving, and the ledgers behind it are compared: either their rows differ, or only the places of
//! compactions do. That the files are what the logs say is `scrub`'s to find.

mod core;

use bytes::Bytes;
use orrery_schemas::{CloseTime, Hash32, LedgerSequence};

use super::DatasetError;
use super::chain::Tip;
use super::kind::TableKind;
use super::slot::{Commit, SLOT_BYTES_MAX, sha256, slot_path};
use super::store::Store;
use super::table::{Table, content};
use core::{Halving, Rows, relation};

/// One of two datasets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    /// The first.
    One,
    /// The other.
    Other,
}

/// How two tables stand to each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Relation {
    /// The same log.
    Equal,
    /// This side has the beginning of the other's log.
    Behind(Side),
    /// The same rows as far as both go; slots are cut or compacted in other places, or an epoch stands elsewhere.
    OtherLayout,
    /// They contradict each other.
    OtherRows,
    /// They are of different networks, starts, grids or kinds.
    OtherSettings,
    /// This side has no such table.
    Missing(Side),
}

/// The end of one log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Standing {
    /// Its last slot.
    pub slot: u64,
    /// SHA-256 of that slot.
    pub slot_sha256: Hash32,
    /// Its last ledger; `None` without any.
    pub last_ledger: Option<LedgerSequence>,
    /// When that closed.
    pub closed_at: Option<CloseTime>,
}

/// Where two logs part.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Difference {
    /// The first slot that is not the same.
    pub slot: u64,
    /// SHA-256 of it, in each.
    pub slot_sha256: [Hash32; 2],
    /// What was found, for a person.
    pub what: String,
}

/// Two tables.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TableComparison {
    /// Which table.
    pub kind: TableKind,
    /// Where each ends; `None` if it is not there.
    pub ends: [Option<Standing>; 2],
    /// How they stand to each other.
    pub relation: Relation,
    /// Where they part, if they do.
    pub difference: Option<Difference>,
}

/// Two datasets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Comparison {
    /// Each table.
    pub tables: Vec<TableComparison>,
}

/// Compares two datasets. Memory: their lists of live files.
///
/// # Errors
///
/// [`DatasetError::Content`] for a log that contradicts itself; [`DatasetError::Store`].
pub async fn compare(one: &Store, other: &Store) -> Result<Comparison, DatasetError> {
    let mut tables = Vec::new();
    for kind in TableKind::ALL {
        tables.push(compare_tables(kind, one, other).await?);
    }
    Ok(Comparison { tables })
}

async fn compare_tables(
    kind: TableKind,
    one: &Store,
    other: &Store,
) -> Result<TableComparison, DatasetError> {
    let tables = [Table::look_at(one, kind, u64::MAX).await?, Table::look_at(other, kind, u64::MAX).await?];
    let ends = [standing(tables[0].as_ref()), standing(tables[1].as_ref())];
    let done = |relation, difference| Ok(TableComparison { kind, ends: ends.clone(), relation, difference });
    let [Some(one), Some(other)] = &tables else {
        let side = if tables[0].is_none() { Side::One } else { Side::Other };
        return done(Relation::Missing(side), None);
    };
    let newest = one.tip().slot.min(other.tip().slot);
    let Some(slot) = first_difference(one, other, newest).await? else {
        return done(relation(one.tip().slot, other.tip().slot), None);
    };
    let hashes = [hash_at(one, slot).await?, hash_at(other, slot).await?];
    let difference = |what| Some(Difference { slot, slot_sha256: hashes, what });
    if slot == 0 {
        return done(Relation::OtherSettings, difference("slot 0 has other settings".to_owned()));
    }
    match rows_differ(one, other, slot).await? {
        Some(what) => done(Relation::OtherRows, difference(what)),
        None => done(Relation::OtherLayout, difference(OTHER_LAYOUT.to_owned())),
    }
}

const OTHER_LAYOUT: &str =
    "slots, compactions or epochs are in other places; the rows are the same as far as both go";

fn standing(table: Option<&Table>) -> Option<Standing> {
    let table = table?;
    let Tip { slot, slot_sha256, next_ledger, closed_at, .. } = table.tip().clone();
    let last = LedgerSequence(next_ledger.0.saturating_sub(1));
    let last_ledger = (table.configuration().start_ledger <= last).then_some(last);
    Some(Standing { slot, slot_sha256, last_ledger, closed_at })
}

async fn first_difference(one: &Table, other: &Table, newest: u64) -> Result<Option<u64>, DatasetError> {
    let mut halving = Halving::new(newest);
    while let Some(slot) = halving.ask() {
        let is_equal = hash_at(one, slot).await? == hash_at(other, slot).await?;
        halving.hear(slot, is_equal);
    }
    Ok(halving.first_difference())
}

async fn hash_at(table: &Table, slot: u64) -> Result<Hash32, DatasetError> {
    if slot == table.tip().slot {
        return Ok(table.tip().slot_sha256);
    }
    Ok(sha256(&read(table, slot).await?))
}

async fn read(table: &Table, slot: u64) -> Result<Bytes, DatasetError> {
    let path = slot_path(slot);
    let bytes = table.store.read(&path, SLOT_BYTES_MAX).await?;
    bytes.ok_or_else(|| content(&table.store, &path, "the slot is not there".to_owned()))
}

/// Follows both logs from `slot` on, for as long as both go. What differs, for a person.
async fn rows_differ(one: &Table, other: &Table, slot: u64) -> Result<Option<String>, DatasetError> {
    let tables = [one, other];
    let mut next = [slot, slot];
    let mut rows = Rows::default();
    loop {
        let side = rows.wants();
        let (table, at) = (tables[side], next[side]);
        if at > table.tip().slot {
            return Ok(None);
        }
        let bytes = read(table, at).await?;
        let commit =
            Commit::parse(&bytes).map_err(|problem| content(&table.store, &slot_path(at), problem))?;
        next[side] += 1;
        if let Err(what) = rows.hear(side, &commit) {
            return Ok(Some(what));
        }
    }
}
