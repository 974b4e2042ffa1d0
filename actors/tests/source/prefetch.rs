//! The ordered parallel map: order, bounds, and every way it can end early.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use orrery_actors::source::{
    LedgerSource, Prefetch, PrefetchError, PrefetchLimits, Progress, ProgressUnit, RawLedger, SourceError,
    SourceErrorKind,
};
use orrery_schemas::LedgerSequence;

/// Longer than anything here may take; a failing test ends with it.
const DEADLINE: Duration = Duration::from_secs(30);

struct Scripted<F> {
    next: u32,
    script: F,
    /// Its receiver sees when the source was dropped, and with it the reader's thread has ended.
    _alive: Option<SyncSender<()>>,
}

impl<F: FnMut(u32) -> Option<Result<RawLedger, SourceError>> + Send> LedgerSource for Scripted<F> {
    fn next_ledger(&mut self) -> Option<Result<RawLedger, SourceError>> {
        self.next += 1;
        (self.script)(self.next)
    }

    fn progress(&self) -> Arc<Progress> {
        Arc::new(Progress::new(ProgressUnit::Ledgers, None))
    }
}

fn source<F>(script: F) -> Box<dyn LedgerSource>
where
    F: FnMut(u32) -> Option<Result<RawLedger, SourceError>> + Send + 'static,
{
    Box::new(Scripted { next: 0, script, _alive: None })
}

fn ledger(sequence: u32, bytes: usize) -> Option<Result<RawLedger, SourceError>> {
    let sequence = LedgerSequence(sequence);
    Some(Ok(RawLedger { file: "made".into(), chain: 0, offset: 7, sequence, xdr: vec![0; bytes].into() }))
}

fn limits(workers: usize, ledgers: usize, bytes: usize) -> PrefetchLimits {
    PrefetchLimits { workers, ledgers_in_flight_max: ledgers, xdr_bytes_in_flight_max: bytes }
}

fn not_cancelled() -> Arc<AtomicBool> {
    Arc::default()
}

fn start<T: Send + 'static>(
    source: Box<dyn LedgerSource>,
    limits: PrefetchLimits,
    map: impl Fn(RawLedger) -> T + Send + Sync + 'static,
) -> Prefetch<T> {
    Prefetch::start(source, limits, not_cancelled(), map).unwrap()
}

/// Results before the first error, and the error.
fn drain<T>(prefetch: &mut Prefetch<T>) -> (Vec<T>, Option<PrefetchError>) {
    let mut results = Vec::new();
    let error = loop {
        match prefetch.next() {
            None => break None,
            Some(Ok(result)) => results.push(result),
            Some(Err(error)) => break Some(error),
        }
    };
    assert!(prefetch.next().is_none(), "nothing comes after the end");
    (results, error)
}

#[test]
fn results_come_in_order_although_work_ends_out_of_order() {
    // Each odd ledger is done only after the even one that follows it.
    let (done_in, done): (Vec<_>, Vec<_>) = (0..101).map(|_| sync_channel::<()>(1)).unzip();
    let (done_in, done) = (Mutex::new(done_in), done.into_iter().map(Mutex::new).collect::<Vec<_>>());
    let source = source(|next| (next <= 200).then(|| ledger(next, 10)).flatten());
    let mut prefetch = start(source, limits(2, 8, 1 << 20), move |ledger| {
        let pair = (ledger.sequence.0 as usize).div_ceil(2);
        match ledger.sequence.0 % 2 {
            1 => done[pair].lock().unwrap().recv_timeout(DEADLINE).unwrap(),
            _ => done_in.lock().unwrap()[pair].send(()).unwrap(),
        }
        ledger.sequence.0
    });
    let (results, error) = drain(&mut prefetch);
    assert!(error.is_none());
    assert_eq!(results, (1..=200).collect::<Vec<_>>());
}

#[test]
fn any_number_of_workers_gives_the_same_results() {
    for workers in [0, 1, 3, 16] {
        for in_flight in [0, 1, 2, 50] {
            let source = source(|next| (next <= 100).then(|| ledger(next, next as usize)).flatten());
            let mut prefetch = start(source, limits(workers, in_flight, 500), |ledger| ledger.xdr.len());
            let (results, error) = drain(&mut prefetch);
            assert!(error.is_none());
            assert_eq!(results, (1..=100).collect::<Vec<_>>(), "{workers} workers, {in_flight} in flight");
        }
    }
}

/// Takes results one by one, each time only after the reader came to a stop at exactly `stop` ledgers ahead.
fn check_reads_ahead(limits: PrefetchLimits, bytes: usize, stop: usize) {
    let (pulled, taken) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let most_ahead = Arc::new(AtomicUsize::new(0));
    let (counting, ahead, taken_too) = (pulled.clone(), most_ahead.clone(), taken.clone());
    let source = source(move |next| {
        let pulled = counting.fetch_add(1, Ordering::SeqCst) + 1;
        ahead.fetch_max(pulled - taken_too.load(Ordering::SeqCst), Ordering::SeqCst);
        (next <= 60).then(|| ledger(next, bytes)).flatten()
    });
    let mut prefetch = start(source, limits, |ledger| ledger.sequence.0);
    for expect in 1..=40 {
        while pulled.load(Ordering::SeqCst) < expect - 1 + stop {
            thread::yield_now();
        }
        taken.fetch_add(1, Ordering::SeqCst);
        assert_eq!(prefetch.next().unwrap().unwrap() as usize, expect);
    }
    assert_eq!(most_ahead.load(Ordering::SeqCst), stop);
}

