//! One transaction: its fee, its application, its envelope and its result.

use orrery_schemas::OpType;
use stellar_xdr::{
    AccountEntryExt, AccountEntryExtensionV1Ext, AccountEntryExtensionV2Ext, DecoratedSignature,
    FeeBumpTransaction, FeeBumpTransactionEnvelope, FeeBumpTransactionExt, FeeBumpTransactionInnerTx, Hash,
    InnerTransactionResult, InnerTransactionResultExt, InnerTransactionResultPair,
    InnerTransactionResultResult, LedgerBounds, LedgerEntryChange, LedgerEntryChanges, Operation,
    OperationBody, OperationResult, Preconditions, PreconditionsV2, SequenceNumber, Signature, SignatureHint,
    SorobanTransactionData, TimeBounds, TimePoint, Transaction, TransactionEnvelope, TransactionExt,
    TransactionResult, TransactionResultExt, TransactionResultPair, TransactionResultResult, TransactionV0,
    TransactionV0Envelope, TransactionV0Ext, TransactionV1Envelope, Uint256,
};

use super::{
    invocation::resources,
    movement::Emission,
    operation::{Executor, Performed, TxFacts},
    plan::{Body, TxPlan},
    random::Random,
    world::World,
    xdr::{list, muxed},
};

/// What an operation did.
#[derive(Default)]
pub(super) struct AppliedOp {
    pub(super) changes: LedgerEntryChanges,
    pub(super) emitted: Vec<Emission>,
}

/// A transaction that was applied, successful or not.
pub(super) struct AppliedTx {
    pub(super) plan: TxPlan,
    pub(super) envelope: TransactionEnvelope,
    pub(super) result: TransactionResultPair,
    pub(super) successful: bool,
    pub(super) fee_processing: LedgerEntryChanges,
    pub(super) changes_before: LedgerEntryChanges,
    /// Empty if the transaction failed.
    pub(super) ops: Vec<AppliedOp>,
    /// Types of the operations in `ops`.
    pub(super) op_types: Vec<OpType>,
    /// A refund before protocol 23.
    pub(super) changes_after: LedgerEntryChanges,
    /// A refund since protocol 23, made after all transactions.
    pub(super) post_fee_processing: LedgerEntryChanges,
}

/// Facts of the ledger that its transactions may know.
#[derive(Clone, Copy)]
pub(super) struct LedgerFacts {
    pub(super) close_time: u64,
    pub(super) network_id: [u8; 32],
}

/// Charges the fee; before protocol 10 the sequence number was consumed in the same step.
pub(super) fn charge_fee(world: &mut World, plan: &TxPlan) -> LedgerEntryChanges {
    world.store.edit(plan.fee_account()).balance -= plan.fee;
    world.fee_pool += plan.fee;
    if world.protocol < 10 {
        world.store.edit(plan.source).seq_num.0 += 1;
    }
    world.store.take_changes()
}

/// Gives back what a contract transaction did not use of its fee.
pub(super) fn refund(world: &mut World, plan: &TxPlan) -> LedgerEntryChanges {
    if plan.refund > 0 {
        world.store.edit(plan.fee_account()).balance += plan.refund;
        world.fee_pool -= plan.refund;
    }
    world.store.take_changes()
}

/// Applies the operations of a transaction whose fee was charged.
pub(super) fn apply(
    world: &mut World,
    random: &mut Random,
    ledger: LedgerFacts,
    plan: TxPlan,
    fee_processing: LedgerEntryChanges,
) -> AppliedTx {
    let changes_before = consume_sequence_number(world, &plan, ledger.close_time);
    let facts = TxFacts {
        source: plan.source,
        source_key: world.key(plan.source),
        source_mux: plan.source_mux,
        sequence_number: world.store.get(plan.source).seq_num.0,
        memo: plan.memo.clone(),
        close_time: ledger.close_time,
    };
    let Applied { operations, result, ops } = apply_operations(world, random, &facts, &plan.body);
    let op_types = operations.iter().map(|operation| op_type(&operation.body)).collect();
    let soroban = plan.body.is_soroban().then(|| {
        let no_changes = LedgerEntryChanges::default();
        let changes = ops.first().map_or(&no_changes, |op| &op.changes);
        let body = operations.first().map(|operation| &operation.body);
        body.map(|body| resources(body, changes, plan.resource_fee))
    });
    let (mut envelope, inner_hash) =
        envelopes(world, random, &plan, &facts, operations, soroban.flatten(), ledger.network_id);
    let hash = envelope.hash(ledger.network_id).unwrap_or_default();
    sign(&mut envelope, random, [&facts.source_key, &world.key(plan.fee_account())]);
    let successful = matches!(result, InnerTransactionResultResult::TxSuccess(_));
    let changes_after =
        if world.protocol < 23 { refund(world, &plan) } else { LedgerEntryChanges::default() };
    let result = TransactionResultPair {
        transaction_hash: Hash(hash),
        result: TransactionResult {
            fee_charged: plan.fee - plan.refund,
            result: outer_result(result, inner_hash, successful),
            ext: TransactionResultExt::V0,
        },
    };
    AppliedTx {
        plan,
        envelope,
        result,
        successful,
        fee_processing,
        changes_before,
        ops,
        op_types,
        changes_after,
        post_fee_processing: LedgerEntryChanges::default(),
    }
}

