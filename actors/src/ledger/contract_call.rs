//! The hash that a contract call's result holds of its return value and events
//! (`InvokeHostFunctionSuccessPreImage`), and the two ways in which meta may show other events than were hashed.

use sha2::{Digest, Sha256};

use super::cursor::{Cursor, WalkError};
use super::events::{EventView, for_each_event};
use super::network::Network;
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
    pub(crate) fn evidence(&self, network: &Network, protocol: u32) -> CallEvidence {
        const RECONCILED_IN: u32 = 23; // the one protocol that restored balances wrongly
        let (_, events) = self.events.split_at(4);
        let total = Cursor::new(self.events).u32().unwrap_or(0);
        if self.hashes(total, events) {
            CallEvidence::Proven
        } else if self.may_be_rewritten(network, protocol) {
            CallEvidence::Rewritten
        } else if protocol == RECONCILED_IN && self.is_reconciled(network, total) {
            CallEvidence::Reconciled
        } else {
            CallEvidence::Contradicted
        }
    }

    /// Whether stellar-core may have written other events than were hashed: to protocol 22, when it backfills, and
    /// only of asset contracts, whose transfers by the issuer become mints and burns and whose admin is left out.
    pub(crate) fn may_be_rewritten(&self, network: &Network, protocol: u32) -> bool {
        const EVENTS_FROM: u32 = 23; // first protocol with the events of CAP-0067 by itself
        const REWRITTEN: &[&[u8]] = &[b"mint", b"burn", b"clawback", b"set_authorized"];
        let mut found = false;
        let read = for_each_event(self.events, |event| {
            found |= event.is_named(REWRITTEN) && event.proven_asset(network).is_some();
        });
        protocol < EVENTS_FROM && self.meta_version >= 4 && read.is_ok() && found
    }

    /// Whether the hash is of the events behind some mints and burns of asset contracts.
    fn is_reconciled(&self, network: &Network, total: u32) -> bool {
        const STRIPPED_MAX: u32 = 64; // a call restores few balances, and each try hashes the rest
        let mut rest = Cursor::new(self.events);
        let _ = rest.u32(); // the count, which `total` is
        for stripped in 1..=total.min(STRIPPED_MAX) {
            match EventView::read(&mut rest) {
                Ok(event) if event.is_named(&[b"mint", b"burn"]) && event.proven_asset(network).is_some() => {
                }
                _ => return false,
            }
            if self.hashes(total - stripped, &self.events[rest.position()..]) {
                return true;
            }
        }
        false
    }

    /// Whether the success hash is of the return value and these events.
    fn hashes(&self, count: u32, events: &[u8]) -> bool {
        let hash = Sha256::new()
            .chain_update(self.return_value.unwrap_or(&[]))
            .chain_update(count.to_be_bytes())
            .chain_update(events);
        self.success_hash == <[u8; 32]>::from(hash.finalize())
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
