//! Rows of events, and rows of `ledgers` that go with them.

use arrow::array::RecordBatch;
use orrery_schemas::{
    CloseTime, Hash32, Ledger, LedgerSequence, RowDigest, TokenTransfer, TokenTransferBatchBuilder,
};

/// The rows of consecutive ledgers from `first` on.
pub(crate) fn of_ledgers(first: u32, events: &[impl AsRef<[TokenTransfer]>]) -> (Vec<Ledger>, RecordBatch) {
    let mut rows = TokenTransferBatchBuilder::with_capacity(1024);
    let ledger = |(sequence, events): (u32, &[TokenTransfer])| {
        rows.append(events).unwrap();
        Ledger {
            sequence: LedgerSequence(sequence),
            hash: Hash32([1; 32]),
            previous_hash: Hash32([2; 32]),
            closed_at: CloseTime::from_unix_seconds(1).unwrap(),
            protocol_version: 23,
            tx_set_hash: Hash32::ZERO,
            tx_set_result_hash: Hash32::ZERO,
            tx_count: 1,
            successful_tx_count: 1,
            failed_tx_count: 0,
            operation_count: 1,
            event_count: events.len() as u32,
            total_coins: 5,
            fee_pool: 6,
            base_fee: 100,
            base_reserve: 5,
            max_tx_set_size: 9,
            row_digest: RowDigest::of(events),
        }
    };
    let ledgers = (first..).zip(events.iter().map(AsRef::as_ref)).map(ledger).collect();
    (ledgers, rows.finish().unwrap())
}
