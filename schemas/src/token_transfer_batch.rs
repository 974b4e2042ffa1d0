//! Rows to a RecordBatch: one builder an output, fed ledger after ledger, without an allocation for a cell.

use std::fmt::Write;
use std::sync::{Arc, LazyLock};

use arrow::array::{
    ArrayRef, BinaryBuilder, BooleanBuilder, Decimal128Builder, DictionaryArray, FixedSizeBinaryBuilder,
    Int8Builder, Int32Builder, Int64Builder, RecordBatch, StringArray, StringBuilder,
    TimestampMicrosecondBuilder,
};
use arrow::datatypes::{DECIMAL128_MAX_PRECISION, Int8Type};

use crate::column::Data;
use crate::row_parts::{ColumnError, contradiction, ledger_sequence, number};
use crate::strkey_memo::StrkeyMemo;
use crate::{Address, Asset, BatchError, Kind, OpType, ToMuxed, Toid, TokenTransfer, token_transfers_schema};

/// Most rows of one batch. Text columns have 32-bit offsets: this many rows of the longest asset (105 bytes) fit, twice
/// as many would not.
pub const BATCH_ROWS_MAX: usize = 1 << 24;

/// Most bytes of text memos in one batch, for the same reason: a contract may emit long ones.
const BATCH_MEMO_BYTES_MAX: usize = 1 << 30;

/// Least magnitude that needs 39 digits: `Decimal128(38, 0)` ends before it.
const AMOUNT_39_DIGITS: u128 = 10u128.pow(DECIMAL128_MAX_PRECISION as u32);

/// Builds batches of [`token_transfers_schema`].
pub struct TokenTransferBatchBuilder {
    ledger_sequence: Int64Builder,
    closed_at: TimestampMicrosecondBuilder,
    tx_hash: FixedSizeBinaryBuilder,
    tx_index: Int32Builder,
    op_index: Int32Builder,
    event_index: Int32Builder,
    ledger_event_index: Int32Builder,
    event_id: StringBuilder,
    kind: Int8Builder,
    op_type: Int8Builder,
    contract_id: StringBuilder,
    asset: StringBuilder,
    asset_code: StringBuilder,
    asset_issuer: StringBuilder,
    from: StringBuilder,
    to: StringBuilder,
    amount: Decimal128Builder,
    amount_text: StringBuilder,
    to_muxed_id: Decimal128Builder,
    to_memo_text: BinaryBuilder,
    to_memo_hash: FixedSizeBinaryBuilder,
    tx_successful: BooleanBuilder,
    rows: usize,
    memo_bytes: usize,
    strkeys: StrkeyMemo,
}

impl TokenTransferBatchBuilder {
    /// An empty builder with room for `rows` rows of usual length.
    pub fn with_capacity(rows: usize) -> Self {
        let rows = rows.min(BATCH_ROWS_MAX);
        // Bytes of one text as they usually are; a buffer that turns out too small grows.
        let text = |bytes| StringBuilder::with_capacity(rows, rows * bytes);
        let decimal =
            |digits| Decimal128Builder::with_capacity(rows).with_data_type(Data::Decimal(digits).arrow());
        Self {
            ledger_sequence: Int64Builder::with_capacity(rows),
            closed_at: TimestampMicrosecondBuilder::with_capacity(rows).with_data_type(Data::Time.arrow()),
            tx_hash: FixedSizeBinaryBuilder::with_capacity(rows, 32),
            tx_index: Int32Builder::with_capacity(rows),
            op_index: Int32Builder::with_capacity(rows),
            event_index: Int32Builder::with_capacity(rows),
            ledger_event_index: Int32Builder::with_capacity(rows),
            event_id: text(30),
            kind: Int8Builder::with_capacity(rows),
            op_type: Int8Builder::with_capacity(rows),
            contract_id: text(56),
            asset: text(40),
            asset_code: text(4),
            asset_issuer: text(36),
            from: text(56),
            to: text(56),
            amount: decimal(38),
            amount_text: text(12),
            to_muxed_id: decimal(20),
            to_memo_text: BinaryBuilder::with_capacity(rows, 0),
            to_memo_hash: FixedSizeBinaryBuilder::with_capacity(rows, 32),
            tx_successful: BooleanBuilder::with_capacity(rows),
            rows: 0,
            memo_bytes: 0,
            strkeys: StrkeyMemo::new(),
        }
    }

