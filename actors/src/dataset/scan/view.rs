//! A dataset as readers see it: whatever its log says by now. Nothing is ever written, and a dataset that is not there yet
//! is awaited.

use std::ops::RangeInclusive;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use futures::future::try_join;
use orrery_schemas::{CloseTime, Hash32, LedgerSequence};
use tokio::sync::{Mutex, Semaphore, watch};

use super::footer::Files;
use super::stream::Scan;
use super::{ScanRequest, Span};
use crate::dataset::chain::Chain;
use crate::dataset::error::DatasetError;
use crate::dataset::kind::TableKind;
use crate::dataset::lookup::Shelf;
use crate::dataset::slot::{SLOT_BYTES_MAX, slot_path};
use crate::dataset::store::Store;
use crate::dataset::table::{Table, content};

/// What reading may cost a node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ViewLimits {
    /// Bytes of footers and Bloom filters that are kept. Fewer are read again and again; a file has some 100 KiB of footer
    /// and, for every 131,072 rows, some 300 KiB of Bloom filters.
    pub cache_bytes_max: usize,
    /// Decoding steps at once: those of the data path and of serving share the processors.
    pub decoding_max: usize,
}

impl Default for ViewLimits {
    fn default() -> Self {
        Self { cache_bytes_max: 128 << 20, decoding_max: 2 }
    }
}

/// What rows in a form for look-ups may cost a node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RowFileLimits {
    /// Bytes in the folder: those of the newest rows, about 125 a row.
    pub disk_bytes_max: u64,
    /// Bytes in memory while rows are taken over.
    pub memory_bytes_max: usize,
}

/// Looks for what is new, after each so many of which one is for what has been deleted.
const LOOKS_PER_LOOK_FOR_LOSS: u32 = 10;

/// A dataset for readers. Cheap to share behind an [`Arc`].
#[derive(Debug)]
pub struct DatasetView {
    store: Store,
    tables: Mutex<Tables>,
    snapshot: watch::Sender<Option<Arc<Snapshot>>>,
    /// What was there has been deleted.
    is_gone: AtomicBool,
    files: Arc<Files>,
    turns: Arc<Semaphore>,
    /// `None` if rows are read from data files alone.
    shelf: Option<Arc<Shelf>>,
}

#[derive(Debug, Default)]
struct Tables {
    token_transfers: Option<Table>,
    ledgers: Option<Table>,
}

/// A dataset at one moment. Its files stay readable, whatever is written later.
#[derive(Clone, Debug)]
pub struct Snapshot {
    pub(super) token_transfers: Arc<Chain>,
    pub(super) ledgers: Arc<Chain>,
}

impl DatasetView {
    /// A view of the dataset in `store`. Nothing is asked of it yet.
    pub fn new(store: Store, limits: ViewLimits) -> Self {
        Self {
            store,
            tables: Mutex::default(),
            snapshot: watch::Sender::default(),
            is_gone: AtomicBool::new(false),
            files: Arc::new(Files::new(limits.cache_bytes_max)),
            turns: Arc::new(Semaphore::new(limits.decoding_max.max(1))),
            shelf: None,
        }
    }

    /// With a folder of this machine for rows in a form for look-ups. They are made by [`Self::keep_row_files`], or
    /// [`Self::make_row_files`].
    #[must_use]
    pub fn with_row_files(self, folder: PathBuf, limits: RowFileLimits) -> Self {
        let shelf = Shelf::new(folder, limits.disk_bytes_max, limits.memory_bytes_max);
        Self { shelf: Some(Arc::new(shelf)), ..self }
    }

    pub(super) fn shelf(&self) -> Option<&Arc<Shelf>> {
        self.shelf.as_ref()
    }

    /// What is needed to read a data file of `token_transfers`.
    pub(super) fn reading(&self) -> (Store, &Files, &Semaphore) {
        (self.store.within(TableKind::TokenTransfers.as_str()), &self.files, &self.turns)
    }

    /// What was seen last; `None` before both tables are there.
    pub fn snapshot(&self) -> Option<Arc<Snapshot>> {
        self.snapshot.borrow().clone()
    }

