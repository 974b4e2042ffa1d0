//! What the end of a data file says of its content, and the file's Bloom filters: read by ranges, kept in a cache.

use std::collections::BTreeSet;
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;
use parquet::DecodeResult;
use parquet::arrow::arrow_reader::{ArrowReaderMetadata, ArrowReaderOptions};
use parquet::bloom_filter::Sbbf;
use parquet::errors::ParquetError;
use parquet::file::metadata::{ParquetMetaData, ParquetMetaDataPushDecoder};

use super::cache::Cache;
use crate::dataset::error::DatasetError;
use crate::dataset::file::FILE_BYTES_MAX;
use crate::dataset::slot::AddFile;
use crate::dataset::store::Store;

/// What is read of a file's end at once: footer and page index of most files. More is read for nothing.
const TAIL_BYTES: u64 = 64 << 10;

/// Bloom filters that are in memory before they are kept.
const FILTER_BYTES_AT_ONCE: u64 = 8 << 20;

/// Data files, as far as they are in memory.
#[derive(Debug)]
pub(super) struct Files {
    kept: Cache<Key, Kept>,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum Key {
    Footer(String),
    /// Of a row group and a column.
    Filter(String, usize, usize),
}

#[derive(Clone, Debug)]
enum Kept {
    Footer(Arc<Footer>),
    Filter(Arc<Sbbf>),
}

/// The end of a file.
#[derive(Debug)]
pub(super) struct Footer {
    pub(super) reader: ArrowReaderMetadata,
    /// Names of the columns, by index.
    columns: Vec<String>,
}

/// A data file and where it is.
#[derive(Clone, Debug)]
pub(super) struct Source {
    pub(super) store: Store,
    pub(super) path: String,
    bytes: u64,
    /// Bytes that were read of files.
    read: Arc<AtomicU64>,
}

impl Footer {
    fn new(metadata: ParquetMetaData) -> Result<Self, ParquetError> {
        let columns = metadata.file_metadata().schema_descr().columns();
        let columns: Vec<_> = columns.iter().map(|column| column.name().to_owned()).collect();
        if metadata.row_groups().iter().any(|row_group| row_group.num_columns() != columns.len()) {
            return Err(ParquetError::General("a row group has other columns than the schema".to_owned()));
        }
        let reader = ArrowReaderMetadata::try_new(Arc::new(metadata), ArrowReaderOptions::new())?;
        Ok(Self { reader, columns })
    }

    /// Where the Bloom filter of a chunk is; `None` if there is none, or none that can be read by itself.
    fn filter_range(&self, row_group: usize, column: usize) -> Option<Range<u64>> {
        let chunk = self.reader.metadata().row_groups().get(row_group)?.columns().get(column)?;
        let start = u64::try_from(chunk.bloom_filter_offset()?).ok()?;
        let length = u64::try_from(chunk.bloom_filter_length()?).ok()?;
        Some(start..start.checked_add(length)?)
    }

    /// The index of a column.
    pub(super) fn column(&self, name: &str) -> Option<usize> {
        self.columns.iter().position(|column| column == name)
    }
}

impl Source {
    pub(super) fn new(store: &Store, file: &AddFile, read: &Arc<AtomicU64>) -> Self {
        let (path, read) = (file.name.to_string(), Arc::clone(read));
        Self { store: store.clone(), path, bytes: file.bytes, read }
    }

    /// Reads what the library asks for, which may be nonsense if the file is damaged.
    pub(super) async fn read(&self, ranges: &[Range<u64>]) -> Result<Vec<Bytes>, DatasetError> {
        let is_inside = |range: &Range<u64>| range.start <= range.end && range.end <= self.bytes;
        let sum: u64 = ranges.iter().map(|range| range.end.saturating_sub(range.start)).sum();
        if self.bytes > FILE_BYTES_MAX || !ranges.iter().all(is_inside) || sum > self.bytes {
            return Err(self.damaged(format!("it points outside of its {} bytes", self.bytes)));
        }
        let parts = self.store.read_ranges(&self.path, ranges).await?;
        self.read.fetch_add(sum, Ordering::Relaxed);
        parts.ok_or_else(|| self.damaged("the file is not there".to_owned()))
    }

