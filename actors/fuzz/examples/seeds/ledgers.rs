//! Small ledgers of one transaction with one operation: every kind of operation in every version of the meta.

use orrery_actors::ledger::cursor::DEPTH_MAX;
use orrery_actors::ledger::{Network, measure_ledger_close_meta};
use orrery_actors::source::synthetic::NETWORK_PASSPHRASE;
use orrery_schemas::Asset;
use stellar_xdr::*;

use super::deep::NESTS;

/// How the ledger is written, from the oldest versions to the newest.
#[derive(Clone, Copy, Debug)]
enum Shape {
    Old,
    Middle,
    Parallel,
    New,
}

/// Every ledger with a name.
pub(crate) fn all() -> Vec<(String, Vec<u8>)> {
    let mut ledgers: Vec<_> = deepest().collect();
    ledgers.push(("wrong-padding".to_owned(), wrong_padding()));
    for shape in [Shape::Old, Shape::Middle, Shape::Parallel, Shape::New] {
        for kind in 0..27 {
            let meta = ledger(shape, kind);
            let xdr = meta.to_xdr(Limits::none()).expect("encode a ledger");
            ledgers.push((format!("{shape:?}-{kind:02}").to_lowercase(), xdr));
        }
    }
    ledgers
}

/// Each deep ledger as deep as it may be: one level more is refused.
fn deepest() -> impl Iterator<Item = (String, Vec<u8>)> {
    NESTS.iter().map(|nest| {
        let ledger = |levels| nest.ledger(levels, &around);
        let is_measured = |levels: &usize| measure_ledger_close_meta(&ledger(*levels)).is_ok();
        let levels = (0..usize::from(DEPTH_MAX)).rev().find(is_measured).unwrap_or(0);
        (format!("deep-{}", nest.name), ledger(levels))
    })
}

/// A ledger in which nothing is wrong but one byte behind a text.
fn wrong_padding() -> Vec<u8> {
    const TEXT: &[u8] = b"fee\0";
    let mut xdr = ledger(Shape::New, 1).to_xdr(Limits::none()).expect("encode a ledger");
    let at = xdr.windows(TEXT.len()).position(|window| window == TEXT).expect("find the fee event");
    xdr[at + TEXT.len() - 1] = 1;
    xdr
}

/// A ledger of one transaction with this operation, these event data and this contract entry.
pub(crate) fn around(body: OperationBody, data: ScVal, entry: ScVal) -> LedgerCloseMeta {
    let kind = body.discriminant() as i32;
    let mut meta = meta(Shape::New);
    let created = ContractDataEntry { val: entry, ..balance(ScVal::Void) };
    let created = LedgerEntry { data: LedgerEntryData::ContractData(created), ..Default::default() };
    if let TransactionMeta::V4(meta) = &mut meta {
        meta.operations = one(OperationMetaV2 {
            changes: LedgerEntryChanges(one(LedgerEntryChange::Created(created))),
            events: one(event(vec![symbol("transfer"), address(0), address(1)], data)),
            ..Default::default()
        });
    }
    ledger_of(Shape::New, envelope(Shape::New, body), result(Shape::New, kind), meta)
}

fn ledger(shape: Shape, kind: i32) -> LedgerCloseMeta {
    ledger_of(shape, envelope(shape, body(kind)), result(shape, kind), meta(shape))
}

fn body(kind: i32) -> OperationBody {
    const ALLOW_TRUST: i32 = 7; // names its asset by a code alone, which is never zero
    if kind == ALLOW_TRUST { OperationBody::AllowTrust(Default::default()) } else { simplest(kind) }
}

fn ledger_of(
    shape: Shape,
    envelope: TransactionEnvelope,
    result: TransactionResult,
    meta: TransactionMeta,
) -> LedgerCloseMeta {
    let result = TransactionResultPair { result, ..Default::default() };
    let mut header = LedgerHeaderHistoryEntry::default();
    header.header.ledger_seq = 26;
    header.header.ledger_version = match shape {
        Shape::Old => 7,
        Shape::Middle => 21,
        Shape::Parallel => 23,
        Shape::New => 26,
    };
    let processing = TransactionResultMeta {
        result: result.clone(),
        fee_processing: fee_changes(),
        tx_apply_processing: meta.clone(),
    };
    match shape {
        Shape::Old => LedgerCloseMeta::V0(LedgerCloseMetaV0 {
            ledger_header: header,
            tx_set: TransactionSet { txs: one(envelope), ..Default::default() },
            tx_processing: one(processing),
            ..Default::default()
        }),
        Shape::Middle | Shape::Parallel => LedgerCloseMeta::V1(LedgerCloseMetaV1 {
            ledger_header: header,
            tx_set: set(shape, envelope),
            tx_processing: one(processing),
            ..Default::default()
        }),
        Shape::New => LedgerCloseMeta::V2(LedgerCloseMetaV2 {
            ledger_header: header,
            tx_set: set(shape, envelope),
            tx_processing: one(TransactionResultMetaV1 {
                result,
                fee_processing: fee_changes(),
                tx_apply_processing: meta,
                post_tx_apply_fee_processing: fee_changes(),
                ..Default::default()
            }),
            ..Default::default()
        }),
    }
}

