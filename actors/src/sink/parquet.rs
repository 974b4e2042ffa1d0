//! Parquet: equal rows and settings give equal bytes, on any machine and at any time.
//!
//! `kind` and `op_type` are stored as text (see [`token_transfers_stored_schema`]); data pages are of version 1, which
//! every reader knows; row groups have a fixed number of rows, never of bytes. Rows stand in the order they came in.

use ::parquet::arrow::ArrowWriter;
use ::parquet::basic::{Compression, ZstdLevel};
use ::parquet::errors::ParquetError;
use ::parquet::file::metadata::KeyValue;
use ::parquet::file::properties::{EnabledStatistics, WriterProperties, WriterVersion};
use ::parquet::schema::types::ColumnPath;
use arrow::array::RecordBatch;
use arrow::datatypes::Schema;
use orrery_schemas::{TokenTransfer, token_transfers_stored_schema};

use crate::sink::batches::{BATCH_ROWS, Batches, with_file, with_network};
use crate::sink::output::Output;
use crate::sink::{EventSink, FileColumn, SinkError, SinkReport, Tally};

/// Rows of a row group, a whole number of batches. More let readers skip less; fewer repeat dictionaries and filters.
pub const ROW_GROUP_ROWS: usize = 8 * BATCH_ROWS;

/// Zstd level: higher ones cost several times the work for a few per cent of the size.
const ZSTD_LEVEL: i32 = 3;

/// Columns that are looked up by one value. A filter answers "not in this row group" without reading the group.
const BLOOM_FILTER_COLUMNS: [&str; 3] = ["from", "to", "contract_id"];

/// Share of lookups that a filter answers with "maybe" although the value is not there.
const BLOOM_FILTER_FALSE_POSITIVES: f64 = 0.01;

/// Columns whose values hardly repeat: a dictionary of them is built in vain.
const PLAIN_COLUMNS: [&str; 3] = ["event_id", "ledger_event_index", "to_memo_hash"];

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
        let writer = properties(&schema)
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
            for (key, ledger) in
                [("orrery.first_ledger", ledgers.start()), ("orrery.last_ledger", ledgers.end())]
            {
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

/// Every setting that shapes the bytes is stated, so that a new default of the library changes no file.
fn properties(schema: &Schema) -> Result<WriterProperties, ParquetError> {
    let metadata = schema.metadata().iter().map(|(key, value)| KeyValue::new(key.clone(), value.clone()));
    let mut properties = WriterProperties::builder()
        .set_created_by("orrery".to_owned())
        .set_writer_version(WriterVersion::PARQUET_1_0)
        .set_compression(Compression::ZSTD(ZstdLevel::try_new(ZSTD_LEVEL)?))
        .set_max_row_group_row_count(Some(ROW_GROUP_ROWS))
        .set_max_row_group_bytes(None)
        .set_data_page_size_limit(1024 * 1024)
        .set_data_page_row_count_limit(BATCH_ROWS)
        .set_dictionary_page_size_limit(1024 * 1024)
        .set_write_batch_size(1024)
        .set_statistics_enabled(EnabledStatistics::Page)
        .set_statistics_truncate_length(Some(64))
        .set_column_index_truncate_length(Some(64))
        .set_offset_index_disabled(false)
        .set_key_value_metadata(Some(metadata.collect()));
    for column in PLAIN_COLUMNS {
        properties = properties.set_column_dictionary_enabled(ColumnPath::from(column), false);
    }
    for column in BLOOM_FILTER_COLUMNS {
        properties = properties
            .set_column_bloom_filter_enabled(ColumnPath::from(column), true)
            .set_column_bloom_filter_fpp(ColumnPath::from(column), BLOOM_FILTER_FALSE_POSITIVES)
            .set_column_bloom_filter_max_ndv(ColumnPath::from(column), ROW_GROUP_ROWS as u64);
    }
    Ok(properties.build())
}
