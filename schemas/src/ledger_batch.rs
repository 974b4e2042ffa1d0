//! Ledgers to a RecordBatch and back.

use std::sync::Arc;

use arrow::array::{
    ArrayRef, FixedSizeBinaryBuilder, Int32Builder, Int64Array, RecordBatch, TimestampMicrosecondArray,
};

use crate::row_parts::{ColumnError, ValueError, number};
use crate::stored_column::{Primitives, StoredColumn, StoredColumns};
use crate::{
    BatchError, Hash32, LEDGERS_ID, Ledger, LedgerSequence, RowDigest, ledgers_compatibility, ledgers_schema,
};

/// The batch of `ledgers`, in their order. One row a ledger: nothing here is in the path of events.
///
/// # Errors
///
/// [`BatchError::Column`] for a count that its column cannot hold.
pub fn ledgers_to_batch(ledgers: &[Ledger]) -> Result<RecordBatch, BatchError> {
    let wide = |value: fn(&Ledger) -> i64| -> ArrayRef {
        Arc::new(Int64Array::from_iter_values(ledgers.iter().map(value)))
    };
    let count = |name, value: fn(&Ledger) -> u32| counts(ledgers, name, value);
    let hash = |value: fn(&Ledger) -> [u8; 32]| hashes(ledgers, value);
    let times = TimestampMicrosecondArray::from_iter_values(
        ledgers.iter().map(|ledger| ledger.closed_at.unix_micros()),
    );
    let columns = vec![
        wide(|ledger| ledger.sequence.0.into()),
        hash(|ledger| ledger.hash.0)?,
        hash(|ledger| ledger.previous_hash.0)?,
        Arc::new(times.with_timezone("UTC")),
        count("protocol_version", |ledger| ledger.protocol_version)?,
        hash(|ledger| ledger.tx_set_hash.0)?,
        hash(|ledger| ledger.tx_set_result_hash.0)?,
        count("tx_count", |ledger| ledger.tx_count)?,
        count("successful_tx_count", |ledger| ledger.successful_tx_count)?,
        count("failed_tx_count", |ledger| ledger.failed_tx_count)?,
        count("operation_count", |ledger| ledger.operation_count)?,
        count("event_count", |ledger| ledger.event_count)?,
        wide(|ledger| ledger.total_coins),
        wide(|ledger| ledger.fee_pool),
        wide(|ledger| ledger.base_fee.into()),
        wide(|ledger| ledger.base_reserve.into()),
        wide(|ledger| ledger.max_tx_set_size.into()),
        hash(|ledger| ledger.row_digest.to_bytes())?,
    ];
    Ok(RecordBatch::try_new(ledgers_schema(), columns)?)
}

fn counts(
    ledgers: &[Ledger],
    column: &'static str,
    value: fn(&Ledger) -> u32,
) -> Result<ArrayRef, BatchError> {
    let mut builder = Int32Builder::with_capacity(ledgers.len());
    for (row, ledger) in ledgers.iter().enumerate() {
        let count = number(column, value(ledger).into(), 0, i32::MAX as u32);
        builder.append_value(count.map_err(|error| BatchError::column(error, row))? as i32);
    }
    Ok(Arc::new(builder.finish()))
}

fn hashes(ledgers: &[Ledger], value: fn(&Ledger) -> [u8; 32]) -> Result<ArrayRef, BatchError> {
    let mut builder = FixedSizeBinaryBuilder::with_capacity(ledgers.len(), 32);
    for ledger in ledgers {
        builder.append_value(value(ledger))?;
    }
    Ok(Arc::new(builder.finish()))
}

/// The ledgers of a batch of any origin.
///
/// # Errors
///
/// [`BatchError`], naming column and row, for the first value that no ledger may have.
pub fn ledgers_from_batch(batch: &RecordBatch) -> Result<Vec<Ledger>, BatchError> {
    ledgers_compatibility(batch.schema_ref())?;
    let columns = StoredColumns { table: LEDGERS_ID, batch };
    let wide = |name| Ok::<_, BatchError>((name, columns.int64s(name)?));
    let count = |name| Ok::<_, BatchError>((name, columns.int32s(name)?));
    let (sequence, closed_at) = (wide("sequence")?, columns.times("closed_at")?);
    let (hash, previous_hash) = (columns.bytes("hash")?, columns.bytes("previous_hash")?);
    let (tx_set_hash, tx_set_result_hash) =
        (columns.bytes("tx_set_hash")?, columns.bytes("tx_set_result_hash")?);
    let (protocol_version, tx_count) = (count("protocol_version")?, count("tx_count")?);
    let (successful_tx_count, failed_tx_count) = (count("successful_tx_count")?, count("failed_tx_count")?);
    let (operation_count, event_count) = (count("operation_count")?, count("event_count")?);
    let (total_coins, fee_pool) = (columns.int64s("total_coins")?, columns.int64s("fee_pool")?);
    let (base_fee, base_reserve) = (wide("base_fee")?, wide("base_reserve")?);
    let (max_tx_set_size, row_digest) = (wide("max_tx_set_size")?, columns.bytes("row_digest")?);
    let ledger = |row| {
        Ok(Ledger {
            sequence: LedgerSequence(unsigned(&sequence, row)?),
            hash: hash.hash(row)?,
            previous_hash: previous_hash.hash(row)?,
            closed_at: closed_at.close_time(row)?,
            protocol_version: unsigned(&protocol_version, row)?,
            tx_set_hash: tx_set_hash.hash(row)?,
            tx_set_result_hash: tx_set_result_hash.hash(row)?,
            tx_count: unsigned(&tx_count, row)?,
            successful_tx_count: unsigned(&successful_tx_count, row)?,
            failed_tx_count: unsigned(&failed_tx_count, row)?,
            operation_count: unsigned(&operation_count, row)?,
            event_count: unsigned(&event_count, row)?,
            total_coins: total_coins.required(row)?,
            fee_pool: fee_pool.required(row)?,
            base_fee: unsigned(&base_fee, row)?,
            base_reserve: unsigned(&base_reserve, row)?,
            max_tx_set_size: unsigned(&max_tx_set_size, row)?,
            row_digest: digest(row_digest.hash(row)?, row)?,
        })
    };
    (0..batch.num_rows()).map(ledger).collect()
}

fn unsigned<T>(column: &(&'static str, StoredColumn<Primitives<T>>), row: usize) -> Result<u32, BatchError>
where
    T: arrow::datatypes::ArrowPrimitiveType,
    T::Native: Into<i64>,
{
    let value = column.1.required(row)?.into();
    number(column.0, value, 0, u32::MAX).map_err(|error| BatchError::column(error, row))
}

fn digest(bytes: Hash32, row: usize) -> Result<RowDigest, BatchError> {
    RowDigest::from_bytes(bytes.0).ok_or_else(|| {
        let problem = ValueError::Digest { found: bytes };
        BatchError::column(ColumnError { column: "row_digest", problem }, row)
    })
}
