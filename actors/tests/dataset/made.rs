//! Ledgers made up for a dataset, the same ones every time, and their way into it.

use std::ops::RangeInclusive;
use std::sync::Arc;
use std::time::Duration;

use object_store::ObjectStore;
use object_store::memory::InMemory;
use orrery_actors::dataset::{
    AnnouncedEpoch, Dataset, DatasetError, DatasetSettings, Grid, Outcome, Retry, SlotRows, Store, Table,
    TableKind, ledgers_digest,
};
use orrery_schemas::{CloseTime, Hash32, Ledger, LedgerSequence, RowDigest, TokenTransfer};
use orrery_supervisor::Backoff;

use crate::rows;

pub(crate) const NETWORK: &str = "a network of tests";

/// First ledger of the datasets here: not at a slot's boundary.
pub(crate) const START: u32 = 5;

/// Settings of a dataset with slots of `width` ledgers and a checkpoint every `slots` slots.
pub(crate) fn settings(width: u32, slots: u64) -> DatasetSettings {
    DatasetSettings {
        network_passphrase: Some(NETWORK.to_owned()),
        start_ledger: Some(LedgerSequence(START)),
        grid: Some(Grid::uniform(width).unwrap()),
        slots_per_checkpoint: slots,
        ..DatasetSettings::default()
    }
}

/// Few attempts, and pauses that no test notices.
pub(crate) fn retry() -> Retry {
    Retry::with(4, Backoff::new(Duration::from_nanos(1), Duration::from_nanos(1)).unwrap(), 7)
}

pub(crate) fn memory() -> Store {
    Store::over(Arc::new(InMemory::new()), "", retry())
}

pub(crate) fn over(objects: Arc<dyn ObjectStore>) -> Store {
    Store::over(objects, "set", retry())
}

pub(crate) fn files(path: &std::path::Path) -> Store {
    let url = format!("file://{}", path.display()).parse().unwrap();
    Store::connect(&url, &|_| None, retry()).unwrap()
}

/// Hash of a ledger.
pub(crate) fn hash(sequence: u32) -> Hash32 {
    let mut bytes = [7; 32];
    bytes[..4].copy_from_slice(&sequence.to_be_bytes());
    Hash32(bytes)
}

/// Every third ledger has no events, as do all of a hundred.
pub(crate) fn events(sequence: u32) -> Vec<TokenTransfer> {
    let count =
        if sequence.is_multiple_of(3) || (200..300).contains(&sequence) { 0 } else { sequence % 11 + 1 };
    rows::ledger(sequence, count)
}

pub(crate) fn ledger(sequence: u32) -> Ledger {
    let events = events(sequence);
    Ledger {
        sequence: LedgerSequence(sequence),
        hash: hash(sequence),
        previous_hash: hash(sequence - 1),
        closed_at: closed_at(sequence),
        protocol_version: 23,
        tx_set_hash: Hash32([2; 32]),
        tx_set_result_hash: Hash32([3; 32]),
        tx_count: events.len() as u32,
        successful_tx_count: events.len() as u32,
        failed_tx_count: 0,
        operation_count: 1,
        event_count: events.len() as u32,
        total_coins: 1_000_000_000_000,
        fee_pool: 100 * i64::from(sequence),
        base_fee: 100,
        base_reserve: 5_000_000,
        max_tx_set_size: 1000,
        row_digest: RowDigest::of(&events),
    }
}

pub(crate) fn closed_at(sequence: u32) -> CloseTime {
    CloseTime::from_unix_seconds(1_725_274_219 + u64::from(sequence) * 5).unwrap()
}

fn sequences(range: &RangeInclusive<LedgerSequence>) -> RangeInclusive<u32> {
    range.start().0..=range.end().0
}

/// A slot as a node derives it.
pub(crate) fn slot(table: &Table, range: RangeInclusive<LedgerSequence>) -> SlotRows {
    let mut encoder = table.encoder(range.clone()).unwrap();
    let mut digest = RowDigest::default();
    for sequence in sequences(&range) {
        match table.kind() {
            TableKind::TokenTransfers => {
                let events = events(sequence);
                encoder.append_rows(&events).unwrap();
                digest.add(&RowDigest::of(&events));
            }
            TableKind::Ledgers => {
                let ledger = ledger(sequence);
                encoder.append_ledgers(std::slice::from_ref(&ledger)).unwrap();
                digest.add(&ledgers_digest([&ledger]));
            }
        }
    }
    SlotRows {
        parent_hash: hash(range.start().0 - 1),
        last_hash: hash(range.end().0),
        closed_at: closed_at(range.end().0),
        file: encoder.finish().unwrap(),
        digest,
        range,
    }
}

/// An epoch with the rules that everybody knows.
pub(crate) fn epoch(epoch: u32, from_ledger: u32, ledgers_per_slot: Option<u32>) -> AnnouncedEpoch {
    AnnouncedEpoch { epoch, from_ledger, schema_version: 1, processor_version: 1, ledgers_per_slot }
}

/// Commits slots until `to` is in both tables.
pub(crate) async fn fill(dataset: &mut Dataset, to: u32) -> Result<(), DatasetError> {
    for kind in TableKind::ALL {
        fill_table(dataset.table_mut(kind), to).await?;
    }
    Ok(())
}

pub(crate) async fn fill_table(table: &mut Table, to: u32) -> Result<(), DatasetError> {
    while let Some(range) = table.next_range(Some(LedgerSequence(to))) {
        let before = table.tip().next_ledger;
        let outcome = table.commit(slot(table, range)).await?;
        assert!(outcome == Outcome::Superseded || table.tip().next_ledger > before);
    }
    Ok(())
}

/// Digest of all rows that a table should have.
pub(crate) fn expected(kind: TableKind, to: u32) -> (u64, RowDigest) {
    match kind {
        TableKind::TokenTransfers => {
            let rows: Vec<_> = (START..=to).flat_map(events).collect();
            (rows.len() as u64, RowDigest::of(&rows))
        }
        TableKind::Ledgers => {
            let ledgers: Vec<_> = (START..=to).map(ledger).collect();
            (ledgers.len() as u64, ledgers_digest(&ledgers))
        }
    }
}
