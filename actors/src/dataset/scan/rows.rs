//! Decoding chosen rows of one row group: asks for the pages that it needs, and gives batches.

use std::ops::Range;

use arrow::array::RecordBatch;
use parquet::DecodeResult;
use parquet::arrow::ProjectionMask;
use parquet::arrow::arrow_reader::RowSelection;
use parquet::arrow::push_decoder::{ParquetPushDecoder, ParquetPushDecoderBuilder, RowGroupSelection};
use tokio::sync::Semaphore;

use super::footer::{Footer, Source};
use super::predicate::Predicate;
use super::pruning::Piece;
use crate::dataset::error::DatasetError;

/// Rows that are on their way.
pub(super) struct Rows {
    decoder: Option<ParquetPushDecoder>,
    /// Rows that have not come yet.
    left: usize,
}

impl Rows {
    /// The rows of `piece`, with the columns of these indices, in batches of at most `batch_rows`.
    pub(super) fn new(
        source: &Source,
        footer: &Footer,
        piece: &Piece,
        columns: &[usize],
        batch_rows: usize,
    ) -> Result<Self, DatasetError> {
        let metadata = footer.reader.metadata();
        let total = metadata.row_group_num_rows(piece.row_group).map_err(|error| source.damaged(error))?;
        let selection = RowSelection::from_consecutive_ranges(piece.rows.iter().cloned(), total);
        let schema = metadata.file_metadata().schema_descr();
        let mask = ProjectionMask::leaves(schema, columns.iter().copied());
        let decoder = ParquetPushDecoderBuilder::new_with_metadata(footer.reader.clone())
            .with_row_group_selections(vec![RowGroupSelection::new(piece.row_group, Some(selection))])
            .with_projection(mask)
            .with_batch_size(batch_rows)
            .build()
            .map_err(|error| source.damaged(error))?;
        Ok(Self { decoder: Some(decoder), left: count(&piece.rows) })
    }

    /// The next batch; `None` behind the last one.
    pub(super) async fn next(
        &mut self,
        source: &Source,
        turns: &Semaphore,
    ) -> Result<Option<RecordBatch>, DatasetError> {
        let mut pushed = None;
        loop {
            let Some(mut decoder) = self.decoder.take() else { return Ok(None) };
            let turn = turns.acquire().await.map_err(|error| source.damaged(error))?;
            let decoded = source
                .decode(move || {
                    if let Some((ranges, parts)) = pushed {
                        decoder.push_ranges(ranges, parts)?;
                    }
                    let result = decoder.try_decode()?;
                    Ok((decoder, result))
                })
                .await?;
            drop(turn);
            match decoded {
                (decoder, DecodeResult::NeedsData(ranges)) => {
                    let parts = source.read(&ranges).await?;
                    pushed = Some((ranges, parts));
                    self.decoder = Some(decoder);
                }
                (decoder, DecodeResult::Data(batch)) => {
                    self.left = self.left.checked_sub(batch.num_rows()).ok_or_else(|| {
                        source.damaged("it gives more rows than its footer says".to_owned())
                    })?;
                    self.decoder = Some(decoder);
                    return Ok(Some(batch));
                }
                (_, DecodeResult::Finished) if self.left == 0 => return Ok(None),
                (_, DecodeResult::Finished) => {
                    return Err(source.damaged("it gives fewer rows than its footer says".to_owned()));
                }
            }
        }
    }
}

/// The rows of `piece` that match, by decoding the columns that the predicate looks at.
pub(super) async fn matching(
    source: &Source,
    footer: &Footer,
    piece: &Piece,
    predicate: &Predicate,
    turns: &Semaphore,
) -> Result<Vec<Range<usize>>, DatasetError> {
    let columns: Option<Vec<_>> = predicate.columns().iter().map(|name| footer.column(name)).collect();
    let columns = columns.ok_or_else(|| source.damaged("it lacks columns of its table".to_owned()))?;
    let mut rows = Rows::new(source, footer, piece, &columns, count(&piece.rows).max(1))?;
    let mut places = piece.rows.iter().cloned().flatten();
    let mut found: Vec<Range<usize>> = Vec::new();
    while let Some(batch) = rows.next(source, turns).await? {
        let predicate = predicate.clone();
        let is_match = source.decode(move || predicate.matches(&batch)).await?;
        for (is_match, row) in is_match.values().iter().zip(places.by_ref()) {
            match found.last_mut() {
                _ if !is_match => {}
                Some(last) if last.end == row => last.end += 1,
                _ => found.push(row..row + 1),
            }
        }
    }
    Ok(found)
}

/// How many rows these are.
pub(super) fn count(rows: &[Range<usize>]) -> usize {
    rows.iter().map(ExactSizeIterator::len).sum()
}

/// Takes up to `limit` rows off the front.
pub(super) fn split_front(rows: &mut Vec<Range<usize>>, limit: usize) -> Vec<Range<usize>> {
    let (mut taken, mut left) = (Vec::new(), limit);
    let mut rest = Vec::new();
    for range in rows.drain(..) {
        let at = range.start + left.min(range.len());
        left -= at - range.start;
        taken.extend(Some(range.start..at).filter(|range| !range.is_empty()));
        rest.extend(Some(at..range.end).filter(|range| !range.is_empty()));
    }
    *rows = rest;
    taken
}

/// Takes up to `limit` rows off the back.
pub(super) fn split_back(rows: &mut Vec<Range<usize>>, limit: usize) -> Vec<Range<usize>> {
    let front = count(rows).saturating_sub(limit);
    let rest = split_front(rows, front);
    std::mem::replace(rows, rest)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_are_taken_from_either_end() {
        let check = |rows: &[Range<usize>],
                     limit,
                     front: (&[Range<usize>], &[Range<usize>]),
                     back: &[Range<usize>]| {
            let mut rest = rows.to_vec();
            assert_eq!(split_front(&mut rest, limit), front.0);
            assert_eq!(rest, front.1);
            let mut rest = rows.to_vec();
            let taken = split_back(&mut rest, limit);
            assert_eq!(taken, back);
            assert_eq!(count(&rest) + count(&taken), count(rows));
        };
        check(&[0..4, 6..8], 5, (&[0..4, 6..7], &[7..8]), &[1..4, 6..8]);
        check(&[0..4, 6..8], 4, (&[0..4], &[6..8]), &[2..4, 6..8]);
        check(&[0..4, 6..8], 9, (&[0..4, 6..8], &[]), &[0..4, 6..8]);
        check(&[0..4], 0, (&[], &[0..4]), &[]);
        check(&[], 3, (&[], &[]), &[]);
    }
}
