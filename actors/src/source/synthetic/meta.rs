//! The meta of a transaction, in the version that its protocol and the wanted events call for.

use orrery_schemas::Kind;
use stellar_xdr::{
    ContractEvent, ContractEventBody, ContractEventType, ContractEventV0, DiagnosticEvent, ExtensionPoint,
    OperationMeta, OperationMetaV2, ScVal, SorobanTransactionMeta, SorobanTransactionMetaExt,
    SorobanTransactionMetaExtV1, SorobanTransactionMetaV2, TransactionEvent, TransactionEventStage,
    TransactionMeta, TransactionMetaV2, TransactionMetaV3, TransactionMetaV4,
};

use super::{
    assets::NATIVE,
    movement::{Emission, Movement, out_of, set_authorized_event},
    plan::Body,
    spec::EventsMode,
    transaction::AppliedTx,
    world::World,
    xdr::{list, symbol},
};

/// Measurements that core attaches to each call.
const METRICS: [&str; 16] = [
    "read_entry",
    "write_entry",
    "ledger_read_byte",
    "ledger_write_byte",
    "read_key_byte",
    "write_key_byte",
    "read_data_byte",
    "write_data_byte",
    "read_code_byte",
    "write_code_byte",
    "emit_event",
    "emit_event_byte",
    "cpu_insn",
    "mem_byte",
    "invoke_time_nsecs",
    "max_rw_key_byte",
];

/// Takes the entry changes out of `tx`; its emissions stay.
pub(super) fn transaction_meta(world: &World, mode: EventsMode, tx: &mut AppliedTx) -> TransactionMeta {
    let unified = mode == EventsMode::Unified;
    match world.protocol {
        23.. => v4(world, unified, tx),
        _ if unified => v4(world, unified, tx),
        20.. => v3(world, tx),
        _ => v2(tx),
    }
}

fn v2(tx: &mut AppliedTx) -> TransactionMeta {
    TransactionMeta::V2(TransactionMetaV2 {
        tx_changes_before: std::mem::take(&mut tx.changes_before),
        operations: list(operation_metas(tx)),
        tx_changes_after: std::mem::take(&mut tx.changes_after),
    })
}

fn v3(world: &World, tx: &mut AppliedTx) -> TransactionMeta {
    let called = tx.plan.body == Body::Invoke;
    let emissions = tx.ops.iter().flat_map(|op| &op.emitted);
    let events: Vec<ContractEvent> = emissions.filter_map(|emission| emitted(emission, true)).collect();
    let soroban_meta = called.then(|| SorobanTransactionMeta {
        ext: soroban_ext(world, tx),
        events: list(events),
        return_value: ScVal::Void,
        diagnostic_events: list(metrics(tx)),
    });
    TransactionMeta::V3(TransactionMetaV3 {
        ext: ExtensionPoint::V0,
        tx_changes_before: std::mem::take(&mut tx.changes_before),
        operations: list(operation_metas(tx)),
        tx_changes_after: std::mem::take(&mut tx.changes_after),
        soroban_meta,
    })
}

fn operation_metas(tx: &mut AppliedTx) -> Vec<OperationMeta> {
    tx.ops.iter_mut().map(|op| OperationMeta { changes: std::mem::take(&mut op.changes) }).collect()
}

