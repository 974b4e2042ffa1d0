//! Rows to record batches of one fixed size, however many rows come at once: bytes of a file depend on where batches
//! end, and must depend on the rows alone.

use std::collections::HashMap;
use std::sync::Arc;

use arrow::array::{ArrayRef, RecordBatch, StringBuilder};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use orrery_schemas::{BatchError, TokenTransfer, TokenTransferBatchBuilder};

use crate::columnar::BATCH_ROWS;
use crate::sink::FileColumn;

/// Gathers rows until a batch is full.
pub(super) struct Batches {
    rows: TokenTransferBatchBuilder,
    files: Option<StringBuilder>,
}

impl Batches {
    pub(super) fn new(file_column: FileColumn) -> Self {
        let files = (file_column == FileColumn::First).then(StringBuilder::new);
        Self { rows: TokenTransferBatchBuilder::with_capacity(BATCH_ROWS), files }
    }

    /// Takes rows from the front of `rows` until they are used up or a batch is full, which is then returned.
    pub(super) fn fill(
        &mut self,
        file: &str,
        rows: &mut &[TokenTransfer],
    ) -> Result<Option<RecordBatch>, BatchError> {
        let (taken, rest) = rows.split_at(rows.len().min(BATCH_ROWS - self.rows.len()));
        self.rows.append(taken)?;
        if let Some(files) = &mut self.files {
            taken.iter().for_each(|_| files.append_value(file));
        }
        *rows = rest;
        if self.rows.len() < BATCH_ROWS { Ok(None) } else { self.finish() }
    }

    /// The rows gathered, if any.
    pub(super) fn finish(&mut self) -> Result<Option<RecordBatch>, BatchError> {
        if self.rows.is_empty() {
            return Ok(None);
        }
        let batch = self.rows.finish()?;
        self.rows = TokenTransferBatchBuilder::with_capacity(BATCH_ROWS);
        let Some(files) = &mut self.files else { return Ok(Some(batch)) };
        let columns =
            std::iter::once(Arc::new(files.finish()) as ArrayRef).chain(batch.columns().iter().cloned());
        let schema = with_file(&batch.schema(), FileColumn::First);
        Ok(Some(RecordBatch::try_new(schema, columns.collect())?))
    }
}

/// The schema with the column `file` in front, if it is asked for.
pub(super) fn with_file(schema: &SchemaRef, file_column: FileColumn) -> SchemaRef {
    if file_column == FileColumn::Absent {
        return Arc::clone(schema);
    }
    let metadata = HashMap::from([
        ("description".to_owned(), "Input that the ledger was read from".to_owned()),
        ("unit".to_owned(), "path".to_owned()),
        ("source".to_owned(), "command line".to_owned()),
    ]);
    let file = Field::new("file", DataType::Utf8, false).with_metadata(metadata);
    let fields = std::iter::once(Arc::new(file)).chain(schema.fields().iter().cloned());
    Arc::new(Schema::new_with_metadata(fields.collect::<Vec<_>>(), schema.metadata().clone()))
}
