mod failures;
mod model;
mod order;
mod tip;

use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::Bytes;
use futures::future::BoxFuture;
use orrery_supervisor::Backoff;

use super::super::{Fetched, RetryBudget};
use super::*;

const fn seq(number: u32) -> LedgerSequence {
    LedgerSequence(number)
}

const fn secs(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

/// A store of made-up objects, each of `unit` ledgers; only its synchronous half is used.
struct FakeStore {
    name: String,
    unit: u32,
    estimate: AtomicUsize,
}

impl FakeStore {
    fn new(name: &str, unit: u32) -> Arc<Self> {
        Arc::new(Self { name: name.to_owned(), unit, estimate: AtomicUsize::new(100) })
    }
}

impl LedgerStore for FakeStore {
    fn name(&self) -> &str {
        &self.name
    }
    fn network_passphrase(&self) -> Option<&str> {
        None
    }
    fn unit(&self, sequence: LedgerSequence) -> RangeInclusive<LedgerSequence> {
        let first = sequence.0 / self.unit * self.unit;
        seq(first)..=seq(first + self.unit - 1)
    }
    fn bytes_estimate(&self, _: &RangeInclusive<LedgerSequence>) -> usize {
        self.estimate.load(Ordering::Relaxed)
    }
    fn fetch(
        &self,
        _: RangeInclusive<LedgerSequence>,
        _: usize,
    ) -> BoxFuture<'_, Result<Fetched, SourceError>> {
        panic!("a plan does no I/O")
    }
    fn oldest(&self) -> BoxFuture<'_, Result<LedgerSequence, SourceError>> {
        panic!("a plan does no I/O")
    }
    fn tip(&self, _: Option<LedgerSequence>) -> BoxFuture<'_, Result<LedgerSequence, SourceError>> {
        panic!("a plan does no I/O")
    }
    fn missing(&self, sequence: LedgerSequence) -> SourceError {
        let kind = SourceErrorKind::MissingLedger { lake: self.name.clone(), key: sequence.to_string() };
        SourceError { ledger: Some(sequence), ..SourceError::new("key", kind) }
    }
}

fn limits(depth: usize, bytes_max: usize) -> StreamLimits {
    let backoff = Backoff::new(secs(1), secs(4)).unwrap();
    let retry = RetryBudget { attempts_max: 3, total_max: secs(60), backoff };
    StreamLimits { depth, bytes_max, retry, prefer_again: secs(300), stale_after: secs(30) }
}

fn object(range: RangeInclusive<LedgerSequence>, bytes: usize) -> FetchedObject {
    FetchedObject { file: "f".into(), named: range.clone(), range, bytes: Bytes::from(vec![0; bytes]) }
}

fn transient() -> SourceError {
    SourceError::new("f", SourceErrorKind::Fetch("reset".to_owned()))
}

/// A plan, a clock, and an account of the bytes.
struct Run {
    plan: FetchPlan,
    now: MonotonicTime,
    bytes_max: usize,
    free: usize,
    /// Share of each slot that the plan holds.
    shares: HashMap<SlotId, usize>,
    /// Fetches that were asked for and not yet answered.
    running: Vec<Fetch>,
}

impl Run {
    fn new(stores: &[Arc<FakeStore>], start: StreamStart, limits: StreamLimits) -> Self {
        let stores = stores.iter().map(|store| store.clone() as Arc<dyn LedgerStore>).collect();
        let (bytes_max, now) = (limits.bytes_max, MonotonicTime::ORIGIN);
        let plan = FetchPlan::new(stores, start, limits);
        Self { plan, now, bytes_max, free: bytes_max, shares: HashMap::new(), running: Vec::new() }
    }

    /// Takes fetches until there is something else to do.
    fn next(&mut self) -> Action {
        loop {
            self.give_back();
            match self.plan.next_action(self.now, self.free) {
                Action::Fetch(fetch) => {
                    if !self.shares.contains_key(&fetch.id) {
                        // Only what is larger than the whole budget exceeds it, and alone.
                        let share = fetch.bytes_max.min(self.bytes_max);
                        assert!(share <= self.free, "{fetch:?} with {} free", self.free);
                        self.free -= share;
                        self.shares.insert(fetch.id, share);
                    }
                    self.running.push(fetch);
                }
                Action::Deliver { id, source, objects } => {
                    self.free += self.shares.remove(&id).unwrap();
                    return Action::Deliver { id, source, objects };
                }
                other => return other,
            }
        }
    }

    fn give_back(&mut self) {
        let (plan, free) = (&self.plan, &mut self.free);
        self.shares.retain(|id, share| {
            let is_held = plan.holds(*id);
            if !is_held {
                *free += *share;
            }
            is_held
        });
        self.running.retain(|fetch| plan.holds(fetch.id));
    }

    /// The ranges being fetched, each with its store.
    fn fetching(&self) -> Vec<(usize, u32, u32)> {
        self.running.iter().map(|it| (it.source, it.range.start().0, it.range.end().0)).collect()
    }

    fn take(&mut self, first: u32) -> Fetch {
        let index = self.running.iter().position(|fetch| fetch.range.start().0 == first).unwrap();
        self.running.remove(index)
    }

    fn found(&mut self, first: u32) {
        let fetch = self.take(first);
        self.plan.found(fetch.id, vec![object(fetch.range, 10)], self.now, &mut || u64::MAX);
    }

    fn not_yet(&mut self, first: u32) -> Fetch {
        let fetch = self.take(first);
        self.plan.not_yet(fetch.id, self.now, &mut || u64::MAX);
        fetch
    }

    fn fail(&mut self, first: u32, error: SourceError) {
        let fetch = self.take(first);
        self.plan.failed(fetch.id, error, self.now, &mut || u64::MAX);
    }

    fn next_source(&mut self) -> usize {
        self.next();
        self.running[0].source
    }

    fn wait(&mut self) {
        let Action::Wait { until: Some(until), .. } = self.next() else { panic!("nothing to wait for") };
        self.now = self.now.max(until);
    }

    #[track_caller]
    fn delivers(&mut self, source: usize, first: u32, last: u32) {
        match self.next() {
            Action::Deliver { source: found, objects, .. } => {
                let range = (objects[0].range.start().0, objects.last().unwrap().range.end().0);
                assert_eq!((found, range), (source, (first, last)));
            }
            other => panic!("{other:?}"),
        }
    }

    #[track_caller]
    fn fetches(&mut self, expect: &[(usize, u32, u32)]) {
        let action = self.next();
        assert!(matches!(action, Action::Wait { .. }), "{action:?}");
        assert_eq!(self.fetching(), expect);
    }
}

fn upto(from: u32, to: u32, at_tip: AtTip) -> StreamStart {
    StreamStart { from: seq(from), to: Some(seq(to)), at_tip, rejected: Vec::new() }
}
