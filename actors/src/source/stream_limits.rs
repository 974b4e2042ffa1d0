//! What a ledger stream is asked for, may hold and may try, and how it says that it failed.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use orrery_schemas::LedgerSequence;
use orrery_supervisor::BackoffError;

use super::{RetryBudget, SourceError, SourceErrorKind};

/// Which ledgers a stream gives.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StreamStart {
    /// The first.
    pub from: LedgerSequence,
    /// The last; `None` goes on for ever.
    pub to: Option<LedgerSequence>,
    /// What to do about a ledger that does not exist yet.
    pub at_tip: AtTip,
    /// Chunks that were found to be bad: the ledgers around each are taken from other sources.
    pub rejected: Vec<Rejected>,
}

/// A ledger whose bytes from one source are not to be used, as they failed a proof.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rejected {
    /// A ledger of the chunk.
    pub ledger: LedgerSequence,
    /// [`LedgerChunk::source`](super::LedgerChunk::source).
    pub source: usize,
}

/// What to do about a ledger that no source has yet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AtTip {
    /// Poll until it is there.
    Wait,
    /// It is a missing ledger.
    Fail,
}

impl StreamStart {
    /// Follows the network from this ledger on, for ever.
    pub fn follow(from: LedgerSequence) -> Self {
        Self { from, to: None, at_tip: AtTip::Wait, rejected: Vec::new() }
    }
}

/// What a stream may hold and try.
#[derive(Clone, Debug)]
pub struct StreamLimits {
    /// Fetches that run or wait to be delivered, at most. Zero counts as one.
    pub depth: usize,
    /// Bytes of objects that are being fetched, or fetched and not yet dropped by whoever takes them. Chunks that are held
    /// count: who holds this much and asks for more waits for ever. Only an object that is larger than all of it, alone,
    /// exceeds it.
    pub bytes_max: usize,
    /// For one ledger at one source.
    pub retry: RetryBudget,
    /// After this long at another source, the first is asked again.
    pub prefer_again: Duration,
    /// After this long without the next ledger, the source looks whether there are later ones (a gap), and another source is
    /// asked as well. Doubles each time.
    pub stale_after: Duration,
}

impl StreamLimits {
    /// For this byte budget: 16 fetches, patient retries, the first source again after five minutes.
    ///
    /// # Errors
    ///
    /// None in practice: the built-in backoff is valid.
    pub fn new(bytes_max: usize) -> Result<Self, BackoffError> {
        Ok(Self {
            depth: 16,
            bytes_max,
            retry: RetryBudget::patient()?,
            prefer_again: Duration::from_secs(300),
            stale_after: Duration::from_secs(30),
        })
    }
}

/// No source gives this ledger; all before it were given.
#[derive(Debug)]
pub struct StreamError {
    /// The ledger.
    pub ledger: LedgerSequence,
    /// What was tried, in order. Empty if every source is rejected for this ledger.
    pub tried: Vec<Tried>,
}

/// One source that did not give a ledger.
#[derive(Debug)]
pub struct Tried {
    /// Its index.
    pub source: usize,
    /// Its name.
    pub store: Arc<str>,
    /// Tries since it last answered.
    pub attempts: u32,
    /// From the first of them to the last.
    pub elapsed: Duration,
    /// What the last failed with.
    pub error: SourceError,
}

impl fmt::Display for StreamError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ledger {}: no source gives it", self.ledger)?;
        if self.tried.is_empty() {
            f.write_str(": what each one gave was rejected; add a source that is right")?;
        }
        for (index, tried) in self.tried.iter().enumerate() {
            let Tried { store, attempts, elapsed, error, .. } = tried;
            let separator = if index == 0 { ": " } else { "; " };
            let times = if *attempts == 1 { "once" } else { "times" };
            write!(f, "{separator}{store} was tried ")?;
            match attempts {
                1 => f.write_str(times)?,
                _ => write!(f, "{attempts} {times} in {:.1} s", elapsed.as_secs_f64())?,
            }
            write!(f, ": {error}")?;
        }
        Ok(())
    }
}

impl std::error::Error for StreamError {}

impl From<StreamError> for SourceError {
    /// The last source's error, with how often it was tried.
    fn from(mut error: StreamError) -> Self {
        let ledger = error.ledger;
        let Some(Tried { attempts, elapsed, error: last, .. }) = error.tried.pop() else {
            let kind = SourceErrorKind::Refused(error.to_string());
            return Self { ledger: Some(ledger), ..Self::new("sources", kind) };
        };
        let kind = match attempts {
            0 | 1 => last.kind,
            _ => SourceErrorKind::GaveUp { attempts, elapsed, last: Box::new(last.kind) },
        };
        Self { ledger: last.ledger.or(Some(ledger)), kind, ..last }
    }
}
