use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::Bytes;
use futures::future::BoxFuture;
use orrery_supervisor::Backoff;
use proptest::prelude::*;

use super::super::stream_limits::Rejected;
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

#[test]
fn fetches_ahead_double_up_to_the_depth_and_deliver_in_order() {
    let mut run = Run::new(&[FakeStore::new("a", 1)], upto(10, 17, AtTip::Fail), limits(4, 10_000));
    run.fetches(&[(0, 10, 10)]);
    run.found(10);
    run.delivers(0, 10, 10);
    run.fetches(&[(0, 11, 11), (0, 12, 12)]);
    run.found(12);
    run.fetches(&[(0, 11, 11)]);
    run.found(11);
    run.delivers(0, 11, 11);
    run.delivers(0, 12, 12);
    run.fetches(&[(0, 13, 13), (0, 14, 14), (0, 15, 15), (0, 16, 16)]);
    (13..=16).rev().for_each(|ledger| run.found(ledger));
    (13..=16).for_each(|ledger| run.delivers(0, ledger, ledger));
    run.fetches(&[(0, 17, 17)]);
    run.found(17);
    run.delivers(0, 17, 17);
    assert!(matches!(run.next(), Action::End));
    assert_eq!(run.free, 10_000);
}

#[test]
fn objects_of_many_ledgers_are_clipped_to_what_is_wanted() {
    let mut run = Run::new(&[FakeStore::new("a", 10)], upto(14, 25, AtTip::Fail), limits(4, 10_000));
    run.fetches(&[(0, 14, 19)]);
    run.found(14);
    run.delivers(0, 14, 19);
    run.fetches(&[(0, 20, 25)]);
}

#[test]
fn transient_failures_are_tried_again_and_then_go_to_the_next_store() {
    let stores = [FakeStore::new("a", 1), FakeStore::new("b", 1)];
    let mut run = Run::new(&stores, upto(10, 11, AtTip::Fail), limits(4, 10_000));
    for pause in [1, 2] {
        run.fetches(&[(0, 10, 10)]);
        run.fail(10, transient());
        let before = run.now;
        run.wait();
        assert_eq!(run.now.since(before), secs(pause));
    }
    run.fetches(&[(0, 10, 10)]);
    run.fail(10, transient());
    run.fetches(&[(1, 10, 10)]);
    run.found(10);
    run.delivers(1, 10, 10);
    run.fetches(&[(1, 11, 11)]);
}

#[test]
fn server_that_asks_for_a_pause_gets_it() {
    let mut run = Run::new(&[FakeStore::new("a", 1)], upto(10, 11, AtTip::Fail), limits(4, 10_000));
    run.fetches(&[(0, 10, 10)]);
    run.fail(10, SourceError::new("f", SourceErrorKind::Throttled { status: 429, after: Some(secs(7)) }));
    run.wait();
    assert_eq!(run.now.since(MonotonicTime::ORIGIN), secs(7));
}

#[test]
fn error_names_every_store_that_was_tried_and_how_often() {
    let stores = [FakeStore::new("first", 1), FakeStore::new("second", 1)];
    let mut run = Run::new(&stores, upto(10, 11, AtTip::Fail), limits(4, 10_000));
    for _ in 0..2 {
        run.next();
        run.fail(10, transient());
        run.wait();
    }
    run.next();
    run.fail(10, transient());
    run.next();
    let missing = stores[1].missing(seq(10));
    run.fail(10, missing);
    let Action::Fail(error) = run.next() else { panic!("goes on") };
    let text = error.to_string();
    assert!(
        text.starts_with("ledger 10: no source gives it: first was tried 3 times in 3.0 s: f: cannot fetch"),
        "{text}"
    );
    assert!(
        text.contains("; second was tried once: key: ledger 10: lake second lacks this ledger"),
        "{text}"
    );
    assert!(matches!(run.next(), Action::End));
}

#[test]
fn ledgers_before_an_error_are_delivered() {
    let mut run = Run::new(&[FakeStore::new("a", 1)], upto(10, 13, AtTip::Fail), limits(4, 10_000));
    run.next();
    run.found(10);
    run.delivers(0, 10, 10);
    run.fetches(&[(0, 11, 11), (0, 12, 12)]);
    let missing = FakeStore::new("a", 1).missing(seq(12));
    run.fail(12, missing);
    assert!(matches!(run.next(), Action::Wait { .. }));
    run.found(11);
    run.delivers(0, 11, 11);
    let Action::Fail(error) = run.next() else { panic!("goes on") };
    assert_eq!(error.ledger, seq(12));
}

#[test]
fn first_store_is_asked_again_after_a_while() {
    let stores = [FakeStore::new("a", 1), FakeStore::new("b", 1)];
    let mut run = Run::new(&stores, upto(10, 99, AtTip::Fail), limits(1, 10_000));
    run.next();
    let missing = stores[0].missing(seq(10));
    run.fail(10, missing);
    run.next();
    run.found(10);
    run.delivers(1, 10, 10);
    run.now = run.now.after(secs(299));
    run.fetches(&[(1, 11, 11)]);
    run.found(11);
    run.delivers(1, 11, 11);
    run.now = run.now.after(secs(1));
    run.fetches(&[(0, 12, 12)]);
}