#[test]
fn reader_stops_where_the_limits_are_reached() {
    // The reader holds one more ledger than are in flight.
    check_reads_ahead(limits(2, 5, 1 << 20), 10, 6);
    check_reads_ahead(limits(2, 1, 1 << 20), 10, 2);
    check_reads_ahead(limits(2, 50, 1000), 300, 4);
    // One ledger above the limit passes alone.
    check_reads_ahead(limits(2, 50, 1000), 5000, 2);
}

#[test]
fn everything_before_a_failing_source_is_delivered() {
    let source = source(|next| match next {
        31 => Some(Err(SourceError::new("made", SourceErrorKind::TooLarge))),
        next => ledger(next, 10),
    });
    let mut prefetch = start(source, limits(4, 8, 1 << 20), |ledger| ledger.sequence.0);
    let (results, error) = drain(&mut prefetch);
    assert_eq!(results, (1..=30).collect::<Vec<_>>());
    assert!(
        matches!(error, Some(PrefetchError::Source(error)) if matches!(error.kind, SourceErrorKind::TooLarge))
    );
}

#[test]
fn panic_in_the_work_is_an_error_at_its_ledger() {
    let source = source(|next| ledger(next, 10));
    let mut prefetch = start(source, limits(3, 8, 1 << 20), |ledger| {
        assert!(ledger.sequence.0 % 20 != 0, "meant to fail");
        ledger.sequence.0
    });
    let (results, error) = drain(&mut prefetch);
    assert_eq!(results, (1..=19).collect::<Vec<_>>());
    let error = error.unwrap();
    assert_eq!(error.to_string(), "made: byte 7: ledger 20: the work on it panicked: meant to fail");
}

#[test]
fn panic_in_the_source_is_an_error_after_what_it_gave() {
    let source = source(|next| {
        assert!(next <= 9, "source broke");
        ledger(next, 10)
    });
    let mut prefetch = start(source, limits(3, 4, 1 << 20), |ledger| ledger.sequence.0);
    let (results, error) = drain(&mut prefetch);
    assert_eq!(results.len(), 9);
    assert!(matches!(error, Some(PrefetchError::ReaderPanicked(message)) if message == "source broke"));
}

/// An endless source, and what sees that its thread has ended.
fn endless() -> (Box<dyn LedgerSource>, Receiver<()>) {
    let (alive, ended) = sync_channel(0);
    (Box::new(Scripted { next: 0, script: |next| ledger(next, 10), _alive: Some(alive) }), ended)
}

#[test]
fn cancel_flag_ends_it_and_its_threads() {
    let cancel = not_cancelled();
    let (source, ended) = endless();
    let raised = cancel.clone();
    let mut prefetch = Prefetch::start(source, limits(2, 4, 1 << 20), cancel, move |ledger| {
        if ledger.sequence.0 == 50 {
            raised.store(true, Ordering::Relaxed);
        }
    })
    .unwrap();
    let (results, error) = drain(&mut prefetch);
    assert!(matches!(error, Some(PrefetchError::Cancelled)));
    assert!(results.len() <= 54, "{} results", results.len());
    assert_eq!(ended.recv_timeout(DEADLINE), Err(RecvTimeoutError::Disconnected));
}

#[test]
fn cancel_flag_ends_it_while_the_source_waits_for_input() {
    let cancel = not_cancelled();
    let (_never, wait) = sync_channel::<()>(0);
    let raised = cancel.clone();
    let source = source(move |next| {
        if next > 3 {
            raised.store(true, Ordering::Relaxed);
            let _ = wait.recv();
        }
        ledger(next, 10)
    });
    let mut prefetch = Prefetch::start(source, limits(2, 8, 1 << 20), cancel, |_| ()).unwrap();
    assert!(matches!(drain(&mut prefetch).1, Some(PrefetchError::Cancelled)));
}

#[test]
fn dropping_it_ends_its_threads() {
    let (source, ended) = endless();
    let (worked_in, worked) = sync_channel::<()>(0);
    let mut prefetch = start(source, limits(2, 4, 1 << 20), move |ledger| {
        let _keep = &worked_in;
        ledger.sequence.0
    });
    assert_eq!(prefetch.next().unwrap().unwrap(), 1);
    drop(prefetch);
    assert_eq!(ended.recv_timeout(DEADLINE), Err(RecvTimeoutError::Disconnected), "reader");
    assert_eq!(worked.recv_timeout(DEADLINE), Err(RecvTimeoutError::Disconnected), "workers");
}
