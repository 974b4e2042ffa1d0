//! Key: first ledger (4 bytes, big-endian), then the source's name. Value: `{"sha256": "<hex>"}` of the object's bytes.

use orrery_schemas::{Hash32, LedgerSequence};
use serde::{Deserialize, Serialize};

use super::{get, put, read, written};
use crate::checkpoint::StateError;

/// Objects that are remembered. Only those near the tip are ever fetched again; more cost disk for nothing.
const OBJECTS_MAX: u32 = 10_000;

/// What objects looked like when they were processed: one that has changed since is an alarm.
#[derive(Clone, Debug)]
pub struct Objects(sled::Tree);

/// Whether an object was seen before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Seen {
    /// It was not.
    New,
    /// It was, with the same bytes.
    Same,
    /// It was, with other bytes: this was their hash.
    Changed(Hash32),
}

#[derive(Serialize, Deserialize)]
struct Stored {
    sha256: String,
}

impl Objects {
    pub(crate) const fn new(tree: sled::Tree) -> Self {
        Self(tree)
    }

    /// Notes the object of `source` that begins with ledger `first`, and says what was noted of it before.
    ///
    /// # Errors
    ///
    /// [`StateError`] of the disk.
    pub fn remember(&self, source: &str, first: LedgerSequence, sha256: Hash32) -> Result<Seen, StateError> {
        let key = [&first.0.to_be_bytes()[..], source.as_bytes()].concat();
        let before = get::<Stored>(&self.0, &key)?.and_then(|stored| stored.sha256.parse::<Hash32>().ok());
        if before == Some(sha256) {
            return Ok(Seen::Same);
        }
        put(&self.0, &key, &Stored { sha256: sha256.to_string() })?;
        self.forget_before(first.0.saturating_sub(OBJECTS_MAX))?;
        Ok(before.map_or(Seen::New, Seen::Changed))
    }

    fn forget_before(&self, ledger: u32) -> Result<(), StateError> {
        for key in self.0.range(..ledger.to_be_bytes()).keys() {
            self.0.remove(key.map_err(read)?).map_err(written)?;
        }
        Ok(())
    }
}
