//! Batches of rows whose columns have any Arrow type and any value, as another engine may hand them over. Arrow's own
//! decoders are not ours to fuzz: bytes reach them only if their hash is known.

use std::sync::Arc;

use arbitrary::{Result, Unstructured};
use arrow::array::{
    Array, ArrayRef, BinaryArray, BinaryViewArray, BooleanArray, Decimal128Array, DictionaryArray,
    FixedSizeBinaryArray, Int8Array, Int32Array, Int64Array, LargeBinaryArray, LargeStringArray, RecordBatch,
    StringArray, StringViewArray, TimestampMicrosecondArray, UInt64Array,
};
use arrow::datatypes::{Field, Int32Type, Schema};
use orrery_schemas::{
    Address, CloseTime, ContractId, Hash32, Kind, Ledger, LedgerSequence, OpType, RowDigest,
    SCHEMA_VERSION_KEY, ToMuxed, Toid, TokenTransfer, TokenTransferBatchBuilder, ledgers_from_batch,
    ledgers_to_batch, token_transfers_from_batch,
};

use super::rows;

/// Enough for a difference between rows, little enough to fuzz fast.
const ROWS_MAX: usize = 4;

/// Checks batches that are valid but for some columns, which `input` replaces.
pub fn check(input: &[u8]) {
    let mut input = Unstructured::new(input);
    // Input that is too short means zeros; an error means that a type cannot be made of it.
    let (Ok(transfers), Ok(ledgers)) = (batch(&mut input, transfers), batch(&mut input, ledgers)) else {
        return;
    };
    match token_transfers_from_batch(&transfers) {
        Ok(read) => {
            assert_eq!(read.len(), transfers.num_rows());
            rows::check_batch(&read);
            read.iter().for_each(rows::check_row);
        }
        Err(error) => drop(error.to_string()),
    }
    match ledgers_from_batch(&ledgers) {
        Ok(read) => {
            assert_eq!(read.len(), ledgers.num_rows());
            // A protocol version or count above 2^31 would not fit, but the column that it came from has the same type.
            let again = ledgers_to_batch(&read).expect("write what was read");
            assert_eq!(ledgers_from_batch(&again).expect("read what was written"), read);
        }
        Err(error) => drop(error.to_string()),
    }
}

