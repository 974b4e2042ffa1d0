//! A batch that is not ours, or is damaged, is refused with an error that names column, row and what is wrong.

#![allow(clippy::unwrap_used, reason = "this is a test")]

use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, BinaryArray, BooleanArray, Decimal128Array, Int32Array, Int64Array, RecordBatch,
    StringArray, TimestampMicrosecondArray, UInt32Array, new_null_array,
};
use arrow::datatypes::{Field, Schema};
use orrery_schemas::{
    Address, Asset, BatchError, CloseTime, ContractId, Hash32, JsonEvent, Kind, LedgerSequence, OpType,
    SCHEMA_ID_KEY, SCHEMA_VERSION_KEY, ToMuxed, Toid, TokenTransfer, TokenTransferBatchBuilder,
    token_transfers_from_batch,
};

#[test]
fn a_column_of_another_type_or_a_missing_one_is_refused() {
    check(
        |batch| with(batch, "tx_index", UInt32Array::from(vec![1, 1])),
        "column `tx_index` is of type UInt32: convert it to Int32",
    );
    check(
        |batch| with(batch, "closed_at", TimestampMicrosecondArray::from(vec![0, 0])),
        "column `closed_at` is of type Timestamp(µs): convert it to Timestamp(µs, \"UTC\")",
    );
    check(
        |batch| {
            with(batch, "amount", Decimal128Array::from(vec![1, 1]).with_precision_and_scale(38, 2).unwrap())
        },
        "column `amount` is of type Decimal128(38, 2): convert it to Decimal128(38, 0)",
    );
    check(
        |batch| without(batch, "kind"),
        "column `kind` is missing: read all columns of `orrery.token_transfers`, or write the file again",
    );
    check(
        |batch| without(batch, "to"),
        "column `to` is missing: read all columns of `orrery.token_transfers`, or write the file again",
    );
}

#[test]
fn a_null_where_every_row_has_a_value_is_refused() {
    for column in [
        "ledger_sequence",
        "closed_at",
        "tx_hash",
        "event_id",
        "kind",
        "contract_id",
        "amount_text",
        "tx_successful",
    ] {
        let message = format!("row 0, column `{column}`: null, but every row has a value here");
        check(
            |batch| {
                let null = new_null_array(batch.column_by_name(column).unwrap().data_type(), 2);
                with_array(batch, column, null)
            },
            &message,
        );
    }
}

