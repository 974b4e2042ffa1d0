//! Integrity levels V0 to V5, recomputed.

use std::collections::BTreeSet;

use stellar_xdr::*;

use super::{
    super::xdr::{encode, sha256},
    forms, ledgers,
    parts::{Parts, TxParts, lists, network_id},
};

#[test]
fn every_hash_of_every_protocol_holds() {
    for form in forms() {
        let mut previous: Option<(u32, [u8; 32])> = None;
        for density in ["sparse&ledgers=8", "pubnet&ledgers=1"] {
            previous.take();
            for ledger in ledgers(&format!("density={density}&{form}")) {
                let parts = Parts::of(&ledger.meta);
                let header = &parts.header.header;
                assert_eq!(sha256(&encode(header)), parts.header.hash.0, "V1 {form}");
                if let Some((sequence, hash)) = previous {
                    assert_eq!(header.ledger_seq, sequence + 1, "V0 {form}");
                    assert_eq!(header.previous_ledger_hash.0, hash, "V2 {form}");
                }
                previous = Some((header.ledger_seq, parts.header.hash.0));
                check_set(&parts, &form);
                check_results(&parts, &form);
                check_calls(&parts, &form);
            }
        }
    }
}

fn check_set(parts: &Parts, form: &str) {
    let header = &parts.header.header;
    let full_hash = |envelope: &TransactionEnvelope| sha256(&encode(envelope));
    let sorted = |list: &[TransactionEnvelope]| list.is_sorted_by_key(full_hash);
    match (&parts.legacy_set, &parts.generalized_set) {
        (Some(set), _) => {
            assert_eq!(set.previous_ledger_hash, header.previous_ledger_hash);
            let mut bytes = header.previous_ledger_hash.0.to_vec();
            bytes.extend(set.txs.iter().flat_map(encode));
            assert_eq!(sha256(&bytes), header.scp_value.tx_set_hash.0, "V3 {form}");
            assert!(sorted(&set.txs), "{form}");
        }
        (None, Some(set)) => {
            assert_eq!(sha256(&encode(set)), header.scp_value.tx_set_hash.0, "V3 {form}");
            for list in lists(set) {
                assert!(sorted(&list), "{form}");
            }
            check_stages(set, header.ledger_version);
        }
        (None, None) => panic!("a ledger has a set"),
    }
}

/// The contract phase is parallel from protocol 23 on; its stages and clusters are sorted by their first hash.
fn check_stages(set: &GeneralizedTransactionSet, protocol: u32) {
    let GeneralizedTransactionSet::V1(set) = set;
    assert_eq!(set.phases.len(), 2);
    assert!(matches!(set.phases[0], TransactionPhase::V0(_)));
    let TransactionPhase::V1(parallel) = &set.phases[1] else {
        assert!(protocol < 23);
        return;
    };
    assert!(protocol >= 23);
    let first = |cluster: &DependentTxCluster| sha256(&encode(&cluster.0[0]));
    for stage in parallel.execution_stages.iter() {
        assert!(!stage.0.is_empty());
        assert!(stage.0.is_sorted_by_key(first));
    }
    assert!(parallel.execution_stages.is_sorted_by_key(|stage| first(&stage.0[0])));
}

fn check_results(parts: &Parts, form: &str) {
    let results: Vec<_> = parts.transactions.iter().map(|tx| tx.result.clone()).collect();
    let set = TransactionResultSet { results: results.try_into().unwrap() };
    assert_eq!(sha256(&encode(&set)), parts.header.header.tx_set_result_hash.0, "V4 {form}");
    let in_set: BTreeSet<_> =
        parts.envelopes.iter().map(|envelope| envelope.hash(network_id()).unwrap()).collect();
    let in_results: BTreeSet<_> = parts.transactions.iter().map(|tx| tx.result.transaction_hash.0).collect();
    assert_eq!(in_set, in_results, "V4 {form}");
    assert_eq!(parts.envelopes.len(), parts.transactions.len(), "V4 {form}");
    for envelope in &parts.envelopes {
        check_inner(envelope, parts);
    }
}

/// The result of a fee bump names its inner transaction by that one's own hash.
fn check_inner(envelope: &TransactionEnvelope, parts: &Parts) {
    let TransactionEnvelope::TxFeeBump(bump) = envelope else { return };
    let FeeBumpTransactionInnerTx::Tx(inner) = &bump.tx.inner_tx;
    let hash = Hash(bump.hash(network_id()).unwrap());
    let result = parts.transactions.iter().find(|tx| tx.result.transaction_hash == hash).unwrap();
    match &result.result.result.result {
        TransactionResultResult::TxFeeBumpInnerSuccess(pair)
        | TransactionResultResult::TxFeeBumpInnerFailed(pair) => {
            assert_eq!(pair.transaction_hash.0, inner.hash(network_id()).unwrap());
        }
        other => panic!("{other:?}"),
    }
}

fn check_calls(parts: &Parts, form: &str) {
    // Core rewrites events of old protocols after their hash was made.
    let rewritten = parts.header.header.ledger_version < 23 && form.ends_with("unified");
    for tx in &parts.transactions {
        let Some(expect) = call_hash(tx) else { continue };
        let events = tx.events.clone().try_into().unwrap();
        let preimage = InvokeHostFunctionSuccessPreImage { return_value: ScVal::Void, events };
        assert!(rewritten || sha256(&encode(&preimage)) == expect, "V5 {form}");
    }
}

fn call_hash(tx: &TxParts) -> Option<[u8; 32]> {
    let results = match &tx.result.result.result {
        TransactionResultResult::TxSuccess(results) => results,
        TransactionResultResult::TxFeeBumpInnerSuccess(pair) => match &pair.result.result {
            InnerTransactionResultResult::TxSuccess(results) => results,
            _ => return None,
        },
        _ => return None,
    };
    match results.first() {
        Some(OperationResult::OpInner(OperationResultTr::InvokeHostFunction(
            InvokeHostFunctionResult::Success(hash),
        ))) => Some(hash.0),
        _ => None,
    }
}
