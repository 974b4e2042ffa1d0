//! Key: `<dataset> <table> <id>` as text; a dataset may have spaces, the others have none. Value: `{"ledger": N}`: every
//! ledger up to N is durable in that output.

use std::fmt;

use orrery_schemas::LedgerSequence;
use serde::{Deserialize, Serialize};

use super::{all, get, put, written};
use crate::checkpoint::StateError;

/// The checkpoints of a node's outputs. The outputs themselves are the truth; these tell when one has gone back.
#[derive(Clone, Debug)]
pub struct Checkpoints(sled::Tree);

/// An output, told apart from every other one that this node ever wrote to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OutputKey {
    /// Where its dataset is.
    pub dataset: String,
    /// Its table.
    pub table: String,
    /// The table's id: another one was made anew, and owes nothing to the one before.
    pub id: String,
}

/// What an output has, beside what was noted of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Opened {
    /// Nothing was noted, or no more than it has: that is what is noted now.
    Sound,
    /// Another table was noted in its place, up to this ledger; it was made anew.
    MadeAnew(LedgerSequence),
    /// CKPT-1: every ledger up to this one was durable, and it has fewer. The note is as it was.
    WentBack(LedgerSequence),
}

#[derive(Serialize, Deserialize)]
struct Stored {
    ledger: u32,
}

impl fmt::Display for OutputKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {} {}", self.dataset, self.table, self.id)
    }
}

impl OutputKey {
    fn parse(key: &[u8]) -> Option<Self> {
        let mut parts = str::from_utf8(key).ok()?.rsplitn(3, ' ').map(str::to_owned);
        let (id, table, dataset) = (parts.next()?, parts.next()?, parts.next()?);
        Some(Self { dataset, table, id })
    }

    /// Whether it is a table of the same dataset.
    fn is_beside(&self, other: &Self) -> bool {
        self.dataset == other.dataset
    }
}

impl Checkpoints {
    pub(crate) const fn new(tree: sled::Tree) -> Self {
        Self(tree)
    }

    /// Compares what `output` has, every ledger up to `durable` or none, with what was `noted` of it before it was looked at:
    /// others of this process may have noted more since. What it has is noted, but for one that went back: after lost
    /// state, checkpoints are rebuilt here.
    ///
    /// # Errors
    ///
    /// [`StateError`] of the disk.
    pub fn open(
        &self,
        output: &OutputKey,
        noted: Option<LedgerSequence>,
        durable: Option<LedgerSequence>,
    ) -> Result<Opened, StateError> {
        if let Some(noted) = noted.filter(|noted| durable.is_none_or(|durable| durable < *noted)) {
            return Ok(Opened::WentBack(noted));
        }
        let others = self.list()?.into_iter();
        let others = others.filter(|(key, _)| key.is_beside(output) && key.table == output.table);
        let mut before = None;
        for (key, ledger) in others.filter(|(key, _)| key.id != output.id) {
            before = Some(ledger);
            self.0.remove(key.to_string()).map_err(written)?;
        }
        if let Some(durable) = durable {
            self.advance(output, durable)?;
        }
        Ok(before.map_or(Opened::Sound, Opened::MadeAnew))
    }

    /// Notes that `output` has every ledger up to `ledger`. CKPT-1: never moves back; gives what is noted then.
    ///
    /// # Errors
    ///
    /// [`StateError`] of the disk.
    pub fn advance(&self, output: &OutputKey, ledger: LedgerSequence) -> Result<LedgerSequence, StateError> {
        let noted = self.get(output)?.filter(|noted| *noted >= ledger);
        if let Some(noted) = noted {
            return Ok(noted);
        }
        put(&self.0, output.to_string().as_bytes(), &Stored { ledger: ledger.0 })?;
        Ok(ledger)
    }

    /// What is noted of `output`.
    ///
    /// # Errors
    ///
    /// [`StateError`] of the disk.
    pub fn get(&self, output: &OutputKey) -> Result<Option<LedgerSequence>, StateError> {
        let stored = get::<Stored>(&self.0, output.to_string().as_bytes())?;
        Ok(stored.map(|stored| LedgerSequence(stored.ledger)))
    }

    /// What is noted of the tables of the dataset that `output` belongs to.
    ///
    /// # Errors
    ///
    /// [`StateError`] of the disk.
    pub fn of_dataset(&self, output: &OutputKey) -> Result<Vec<LedgerSequence>, StateError> {
        let noted = self.list()?.into_iter().filter(|(key, _)| key.is_beside(output));
        Ok(noted.map(|(_, ledger)| ledger).collect())
    }

    /// Forgets what is noted of both tables of a dataset: a person is told, and what it has then is what counts.
    ///
    /// # Errors
    ///
    /// [`StateError`] of the disk.
    pub fn forget_dataset(&self, output: &OutputKey) -> Result<(), StateError> {
        for (key, _) in self.list()?.into_iter().filter(|(key, _)| key.is_beside(output)) {
            self.0.remove(key.to_string()).map_err(written)?;
        }
        self.0.flush().map(drop).map_err(written)
    }

    /// All of them, by output.
    ///
    /// # Errors
    ///
    /// [`StateError`] of the disk.
    pub fn list(&self) -> Result<Vec<(OutputKey, LedgerSequence)>, StateError> {
        let stored = all::<Stored>(&self.0)?;
        let named = |(key, stored): (sled::IVec, Stored)| {
            Some((OutputKey::parse(&key)?, LedgerSequence(stored.ledger)))
        };
        Ok(stored.into_iter().filter_map(named).collect())
    }
}
