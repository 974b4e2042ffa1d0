//! What crosses: synthetic ledgers of about 1 MiB each, and batches of events of about as much.

use std::sync::{Arc, LazyLock};

use bytes::Bytes;
use orrery_actors::envelope::EventBatch;
use orrery_actors::source::synthetic::{SyntheticLedgers, SyntheticSpec};

use crate::stages::batch;

/// Batches of one measurement.
const BATCHES: usize = 64;

/// The first ledger.
pub(crate) const FIRST: u32 = 2;

/// Ledgers whose events make a batch of about as many bytes as one of them has.
const LEDGERS_A_BATCH: usize = 3;

/// Objects of one ledger each.
pub(crate) static LEDGERS: LazyLock<Arc<Vec<Bytes>>> = LazyLock::new(|| {
    let spec = SyntheticSpec::from_query(&format!("ledgers={BATCHES}&density=pubnet")).unwrap();
    Arc::new(SyntheticLedgers::new(&spec).map(|ledger| ledger.to_xdr().into()).collect())
});

/// As many batches of events.
pub(crate) static EVENTS: LazyLock<Vec<Arc<EventBatch>>> = LazyLock::new(|| {
    let spec =
        SyntheticSpec::from_query(&format!("ledgers={}&density=pubnet", BATCHES * LEDGERS_A_BATCH)).unwrap();
    let events: Vec<_> = SyntheticLedgers::new(&spec).map(|ledger| ledger.expected).collect();
    let parts = (FIRST..).step_by(LEDGERS_A_BATCH).zip(events.chunks(LEDGERS_A_BATCH));
    parts.map(|(first, part)| Arc::new(batch(first, part))).collect()
});

/// Bytes of all ledgers.
pub(crate) fn ledger_bytes() -> usize {
    LEDGERS.iter().map(Bytes::len).sum()
}
