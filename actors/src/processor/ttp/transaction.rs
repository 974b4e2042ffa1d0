//! One transaction's events, before they have a place in the ledger.

use orrery_schemas::OpType;
use stellar_xdr::{
    InnerTransactionResultResult, OperationResult, TransactionResultPair, TransactionResultResult,
};

use super::classic_ops::{self, Operation};
use super::contract_events::{self, Layout};
use super::error::{Fault, ProcessError};
use super::fees::{self, Fees};
use super::movement::Movement;
use super::{Mode, reconcile, xdr};
use crate::ledger::{Envelope, Network, OperationParts, Outcome, TransactionView};

/// The events of one transaction by stage.
pub(super) struct TransactionEvents {
    pub(super) fees: Fees,
    /// One for each operation of a successful transaction.
    pub(super) operations: Vec<OperationEvents>,
    pub(super) successful: bool,
}

/// The events of one operation, in canonical order.
pub(super) struct OperationEvents {
    pub(super) op_type: OpType,
    pub(super) movements: Vec<Movement>,
}

/// What all transactions of a ledger share.
#[derive(Clone, Copy)]
pub(super) struct Context<'a> {
    pub(super) network: &'a Network,
    pub(super) protocol: u32,
    pub(super) mode: Mode,
}

impl Context<'_> {
    /// Events of the transaction at `tx_index`, 0-based in apply order.
    pub(super) fn events(
        &self,
        tx_index: usize,
        envelope: &Envelope<'_>,
        transaction: &TransactionView<'_>,
    ) -> Result<TransactionEvents, ProcessError> {
        let at = |fault: Fault| fault.at(tx_index, None);
        let outcome = Outcome::read(transaction.result_pair).map_err(|error| at(error.into()))?;
        self.check_meta(transaction).map_err(at)?;
        let emitted = self.emitted_fees(transaction, outcome.fee_charged).map_err(at)?;
        let unified = emitted.is_some();
        let fees = match emitted {
            Some(Some(fees)) => fees,
            _ => fees::derived(self.network, envelope, transaction, outcome.fee_charged).map_err(at)?,
        };
        let operations = match outcome.operations {
            Some(results) => {
                let operations = envelope.transaction.operations().map_err(|error| at(error.into()))?;
                check_counts(&operations, transaction, results).map_err(at)?;
                if unified {
                    self.unified(tx_index, &operations, transaction)?
                } else {
                    self.derived(tx_index, envelope, &operations, transaction)?
                }
            }
            None => Vec::new(),
        };
        Ok(TransactionEvents { fees, operations, successful: outcome.operations.is_some() })
    }

    /// `None`: derive. `Some(None)`: unified, and the fee is zero, which stellar-core does not emit.
    fn emitted_fees(
        &self,
        transaction: &TransactionView<'_>,
        fee_charged: i64,
    ) -> Result<Option<Option<Fees>>, Fault> {
        if self.mode == Mode::Derived {
            return Ok(None);
        }
        let fees = match transaction.meta.transaction_events {
            Some(events) => fees::emitted(self.network, events)?,
            None => None,
        };
        match (fees, self.mode) {
            (Some(fees), _) => Ok(Some(Some(fees))),
            (None, Mode::Unified) if fee_charged == 0 && transaction.meta.transaction_events.is_some() => {
                Ok(Some(None))
            }
            (None, Mode::Unified) => Err(Fault::NoUnifiedEvents),
            (None, _) => Ok(None),
        }
    }

    /// Refuses meta of stellar-core versions that left out what the rules read (rules 3.7).
    fn check_meta(&self, transaction: &TransactionView<'_>) -> Result<(), Fault> {
        const NO_CHANGES: &[u8] = &[0; 4];
        let version = transaction.meta.version;
        let too_old = self.protocol < 10 && version < 2 && transaction.fee_changes != NO_CHANGES;
        if version == 0 || too_old {
            return Err(Fault::UnsupportedMeta { version, protocol: self.protocol });
        }
        Ok(())
    }

    /// What stellar-core emitted for each operation.
    fn unified(
        &self,
        tx_index: usize,
        operations: &[OperationParts<'_>],
        transaction: &TransactionView<'_>,
    ) -> Result<Vec<OperationEvents>, ProcessError> {
        let operations = operations.iter().zip(&transaction.meta.operations);
        let events = operations.enumerate().map(|(index, (parts, meta))| {
            let at = |fault: Fault| fault.at(tx_index, Some(index));
            let op_type = op_type(parts.kind).map_err(at)?;
            let events = meta.events.unwrap_or(NO_EVENTS);
            let movements = contract_events::movements(self.network, Layout::V4, events).map_err(at)?;
            Ok(OperationEvents { op_type, movements })
        });
        events.collect()
    }

    /// What each operation did, by its body, its result and its changes.
    fn derived(
        &self,
        tx_index: usize,
        envelope: &Envelope<'_>,
        operations: &[OperationParts<'_>],
        transaction: &TransactionView<'_>,
    ) -> Result<Vec<OperationEvents>, ProcessError> {
        let pair: TransactionResultPair = xdr::decode("TransactionResultPair", transaction.result_pair)
            .map_err(|fault| fault.at(tx_index, None))?;
        let results = operation_results(&pair.result.result);
        let operations = operations.iter().zip(results).zip(&transaction.meta.operations);
        let events = operations.enumerate().map(|(index, ((parts, result), meta))| {
            let at = |fault: Fault| fault.at(tx_index, Some(index));
            let op_type = op_type(parts.kind).map_err(at)?;
            let operation = Operation {
                network: self.network,
                transaction: &envelope.transaction,
                parts,
                index,
                op_type,
                result,
                changes: meta.changes,
            };
            let movements = self.derived_movements(&operation, transaction, meta.events).map_err(at)?;
            Ok(OperationEvents { op_type, movements })
        });
        events.collect()
    }

    fn derived_movements(
        &self,
        operation: &Operation<'_>,
        transaction: &TransactionView<'_>,
        events: Option<&[u8]>,
    ) -> Result<Vec<Movement>, Fault> {
        if operation.op_type == OpType::InvokeHostFunction {
            let in_v3 = transaction.meta.soroban.and_then(|soroban| soroban.events);
            return match (events, in_v3) {
                (Some(events), _) => contract_events::movements(self.network, Layout::V4, events),
                (None, Some(events)) => contract_events::movements(self.network, Layout::V3, events),
                (None, None) => Ok(Vec::new()),
            };
        }
        let mut movements = classic_ops::movements(operation)?;
        if self.protocol <= reconcile::PROTOCOL_MAX && classic_ops::moves_tokens(operation.op_type) {
            reconcile::reconcile(operation, &mut movements)?;
        }
        Ok(movements)
    }
}

fn check_counts(
    operations: &[OperationParts<'_>],
    transaction: &TransactionView<'_>,
    results: usize,
) -> Result<(), Fault> {
    let operations = operations.len();
    for (part, found) in [("result", results), ("meta", transaction.meta.operations.len())] {
        if found != operations {
            return Err(Fault::OperationCount { operations, part, found });
        }
    }
    Ok(())
}

/// XDR of no events.
const NO_EVENTS: &[u8] = &[0; 4];

fn op_type(kind: i32) -> Result<OpType, Fault> {
    let known = usize::try_from(kind).ok().and_then(|kind| OpType::ALL.get(kind));
    known.copied().ok_or(Fault::Decode { what: "OperationType", reason: format!("{kind} is unknown") })
}

/// Results of the operations of a successful transaction.
fn operation_results(result: &TransactionResultResult) -> &[OperationResult] {
    match result {
        TransactionResultResult::TxSuccess(results) => results,
        TransactionResultResult::TxFeeBumpInnerSuccess(inner) => match &inner.result.result {
            InnerTransactionResultResult::TxSuccess(results) => results,
            _ => &[],
        },
        _ => &[],
    }
}