/// Since protocol 10 the sequence number is consumed when the transaction is applied. A fee bump first loads its fee
/// source, which appears among the changes although nothing in it differs.
fn consume_sequence_number(world: &mut World, plan: &TxPlan, close_time: u64) -> LedgerEntryChanges {
    if world.protocol < 10 {
        return LedgerEntryChanges::default();
    }
    let mut changes: Vec<LedgerEntryChange> = Vec::new();
    if let Some(payer) = plan.payer {
        world.store.edit(payer);
        changes.extend(world.store.take_changes().0.into_vec());
    }
    let sequence = world.store.sequence;
    let source = world.store.edit(plan.source);
    source.seq_num.0 += 1;
    if let AccountEntryExt::V1(v1) = &mut source.ext
        && let AccountEntryExtensionV1Ext::V2(v2) = &mut v1.ext
        && let AccountEntryExtensionV2Ext::V3(v3) = &mut v2.ext
    {
        (v3.seq_ledger, v3.seq_time) = (sequence, TimePoint(close_time));
    }
    changes.extend(world.store.take_changes().0.into_vec());
    LedgerEntryChanges(list(changes))
}

struct Applied {
    operations: Vec<Operation>,
    result: InnerTransactionResultResult,
    ops: Vec<AppliedOp>,
}

fn apply_operations(world: &mut World, random: &mut Random, facts: &TxFacts, body: &Body) -> Applied {
    let mut executor =
        Executor { world, random, tx: facts, op_number: 0, emitted: Vec::new(), sponsored_key: None };
    let (mut operations, mut results, mut ops) = (Vec::new(), Vec::new(), Vec::new());
    let mut record = |executor: &mut Executor<'_>, performed: Performed| {
        let (operation, result) = performed.into_parts();
        operations.push(operation);
        results.push(result);
        let changes = executor.world.store.take_changes();
        ops.push(AppliedOp { changes, emitted: std::mem::take(&mut executor.emitted) });
        executor.op_number += 1;
    };
    let failed = |operations: Vec<Operation>, results: Vec<OperationResult>| Applied {
        operations,
        result: InnerTransactionResultResult::TxFailed(list(results)),
        ops: Vec::new(),
    };
    match body {
        Body::Classic(kinds) => {
            for &kind in kinds {
                let performed = executor.perform(kind);
                record(&mut executor, performed);
            }
        }
        Body::Invoke => {
            let performed = executor.invoke();
            record(&mut executor, performed);
        }
        Body::ExtendTtl => {
            let performed = executor.extend_footprint();
            record(&mut executor, performed);
        }
        Body::Restore => {
            let performed = executor.restore_footprint();
            record(&mut executor, performed);
        }
        Body::Failing(count) => {
            let (operations, results) = executor.failing(*count);
            return failed(operations, results);
        }
        Body::InvokeFailing => {
            let (operation, result) = executor.invoke_failing().into_parts();
            return failed(vec![operation], vec![result]);
        }
        Body::BadAuth => {
            let (operations, _) = executor.failing(1);
            return Applied { operations, result: InnerTransactionResultResult::TxBadAuth, ops: Vec::new() };
        }
    }
    Applied { operations, result: InnerTransactionResultResult::TxSuccess(list(results)), ops }
}