fn set(shape: Shape, envelope: TransactionEnvelope) -> GeneralizedTransactionSet {
    let phase = match shape {
        Shape::Parallel => {
            let cluster = DependentTxCluster(one(envelope));
            let stages = one(ParallelTxExecutionStage(one(cluster)));
            TransactionPhase::V1(ParallelTxsComponent { base_fee: Some(100), execution_stages: stages })
        }
        _ => TransactionPhase::V0(one(TxSetComponent::TxsetCompTxsMaybeDiscountedFee(
            TxSetComponentTxsMaybeDiscountedFee { base_fee: Some(100), txs: one(envelope) },
        ))),
    };
    GeneralizedTransactionSet::V1(TransactionSetV1 { phases: one(phase), ..Default::default() })
}

fn envelope(shape: Shape, body: OperationBody) -> TransactionEnvelope {
    let kind = body.discriminant() as i32;
    let operation = Operation { source_account: None, body };
    let tx = Transaction {
        operations: one(operation.clone()),
        memo: Memo::Text(b"memo".try_into().expect("a short text")),
        ext: simplest(i32::from(kind >= 24)),
        ..Default::default()
    };
    match shape {
        Shape::Old => TransactionEnvelope::TxV0(TransactionV0Envelope {
            tx: TransactionV0 { operations: one(operation), ..Default::default() },
            ..Default::default()
        }),
        Shape::New => TransactionEnvelope::TxFeeBump(FeeBumpTransactionEnvelope {
            tx: FeeBumpTransaction {
                inner_tx: FeeBumpTransactionInnerTx::Tx(TransactionV1Envelope { tx, ..Default::default() }),
                ..Default::default()
            },
            ..Default::default()
        }),
        _ => TransactionEnvelope::Tx(TransactionV1Envelope { tx, ..Default::default() }),
    }
}

fn result(shape: Shape, kind: i32) -> TransactionResult {
    let mut operation: OperationResultTr = simplest(kind);
    let atoms: VecM<ClaimAtom> = vec![simplest(0), simplest(1), simplest(2)].try_into().expect("three");
    match &mut operation {
        OperationResultTr::PathPaymentStrictReceive(PathPaymentStrictReceiveResult::Success(success)) => {
            success.offers = atoms;
        }
        OperationResultTr::PathPaymentStrictSend(PathPaymentStrictSendResult::Success(success)) => {
            success.offers = atoms;
        }
        OperationResultTr::ManageSellOffer(ManageSellOfferResult::Success(success)) => {
            success.offers_claimed = atoms;
        }
        OperationResultTr::ManageBuyOffer(ManageBuyOfferResult::Success(success)) => {
            success.offers_claimed = atoms;
        }
        OperationResultTr::CreatePassiveSellOffer(ManageSellOfferResult::Success(success)) => {
            success.offers_claimed = atoms;
        }
        OperationResultTr::Inflation(InflationResult::Success(payouts)) => {
            *payouts = one(InflationPayout { amount: 5, ..Default::default() });
        }
        _ => {}
    }
    let results = one(OperationResult::OpInner(operation));
    let result = match shape {
        Shape::New => TransactionResultResult::TxFeeBumpInnerSuccess(InnerTransactionResultPair {
            result: InnerTransactionResult {
                result: InnerTransactionResultResult::TxSuccess(results),
                ..Default::default()
            },
            ..Default::default()
        }),
        _ => TransactionResultResult::TxSuccess(results),
    };
    TransactionResult { fee_charged: 300, result, ..Default::default() }
}

