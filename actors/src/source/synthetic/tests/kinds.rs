//! Everything that the rules name occurs, and soon.

use std::collections::BTreeSet;

use orrery_schemas::{Address, Kind, OpType, ToMuxed, TokenTransfer};
use stellar_xdr::*;

use super::{ledgers, parts::Parts};

/// First and last protocol of the kinds that were not always there.
fn exists(op: OpType, protocol: u32) -> bool {
    use OpType as T;
    let (first, last) = match op {
        T::Inflation => (0, 11),
        T::BumpSequence => (10, u32::MAX),
        T::ManageBuyOffer => (11, u32::MAX),
        T::PathPaymentStrictSend => (12, u32::MAX),
        T::CreateClaimableBalance | T::ClaimClaimableBalance => (14, u32::MAX),
        T::BeginSponsoringFutureReserves | T::EndSponsoringFutureReserves => (14, u32::MAX),
        T::RevokeSponsorship => (14, u32::MAX),
        T::Clawback | T::ClawbackClaimableBalance | T::SetTrustLineFlags => (17, u32::MAX),
        T::LiquidityPoolDeposit | T::LiquidityPoolWithdraw => (18, u32::MAX),
        T::InvokeHostFunction | T::ExtendFootprintTtl | T::RestoreFootprint => (20, u32::MAX),
        _ => (0, u32::MAX),
    };
    (first..=last).contains(&protocol)
}

#[test]
fn each_protocol_has_its_operations_and_no_later_ones() {
    for protocol in super::PROTOCOL_MIN..=super::PROTOCOL_MAX {
        let mut seen = BTreeSet::new();
        for ledger in ledgers(&format!("ledgers=20&protocol={protocol}&events=none")) {
            for tx in Parts::of(&ledger.meta).transactions.iter().filter(|tx| tx.successful) {
                seen.extend(tx.operations.iter().map(|op| OpType::ALL[op.body.discriminant() as usize]));
            }
        }
        let wanted = OpType::ALL.iter().copied().filter(|&op| exists(op, protocol)).collect();
        assert_eq!(seen, wanted, "protocol {protocol}");
    }
}

#[derive(Default)]
struct Seen(BTreeSet<String>);

impl Seen {
    fn note(&mut self, fact: impl ToString) {
        self.0.insert(fact.to_string());
    }

    fn row(&mut self, row: &TokenTransfer) {
        let letter = |holder: Option<Address>| holder.map_or("-".into(), |h| h.to_string()[..1].to_string());
        let op = row.op_type.map_or("fee", OpType::as_str);
        let (kind, from, to) = (row.kind.as_str(), letter(row.from), letter(row.to));
        self.note(format!("{op} {kind} {from}>{to}"));
        let known = if row.asset.is_some() { "asset" } else { "token" };
        self.note(format!("{known} {kind}"));
        match &row.to_muxed {
            Some(ToMuxed::Id(_)) => self.note(format!("{op} id")),
            Some(ToMuxed::Text(text)) if std::str::from_utf8(text).is_err() => self.note("text not UTF-8"),
            Some(ToMuxed::Text(_)) => self.note(format!("{op} text")),
            Some(ToMuxed::Hash(_)) => self.note(format!("{op} hash")),
            None => {}
        }
        if row.amount == 0 {
            self.note(format!("{op} zero"));
        }
        if row.amount < 0 {
            self.note(format!("{op} negative"));
        }
        if row.amount > i128::MAX - 10 {
            self.note("amount near the maximum");
        }
        if row.kind == Kind::Transfer && row.from == row.to {
            self.note(format!("{op} self"));
        }
        if row.from.is_some() && row.from == row.asset.and_then(|asset| asset.issuer()) && row.from == row.to
        {
            self.note("issuer to itself");
        }
    }
}

const WANTED: &[&str] = &[
    "fee fee G>-",
    "fee negative",
    "create_account transfer G>G",
    "create_account zero",
    "create_account id",
    "account_merge transfer G>G",
    "account_merge zero",
    "account_merge id",
    "payment transfer G>G",
    "payment mint ->G",
    "payment burn G>-",
    "payment id",
    "payment text",
    "payment hash",
    "payment self",
    "issuer to itself",
    "text not UTF-8",
    "path_payment_strict_send transfer G>G",
    "path_payment_strict_send transfer G>L",
    "path_payment_strict_send transfer L>G",
    "path_payment_strict_send mint ->L",
    "path_payment_strict_send burn L>-",
    "path_payment_strict_send mint ->G",
    "path_payment_strict_send burn G>-",
    "path_payment_strict_receive transfer G>G",
    "path_payment_strict_receive transfer L>G",
    "path_payment_strict_receive id",
    "manage_sell_offer transfer G>G",
    "manage_sell_offer mint ->G",
    "manage_sell_offer burn G>-",
    "manage_buy_offer transfer G>G",
    "create_passive_sell_offer transfer G>G",
    "create_claimable_balance transfer G>B",
    "create_claimable_balance mint ->B",
    "claim_claimable_balance transfer B>G",
    "claim_claimable_balance burn B>-",
    "claim_claimable_balance id",
    "clawback clawback G>-",
    "clawback_claimable_balance clawback B>-",
    "allow_trust transfer L>B",
    "allow_trust burn L>-",
    "set_trust_line_flags transfer L>B",
    "set_trust_line_flags burn L>-",
    "liquidity_pool_deposit transfer G>L",
    "liquidity_pool_deposit mint ->L",
    "liquidity_pool_withdraw transfer L>G",
    "liquidity_pool_withdraw burn L>-",
    "liquidity_pool_withdraw zero",
    "liquidity_pool_withdraw id",
    "invoke_host_function transfer G>G",
    "invoke_host_function transfer G>C",
    "invoke_host_function transfer C>G",
    "invoke_host_function transfer C>C",
    "invoke_host_function transfer L>B",
    "invoke_host_function transfer G>M",
    "invoke_host_function mint ->G",
    "invoke_host_function mint ->C",
    "invoke_host_function burn G>-",
    "invoke_host_function burn C>-",
    "invoke_host_function clawback G>-",
    "invoke_host_function clawback C>-",
    "invoke_host_function id",
    "invoke_host_function text",
    "invoke_host_function hash",
    "invoke_host_function zero",
    "invoke_host_function negative",
    "token transfer",
    "token mint",
    "token burn",
    "token clawback",
    "amount near the maximum",
];

