//! A ledger taken apart in one form for all versions, so that each check is written once.

use std::collections::BTreeMap;

use stellar_xdr::*;

pub(super) struct Parts {
    pub(super) version: u32,
    pub(super) header: LedgerHeaderHistoryEntry,
    /// All envelopes of the set, in the order of the set.
    pub(super) envelopes: Vec<TransactionEnvelope>,
    pub(super) legacy_set: Option<TransactionSet>,
    pub(super) generalized_set: Option<GeneralizedTransactionSet>,
    pub(super) transactions: Vec<TxParts>,
    pub(super) evicted: Vec<LedgerKey>,
}

pub(super) struct TxParts {
    pub(super) result: TransactionResultPair,
    pub(super) successful: bool,
    /// Of the envelope with the result's hash.
    pub(super) operations: Vec<Operation>,
    pub(super) memo: Memo,
    pub(super) soroban: bool,
    pub(super) meta_version: u32,
    pub(super) changes: Changes,
    /// All contract events of the operations.
    pub(super) events: Vec<ContractEvent>,
    pub(super) fee_events: usize,
    pub(super) refund_stages: Vec<TransactionEventStage>,
}

#[derive(Clone, PartialEq, Debug)]
pub(super) struct Changes {
    pub(super) fee: Vec<LedgerEntryChange>,
    pub(super) before: Vec<LedgerEntryChange>,
    pub(super) operations: Vec<Vec<LedgerEntryChange>>,
    pub(super) after: Vec<LedgerEntryChange>,
    pub(super) post: Vec<LedgerEntryChange>,
}

pub(super) fn network_id() -> [u8; 32] {
    super::xdr::sha256(super::NETWORK_PASSPHRASE.as_bytes())
}

impl Parts {
    pub(super) fn of(meta: &LedgerCloseMeta) -> Self {
        match meta {
            LedgerCloseMeta::V0(m) => {
                let envelopes = m.tx_set.txs.to_vec();
                Self {
                    version: 0,
                    header: m.ledger_header.clone(),
                    legacy_set: Some(m.tx_set.clone()),
                    generalized_set: None,
                    transactions: transactions(&envelopes, &m.tx_processing),
                    envelopes,
                    evicted: Vec::new(),
                }
            }
            LedgerCloseMeta::V1(m) => {
                let envelopes = envelopes(&m.tx_set);
                Self {
                    version: 1,
                    header: m.ledger_header.clone(),
                    legacy_set: None,
                    generalized_set: Some(m.tx_set.clone()),
                    transactions: transactions(&envelopes, &m.tx_processing),
                    envelopes,
                    evicted: m.evicted_keys.to_vec(),
                }
            }
            LedgerCloseMeta::V2(m) => {
                let envelopes = envelopes(&m.tx_set);
                let by_hash = by_hash(&envelopes);
                let parts = m.tx_processing.iter().map(|tx| {
                    tx_parts(
                        &by_hash,
                        &tx.result,
                        &tx.fee_processing,
                        &tx.tx_apply_processing,
                        &tx.post_tx_apply_fee_processing,
                    )
                });
                Self {
                    version: 2,
                    header: m.ledger_header.clone(),
                    legacy_set: None,
                    generalized_set: Some(m.tx_set.clone()),
                    transactions: parts.collect(),
                    envelopes,
                    evicted: m.evicted_keys.to_vec(),
                }
            }
        }
    }
}

/// Lists of envelopes as the set holds them: each must be sorted by itself.
pub(super) fn lists(set: &GeneralizedTransactionSet) -> Vec<Vec<TransactionEnvelope>> {
    let GeneralizedTransactionSet::V1(set) = set;
    let mut lists = Vec::new();
    for phase in set.phases.iter() {
        match phase {
            TransactionPhase::V0(components) => {
                for TxSetComponent::TxsetCompTxsMaybeDiscountedFee(component) in components.iter() {
                    lists.push(component.txs.to_vec());
                }
            }
            TransactionPhase::V1(parallel) => {
                for stage in parallel.execution_stages.iter() {
                    lists.extend(stage.0.iter().map(|cluster| cluster.0.to_vec()));
                }
            }
        }
    }
    lists
}

