//! Which rows of a file can match, as far as its footer tells. Pure; whatever is doubtful is kept.

use std::collections::BTreeSet;
use std::ops::{Range, RangeInclusive};

use orrery_schemas::EventFilter;
use parquet::file::metadata::page_index::RowGroupPageIndex;
use parquet::file::page_index::column_index::ColumnIndexMetaData;
use parquet::file::statistics::Statistics;

use super::footer::Footer;
use super::span::Span;
use crate::dataset::kind::TableKind;

/// Rows of one row group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Piece {
    pub(super) row_group: usize,
    /// Rows that may match, ascending, apart from each other, none empty.
    pub(super) rows: Vec<Range<usize>>,
}

/// Columns whose least and greatest value say something, and the values that are wanted in them.
fn bounded(filter: &EventFilter) -> [(&'static str, &BTreeSet<String>); 2] {
    [("asset", filter.assets()), ("contract_id", filter.contracts())]
}

/// The rows that may be in `span` and match `filter`, by row group.
pub(super) fn pieces(footer: &Footer, kind: TableKind, span: &Span, filter: &EventFilter) -> Vec<Piece> {
    let row_groups = 0..footer.reader.metadata().num_row_groups();
    row_groups.filter_map(|row_group| piece(footer, kind, span, filter, row_group)).collect()
}

fn piece(
    footer: &Footer,
    kind: TableKind,
    span: &Span,
    filter: &EventFilter,
    row_group: usize,
) -> Option<Piece> {
    let metadata = footer.reader.metadata().row_group(row_group);
    let rows = usize::try_from(metadata.num_rows()).ok().filter(|rows| *rows > 0)?;
    let statistics = |name: &str| metadata.column(footer.column(name)?).statistics();
    if let Some(ledgers) = statistics(kind.ledger_column()).and_then(ledgers)
        && !span.touches(&ledgers)
    {
        return None;
    }
    let bounded = bounded(filter).into_iter().filter(|(_, wanted)| !wanted.is_empty());
    let excludes = |(name, wanted): &(&str, &BTreeSet<String>)| {
        statistics(name).and_then(texts).is_some_and(|(min, max)| !is_between(wanted, min, max))
    };
    if bounded.clone().any(|column| excludes(&column)) {
        return None;
    }
    let index = footer.reader.metadata().page_index_for_row_group(row_group);
    let mut kept = vec![0..rows];
    if let Some(column) = footer.column(kind.ledger_column()) {
        let is_wanted = |page: &Page<'_>| page.ledgers.as_ref().is_none_or(|ledgers| span.touches(ledgers));
        kept = intersection(&kept, &matching(pages(&index, column, rows), is_wanted, rows));
    }
    for (name, wanted) in bounded {
        let Some(column) = footer.column(name) else { continue };
        let is_wanted = |page: &Page<'_>| page.texts.is_none_or(|(min, max)| is_between(wanted, min, max));
        kept = intersection(&kept, &matching(pages(&index, column, rows), is_wanted, rows));
    }
    (!kept.is_empty()).then_some(Piece { row_group, rows: kept })
}

/// Whether every one of these rows of a row group is in `span`; `false` if that is not known.
pub(super) fn is_covered(
    footer: &Footer,
    kind: TableKind,
    span: &Span,
    row_group: usize,
    rows: &Range<usize>,
) -> bool {
    let metadata = footer.reader.metadata();
    let Some(column) = footer.column(kind.ledger_column()) else { return false };
    let of_group = metadata.row_group(row_group).column(column).statistics().and_then(ledgers);
    if of_group.is_some_and(|ledgers| span.covers(&ledgers)) {
        return true;
    }
    let index = metadata.page_index_for_row_group(row_group);
    let pages = pages(&index, column, rows.end);
    let mut touched = pages.iter().filter(|page| page.rows.start < rows.end && rows.start < page.rows.end);
    // Pages follow each other without a gap, so that those touched are all there is of the rows.
    touched.clone().next().is_some()
        && touched.all(|page| page.ledgers.as_ref().is_some_and(|ledgers| span.covers(ledgers)))
}

/// Ledgers of rows, if their statistics say.
fn ledgers(statistics: &Statistics) -> Option<RangeInclusive<i64>> {
    match statistics {
        Statistics::Int64(values) => Some(*values.min_opt()?..=*values.max_opt()?),
        _ => None,
    }
}

/// Least and greatest text, which may be shortened to what is below and above.
fn texts(statistics: &Statistics) -> Option<(&[u8], &[u8])> {
    match statistics {
        Statistics::ByteArray(values) if !statistics.is_min_max_deprecated() => {
            Some((values.min_opt()?.data(), values.max_opt()?.data()))
        }
        _ => None,
    }
}

fn is_between(wanted: &BTreeSet<String>, min: &[u8], max: &[u8]) -> bool {
    wanted.iter().any(|value| min <= value.as_bytes() && value.as_bytes() <= max)
}

/// What the index says of a page.
struct Page<'a> {
    rows: Range<usize>,
    ledgers: Option<RangeInclusive<i64>>,
    texts: Option<(&'a [u8], &'a [u8])>,
}