fn v4(world: &World, unified: bool, tx: &mut AppliedTx) -> TransactionMeta {
    let soroban_meta = (tx.plan.body.is_soroban() && tx.successful).then(|| SorobanTransactionMetaV2 {
        ext: soroban_ext(world, tx),
        return_value: (tx.plan.body == Body::Invoke).then_some(ScVal::Void),
    });
    let diagnostic_events =
        if tx.plan.body == Body::Invoke && tx.successful { metrics(tx) } else { Vec::new() };
    let events = if unified { fee_events(world, tx) } else { Vec::new() };
    let operations = tx.ops.iter_mut().map(|op| OperationMetaV2 {
        ext: ExtensionPoint::V0,
        changes: std::mem::take(&mut op.changes),
        events: list(op.emitted.iter().filter_map(|emission| v4_event(world, unified, emission)).collect()),
    });
    TransactionMeta::V4(TransactionMetaV4 {
        ext: ExtensionPoint::V0,
        operations: list(operations.collect()),
        tx_changes_before: std::mem::take(&mut tx.changes_before),
        tx_changes_after: std::mem::take(&mut tx.changes_after),
        soroban_meta,
        events: list(events),
        diagnostic_events: list(diagnostic_events),
    })
}

fn v4_event(world: &World, unified: bool, emission: &Emission) -> Option<ContractEvent> {
    match emission {
        Emission::Classic(movement) => unified.then(|| movement.event(&world.assets)),
        &Emission::SetAuthorized { asset, trustor, authorized } => {
            unified.then(|| set_authorized_event(&world.assets, asset, trustor, authorized))
        }
        Emission::Contract(_) => emitted(emission, !unified),
    }
}

/// A contract's event as it was emitted, or as core rewrites it for readers of newer protocols.
fn emitted(emission: &Emission, original: bool) -> Option<ContractEvent> {
    match emission {
        Emission::Contract(event) if original => Some(event.emitted.clone()),
        Emission::Contract(event) => Some(event.backfilled.clone()),
        Emission::Classic(_) | Emission::SetAuthorized { .. } => None,
    }
}

/// The fee charged, and a refund as a negative fee.
pub(super) fn fee_movements(world: &World, tx: &AppliedTx) -> (Movement, Option<Movement>) {
    let payer = world.address(tx.plan.fee_account());
    let fee = |amount| out_of(&world.assets, Kind::Fee, NATIVE, payer, amount);
    (fee(tx.plan.fee), (tx.plan.refund > 0).then(|| fee(-tx.plan.refund)))
}

fn fee_events(world: &World, tx: &AppliedTx) -> Vec<TransactionEvent> {
    let (fee, refund) = fee_movements(world, tx);
    let refund_stage =
        if world.protocol < 23 { TransactionEventStage::AfterTx } else { TransactionEventStage::AfterAllTxs };
    let stages = [(TransactionEventStage::BeforeAllTxs, Some(fee)), (refund_stage, refund)];
    let event = |(stage, movement): (_, Option<Movement>)| {
        movement.map(|movement| TransactionEvent { stage, event: movement.event(&world.assets) })
    };
    stages.into_iter().filter_map(event).collect()
}

/// How the resource fee was used, since protocol 21.
fn soroban_ext(world: &World, tx: &AppliedTx) -> SorobanTransactionMetaExt {
    if world.protocol < 21 {
        return SorobanTransactionMetaExt::V0;
    }
    let charged = tx.plan.resource_fee - tx.plan.refund;
    let refundable = charged / 2;
    SorobanTransactionMetaExt::V1(SorobanTransactionMetaExtV1 {
        ext: ExtensionPoint::V0,
        total_non_refundable_resource_fee_charged: charged - refundable,
        total_refundable_resource_fee_charged: refundable,
        rent_fee_charged: refundable / 2,
    })
}

fn metrics(tx: &AppliedTx) -> Vec<DiagnosticEvent> {
    let event = |(number, name): (usize, &&str)| {
        let data = ScVal::U64(tx.plan.resource_fee as u64 * (number as u64 + 1));
        let topics = list(vec![symbol("core_metrics"), symbol(name)]);
        DiagnosticEvent {
            in_successful_contract_call: false,
            event: ContractEvent {
                ext: ExtensionPoint::V0,
                contract_id: None,
                type_: ContractEventType::Diagnostic,
                body: ContractEventBody::V0(ContractEventV0 { topics, data }),
            },
        }
    };
    METRICS.iter().enumerate().map(event).collect()
}