#[test]
fn rejected_chunk_is_taken_from_another_store() {
    let stores = [FakeStore::new("a", 5), FakeStore::new("b", 1)];
    let rejected = vec![Rejected { ledger: seq(12), source: 0 }];
    let start = StreamStart { rejected: rejected.clone(), ..upto(11, 16, AtTip::Fail) };
    let mut run = Run::new(&stores, start, limits(4, 10_000));
    for ledger in 11..=12 {
        run.next();
        run.found(ledger);
        run.delivers(1, ledger, ledger);
    }
    // What lies after it is not suspected, but the store is left for a while as if it had failed.
    assert!(run.next_source() == 1);
    let both = [rejected, vec![Rejected { ledger: seq(11), source: 1 }]].concat();
    let start = StreamStart { rejected: both, ..upto(11, 16, AtTip::Fail) };
    let Action::Fail(error) = Run::new(&stores, start, limits(4, 10_000)).next() else { panic!("goes on") };
    assert!(error.to_string().contains("what each one gave was rejected"), "{error}");
}

impl Run {
    fn next_source(&mut self) -> usize {
        self.next();
        self.running[0].source
    }
}

#[test]
fn missing_ledger_at_the_tip_is_an_error_for_who_does_not_wait() {
    let mut run = Run::new(&[FakeStore::new("a", 1)], upto(10, 11, AtTip::Fail), limits(4, 10_000));
    run.fetches(&[(0, 10, 10)]);
    assert!(!run.not_yet(10).refresh_tip);
    run.fetches(&[(0, 10, 10)]);
    assert!(run.not_yet(10).refresh_tip, "a gap is told from the tip before it is reported");
    let Action::Fail(error) = run.next() else { panic!("goes on") };
    assert!(matches!(error.tried[0].error.kind, SourceErrorKind::MissingLedger { .. }), "{error}");
}

#[test]
fn tip_is_followed_by_one_fetch_at_a_time() {
    let mut run = Run::new(&[FakeStore::new("a", 1)], StreamStart::follow(seq(10)), limits(8, 10_000));
    for ledger in 10..=12 {
        run.next();
        run.found(ledger);
        run.delivers(0, ledger, ledger);
    }
    // Eight ahead; nothing is there: one is left.
    run.next();
    assert_eq!(run.fetching().len(), 8);
    run.not_yet(20);
    run.not_yet(13);
    run.wait();
    run.fetches(&[(0, 13, 13)]);
    assert!(run.not_yet(13).refresh_tip);
    run.wait();
    run.fetches(&[(0, 13, 13)]);
    assert!(!run.running[0].refresh_tip);
    run.found(13);
    let found = run.now;
    run.delivers(0, 13, 13);
    // The next one is asked for when it is due.
    run.fetches(&[]);
    run.wait();
    assert!(run.now.since(found) > Duration::from_millis(900));
    run.fetches(&[(0, 14, 14)]);
}

#[test]
fn stream_that_was_held_up_at_the_tip_catches_up() {
    let mut run = Run::new(&[FakeStore::new("a", 1)], StreamStart::follow(seq(10)), limits(8, 10_000));
    run.next();
    run.not_yet(10);
    run.wait();
    run.next();
    run.found(10);
    run.delivers(0, 10, 10);
    run.now = run.now.after(secs(100));
    for ledger in 11..=13 {
        run.next();
        run.found(ledger);
        run.delivers(0, ledger, ledger);
    }
    run.next();
    assert_eq!(run.fetching().len(), 8);
}

#[test]
fn store_that_has_stopped_loses_the_tip_to_one_that_goes_on() {
    let stores = [FakeStore::new("a", 1), FakeStore::new("b", 1)];
    let mut run = Run::new(&stores, StreamStart::follow(seq(10)), limits(8, 10_000));
    let mut polls = 0;
    loop {
        run.next();
        if run.running[0].source == 1 {
            break;
        }
        run.not_yet(10);
        polls += 1;
        run.wait();
    }
    assert!(run.now.since(MonotonicTime::ORIGIN) >= secs(30), "after {polls} polls");
    assert!(polls <= 20, "{polls}");
    run.found(10);
    run.delivers(1, 10, 10);
    run.wait();
    run.fetches(&[(1, 11, 11)]);
}

#[test]
fn larger_object_than_its_share_is_fetched_again_with_room() {
    let mut run = Run::new(&[FakeStore::new("a", 1)], upto(10, 30, AtTip::Fail), limits(4, 400));
    run.next();
    run.found(10);
    run.delivers(0, 10, 10);
    run.fetches(&[(0, 11, 11), (0, 12, 12)]);
    let fetch = run.take(11);
    run.plan.too_large(fetch.id, 350);
    // The one behind it is given up, so that there is room.
    run.fetches(&[(0, 11, 11)]);
    assert_eq!((run.running[0].bytes_max, run.free), (350, 50));
    run.found(11);
    run.delivers(0, 11, 11);
    run.fetches(&[(0, 12, 12), (0, 13, 13), (0, 14, 14), (0, 15, 15)]);
}

