//! What every Parquet file of ours has in common, the sink's and the dataset's: the settings that shape its bytes, and the
//! form of its columns, in which they also travel between nodes.
//!
//! Every setting is stated, so that a new default of the library changes no file.

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::compute::cast;
use arrow::datatypes::{Schema, SchemaRef};
use parquet::basic::{Compression, ZstdLevel};
use parquet::errors::ParquetError;
use parquet::file::metadata::KeyValue;
use parquet::file::properties::{EnabledStatistics, WriterProperties, WriterVersion};
use parquet::schema::types::ColumnPath;

/// Rows of a batch: about 8 MB. Larger costs memory, smaller costs per-batch work in every reader.
pub(crate) const BATCH_ROWS: usize = 16 * 1024;

/// Rows of a row group, a whole number of batches. More let readers skip less; fewer repeat dictionaries and filters.
pub const ROW_GROUP_ROWS: usize = 8 * BATCH_ROWS;

/// Metadata key of the network's passphrase.
pub(crate) const NETWORK_KEY: &str = "orrery.network";
/// Metadata key of the first ledger of a file.
pub(crate) const FIRST_LEDGER_KEY: &str = "orrery.first_ledger";
/// Metadata key of the last ledger of a file.
pub(crate) const LAST_LEDGER_KEY: &str = "orrery.last_ledger";

/// Zstd level: higher ones cost several times the work for a few per cent of the size.
const ZSTD_LEVEL: i32 = 3;

/// Columns that are looked up by one value. A filter answers "not in this row group" without reading the group.
const BLOOM_FILTER_COLUMNS: [&str; 3] = ["from", "to", "contract_id"];

/// Share of lookups that a filter answers with "maybe" although the value is not there.
const BLOOM_FILTER_FALSE_POSITIVES: f64 = 0.01;

/// Columns whose values hardly repeat: a dictionary of them is built in vain.
const PLAIN_COLUMNS: [&str; 9] = [
    "event_id",
    "ledger_event_index",
    "to_memo_hash",
    "sequence",
    "hash",
    "previous_hash",
    "tx_set_hash",
    "tx_set_result_hash",
    "row_digest",
];

/// The writer's settings for files of `schema`, whose metadata the file repeats, sorted by key.
pub(crate) fn properties(schema: &Schema) -> Result<WriterProperties, ParquetError> {
    let metadata: BTreeMap<_, _> = schema.metadata().iter().collect();
    let metadata = metadata.into_iter().map(|(key, value)| KeyValue::new(key.clone(), value.clone()));
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

/// The schema with the network's passphrase among its metadata.
pub(crate) fn with_network(schema: &SchemaRef, passphrase: &str) -> SchemaRef {
    let mut schema = schema.as_ref().clone();
    schema.metadata.insert(NETWORK_KEY.to_owned(), passphrase.to_owned());
    Arc::new(schema)
}

/// A batch with the columns of `schema`, which has text where the batch may have dictionaries.
pub(crate) fn at_rest(batch: &RecordBatch, schema: &SchemaRef) -> Result<RecordBatch, String> {
    let columns = schema.fields().iter().map(|field| {
        let column =
            batch.column_by_name(field.name()).ok_or_else(|| format!("no column {}", field.name()))?;
        if column.data_type() == field.data_type() {
            return Ok(Arc::clone(column));
        }
        cast(column, field.data_type()).map_err(|error| format!("column {}: {error}", field.name()))
    });
    let columns: Vec<_> = columns.collect::<Result<_, String>>()?;
    RecordBatch::try_new(Arc::clone(schema), columns).map_err(|error| error.to_string())
}
