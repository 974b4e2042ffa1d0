//! Sums over the newest ledgers. A file's sums are kept: windows move on by a few files at a time.

use std::collections::BTreeMap;
use std::ops::RangeInclusive;
use std::sync::Arc;

use orrery_actors::dataset::{DatasetView, Order, ScanRequest, Snapshot, Span, TableKind};
use orrery_schemas::{CloseTime, EventFilter, LedgerSequence, Volumes as Sums, ledgers_from_batch};
use tokio::sync::Mutex;

use super::unreadable;
use crate::serve::problem::Problem;

/// Tokens of the files whose sums are kept, all together: about 300 bytes each.
const KEPT_TOKENS_MAX: usize = 200_000;

/// A length of time that is added up.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Window {
    Hour,
    Day,
}

/// What was added up.
#[derive(Clone, Debug)]
pub(super) struct Summed {
    pub(super) window: Window,
    pub(super) ledgers: RangeInclusive<LedgerSequence>,
    pub(super) sums: Arc<Sums>,
}

/// Sums, as far as they are known.
#[derive(Debug, Default)]
pub(super) struct Volumes {
    /// One who adds up at a time: the others find it done.
    known: Mutex<Known>,
}

#[derive(Debug, Default)]
struct Known {
    windows: BTreeMap<Window, Summed>,
    /// By first ledger and name.
    files: BTreeMap<(LedgerSequence, String), Arc<Sums>>,
}

impl Window {
    pub(super) const ALL: [Self; 2] = [Self::Hour, Self::Day];

    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::Hour => "1h",
            Self::Day => "24h",
        }
    }

    fn seconds(self) -> i64 {
        match self {
            Self::Hour => 3_600,
            Self::Day => 86_400,
        }
    }
}

impl Volumes {
    /// Adds up the window that ends with the newest ledger.
    pub(super) async fn of(
        &self,
        view: &DatasetView,
        snapshot: &Arc<Snapshot>,
        window: Window,
    ) -> Result<Option<Summed>, Problem> {
        let Some((last, _, closed_at)) = snapshot.last_ledger() else { return Ok(None) };
        let mut known = self.known.lock().await;
        if let Some(summed) = known.windows.get(&window)
            && *summed.ledgers.end() >= last
        {
            return Ok(Some(summed.clone()));
        }
        let first = first_after(view, snapshot, closed_at.unix_seconds() - window.seconds()).await?;
        let ledgers = first..=last;
        let mut sums = Sums::default();
        for (name, range) in files(snapshot, &ledgers) {
            let is_whole = ledgers.contains(range.start()) && ledgers.contains(range.end());
            let key = (*range.start(), name);
            if let Some(kept) = known.files.get(&key).filter(|_| is_whole) {
                sums.merge(kept);
                continue;
            }
            let part = *range.start().max(&first)..=*range.end().min(&last);
            let of_file = add_up(view, snapshot, Span::ledgers(part)).await?;
            sums.merge(&of_file);
            if is_whole {
                known.files.insert(key, Arc::new(of_file));
            }
        }
        known.forget();
        let summed = Summed { window, ledgers, sums: Arc::new(sums) };
        known.windows.insert(window, summed.clone());
        Ok(Some(summed))
    }
}

impl Known {
    /// Drops the oldest files: no window will have them again.
    fn forget(&mut self) {
        let mut tokens: usize = self.files.values().map(|sums| sums.tokens()).sum();
        while tokens > KEPT_TOKENS_MAX
            && let Some((_, sums)) = self.files.pop_first()
        {
            tokens -= sums.tokens();
        }
    }
}

/// Files that have some of these ledgers.
fn files(
    snapshot: &Snapshot,
    ledgers: &RangeInclusive<LedgerSequence>,
) -> Vec<(String, RangeInclusive<LedgerSequence>)> {
    let files = snapshot.files(TableKind::TokenTransfers).rev();
    let files = files.filter(|(_, range)| range.start() <= ledgers.end());
    files.take_while(|(_, range)| ledgers.start() <= range.end()).collect()
}

async fn add_up(view: &DatasetView, snapshot: &Arc<Snapshot>, span: Span) -> Result<Sums, Problem> {
    let request = ScanRequest::events(EventFilter::default()).within(span).columns(&Sums::COLUMNS);
    let mut scan = view.scan(snapshot, request);
    let mut sums = Sums::default();
    while let Some(batch) = scan.next().await.map_err(unreadable)? {
        let added = tokio::task::spawn_blocking(move || sums.add(&batch).map(|()| sums)).await;
        let added = added
            .map_err(|error| error.to_string())
            .and_then(|added| added.map_err(|error| error.to_string()));
        sums = added.map_err(|error| Problem::new(super::schemas::INTERNAL, "dataset_unreadable", error))?;
    }
    Ok(sums)
}

/// The first ledger that closed after `seconds` since 1970.
async fn first_after(
    view: &DatasetView,
    snapshot: &Arc<Snapshot>,
    seconds: i64,
) -> Result<LedgerSequence, Problem> {
    let is_after = |time: CloseTime| time.unix_seconds() > seconds;
    let mut first = snapshot.first();
    // From the newest file back to the one where the window begins.
    for (ledgers, closed_at) in snapshot.close_times().rev() {
        if is_after(*closed_at.start()) {
            continue;
        }
        first = ledgers.end().next().unwrap_or(*ledgers.end());
        if is_after(*closed_at.end()) {
            let request = ScanRequest::ledgers().within(Span::ledgers(ledgers)).order(Order::Descending);
            let mut scan = view.scan(snapshot, request);
            'file: while let Some(batch) = scan.next().await.map_err(unreadable)? {
                let rows = ledgers_from_batch(&batch).map_err(|error| {
                    Problem::new(super::schemas::INTERNAL, "dataset_unreadable", error.to_string())
                })?;
                for ledger in rows {
                    if !is_after(ledger.closed_at) {
                        break 'file;
                    }
                    first = ledger.sequence;
                }
            }
        }
        break;
    }
    Ok(first)
}
