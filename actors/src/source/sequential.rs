//! Synthetic ledgers by number: generated in order, so one fetch at a time, for a few readers in turn.

use std::ops::RangeInclusive;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use futures::future::BoxFuture;
use orrery_schemas::LedgerSequence;
use orrery_supervisor::{Clock, MonotonicTime, SystemClock};

use super::generated::GeneratedLedgers;
use super::synthetic::{NETWORK_PASSPHRASE, SyntheticSpec};
use super::{Fetched, FetchedObject, LedgerBound, LedgerStore, SourceError, SourceErrorKind};

/// Room asked for a ledger. Dense ones have 15 MiB; they are asked for again.
const LEDGER_BYTES_FIRST: usize = 4 << 20;

/// A synthetic network. With a rate it closes its first ledger when it is first asked for one, and then goes on by itself.
pub(super) struct SyntheticStore {
    name: Arc<str>,
    spec: SyntheticSpec,
    clock: SystemClock,
    state: Arc<Mutex<Generators>>,
}

/// Readers at different ledgers that are served without a look back, as many as a node may have tasks. Each holds a
/// network's accounts and its last ledger: 7 MiB of one as dense as the public network.
const RUNS_MAX: usize = 64;

/// Ledgers before the one that is wanted whose making is told: dense ones take seconds.
const TOLD_FROM: u32 = 500;

#[derive(Default)]
struct Generators {
    /// The one asked last is the last.
    runs: Vec<Run>,
    /// When the network was first asked, and for which ledger.
    began: Option<(MonotonicTime, LedgerSequence)>,
}

/// Ledgers one after another, for one reader.
struct Run {
    /// Gives the ledgers after the last one given.
    ledgers: GeneratedLedgers,
    /// The last one given, which a repeated fetch asks for again.
    last: Option<(LedgerSequence, Bytes)>,
    next: LedgerSequence,
}

impl SyntheticStore {
    pub(super) fn new(spec: SyntheticSpec) -> Self {
        let name = spec.to_string().into();
        Self { name, spec, clock: SystemClock::new(), state: Arc::default() }
    }

    fn last(&self) -> LedgerSequence {
        LedgerSequence(LedgerBound::FIRST_CLOSED.0 + self.spec.ledgers - 1)
    }

    /// Newest ledger that is closed now; `asked` begins the network's time.
    fn newest(&self, asked: LedgerSequence) -> LedgerSequence {
        let Some(rate) = self.spec.rate else { return self.last() };
        let interval = Duration::from_secs(1_000) / rate.ledgers_per_1000_seconds();
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let (began, first) = *state.began.get_or_insert((self.clock.now(), asked));
        let closed = self.clock.now().since(began).as_nanos() / interval.as_nanos().max(1);
        let closed = u32::try_from(closed).unwrap_or(u32::MAX);
        LedgerSequence(first.0.saturating_add(closed)).min(self.last())
    }
}

impl Generators {
    fn generate(
        &mut self,
        spec: &SyntheticSpec,
        wanted: LedgerSequence,
    ) -> Option<Result<Bytes, SourceError>> {
        let is_at = |run: &Run| run.next == wanted || run.last.as_ref().is_some_and(|last| last.0 == wanted);
        let mut run = match self.runs.iter().position(is_at) {
            Some(index) => self.runs.remove(index),
            None => self.begin(spec, wanted),
        };
        let given = run.give(wanted);
        if self.runs.len() >= RUNS_MAX {
            self.runs.remove(0);
        }
        self.runs.push(run);
        given
    }

    /// A run for a reader at a new place: from the nearest one before it, for ledgers in between cost as much as wanted ones.
    fn begin(&self, spec: &SyntheticSpec, wanted: LedgerSequence) -> Run {
        let nearest = self.runs.iter().filter(|run| run.next <= wanted).max_by_key(|run| run.next);
        let at = nearest.map_or(LedgerBound::FIRST_CLOSED, |run| run.next);
        let ledgers = wanted.0.saturating_sub(at.0);
        if ledgers >= TOLD_FROM {
            tracing::info!(%wanted, ledgers, "synthetic ledgers follow from each other: those before the wanted one are made first");
        }
        nearest.map_or_else(|| Run::new(spec, wanted), |run| run.from(wanted))
    }
}

impl Run {
    fn new(spec: &SyntheticSpec, first: LedgerSequence) -> Self {
        let spec = SyntheticSpec { rate: None, ..*spec };
        let ledgers = GeneratedLedgers::new(&spec, 0, first..=LedgerSequence(u32::MAX));
        Self { ledgers, last: None, next: first }
    }

