//! Key: number of the record (8 bytes, big-endian), growing. Value: [`RestartRecord`].

use serde::{Deserialize, Serialize};

use super::{all, put, read, written};
use crate::checkpoint::StateError;

/// Records that are kept.
const RECORDS_MAX: u64 = 1000;

/// What was restarted, and why: outlives the node's process.
#[derive(Clone, Debug)]
pub struct Restarts(sled::Tree);

/// One restart, with the fixed fields of a restart report.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RestartRecord {
    /// Path of the supervisor.
    pub supervisor: String,
    /// The child.
    pub child: String,
    /// Why it ended.
    pub reason: String,
    /// Restarts that counted, this one included.
    pub restarts_in_window: u32,
    /// Number of the life that ended.
    pub incarnation: u64,
}

impl Restarts {
    pub(crate) const fn new(tree: sled::Tree) -> Self {
        Self(tree)
    }

    /// Adds a record; the oldest goes when there are too many.
    ///
    /// # Errors
    ///
    /// [`StateError`] of the disk.
    pub fn add(&self, record: &RestartRecord) -> Result<(), StateError> {
        let number = |key: &sled::IVec| key.as_ref().try_into().map_or(0, u64::from_be_bytes);
        let last = self.0.last().map_err(read)?.map_or(0, |(key, _)| number(&key));
        put(&self.0, &(last + 1).to_be_bytes(), record)?;
        let gone = (last + 1).saturating_sub(RECORDS_MAX);
        self.0.remove(gone.to_be_bytes()).map(drop).map_err(written)
    }

    /// The newest of them, at most `count`, oldest first.
    ///
    /// # Errors
    ///
    /// [`StateError`] of the disk.
    pub fn latest(&self, count: usize) -> Result<Vec<RestartRecord>, StateError> {
        let all: Vec<_> = all(&self.0)?.into_iter().map(|(_, record)| record).collect();
        let skipped = all.len().saturating_sub(count);
        Ok(all.into_iter().skip(skipped).collect())
    }
}
