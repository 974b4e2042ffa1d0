//! What a reader gets that is further behind than memory reaches.

use std::ops::RangeInclusive;
use std::sync::Arc;

use futures::future::BoxFuture;
use orrery_schemas::LedgerSequence;

use super::ledger::FeedLedger;
use super::tips::Extent;

/// Consecutive ledgers that are read at once.
#[derive(Clone, Debug)]
pub struct Page {
    /// At least one.
    pub ledgers: Vec<Arc<FeedLedger>>,
}

impl Page {
    /// First and last ledger.
    pub fn range(&self) -> Option<RangeInclusive<LedgerSequence>> {
        Some(self.ledgers.first()?.sequence()..=self.ledgers.last()?.sequence())
    }

    /// A ledger, if it is in it.
    pub fn get(&self, ledger: LedgerSequence) -> Option<&Arc<FeedLedger>> {
        let first = self.ledgers.first()?.sequence();
        self.ledgers.get(ledger.0.checked_sub(first.0)? as usize)
    }

    /// Bytes of its ledgers.
    pub fn bytes(&self) -> usize {
        self.ledgers.iter().map(|ledger| ledger.bytes).sum()
    }
}

/// Ledgers could not be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("read the dataset: {reason}")]
pub struct HistoryError {
    /// What the dataset says, with the object.
    pub reason: String,
    /// Whether trying again may help.
    pub is_passing: bool,
}

/// Durable ledgers, read only. A dataset that is not there has none and is not created.
pub trait History: Send + Sync {
    /// Looks again what is there; `None` while nothing is.
    fn look(&self) -> BoxFuture<'_, Result<Option<Extent>, HistoryError>>;

    /// The page with a ledger that the last look found. Where pages end depends on what is stored, not on who asks, so that
    /// readers share them.
    fn page(&self, ledger: LedgerSequence) -> BoxFuture<'_, Result<Page, HistoryError>>;
}