    pub(super) fn damaged(&self, problem: impl ToString) -> DatasetError {
        DatasetError::content(&self.store.name(&self.path), problem)
    }

    /// Runs what takes longer than a runtime's thread may be held, and what may panic: the library does, about some files
    /// that are damaged. Either way the file is named.
    pub(super) async fn decode<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> Result<T, ParquetError> + Send + 'static,
    ) -> Result<T, DatasetError> {
        match tokio::task::spawn_blocking(work).await {
            Ok(Ok(done)) => Ok(done),
            Ok(Err(error)) => Err(self.damaged(error)),
            Err(error) => Err(self.damaged(format!("reading it failed: {error}"))),
        }
    }
}

impl Files {
    pub(super) fn new(bytes_max: usize) -> Self {
        Self { kept: Cache::new(bytes_max) }
    }

    /// The end of a file.
    pub(super) async fn footer(&self, source: &Source) -> Result<Arc<Footer>, DatasetError> {
        let key = Key::Footer(source.path.clone());
        if let Some(Kept::Footer(footer)) = self.kept.get(&key) {
            return Ok(footer);
        }
        let file_bytes = source.bytes;
        let mut decoder = source.decode(move || ParquetMetaDataPushDecoder::try_new(file_bytes)).await?;
        let mut wanted = vec![file_bytes.saturating_sub(TAIL_BYTES)..file_bytes];
        let metadata = loop {
            let parts = source.read(&wanted).await?;
            let step = source.decode(move || {
                decoder.push_ranges(wanted, parts)?;
                let result = decoder.try_decode()?;
                Ok((decoder, result))
            });
            match step.await? {
                (_, DecodeResult::Data(metadata)) => break metadata,
                (unfinished, DecodeResult::NeedsData(ranges)) => (decoder, wanted) = (unfinished, ranges),
                (_, DecodeResult::Finished) => return Err(source.damaged("it has no footer")),
            }
        };
        let bytes = metadata.memory_size();
        let footer = Arc::new(source.decode(move || Footer::new(metadata)).await?);
        self.kept.put(key, Kept::Footer(Arc::clone(&footer)), bytes);
        Ok(footer)
    }

    /// Of `chunks`, each a row group and a column, those whose Bloom filter says that one of `values` may be there; and
    /// those without a filter.
    pub(super) async fn may_have(
        &self,
        source: &Source,
        footer: &Footer,
        chunks: Vec<(usize, usize)>,
        values: &BTreeSet<String>,
    ) -> Result<Vec<(usize, usize)>, DatasetError> {
        let mut found = Vec::new();
        let mut missing = Vec::new();
        let may = |filter: &Sbbf| values.iter().any(|value| filter.check(value.as_str()));
        for (row_group, column) in chunks {
            match self.kept.get(&Key::Filter(source.path.clone(), row_group, column)) {
                Some(Kept::Filter(filter)) if !may(&filter) => {}
                Some(Kept::Filter(_)) => found.push((row_group, column)),
                _ => match footer.filter_range(row_group, column) {
                    Some(range) => missing.push(((row_group, column), range)),
                    None => found.push((row_group, column)),
                },
            }
        }
        let mut missing = missing.as_slice();
        while !missing.is_empty() {
            let mut sum = 0;
            let fits = missing.iter().take_while(|(_, range)| {
                sum += range.end.saturating_sub(range.start);
                sum <= FILTER_BYTES_AT_ONCE
            });
            let (now, later) = missing.split_at(fits.count().max(1));
            let ranges: Vec<_> = now.iter().map(|(_, range)| range.clone()).collect();
            let parts = source.read(&ranges).await?;
            let filters = source.decode(move || parts.iter().map(|part| Sbbf::from_bytes(part)).collect());
            let filters: Vec<Sbbf> = filters.await?;
            for (((row_group, column), range), filter) in now.iter().zip(filters) {
                if may(&filter) {
                    found.push((*row_group, *column));
                }
                let bytes = usize::try_from(range.end - range.start).unwrap_or(usize::MAX);
                let key = Key::Filter(source.path.clone(), *row_group, *column);
                self.kept.put(key, Kept::Filter(Arc::new(filter)), bytes);
            }
            missing = later;
        }
        Ok(found)
    }
}
