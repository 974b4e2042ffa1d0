//! Ledgers of stores as a stream: carries out what the fetch plan decides.
//!
//! In: stores in order of preference, and a [`StreamStart`]. Out: [`LedgerChunk`]s, ascending and without gaps. Ends after
//! `to`, or with a [`StreamError`].
//!
//! Fetches run as tasks that end with the stream. They go on while nobody polls it, up to depth and bytes.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use futures::future::BoxFuture;
use futures::stream::{self, Stream};
use orrery_supervisor::{Clock, MonotonicTime, SystemClock};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::JoinSet;
use tracing::{Instrument, Span, info_span};

use crate::metrics::source as metrics;

use super::fetch_plan::{Action, Fetch, FetchPlan, SlotId};
use super::retry_budget::Attempts;
use super::{
    Fetched, FetchedObject, LedgerChunk, LedgerStore, RetryBudget, SourceError, SourceErrorKind, StreamError,
    StreamLimits, StreamStart,
};

/// The budget counts in these: a semaphore's permits are fewer than bytes may be.
const PERMIT_BYTES: usize = 1 << 10;

/// Time for a stream: reads it and waits.
pub trait Timer: Send + Sync {
    /// The time now.
    fn now(&self) -> MonotonicTime;

    /// Ends after `duration`.
    fn sleep(&self, duration: Duration) -> BoxFuture<'static, ()>;
}

/// The machine's time, by tokio's timer.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemTimer {
    clock: SystemClock,
}

impl Timer for SystemTimer {
    fn now(&self) -> MonotonicTime {
        self.clock.now()
    }

    fn sleep(&self, duration: Duration) -> BoxFuture<'static, ()> {
        Box::pin(tokio::time::sleep(duration))
    }
}

/// Ledgers `start.from ..= start.to`, or for ever, in order; from the first store that has them. `random` gives even bits,
/// for the jitter of pauses. Has to be polled inside of a tokio runtime.
///
/// A chunk that proves to be bad is refused by making a new stream from its first ledger on, with the chunk in
/// [`StreamStart::rejected`].
pub fn ledger_stream(
    stores: Vec<Arc<dyn LedgerStore>>,
    start: StreamStart,
    limits: StreamLimits,
    timer: Arc<dyn Timer>,
    random: impl FnMut() -> u64 + Send + 'static,
) -> impl Stream<Item = Result<LedgerChunk, StreamError>> + Send {
    let permits = (limits.bytes_max / PERMIT_BYTES).clamp(1, Semaphore::MAX_PERMITS);
    let limits = StreamLimits { bytes_max: permits * PERMIT_BYTES, ..limits };
    let driver = Driver {
        names: stores.iter().map(|store| store.name().into()).collect(),
        plan: FetchPlan::new(stores, start, limits),
        budget: Arc::new(Semaphore::new(permits)),
        permits_max: permits,
        held: HashMap::new(),
        traces: HashMap::new(),
        fetches: JoinSet::new(),
        running: HashMap::new(),
        ready: VecDeque::new(),
        timer,
        random: Box::new(random),
    };
    stream::unfold(driver, |mut driver| async move {
        let next = driver.next().await?;
        Some((next, driver))
    })
}

/// Does `request`, of which no result is lost when it is repeated, until it succeeds, fails for good, or has failed for as
/// long as a stream would try.
///
/// # Errors
///
/// The last failure.
pub async fn patiently<T, F: Future<Output = Result<T, SourceError>>>(
    random: &mut impl FnMut() -> u64,
    request: impl FnMut() -> F,
) -> Result<T, SourceError> {
    let budget = RetryBudget::patient()
        .map_err(|error| SourceError::new("retries", SourceErrorKind::Refused(error.to_string())))?;
    retrying(&budget, &SystemTimer::default(), random, request).await
}

/// Does `request` until it succeeds, fails for good, or `budget` is spent.
pub(super) async fn retrying<T, F: Future<Output = Result<T, SourceError>>>(
    budget: &RetryBudget,
    timer: &dyn Timer,
    random: &mut impl FnMut() -> u64,
    mut request: impl FnMut() -> F,
) -> Result<T, SourceError> {
    let mut attempts = Attempts::default();
    loop {
        attempts.begin(timer.now());
        let error = match request().await {
            Ok(done) => return Ok(done),
            Err(error) => error,
        };
        let wanted = error.kind.pause_wanted();
        let pause = attempts.pause(budget, timer.now(), wanted, random);
        match pause.filter(|_| error.kind.is_transient()) {
            Some(pause) => timer.sleep(pause).await,
            None if attempts.count() == 1 => return Err(error),
            None => {
                let (attempts, elapsed) = (attempts.count(), attempts.elapsed(timer.now()));
                let kind = SourceErrorKind::GaveUp { attempts, elapsed, last: Box::new(error.kind) };
                return Err(SourceError { kind, ..error });
            }
        }
    }
}

type FetchResult = (SlotId, Result<Fetched, SourceError>);

struct Driver {
    plan: FetchPlan,
    names: Vec<Arc<str>>,
    budget: Arc<Semaphore>,
    permits_max: usize,
    /// Shares of slots.
    held: HashMap<SlotId, OwnedSemaphorePermit>,
    /// From the first fetch of a slot on.
    traces: HashMap<SlotId, Span>,
    fetches: JoinSet<FetchResult>,
    /// So that a task that panics is known by its slot, and one whose slot was given up is ended.
    running: HashMap<SlotId, tokio::task::AbortHandle>,
    /// Objects of the slot that was delivered last.
    ready: VecDeque<LedgerChunk>,
    timer: Arc<dyn Timer>,
    random: Box<dyn FnMut() -> u64 + Send>,
}

