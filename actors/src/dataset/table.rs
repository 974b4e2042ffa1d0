//! One table: opened, appended to, changed. All decisions are `commit`'s and `chain`'s; this performs them.

use std::ops::RangeInclusive;

use bytes::Bytes;
use futures::{StreamExt, stream};
use orrery_schemas::{CloseTime, Hash32, LedgerSequence, RowDigest};
use orrery_supervisor::seeded_bug;

use super::announced::AnnouncedEpoch;
use super::chain::{Chain, Tip};
use super::commit::{Action, Append, CommitCore, Event, Intent, Outcome};
use super::configuration::{Configuration, Epoch, Epochs};
use super::error::{Halt, StoreError};
use super::file::{FILE_BYTES_MAX, SlotFile, SlotFileEncoder};
use super::grid::Grid;
use super::inventory::QUARANTINE;
use super::kind::TableKind;
use super::slot::{Change, MetaData, SLOT_BYTES_MAX, encode_genesis, sha256, slot_path};
use super::store::Store;
use super::{DatasetError, DatasetSettings};

/// Slots that are read ahead while the log is followed.
const READ_AHEAD: usize = 8;

/// Ledgers to append, with their rows.
#[derive(Clone, Debug)]
pub struct SlotRows {
    /// As [`Table::next_range`] gave it.
    pub range: RangeInclusive<LedgerSequence>,
    /// Hash of the ledger before the first.
    pub parent_hash: Hash32,
    /// Hash of the last ledger.
    pub last_hash: Hash32,
    /// Close time of the last ledger.
    pub closed_at: CloseTime,
    /// The rows; `None` if there are none.
    pub file: Option<SlotFile>,
    /// Their digest: [`RowDigest::of`] or [`super::ledgers_digest`].
    pub digest: RowDigest,
}

/// An open table.
#[derive(Debug)]
pub struct Table {
    pub(super) store: Store,
    pub(super) chain: Chain,
    pub(super) slots_per_checkpoint: u64,
    /// The newest checkpoint that was read or written.
    pub(super) checkpoint: Option<u64>,
    /// The next epoch, if one is announced, and the settings from there on.
    pub(super) announced: Option<(AnnouncedEpoch, Configuration)>,
    /// The newest rules that rows can be made by here.
    pub(super) processor_version: u32,
}

impl Table {
    /// Opens the table of `kind` in a dataset. Creates it if nothing is there and the settings say how; otherwise its
    /// settings must be those given.
    ///
    /// # Errors
    ///
    /// [`DatasetError`]: other settings, a log that contradicts itself, a store that fails.
    pub async fn open(
        dataset: &Store,
        kind: TableKind,
        settings: &DatasetSettings,
    ) -> Result<Self, DatasetError> {
        let grid = settings.grid.clone().unwrap_or_default();
        Self::open_or_create(dataset, kind, settings, grid).await
    }

    /// As [`Self::open`]; a new table has the grid `grid`.
    pub(super) async fn open_or_create(
        dataset: &Store,
        kind: TableKind,
        settings: &DatasetSettings,
        grid: Grid,
    ) -> Result<Self, DatasetError> {
        let store = dataset.within(kind.as_str());
        let path = slot_path(0);
        let genesis = match store.read(&path, SLOT_BYTES_MAX).await? {
            Some(genesis) => genesis,
            None => create(&store, kind, settings, grid).await?,
        };
        let first = Chain::genesis(&genesis).map_err(|problem| content(&store, &path, problem))?;
        check_settings(&store, kind, &first, settings)?;
        let slots_per_checkpoint = settings.slots_per_checkpoint.max(1);
        let mut table = Self::of(store, first, slots_per_checkpoint, settings.processor_version);
        table.restore().await?;
        table.refresh().await?;
        table.hear().await?;
        table.check_grid(settings)?;
        table.repair_checkpoint().await;
        Ok(table)
    }

    /// A table of which no more is known than its first slot.
    pub(super) fn of(store: Store, chain: Chain, slots_per_checkpoint: u64, processor_version: u32) -> Self {
        Self { store, chain, slots_per_checkpoint, checkpoint: None, announced: None, processor_version }
    }

    /// Opens the table of `kind` to look at it: nothing is created or repaired. `None` if there is none.
    ///
    /// # Errors
    ///
    /// [`DatasetError`]: a log that contradicts itself, a store that fails.
    pub(super) async fn look_at(
        dataset: &Store,
        kind: TableKind,
        slots_per_checkpoint: u64,
    ) -> Result<Option<Self>, DatasetError> {
        let store = dataset.within(kind.as_str());
        let path = slot_path(0);
        let Some(genesis) = store.read(&path, SLOT_BYTES_MAX).await? else { return Ok(None) };
        let chain = Chain::genesis(&genesis).map_err(|problem| content(&store, &path, problem))?;
        check_settings(&store, kind, &chain, &DatasetSettings::default())?;
        let mut table = Self::of(store, chain, slots_per_checkpoint, 0);
        table.restore().await?;
        table.refresh().await?;
        Ok(Some(table))
    }

    /// Which table it is.
    pub fn kind(&self) -> TableKind {
        self.chain.configuration().kind
    }

