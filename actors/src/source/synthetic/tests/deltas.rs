//! Rule 3.10: in each transaction, what the events say moved is what moved.

use std::collections::BTreeMap;

use orrery_schemas::{Address, Kind, TokenTransfer};
use stellar_xdr::*;

use super::{
    super::xdr::{encode, key_of, sha256, symbol},
    forms, ledgers,
    parts::{Parts, TxParts, network_id},
};

/// A holder and the contract of an asset.
pub(super) type Holding = (Address, [u8; 32]);
type Deltas = BTreeMap<Holding, i128>;

#[test]
fn event_deltas_equal_entry_deltas_in_every_transaction() {
    for form in forms() {
        for ledger in ledgers(&format!("ledgers=2&{form}")) {
            check(&ledger, &form);
        }
    }
    for ledger in ledgers("ledgers=40&seed=9") {
        check(&ledger, "seed 9");
    }
}

fn check(ledger: &super::SyntheticLedger, form: &str) {
    let parts = Parts::of(&ledger.meta);
    for (number, tx) in parts.transactions.iter().enumerate() {
        let rows = ledger.expected.iter().filter(|row| row.tx_index as usize == number + 1);
        let events = event_deltas(rows);
        let entries = entry_deltas(tx);
        assert_eq!(
            events,
            entries,
            "{form}, transaction {} of {:?}",
            number + 1,
            parts.header.header.ledger_seq
        );
    }
}

fn event_deltas<'a>(rows: impl Iterator<Item = &'a TokenTransfer>) -> Deltas {
    let mut deltas = Deltas::new();
    for row in rows.filter(|row| row.asset.is_some()) {
        let mut add = |holder: Option<Address>, delta| {
            *deltas.entry((holder.unwrap(), row.contract_id.0)).or_default() += delta;
        };
        if row.kind != Kind::Mint {
            add(row.from, -row.amount);
        }
        if matches!(row.kind, Kind::Mint | Kind::Transfer) {
            add(row.to, row.amount);
        }
    }
    deltas.retain(|_, delta| *delta != 0);
    deltas
}

pub(super) fn entry_deltas(tx: &TxParts) -> Deltas {
    let mut deltas = Deltas::new();
    let changes = &tx.changes;
    let operations = changes.operations.iter().flatten();
    let all = changes
        .fee
        .iter()
        .chain(&changes.before)
        .chain(operations)
        .chain(&changes.after)
        .chain(&changes.post);
    let mut state: Option<LedgerEntry> = None;
    for change in all {
        match change {
            LedgerEntryChange::State(entry) => state = Some(entry.clone()),
            LedgerEntryChange::Created(entry) | LedgerEntryChange::Updated(entry) => {
                add_entry(&mut deltas, state.take().as_ref(), -1);
                add_entry(&mut deltas, Some(entry), 1);
            }
            LedgerEntryChange::Removed(_) => add_entry(&mut deltas, state.take().as_ref(), -1),
            LedgerEntryChange::Restored(_) => {}
        }
    }
    deltas.retain(|_, delta| *delta != 0);
    deltas
}

fn add_entry(deltas: &mut Deltas, entry: Option<&LedgerEntry>, sign: i128) {
    for (holding, amount) in entry.map(|entry| holdings(&entry.data)).unwrap_or_default() {
        *deltas.entry(holding).or_default() += sign * amount;
    }
}

fn holdings(data: &LedgerEntryData) -> Vec<(Holding, i128)> {
    match data {
        LedgerEntryData::Account(entry) => {
            vec![((account(&entry.account_id), contract_of(&Asset::Native)), entry.balance.into())]
        }
        LedgerEntryData::Trustline(entry) => match &entry.asset {
            TrustLineAsset::CreditAlphanum4(code) => {
                let asset = Asset::CreditAlphanum4(code.clone());
                vec![((account(&entry.account_id), contract_of(&asset)), entry.balance.into())]
            }
            TrustLineAsset::CreditAlphanum12(code) => {
                let asset = Asset::CreditAlphanum12(code.clone());
                vec![((account(&entry.account_id), contract_of(&asset)), entry.balance.into())]
            }
            _ => Vec::new(),
        },
        LedgerEntryData::ClaimableBalance(entry) => {
            let ClaimableBalanceId::ClaimableBalanceIdTypeV0(id) = &entry.balance_id;
            vec![((Address::ClaimableBalance(id.0), contract_of(&entry.asset)), entry.amount.into())]
        }
        LedgerEntryData::LiquidityPool(entry) => {
            let LiquidityPoolEntryBody::LiquidityPoolConstantProduct(pool) = &entry.body;
            let holder = Address::LiquidityPool(entry.liquidity_pool_id.0.0);
            vec![
                ((holder, contract_of(&pool.params.asset_a)), pool.reserve_a.into()),
                ((holder, contract_of(&pool.params.asset_b)), pool.reserve_b.into()),
            ]
        }
        LedgerEntryData::ContractData(entry) => contract_holding(entry).into_iter().collect(),
        _ => Vec::new(),
    }
}

/// A balance in the layout of the asset contracts: key `[Balance, holder]`, value `{amount, authorized, clawback}`.
fn contract_holding(entry: &ContractDataEntry) -> Option<(Holding, i128)> {
    let ScVal::Vec(Some(key)) = &entry.key else { return None };
    let [ScVal::Symbol(name), ScVal::Address(ScAddress::Contract(ContractId(Hash(holder))))] = &key.0[..]
    else {
        return None;
    };
    let ScVal::Map(Some(value)) = &entry.val else { return None };
    let names: Vec<_> = value.0.iter().map(|entry| entry.key.clone()).collect();
    let symbols: Vec<ScVal> = ["amount", "authorized", "clawback"].map(symbol).to_vec();
    assert_eq!((name.0.to_utf8_string_lossy().as_str(), names), ("Balance", symbols));
    let ScVal::I128(Int128Parts { hi, lo }) = value.0[0].val else { panic!("an amount is an i128") };
    let ScAddress::Contract(ContractId(Hash(contract))) = entry.contract else {
        panic!("a contract's entry")
    };
    let amount = i128::from(hi) << 64 | i128::from(lo);
    Some(((Address::Contract(*holder), contract), amount))
}

fn account(id: &AccountId) -> Address {
    Address::Account(key_of(id))
}

/// The id of the asset's contract.
pub(super) fn contract_of(asset: &Asset) -> [u8; 32] {
    let preimage = HashIdPreimage::ContractId(HashIdPreimageContractId {
        network_id: Hash(network_id()),
        contract_id_preimage: ContractIdPreimage::Asset(asset.clone()),
    });
    sha256(&encode(&preimage))
}