    /// Tells of every new snapshot.
    pub fn subscribe(&self) -> watch::Receiver<Option<Arc<Snapshot>>> {
        self.snapshot.subscribe()
    }

    /// Looks for what is new: one object a table if nothing is. Returns whether something was.
    ///
    /// # Errors
    ///
    /// [`DatasetError`] if the log cannot be read or contradicts itself; the snapshot stays as it was.
    pub async fn refresh(&self) -> Result<bool, DatasetError> {
        let mut tables = self.tables.lock().await;
        let Tables { token_transfers, ledgers } = &mut *tables;
        try_join(
            follow(&self.store, TableKind::TokenTransfers, token_transfers),
            follow(&self.store, TableKind::Ledgers, ledgers),
        )
        .await?;
        let (Some(token_transfers), Some(ledgers)) = (token_transfers, ledgers) else { return Ok(false) };
        let before = self.snapshot();
        // One table may have gone on while the other one failed: what was shown decides, not what was just read.
        let chain = |shown: Option<&Arc<Chain>>, table: &Table| match shown {
            Some(shown) if shown.tip.slot == table.chain.tip.slot => (false, Arc::clone(shown)),
            _ => (true, Arc::new(table.chain.clone())),
        };
        let shown = before.as_deref();
        let (events, token_transfers) = chain(shown.map(|shown| &shown.token_transfers), token_transfers);
        let (headers, ledgers) = chain(shown.map(|shown| &shown.ledgers), ledgers);
        if !events && !headers {
            return Ok(false);
        }
        let snapshot = Snapshot { token_transfers, ledgers };
        self.snapshot.send_replace(Some(Arc::new(snapshot)));
        Ok(true)
    }

    /// Whether the dataset was there and has been deleted, as far as the last look knows.
    pub fn is_gone(&self) -> bool {
        self.is_gone.load(Ordering::Relaxed)
    }

    /// Looks whether the first slot of the logs, which nothing ever deletes, is still there. Whether it is so is told once.
    ///
    /// # Errors
    ///
    /// [`DatasetError`] if that cannot be told now.
    pub async fn look_for_loss(&self) -> Result<(), DatasetError> {
        if self.snapshot().is_none() {
            return Ok(());
        }
        let mut is_gone = false;
        for kind in [TableKind::TokenTransfers, TableKind::Ledgers] {
            is_gone |= self.store.within(kind.as_str()).head(&slot_path(0)).await?.is_none();
        }
        let was_gone = self.is_gone.swap(is_gone, Ordering::Relaxed);
        let dataset = self.store.place().unwrap_or_default();
        match (was_gone, is_gone) {
            (false, true) => tracing::error!(
                dataset,
                "the dataset is gone: its log has been deleted, or its disk is not mounted; stop the node before it writes more, \
                 bring the dataset back, and start it again"
            ),
            (true, false) => tracing::info!(dataset, "the dataset is there again"),
            _ => {}
        }
        Ok(())
    }

    /// Looks for what is new every `period`, for ever. Failures are logged and tried again: what was seen stays readable.
    pub async fn follow(&self, period: Duration) {
        let (mut failed, mut looks) = (false, 0_u32);
        loop {
            looks = looks.wrapping_add(1);
            let looked = match self.refresh().await {
                Ok(_) if looks.is_multiple_of(LOOKS_PER_LOOK_FOR_LOSS) => self.look_for_loss().await,
                looked => looked.map(drop),
            };
            match looked {
                Ok(()) => failed = false,
                Err(error) if failed => tracing::debug!(%error, "dataset cannot be followed"),
                Err(error) => {
                    tracing::warn!(%error, "dataset cannot be followed, trying again");
                    failed = true;
                }
            }
            tokio::time::sleep(period).await;
        }
    }

    /// Reads rows of a snapshot.
    pub fn scan(&self, snapshot: &Arc<Snapshot>, request: ScanRequest) -> Scan {
        let store = self.store.within(request.table.as_str());
        let (files, turns) = (Arc::clone(&self.files), Arc::clone(&self.turns));
        Scan::new(store, files, turns, self.shelf.clone(), Arc::clone(snapshot), request)
    }
}

