//! What can be wrong with a batch of rows.

use arrow::error::ArrowError;

use crate::row_parts::ColumnError;
use crate::version::SchemaMismatch;

/// A batch that cannot be built, or cannot be read as rows.
#[derive(Debug, thiserror::Error)]
pub enum BatchError {
    /// A value that its column may not hold.
    #[error("row {row}, {error}")]
    Column {
        /// 0-based row of the batch.
        row: usize,
        /// The column and what is wrong.
        error: ColumnError,
    },
    /// A null in a column without nulls.
    #[error("row {row}, column `{column}`: null, but every row has a value here")]
    Null {
        /// 0-based row of the batch.
        row: usize,
        /// The column.
        column: &'static str,
    },
    /// The batch's columns are not those of the table.
    #[error(transparent)]
    Schema(#[from] SchemaMismatch),
    /// The batch is full: finish it and begin the next.
    #[error(
        "a batch of {rows} rows with {memo_bytes} bytes of memos is the largest possible: finish it first"
    )]
    TooLarge {
        /// Rows in the batch.
        rows: usize,
        /// Bytes of text memos, with the row that was refused.
        memo_bytes: usize,
    },
    /// The columns do not fit together.
    #[error("assemble the batch: {0}")]
    Arrow(#[from] ArrowError),
}

impl BatchError {
    pub(crate) fn column(error: ColumnError, row: usize) -> Self {
        Self::Column { row, error }
    }
}