    /// Its id in slot 0: that of a table which was made anew with other settings is another.
    pub fn id(&self) -> &str {
        &self.chain.metadata.id
    }

    /// Where it is, for a person.
    pub fn name(&self) -> String {
        self.store.name("")
    }

    /// Its settings as of the tip.
    pub fn configuration(&self) -> &Configuration {
        self.chain.configuration()
    }

    /// The end of its chain, as far as it was seen.
    pub fn tip(&self) -> &Tip {
        &self.chain.tip
    }

    /// The ledgers of the next slot; a bounded run ends at `to`. `None` if the table is at or past `to`.
    pub fn next_range(&self, to: Option<LedgerSequence>) -> Option<RangeInclusive<LedgerSequence>> {
        self.range_at(self.tip().next_ledger, to)
    }

    /// An encoder for the file of a slot.
    ///
    /// # Errors
    ///
    /// As [`SlotFileEncoder::new`].
    pub fn encoder(&self, range: RangeInclusive<LedgerSequence>) -> Result<SlotFileEncoder, DatasetError> {
        SlotFileEncoder::new(self.kind(), &self.configuration().network_passphrase, range)
    }

    /// Appends a slot. When this returns, the slot was seen in the log with our bytes or with our rows, or the tip has
    /// moved: see [`Outcome`]. Ledgers that the table has already are [`Outcome::Superseded`] at once.
    ///
    /// # Errors
    ///
    /// [`DatasetError::Halted`] if the log contradicts the rows; [`DatasetError::Parent`] if the ledgers do not hang on
    /// the table's last one; [`DatasetError::Rows`] if they leave a gap or are no slot; [`DatasetError::Store`]. The table
    /// can be used on after any of them.
    pub async fn commit(&mut self, rows: SlotRows) -> Result<Outcome, DatasetError> {
        let SlotRows { range, parent_hash, last_hash, closed_at, file, digest } = rows;
        if *range.start() < self.tip().next_ledger {
            return Ok(Outcome::Superseded);
        }
        let add = file.as_ref().map(|file| file.to_add(digest, closed_at));
        let append = Append { range, parent_hash, last_hash, closed_at, digest, file: add };
        self.append(append, file.map(|file| file.bytes)).await
    }

    /// Appends at the tip.
    pub(super) async fn append(
        &mut self,
        append: Append,
        file_bytes: Option<Bytes>,
    ) -> Result<Outcome, DatasetError> {
        if let Some(expected) = self.tip().last_ledger_hash.filter(|hash| *hash != append.parent_hash)
            && append.range.start() == &self.tip().next_ledger
        {
            let (range, found) = (append.range, append.parent_hash);
            return Err(DatasetError::Parent { range, expected, found });
        }
        self.enter_epoch(*append.range.start()).await?;
        let outcome = self.perform(Intent::Append(append), file_bytes).await?;
        self.checkpoint_if_due().await;
        if outcome != Outcome::Committed {
            // We are late: whoever was faster has probably written more.
            self.refresh().await?;
        }
        Ok(outcome)
    }

    /// Follows the log to its end.
    ///
    /// # Errors
    ///
    /// [`DatasetError::Content`] for a slot that does not continue the chain; [`DatasetError::Store`].
    pub async fn refresh(&mut self) -> Result<(), DatasetError> {
        let store = self.store.clone();
        let slots = stream::iter(self.chain.tip.slot + 1..).map(|slot| {
            let store = store.clone();
            async move { store.read(&slot_path(slot), SLOT_BYTES_MAX).await }
        });
        let mut slots = std::pin::pin!(slots.buffered(READ_AHEAD));
        while let Some(bytes) = slots.next().await.transpose()?.flatten() {
            let path = slot_path(self.chain.tip.slot + 1);
            if seeded_bug!(B16, !self.is_listed(&path).await?, false) {
                break;
            }
            self.chain.follow(&bytes).map_err(|problem| content(&self.store, &path, problem))?;
        }
        Ok(())
    }

    #[cfg(feature = "seeded-bugs")]
    async fn is_listed(&self, path: &str) -> Result<bool, DatasetError> {
        Ok(self.store.list("_delta_log").await?.iter().any(|listed| path.ends_with(&listed.name)))
    }

