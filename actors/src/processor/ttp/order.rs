//! Gives each movement its place in the ledger (rules 3.7) and its ids (decision 6, SEP-35).

use orrery_schemas::{CloseTime, Hash32, LedgerSequence, OpType, Toid, TokenTransfer};

use super::error::{Fault, ProcessError};
use super::movement::Movement;
use super::transaction::TransactionEvents;

/// First protocol that pays refunds after all transactions instead of after their own.
const REFUNDS_LAST_FROM: u32 = 23;

/// The rows of a ledger in canonical order. `transactions` are in apply order, each with its hash.
pub(super) fn rows(
    ledger_sequence: LedgerSequence,
    closed_at: CloseTime,
    protocol: u32,
    transactions: Vec<([u8; 32], TransactionEvents)>,
) -> Result<Vec<TokenTransfer>, ProcessError> {
    let mut rows = Rows { ledger_sequence, closed_at, rows: Vec::new() };
    let mut after_fees = Vec::with_capacity(transactions.len());
    for (index, (hash, events)) in transactions.into_iter().enumerate() {
        let place = Place { tx_index: index, tx_hash: Hash32(hash), tx_successful: events.successful };
        rows.push(place, None, 0, events.fees.charge)?;
        after_fees.push((place, events.operations, events.fees.refund));
    }
    let mut last = Vec::new();
    for (place, operations, refund) in after_fees {
        for (op_index, operation) in operations.into_iter().enumerate() {
            for (event_index, movement) in operation.movements.into_iter().enumerate() {
                rows.push(place, Some((op_index, operation.op_type)), event_index, movement)?;
            }
        }
        match refund {
            Some(refund) if protocol >= REFUNDS_LAST_FROM => last.push((place, refund)),
            Some(refund) => rows.push(place, None, 1, refund)?,
            None => {}
        }
    }
    for (place, refund) in last {
        rows.push(place, None, 1, refund)?;
    }
    Ok(rows.rows)
}

struct Rows {
    ledger_sequence: LedgerSequence,
    closed_at: CloseTime,
    rows: Vec<TokenTransfer>,
}

/// A transaction, as its rows name it.
#[derive(Clone, Copy)]
struct Place {
    /// 0-based.
    tx_index: usize,
    tx_hash: Hash32,
    tx_successful: bool,
}

impl Rows {
    /// `operation` is the 0-based index and kind; `None` for fees.
    fn push(
        &mut self,
        place: Place,
        operation: Option<(usize, OpType)>,
        event_index: usize,
        movement: Movement,
    ) -> Result<(), ProcessError> {
        let fault = || Fault::Toid.at(place.tx_index, operation.map(|(index, _)| index));
        let number = |number: usize| i32::try_from(number).map(i32::cast_unsigned).map_err(|_| fault());
        let tx_index = number(place.tx_index + 1)?;
        let op_index = operation.map(|(index, _)| number(index + 1)).transpose()?;
        self.rows.push(TokenTransfer {
            ledger_sequence: self.ledger_sequence,
            closed_at: self.closed_at,
            tx_hash: place.tx_hash,
            tx_index,
            op_index,
            event_index: number(event_index)?,
            ledger_event_index: number(self.rows.len())?,
            toid: Toid::new(self.ledger_sequence, tx_index, op_index).ok_or_else(fault)?,
            kind: movement.kind,
            op_type: operation.map(|(_, op_type)| op_type),
            contract_id: movement.contract_id,
            asset: movement.asset,
            from: movement.from,
            to: movement.to,
            amount: movement.amount,
            to_muxed: movement.to_muxed,
            tx_successful: place.tx_successful,
        });
        Ok(())
    }
}
