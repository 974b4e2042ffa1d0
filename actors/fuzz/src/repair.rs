//! Makes a ledger consistent where only a hash can be: results name the transactions of the set, contract calls the
//! hash of what they emitted.

use sha2::{Digest, Sha256};
use stellar_xdr::{
    ContractEvent, FeeBumpTransactionInnerTx, GeneralizedTransactionSet, Hash, InnerTransactionResultPair,
    InnerTransactionResultResult, InvokeHostFunctionResult, InvokeHostFunctionSuccessPreImage,
    LedgerCloseMeta, Limits, OperationResult, OperationResultTr, ScVal, TransactionEnvelope, TransactionMeta,
    TransactionPhase, TransactionResultPair, TransactionResultResult, TxSetComponent, VecM, WriteXdr,
};

/// The XDR of `meta` with result `n` naming envelope `n` of the set; `None` if there is none to name.
pub(super) fn hashes(mut meta: LedgerCloseMeta, network_id: [u8; 32]) -> Option<Vec<u8>> {
    let envelopes = envelopes(&meta);
    if envelopes.is_empty() {
        return None;
    }
    let mut next = envelopes.iter().cycle();
    let mut repair = |pair: &mut TransactionResultPair, apply: &TransactionMeta| {
        if let Some(envelope) = next.next() {
            name(pair, envelope, network_id);
            prove(pair, apply);
        }
    };
    match &mut meta {
        LedgerCloseMeta::V0(meta) => {
            edit(&mut meta.tx_processing, |one| repair(&mut one.result, &one.tx_apply_processing));
        }
        LedgerCloseMeta::V1(meta) => {
            edit(&mut meta.tx_processing, |one| repair(&mut one.result, &one.tx_apply_processing));
        }
        LedgerCloseMeta::V2(meta) => {
            edit(&mut meta.tx_processing, |one| repair(&mut one.result, &one.tx_apply_processing));
        }
    }
    meta.to_xdr(Limits::none()).ok()
}

/// The vectors of `stellar-xdr` cannot be changed in place.
fn edit<T: Clone, const MAX: u32>(vector: &mut VecM<T, MAX>, change: impl FnMut(&mut T)) {
    let mut elements = std::mem::take(vector).into_vec();
    elements.iter_mut().for_each(change);
    *vector = elements.try_into().unwrap_or_default();
}

fn envelopes(meta: &LedgerCloseMeta) -> Vec<TransactionEnvelope> {
    let set = match meta {
        LedgerCloseMeta::V0(meta) => return meta.tx_set.txs.to_vec(),
        LedgerCloseMeta::V1(meta) => &meta.tx_set,
        LedgerCloseMeta::V2(meta) => &meta.tx_set,
    };
    let GeneralizedTransactionSet::V1(set) = set;
    let mut envelopes = Vec::new();
    for phase in set.phases.iter() {
        match phase {
            TransactionPhase::V0(components) => {
                for TxSetComponent::TxsetCompTxsMaybeDiscountedFee(component) in components.iter() {
                    envelopes.extend(component.txs.iter().cloned());
                }
            }
            TransactionPhase::V1(parallel) => {
                let clusters = parallel.execution_stages.iter().flat_map(|stage| stage.0.iter());
                envelopes.extend(clusters.flat_map(|cluster| cluster.0.iter().cloned()));
            }
        }
    }
    envelopes
}

/// Names the transaction, and the one inside a fee bump.
fn name(pair: &mut TransactionResultPair, envelope: &TransactionEnvelope, network_id: [u8; 32]) {
    if let Ok(hash) = envelope.hash(network_id) {
        pair.transaction_hash = Hash(hash);
    }
    if let TransactionEnvelope::TxFeeBump(bump) = envelope
        && let Some(inner) = inner_pair(&mut pair.result.result)
    {
        let FeeBumpTransactionInnerTx::Tx(transaction) = &bump.tx.inner_tx;
        if let Ok(hash) = transaction.tx.hash(network_id) {
            inner.transaction_hash = Hash(hash);
        }
    }
}

fn inner_pair(result: &mut TransactionResultResult) -> Option<&mut InnerTransactionResultPair> {
    match result {
        TransactionResultResult::TxFeeBumpInnerSuccess(inner)
        | TransactionResultResult::TxFeeBumpInnerFailed(inner) => Some(inner),
        _ => None,
    }
}

/// Gives a contract call the hash of all its events, of all but the first, or none: the fee says which, so that the
/// fuzzer can choose.
fn prove(pair: &mut TransactionResultPair, meta: &TransactionMeta) {
    let Some((return_value, events)) = emitted(meta) else { return };
    let skipped = match pair.result.fee_charged.rem_euclid(3) {
        0 => 0,
        1 => events.len().min(1),
        _ => return,
    };
    let Ok(events) = events.to_vec().split_off(skipped).try_into() else { return };
    let preimage = InvokeHostFunctionSuccessPreImage { return_value, events };
    let Ok(preimage) = preimage.to_xdr(Limits::none()) else { return };
    let results = match &mut pair.result.result {
        TransactionResultResult::TxSuccess(results) => results,
        TransactionResultResult::TxFeeBumpInnerSuccess(inner) => match &mut inner.result.result {
            InnerTransactionResultResult::TxSuccess(results) => results,
            _ => return,
        },
        _ => return,
    };
    edit(results, |result| {
        if let OperationResult::OpInner(OperationResultTr::InvokeHostFunction(
            InvokeHostFunctionResult::Success(hash),
        )) = result
        {
            *hash = Hash(Sha256::digest(&preimage).into());
        }
    });
}

/// Return value and events of a contract call.
fn emitted(meta: &TransactionMeta) -> Option<(ScVal, VecM<ContractEvent>)> {
    match meta {
        TransactionMeta::V3(meta) => {
            let soroban = meta.soroban_meta.as_ref()?;
            Some((soroban.return_value.clone(), soroban.events.clone()))
        }
        TransactionMeta::V4(meta) => {
            let events = meta.operations.first()?.events.clone();
            Some((meta.soroban_meta.as_ref()?.return_value.clone()?, events))
        }
        _ => None,
    }
}
