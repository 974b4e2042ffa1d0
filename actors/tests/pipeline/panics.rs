//! Work that panics: the ledger is poison, the pipeline is told by its supervisor, the process lives on. Work that hangs: the
//! pipeline begins anew.

use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, mpsc};
use std::time::Duration;

use futures::FutureExt;
use futures::StreamExt;
use futures::future::BoxFuture;
use orrery_actors::envelope::{
    EventBatch, LedgerBatch, PoisonLedger, Position, ProcessorMessage, SinkMessage, Span, Worked,
};
use orrery_actors::metrics::PipelineMetrics;
use orrery_actors::processor::{Processor, ProcessorLimits, ProcessorSettings};
use orrery_actors::sink::{Output, Sink, SinkActorSettings};
use orrery_actors::source::{
    AtTip, Fetcher, FetcherSettings, LedgerStore, StreamLimits, StreamStart, SystemTimer, ledger_stream,
};
use orrery_schemas::{CloseTime, Hash32, Ledger, LedgerSequence, RowDigest, TokenTransferBatchBuilder};
use orrery_supervisor::{
    Backoff, ChildSpec, EndWhen, ExitError, ExitReason, Restart, RestartIntensity, SeededRandom, Strategy,
    SupervisorSpec, SystemClock,
};

use crate::made::{FIRST, Source, start_specs};

const TO: u32 = 20;

/// What a supervisor takes for a hang.
const HANGS_AFTER: Duration = Duration::from_secs(2);

/// Remembers what it was given.
struct Memory(Arc<Mutex<Vec<u32>>>);

impl Output for Memory {
    fn open(&mut self) -> BoxFuture<'_, Result<Position, ExitError>> {
        async { Ok(Position { next: LedgerSequence(FIRST), parent: None }) }.boxed()
    }

    fn write(&mut self, batch: Arc<EventBatch>) -> BoxFuture<'_, Result<Option<LedgerSequence>, ExitError>> {
        self.0.lock().unwrap().extend(batch.ledgers.iter().map(|ledger| ledger.sequence.0));
        async { Ok(None) }.boxed()
    }

    fn finish(&mut self) -> BoxFuture<'_, Result<Option<LedgerSequence>, ExitError>> {
        async { Ok(None) }.boxed()
    }
}

fn ledger(sequence: LedgerSequence) -> Ledger {
    Ledger {
        sequence,
        hash: hash(sequence.0),
        previous_hash: hash(sequence.0 - 1),
        closed_at: CloseTime::from_unix_seconds(1_700_000_000).unwrap(),
        protocol_version: 23,
        tx_set_hash: Hash32::ZERO,
        tx_set_result_hash: Hash32::ZERO,
        tx_count: 0,
        successful_tx_count: 0,
        failed_tx_count: 0,
        operation_count: 0,
        event_count: 0,
        total_coins: 0,
        fee_pool: 0,
        base_fee: 100,
        base_reserve: 1,
        max_tx_set_size: 1,
        row_digest: RowDigest::default(),
    }
}

fn hash(sequence: u32) -> Hash32 {
    Hash32([sequence as u8; 32])
}

/// A ledger without events.
fn work(batch: &LedgerBatch) -> Worked<EventBatch> {
    let sequence = *batch.chunk.range.start();
    let events = EventBatch {
        ledgers: vec![ledger(sequence)],
        rows: TokenTransferBatchBuilder::with_capacity(0).finish().unwrap(),
        trace: batch.trace.clone(),
    };
    let span = Span { first: sequence, parent: hash(sequence.0 - 1), last: sequence, hash: hash(sequence.0) };
    let chunk = &batch.chunk;
    let origin = chunk.origin();
    Worked { origin, batch: Some((span, events)), fault: None }
}

type Poison = Arc<Mutex<Vec<(u32, u32, String)>>>;

/// What goes wrong in the work on ledger 9.
type Bug = Arc<dyn Fn() + Send + Sync>;