    /// Rows appended since the last [`TokenTransferBatchBuilder::finish`].
    pub fn len(&self) -> usize {
        self.rows
    }

    /// Whether no row was appended since the last [`TokenTransferBatchBuilder::finish`].
    pub fn is_empty(&self) -> bool {
        self.rows == 0
    }

    /// Appends rows, in order; nothing of a row that is refused.
    ///
    /// # Errors
    ///
    /// [`BatchError::Column`] for a position that its column cannot hold or that the row's TOID does not name, and
    /// [`BatchError::TooLarge`] when the batch is full; rows before the refused one stay appended.
    pub fn append(&mut self, rows: &[TokenTransfer]) -> Result<(), BatchError> {
        for row in rows {
            check_positions(row).map_err(|error| BatchError::column(error, self.rows))?;
            let memo_bytes = self.memo_bytes + memo_length(row);
            if self.rows >= BATCH_ROWS_MAX || memo_bytes > BATCH_MEMO_BYTES_MAX {
                return Err(BatchError::TooLarge { rows: self.rows, memo_bytes });
            }
            self.append_position(row)?;
            self.append_parties(row);
            self.append_value(row)?;
            self.rows += 1;
            self.memo_bytes = memo_bytes;
        }
        Ok(())
    }

    /// The batch of all rows appended; the builder is empty again and keeps no memory.
    ///
    /// # Errors
    ///
    /// [`BatchError::Arrow`] if the columns do not make a batch of the schema, which would be a defect here.
    pub fn finish(&mut self) -> Result<RecordBatch, BatchError> {
        (self.rows, self.memo_bytes) = (0, 0);
        let columns: Vec<ArrayRef> = vec![
            Arc::new(self.ledger_sequence.finish()),
            Arc::new(self.closed_at.finish()),
            Arc::new(self.tx_hash.finish()),
            Arc::new(self.tx_index.finish()),
            Arc::new(self.op_index.finish()),
            Arc::new(self.event_index.finish()),
            Arc::new(self.ledger_event_index.finish()),
            Arc::new(self.event_id.finish()),
            words(&mut self.kind, &KINDS)?,
            words(&mut self.op_type, &OP_TYPES)?,
            Arc::new(self.contract_id.finish()),
            Arc::new(self.asset.finish()),
            Arc::new(self.asset_code.finish()),
            Arc::new(self.asset_issuer.finish()),
            Arc::new(self.from.finish()),
            Arc::new(self.to.finish()),
            Arc::new(self.amount.finish()),
            Arc::new(self.amount_text.finish()),
            Arc::new(self.to_muxed_id.finish()),
            Arc::new(self.to_memo_text.finish()),
            Arc::new(self.to_memo_hash.finish()),
            Arc::new(self.tx_successful.finish()),
        ];
        Ok(RecordBatch::try_new(token_transfers_schema(), columns)?)
    }

    /// The numbers were checked, so the conversions keep their values.
    fn append_position(&mut self, row: &TokenTransfer) -> Result<(), BatchError> {
        self.ledger_sequence.append_value(row.ledger_sequence.0.into());
        self.closed_at.append_value(row.closed_at.unix_micros());
        self.tx_hash.append_value(row.tx_hash.0)?;
        self.tx_index.append_value(row.tx_index as i32);
        self.op_index.append_option(row.op_index.map(|index| index as i32));
        self.event_index.append_value(row.event_index as i32);
        self.ledger_event_index.append_value(row.ledger_event_index as i32);
        append_display(&mut self.event_id, row.event_id());
        self.kind.append_value(row.kind as i8);
        self.op_type.append_option(row.op_type.map(|op_type| op_type as i8));
        Ok(())
    }

    fn append_parties(&mut self, row: &TokenTransfer) {
        self.contract_id.append_value(self.strkeys.strkey(&Address::Contract(row.contract_id.0)));
        self.from.append_option(row.from.as_ref().map(|from| self.strkeys.strkey(from)));
        self.to.append_option(row.to.as_ref().map(|to| self.strkeys.strkey(to)));
        self.append_asset(row.asset.as_ref());
    }

