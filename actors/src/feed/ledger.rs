//! One ledger as readers get it.

use orrery_schemas::{Ledger, LedgerSequence};

use super::ring::Link;
use crate::envelope::EventBatch;
use arrow::array::RecordBatch;

/// What a ledger costs beside its rows: its header row, its places in lists.
const LEDGER_BYTES: usize = 1024;

/// A ledger and its events, in order.
#[derive(Clone, Debug)]
pub struct FeedLedger {
    /// Its row of the `ledgers` table.
    pub ledger: Ledger,
    /// Its rows of `token_transfers`, as they are stored.
    pub rows: RecordBatch,
    /// Its share of the memory of the batch that it came in.
    pub bytes: usize,
}

impl FeedLedger {
    /// The ledgers of a batch, without copying rows.
    pub fn split(batch: &EventBatch) -> Vec<Self> {
        let (all, rows) = (batch.rows.get_array_memory_size(), batch.rows.num_rows().max(1));
        let mut start = 0;
        let ledger = |ledger: &Ledger| {
            let count = (ledger.event_count as usize).min(batch.rows.num_rows().saturating_sub(start));
            let share = (all as u128 * count as u128 / rows as u128) as usize;
            let part = batch.rows.slice(start, count);
            start += count;
            Self { ledger: ledger.clone(), rows: part, bytes: LEDGER_BYTES + share }
        };
        batch.ledgers.iter().map(ledger).collect()
    }

    /// Its number.
    pub fn sequence(&self) -> LedgerSequence {
        self.ledger.sequence
    }

    /// Where it stands in the chain.
    pub fn link(&self) -> Link {
        let Ledger { sequence, hash, previous_hash, .. } = self.ledger;
        Link { ledger: sequence, hash, previous: previous_hash }
    }
}
