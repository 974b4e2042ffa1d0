//! The live feed as a stream of record batches: from wherever a reader was, through the dataset and memory, to what comes.
//! Every message has the cursor behind it; where nothing matched, a message without rows moves it on. A reader that is slower
//! than the network is never ahead of anything: what has left memory is read from the dataset.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use orrery_actors::feed::{FeedLedger, Format, HistoryError, Hub, Look, Page, RowMessage, Tips, Wanted};
use orrery_schemas::{Cursor, EventFilter, LedgerSequence};
use tokio::sync::watch;
use tokio::time::{Interval, MissedTickBehavior};
use tonic::Status;

use super::outlet::Outlet;
use super::stored::{defect, encoder};
use super::ticket::Flight;

/// A stream on which nothing happens says that it lives.
const QUIET: Duration = Duration::from_secs(10);

/// Ledgers without a match that are looked through before the cursor is moved on and others get their turn.
const EMPTY_LEDGERS_MAX: u32 = 64;

/// One reader.
pub(super) struct Live {
    hub: Arc<Hub>,
    wanted: Arc<Wanted>,
    tips: watch::Receiver<Tips>,
    /// How often readers had been sent away when it came.
    came_after: u32,
    at: Cursor,
    /// Behind what the reader was told last.
    told: Option<Cursor>,
    page: Option<Arc<Page>>,
    outlet: Outlet,
    /// What is sent where there are no rows.
    nothing: RowMessage,
    ticks: Interval,
}

impl Live {
    /// Sends all that comes behind `at`, for ever.
    ///
    /// # Errors
    ///
    /// What is behind it cannot be read; or those of the outlet.
    pub(super) async fn send(
        hub: Arc<Hub>,
        at: Cursor,
        filter: EventFilter,
        outlet: Outlet,
    ) -> Result<(), Status> {
        let mut encoder = encoder(Flight::Live.table())?;
        outlet.schema(encoder.schema()).await?;
        let nothing = encoder.nothing().map_err(|error| defect(&error))?;
        let mut ticks = tokio::time::interval(QUIET);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        ticks.reset();
        hub.counts.subscriptions.fetch_add(1, Ordering::Relaxed);
        let (wanted, tips) = (hub.wanted(filter), hub.tips());
        let came_after = tips.borrow().sent_away;
        let live = Self { hub, wanted, tips, came_after, at, told: None, page: None, outlet, nothing, ticks };
        live.run().await
    }

    async fn run(mut self) -> Result<(), Status> {
        let mut empty_ledgers = 0;
        loop {
            let tips = *self.tips.borrow_and_update();
            if tips.sent_away != self.came_after {
                let fix = self.outlet.fix();
                return Err(Status::unavailable(format!("traffic belongs to another region: {fix}")));
            }
            let Some((ledger, from_event)) = self.at.next() else { return Ok(()) };
            let found = match self.hub.look(ledger) {
                Look::Here(found) => Some(found),
                Look::Stored { .. } => Some(self.stored(ledger).await?),
                Look::Lost { next } => return Err(self.lost(ledger, next)),
                Look::Ahead => None,
            };
            let Some(found) = found else {
                self.page = None;
                empty_ledgers = 0;
                self.wait(&tips).await?;
                continue;
            };
            if self.found(&found, from_event, &tips).await? {
                empty_ledgers = 0;
                continue;
            }
            empty_ledgers += 1;
            if empty_ledgers % EMPTY_LEDGERS_MAX == 0 {
                self.beat(&tips).await?;
                tokio::task::yield_now().await;
            }
        }
    }

    /// Sends what matches in a ledger; `false` if nothing does.
    async fn found(&mut self, found: &FeedLedger, from_event: u32, tips: &Tips) -> Result<bool, Status> {
        let frames = self.hub.frames(found, &self.wanted, Format::Arrow, from_event);
        let frames = frames.map_err(|error| defect(&error))?;
        for frame in frames.iter() {
            let Some(rows) = frame.rows() else {
                return Err(defect(&std::io::Error::other("a frame of events has no rows")));
            };
            self.outlet.rows(rows, frame.cursor, Some(tips.tip_cursor())).await?;
            self.told = Some(frame.cursor);
            self.ticks.reset();
        }
        self.at = Cursor::behind(found.sequence());
        Ok(!frames.is_empty())
    }

    /// Waits at the end, once the reader knows that it is there.
    async fn wait(&mut self, tips: &Tips) -> Result<(), Status> {
        if self.told != Some(self.at) {
            return self.beat(tips).await;
        }
        let ended = tokio::select! {
            changed = self.tips.changed() => changed.is_err(),
            _ = self.ticks.tick() => return self.beat(tips).await,
        };
        match ended {
            true => Err(Status::unavailable(format!("the feed has ended: {}", self.outlet.fix()))),
            false => Ok(()),
        }
    }

    /// Moves the reader's cursor on.
    async fn beat(&mut self, tips: &Tips) -> Result<(), Status> {
        self.ticks.reset();
        self.told = Some(self.at);
        self.outlet.rows(self.nothing.clone(), self.at, Some(tips.tip_cursor())).await
    }

    /// A ledger of the dataset.
    async fn stored(&mut self, ledger: LedgerSequence) -> Result<Arc<FeedLedger>, Status> {
        let page = match self.page.take().filter(|page| page.get(ledger).is_some()) {
            Some(page) => page,
            None => self.hub.page(ledger).await.map_err(|error| self.unreadable(&error))?,
        };
        let found = page.get(ledger).cloned();
        self.page = Some(page);
        found.ok_or_else(|| defect(&std::io::Error::other("a page is without its ledger")))
    }

    fn unreadable(&self, error: &HistoryError) -> Status {
        tracing::warn!(%error, "the feed cannot read the dataset for a flight");
        match error.is_passing {
            true => Status::unavailable(format!("the dataset cannot be read now: {}", self.outlet.fix())),
            false => Status::data_loss(
                "a file of the dataset cannot be read: see the node's log, and `orrery verify`",
            ),
        }
    }

    fn lost(&self, from: LedgerSequence, next: LedgerSequence) -> Status {
        let last = Cursor::behind(LedgerSequence(next.0.saturating_sub(1)));
        Status::data_loss(format!(
            r#"ledgers {from} to {last} have left this node's memory, and it has no dataset: go on with "from":"{last}", and read them from another node"#
        ))
    }
}

impl Drop for Live {
    fn drop(&mut self) {
        self.hub.counts.subscriptions.fetch_sub(1, Ordering::Relaxed);
    }
}
