//! A table as regions exchange it: slots and files that another region has made, put if absent as a commit does, and what
//! slots say as far as two regions compare it.

use std::ops::{Range, RangeInclusive};

use bytes::Bytes;
use orrery_schemas::{Hash32, LedgerSequence, RowDigest};

use super::chain::{Chain, Tip};
use super::compaction::blocking;
use super::slot::{AddFile, Change, Commit, FileName, SLOT_BYTES_MAX, parse_genesis, sha256, slot_path};
use super::store::Put;
use super::table::{content, keep};
use super::{AnnouncedEpoch, DatasetError, DatasetSettings, Halt, Store, StoreError, Table, TableKind};

/// Largest file that regions exchange. It is in memory while it is copied.
pub const OBJECT_BYTES_MAX: u64 = 1 << 30;

/// A file that a slot names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SlotObject {
    /// Below the table.
    pub path: String,
    /// Of its bytes.
    pub sha256: Hash32,
    /// How many they are.
    pub bytes: u64,
}

/// What a slot says, as far as two regions compare it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SlotFacts {
    /// Of its bytes.
    pub sha256: Hash32,
    /// Of the slot before; `None` for the first.
    pub prev: Option<Hash32>,
    /// What it does.
    pub does: SlotDoes,
    /// The file that it adds.
    pub object: Option<SlotObject>,
}

/// What a slot does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SlotDoes {
    /// The first one: the table's id, which is a function of its settings.
    Begins(String),
    /// Adds ledgers.
    Appends(AppendFacts),
    /// Other files with the same rows.
    Compacts,
    /// An epoch: the table's settings from then on, as text.
    Changes(String),
}

/// What a slot adds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AppendFacts {
    /// Its ledgers.
    pub range: RangeInclusive<LedgerSequence>,
    /// Hash of the ledger before.
    pub parent: Hash32,
    /// Hash of the last one.
    pub last: Hash32,
    /// How many rows.
    pub rows: u64,
    /// Their digest.
    pub digest: RowDigest,
}

/// Reads what slot number `slot` says.
///
/// # Errors
///
/// What is wrong with it, for a person.
pub fn slot_facts(slot: u64, bytes: &[u8]) -> Result<SlotFacts, String> {
    if slot == 0 {
        let metadata = parse_genesis(bytes)?;
        let does = SlotDoes::Begins(metadata.id);
        return Ok(SlotFacts { sha256: sha256(bytes), prev: None, does, object: None });
    }
    let commit = Commit::parse(bytes)?;
    let of = |add: &AddFile| SlotObject { path: add.name.to_string(), sha256: add.sha256, bytes: add.bytes };
    let (does, object) = match &commit.change {
        Change::Append(add) => {
            let facts = AppendFacts {
                range: commit.first_ledger..=commit.last_ledger,
                parent: commit.parent_ledger_hash,
                last: commit.last_ledger_hash,
                rows: commit.rows,
                digest: commit.row_digest,
            };
            (SlotDoes::Appends(facts), add.as_ref().map(of))
        }
        Change::Compaction { add, .. } => (SlotDoes::Compacts, Some(of(add))),
        Change::Epoch(metadata) => (SlotDoes::Changes(format!("{:?}", metadata.configuration)), None),
    };
    Ok(SlotFacts { sha256: sha256(bytes), prev: Some(commit.prev), does, object })
}

/// What came of putting a slot.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SlotPut {
    /// The log has exactly these bytes.
    Done,
    /// The log has another slot of this number by now.
    Taken,
    /// It does not continue the log: what is wrong, for a person.
    Unfit(String),
}

/// A table that is there, or is to be copied from its first slot on.
#[derive(Debug)]
pub struct Replica {
    dataset: Store,
    kind: TableKind,
    settings: DatasetSettings,
    table: Option<Table>,
}

impl Replica {
    /// Of the dataset, whatever is in it; `settings` say what it must be. Nothing is asked of the store yet.
    pub fn new(dataset: &Store, kind: TableKind, settings: &DatasetSettings) -> Self {
        // Without a first ledger nothing is ever created by opening.
        let settings = settings.of_existing();
        Self { dataset: dataset.clone(), kind, settings, table: None }
    }

    /// Follows the log to its end; `None` while there is no table.
    ///
    /// # Errors
    ///
    /// [`DatasetError`]: as [`Table::open`] and [`Table::look`].
    pub async fn look(&mut self) -> Result<Option<&Tip>, DatasetError> {
        match &mut self.table {
            Some(table) => drop(table.look().await?),
            None => match Table::open(&self.dataset, self.kind, &self.settings).await {
                Ok(table) => self.table = Some(table),
                Err(DatasetError::NoTable { .. }) => {}
                Err(error) => return Err(error),
            },
        }
        Ok(self.tip())
    }

    /// The end of its log as it was seen last.
    pub fn tip(&self) -> Option<&Tip> {
        self.table.as_ref().map(Table::tip)
    }

    /// The table, if there is one.
    pub fn table(&self) -> Option<&Table> {
        self.table.as_ref()
    }

    /// Has the epochs of another region's table announced in this one, as they come. Whether there was something new.
    ///
    /// # Errors
    ///
    /// [`DatasetError::Epoch`] if this table cannot have them any more, or has others; [`DatasetError::Store`].
    pub async fn take_epoch(&mut self, epochs: &[AnnouncedEpoch]) -> Result<bool, DatasetError> {
        match &mut self.table {
            Some(table) => table.take_epoch(epochs).await,
            None => Ok(false),
        }
    }