#[test]
fn a_value_that_no_row_has_is_refused() {
    let second = |good: &str, bad: &str| StringArray::from(vec![good.to_owned(), bad.to_owned()]);
    let (first_id, contract) = (row().event_id().to_string(), row().contract_id.to_string());
    check(
        |batch| with(batch, "ledger_sequence", Int64Array::from(vec![7, -1])),
        "row 1, column `ledger_sequence`: -1 is not in 0 to 2147483647",
    );
    check(
        |batch| with(batch, "tx_index", Int32Array::from(vec![1, 1 << 20])),
        "row 1, column `tx_index`: 1048576 is not in 0 to 1048575",
    );
    check(
        |batch| with(batch, "op_index", Int32Array::from(vec![2, 0])),
        "row 1, column `op_index`: 0 is not in 1 to 4095",
    );
    check(
        |batch| with(batch, "closed_at", TimestampMicrosecondArray::from(vec![0, 1]).with_timezone("UTC")),
        "row 1, column `closed_at`: 1 us since 1970 is no close time: ledgers close at whole seconds from 1970 to 9999",
    );
    check(
        |batch| with(batch, "tx_hash", BinaryArray::from_vec(vec![&[1; 32], &[1; 31]])),
        "row 1, column `tx_hash`: 31 bytes, not 32",
    );
    check(
        |batch| with(batch, "event_id", second(&first_id, "1-1")),
        "row 1, column `event_id`: \"1-1\" is not an event id: 19 digits, `-`, 10 digits",
    );
    check(
        |batch| with(batch, "event_id", second(&first_id, "0000000030064775171-0000000003")),
        "row 1, column `event_id`: 0000000030064775171-0000000003 contradicts the other columns, from which 0000000030064775170-0000000003 follows",
    );
    check(
        |batch| with(batch, "kind", second("fee", "gift")),
        "row 1, column `kind`: \"gift\" is not a kind: transfer, mint, burn, clawback or fee",
    );
    check(
        |batch| with(batch, "contract_id", second(&contract, &Address::Account([1; 32]).to_string())),
        "row 1, column `contract_id`: \"GAAQCAIBAEAQCAIBAEAQCAIBAEAQCAIBAEAQCAIBAEAQCAIBAEAQDZ7H\" is not the address of a contract (C...)",
    );
    check(
        |batch| with(batch, "from", StringArray::from(vec![None, Some("GAAA")])),
        "row 1, column `from`: \"GAAA\" is not an address: a strkey that begins with G, C, M, B or L and has a valid checksum",
    );
    check(
        |batch| with(batch, "asset", second("native", "USD")),
        "row 0, column `asset_code`: USD contradicts the other columns, from which null follows",
    );
    check(
        |batch| with(batch, "amount_text", second("-5", "007")),
        "row 1, column `amount_text`: \"007\" is not a whole number of 128 bits in its shortest form",
    );
    check(
        |batch| {
            with(batch, "amount", Decimal128Array::from(vec![-5, 6]).with_precision_and_scale(38, 0).unwrap())
        },
        "row 1, column `amount`: 6 contradicts the other columns, from which -5 follows",
    );
    check(
        |batch| {
            with(
                batch,
                "to_muxed_id",
                Decimal128Array::from(vec![9, -9]).with_precision_and_scale(20, 0).unwrap(),
            )
        },
        "row 1, column `to_muxed_id`: -9 is not in 0 to 18446744073709551615",
    );
    check(
        |batch| with(batch, "to_memo_text", BinaryArray::from_vec(vec![b"a", b"b"])),
        "row 0, column `to_memo_text`: at most one of to_muxed_id, to_memo_text and to_memo_hash may be set",
    );
}

#[test]
fn another_table_or_a_later_revision_is_refused() {
    check(
        |batch| stating(batch, SCHEMA_ID_KEY, "orrery.ledgers"),
        "this is the table `orrery.ledgers`, not `orrery.token_transfers`: give a file of `orrery.token_transfers`",
    );
    check(
        |batch| stating(batch, SCHEMA_VERSION_KEY, "2"),
        "`orrery.token_transfers` is of revision \"2\", this release reads up to 1: read it with a later release",
    );
}

#[test]
fn unknown_columns_and_another_order_are_no_matter() {
    let batch = batch();
    let mut fields: Vec<_> = batch.schema().fields().iter().cloned().collect();
    let mut columns = batch.columns().to_vec();
    fields.push(Arc::new(Field::new("file", arrow::datatypes::DataType::Boolean, false)));
    columns.push(Arc::new(BooleanArray::from(vec![true, false])));
    fields.reverse();
    columns.reverse();
    let foreign = RecordBatch::try_new(Arc::new(Schema::new(fields)), columns).unwrap();
    assert_eq!(token_transfers_from_batch(&foreign).unwrap(), vec![row(), row()]);
}

#[test]
fn a_row_that_its_columns_cannot_hold_is_not_appended() {
    let mut builder = TokenTransferBatchBuilder::with_capacity(1);
    let high = TokenTransfer { event_index: 1 << 31, ..row() };
    let elsewhere = TokenTransfer { tx_index: 2, ..row() };
    let message = |error: BatchError| error.to_string();
    assert_eq!(
        message(builder.append(&[row(), high]).unwrap_err()),
        "row 1, column `event_index`: 2147483648 is not in 0 to 2147483647"
    );
    assert_eq!(
        message(builder.append(&[elsewhere]).unwrap_err()),
        "row 1, column `event_id`: 30064775170 contradicts the other columns, from which 30064779266 follows"
    );
    assert_eq!(builder.len(), 1);
    assert_eq!(token_transfers_from_batch(&builder.finish().unwrap()).unwrap(), vec![row()]);
}