/// A valid batch, damaged: columns replaced, dropped, or all sliced.
fn batch(
    input: &mut Unstructured<'_>,
    valid: fn(&mut Unstructured<'_>, usize) -> Result<RecordBatch>,
) -> Result<RecordBatch> {
    let rows = input.int_in_range(1..=ROWS_MAX)?;
    let batch = valid(input, rows)?;
    let mut fields: Vec<_> = batch.schema().fields().iter().cloned().collect();
    let mut columns = batch.columns().to_vec();
    for _ in 0..input.int_in_range(0..=3)? {
        let at = input.choose_index(columns.len())?;
        if input.ratio(1, 16)? {
            fields.swap_remove(at);
            columns.swap_remove(at);
        } else {
            columns[at] = column(input, &columns[at].clone())?;
            fields[at] = Arc::new(Field::new(fields[at].name(), columns[at].data_type().clone(), true));
        }
    }
    let mut schema = Schema::new(fields);
    if input.ratio(1, 16)? {
        schema.metadata.insert(SCHEMA_VERSION_KEY.to_owned(), input.arbitrary::<i8>()?.to_string());
    }
    let batch = RecordBatch::try_new(Arc::new(schema), columns).expect("columns of equal length");
    let start = input.int_in_range(0..=rows)?;
    Ok(batch.slice(start, input.int_in_range(0..=rows - start)?))
}

/// A column of any type; half of the time with the values of `valid`, where that has text.
pub(super) fn column(input: &mut Unstructured<'_>, valid: &ArrayRef) -> Result<ArrayRef> {
    let rows = valid.len();
    let texts = match valid.as_any().downcast_ref::<StringArray>() {
        Some(valid) if input.arbitrary()? => {
            valid.iter().map(|text| text.map(|text| text.as_bytes().to_vec())).collect()
        }
        _ => bytes(input, rows)?,
    };
    let bytes = || texts.iter().map(Option::as_deref);
    let text = || bytes().map(|text| text.and_then(|text| std::str::from_utf8(text).ok()));
    Ok(match input.int_in_range(0..=14)? {
        0 => Arc::new(text().collect::<StringArray>()),
        1 => Arc::new(text().collect::<LargeStringArray>()),
        2 => Arc::new(text().collect::<StringViewArray>()),
        3 => Arc::new(bytes().collect::<BinaryArray>()),
        4 => Arc::new(bytes().collect::<LargeBinaryArray>()),
        5 => Arc::new(bytes().collect::<BinaryViewArray>()),
        6 => fixed(input, rows)?,
        7 => Arc::new(numbers::<i32>(input, rows)?.into_iter().collect::<Int32Array>()),
        8 => Arc::new(numbers::<i64>(input, rows)?.into_iter().collect::<Int64Array>()),
        9 => Arc::new(numbers::<u64>(input, rows)?.into_iter().collect::<UInt64Array>()),
        10 => Arc::new(numbers::<bool>(input, rows)?.into_iter().collect::<BooleanArray>()),
        11 => times(input, rows)?,
        12 => decimals(input, rows)?,
        13 => Arc::new(text().collect::<DictionaryArray<Int32Type>>()),
        _ => dictionary(input, rows, text().collect::<StringArray>())?,
    })
}

/// Hashes, mostly of the right length.
fn fixed(input: &mut Unstructured<'_>, rows: usize) -> Result<ArrayRef> {
    let length = if input.ratio(7, 8)? { 32 } else { input.int_in_range(1..=40)? };
    let mut values = Vec::with_capacity(rows);
    for _ in 0..rows {
        let byte: Option<u8> = input.arbitrary()?;
        values.push(byte.map(|byte| vec![byte; length]));
    }
    let array = FixedSizeBinaryArray::try_from_sparse_iter_with_size(
        values.into_iter(),
        i32::try_from(length).map_err(|_| arbitrary::Error::IncorrectFormat)?,
    );
    Ok(Arc::new(array.expect("values of one length")))
}

fn times(input: &mut Unstructured<'_>, rows: usize) -> Result<ArrayRef> {
    let unit = if input.arbitrary()? { 1_000_000 } else { 1 };
    let times = numbers::<i64>(input, rows)?.into_iter().map(|time| time.map(|time| time.wrapping_mul(unit)));
    let times: TimestampMicrosecondArray = times.collect();
    Ok(match input.ratio(7, 8)? {
        true => Arc::new(times.with_timezone("UTC")),
        false => Arc::new(times),
    })
}

fn decimals(input: &mut Unstructured<'_>, rows: usize) -> Result<ArrayRef> {
    let array: Decimal128Array = numbers::<i128>(input, rows)?.into_iter().collect();
    let digits = *input.choose(&[38, 20, 1])?;
    let scale = *input.choose(&[0, 0, 0, 1, -1])?;
    // Values of more digits than the type are kept: other engines do not check them either.
    array
        .with_precision_and_scale(digits, scale)
        .map_or(Err(arbitrary::Error::IncorrectFormat), |array| Ok(Arc::new(array)))
}

/// Keys, some null, into values, some null and perhaps none.
fn dictionary(input: &mut Unstructured<'_>, rows: usize, values: StringArray) -> Result<ArrayRef> {
    let values = values.slice(0, input.int_in_range(0..=values.len())?);
    let last = i8::try_from(values.len()).unwrap_or(0) - 1;
    let mut keys = Vec::with_capacity(rows);
    for _ in 0..rows {
        keys.push(if last >= 0 && input.ratio(3, 4)? { Some(input.int_in_range(0..=last)?) } else { None });
    }
    let array = DictionaryArray::try_new(Int8Array::from(keys), Arc::new(values));
    Ok(Arc::new(array.expect("keys inside the values")))
}

fn numbers<'a, T: arbitrary::Arbitrary<'a>>(
    input: &mut Unstructured<'a>,
    rows: usize,
) -> Result<Vec<Option<T>>> {
    (0..rows).map(|_| input.arbitrary()).collect()
}

fn bytes(input: &mut Unstructured<'_>, rows: usize) -> Result<Vec<Option<Vec<u8>>>> {
    numbers(input, rows)
}

/// Valid rows.
fn transfers(input: &mut Unstructured<'_>, rows: usize) -> Result<RecordBatch> {
    let mut builder = TokenTransferBatchBuilder::with_capacity(rows);
    for _ in 0..rows {
        builder.append(&[transfer(input)?]).expect("append a valid row");
    }
    Ok(builder.finish().expect("finish the batch"))
}

fn transfer(input: &mut Unstructured<'_>) -> Result<TokenTransfer> {
    let ledger_sequence = LedgerSequence(input.int_in_range(0..=i32::MAX.unsigned_abs())?);
    let tx_index = input.int_in_range(0..=Toid::TX_INDEX_MAX)?;
    let op_index = if input.arbitrary()? { Some(input.int_in_range(1..=Toid::OP_INDEX_MAX)?) } else { None };
    Ok(TokenTransfer {
        ledger_sequence,
        closed_at: close_time(input)?,
        tx_hash: hash(input)?,
        tx_index,
        op_index,
        event_index: input.int_in_range(0..=i32::MAX.unsigned_abs())?,
        ledger_event_index: input.int_in_range(0..=i32::MAX.unsigned_abs())?,
        toid: Toid::new(ledger_sequence, tx_index, op_index).expect("a position that fits"),
        kind: *input.choose(&Kind::ALL)?,
        op_type: if input.arbitrary()? { Some(*input.choose(OpType::ALL)?) } else { None },
        contract_id: ContractId(hash(input)?.0),
        asset: asset(input)?,
        from: address(input)?,
        to: address(input)?,
        amount: input.arbitrary()?,
        to_muxed: to_muxed(input)?,
        tx_successful: input.arbitrary()?,
    })
}

fn close_time(input: &mut Unstructured<'_>) -> Result<CloseTime> {
    let seconds = input.int_in_range(0..=CloseTime::MAX.unix_seconds().unsigned_abs())?;
    Ok(CloseTime::from_unix_seconds(seconds).expect("a time before the year 10000"))
}

/// One byte of input a hash: nothing depends on the others.
fn hash(input: &mut Unstructured<'_>) -> Result<Hash32> {
    Ok(Hash32([input.arbitrary()?; 32]))
}

/// Codes of any bytes; `None` also for those that no network has.
fn asset(input: &mut Unstructured<'_>) -> Result<Option<orrery_schemas::Asset>> {
    use orrery_schemas::Asset;
    let issuer = hash(input)?.0;
    let asset = match input.int_in_range(0..=3)? {
        0 => None,
        1 => Some(Asset::Native),
        2 => Some(Asset::Credit4 { code: input.arbitrary()?, issuer }),
        _ => Some(Asset::Credit12 { code: input.arbitrary()?, issuer }),
    };
    Ok(asset.filter(|asset| asset.to_string().parse() == Ok(*asset)))
}

fn address(input: &mut Unstructured<'_>) -> Result<Option<Address>> {
    let key = hash(input)?.0;
    Ok(match input.int_in_range(0..=6)? {
        0 => None,
        1 => Some(Address::Account(key)),
        2 => Some(Address::Contract(key)),
        3 => Some(Address::MuxedAccount { account: key, id: input.arbitrary()? }),
        4 => Some(Address::ClaimableBalance(key)),
        5 => Some(Address::LiquidityPool(key)),
        _ => Some(Address::MuxedContract { contract: key, id: input.arbitrary()? }),
    })
}

fn to_muxed(input: &mut Unstructured<'_>) -> Result<Option<ToMuxed>> {
    Ok(match input.int_in_range(0..=3)? {
        0 => None,
        1 => Some(ToMuxed::Id(input.arbitrary()?)),
        2 => Some(ToMuxed::Text(input.arbitrary()?)),
        _ => Some(ToMuxed::Hash(hash(input)?)),
    })
}

fn ledgers(input: &mut Unstructured<'_>, rows: usize) -> Result<RecordBatch> {
    let ledgers: Vec<_> = (0..rows).map(|_| ledger(input)).collect::<Result<_>>()?;
    Ok(ledgers_to_batch(&ledgers).expect("write valid ledgers"))
}

fn ledger(input: &mut Unstructured<'_>) -> Result<Ledger> {
    let count = |input: &mut Unstructured<'_>| input.int_in_range(0..=i32::MAX.unsigned_abs());
    Ok(Ledger {
        sequence: LedgerSequence(input.arbitrary()?),
        hash: hash(input)?,
        previous_hash: hash(input)?,
        closed_at: close_time(input)?,
        protocol_version: count(input)?,
        tx_set_hash: hash(input)?,
        tx_set_result_hash: hash(input)?,
        tx_count: count(input)?,
        successful_tx_count: count(input)?,
        failed_tx_count: count(input)?,
        operation_count: count(input)?,
        event_count: count(input)?,
        total_coins: input.arbitrary()?,
        fee_pool: input.arbitrary()?,
        base_fee: input.arbitrary()?,
        base_reserve: input.arbitrary()?,
        max_tx_set_size: input.arbitrary()?,
        row_digest: RowDigest::default(),
    })
}