/// Facts of transactions rather than of rows.
const WANTED_OF_TRANSACTIONS: &[&str] = &[
    "fee bump that succeeds",
    "fee bump that fails",
    "fails",
    "fails before its operations",
    "failed call with a refund",
    "call without a refund",
    "memo None",
    "memo Text",
    "memo Id",
    "memo Hash",
    "memo Return",
    "evicted",
    "restored",
    "set_authorized",
    "event that is no movement",
    "revoke of 2 balances",
    "revoke of 1 balance and 1 burn",
    "revoke of 1 balance",
    "revoke of 1 burn",
    "revoke of 0 balances",
    "offer created",
    "offer updated",
    "offer deleted",
];

#[test]
fn every_rule_occurs_within_200_ledgers() {
    let mut seen = Seen::default();
    for ledger in ledgers("ledgers=200") {
        ledger.expected.iter().for_each(|row| seen.row(row));
        let parts = Parts::of(&ledger.meta);
        if !parts.evicted.is_empty() {
            seen.note("evicted");
        }
        for (tx, number) in parts.transactions.iter().zip(1..) {
            note_transaction(&mut seen, tx);
            note_revokes(&mut seen, tx, ledger.expected.iter().filter(|row| row.tx_index == number));
        }
    }
    let wanted = WANTED.iter().chain(WANTED_OF_TRANSACTIONS);
    let missing: Vec<_> = wanted.filter(|fact| !seen.0.contains(**fact)).collect();
    assert!(missing.is_empty(), "missing {missing:#?} in {:#?}", seen.0);
}

fn note_transaction(seen: &mut Seen, tx: &super::parts::TxParts) {
    match &tx.result.result.result {
        TransactionResultResult::TxFeeBumpInnerSuccess(_) => seen.note("fee bump that succeeds"),
        TransactionResultResult::TxFeeBumpInnerFailed(_) => seen.note("fee bump that fails"),
        TransactionResultResult::TxFailed(_) => seen.note("fails"),
        TransactionResultResult::TxBadAuth => seen.note("fails before its operations"),
        TransactionResultResult::TxSuccess(results) => {
            results.iter().for_each(|result| note_offer(seen, result))
        }
        _ => {}
    }
    seen.note(format!("memo {}", tx.memo.name()));
    if tx.soroban && !tx.successful && !tx.changes.post.is_empty() {
        seen.note("failed call with a refund");
    }
    if tx.soroban && tx.changes.post.is_empty() {
        seen.note("call without a refund");
    }
    if tx.changes.operations.iter().flatten().any(|change| matches!(change, LedgerEntryChange::Restored(_))) {
        seen.note("restored");
    }
    for event in &tx.events {
        let ContractEventBody::V0(body) = &event.body;
        match body.topics.first() {
            Some(ScVal::Symbol(name)) if name.0.as_slice() == b"set_authorized" => {
                seen.note("set_authorized")
            }
            Some(ScVal::Symbol(_)) if event.type_ == ContractEventType::Contract => {}
            _ => seen.note("event that is no movement"),
        }
    }
}

fn note_offer(seen: &mut Seen, result: &OperationResult) {
    if let OperationResult::OpInner(OperationResultTr::ManageSellOffer(ManageSellOfferResult::Success(
        success,
    ))) = result
    {
        seen.note(match success.offer {
            ManageOfferSuccessResultOffer::Created(_) => "offer created",
            ManageOfferSuccessResultOffer::Updated(_) => "offer updated",
            ManageOfferSuccessResultOffer::Deleted => "offer deleted",
        });
    }
}

/// What came of each pool that a revoke took apart, by the pool's own rows.
fn note_revokes<'a>(
    seen: &mut Seen,
    tx: &super::parts::TxParts,
    rows: impl Iterator<Item = &'a TokenTransfer>,
) {
    let rows: Vec<_> = rows.collect();
    for (number, operation) in tx.operations.iter().enumerate().filter(|_| tx.successful) {
        let revokes =
            matches!(operation.body, OperationBody::AllowTrust(_) | OperationBody::SetTrustLineFlags(_));
        let pools = tx.changes.operations[number].iter().filter_map(|change| match change {
            LedgerEntryChange::Updated(LedgerEntry {
                data: LedgerEntryData::LiquidityPool(pool), ..
            }) => Some(Address::LiquidityPool(pool.liquidity_pool_id.0.0)),
            _ => None,
        });
        for pool in pools.filter(|_| revokes) {
            let of_pool =
                rows.iter().filter(|row| row.op_index == Some(number as u32 + 1) && row.from == Some(pool));
            let kinds: Vec<_> = of_pool.map(|row| row.kind).collect();
            let count = |kind| kinds.iter().filter(|&&k| k == kind).count();
            seen.note(match (count(Kind::Transfer), count(Kind::Burn)) {
                (2, 0) => "revoke of 2 balances",
                (1, 1) => "revoke of 1 balance and 1 burn",
                (1, 0) => "revoke of 1 balance",
                (0, 1) => "revoke of 1 burn",
                _ => "revoke of 0 balances",
            });
        }
    }
}
