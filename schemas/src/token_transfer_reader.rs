//! A RecordBatch to rows: the opposite of [`crate::TokenTransferBatchBuilder`], for batches of any origin.

use arrow::array::RecordBatch;
use arrow::datatypes::{Decimal128Type, Int32Type, Int64Type, TimestampMicrosecondType};

use crate::row_parts::{ColumnError, RowParts, ValueError, contradiction};
use crate::stored_column::{Booleans, Bytes, Primitives, StoredColumn, StoredColumns, Texts};
use crate::token_transfer_batch::amount_column;
use crate::{BatchError, TOKEN_TRANSFERS_ID, TokenTransfer, token_transfers_compatibility};

/// The rows of a batch, from memory, a file or another engine: text and bytes in any of their Arrow types, columns in
/// any order, unknown columns passed over.
///
/// # Errors
///
/// [`BatchError`], naming column and row, for the first value that no row may have.
pub fn token_transfers_from_batch(batch: &RecordBatch) -> Result<Vec<TokenTransfer>, BatchError> {
    token_transfers_compatibility(batch.schema_ref())?;
    let reader = Reader::new(&StoredColumns { table: TOKEN_TRANSFERS_ID, batch })?;
    (0..batch.num_rows()).map(|row| reader.row(row)).collect()
}

struct Reader {
    ledger_sequence: StoredColumn<Primitives<Int64Type>>,
    closed_at: StoredColumn<Primitives<TimestampMicrosecondType>>,
    tx_hash: StoredColumn<Bytes>,
    tx_index: StoredColumn<Primitives<Int32Type>>,
    op_index: StoredColumn<Primitives<Int32Type>>,
    event_index: StoredColumn<Primitives<Int32Type>>,
    ledger_event_index: StoredColumn<Primitives<Int32Type>>,
    event_id: StoredColumn<Texts>,
    kind: StoredColumn<Texts>,
    op_type: StoredColumn<Texts>,
    contract_id: StoredColumn<Texts>,
    asset: StoredColumn<Texts>,
    asset_code: StoredColumn<Texts>,
    asset_issuer: StoredColumn<Texts>,
    from: StoredColumn<Texts>,
    to: StoredColumn<Texts>,
    amount: StoredColumn<Primitives<Decimal128Type>>,
    amount_text: StoredColumn<Texts>,
    to_muxed_id: StoredColumn<Primitives<Decimal128Type>>,
    to_memo_text: StoredColumn<Bytes>,
    to_memo_hash: StoredColumn<Bytes>,
    tx_successful: StoredColumn<Booleans>,
}

impl Reader {
    fn new(columns: &StoredColumns<'_>) -> Result<Self, BatchError> {
        Ok(Self {
            ledger_sequence: columns.int64s("ledger_sequence")?,
            closed_at: columns.times("closed_at")?,
            tx_hash: columns.bytes("tx_hash")?,
            tx_index: columns.int32s("tx_index")?,
            op_index: columns.int32s("op_index")?,
            event_index: columns.int32s("event_index")?,
            ledger_event_index: columns.int32s("ledger_event_index")?,
            event_id: columns.texts("event_id")?,
            kind: columns.texts("kind")?,
            op_type: columns.texts("op_type")?,
            contract_id: columns.texts("contract_id")?,
            asset: columns.texts("asset")?,
            asset_code: columns.texts("asset_code")?,
            asset_issuer: columns.texts("asset_issuer")?,
            from: columns.texts("from")?,
            to: columns.texts("to")?,
            amount: columns.decimals("amount")?,
            amount_text: columns.texts("amount_text")?,
            to_muxed_id: columns.decimals("to_muxed_id")?,
            to_memo_text: columns.bytes("to_memo_text")?,
            to_memo_hash: columns.bytes("to_memo_hash")?,
            tx_successful: columns.booleans("tx_successful")?,
        })
    }

    fn row(&self, row: usize) -> Result<TokenTransfer, BatchError> {
        let at_row = |error| BatchError::column(error, row);
        let parts = RowParts {
            ledger_sequence: self.ledger_sequence.required(row)?,
            closed_at: self.closed_at.close_time(row)?,
            tx_hash: self.tx_hash.hash(row)?,
            tx_index: self.tx_index.required(row)?,
            op_index: self.op_index.optional(row),
            event_index: self.event_index.required(row)?,
            ledger_event_index: self.ledger_event_index.required(row)?,
            event_id: self.event_id.required(row)?,
            kind: self.kind.required(row)?,
            op_type: self.op_type.optional(row),
            contract_id: self.contract_id.required(row)?,
            asset: self.asset.optional(row),
            asset_code: self.asset_code.optional(row),
            asset_issuer: self.asset_issuer.optional(row),
            from: self.from.optional(row),
            to: self.to.optional(row),
            amount_text: self.amount_text.required(row)?,
            to_muxed_id: self.to_muxed_id.optional(row).map(muxed_id).transpose().map_err(at_row)?,
            to_memo_text: self.to_memo_text.optional(row),
            to_memo_hash: self.to_memo_hash.optional_hash(row)?,
            tx_successful: self.tx_successful.required(row)?,
        };
        let event = parts.into_row().map_err(at_row)?;
        let (found, expected) = (self.amount.optional(row), amount_column(event.amount));
        if found != expected {
            let text =
                |amount: Option<i128>| amount.map_or_else(|| "null".to_owned(), |amount| amount.to_string());
            return Err(at_row(contradiction("amount", &text(found), text(expected))));
        }
        Ok(event)
    }
}

fn muxed_id(value: i128) -> Result<u64, ColumnError> {
    let problem = ValueError::OutOfRange { value, min: 0, max: u64::MAX.into() };
    u64::try_from(value).map_err(|_| ColumnError { column: "to_muxed_id", problem })
}
