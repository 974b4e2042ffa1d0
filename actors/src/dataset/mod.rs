//! Where rows stay: Delta tables of deterministic, content-named Parquet files under a hash-linked log.
//!
//! In: the rows of whole slots, fixed ranges of ledgers, in order. Out: two Delta tables that other engines read as they
//! are. Output is a function of the ledgers alone, and the only shared write is put-if-absent: a late, repeated, paused or
//! rival writer writes the same bytes under the same name, or finds that it is too late. There is no leader.
//!
//! | object below a table | written | content |
//! |---|---|---|
//! | `_delta_log/00000000000000000000.json` | once | network, grid, schema, epochs |
//! | `_delta_log/N.json` | once | slot N: ledgers, a compaction or an epoch, and the hash of slot N-1 |
//! | `data/FIRST-LAST-SHA256.parquet` | once | rows |
//! | `_epochs/N.json` | once | an epoch that is to come |
//! | `_delta_log/*.checkpoint.parquet`, `_last_checkpoint` | any time | what the slots say, to open faster |
//! | `_quarantine/` | once | both sides of a contradiction; what was damaged, and replaced by `scrub` |
//!
//! In the dataset itself, `_orrery/` holds the object of the store's self-test and, on a file system, temporary files.

mod url;
mod store;
mod grid;
mod kind;
mod ledger_digest;
mod configuration;
mod slot;
mod slot_wire;
mod chain;
mod file;
mod commit;
mod table;
mod ahead;
mod announced;
mod replica;
mod checkpoint;
mod restore;
mod compaction;
mod verify;
mod inventory;
mod pace;
mod attest;
mod compare;
mod backup;
mod scrub;
mod lookup;
mod scan;
mod error;

use orrery_schemas::LedgerSequence;

pub use ahead::StoredSlot;
pub use announced::AnnouncedEpoch;
pub(crate) use announced::EPOCHS_TOLD_MAX;
pub use backup::{CopyReport, CopySettings, CopyUntil, TableCopy, copy};
pub use chain::Tip;
pub use checkpoint::{parse_hint, reread_checkpoint_rows};
pub use commit::Outcome;
pub use compaction::CompactionReport;
pub use compare::{Comparison, Difference, Relation, Side, Standing, TableComparison, compare};
pub use configuration::{Configuration, Epoch, Epochs};
pub use error::{DatasetError, DatasetErrorClass, Halt, StoreError};
pub use file::{SlotFile, SlotFileEncoder};
pub use grid::{Grid, GridError, GridStep};
pub use kind::TableKind;
pub use ledger_digest::{LEDGERS_DIGEST_ALGORITHM, ledgers_digest};
pub use pace::Pace;
pub use replica::{
    AppendFacts, OBJECT_BYTES_MAX, Replica, SlotDoes, SlotFacts, SlotObject, SlotPut, is_object,
    keep_difference, object_sha256, put_object, read_object, read_slot, slot_facts,
};
pub use scan::{
    Cache, DatasetView, Order, Place, RowFileError, RowFileLimits, Scan, ScanCounts, ScanRequest, Snapshot,
    Span, ViewLimits,
};
pub use scrub::{Finding, MakeFile, Remedy, ScrubProgress, ScrubReport, ScrubSettings, Wrong, scrub};
pub use slot::{reread_first_slot, reread_slot};
pub use store::{Disk, Listed, Put, Retry, Store};
pub use table::{SlotRows, Table};
pub use url::{Access, Bucket, DatasetUrl, without_credentials};
pub use verify::{DatasetProblem, DatasetReport, TableReport, Unnamed, verify};

/// What a dataset is, or must be. `None` takes what is there; without a dataset, network and start are needed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DatasetSettings {
    /// Passphrase of the network.
    pub network_passphrase: Option<String>,
    /// First ledger.
    pub start_ledger: Option<LedgerSequence>,
    /// Where slots end; [`Grid::default`] for a new dataset.
    pub grid: Option<Grid>,
    /// Revision of the rules that rows are made by, for a new dataset.
    pub processor_version: u32,
    /// Slots between checkpoints of the log: more make opening slower, fewer cost a rewrite of the file list.
    pub slots_per_checkpoint: u64,
}

impl Default for DatasetSettings {
    fn default() -> Self {
        Self {
            network_passphrase: None,
            start_ledger: None,
            grid: None,
            processor_version: 1,
            slots_per_checkpoint: 64,
        }
    }
}

impl DatasetSettings {
    /// The same for a dataset that is there, wherever it starts and its slots end.
    #[must_use]
    pub fn of_existing(&self) -> Self {
        Self { start_ledger: None, grid: None, ..self.clone() }
    }
}

/// Both tables of a dataset.
#[derive(Debug)]
pub struct Dataset {
    /// One row an event.
    pub token_transfers: Table,
    /// One row a ledger.
    pub ledgers: Table,
}

impl Dataset {
    /// Opens a dataset, or creates it: see [`Table::open`]. The store is tested first.
    ///
    /// # Errors
    ///
    /// [`DatasetError`].
    pub async fn open(store: &Store, settings: &DatasetSettings) -> Result<Self, DatasetError> {
        store.self_test().await?;
        let token_transfers = Table::open(store, TableKind::TokenTransfers, settings).await?;
        // The second table is of the first one's network and start, whoever created either.
        let first = token_transfers.configuration();
        let settings = DatasetSettings {
            network_passphrase: Some(first.network_passphrase.clone()),
            start_ledger: Some(first.start_ledger),
            ..settings.clone()
        };
        let grid = settings.grid.clone().unwrap_or_else(|| first.grid.clone());
        let ledgers = Table::open_or_create(store, TableKind::Ledgers, &settings, grid).await?;
        Ok(Self { token_transfers, ledgers })
    }

    /// The first ledger that is not in both tables.
    pub fn next_ledger(&self) -> LedgerSequence {
        self.token_transfers.tip().next_ledger.min(self.ledgers.tip().next_ledger)
    }

    /// The table of a kind.
    pub fn table_mut(&mut self, kind: TableKind) -> &mut Table {
        match kind {
            TableKind::TokenTransfers => &mut self.token_transfers,
            TableKind::Ledgers => &mut self.ledgers,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn is_send<T: Send>(_: &T) {}

    /// Actors run on any thread.
    #[tokio::test]
    async fn every_future_of_a_dataset_can_move_between_threads() {
        let store = Store::connect(&DatasetUrl::Memory, &|_| None, Retry::new(1).unwrap()).unwrap();
        let settings = DatasetSettings {
            network_passphrase: Some("n".to_owned()),
            start_ledger: Some(LedgerSequence(2)),
            ..DatasetSettings::default()
        };
        let open = Dataset::open(&store, &settings);
        is_send(&open);
        let mut dataset = open.await.unwrap();
        let table = dataset.table_mut(TableKind::Ledgers);
        is_send(&table.compact(1024, 1));
        is_send(&table.refresh());
        let epoch = AnnouncedEpoch {
            epoch: 2,
            from_ledger: 9,
            schema_version: 1,
            processor_version: 1,
            ledgers_per_slot: None,
        };
        is_send(&table.announce_epoch(epoch));
        let rows = SlotRows {
            range: LedgerSequence(2)..=LedgerSequence(2),
            parent_hash: orrery_schemas::Hash32::ZERO,
            last_hash: orrery_schemas::Hash32::ZERO,
            closed_at: orrery_schemas::CloseTime::MAX,
            file: None,
            digest: orrery_schemas::RowDigest::default(),
        };
        is_send(&table.commit(rows));
        is_send(&verify(&store, &mut |_| {}));
    }
}
