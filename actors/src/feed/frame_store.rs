//! One encoding for all who want the same bytes: the first who asks makes it, the others get it.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, OnceLock, PoisonError, Weak};

use orrery_schemas::{EventFilter, LedgerSequence};

use super::frames::{Format, Frame, FrameError, frames};
use super::ledger::FeedLedger;

/// A filter that somebody has; equal filters are one.
#[derive(Debug)]
pub struct Wanted {
    /// The filter.
    pub filter: EventFilter,
    /// Its number: comparing filters of a thousand values for every ledger would cost more than encoding.
    number: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Key {
    ledger: LedgerSequence,
    wanted: u64,
    format: Format,
}

type Encoded = Arc<OnceLock<Result<Arc<[Frame]>, FrameError>>>;

/// Encodings of recent ledgers, bounded by bytes.
pub(super) struct FrameStore {
    filters: Mutex<Filters>,
    kept: Mutex<Kept>,
    bytes_max: usize,
}

#[derive(Default)]
struct Filters {
    known: HashMap<EventFilter, Weak<Wanted>>,
    next: u64,
    /// Size at which those that nobody has any more are swept out.
    sweep_at: usize,
}

#[derive(Default)]
struct Kept {
    frames: HashMap<Key, Encoded>,
    /// With their bytes, in the order in which they were made.
    order: VecDeque<(Key, usize)>,
    bytes: usize,
}

/// What an entry costs beside its bytes.
const ENTRY_BYTES: usize = 256;

impl FrameStore {
    pub(super) fn new(bytes_max: usize) -> Self {
        Self { filters: Mutex::default(), kept: Mutex::default(), bytes_max }
    }

    /// The one filter that equals this.
    pub(super) fn wanted(&self, filter: EventFilter) -> Arc<Wanted> {
        let mut filters = self.filters.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(wanted) = filters.known.get(&filter).and_then(Weak::upgrade) {
            return wanted;
        }
        if filters.known.len() >= filters.sweep_at {
            filters.known.retain(|_, wanted| wanted.strong_count() > 0);
            filters.sweep_at = 2 * filters.known.len() + 64;
        }
        filters.next += 1;
        let wanted = Arc::new(Wanted { filter: filter.clone(), number: filters.next });
        filters.known.insert(filter, Arc::downgrade(&wanted));
        wanted
    }

    /// The frames of a ledger, for a reader that has seen the events before `from_event`.
    pub(super) fn frames(
        &self,
        ledger: &FeedLedger,
        wanted: &Arc<Wanted>,
        format: Format,
        from_event: u32,
    ) -> Result<Arc<[Frame]>, FrameError> {
        // What one reader alone wants is of no use to another.
        if from_event > 0 || Arc::strong_count(wanted) == 1 || ledger.rows.num_rows() == 0 {
            return frames(ledger, &wanted.filter, format, from_event);
        }
        let key = Key { ledger: ledger.sequence(), wanted: wanted.number, format };
        let (encoded, is_new) = {
            let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
            let is_new = !kept.frames.contains_key(&key);
            (kept.frames.entry(key).or_default().clone(), is_new)
        };
        // Others who want the same wait here, as long as they would need to make it themselves.
        let made = encoded.get_or_init(|| frames(ledger, &wanted.filter, format, 0)).clone();
        if is_new {
            self.account(key, &made);
        }
        made
    }

    fn account(&self, key: Key, made: &Result<Arc<[Frame]>, FrameError>) {
        let bytes = made.iter().flat_map(|frames| frames.iter()).map(|frame| frame.body.len() + ENTRY_BYTES);
        let bytes = ENTRY_BYTES + bytes.sum::<usize>();
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        kept.bytes += bytes;
        kept.order.push_back((key, bytes));
        while kept.bytes > self.bytes_max {
            let Some((key, bytes)) = kept.order.pop_front() else { break };
            kept.bytes = kept.bytes.saturating_sub(bytes);
            kept.frames.remove(&key);
        }
    }

    /// Encodings that are kept, and their bytes.
    pub(super) fn kept(&self) -> (usize, usize) {
        let kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        (kept.frames.len(), kept.bytes)
    }
}
