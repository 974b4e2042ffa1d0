//! Closing a ledger: fees, transactions, refunds; then the set, the results, the header and the hashes that bind them.

use stellar_xdr::{
    ExtensionPoint, Hash, LedgerCloseMeta, LedgerCloseMetaExt, LedgerCloseMetaExtV1, LedgerCloseMetaV0,
    LedgerCloseMetaV1, LedgerCloseMetaV2, LedgerCloseValueSignature, LedgerHeader, LedgerHeaderExt,
    LedgerHeaderHistoryEntry, LedgerHeaderHistoryEntryExt, LedgerKey, NodeId, Signature, StellarValue,
    StellarValueExt, TimePoint, TransactionMeta, TransactionResultMeta, TransactionResultMetaV1,
    TransactionResultSet,
};

use super::{
    SyntheticLedger,
    invocation::WRITE_FEE,
    meta::transaction_meta,
    plan::{BASE_FEE, LedgerPlan, plan_ledger},
    random::{Random, name32},
    rows::expected_rows,
    spec::{EventsMode, SyntheticSpec},
    transaction::{AppliedTx, LedgerFacts, apply, charge_fee, refund},
    tx_set::{TxSet, transaction_set},
    world::World,
    xdr::{account_id, encode, hash_of, list, sha256},
};

/// Close time of ledger 1: 2025-10-01T00:00:00Z.
const EPOCH: u64 = 1_759_276_800;
/// Seconds between ledgers, as on pubnet.
const CADENCE_SECONDS: u64 = 5;
/// Stroops that each entry of an account keeps locked.
const BASE_RESERVE: u32 = 5_000_000;
/// Most operations of a set.
const MAX_TX_SET_SIZE: u32 = 12_000;
/// What the meta says of the size of contract state; nothing reads more into it.
const CONTRACT_STATE_BYTES: u64 = 64 * 1024 * 1024;

/// Builds ledger after ledger.
#[derive(Clone)]
pub(super) struct Closer {
    world: World,
    random: Random,
    spec: SyntheticSpec,
    network_id: [u8; 32],
    previous_hash: [u8; 32],
}

impl Closer {
    pub(super) fn new(spec: &SyntheticSpec, network_id: [u8; 32]) -> Self {
        Self {
            world: World::genesis(spec.seed, spec.protocol, network_id),
            // The protocol and the events do not seed the choices: ledgers that differ only in events are the same.
            random: Random::new(spec.seed),
            spec: *spec,
            network_id,
            previous_hash: name32(spec.seed, "genesis header", 1),
        }
    }

    pub(super) fn close_next(&mut self) -> SyntheticLedger {
        self.world.store.sequence += 1;
        let close_time = EPOCH + CADENCE_SECONDS * u64::from(self.world.store.sequence - 1);
        let mut evicted = self.world.evict_nonces();
        evicted.extend(self.world.evict_sleeper(&mut self.random));
        let LedgerPlan { transactions, price } =
            plan_ledger(&self.world, &mut self.random, self.spec.density);
        let ledger = LedgerFacts { close_time, network_id: self.network_id };
        let mut applied = self.apply_all(ledger, transactions);
        if self.world.protocol >= 23 {
            for tx in applied.iter_mut().filter(|tx| tx.plan.refund > 0) {
                tx.post_fee_processing = refund(&mut self.world, &tx.plan);
            }
        }
        let expected = expected_rows(&self.world, close_time, &applied);
        let (tx_set, tx_set_hash) = transaction_set(self.world.protocol, self.previous_hash, &applied, price);
        let header = self.header(tx_set_hash, close_time, &applied);
        let meta = self.close_meta(header, tx_set, applied, evicted);
        SyntheticLedger { meta, expected }
    }

    fn apply_all(&mut self, ledger: LedgerFacts, plans: Vec<super::plan::TxPlan>) -> Vec<AppliedTx> {
        let fees: Vec<_> = plans.iter().map(|plan| charge_fee(&mut self.world, plan)).collect();
        let charged = plans.into_iter().zip(fees);
        charged.map(|(plan, fee)| apply(&mut self.world, &mut self.random, ledger, plan, fee)).collect()
    }