#[test]
fn json_that_is_no_event_is_refused_by_key() {
    let json = |event: &TokenTransfer| serde_json::to_value(JsonEvent { file: None, event }).unwrap();
    let refused = |key: &str, value: serde_json::Value| {
        let mut object = json(&row());
        object[key] = value;
        serde_json::from_value::<TokenTransfer>(object).unwrap_err().to_string()
    };
    assert_eq!(
        refused("amount", "1.5".into()),
        "column `amount`: \"1.5\" is not a whole number of 128 bits in its shortest form"
    );
    assert_eq!(
        refused("to_muxed_id", "-1".into()),
        "column `to_muxed_id`: \"-1\" is not a whole number of 64 bits without sign"
    );
    assert_eq!(
        refused("to_memo_text", "#".into()),
        "column `to_memo_text`: \"#\" is not base64 with padding"
    );
    assert_eq!(
        refused("tx_hash", "ab".into()),
        "column `tx_hash`: \"ab\" is not a hash of 64 hexadecimal digits"
    );
    let mut object = json(&row());
    object.as_object_mut().unwrap().remove("to");
    assert_eq!(
        serde_json::from_value::<TokenTransfer>(object).unwrap_err().to_string(),
        "missing field `to`"
    );
}

#[test]
fn a_secret_key_is_not_repeated() {
    let secret = "SBU2RRGLXH3E5CQHTD3ODLDF2BWDCYUSSBLLZ5GNW7JXHDIYKXZWHXL7";
    let message = secret.parse::<Address>().unwrap_err().to_string();
    assert!(!message.contains("SBU2"), "{message}");
}

fn check(damage: impl Fn(&RecordBatch) -> RecordBatch, message: &str) {
    let damaged = damage(&batch());
    assert_eq!(token_transfers_from_batch(&damaged).unwrap_err().to_string(), message);
}

fn row() -> TokenTransfer {
    let ledger_sequence = LedgerSequence(7);
    TokenTransfer {
        ledger_sequence,
        closed_at: CloseTime::from_unix_seconds(1_725_274_219).unwrap(),
        tx_hash: Hash32([1; 32]),
        tx_index: 1,
        op_index: Some(2),
        event_index: 3,
        ledger_event_index: 4,
        toid: Toid::new(ledger_sequence, 1, Some(2)).unwrap(),
        kind: Kind::Transfer,
        op_type: Some(OpType::Payment),
        contract_id: ContractId([2; 32]),
        asset: Some(Asset::Credit4 { code: *b"USD\0", issuer: [3; 32] }),
        from: Some(Address::Account([4; 32])),
        to: Some(Address::ClaimableBalance([5; 32])),
        amount: -5,
        to_muxed: Some(ToMuxed::Id(9)),
        tx_successful: true,
    }
}

fn batch() -> RecordBatch {
    let mut builder = TokenTransferBatchBuilder::with_capacity(2);
    builder.append(&[row(), row()]).unwrap();
    builder.finish().unwrap()
}

fn with(batch: &RecordBatch, name: &str, column: impl Array + 'static) -> RecordBatch {
    with_array(batch, name, Arc::new(column))
}

fn with_array(batch: &RecordBatch, name: &str, column: ArrayRef) -> RecordBatch {
    let index = batch.schema().index_of(name).unwrap();
    let mut fields: Vec<_> = batch.schema().fields().iter().cloned().collect();
    let mut columns = batch.columns().to_vec();
    fields[index] = Arc::new(Field::new(name, column.data_type().clone(), true));
    columns[index] = column;
    RecordBatch::try_new(Arc::new(Schema::new(fields)), columns).unwrap()
}

fn without(batch: &RecordBatch, name: &str) -> RecordBatch {
    let mut batch = batch.clone();
    batch.remove_column(batch.schema().index_of(name).unwrap());
    batch
}

fn stating(batch: &RecordBatch, key: &str, value: &str) -> RecordBatch {
    let mut batch = batch.clone();
    batch.schema_metadata_mut().insert(key.to_owned(), value.to_owned());
    batch
}
