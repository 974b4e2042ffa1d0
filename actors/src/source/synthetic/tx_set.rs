//! Transaction sets, sorted and hashed as stellar-core does.

use sha2::{Digest, Sha256};
use stellar_xdr::{
    DependentTxCluster, GeneralizedTransactionSet, Hash, ParallelTxExecutionStage, ParallelTxsComponent,
    TransactionEnvelope, TransactionPhase, TransactionSet, TransactionSetV1, TxSetComponent,
    TxSetComponentTxsMaybeDiscountedFee,
};

use super::{
    transaction::AppliedTx,
    xdr::{encode, list, sha256},
};

/// A set in the form of its protocol.
pub(super) enum TxSet {
    Legacy(TransactionSet),
    Generalized(GeneralizedTransactionSet),
}

/// An envelope with the hash that orders it: of the whole, signatures included.
struct Hashed {
    hash: [u8; 32],
    envelope: TransactionEnvelope,
    xdr: Vec<u8>,
}

/// The set of all transactions and its hash. `price` is the fee of one operation.
pub(super) fn transaction_set(
    protocol: u32,
    previous: [u8; 32],
    transactions: &[AppliedTx],
    price: i64,
) -> (TxSet, [u8; 32]) {
    let (classic, soroban): (Vec<_>, Vec<_>) = transactions.iter().partition(|tx| !tx.plan.body.is_soroban());
    if protocol < 20 {
        return legacy(previous, hashed(classic.iter().map(|tx| tx.envelope.clone())));
    }
    let exact = |tx: &&&AppliedTx| tx.plan.bid == tx.plan.fee && transactions.len().is_multiple_of(8);
    let at_own_bid = hashed(classic.iter().filter(exact).map(|tx| tx.envelope.clone()));
    let at_price = hashed(classic.iter().filter(|tx| !exact(tx)).map(|tx| tx.envelope.clone()));
    let soroban = hashed(soroban.iter().map(|tx| tx.envelope.clone()));
    let components = [component(None, at_own_bid), component(Some(price), at_price)];
    let contract_phase = if protocol < 23 {
        TransactionPhase::V0(list(component(Some(price), soroban).into_iter().collect()))
    } else {
        parallel(price, soroban)
    };
    let phases = vec![TransactionPhase::V0(list(components.into_iter().flatten().collect())), contract_phase];
    let set = GeneralizedTransactionSet::V1(TransactionSetV1 {
        previous_ledger_hash: Hash(previous),
        phases: list(phases),
    });
    let hash = sha256(&encode(&set));
    (TxSet::Generalized(set), hash)
}

fn legacy(previous: [u8; 32], txs: Vec<Hashed>) -> (TxSet, [u8; 32]) {
    let mut hash = Sha256::new();
    hash.update(previous);
    for tx in &txs {
        hash.update(&tx.xdr);
    }
    let txs = list(txs.into_iter().map(|tx| tx.envelope).collect());
    (TxSet::Legacy(TransactionSet { previous_ledger_hash: Hash(previous), txs }), hash.finalize().into())
}

/// In the order of their hashes.
fn hashed(envelopes: impl Iterator<Item = TransactionEnvelope>) -> Vec<Hashed> {
    let mut all: Vec<Hashed> = envelopes
        .map(|envelope| {
            let xdr = encode(&envelope);
            Hashed { hash: sha256(&xdr), envelope, xdr }
        })
        .collect();
    all.sort_by_key(|tx| tx.hash);
    all
}

fn component(base_fee: Option<i64>, txs: Vec<Hashed>) -> Option<TxSetComponent> {
    let txs: Vec<_> = txs.into_iter().map(|tx| tx.envelope).collect();
    let component = |txs| TxSetComponentTxsMaybeDiscountedFee { base_fee, txs: list(txs) };
    (!txs.is_empty()).then(|| TxSetComponent::TxsetCompTxsMaybeDiscountedFee(component(txs)))
}

/// Up to two stages of up to two clusters; each list is sorted by the hash of its first transaction.
fn parallel(price: i64, txs: Vec<Hashed>) -> TransactionPhase {
    let clusters_wanted = txs.len().clamp(1, 4);
    let mut clusters: Vec<Vec<Hashed>> = (0..clusters_wanted).map(|_| Vec::new()).collect();
    for (number, tx) in txs.into_iter().enumerate() {
        clusters[number % clusters_wanted].push(tx);
    }
    clusters.retain(|cluster| !cluster.is_empty());
    let cluster =
        |cluster: Vec<Hashed>| DependentTxCluster(list(cluster.into_iter().map(|tx| tx.envelope).collect()));
    let clusters: Vec<_> = clusters.into_iter().map(cluster).collect();
    let stages = clusters.chunks(2).map(|stage| ParallelTxExecutionStage(list(stage.to_vec()))).collect();
    TransactionPhase::V1(ParallelTxsComponent { base_fee: Some(price), execution_stages: list(stages) })
}