    /// One that gives `first` next, which is not before what this one gives next.
    fn from(&self, first: LedgerSequence) -> Self {
        Self { ledgers: self.ledgers.from(first), last: None, next: first }
    }

    fn give(&mut self, wanted: LedgerSequence) -> Option<Result<Bytes, SourceError>> {
        if let Some((_, xdr)) = self.last.as_ref().filter(|(sequence, _)| *sequence == wanted) {
            return Some(Ok(xdr.clone()));
        }
        let ledger = self.ledgers.next()?;
        self.next = wanted.next().unwrap_or(wanted);
        Some(ledger.map(|ledger| {
            self.last = Some((wanted, ledger.xdr.clone()));
            ledger.xdr
        }))
    }
}

impl LedgerStore for SyntheticStore {
    fn name(&self) -> &str {
        &self.name
    }

    fn network_passphrase(&self) -> Option<&str> {
        Some(NETWORK_PASSPHRASE)
    }

    fn unit(&self, sequence: LedgerSequence) -> RangeInclusive<LedgerSequence> {
        sequence..=sequence
    }

    fn bytes_estimate(&self, _: &RangeInclusive<LedgerSequence>) -> usize {
        LEDGER_BYTES_FIRST
    }

    fn fetches_max(&self) -> usize {
        1
    }

    fn fetch(
        &self,
        range: RangeInclusive<LedgerSequence>,
        bytes_max: usize,
    ) -> BoxFuture<'_, Result<Fetched, SourceError>> {
        Box::pin(async move {
            let wanted = *range.start();
            if wanted < LedgerBound::FIRST_CLOSED {
                return Err(self.missing(wanted));
            }
            if wanted > self.newest(wanted) {
                return Ok(Fetched::NotYet);
            }
            let (state, spec) = (self.state.clone(), self.spec);
            let generated = tokio::task::spawn_blocking(move || {
                state.lock().unwrap_or_else(PoisonError::into_inner).generate(&spec, wanted)
            });
            let failed = |error: tokio::task::JoinError| {
                SourceError::new(self.name.clone(), SourceErrorKind::Refused(error.to_string()))
            };
            let Some(bytes) = generated.await.map_err(failed)?.transpose()? else {
                return Ok(Fetched::NotYet);
            };
            if bytes.len() > bytes_max {
                return Ok(Fetched::TooLarge { bytes: bytes.len() });
            }
            let (file, named) = (self.name.clone(), wanted..=wanted);
            Ok(Fetched::Objects(vec![FetchedObject { file, range: named.clone(), named, bytes }]))
        })
    }

    fn oldest(&self) -> BoxFuture<'_, Result<LedgerSequence, SourceError>> {
        Box::pin(async { Ok(LedgerBound::FIRST_CLOSED) })
    }

    fn tip(&self, known: Option<LedgerSequence>) -> BoxFuture<'_, Result<LedgerSequence, SourceError>> {
        let asked = known.unwrap_or(LedgerBound::FIRST_CLOSED);
        Box::pin(async move { Ok(self.newest(asked)) })
    }

    fn missing(&self, sequence: LedgerSequence) -> SourceError {
        let (lake, key) = (self.name.to_string(), self.name.to_string());
        let kind = SourceErrorKind::MissingLedger { lake, key };
        SourceError { ledger: Some(sequence), ..SourceError::new(self.name.clone(), kind) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Tasks of a coordinator, each at its own span, one ledger of each in turn; some are asked again from their start.
    #[test]
    fn many_readers_in_turn_get_the_ledgers_that_one_gets() {
        let spec: SyntheticSpec = "synthetic:?ledgers=200&density=sparse".parse().unwrap();
        let straight = GeneratedLedgers::new(&spec, 0, LedgerSequence(2)..=LedgerSequence(201));
        let straight: Vec<Bytes> = straight.map(|ledger| ledger.unwrap().xdr).collect();
        let mut generators = Generators::default();
        let mut check = |wanted: u32| {
            let given = generators.generate(&spec, LedgerSequence(wanted)).unwrap().unwrap();
            assert!(given == straight[wanted as usize - 2], "ledger {wanted}");
        };
        for step in 0..5 {
            for reader in (0..RUNS_MAX as u32 / 2).rev() {
                check(2 + reader * 6 + step);
            }
        }
        check(2);
        check(201);
        assert!(generators.runs.len() <= RUNS_MAX);
    }
}
