//! What crosses: synthetic ledgers of about 1 MiB each, and batches of events of about as much.

use std::sync::{Arc, LazyLock};

use bytes::Bytes;
use orrery_actors::envelope::EventBatch;
use orrery_actors::source::synthetic::{SyntheticLedgers, SyntheticSpec};
use orrery_schemas::{LedgerSequence, TokenTransfer};

use crate::stages::batch;

/// Batches of one measurement.
const BATCHES: usize = 64;

/// The first ledger.
pub(crate) const FIRST: u32 = 2;

/// Ledgers whose events make a batch of about as many bytes as one of them has.
const LEDGERS_A_BATCH: usize = 3;

static MADE: LazyLock<Vec<(Bytes, Vec<TokenTransfer>)>> = LazyLock::new(|| {
    let spec = SyntheticSpec::from_query(&format!("ledgers={BATCHES}&density=pubnet")).unwrap();
    SyntheticLedgers::new(&spec).map(|ledger| (ledger.to_xdr().into(), ledger.expected)).collect()
});

/// Objects of one ledger each.
pub(crate) static LEDGERS: LazyLock<Arc<Vec<Bytes>>> =
    LazyLock::new(|| Arc::new(MADE.iter().map(|(xdr, _)| xdr.clone()).collect()));

/// As many batches of events: the events of the same ledgers time and again, as those of later ones.
pub(crate) static EVENTS: LazyLock<Vec<Arc<EventBatch>>> = LazyLock::new(|| {
    let mut events = MADE.iter().map(|(_, events)| events).cycle();
    let numbered = |sequence: u32, events: &Vec<TokenTransfer>| {
        let ledger_sequence = LedgerSequence(sequence);
        events.iter().map(|event| TokenTransfer { ledger_sequence, ..event.clone() }).collect::<Vec<_>>()
    };
    let of_batch = |first| {
        let rows: Vec<_> = (first..)
            .take(LEDGERS_A_BATCH)
            .zip(&mut events)
            .map(|(sequence, events)| numbered(sequence, events))
            .collect();
        Arc::new(batch(first, &rows))
    };
    (FIRST..).step_by(LEDGERS_A_BATCH).take(BATCHES).map(of_batch).collect()
});

/// Bytes of all ledgers.
pub(crate) fn ledger_bytes() -> usize {
    LEDGERS.iter().map(Bytes::len).sum()
}