fn envelopes(set: &GeneralizedTransactionSet) -> Vec<TransactionEnvelope> {
    lists(set).into_iter().flatten().collect()
}

type ByHash<'a> = BTreeMap<Hash, &'a TransactionEnvelope>;

fn by_hash(envelopes: &[TransactionEnvelope]) -> ByHash<'_> {
    envelopes.iter().map(|envelope| (Hash(envelope.hash(network_id()).unwrap()), envelope)).collect()
}

fn transactions(envelopes: &[TransactionEnvelope], metas: &[TransactionResultMeta]) -> Vec<TxParts> {
    let (none, envelopes) = (LedgerEntryChanges::default(), by_hash(envelopes));
    let parts = |tx: &TransactionResultMeta| {
        tx_parts(&envelopes, &tx.result, &tx.fee_processing, &tx.tx_apply_processing, &none)
    };
    metas.iter().map(parts).collect()
}

fn tx_parts(
    envelopes: &ByHash<'_>,
    result: &TransactionResultPair,
    fee: &LedgerEntryChanges,
    meta: &TransactionMeta,
    post: &LedgerEntryChanges,
) -> TxParts {
    let envelope = envelopes[&result.transaction_hash];
    let (operations, memo, soroban) = match envelope {
        TransactionEnvelope::TxV0(e) => (e.tx.operations.to_vec(), e.tx.memo.clone(), false),
        TransactionEnvelope::Tx(e) => inner(&e.tx),
        TransactionEnvelope::TxFeeBump(e) => {
            let FeeBumpTransactionInnerTx::Tx(e) = &e.tx.inner_tx;
            inner(&e.tx)
        }
    };
    let list = |changes: &LedgerEntryChanges| changes.0.to_vec();
    let changes = |before, operations, after| Changes {
        fee: list(fee),
        before: list(before),
        operations,
        after: list(after),
        post: list(post),
    };
    let (meta_version, changes, events, tx_events) = match meta {
        TransactionMeta::V2(m) => {
            let ops = m.operations.iter().map(|op| list(&op.changes)).collect();
            (2, changes(&m.tx_changes_before, ops, &m.tx_changes_after), Vec::new(), Vec::new())
        }
        TransactionMeta::V3(m) => {
            let ops = m.operations.iter().map(|op| list(&op.changes)).collect();
            let events = m.soroban_meta.as_ref().map(|meta| meta.events.to_vec()).unwrap_or_default();
            (3, changes(&m.tx_changes_before, ops, &m.tx_changes_after), events, Vec::new())
        }
        TransactionMeta::V4(m) => {
            let ops = m.operations.iter().map(|op| list(&op.changes)).collect();
            let events = m.operations.iter().flat_map(|op| op.events.to_vec()).collect();
            (4, changes(&m.tx_changes_before, ops, &m.tx_changes_after), events, m.events.to_vec())
        }
        _ => panic!("no synthetic meta has this version"),
    };
    let successful = matches!(
        result.result.result,
        TransactionResultResult::TxSuccess(_) | TransactionResultResult::TxFeeBumpInnerSuccess(_)
    );
    TxParts {
        result: result.clone(),
        successful,
        operations,
        memo,
        soroban,
        meta_version,
        changes,
        events,
        fee_events: tx_events.len(),
        refund_stages: tx_events.iter().skip(1).map(|event| event.stage).collect(),
    }
}

fn inner(tx: &Transaction) -> (Vec<Operation>, Memo, bool) {
    (tx.operations.to_vec(), tx.memo.clone(), matches!(tx.ext, TransactionExt::V1(_)))
}