    fn append_asset(&mut self, asset: Option<&Asset>) {
        let credit = asset.and_then(|asset| asset.code().zip(asset.issuer()));
        let Some((code, issuer)) = credit else {
            self.asset.append_option(asset.map(|_| "native"));
            self.asset_code.append_null();
            self.asset_issuer.append_null();
            return;
        };
        let issuer = self.strkeys.strkey(&issuer);
        append_display(&mut self.asset, format_args!("{code}:{issuer}"));
        append_display(&mut self.asset_code, code);
        self.asset_issuer.append_value(issuer);
    }

    fn append_value(&mut self, row: &TokenTransfer) -> Result<(), BatchError> {
        self.amount.append_option(amount_column(row.amount));
        self.amount_text.append_value(itoa::Buffer::new().format(row.amount));
        let (id, text, hash) = match &row.to_muxed {
            None => (None, None, None),
            Some(ToMuxed::Id(id)) => (Some(i128::from(*id)), None, None),
            Some(ToMuxed::Text(text)) => (None, Some(text), None),
            Some(ToMuxed::Hash(hash)) => (None, None, Some(hash)),
        };
        self.to_muxed_id.append_option(id);
        self.to_memo_text.append_option(text);
        match hash {
            Some(hash) => self.to_memo_hash.append_value(hash.0)?,
            None => self.to_memo_hash.append_null(),
        }
        self.tx_successful.append_value(row.tx_successful);
        Ok(())
    }
}

/// What the `amount` column holds: `None` for a magnitude of 39 digits.
pub(crate) fn amount_column(amount: i128) -> Option<i128> {
    Some(amount).filter(|amount| amount.unsigned_abs() < AMOUNT_39_DIGITS)
}

/// Whether the row's positions fit their columns and its TOID names them: the reader relies on both.
fn check_positions(row: &TokenTransfer) -> Result<(), ColumnError> {
    ledger_sequence(row.ledger_sequence.0.into())?;
    number("tx_index", row.tx_index.into(), 0, Toid::TX_INDEX_MAX)?;
    if let Some(op_index) = row.op_index {
        number("op_index", op_index.into(), 1, Toid::OP_INDEX_MAX)?;
    }
    number("event_index", row.event_index.into(), 0, i32::MAX as u32)?;
    number("ledger_event_index", row.ledger_event_index.into(), 0, i32::MAX as u32)?;
    match Toid::new(row.ledger_sequence, row.tx_index, row.op_index) {
        Some(toid) if toid == row.toid => Ok(()),
        toid => {
            let expected = toid.map_or_else(String::new, |toid| toid.value().to_string());
            Err(contradiction("event_id", &row.toid.value().to_string(), expected))
        }
    }
}

fn memo_length(row: &TokenTransfer) -> usize {
    match &row.to_muxed {
        Some(ToMuxed::Text(text)) => text.len(),
        Some(ToMuxed::Id(_) | ToMuxed::Hash(_)) | None => 0,
    }
}

/// Formats straight into the column's buffer.
fn append_display(column: &mut StringBuilder, value: impl std::fmt::Display) {
    // Writing to a column cannot fail; the empty value then ends what was written.
    let _ = write!(column, "{value}");
    column.append_value("");
}

/// The words of `kind` and of `op_type`, shared by all batches: position and discriminant are equal.
static KINDS: LazyLock<ArrayRef> = LazyLock::new(|| {
    Arc::new(Kind::ALL.into_iter().map(|kind| Some(kind.as_str())).collect::<StringArray>())
});
static OP_TYPES: LazyLock<ArrayRef> = LazyLock::new(|| {
    Arc::new(OpType::ALL.iter().map(|op_type| Some(op_type.as_str())).collect::<StringArray>())
});

fn words(keys: &mut Int8Builder, words: &ArrayRef) -> Result<ArrayRef, BatchError> {
    Ok(Arc::new(DictionaryArray::<Int8Type>::try_new(keys.finish(), Arc::clone(words))?))
}
