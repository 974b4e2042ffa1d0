//! Live ledgers that this node has derived itself, for the feeds of other nodes. What came from another node never gets in
//! here, so that nothing goes round; what is in work for a range of old ledgers does not either, as nobody waits for it.
//!
//! Rows are shared with the node's own feed where it has one: what is held is bounded by [`OUTLET_BYTES`] all the same.

use std::sync::{Arc, Mutex, PoisonError};

use orrery_schemas::LedgerSequence;
use tokio::sync::watch;

use super::ledger::FeedLedger;
use super::ring::{Offered, Ring};
use crate::envelope::EventBatch;

/// What a node holds for others: some seconds of catching up. Who comes later finds the rest in the dataset.
pub const OUTLET_BYTES: usize = 16 << 20;

/// The newest live ledgers of this node.
pub struct Outlet {
    ring: Mutex<Ring<Arc<FeedLedger>>>,
    /// The newest of them.
    newest: watch::Sender<Option<LedgerSequence>>,
}

impl Default for Outlet {
    fn default() -> Self {
        Self::new(OUTLET_BYTES)
    }
}

impl Outlet {
    /// An empty one that holds so many bytes; the newest ledger stays, however large it is.
    pub fn new(bytes_max: usize) -> Self {
        Self { ring: Mutex::new(Ring::new(bytes_max)), newest: watch::Sender::default() }
    }

    /// Takes the ledgers of a batch that is proven. Never waits for another node.
    pub fn offer(&self, batch: &EventBatch) {
        let mut ring = self.ring.lock().unwrap_or_else(PoisonError::into_inner);
        let mut newest = None;
        for ledger in FeedLedger::split(batch) {
            let (link, bytes) = (ledger.link(), ledger.bytes);
            // Two histories are told of by the feed, which has both.
            if let Offered::Appended | Offered::Begun = ring.offer(link, bytes, Arc::new(ledger)) {
                newest = Some(link.ledger);
            }
        }
        if newest.is_some() {
            self.newest.send_replace(newest);
        }
    }

    /// The first ledger that is not before `from`: a later one if that has left, or never was here.
    pub fn next(&self, from: LedgerSequence) -> Option<Arc<FeedLedger>> {
        let ring = self.ring.lock().unwrap_or_else(PoisonError::into_inner);
        let range = ring.range()?;
        ring.get(from.max(*range.start())).cloned()
    }

    /// The newest ledger, and when there is another.
    pub fn newest(&self) -> watch::Receiver<Option<LedgerSequence>> {
        self.newest.subscribe()
    }
}
