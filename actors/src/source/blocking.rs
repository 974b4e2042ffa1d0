//! Stores read by blocking code: a runtime of their own fetches ahead while the caller works.

use std::collections::hash_map::RandomState;
use std::future::Future;
use std::hash::{BuildHasher, Hasher};
use std::ops::RangeInclusive;
use std::pin::Pin;
use std::sync::Arc;

use futures::stream::{Stream, StreamExt};
use orrery_schemas::LedgerSequence;
use tokio::runtime::{Builder, Runtime};

use super::stream::retrying;
use super::{
    AtTip, ChunkLedgers, LedgerChunk, LedgerStore, RawLedger, RetryBudget, SourceError, SourceErrorKind,
    StreamError, StreamLimits, StreamStart, SystemTimer, ledger_stream,
};

/// Bytes of objects read ahead. 16 objects of today's lakes have 3 MB; a tenth of the bytes after decompression.
const BYTES_AHEAD_MAX: usize = 64 << 20;

/// One thread that fetches; its end does not wait for requests that still run.
pub(super) struct BlockingRuntime {
    runtime: Option<Runtime>,
}

impl BlockingRuntime {
    pub(super) fn start() -> Result<Self, SourceError> {
        let runtime =
            Builder::new_multi_thread().worker_threads(1).thread_name("ledger-fetch").enable_all().build();
        let runtime = runtime.map_err(|error| SourceError::new("runtime", SourceErrorKind::Io(error)))?;
        Ok(Self { runtime: Some(runtime) })
    }

    /// Runs `future` to its end.
    pub(super) fn block_on<T>(
        &self,
        future: impl Future<Output = Result<T, SourceError>>,
    ) -> Result<T, SourceError> {
        match &self.runtime {
            Some(runtime) => runtime.block_on(future),
            None => Err(SourceError::new("runtime", SourceErrorKind::Refused("it has ended".to_owned()))),
        }
    }
}

impl BlockingRuntime {
    /// As [`Self::block_on`], again after failures that may pass.
    pub(super) fn block_on_retrying<T, F: Future<Output = Result<T, SourceError>>>(
        &self,
        request: impl FnMut() -> F,
    ) -> Result<T, SourceError> {
        let budget = RetryBudget::patient()
            .map_err(|error| SourceError::new("retries", SourceErrorKind::Refused(error.to_string())))?;
        self.block_on(async { retrying(&budget, &SystemTimer::default(), &mut jitter(), request).await })
    }
}

impl Drop for BlockingRuntime {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

type Chunks = Pin<Box<dyn Stream<Item = Result<LedgerChunk, StreamError>> + Send>>;

/// Ledgers of a store in ascending order. Ends at the first error.
pub(super) struct StoreLedgers {
    chain: u32,
    chunks: Option<Chunks>,
    /// The chunk keeps its share of the budget until its ledgers were given.
    current: Option<(LedgerChunk, ChunkLedgers)>,
    /// Last, so that it outlives the tasks of the stream.
    runtime: Arc<BlockingRuntime>,
}

impl StoreLedgers {
    pub(super) fn new(
        store: Arc<dyn LedgerStore>,
        range: RangeInclusive<LedgerSequence>,
        chain: u32,
        runtime: Arc<BlockingRuntime>,
    ) -> Result<Self, SourceError> {
        let (from, to) = range.into_inner();
        let start = StreamStart { from, to: Some(to), at_tip: AtTip::Fail, rejected: Vec::new() };
        let limits = StreamLimits::new(BYTES_AHEAD_MAX)
            .map_err(|error| SourceError::new(store.name(), SourceErrorKind::Refused(error.to_string())))?;
        let chunks = ledger_stream(vec![store], start, limits, Arc::new(SystemTimer::default()), jitter());
        Ok(Self { chain, chunks: Some(Box::pin(chunks)), current: None, runtime })
    }

    fn step(&mut self) -> Option<Result<RawLedger, SourceError>> {
        loop {
            if let Some((_, ledgers)) = &mut self.current {
                if let Some(ledger) = ledgers.next() {
                    return Some(ledger.map(|ledger| RawLedger { chain: self.chain, ..ledger }));
                }
                self.current = None;
            }
            let chunks = self.chunks.as_mut()?;
            match self.runtime.block_on(async { chunks.next().await.transpose().map_err(SourceError::from) })
            {
                Ok(Some(chunk)) => {
                    let ledgers = chunk.ledgers();
                    self.current = Some((chunk, ledgers));
                }
                Ok(None) => return None,
                Err(error) => return Some(Err(error)),
            }
        }
    }
}

impl Iterator for StoreLedgers {
    type Item = Result<RawLedger, SourceError>;

    fn next(&mut self) -> Option<Self::Item> {
        let next = self.step();
        if !matches!(next, Some(Ok(_))) {
            self.chunks = None;
            self.current = None;
        }
        next
    }
}

/// Bits for the jitter of pauses, which no result depends on: SplitMix64 from a seed of the system's.
fn jitter() -> impl FnMut() -> u64 + Send + 'static {
    let mut state = RandomState::new().build_hasher().finish();
    move || {
        state = state.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mixed = (state ^ (state >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 31)
    }
}