#[test]
fn short_answer_is_completed_by_another_fetch() {
    let mut run = Run::new(&[FakeStore::new("a", 10)], upto(10, 29, AtTip::Fail), limits(4, 10_000));
    run.next();
    let fetch = run.take(10);
    let objects = vec![object(seq(10)..=seq(10), 1), object(seq(11)..=seq(13), 1)];
    run.plan.found(fetch.id, objects, run.now, &mut || u64::MAX);
    run.delivers(0, 10, 13);
    run.fetches(&[(0, 14, 19), (0, 20, 29)]);
}

#[test]
fn store_that_gives_other_ledgers_is_not_believed() {
    for ranges in [vec![], vec![11..=11], vec![10..=10, 12..=12], vec![10..=11, 11..=11], vec![10..=21]] {
        let mut run = Run::new(&[FakeStore::new("a", 10)], upto(10, 19, AtTip::Fail), limits(4, 10_000));
        run.next();
        let fetch = run.take(10);
        let objects = ranges.iter().map(|range| object(seq(*range.start())..=seq(*range.end()), 1)).collect();
        run.plan.found(fetch.id, objects, run.now, &mut || u64::MAX);
        let action = run.next();
        assert!(matches!(action, Action::Wait { until: Some(_), .. }), "{ranges:?}: {action:?}");
    }
}

#[derive(Clone, Debug)]
enum Answer {
    Found(u16),
    Transient,
    NotYet,
    Missing,
}

proptest! {
    /// Whatever order fetches end in, whatever they bring: ledgers come in order, once, and bytes stay inside the budget.
    #[test]
    fn every_ledger_comes_once_and_in_order(
        units in prop::collection::vec(1..7_u32, 1..4),
        depth in 0..9_usize,
        bytes_max in 200..2_000_usize,
        estimates in 1..500_usize,
        last in 1..60_u32,
        course in prop::collection::vec((any::<usize>(), prop_oneof![
            6 => (1..600_u16).prop_map(Answer::Found),
            2 => Just(Answer::Transient),
            1 => Just(Answer::NotYet),
            1 => Just(Answer::Missing),
        ], 0..20_u64), 400),
    ) {
        let stores: Vec<_> = units.iter().map(|unit| FakeStore::new("s", *unit)).collect();
        stores.iter().for_each(|store| store.estimate.store(estimates, Ordering::Relaxed));
        let start = StreamStart { from: seq(2), to: Some(seq(1 + last)), at_tip: AtTip::Wait, rejected: vec![] };
        let mut run = Run::new(&stores, start, limits(depth, bytes_max));
        let mut due = 2;
        let mut course = course.into_iter();
        let mut answer = |run: &mut Run| {
            // Once the course is over everything is found, so that the stream ends.
            let (which, answer, pause) = course.next().unwrap_or((0, Answer::Found(1), 1));
            run.now = run.now.after(secs(pause));
            let fetch = run.running.remove(which % run.running.len());
            match answer {
                Answer::Found(bytes) if usize::from(bytes) > fetch.bytes_max => run.plan.too_large(fetch.id, bytes.into()),
                Answer::Found(bytes) => run.plan.found(fetch.id, vec![object(fetch.range, bytes.into())], run.now, &mut || u64::MAX),
                Answer::Transient => run.plan.failed(fetch.id, transient(), run.now, &mut || 1 << 63),
                Answer::NotYet => run.plan.not_yet(fetch.id, run.now, &mut || 1 << 63),
                Answer::Missing => {
                    let missing = stores[fetch.source].missing(*fetch.range.start());
                    run.plan.failed(fetch.id, missing, run.now, &mut || 0);
                }
            }
        };
        for _ in 0..5_000 {
            match run.next() {
                Action::Deliver { objects, .. } => {
                    for object in objects {
                        prop_assert_eq!(object.range.start().0, due);
                        due = object.range.end().0 + 1;
                    }
                }
                Action::Wait { .. } if !run.running.is_empty() => {
                    prop_assert!(run.running.len() <= depth.max(1));
                    answer(&mut run);
                }
                Action::Wait { until: Some(until), .. } => run.now = run.now.max(until),
                Action::Wait { room, .. } => prop_assert!(false, "stuck for room {:?} with {} free", room, run.free),
                Action::End => {
                    prop_assert_eq!(due, last + 2);
                    prop_assert_eq!(run.free, bytes_max);
                    return Ok(());
                }
                Action::Fail(error) => {
                    prop_assert_eq!(error.ledger.0, due);
                    prop_assert_eq!(error.tried.len(), stores.len());
                    return Ok(());
                }
                Action::Fetch(_) => unreachable!(),
            }
        }
        prop_assert!(false, "the stream does not end");
    }
}
