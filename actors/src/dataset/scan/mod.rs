//! Reading rows of a dataset by place and filter, in canonical order or its exact reverse, without reading what cannot match.
//!
//! In: a [`ScanRequest`]. Out: batches of the table's stored schema, never empty, in order. What is skipped, from coarse to
//! fine: files by their ledgers, row groups by statistics and Bloom filters, pages by the page index, rows by the columns
//! that the filter looks at; only the rows that are left are decoded with all columns. Filters run here and not inside of
//! the Parquet library, because a reverse scan and a limit need to know which rows match before any of them is decoded.
//!
//! Where a file's rows stand once more in a form for look-ups (see `lookup`), a scan of an address or of few rows takes them
//! from there, and then nothing of the file is read.
//!
//! Memory of a scan: the pages of one row group, one batch, and in reverse one chunk. Footers and Bloom filters are kept in a
//! cache with a bound in bytes. Files are read by ranges; decoding runs beside the runtime's threads, a bounded number at
//! once. What the library makes of a damaged file, an error or a panic, is a
//! [`super::DatasetError::Content`] with the file's name.

#![allow(
    clippy::single_range_in_vec_init,
    reason = "lists of ranges are what this works on, and some have one"
)]

mod view;
mod span;
mod cache;
mod footer;
mod pruning;
mod predicate;
mod rows;
mod stream;
mod shelve;
mod look_up;

use orrery_schemas::EventFilter;

use super::kind::TableKind;

pub use cache::Cache;
pub use shelve::RowFileError;
pub use span::{Place, Span};
pub use stream::{Scan, ScanCounts};
pub use view::{DatasetView, RowFileLimits, Snapshot, ViewLimits};

/// The direction of a scan.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Order {
    /// Oldest first.
    #[default]
    Ascending,
    /// Newest first: the exact reverse.
    Descending,
}

/// What is to be read.
#[derive(Clone, Debug)]
pub struct ScanRequest {
    table: TableKind,
    filter: EventFilter,
    span: Span,
    order: Order,
    limit: Option<u64>,
    columns: Option<Vec<&'static str>>,
}

impl ScanRequest {
    /// Events that match; all places, ascending, without a limit.
    pub fn events(filter: EventFilter) -> Self {
        Self::of(TableKind::TokenTransfers, filter)
    }

    /// Ledgers; all, ascending, without a limit.
    pub fn ledgers() -> Self {
        Self::of(TableKind::Ledgers, EventFilter::default())
    }

    fn of(table: TableKind, filter: EventFilter) -> Self {
        Self { table, filter, span: Span::ALL, order: Order::Ascending, limit: None, columns: None }
    }

    /// Only what is in `span`.
    #[must_use]
    pub fn within(self, span: Span) -> Self {
        Self { span, ..self }
    }

    /// In this direction.
    #[must_use]
    pub fn order(self, order: Order) -> Self {
        Self { order, ..self }
    }

    /// At most this many rows.
    #[must_use]
    pub fn limit(self, rows: u64) -> Self {
        Self { limit: Some(rows), ..self }
    }

    /// Only these columns, in the table's order. Unknown ones are left out.
    #[must_use]
    pub fn columns(self, columns: &[&'static str]) -> Self {
        Self { columns: Some(columns.to_vec()), ..self }
    }
}
