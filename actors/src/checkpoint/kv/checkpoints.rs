//! Key: `<output>` as text. Value: `{"ledger": N}`: every ledger up to N is durable in that output.

use orrery_schemas::LedgerSequence;
use serde::{Deserialize, Serialize};

use super::{all, get, put};
use crate::checkpoint::StateError;

/// The checkpoints of a node's outputs. The outputs themselves are the truth; these tell when one has gone back.
#[derive(Clone, Debug)]
pub struct Checkpoints(sled::Tree);

#[derive(Serialize, Deserialize)]
struct Stored {
    ledger: u32,
}

impl Checkpoints {
    pub(crate) const fn new(tree: sled::Tree) -> Self {
        Self(tree)
    }

    /// Notes that `output` has every ledger up to `ledger`. CKPT-1: never moves back; gives what is noted then.
    ///
    /// # Errors
    ///
    /// [`StateError`] of the disk.
    pub fn advance(&self, output: &str, ledger: LedgerSequence) -> Result<LedgerSequence, StateError> {
        let noted = self.get(output)?.filter(|noted| *noted >= ledger);
        if let Some(noted) = noted {
            return Ok(noted);
        }
        put(&self.0, output.as_bytes(), &Stored { ledger: ledger.0 })?;
        Ok(ledger)
    }

    /// What is noted of `output`.
    ///
    /// # Errors
    ///
    /// [`StateError`] of the disk.
    pub fn get(&self, output: &str) -> Result<Option<LedgerSequence>, StateError> {
        Ok(get::<Stored>(&self.0, output.as_bytes())?.map(|stored| LedgerSequence(stored.ledger)))
    }

    /// All of them, by output.
    ///
    /// # Errors
    ///
    /// [`StateError`] of the disk.
    pub fn list(&self) -> Result<Vec<(String, LedgerSequence)>, StateError> {
        let stored = all::<Stored>(&self.0)?;
        let named = |(key, stored): (sled::IVec, Stored)| {
            (String::from_utf8_lossy(&key).into_owned(), LedgerSequence(stored.ledger))
        };
        Ok(stored.into_iter().map(named).collect())
    }
}