impl Snapshot {
    pub(super) fn chain(&self, kind: TableKind) -> &Chain {
        match kind {
            TableKind::TokenTransfers => &self.token_transfers,
            TableKind::Ledgers => &self.ledgers,
        }
    }

    /// The first ledger that the dataset is to have.
    pub fn first(&self) -> LedgerSequence {
        let first = |chain: &Chain| chain.configuration().start_ledger;
        first(&self.token_transfers).max(first(&self.ledgers))
    }

    /// The last ledger that is in both tables, if one is.
    pub fn last(&self) -> Option<LedgerSequence> {
        let next = self.token_transfers.tip.next_ledger.min(self.ledgers.tip.next_ledger);
        next.0.checked_sub(1).map(LedgerSequence).filter(|last| *last >= self.first())
    }

    /// Hash and close time of [`Self::last`].
    pub fn last_ledger(&self) -> Option<(LedgerSequence, Hash32, CloseTime)> {
        let behind = |a: &Chain, b: &Chain| a.tip.next_ledger <= b.tip.next_ledger;
        let chain =
            if behind(&self.token_transfers, &self.ledgers) { &self.token_transfers } else { &self.ledgers };
        Some((self.last()?, chain.tip.last_ledger_hash?, chain.tip.closed_at?))
    }

    /// Every ledger of it; empty if it has none yet.
    pub fn span(&self) -> Span {
        match self.last() {
            Some(last) => Span::ledgers(self.first()..=last),
            None => Span { first: Span::ALL.last, last: Span::ALL.first },
        }
    }

    /// Slots of both tables: snapshots of one dataset that have the same have the same content.
    pub fn slots(&self) -> (u64, u64) {
        (self.token_transfers.tip.slot, self.ledgers.tip.slot)
    }

    /// The network's passphrase.
    pub fn network_passphrase(&self) -> &str {
        &self.token_transfers.configuration().network_passphrase
    }

    /// Rows of a table.
    pub fn rows(&self, kind: TableKind) -> u64 {
        self.chain(kind).tip.total_rows
    }

    /// Live files of a table with their ledgers, by first ledger.
    pub fn files(
        &self,
        kind: TableKind,
    ) -> impl DoubleEndedIterator<Item = (String, RangeInclusive<LedgerSequence>)> + '_ {
        let files = self.chain(kind).files.values();
        files.map(|file| (file.name.to_string(), file.name.range.clone()))
    }

    /// Ledgers and close times of the files of `ledgers`, by first ledger.
    pub fn close_times(
        &self,
    ) -> impl DoubleEndedIterator<Item = (RangeInclusive<LedgerSequence>, RangeInclusive<CloseTime>)> + '_
    {
        self.ledgers.files.values().map(|file| (file.ledgers.clone(), file.closed_at.clone()))
    }
}

/// Goes on to the end of a table's log, or opens it.
async fn follow(dataset: &Store, kind: TableKind, table: &mut Option<Table>) -> Result<(), DatasetError> {
    if let Some(table) = table {
        let path = slot_path(table.chain.tip.slot + 1);
        let Some(bytes) = table.store.read(&path, SLOT_BYTES_MAX).await? else { return Ok(()) };
        table.chain.follow(&bytes).map_err(|problem| content(&table.store, &path, problem))?;
        return table.refresh().await;
    }
    let store = dataset.within(kind.as_str());
    let path = slot_path(0);
    let Some(bytes) = store.read(&path, SLOT_BYTES_MAX).await? else { return Ok(()) };
    let chain = Chain::genesis(&bytes).map_err(|problem| content(&store, &path, problem))?;
    if chain.configuration().kind != kind {
        return Err(content(&store, &path, format!("its rows are {}", chain.configuration().kind)));
    }
    // Nothing here writes checkpoints, whatever their interval is.
    let mut opened = Table::of(store, chain, u64::MAX, 0);
    opened.restore().await?;
    opened.refresh().await?;
    *table = Some(opened);
    Ok(())
}
