//! When a node may end that nobody tells so: whoever coordinated has told it to those who were there, and is gone. It is
//! read in the dataset, so that it is for nodes that write it.

use std::sync::Mutex;
use std::sync::PoisonError;
use std::time::Duration;

use orrery_actors::dataset::{DatasetError, DatasetSettings, Store};
use orrery_schemas::LedgerSequence;
use orrery_supervisor::{Clock, MonotonicTime};

use super::message::Assignment;
use crate::opening::last_durable;

/// Without a coordinator for so long, a node looks itself.
const SILENT_MAX: Duration = Duration::from_secs(10);

/// How often it says so. Without the dataset it cannot find out whether anything is left to do.
const TELL_EVERY: Duration = Duration::from_secs(60);

/// Between two looks.
const LOOK_EVERY: Duration = Duration::from_secs(5);

/// What a node goes by.
pub(super) struct Completion {
    dataset: Store,
    settings: DatasetSettings,
    /// The last ledger that this node was asked for.
    own: Option<LedgerSequence>,
    heard: Mutex<Heard>,
}

#[derive(Clone, Copy, Debug)]
struct Heard {
    at: MonotonicTime,
    /// The last ledger that the cluster is asked for.
    to: Option<LedgerSequence>,
    is_warned: bool,
    /// When it was said last that nobody speaks.
    told: Option<MonotonicTime>,
}

impl Completion {
    /// Of a node that was asked for the ledgers up to `own`, and that begins now.
    pub(super) fn new(
        dataset: Store,
        settings: DatasetSettings,
        own: Option<LedgerSequence>,
        now: MonotonicTime,
    ) -> Self {
        let settings = settings.of_existing();
        let heard = Mutex::new(Heard { at: now, to: own, is_warned: false, told: None });
        Self { dataset, settings, own, heard }
    }

    /// A coordinator has spoken.
    pub(super) fn hear(&self, assignment: &Assignment, now: MonotonicTime) {
        let mut heard = self.heard.lock().unwrap_or_else(PoisonError::into_inner);
        heard.at = now;
        heard.told = None;
        heard.to = assignment.to.map(LedgerSequence);
        let differs = heard.to != self.own;
        if differs && !heard.is_warned {
            let last = |to: Option<LedgerSequence>| to.map_or_else(|| "none".to_owned(), |to| to.to_string());
            let (own, told, coordinator) = (last(self.own), last(heard.to), &assignment.coordinator);
            tracing::warn!(
                own,
                told,
                coordinator,
                "another last ledger is told than --to says here; the coordinator's counts"
            );
        }
        heard.is_warned = differs;
    }

    /// Until every ledger that is wanted is durable, and nobody has spoken for long.
    pub(super) async fn reached(&self, clock: &dyn Clock) {
        while !self.is_reached(clock.now()).await {
            tokio::time::sleep(LOOK_EVERY).await;
        }
    }

    async fn is_reached(&self, now: MonotonicTime) -> bool {
        let Heard { at, to, .. } = *self.heard.lock().unwrap_or_else(PoisonError::into_inner);
        let silence = now.since(at);
        if silence <= SILENT_MAX {
            return false;
        }
        self.tell(now, silence);
        let Some(to) = to else { return false };
        match last_durable(&self.dataset, &self.settings).await {
            Ok(last) => last >= Some(to),
            Err(DatasetError::NoTable { .. }) => false,
            Err(error) => {
                tracing::warn!(%error, "no coordinator speaks, and the dataset cannot be read");
                false
            }
        }
    }

    /// Says that nobody speaks, if it is time.
    fn tell(&self, now: MonotonicTime, silence: Duration) {
        let mut heard = self.heard.lock().unwrap_or_else(PoisonError::into_inner);
        if heard.told.is_none_or(|told| now.since(told) >= TELL_EVERY) {
            heard.told = Some(now);
            let seconds = silence.as_secs();
            tracing::warn!(
                seconds,
                "no coordinator speaks: this node goes on when one does; start one, or stop this if all is done"
            );
        }
    }
}