fn meta(shape: Shape) -> TransactionMeta {
    let operations = one(OperationMeta { changes: changes() });
    match shape {
        Shape::Old => TransactionMeta::V2(TransactionMetaV2 { operations, ..Default::default() }),
        Shape::Middle | Shape::Parallel => TransactionMeta::V3(TransactionMetaV3 {
            operations,
            soroban_meta: Some(SorobanTransactionMeta {
                ext: simplest(1),
                events: events(),
                ..Default::default()
            }),
            ..Default::default()
        }),
        Shape::New => TransactionMeta::V4(TransactionMetaV4 {
            operations: one(OperationMetaV2 { changes: changes(), events: events(), ..Default::default() }),
            soroban_meta: Some(SorobanTransactionMetaV2 {
                ext: simplest(1),
                return_value: Some(ScVal::Void),
            }),
            events: one(TransactionEvent {
                stage: TransactionEventStage::BeforeAllTxs,
                event: event(vec![symbol("fee"), address(0)], ScVal::I128(Int128Parts { hi: 0, lo: 300 })),
            }),
            ..Default::default()
        }),
    }
}

/// A mint, a transfer with an id for the receiver, and a clawback as protocols to 22 wrote it.
fn events() -> VecM<ContractEvent> {
    let amount = ScVal::I128(Int128Parts { hi: 0, lo: 7 });
    let native = || ScVal::String(ScString(b"native".try_into().expect("a short text")));
    let entry = |key, val| ScMapEntry { key: symbol(key), val };
    let map = vec![entry("amount", amount.clone()), entry("to_muxed_id", ScVal::U64(9))];
    let data = ScVal::Map(Some(ScMap(map.try_into().expect("two entries"))));
    vec![
        event(vec![symbol("mint"), address(0), native()], amount.clone()),
        event(vec![symbol("transfer"), address(0), address(1), native()], data),
        event(vec![symbol("clawback"), address(0), address(1), native()], amount),
    ]
    .try_into()
    .expect("three events")
}

fn event(topics: Vec<ScVal>, data: ScVal) -> ContractEvent {
    let contract = Network::new(NETWORK_PASSPHRASE).asset_contract(&Asset::Native);
    ContractEvent {
        contract_id: Some(ContractId(Hash(contract.0))),
        type_: ContractEventType::Contract,
        body: ContractEventBody::V0(ContractEventV0 { topics: topics.try_into().expect("few topics"), data }),
        ..Default::default()
    }
}

fn symbol(text: &str) -> ScVal {
    ScVal::Symbol(ScSymbol(text.try_into().expect("a short text")))
}

fn address(kind: i32) -> ScVal {
    ScVal::Address(simplest(kind))
}

/// An account before and after it paid.
fn fee_changes() -> LedgerEntryChanges {
    let account = LedgerEntry { data: simplest(0), ..Default::default() };
    let changes = vec![LedgerEntryChange::State(account.clone()), LedgerEntryChange::Updated(account)];
    LedgerEntryChanges(changes.try_into().expect("two changes"))
}

/// One entry of each type changed, one created and one removed, and the balance of a contract.
fn changes() -> LedgerEntryChanges {
    let entry = |kind| LedgerEntry { data: simplest(kind), ..Default::default() };
    let mut changes = Vec::new();
    for kind in [0, 1, 4, 5] {
        changes.push(LedgerEntryChange::State(entry(kind)));
        changes.push(LedgerEntryChange::Updated(entry(kind)));
    }
    changes.push(LedgerEntryChange::Created(entry(4)));
    changes.push(LedgerEntryChange::State(entry(4)));
    changes.push(LedgerEntryChange::Removed(simplest(4)));
    let amount = ScMapEntry { key: symbol("amount"), val: ScVal::I128(Int128Parts { hi: 0, lo: 7 }) };
    let balance = balance(ScVal::Map(Some(ScMap(one(amount)))));
    let data = LedgerEntryData::ContractData(balance);
    changes.push(LedgerEntryChange::Created(LedgerEntry { data, ..Default::default() }));
    LedgerEntryChanges(changes.try_into().expect("few changes"))
}

/// A contract's balance of the token of another.
fn balance(val: ScVal) -> ContractDataEntry {
    let key = vec![symbol("Balance"), address(1)].try_into().expect("two values");
    ContractDataEntry {
        contract: simplest(1),
        key: ScVal::Vec(Some(ScVec(key))),
        val,
        ext: ExtensionPoint::V0,
        durability: ContractDataDurability::Persistent,
    }
}

fn one<T: Clone, const MAX: u32>(element: T) -> VecM<T, MAX> {
    vec![element].try_into().expect("one element")
}

/// The value of a union that has this discriminant and zeros behind it, as many as it takes.
fn simplest<T: ReadXdr>(discriminant: i32) -> T {
    let mut xdr = discriminant.to_be_bytes().to_vec();
    loop {
        match T::from_xdr(&xdr, Limits::len(xdr.len())) {
            Ok(value) => return value,
            Err(_) if xdr.len() < 1_000 => xdr.extend([0; 4]),
            Err(error) => panic!("no value of {discriminant} and zeros: {error}"),
        }
    }
}