    /// Puts the next slot, whose file is there.
    ///
    /// # Errors
    ///
    /// [`DatasetError`] of the store.
    pub async fn put_slot(&mut self, slot: u64, bytes: Bytes) -> Result<SlotPut, DatasetError> {
        let store = self.dataset.within(self.kind.as_str());
        if let Some(tip) = self.tip() {
            // Whoever has emptied the dataset meanwhile would get a log that begins in the middle.
            let last = store.read(&slot_path(tip.slot), SLOT_BYTES_MAX).await?;
            if last.map(|bytes| sha256(&bytes)) != Some(tip.slot_sha256) {
                self.table = None;
                return Ok(SlotPut::Taken);
            }
        }
        let problem = match &self.table {
            None if slot == 0 => self.begins(&bytes).err(),
            None => Some("there is no table yet".to_owned()),
            Some(table) if table.tip().slot + 1 != slot => {
                self.look().await?;
                return Ok(SlotPut::Taken);
            }
            Some(table) => Commit::parse(&bytes).and_then(|commit| table.chain.check(&commit)).err(),
        };
        if let Some(problem) = problem {
            return Ok(SlotPut::Unfit(problem));
        }
        let path = slot_path(slot);
        let mut is_ours = store.put_create(&path, bytes.clone()).await? == Put::Created;
        if !is_ours {
            let Some(found) = store.read(&path, SLOT_BYTES_MAX).await? else {
                return Err(unclear(&store, &path).into());
            };
            is_ours = found == bytes;
        }
        self.look().await?;
        if let Some(table) = &mut self.table {
            table.checkpoint_if_due().await;
        }
        Ok(if is_ours { SlotPut::Done } else { SlotPut::Taken })
    }

    /// Whether a first slot may become this table's.
    fn begins(&self, bytes: &[u8]) -> Result<(), String> {
        let chain = Chain::genesis(bytes)?;
        let found = chain.configuration();
        if found.kind != self.kind {
            return Err(format!("it is of the table {}", found.kind));
        }
        match &self.settings.network_passphrase {
            Some(expected) if *expected != found.network_passphrase => {
                Err(format!("its network is {:?}, ours {expected:?}", found.network_passphrase))
            }
            _ => Ok(()),
        }
    }
}

fn unclear(store: &Store, path: &str) -> StoreError {
    let (path, reason) = (store.name(path), "puts had no clear answer, and nothing is there".to_owned());
    StoreError::Unavailable { action: "create", path, reason, attempts: store.attempts_max() }
}

/// Reads a slot of a table, for a peer region.
///
/// # Errors
///
/// [`DatasetError::Store`].
pub async fn read_slot(dataset: &Store, kind: TableKind, slot: u64) -> Result<Option<Bytes>, DatasetError> {
    Ok(dataset.within(kind.as_str()).read(&slot_path(slot), SLOT_BYTES_MAX).await?)
}

/// Reads a part of a file that a slot names, for a peer region.
///
/// # Errors
///
/// [`DatasetError::Store`]; [`DatasetError::Content`] if `path` is no name of a data file.
pub async fn read_object(
    dataset: &Store,
    kind: TableKind,
    path: &str,
    range: Range<u64>,
) -> Result<Option<Bytes>, DatasetError> {
    let store = dataset.within(kind.as_str());
    path.parse::<FileName>().map_err(|problem| content(&store, path, problem))?;
    let parts = store.read_ranges(path, &[range]).await?;
    Ok(parts.and_then(|parts| parts.into_iter().next()))
}

/// Puts a file whose bytes were checked. One that is there must be the same.
///
/// # Errors
///
/// [`DatasetError::Halted`] with both kept if it is not; [`DatasetError::Store`].
pub async fn put_object(
    dataset: &Store,
    kind: TableKind,
    object: &SlotObject,
    bytes: Bytes,
) -> Result<(), DatasetError> {
    let store = dataset.within(kind.as_str());
    let name: FileName = object.path.parse().map_err(|problem| content(&store, &object.path, problem))?;
    for attempt in 0..store.attempts_max() {
        if attempt > 0 {
            store.pause(attempt).await;
        }
        if store.put_create(&object.path, bytes.clone()).await? == Put::Created {
            return Ok(());
        }
        match store.read(&object.path, OBJECT_BYTES_MAX).await? {
            Some(found) if found == bytes => return Ok(()),
            Some(found) => {
                let kept = keep(&store, &object.path, &found, &bytes).await;
                let reason = "the data file of this name has other bytes than its name says".to_owned();
                let path = store.name(&object.path);
                let halt = Halt { path, range: name.range, reason, ours: found, theirs: bytes, kept };
                return Err(Box::new(halt).into());
            }
            None => {}
        }
    }
    Err(unclear(&store, &object.path).into())
}

/// Keeps both sides of a difference, named by their content; gives the folder, or nothing if that failed.
pub async fn keep_difference(
    dataset: &Store,
    kind: TableKind,
    slot: u64,
    ours: &Bytes,
    theirs: &Bytes,
) -> String {
    keep(&dataset.within(kind.as_str()), &slot_path(slot), ours, theirs).await
}

/// Whether these are the bytes that a slot names.
pub async fn is_object(object: &SlotObject, bytes: &Bytes) -> bool {
    if bytes.len() as u64 != object.bytes {
        return false;
    }
    let (expected, bytes) = (object.sha256, bytes.clone());
    blocking(move || Ok(sha256(&bytes) == expected)).await.unwrap_or(false)
}

/// SHA-256 of what came, as slots and files are compared.
pub fn object_sha256(bytes: &[u8]) -> Hash32 {
    sha256(bytes)
}

#[cfg(test)]
mod tests;
