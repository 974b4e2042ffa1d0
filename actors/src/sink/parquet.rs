//! Parquet: equal rows and settings give equal bytes, on any machine and at any time.
//!
//! `kind` and `op_type` are stored as text (see [`token_transfers_stored_schema`]); data pages are of version 1, which
//! every reader knows; row groups have a fixed number of rows, never of bytes. Rows stand in the order they came in.

use ::parquet::arrow::ArrowWriter;
use ::parquet::file::metadata::KeyValue;
use arrow::array::RecordBatch;
use orrery_schemas::{TokenTransfer, token_transfers_stored_schema};

use crate::columnar::{self, FIRST_LEDGER_KEY, LAST_LEDGER_KEY, with_network};
use crate::sink::batches::{Batches, with_file};
use crate::sink::output::Output;
use crate::sink::{EventSink, FileColumn, SinkError, SinkReport, Tally};

/// Writes batches as they fill.
pub(super) struct ParquetSink {
    name: String,
    writer: ArrowWriter<Output>,
    batches: Batches,
    tally: Tally,
}

impl ParquetSink {
    pub(super) fn new(output: Output, file_column: FileColumn, network: &str) -> Result<Self, SinkError> {
        let name = output.name().to_owned();
        let schema = with_network(&with_file(&token_transfers_stored_schema(), file_column), network);
        let writer = columnar::properties(&schema)
            .and_then(|properties| ArrowWriter::try_new(output, schema, Some(properties)))
            .map_err(|error| SinkError::encode(&name, error))?;
        Ok(Self { name, writer, batches: Batches::new(file_column), tally: Tally::default() })
    }

    fn write_batch(&mut self, batch: &RecordBatch) -> Result<(), SinkError> {
        self.writer.write(batch).map_err(|error| SinkError::encode(&self.name, error))
    }

    /// What is known at the end only.
    fn append_range(&mut self) {
        if let Some(ledgers) = &self.tally.ledgers {
            for (key, ledger) in [(FIRST_LEDGER_KEY, ledgers.start()), (LAST_LEDGER_KEY, ledgers.end())] {
                self.writer.append_key_value_metadata(KeyValue::new(key.to_owned(), ledger.to_string()));
            }
        }
    }
}

impl EventSink for ParquetSink {
    fn write(&mut self, file: &str, mut rows: &[TokenTransfer]) -> Result<(), SinkError> {
        self.tally.add(rows);
        while !rows.is_empty() {
            let full = self.batches.fill(file, &mut rows);
            if let Some(batch) = full.map_err(|error| SinkError::rows(&self.name, error))? {
                self.write_batch(&batch)?;
            }
        }
        Ok(())
    }

    fn finish(mut self: Box<Self>) -> Result<SinkReport, SinkError> {
        let last = self.batches.finish();
        if let Some(batch) = last.map_err(|error| SinkError::rows(&self.name, error))? {
            self.write_batch(&batch)?;
        }
        self.append_range();
        let output = self.writer.into_inner().map_err(|error| SinkError::encode(&self.name, error))?;
        Ok(self.tally.report(output.commit()?))
    }
}
