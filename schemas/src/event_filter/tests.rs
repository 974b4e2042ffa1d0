use serde_json::json;

use super::*;
use crate::{
    CloseTime, Hash32, LedgerSequence, Toid, TokenTransfer, TokenTransferBatchBuilder,
    token_transfers_stored_schema,
};

const ACCOUNTS: [[u8; 32]; 3] = [[1; 32], [2; 32], [3; 32]];

fn account(which: usize) -> Address {
    Address::Account(ACCOUNTS[which])
}

fn issued() -> Asset {
    Asset::Credit4 { code: *b"USDC", issuer: ACCOUNTS[2] }
}

fn event(index: u32, kind: Kind, asset: Option<Asset>, amount: i128) -> TokenTransfer {
    let ledger = LedgerSequence(9);
    let op_index = (kind != Kind::Fee).then_some(1);
    TokenTransfer {
        ledger_sequence: ledger,
        closed_at: CloseTime::from_unix_seconds(1_700_000_000).unwrap(),
        tx_hash: Hash32([7; 32]),
        tx_index: 1,
        op_index,
        event_index: index,
        ledger_event_index: index,
        toid: Toid::new(ledger, 1, op_index).unwrap(),
        kind,
        op_type: op_index.map(|_| OpType::Payment),
        contract_id: ContractId([u8::from(asset.is_none()); 32]),
        asset,
        from: (kind != Kind::Mint).then(|| account(0)),
        to: (kind != Kind::Fee).then(|| account(1)),
        amount,
        to_muxed: None,
        tx_successful: true,
    }
}

/// Both forms of a batch: as it is in memory, and as it is stored.
fn batches() -> [RecordBatch; 2] {
    let rows = [
        event(0, Kind::Fee, Some(Asset::Native), 100),
        event(1, Kind::Transfer, Some(Asset::Native), 5_000),
        event(2, Kind::Mint, Some(issued()), 1),
        event(3, Kind::Transfer, None, i128::MAX),
        event(4, Kind::Transfer, Some(issued()), -4),
    ];
    let mut builder = TokenTransferBatchBuilder::with_capacity(rows.len());
    builder.append(&rows).unwrap();
    let batch = builder.finish().unwrap();
    let schema = token_transfers_stored_schema();
    let columns = schema.fields().iter().map(|field| {
        arrow::compute::cast(batch.column_by_name(field.name()).unwrap(), field.data_type()).unwrap()
    });
    let stored = RecordBatch::try_new(schema.clone(), columns.collect()).unwrap();
    [batch, stored]
}

#[test]
fn keys_are_joined_by_and_values_by_or() {
    let check = |filter: serde_json::Value, expect: &[usize]| {
        let filter: EventFilter = serde_json::from_value(filter).unwrap();
        for batch in batches() {
            let found = filter.matches(&batch).unwrap();
            let found: Vec<usize> = (0..batch.num_rows()).filter(|row| found.value(*row)).collect();
            assert_eq!(found, expect, "{filter:?}");
            // The columns that it names are all that it needs.
            let needed = filter.columns();
            let indices =
                needed.iter().map(|name| batch.schema().index_of(name).unwrap()).collect::<Vec<_>>();
            assert_eq!(
                filter.matches(&batch.project(&indices).unwrap()).unwrap(),
                filter.matches(&batch).unwrap()
            );
        }
    };
    check(json!({}), &[0, 1, 2, 3, 4]);
    check(json!({"kind": ["transfer"]}), &[1, 3, 4]);
    check(json!({"kind": ["fee", "mint"]}), &[0, 2]);
    check(json!({"kind": ["transfer"], "asset": ["native"]}), &[1]);
    check(json!({"asset": ["native", issued().to_string()]}), &[0, 1, 2, 4]);
    check(json!({"op_type": ["payment"]}), &[1, 2, 3, 4]);
    check(json!({"account": [account(0).to_string()]}), &[0, 1, 3, 4]);
    check(json!({"account": [account(1).to_string()]}), &[1, 2, 3, 4]);
    check(json!({"account": [account(2).to_string()]}), &[]);
    check(json!({"contract": [ContractId([1; 32]).to_string()]}), &[3]);
    check(json!({"min_amount": "100"}), &[0, 1, 3]);
    check(json!({"min_amount": i128::MAX.to_string()}), &[3]);
}

#[test]
fn a_filter_is_written_as_it_is_read() {
    let written = json!({"kind": ["transfer", "fee"], "asset": ["native"], "min_amount": "-3"});
    let filter: EventFilter = serde_json::from_value(written.clone()).unwrap();
    assert_eq!(serde_json::to_value(&filter).unwrap(), written);
    let mut same = EventFilter::default();
    for (key, values) in
        [("min_amount", "-3"), ("kind", "fee"), ("asset", "native"), ("kind", "fee,transfer")]
    {
        same.add(key, values).unwrap();
    }
    assert_eq!(same, filter);
    assert!(!filter.is_all() && EventFilter::default().is_all());
}

#[test]
fn a_wrong_filter_is_told_by_key_value_and_what_to_give() {
    let check = |filter: serde_json::Value, expect: &str| {
        let error = serde_json::from_value::<EventFilter>(filter).unwrap_err().to_string();
        assert!(error.contains(expect), "{error}");
    };
    check(json!({"kind": ["gift"]}), "filter.kind: \"gift\" is not a kind: transfer, mint");
    check(json!({"asset": ["USDC"]}), "filter.asset: \"USDC\" is not an asset: `native` or CODE:ISSUER");
    check(json!({"account": ["GABC"]}), "filter.account: \"GABC\" is not an address");
    check(json!({"contract": [account(0).to_string()]}), "is not the address of a contract");
    check(json!({"min_amount": "1.5"}), "filter.min_amount: \"1.5\" is not an amount: an integer");
    check(json!({"min_amount": 5}), "invalid type");
    check(json!({"kind": []}), "filter.kind is empty");
    check(json!({"memo": ["x"]}), "unknown field `memo`");
    let many: Vec<String> = (0..=FILTER_VALUES_MAX as u32)
        .map(|which| {
            let mut key = [0; 32];
            key[..4].copy_from_slice(&which.to_be_bytes());
            Address::Account(key).to_string()
        })
        .collect();
    check(json!({"account": many}), "over 1000 values");
    let twice = [("min_amount", "3"), ("min_amount", "4")];
    let mut filter = EventFilter::default();
    let errors: Vec<_> = twice.iter().filter_map(|(key, value)| filter.add(key, value).err()).collect();
    assert_eq!(errors, [FilterError::Twice("min_amount")]);
    assert_eq!(filter.add("memo", "x"), Err(FilterError::Key("memo".to_owned())));
}
