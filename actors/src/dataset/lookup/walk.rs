//! A look-up that goes through row files in the order of a scan.

use std::collections::VecDeque;
use std::io;
use std::ops::Range;
use std::sync::Arc;

use orrery_schemas::{Address, TokenTransfer};

use super::layout::Part;
use super::row_file::{Reader, RowFile};
use crate::dataset::scan::{Order, Place, Span};

/// Which rows are looked for.
#[derive(Clone, Debug)]
pub(in crate::dataset) struct Wanted {
    /// On either side; without any, every row.
    pub(in crate::dataset) accounts: Vec<Address>,
    pub(in crate::dataset) span: Span,
    pub(in crate::dataset) order: Order,
}

/// A look-up. It reads files: it is not for a runtime's thread.
#[derive(Debug)]
pub(in crate::dataset) struct Walk {
    wanted: Wanted,
    /// In the scan's direction, each with the place behind which it has nothing more.
    files: VecDeque<(Arc<RowFile>, Place)>,
    open: Option<Open>,
}

/// The file that is being read.
#[derive(Debug)]
struct Open {
    reader: Reader,
    /// Ascending; what was read is gone.
    parts: VecDeque<Part>,
    found: Option<(Part, Found)>,
}

/// Rows of a part that are not handed out yet.
#[derive(Debug)]
enum Found {
    All(Range<u32>),
    /// Ascending.
    Some(VecDeque<u32>),
}

/// What a step found.
#[derive(Debug, Default)]
pub(in crate::dataset) struct Stepped {
    /// In the scan's direction.
    pub(in crate::dataset) events: Vec<TokenTransfer>,
    /// Ends of the files that have nothing more, besides these.
    pub(in crate::dataset) passed: Vec<Place>,
    /// Bytes that were read.
    pub(in crate::dataset) read: u64,
}

impl Walk {
    pub(super) fn new(wanted: Wanted, files: VecDeque<(Arc<RowFile>, Place)>) -> Self {
        Self { wanted, files, open: None }
    }

    /// The file that is being read.
    pub(super) fn file(&self) -> Option<&Arc<RowFile>> {
        self.files.front().map(|(file, _)| file)
    }

    /// Files that are left.
    pub(in crate::dataset) fn files(&self) -> usize {
        self.files.len()
    }

    /// Whether there is nothing more.
    pub(in crate::dataset) fn is_over(&self) -> bool {
        self.files.is_empty()
    }

    /// Goes on until there are `rows_max` rows, or no files any more.
    pub(in crate::dataset) fn step(&mut self, rows_max: usize) -> io::Result<Stepped> {
        let mut stepped = Stepped::default();
        while let Some((file, end)) = self.files.front()
            && stepped.events.len() < rows_max
        {
            let open = match &mut self.open {
                Some(open) => open,
                none => none.insert(Open {
                    reader: file.reader()?,
                    parts: file.parts.iter().copied().collect(),
                    found: None,
                }),
            };
            let is_open = open.step(&self.wanted, rows_max, &mut stepped.events)?;
            stepped.read += std::mem::take(&mut open.reader.read);
            if !is_open {
                stepped.passed.push(*end);
                self.files.pop_front();
                self.open = None;
            }
        }
        Ok(stepped)
    }
}

impl Open {
    /// Reads rows of one part; `false` if the file has no more.
    fn step(
        &mut self,
        wanted: &Wanted,
        rows_max: usize,
        events: &mut Vec<TokenTransfer>,
    ) -> io::Result<bool> {
        let is_ascending = wanted.order == Order::Ascending;
        let Some((part, found)) = &mut self.found else {
            let next = if is_ascending { self.parts.pop_front() } else { self.parts.pop_back() };
            let Some(part) = next else { return Ok(false) };
            self.found = find(&mut self.reader, &part, wanted)?.map(|found| (part, found));
            return Ok(true);
        };
        let rows = found.take(rows_max - events.len(), wanted.order);
        let read = self.reader.events(part, &rows)?;
        if is_ascending {
            events.extend(read)
        } else {
            events.extend(read.into_iter().rev())
        };
        if found.is_empty() {
            self.found = None;
        }
        Ok(true)
    }
}

/// The rows of a part that are wanted; `None` if there are none.
fn find(reader: &mut Reader, part: &Part, wanted: &Wanted) -> io::Result<Option<Found>> {
    let Span { first, last } = wanted.span;
    if part.last < first || last < part.first {
        return Ok(None);
    }
    let mut found = match wanted.accounts.as_slice() {
        [] => Found::All(0..part.rows),
        [one] => Found::Some(reader.rows_of(part, one)?.into()),
        several => Found::Some(rows_of_any(reader, part, several)?),
    };
    if last < part.last {
        let kept = reader.before(part, found.len(), |index| found.row(index), last, true)?;
        found.truncate(kept);
    }
    if part.first < first {
        let dropped = reader.before(part, found.len(), |index| found.row(index), first, false)?;
        found.take(dropped, Order::Ascending);
    }
    Ok(Some(found).filter(|found| !found.is_empty()))
}

/// Rows that have one of the addresses, ascending: joined in a bit a row, however many addresses there are.
fn rows_of_any(reader: &mut Reader, part: &Part, addresses: &[Address]) -> io::Result<VecDeque<u32>> {
    let mut is_wanted = vec![false; part.rows as usize];
    for address in addresses {
        for row in reader.rows_of(part, address)? {
            if let Some(is_wanted) = is_wanted.get_mut(row as usize) {
                *is_wanted = true;
            }
        }
    }
    Ok((0..).zip(is_wanted).filter_map(|(row, is_wanted)| is_wanted.then_some(row)).collect())
}

impl Found {
    fn len(&self) -> usize {
        match self {
            Self::All(rows) => rows.len(),
            Self::Some(rows) => rows.len(),
        }
    }

    fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The number of one of them; of one that is not there, a row that is not there either.
    fn row(&self, index: usize) -> u32 {
        match self {
            Self::All(rows) => rows.start + index as u32,
            Self::Some(rows) => rows.get(index).copied().unwrap_or(u32::MAX),
        }
    }

    fn truncate(&mut self, count: usize) {
        match self {
            Self::All(rows) => rows.end = rows.end.min(rows.start + count as u32),
            Self::Some(rows) => rows.truncate(count),
        }
    }

    /// Takes up to `count` of them off the end where the order begins; ascending either way.
    fn take(&mut self, count: usize, order: Order) -> Vec<u32> {
        let count = count.min(self.len());
        match (self, order) {
            (Self::All(rows), Order::Ascending) => {
                let taken = rows.start..rows.start + count as u32;
                rows.start = taken.end;
                taken.collect()
            }
            (Self::All(rows), Order::Descending) => {
                let taken = rows.end - count as u32..rows.end;
                rows.end = taken.start;
                taken.collect()
            }
            (Self::Some(rows), Order::Ascending) => rows.drain(..count).collect(),
            (Self::Some(rows), Order::Descending) => rows.split_off(rows.len() - count).into(),
        }
    }
}