/// A pipeline with a bug.
fn spec(bug: Bug, taken: Arc<Mutex<Vec<u32>>>, poison: Poison) -> SupervisorSpec {
    let intensity = RestartIntensity::new(3, Duration::from_secs(60)).unwrap();
    let metrics = Arc::new(PipelineMetrics::new("panics"));
    let counts = metrics.clone();
    let sink = ChildSpec::worker("sink", move |_| {
        let output = Box::new(Memory(taken.clone()));
        Ok((Sink, SinkActorSettings { output, credits: 2, on_checkpoint: Arc::new(|_| ()) }))
    });
    let processor = ChildSpec::worker("processor", move |context| {
        let (bug, poison) = (bug.clone(), poison.clone());
        let settings = ProcessorSettings {
            limits: ProcessorLimits { workers: 2, source_credits: 4 },
            work: Arc::new(move |batch| {
                if batch.chunk.range.start().0 == 9 {
                    bug();
                }
                work(batch)
            }),
            quarantine: Arc::new(move |found: &PoisonLedger, attempts| {
                poison.lock().unwrap().push((found.ledger.0, attempts, found.reason.clone()));
                Ok(())
            }),
            tap: None,
            sinks: vec![context.sibling::<SinkMessage>("sink")?],
            probe: context.probe().clone(),
            metrics: metrics.clone(),
        };
        Ok((Processor, settings))
    });
    let fetcher = ChildSpec::worker("fetcher", move |context| {
        let open = Arc::new(|from, _| {
            let start =
                StreamStart { from, to: Some(LedgerSequence(TO)), at_tip: AtTip::Fail, rejected: Vec::new() };
            let limits = StreamLimits::new(1 << 20).unwrap();
            let stores = vec![Source::sound(1) as Arc<dyn LedgerStore>];
            let stream = ledger_stream(stores, start, limits, Arc::new(SystemTimer::default()), || 0);
            async move { Ok(stream.boxed()) }.boxed()
        });
        let settings = FetcherSettings {
            open,
            processor: context.sibling::<ProcessorMessage>("processor")?,
            probe: context.probe().clone(),
            patience: None,
            backoff: Backoff::DEFAULT,
            refetch_after: Duration::from_millis(1),
            clock: Arc::new(SystemClock::new()),
            random: SeededRandom::new(1),
            metrics: counts.clone(),
        };
        Ok((Fetcher, settings))
    });
    [sink, processor, fetcher].into_iter().fold(
        SupervisorSpec::new("panics", Strategy::OneForAll, intensity).end_when(EndWhen::AllEnded),
        |spec, child| spec.child(child.restart(Restart::Transient).stall_after(HANGS_AFTER)),
    )
}

async fn run(panics: u32) -> (ExitReason, Vec<u32>, Vec<(u32, u32, String)>) {
    let (taken, poison) = (Arc::default(), Poison::default());
    let left = AtomicU32::new(panics);
    let bug = Arc::new(move || {
        let is_due = left.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| left.checked_sub(1));
        assert!(is_due.is_err(), "a bug in the work on it");
    });
    let running = start_specs(vec![spec(bug, Arc::clone(&taken), poison.clone())]).await;
    let reason = running.end().await;
    assert_eq!(running.restarts(), Vec::<String>::new());
    let taken = taken.lock().unwrap().clone();
    let poison = poison.lock().unwrap().clone();
    (reason, taken, poison)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn work_that_panics_makes_its_ledger_poison() {
    let (reason, taken, poison) = run(u32::MAX).await;
    assert!(matches!(reason, ExitReason::Parked(_)), "{reason}");
    assert_eq!(taken, (FIRST..9).collect::<Vec<_>>());
    let [(ledger, attempts, told)] = &poison[..] else { panic!("{poison:?}") };
    assert_eq!((*ledger, *attempts), (9, 3));
    assert!(told.contains("a bug in the work on it"), "{told}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn work_that_panics_twice_is_done_the_third_time() {
    let (reason, taken, poison) = run(2).await;
    assert_eq!((reason, poison), (ExitReason::Normal, Vec::new()));
    assert_eq!(taken, (FIRST..=TO).collect::<Vec<_>>());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn work_that_hangs_for_ever_is_begun_anew_on_another_thread() {
    let (never, waits) = mpsc::sync_channel::<()>(1);
    let waits = Mutex::new(Some(waits));
    // The first to come takes the channel, and waits until the test is over.
    let bug = Arc::new(move || {
        let taken = waits.lock().unwrap().take();
        let _ = taken.map(|waits| waits.recv());
    });
    let taken = Arc::default();
    let running = start_specs(vec![spec(bug, Arc::clone(&taken), Poison::default())]).await;
    running.end_normally().await;
    let restarts = running.restarts();
    assert!(matches!(&restarts[..], [one] if one.contains("panics/processor: stalled")), "{restarts:?}");
    // The output keeps nothing over a restart: it was given all from the beginning.
    let begun_anew = [(FIRST..9).collect::<Vec<_>>(), (FIRST..=TO).collect()].concat();
    assert_eq!(*taken.lock().unwrap(), begun_anew);
    drop(never);
}
