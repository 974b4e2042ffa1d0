//! How ledgers are read here: by blocking code, as commands do, and as a stream on a clock that jumps.

use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures::StreamExt;
use futures::future::BoxFuture;
use orrery_actors::source::{
    AtTip, LedgerChunk, LedgerRange, LedgerStore, SourceError, SourceUrl, StreamError, StreamLimits,
    StreamStart, Timer, ledger_stream, open,
};
use orrery_schemas::LedgerSequence;
use orrery_supervisor::{Clock, ManualClock, MonotonicTime};

use super::lakes::MadeLake;
use super::made;
use super::stub::Stub;

pub(crate) fn lake_of(stub: &Stub) -> SourceUrl {
    format!("http://{}/lake", stub.address()).parse().unwrap()
}

pub(crate) fn rpc_of(stub: &Stub) -> SourceUrl {
    format!("rpc+http://{}/v1/s3cret", stub.address()).parse().unwrap()
}

/// Reads with blocking code, as commands do.
pub(crate) fn read(url: &SourceUrl, from: &str, to: &str) -> (Vec<u32>, Option<SourceError>) {
    let bound = |text: &str| (!text.is_empty()).then(|| text.parse().unwrap());
    let mut source = match open(std::slice::from_ref(url), LedgerRange { from: bound(from), to: bound(to) }) {
        Ok(source) => source,
        Err(error) => return (Vec::new(), Some(error)),
    };
    let mut sequences = Vec::new();
    loop {
        match source.next_ledger() {
            None => return (sequences, None),
            Some(Err(error)) => return (sequences, Some(error)),
            Some(Ok(ledger)) => {
                assert_eq!(ledger.xdr, made::ledger(ledger.sequence.0, ledger.sequence.0 as usize % 7 * 100));
                sequences.push(ledger.sequence.0);
            }
        }
    }
}

#[track_caller]
pub(crate) fn check(url: &SourceUrl, from: &str, to: &str, first: u32, last: u32) {
    let (sequences, error) = read(url, from, to);
    assert!(error.is_none(), "{}", error.unwrap());
    assert_eq!(sequences, (first..=last).collect::<Vec<_>>());
}

/// Time that passes when somebody waits for it, and what happens then.
#[derive(Clone)]
pub(crate) struct JumpingTimer {
    clock: Arc<ManualClock>,
    pub(crate) slept: Arc<Mutex<Vec<Duration>>>,
    on_sleep: Arc<dyn Fn(MonotonicTime) + Send + Sync>,
}

impl JumpingTimer {
    pub(crate) fn new(on_sleep: impl Fn(MonotonicTime) + Send + Sync + 'static) -> Self {
        Self { clock: Arc::default(), slept: Arc::default(), on_sleep: Arc::new(on_sleep) }
    }
}

impl Timer for JumpingTimer {
    fn now(&self) -> MonotonicTime {
        self.clock.now()
    }

    fn sleep(&self, duration: Duration) -> BoxFuture<'static, ()> {
        let timer = self.clone();
        Box::pin(async move {
            // Lets what runs come to its end first, as requests on loopback take no time.
            for _ in 0..50 {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
            timer.clock.advance(duration);
            timer.slept.lock().unwrap().push(duration);
            (timer.on_sleep)(timer.clock.now());
        })
    }
}

pub(crate) fn upto(from: u32, to: u32) -> StreamStart {
    let (from, to) = (LedgerSequence(from), Some(LedgerSequence(to)));
    StreamStart { from, to, at_tip: AtTip::Wait, rejected: Vec::new() }
}

/// Chunks of a stream until it ends, with a timer that jumps.
pub(crate) async fn stream(
    stores: &[Arc<dyn LedgerStore>],
    start: StreamStart,
    timer: JumpingTimer,
) -> (Vec<LedgerChunk>, Option<StreamError>) {
    let limits = StreamLimits::new(64 << 20).unwrap();
    let mut random = 0_u64;
    let random = move || {
        random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        random
    };
    let stream = ledger_stream(stores.to_vec(), start, limits, Arc::new(timer), random);
    let mut stream = std::pin::pin!(stream);
    let mut chunks = Vec::new();
    while let Some(chunk) = stream.next().await {
        match chunk {
            Ok(chunk) => chunks.push(chunk),
            Err(error) => return (chunks, Some(error)),
        }
    }
    (chunks, None)
}

/// Ledgers of chunks, each with its source.
pub(crate) fn ledgers(chunks: &[LedgerChunk]) -> Vec<(u32, usize)> {
    let mut all = Vec::new();
    for chunk in chunks {
        let found: Vec<_> = chunk.ledgers().map(|ledger| ledger.unwrap().sequence).collect();
        assert_eq!((found.first(), found.last()), (Some(chunk.range.start()), Some(chunk.range.end())));
        all.extend(found.iter().map(|ledger| (ledger.0, chunk.source)));
    }
    all
}

pub(crate) fn root(lake: &MadeLake) -> PathBuf {
    lake.root.path().to_owned()
}
