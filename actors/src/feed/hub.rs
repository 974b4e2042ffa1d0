//! What all readers of a node share: recent ledgers, pages of the dataset, encodings, and how far all of it reaches.

use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;

use orrery_schemas::{EventFilter, LedgerSequence};
use orrery_supervisor::seeded_bug;
use tokio::sync::{Semaphore, watch};

use super::awaited::Awaited;
use super::frame_store::FrameStore;
use super::frames::{Format, Frame, FrameError};
use super::history::{History, HistoryError, Page};
use super::ledger::FeedLedger;
use super::pages::Pages;
use super::ring::{Offered, Ring};
use super::tips::{Extent, Tips};
use crate::envelope::EventBatch;
use crate::metrics;

pub use super::frame_store::Wanted;

/// How often the dataset is looked at: what is live comes from memory, so this is only how late a reader is on a node that
/// processes nothing.
const LOOK_EVERY: Duration = Duration::from_millis(500);

/// What the feed of a node may hold: the sum of the three, and what readers are being sent, which they share.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HubLimits {
    /// Of recent ledgers. More lets readers fall further behind before they are told so.
    pub memory_bytes: usize,
    /// Of pages of the dataset.
    pub page_bytes: usize,
    /// Of encodings.
    pub frame_bytes: usize,
    /// Pages that are read at once.
    pub loads: usize,
}

impl Default for HubLimits {
    fn default() -> Self {
        Self { memory_bytes: 64 << 20, page_bytes: 64 << 20, frame_bytes: 64 << 20, loads: 2 }
    }
}

/// Where the ledger at a reader's position is.
#[derive(Clone, Debug)]
pub enum Look {
    /// In memory.
    Here(Arc<FeedLedger>),
    /// In the dataset.
    Stored {
        /// Whether it was in memory, and left for want of room.
        has_left_memory: bool,
    },
    /// Nowhere yet.
    Ahead,
    /// Nowhere any more: there is no dataset, and memory goes on here.
    Lost {
        /// The ledger that can be read next.
        next: LedgerSequence,
    },
}

/// What the feed counts.
#[derive(Debug, Default)]
pub struct HubCounts {
    /// Readers that are connected.
    pub connections: AtomicUsize,
    /// What they read.
    pub subscriptions: AtomicUsize,
    /// Readers that were closed because they were too slow.
    pub evicted: AtomicU64,
    /// Offered ledgers that contradict what was there.
    pub contradictions: AtomicU64,
    /// Ledgers that other nodes gave.
    pub relayed: AtomicU64,
    /// Frames of events that readers were sent.
    pub frames: AtomicU64,
}

/// The shared part of a node's feed.
pub struct Hub {
    limits: HubLimits,
    ring: Mutex<Ring<Arc<FeedLedger>>>,
    tips: watch::Sender<Tips>,
    history: OnceLock<Option<Arc<dyn History>>>,
    /// Whether the last look at the dataset failed: that it does is told once.
    is_away: AtomicBool,
    pages: Pages,
    loads: Semaphore,
    frames: FrameStore,
    awaited: Awaited,
    /// Counts.
    pub counts: HubCounts,
}

impl Hub {
    /// An empty one.
    pub fn new(limits: HubLimits) -> Self {
        Self {
            limits,
            ring: Mutex::new(Ring::new(limits.memory_bytes)),
            tips: watch::Sender::default(),
            history: OnceLock::new(),
            is_away: AtomicBool::new(false),
            pages: Pages::new(limits.page_bytes),
            loads: Semaphore::new(limits.loads.max(1)),
            frames: FrameStore::new(limits.frame_bytes),
            awaited: Awaited::default(),
            counts: HubCounts::default(),
        }
    }

    /// Its bounds.
    pub fn limits(&self) -> HubLimits {
        self.limits
    }

    /// Says what the dataset is, or that this node has none. Once; nothing can be read before.
    pub fn attach(&self, history: Option<Arc<dyn History>>) {
        let is_none = history.is_none();
        if self.history.set(history).is_ok() && is_none {
            self.tips.send_modify(|tips| tips.is_known = true);
        }
    }

    /// Takes the ledgers of a batch that is proven. Never waits for a reader.
    pub fn offer(&self, batch: &EventBatch) {
        let mut moved = false;
        let mut ring = self.ring.lock().unwrap_or_else(PoisonError::into_inner);
        for ledger in FeedLedger::split(batch) {
            let (link, bytes) = (ledger.link(), ledger.bytes);
            match ring.offer(link, bytes, Arc::new(ledger)) {
                Offered::Appended | Offered::Begun => {
                    moved = true;
                    self.awaited.begin(link.ledger, &batch.trace);
                }
                Offered::Known | Offered::Behind => {}
                Offered::Contradiction { ledger, here, offered } => {
                    self.counts.contradictions.fetch_add(1, Ordering::Relaxed);
                    let of = link.ledger;
                    tracing::error!(%ledger, %here, %offered, %of, "two histories of one ledger, the feed serves the first");
                }
            }
        }
        if !moved {
            return;
        }
        let (Some(range), Some(last)) = (ring.range(), ring.last()) else { return };
        let next = range.end().next().unwrap_or(*range.end());
        let (memory, closed_at) = (Extent { first: *range.start(), next }, last.ledger.closed_at);
        // Under the lock, so that tips never tell of what was before.
        self.tips.send_modify(|tips| {
            tips.memory = Some(memory);
            tips.closed_at = Some(closed_at);
        });
    }

