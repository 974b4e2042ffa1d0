//! Key: ledger (4 bytes, big-endian). Value in one tree: [`Quarantined`]; in the other: the bytes, zstd.

use std::io::Read;

use bytes::Bytes;
use orrery_schemas::LedgerSequence;
use serde::{Deserialize, Serialize};

use super::parked::task_of;
use super::{all, get, opened, put, read, sealed, written};
use crate::checkpoint::StateError;

/// Ledgers that are kept. One poison ledger parks its pipeline, so that more than a few are a sign of another trouble.
const LEDGERS_MAX: usize = 100;

/// Most bytes that one object may have had.
const OBJECT_BYTES_MAX: u64 = 256 << 20;

/// Ledgers that could not be processed, with the evidence.
#[derive(Clone, Debug)]
pub struct Quarantine {
    entries: sled::Tree,
    bytes: sled::Tree,
}

/// One of them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Quarantined {
    /// The ledger.
    pub ledger: u32,
    /// The pipeline that met it.
    pub pipeline: String,
    /// The dataset that it was for; empty for one that does not outlive the process.
    pub dataset: String,
    /// Name of the source.
    pub source: String,
    /// Object, file or answer that held it.
    pub file: String,
    /// What is wrong with it.
    pub reason: String,
    /// How often it failed in this way.
    pub attempts: u32,
    /// Size of the object that held it, as it came.
    pub object_bytes: usize,
}

impl Quarantine {
    pub(crate) const fn new(entries: sled::Tree, bytes: sled::Tree) -> Self {
        Self { entries, bytes }
    }

    /// Keeps a ledger; it is on disk when this returns. The oldest ledgers go when there are too many.
    ///
    /// # Errors
    ///
    /// [`StateError`] of the disk.
    pub fn keep(&self, entry: &Quarantined, bytes: &[u8]) -> Result<(), StateError> {
        let key = entry.ledger.to_be_bytes();
        let packed = zstd::encode_all(bytes, 3).map_err(|error| StateError::Sled {
            action: "pack a ledger for",
            source: sled::Error::Io(error),
        })?;
        self.bytes.insert(key, sealed(&packed)).map_err(written)?;
        put(&self.entries, &key, entry)?;
        while self.entries.len() > LEDGERS_MAX
            && let Some((oldest, _)) = self.entries.pop_min().map_err(written)?
        {
            self.bytes.remove(oldest).map_err(written)?;
        }
        self.bytes.flush().and_then(|_| self.entries.flush()).map(drop).map_err(written)
    }

    /// All of them, by ledger.
    ///
    /// # Errors
    ///
    /// [`StateError`] of the disk.
    pub fn list(&self) -> Result<Vec<Quarantined>, StateError> {
        Ok(all(&self.entries)?.into_iter().map(|(_, entry)| entry).collect())
    }

    /// One of them, with the bytes as they came; those are `None` if they were damaged since.
    ///
    /// # Errors
    ///
    /// [`StateError`] of the disk.
    pub fn get(&self, ledger: LedgerSequence) -> Result<Option<(Quarantined, Option<Bytes>)>, StateError> {
        let key = ledger.0.to_be_bytes();
        let Some(entry) = get(&self.entries, &key)? else { return Ok(None) };
        let packed = self.bytes.get(key).map_err(read)?;
        let bytes = packed.and_then(|packed| {
            let mut bytes = Vec::new();
            let decoder = zstd::Decoder::new(opened(&packed)?).ok()?;
            decoder.take(OBJECT_BYTES_MAX).read_to_end(&mut bytes).ok()?;
            Some(Bytes::from(bytes))
        });
        Ok(Some((entry, bytes)))
    }

    /// Forgets the ledgers up to `durable` that `pipeline` or a task of it met on the way to `dataset`, which has them now; gives
    /// them.
    ///
    /// # Errors
    ///
    /// [`StateError`] of the disk.
    pub(crate) fn release_until(
        &self,
        pipeline: &str,
        dataset: &str,
        durable: LedgerSequence,
    ) -> Result<Vec<Quarantined>, StateError> {
        // With every commit, and nearly always there are none.
        if self.entries.is_empty() {
            return Ok(Vec::new());
        }
        let entries = self.list()?.into_iter().filter(|entry| entry.ledger <= durable.0);
        let is_of = |name: &str| name == pipeline || task_of(name, pipeline).is_some();
        let mended = entries.filter(|entry| is_of(&entry.pipeline) && entry.dataset == dataset);
        let mended: Vec<_> = mended.collect();
        for entry in &mended {
            self.release(LedgerSequence(entry.ledger))?;
        }
        Ok(mended)
    }

    /// Forgets a ledger, to let it be tried again; says whether it was there.
    ///
    /// # Errors
    ///
    /// [`StateError`] of the disk.
    pub fn release(&self, ledger: LedgerSequence) -> Result<bool, StateError> {
        let key = ledger.0.to_be_bytes();
        let was = self.entries.remove(key).map_err(written)?.is_some();
        self.bytes.remove(key).map_err(written)?;
        self.entries.flush().map_err(written)?;
        Ok(was)
    }
}