    /// Performs what the core of a commit decides.
    pub(super) async fn perform(
        &mut self,
        intent: Intent,
        file_bytes: Option<Bytes>,
    ) -> Result<Outcome, DatasetError> {
        let range = match &intent {
            Intent::Append(append) => append.range.clone(),
            Intent::Change(Change::Compaction { add, .. }) | Intent::Store(add) => add.name.range.clone(),
            Intent::Change(_) => self.chain.tip.next_ledger..=self.chain.tip.next_ledger,
        };
        let store = &self.store;
        let mut core = CommitCore::new(&mut self.chain, intent, file_bytes, store.attempts_max());
        let mut action = core.start();
        loop {
            let event = match action {
                Action::PutFile { path, bytes, attempt } => {
                    pause(store, attempt).await;
                    Event::FilePut(store.put_create(&path, bytes).await?)
                }
                Action::ReadFile { path } => Event::FileRead(store.read(&path, FILE_BYTES_MAX).await?),
                Action::PutSlot { path, bytes, attempt } => {
                    pause(store, attempt).await;
                    Event::SlotPut(store.put_create(&path, bytes).await?)
                }
                Action::ReadSlot { path } => Event::SlotRead(store.read(&path, SLOT_BYTES_MAX).await?),
                Action::Finish(outcome) => return Ok(outcome),
                Action::Halt { path, ours, theirs, reason } => {
                    let kept = keep(store, &path, &ours, &theirs).await;
                    let halt = Halt { path: store.name(&path), range, reason, ours, theirs, kept };
                    return Err(Box::new(halt).into());
                }
                Action::GiveUp { path, attempts } => {
                    let reason = "puts had no clear answer, and nothing is there".to_owned();
                    let path = store.name(&path);
                    return Err(StoreError::Unavailable { action: "create", path, reason, attempts }.into());
                }
                Action::Refuse(problem) => return Err(DatasetError::rows(&range, problem)),
            };
            action = core.step(event);
        }
    }

    /// A grid that was asked for is that of slot 0, or what epochs made of it.
    fn check_grid(&self, settings: &DatasetSettings) -> Result<(), DatasetError> {
        let found = &self.configuration().grid;
        let Some(expected) = settings.grid.as_ref() else { return Ok(()) };
        if found.steps().starts_with(expected.steps()) {
            return Ok(());
        }
        Err(DatasetError::OtherSettings {
            table: self.store.name(""),
            setting: "grid",
            found: found.to_string(),
            expected: expected.to_string(),
            fix: "leave the grid out of the configuration, or begin another dataset",
        })
    }
}

async fn pause(store: &Store, attempt: u32) {
    if attempt > 0 {
        store.pause(attempt).await;
    }
}

pub(super) fn content(store: &Store, path: &str, problem: String) -> DatasetError {
    DatasetError::content(&store.name(path), problem)
}

/// Writes slot 0. Whoever is first decides; the others read it.
async fn create(
    store: &Store,
    kind: TableKind,
    settings: &DatasetSettings,
    grid: Grid,
) -> Result<Bytes, DatasetError> {
    let no_table = |fix| DatasetError::NoTable { table: store.name(""), fix };
    let start_ledger = settings.start_ledger.ok_or_else(|| no_table("give its first ledger to create it"))?;
    let network_passphrase = settings.network_passphrase.clone();
    let epoch = Epoch {
        epoch: 1,
        from_ledger: start_ledger,
        schema_version: kind.schema_version(),
        processor_version: settings.processor_version,
    };
    let configuration = Configuration {
        kind,
        network_passphrase: network_passphrase.ok_or_else(|| no_table("give its network to create it"))?,
        start_ledger,
        grid,
        epochs: Epochs::first(epoch),
    };
    let genesis = encode_genesis(&MetaData::new(configuration));
    let path = slot_path(0);
    for attempt in 0..store.attempts_max() {
        pause(store, attempt).await;
        store.put_create(&path, genesis.clone()).await?;
        if let Some(found) = store.read(&path, SLOT_BYTES_MAX).await? {
            return Ok(found);
        }
    }
    let (reason, attempts) = ("no clear answer".to_owned(), store.attempts_max());
    Err(StoreError::Unavailable { action: "create", path: store.name(&path), reason, attempts }.into())
}

fn check_settings(
    store: &Store,
    kind: TableKind,
    chain: &Chain,
    settings: &DatasetSettings,
) -> Result<(), DatasetError> {
    let found = chain.configuration();
    let differs = |setting, found: String, expected: String, fix| {
        Err(DatasetError::OtherSettings { table: store.name(""), setting, found, expected, fix })
    };
    if found.kind != kind {
        return differs("kind of rows", found.kind.to_string(), kind.to_string(), "name another dataset");
    }
    if let Some(expected) = settings.network_passphrase.as_ref().filter(|it| **it != found.network_passphrase)
    {
        let texts = (format!("{:?}", found.network_passphrase), format!("{expected:?}"));
        return differs("network", texts.0, texts.1, "one dataset holds one network: name another dataset");
    }
    if let Some(expected) = settings.start_ledger.filter(|start| *start != found.start_ledger) {
        let texts = (found.start_ledger.to_string(), expected.to_string());
        return differs("first ledger", texts.0, texts.1, "leave it out to go on, or name another dataset");
    }
    Ok(())
}

/// Keeps both sides of a contradiction, named by their content. Returns the folder, or nothing if that failed too.
pub(super) async fn keep(store: &Store, path: &str, ours: &Bytes, theirs: &Bytes) -> String {
    let folder = format!("{QUARANTINE}/{}", path.replace('/', "."));
    for (side, bytes) in [("ours", ours), ("theirs", theirs)] {
        let digits: String = sha256(bytes).to_string().chars().take(16).collect();
        if let Err(error) = store.put_create(&format!("{folder}/{side}-{digits}"), bytes.clone()).await {
            tracing::error!(path, %error, "evidence of a contradiction could not be kept");
            return String::new();
        }
    }
    store.name(&folder)
}