    fn header(
        &mut self,
        tx_set_hash: [u8; 32],
        close_time: u64,
        txs: &[AppliedTx],
    ) -> LedgerHeaderHistoryEntry {
        let sequence = self.world.store.sequence;
        let header = LedgerHeader {
            ledger_version: self.world.protocol,
            previous_ledger_hash: Hash(self.previous_hash),
            scp_value: self.scp_value(tx_set_hash, close_time),
            tx_set_result_hash: Hash(result_set_hash(txs)),
            // There is no bucket list; the name only has to differ from ledger to ledger.
            bucket_list_hash: Hash(name32(self.spec.seed, "bucket list", sequence.into())),
            ledger_seq: sequence,
            total_coins: self.world.total_coins,
            fee_pool: self.world.fee_pool,
            inflation_seq: 0,
            id_pool: self.world.offer_id as u64,
            base_fee: BASE_FEE as u32,
            base_reserve: BASE_RESERVE,
            max_tx_set_size: MAX_TX_SET_SIZE,
            skip_list: [Hash([0; 32]), Hash([0; 32]), Hash([0; 32]), Hash([0; 32])],
            ext: LedgerHeaderExt::V0,
        };
        let hash = hash_of(&header);
        self.previous_hash = hash.0;
        LedgerHeaderHistoryEntry { hash, header, ext: LedgerHeaderHistoryEntryExt::V0 }
    }

    /// Validators sign the value since protocol 11; the signature here is random, as nothing can check it offline.
    fn scp_value(&mut self, tx_set_hash: [u8; 32], close_time: u64) -> StellarValue {
        let ext = if self.world.protocol < 11 {
            StellarValueExt::Basic
        } else {
            let mut bytes = [0; 64];
            self.random.fill(&mut bytes);
            StellarValueExt::Signed(LedgerCloseValueSignature {
                node_id: NodeId(account_id(name32(self.spec.seed, "validator", 0)).0),
                signature: Signature(bytes.to_vec().try_into().unwrap_or_default()),
            })
        };
        let upgrades = list(Vec::new());
        StellarValue { tx_set_hash: Hash(tx_set_hash), close_time: TimePoint(close_time), upgrades, ext }
    }

    fn close_meta(
        &self,
        ledger_header: LedgerHeaderHistoryEntry,
        tx_set: TxSet,
        mut txs: Vec<AppliedTx>,
        evicted: Vec<LedgerKey>,
    ) -> LedgerCloseMeta {
        let mode = self.spec.events;
        let (upgrades_processing, scp_info) = (list(Vec::new()), list(Vec::new()));
        let tx_set = match tx_set {
            TxSet::Legacy(tx_set) => {
                return LedgerCloseMeta::V0(LedgerCloseMetaV0 {
                    ledger_header,
                    tx_set,
                    tx_processing: list(self.result_metas(mode, txs)),
                    upgrades_processing,
                    scp_info,
                });
            }
            TxSet::Generalized(tx_set) => tx_set,
        };
        let ext = LedgerCloseMetaExt::V1(LedgerCloseMetaExtV1 {
            ext: ExtensionPoint::V0,
            soroban_fee_write1_kb: WRITE_FEE,
        });
        let total_byte_size_of_live_soroban_state = CONTRACT_STATE_BYTES;
        if self.world.protocol < 23 {
            return LedgerCloseMeta::V1(LedgerCloseMetaV1 {
                ext,
                ledger_header,
                tx_set,
                tx_processing: list(self.result_metas(mode, txs)),
                upgrades_processing,
                scp_info,
                total_byte_size_of_live_soroban_state,
                evicted_keys: list(evicted),
                unused: list(Vec::new()),
            });
        }
        let metas: Vec<_> = txs.iter_mut().map(|tx| transaction_meta(&self.world, mode, tx)).collect();
        let result = |(tx, tx_apply_processing): (AppliedTx, TransactionMeta)| TransactionResultMetaV1 {
            ext: ExtensionPoint::V0,
            result: tx.result,
            fee_processing: tx.fee_processing,
            tx_apply_processing,
            post_tx_apply_fee_processing: tx.post_fee_processing,
        };
        LedgerCloseMeta::V2(LedgerCloseMetaV2 {
            ext,
            ledger_header,
            tx_set,
            tx_processing: list(txs.into_iter().zip(metas).map(result).collect()),
            upgrades_processing,
            scp_info,
            total_byte_size_of_live_soroban_state,
            evicted_keys: list(evicted),
        })
    }

    fn result_metas(&self, mode: EventsMode, txs: Vec<AppliedTx>) -> Vec<TransactionResultMeta> {
        let meta = |mut tx: AppliedTx| TransactionResultMeta {
            tx_apply_processing: transaction_meta(&self.world, mode, &mut tx),
            result: tx.result,
            fee_processing: tx.fee_processing,
        };
        txs.into_iter().map(meta).collect()
    }
}

fn result_set_hash(txs: &[AppliedTx]) -> [u8; 32] {
    let results = TransactionResultSet { results: list(txs.iter().map(|tx| tx.result.clone()).collect()) };
    sha256(&encode(&results))
}