impl Driver {
    async fn next(&mut self) -> Option<Result<LedgerChunk, StreamError>> {
        loop {
            if let Some(chunk) = self.ready.pop_front() {
                return Some(Ok(chunk));
            }
            self.drop_given_up();
            let free = self.budget.available_permits() * PERMIT_BYTES;
            match self.plan.next_action(self.timer.now(), free) {
                Action::Deliver { id, source, objects } => self.deliver(id, source, objects),
                Action::Fetch(fetch) => self.start(fetch),
                Action::Wait { until, room } => self.wait(until, room).await,
                Action::End => return None,
                Action::Fail(error) => return Some(Err(error)),
            }
        }
    }

    /// Splits the slot's share over its objects; what they do not need is free again.
    fn deliver(&mut self, id: SlotId, source: usize, objects: Vec<FetchedObject>) {
        let mut share = self.held.remove(&id);
        let trace = self.traces.remove(&id).unwrap_or_else(Span::none);
        for object in objects {
            let permit = share.as_mut().and_then(|share| {
                let needed = permits_for(object.bytes.len()).min(share.num_permits());
                share.split(needed)
            });
            let chunk = LedgerChunk::new(object, source, self.names[source].clone(), permit);
            self.ready.push_back(chunk.traced(trace.clone()));
        }
    }

    fn start(&mut self, fetch: Fetch) {
        let Fetch { id, source, range, bytes_max, refresh_tip } = fetch;
        if !self.held.contains_key(&id) {
            let permits = permits_for(bytes_max).min(self.permits_max) as u32;
            // The plan asked only because this much was free, and nobody else takes from the budget.
            if let Ok(permit) = self.budget.clone().try_acquire_many_owned(permits) {
                self.held.insert(id, permit);
            }
        }
        let store = self.plan.stores()[source].clone();
        let (first, last) = (range.start().0, range.end().0);
        // A trace of its own: it does not belong to whoever polls the stream.
        let new_trace = || info_span!(parent: None, "ledgers", first, last);
        let trace = self.traces.entry(id).or_insert_with(new_trace);
        let span = info_span!(parent: &*trace, "fetch", first, last, source = store.name());
        let task = self.fetches.spawn(async move {
            let fetch = async {
                if refresh_tip {
                    store.tip(range.start().0.checked_sub(1).map(orrery_schemas::LedgerSequence)).await?;
                }
                store.fetch(range, bytes_max).await
            };
            let fetched = fetch.instrument(span).await;
            if let Err(error) = &fetched {
                metrics::failed(source, error.kind.word());
            }
            (id, fetched)
        });
        self.running.insert(id, task);
    }

    async fn wait(&mut self, until: Option<MonotonicTime>, room: Option<usize>) {
        let pause = until.map(|until| self.timer.sleep(until.since(self.timer.now())));
        let pause = async {
            match pause {
                Some(pause) => pause.await,
                None => std::future::pending().await,
            }
        };
        let budget = self.budget.clone();
        let permits = room.map(|room| permits_for(room).min(self.permits_max) as u32);
        let room = async {
            match permits {
                // Given back at once: the plan asks again, and finds it free.
                Some(permits) => drop(budget.acquire_many(permits).await),
                None => std::future::pending().await,
            }
        };
        let ended = async {
            match self.fetches.join_next_with_id().await {
                Some(ended) => ended,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            biased;
            ended = ended => self.ended(ended),
            () = room => {}
            () = pause => {}
        }
    }

    fn ended(&mut self, ended: Result<(tokio::task::Id, FetchResult), tokio::task::JoinError>) {
        let now = self.timer.now();
        let (id, result) = match ended {
            Ok((_, ended)) => ended,
            Err(failure) if failure.is_cancelled() => return,
            Err(failure) => {
                let slot = self.running.iter().find(|(_, task)| task.id() == failure.id());
                let Some(id) = slot.map(|(id, _)| *id) else { return };
                let kind = SourceErrorKind::Refused("the fetch panicked: a bug".to_owned());
                (id, Err(SourceError::new("fetch", kind)))
            }
        };
        self.running.remove(&id);
        match result {
            Ok(Fetched::Objects(objects)) => {
                self.shrink(id, &objects);
                self.plan.found(id, objects, now, &mut self.random);
            }
            Ok(Fetched::NotYet) => self.plan.not_yet(id, now, &mut self.random),
            Ok(Fetched::TooLarge { bytes }) => self.plan.too_large(id, bytes),
            Err(error) => self.plan.failed(id, error, now, &mut self.random),
        }
    }

    /// Gives back what the objects do not need.
    fn shrink(&mut self, id: SlotId, objects: &[FetchedObject]) {
        let needed: usize = objects.iter().map(|object| permits_for(object.bytes.len())).sum();
        if let Some(share) = self.held.get_mut(&id) {
            drop(share.split(share.num_permits().saturating_sub(needed)));
        }
    }

    /// Slots that the plan gave up lose their task and their share.
    fn drop_given_up(&mut self) {
        let plan = &self.plan;
        self.running.retain(|id, task| {
            let is_held = plan.holds(*id);
            if !is_held {
                task.abort();
            }
            is_held
        });
        self.held.retain(|id, _| plan.holds(*id));
        self.traces.retain(|id, _| plan.holds(*id));
    }
}

fn permits_for(bytes: usize) -> usize {
    bytes.div_ceil(PERMIT_BYTES).max(1)
}