/// The envelope without signatures, and the hash of the inner transaction of a fee bump.
fn envelopes(
    world: &World,
    random: &mut Random,
    plan: &TxPlan,
    facts: &TxFacts,
    operations: Vec<Operation>,
    soroban: Option<SorobanTransactionData>,
    network_id: [u8; 32],
) -> (TransactionEnvelope, Option<[u8; 32]>) {
    let seq_num = SequenceNumber(facts.sequence_number);
    let max_time = TimePoint(facts.close_time + random.below(300));
    let time_bounds = random.chance(1, 2).then_some(TimeBounds { min_time: TimePoint(0), max_time });
    let fee = u32::try_from(plan.bid).unwrap_or(u32::MAX);
    let operations = list(operations);
    if world.protocol < 13 {
        let tx = TransactionV0 {
            source_account_ed25519: Uint256(facts.source_key),
            fee,
            seq_num,
            time_bounds,
            memo: facts.memo.clone(),
            operations,
            ext: TransactionV0Ext::V0,
        };
        let signatures = list(Vec::new());
        return (TransactionEnvelope::TxV0(TransactionV0Envelope { tx, signatures }), None);
    }
    let tx = Transaction {
        source_account: muxed(facts.source_key, facts.source_mux),
        fee: if plan.payer.is_some() { 0 } else { fee },
        seq_num,
        cond: conditions(world, random, time_bounds),
        memo: facts.memo.clone(),
        operations,
        ext: soroban.map_or(TransactionExt::V0, TransactionExt::V1),
    };
    let mut envelope = TransactionV1Envelope { tx, signatures: list(Vec::new()) };
    let Some(payer) = plan.payer else { return (TransactionEnvelope::Tx(envelope), None) };
    let inner_hash = envelope.hash(network_id).unwrap_or_default();
    envelope.signatures = list(vec![signature(random, &facts.source_key)]);
    let tx = FeeBumpTransaction {
        fee_source: muxed(world.key(payer), None),
        fee: plan.bid,
        inner_tx: FeeBumpTransactionInnerTx::Tx(envelope),
        ext: FeeBumpTransactionExt::V0,
    };
    let signatures = list(Vec::new());
    (TransactionEnvelope::TxFeeBump(FeeBumpTransactionEnvelope { tx, signatures }), Some(inner_hash))
}

fn conditions(world: &World, random: &mut Random, time_bounds: Option<TimeBounds>) -> Preconditions {
    if world.protocol >= 19 && random.chance(1, 12) {
        let ledger_bounds = Some(LedgerBounds { min_ledger: 0, max_ledger: world.store.sequence + 10 });
        return Preconditions::V2(PreconditionsV2 {
            time_bounds,
            ledger_bounds,
            ..PreconditionsV2::default()
        });
    }
    time_bounds.map_or(Preconditions::None, Preconditions::Time)
}

/// Signatures are random bytes: nothing that reads closed ledgers checks them.
fn sign(envelope: &mut TransactionEnvelope, random: &mut Random, [source, payer]: [&[u8; 32]; 2]) {
    match envelope {
        TransactionEnvelope::TxV0(envelope) => envelope.signatures = list(vec![signature(random, source)]),
        TransactionEnvelope::Tx(envelope) => envelope.signatures = list(vec![signature(random, source)]),
        TransactionEnvelope::TxFeeBump(envelope) => {
            envelope.signatures = list(vec![signature(random, payer)]);
        }
    }
}

fn signature(random: &mut Random, key: &[u8; 32]) -> DecoratedSignature {
    let mut bytes = [0; 64];
    random.fill(&mut bytes);
    DecoratedSignature {
        hint: SignatureHint([key[28], key[29], key[30], key[31]]),
        signature: Signature(bytes.to_vec().try_into().unwrap_or_default()),
    }
}

fn outer_result(
    result: InnerTransactionResultResult,
    inner_hash: Option<[u8; 32]>,
    successful: bool,
) -> TransactionResultResult {
    let Some(hash) = inner_hash else {
        return match result {
            InnerTransactionResultResult::TxSuccess(results) => TransactionResultResult::TxSuccess(results),
            InnerTransactionResultResult::TxFailed(results) => TransactionResultResult::TxFailed(results),
            _ => TransactionResultResult::TxBadAuth,
        };
    };
    let inner = InnerTransactionResultPair {
        transaction_hash: Hash(hash),
        result: InnerTransactionResult { fee_charged: 0, result, ext: InnerTransactionResultExt::V0 },
    };
    match successful {
        true => TransactionResultResult::TxFeeBumpInnerSuccess(inner),
        false => TransactionResultResult::TxFeeBumpInnerFailed(inner),
    }
}

/// The discriminants of both enumerations are those of the protocol.
fn op_type(body: &OperationBody) -> OpType {
    OpType::ALL[body.discriminant() as usize]
}
