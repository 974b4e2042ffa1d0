//! Rows of a range of ledgers from the live files of an open table, read only.
//!
//! Memory: one file and the rows that are asked for. Row groups whose statistics say that they have none are not decoded.

use std::ops::RangeInclusive;

use arrow::array::{AsArray, BooleanArray, RecordBatch};
use arrow::compute::filter_record_batch;
use arrow::datatypes::Int64Type;
use bytes::Bytes;
use orrery_schemas::LedgerSequence;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use parquet::file::metadata::RowGroupMetaData;
use parquet::file::statistics::Statistics;

use super::compaction::blocking;
use super::file::FILE_BYTES_MAX;
use super::slot::AddFile;
use super::{DatasetError, Table};
use crate::columnar::BATCH_ROWS;

/// A live file, for whoever decides what is read at once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LiveFile {
    /// The ledgers that it covers.
    pub range: RangeInclusive<LedgerSequence>,
    /// Its rows.
    pub rows: u64,
}

impl Table {
    /// The live files with ledgers of a range, in order.
    pub fn live_files(&self, range: &RangeInclusive<LedgerSequence>) -> Vec<LiveFile> {
        let files = self.files_of(range).into_iter();
        files.map(|file| LiveFile { range: file.name.range.clone(), rows: file.rows }).collect()
    }

    fn files_of(&self, range: &RangeInclusive<LedgerSequence>) -> Vec<&AddFile> {
        // The last file that begins at or before the range may reach into it.
        let files = &self.chain.files;
        let first = files.range(..=*range.start()).next_back().map_or(*range.start(), |(first, _)| *first);
        let files = files.range(first..=*range.end()).map(|(_, file)| file);
        files.filter(|file| file.name.range.end() >= range.start()).collect()
    }

    /// The rows of these ledgers, in order.
    ///
    /// # Errors
    ///
    /// [`DatasetError::Content`] if a file is not there or not what the log says; [`DatasetError::Store`].
    pub async fn rows_of(
        &self,
        range: &RangeInclusive<LedgerSequence>,
    ) -> Result<Vec<RecordBatch>, DatasetError> {
        let mut rows = Vec::new();
        let column = self.kind().ledger_column();
        for file in self.files_of(range) {
            let path = file.name.to_string();
            let content = |problem: String| DatasetError::content(&self.store.name(&path), problem);
            let bytes = self.store.read(&path, FILE_BYTES_MAX).await?;
            let bytes = bytes.ok_or_else(|| content("the file is not there".to_owned()))?;
            let wanted = range.clone();
            let read = blocking(move || rows_in(bytes, column, &wanted));
            rows.extend(read.await.map_err(content)?);
        }
        Ok(rows)
    }
}

fn rows_in(
    bytes: Bytes,
    column: &str,
    range: &RangeInclusive<LedgerSequence>,
) -> Result<Vec<RecordBatch>, String> {
    let builder = ParquetRecordBatchReaderBuilder::try_new(bytes).map_err(|error| error.to_string())?;
    let position = builder.schema().index_of(column).map_err(|error| error.to_string())?;
    let groups = builder.metadata().row_groups().iter().enumerate();
    let groups = groups.filter(|(_, group)| may_have(group, position, range)).map(|(index, _)| index);
    let groups = groups.collect();
    let reader = builder.with_row_groups(groups).with_batch_size(BATCH_ROWS);
    let reader = reader.build().map_err(|error| error.to_string())?;
    let (first, last) = (i64::from(range.start().0), i64::from(range.end().0));
    let mut rows = Vec::new();
    for batch in reader {
        let batch = batch.map_err(|error| error.to_string())?;
        let ledgers = batch.column(position).as_primitive_opt::<Int64Type>();
        let ledgers = ledgers.ok_or_else(|| format!("column {column} is of another type"))?;
        let is_wanted: BooleanArray =
            ledgers.iter().map(|ledger| ledger.map(|ledger| (first..=last).contains(&ledger))).collect();
        let batch = match is_wanted.true_count() == batch.num_rows() {
            true => batch,
            false => filter_record_batch(&batch, &is_wanted).map_err(|error| error.to_string())?,
        };
        if batch.num_rows() > 0 {
            rows.push(batch);
        }
    }
    Ok(rows)
}

/// Whether a row group may have rows of the range; without statistics it may.
fn may_have(group: &RowGroupMetaData, column: usize, range: &RangeInclusive<LedgerSequence>) -> bool {
    let Some(Statistics::Int64(found)) = group.columns().get(column).and_then(|column| column.statistics())
    else {
        return true;
    };
    match (found.min_opt(), found.max_opt()) {
        (Some(min), Some(max)) => *min <= i64::from(range.end().0) && *max >= i64::from(range.start().0),
        _ => true,
    }
}