/// Pages of a column; empty if there is no index, or one that makes no sense.
fn pages(index: &RowGroupPageIndex, column: usize, rows: usize) -> Vec<Page<'_>> {
    let (Some(offsets), Some(bounds)) = (index.offset_index(column), index.column_index(column)) else {
        return Vec::new();
    };
    let starts: Option<Vec<usize>> =
        offsets.page_locations().iter().map(|page| usize::try_from(page.first_row_index).ok()).collect();
    let starts = starts.filter(|starts| {
        starts.first() == Some(&0) && starts.is_sorted() && starts.len() as u64 == bounds.num_pages()
    });
    let Some(starts) = starts else { return Vec::new() };
    let ends = starts.iter().skip(1).copied().chain([rows]);
    let page = |(at, (start, end)): (usize, (&usize, usize))| {
        let (mut ledgers, mut texts) = (None, None);
        match bounds {
            ColumnIndexMetaData::INT64(bounds) => {
                ledgers = bounds.min_value(at).zip(bounds.max_value(at)).map(|(min, max)| *min..=*max);
            }
            ColumnIndexMetaData::BYTE_ARRAY(bounds) => {
                texts = bounds.min_value(at).zip(bounds.max_value(at));
            }
            _ => {}
        }
        Page { rows: *start..end.max(*start), ledgers, texts }
    };
    starts.iter().zip(ends).enumerate().map(page).collect()
}

/// Rows of the pages that are wanted; all rows without pages.
fn matching(pages: Vec<Page<'_>>, is_wanted: impl Fn(&Page<'_>) -> bool, rows: usize) -> Vec<Range<usize>> {
    if pages.is_empty() {
        return vec![0..rows];
    }
    let mut kept: Vec<Range<usize>> = Vec::new();
    for page in pages.into_iter().filter(|page| !page.rows.is_empty() && is_wanted(page)) {
        match kept.last_mut() {
            Some(last) if last.end == page.rows.start => last.end = page.rows.end,
            _ => kept.push(page.rows),
        }
    }
    kept
}

/// What is in both; each is ascending.
pub(super) fn intersection(a: &[Range<usize>], b: &[Range<usize>]) -> Vec<Range<usize>> {
    let (mut kept, mut at, mut bt) = (Vec::new(), 0, 0);
    while let (Some(left), Some(right)) = (a.get(at), b.get(bt)) {
        let both = left.start.max(right.start)..left.end.min(right.end);
        if !both.is_empty() {
            kept.push(both);
        }
        if left.end < right.end { at += 1 } else { bt += 1 }
    }
    kept
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_meet_where_both_are() {
        let check = |a: &[Range<usize>], b: &[Range<usize>], expect: &[Range<usize>]| {
            assert_eq!(intersection(a, b), expect);
            assert_eq!(intersection(b, a), expect);
        };
        check(&[0..10], &[2..4, 6..12], &[2..4, 6..10]);
        check(&[0..3, 5..8], &[3..5], &[]);
        check(&[], &[0..1], &[]);
        check(&[0..2, 4..6, 8..9], &[1..9], &[1..2, 4..6, 8..9]);
    }
}
