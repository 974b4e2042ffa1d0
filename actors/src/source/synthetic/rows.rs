//! The rows that a processor must make of a ledger, in canonical order.

use orrery_schemas::{CloseTime, ContractId, Hash32, LedgerSequence, OpType, ToMuxed, Toid, TokenTransfer};

use super::{
    meta::fee_movements,
    movement::{Emission, Movement},
    transaction::AppliedTx,
    world::World,
};

/// Numbers rows as they are added.
struct Rows<'a> {
    world: &'a World,
    sequence: LedgerSequence,
    closed_at: CloseTime,
    rows: Vec<TokenTransfer>,
}

/// Where a row belongs in its transaction.
struct Place {
    tx_index: u32,
    op: Option<(u32, OpType)>,
    event_index: u32,
}

/// Fees of all transactions, then the events of each; refunds after their transaction before protocol 23, after all
/// transactions since.
pub(super) fn expected_rows(
    world: &World,
    close_time: u64,
    transactions: &[AppliedTx],
) -> Vec<TokenTransfer> {
    // Close times of synthetic ledgers are far below the year 9999.
    let closed_at = CloseTime::from_unix_seconds(close_time).unwrap_or(CloseTime::MAX);
    let sequence = LedgerSequence(world.store.sequence);
    let mut rows = Rows { world, sequence, closed_at, rows: Vec::new() };
    let numbered = || transactions.iter().zip(1..);
    let fees: Vec<_> = transactions.iter().map(|tx| fee_movements(world, tx)).collect();
    let place = |tx_index, event_index| Place { tx_index, op: None, event_index };
    for ((tx, tx_index), (fee, _)) in numbered().zip(&fees) {
        rows.push(tx, place(tx_index, 0), fee);
    }
    for ((tx, tx_index), (_, refund)) in numbered().zip(&fees) {
        rows.push_operations(tx, tx_index);
        if let Some(refund) = refund.as_ref().filter(|_| world.protocol < 23) {
            rows.push(tx, place(tx_index, 1), refund);
        }
    }
    for ((tx, tx_index), (_, refund)) in numbered().zip(&fees) {
        if let Some(refund) = refund.as_ref().filter(|_| world.protocol >= 23) {
            rows.push(tx, place(tx_index, 1), refund);
        }
    }
    rows.rows
}

impl Rows<'_> {
    fn push_operations(&mut self, tx: &AppliedTx, tx_index: u32) {
        for ((op, op_index), &op_type) in tx.ops.iter().zip(1..).zip(&tx.op_types) {
            for (movement, event_index) in op.emitted.iter().filter_map(Emission::movement).zip(0..) {
                self.push(tx, Place { tx_index, op: Some((op_index, op_type)), event_index }, movement);
            }
        }
    }

    fn push(&mut self, tx: &AppliedTx, place: Place, movement: &Movement) {
        let Place { tx_index, op, event_index } = place;
        let op_index = op.map(|(op_index, _)| op_index);
        // The sequence, at most 1,050 transactions and at most 60 operations fit the identifier's fields.
        let Some(toid) = Toid::new(self.sequence, tx_index, op_index) else { return };
        let to_muxed: Option<ToMuxed> = movement.to_muxed.clone();
        self.rows.push(TokenTransfer {
            ledger_sequence: self.sequence,
            closed_at: self.closed_at,
            tx_hash: Hash32(tx.result.transaction_hash.0),
            tx_index,
            op_index,
            event_index,
            ledger_event_index: self.rows.len() as u32,
            toid,
            kind: movement.kind,
            op_type: op.map(|(_, op_type)| op_type),
            contract_id: ContractId(movement.contract),
            asset: movement.asset.map(|asset| self.world.assets.get(asset).row),
            from: movement.from,
            to: movement.to,
            amount: movement.amount,
            to_muxed,
            tx_successful: tx.successful,
        });
    }
}