    /// As [`Self::offer`], of ledgers that another node has derived and proven.
    pub fn relay(&self, batch: &EventBatch) {
        self.counts.relayed.fetch_add(batch.ledgers.len() as u64, Ordering::Relaxed);
        self.offer(batch);
    }

    /// Looks at the dataset again and again, and tells what it counts, for ever.
    pub async fn follow(&self) {
        let mut ticks = tokio::time::interval(LOOK_EVERY);
        ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            ticks.tick().await;
            self.look_again().await;
            metrics::feed::tell(&self.counts, &self.tips_now());
        }
    }

    /// Looks at the dataset once.
    pub async fn look_again(&self) {
        let Some(Some(history)) = self.history.get() else { return };
        match history.look().await {
            Ok(extent) => {
                self.is_away.store(false, Ordering::Relaxed);
                let Some(extent) = extent else { return };
                self.tips.send_if_modified(|tips| {
                    let is_news = !tips.is_known || is_awaited(tips, extent);
                    tips.is_known = true;
                    tips.stored = Some(extent);
                    is_news
                });
            }
            Err(error) => {
                if !self.is_away.swap(true, Ordering::Relaxed) {
                    tracing::warn!(%error, "the feed cannot look at the dataset, trying again");
                }
            }
        }
    }

    /// A reader was sent all that it wants of a ledger.
    pub fn delivered(&self, ledger: LedgerSequence) {
        self.awaited.end(ledger);
    }

    /// How far the feed reaches, and when that changes for somebody who waits.
    pub fn tips(&self) -> watch::Receiver<Tips> {
        self.tips.subscribe()
    }

    /// How far it reaches now.
    pub fn tips_now(&self) -> Tips {
        *self.tips.borrow()
    }

    /// Has every reader go: the node ends. What was not read can be read at another node, or here when it is back.
    pub fn close(&self) {
        self.tips.send_modify(|tips| tips.is_over = true);
    }

    /// Has every reader that is here now go on elsewhere. Who comes all the same is served: perhaps nobody else is there.
    pub fn send_away(&self) {
        self.tips.send_modify(|tips| tips.sent_away = tips.sent_away.wrapping_add(1));
    }

    /// Where a ledger is.
    pub fn look(&self, ledger: LedgerSequence) -> Look {
        let (found, has_left_memory, first) = {
            let ring = self.ring.lock().unwrap_or_else(PoisonError::into_inner);
            seeded_bug!(
                B17,
                if let Some(oldest) = ring.oldest().filter(|oldest| ledger < oldest.sequence()) {
                    return Look::Here(Arc::clone(oldest));
                },
                ()
            );
            (ring.get(ledger).cloned(), ring.has_evicted(ledger), ring.range().map(|range| *range.start()))
        };
        if let Some(found) = found {
            return Look::Here(found);
        }
        let tips = self.tips_now();
        match tips.stored {
            Some(stored) if stored.contains(ledger) => Look::Stored { has_left_memory },
            None if tips.is_known => match first {
                Some(next) if ledger < next => Look::Lost { next },
                _ => Look::Ahead,
            },
            _ => Look::Ahead,
        }
    }

    /// The page with a ledger that is stored, if it was read lately.
    pub fn kept_page(&self, ledger: LedgerSequence) -> Option<Arc<Page>> {
        self.pages.get(ledger)
    }

    /// The page with a ledger that is stored. Only so many are read at once; the others wait their turn.
    ///
    /// # Errors
    ///
    /// [`HistoryError`].
    pub async fn page(&self, ledger: LedgerSequence) -> Result<Arc<Page>, HistoryError> {
        let closed = |reason: &str| HistoryError { reason: reason.to_owned(), is_passing: false };
        if let Some(page) = self.pages.get(ledger) {
            return Ok(page);
        }
        let Some(Some(history)) = self.history.get() else { return Err(closed("this node has none")) };
        let _turn = self.loads.acquire().await.map_err(|_| closed("the feed has ended"))?;
        if let Some(page) = self.pages.get(ledger) {
            return Ok(page);
        }
        let page = Arc::new(history.page(ledger).await?);
        if page.get(ledger).is_none() {
            return Err(closed(&format!("the page of ledger {ledger} is without it")));
        }
        self.pages.keep(&page);
        Ok(page)
    }

    /// What a reader wants. Readers that want the same share it, and with it their frames.
    pub fn wanted(&self, filter: EventFilter) -> Arc<Wanted> {
        self.frames.wanted(filter)
    }

    /// The frames of a ledger, for a reader that has seen the events before `from_event`.
    ///
    /// # Errors
    ///
    /// [`FrameError`], a defect.
    pub fn frames(
        &self,
        ledger: &FeedLedger,
        wanted: &Arc<Wanted>,
        format: Format,
        from_event: u32,
    ) -> Result<Arc<[Frame]>, FrameError> {
        self.frames.frames(ledger, wanted, format, from_event)
    }

    /// Encodings that are kept, and their bytes.
    pub fn kept_frames(&self) -> (usize, usize) {
        self.frames.kept()
    }
}

/// Whether somebody may wait for what the dataset has now. Who is at the tip waits for memory, and slots of what is in
/// memory anyway wake nobody.
fn is_awaited(tips: &Tips, extent: Extent) -> bool {
    let is_moved = tips.stored != Some(extent);
    let is_ahead = tips.memory.is_none_or(|memory| extent.next > memory.next);
    let was_hole = tips.memory.zip(tips.stored).is_some_and(|(memory, stored)| stored.next < memory.first);
    is_moved && (is_ahead || was_hole || tips.stored.is_none())
}
