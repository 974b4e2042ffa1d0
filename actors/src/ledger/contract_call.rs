//! The hash that a contract call's result holds of its return value and events
//! (`InvokeHostFunctionSuccessPreImage`), and the two ways in which meta may show other events than were hashed.

use sha2::{Digest, Sha256};

use super::cursor::{Cursor, WalkError};
use super::events::EventView;
use super::outcome::Outcome;
use super::view::TransactionView;

/// A successful contract call with what its meta shows.
pub(crate) struct ContractCall<'a> {
    /// From the result, which the header binds.
    pub(crate) success_hash: [u8; 32],
    /// `SCVal`.
    pub(crate) return_value: Option<&'a [u8]>,
    /// `ContractEvent<>`.
    pub(crate) events: &'a [u8],
    meta_version: i32,
}

/// What the success hash says of the meta.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum CallEvidence {
    /// It is the hash of return value and events.
    Proven,
    /// It is the hash of return value and events without some mints and burns in front.
    Reconciled,
    /// The events were rewritten after the ledger closed: nothing to compare.
    Rewritten,
    /// It is the hash of something else.
    Contradicted,
}

/// The contract call of a transaction, if it holds a successful one.
pub(crate) fn contract_call<'a>(transaction: &TransactionView<'a>) -> Option<ContractCall<'a>> {
    let success_hash = success_hash(transaction.result_pair).ok().flatten()?;
    let meta = &transaction.meta;
    let return_value = meta.soroban.and_then(|soroban| soroban.return_value);
    let in_operation = meta.operations.first().and_then(|operation| operation.events);
    let events = meta.soroban.and_then(|soroban| soroban.events).or(in_operation).unwrap_or(&[0; 4]);
    Some(ContractCall { success_hash, return_value, events, meta_version: meta.version })
}

impl ContractCall<'_> {
    pub(crate) fn evidence(&self, protocol: u32) -> CallEvidence {
        const EVENTS_FROM: u32 = 23; // first protocol with the events of CAP-0067 by itself
        const RECONCILED_IN: u32 = 23; // the one protocol that restored balances wrongly
        let return_value = self.return_value.unwrap_or(&[]);
        let hash_of = |count: [u8; 4], events: &[u8]| -> [u8; 32] {
            Sha256::new()
                .chain_update(return_value)
                .chain_update(count)
                .chain_update(events)
                .finalize()
                .into()
        };
        let (count, events) = self.events.split_at(4);
        if hash_of([count[0], count[1], count[2], count[3]], events) == self.success_hash {
            return CallEvidence::Proven;
        }
        if protocol < EVENTS_FROM {
            return if self.meta_version >= 4 { CallEvidence::Rewritten } else { CallEvidence::Contradicted };
        }
        if protocol != RECONCILED_IN {
            return CallEvidence::Contradicted;
        }
        let mut rest = Cursor::new(self.events);
        let total = rest.u32().unwrap_or(0);
        for stripped in 1..=total {
            match EventView::read(&mut rest) {
                Ok(event) if event.is_mint_or_burn() => {}
                _ => break,
            }
            let events = &self.events[rest.position()..];
            if hash_of((total - stripped).to_be_bytes(), events) == self.success_hash {
                return CallEvidence::Reconciled;
            }
        }
        CallEvidence::Contradicted
    }
}

/// Reads the success hash of an `InvokeHostFunction` operation out of a `TransactionResultPair`.
fn success_hash(result_pair: &[u8]) -> Result<Option<[u8; 32]>, WalkError> {
    const OP_INNER: i32 = 0;
    const INVOKE_HOST_FUNCTION: i32 = 24;
    const SUCCESS: i32 = 0;
    let outcome = Outcome::read(result_pair)?;
    let mut cursor = outcome.results;
    // A contract call is the only operation of its transaction.
    if outcome.operations != Some(1) || cursor.i32()? != OP_INNER {
        return Ok(None);
    }
    if cursor.i32()? != INVOKE_HOST_FUNCTION || cursor.i32()? != SUCCESS {
        return Ok(None);
    }
    cursor.take_32().map(Some)
}
