//! How often and how fast a store is asked again.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use orrery_supervisor::{Backoff, BackoffError, SeededRandom, progressed};

use super::Failure;
use crate::dataset::error::StoreError;
use crate::metrics::store as metrics;

/// A budget of attempts with jittered pauses between them.
#[derive(Clone, Debug)]
pub struct Retry {
    attempts_max: u32,
    /// `None`: at once.
    backoff: Option<Backoff>,
    random: Arc<Mutex<SeededRandom>>,
}

/// A request that is repeated. No closure: a future with one in it could not move between threads.
pub(super) struct Attempts<'a> {
    retry: &'a Retry,
    action: &'static str,
    path: String,
    made: u32,
}

impl Attempts<'_> {
    /// What an attempt gave; `None`, after a pause, if there should be another one.
    pub(super) async fn outcome<T>(&mut self, attempt: Result<T, Failure>) -> Result<Option<T>, StoreError> {
        self.made += 1;
        // An answer, or none in time: whoever waits for the store does not hang.
        progressed();
        metrics::requested(self.action);
        let reason = match attempt {
            Ok(value) => return Ok(Some(value)),
            Err(Failure::Final(error)) => {
                metrics::gave_up(self.action, &error);
                return Err(error);
            }
            Err(Failure::Passing(reason)) => reason,
        };
        metrics::failed(self.action);
        let (action, path, attempts) = (self.action, self.path.clone(), self.made);
        if attempts >= self.retry.attempts_max {
            let error = StoreError::Unavailable { action, path, reason, attempts };
            metrics::gave_up(action, &error);
            return Err(error);
        }
        tracing::debug!(action, path, attempts, reason, "store request failed, retrying");
        self.retry.pause(attempts).await;
        Ok(None)
    }
}

impl Retry {
    /// Attempts of one request. Fewer give up on a throttled store, more hide one that is down.
    const ATTEMPTS_MAX: u32 = 8;
    /// Longest first pause.
    const FIRST: Duration = Duration::from_millis(50);
    /// Longest pause: all of a request's together stay under 15 s.
    const CAP: Duration = Duration::from_secs(5);

    /// The budget for production. Pauses are drawn from `seed`: nodes that fail together need different ones.
    ///
    /// # Errors
    ///
    /// None with the constants above; the type is that of [`Backoff::new`].
    pub fn new(seed: u64) -> Result<Self, BackoffError> {
        Ok(Self::with(Self::ATTEMPTS_MAX, Backoff::new(Self::FIRST, Self::CAP)?, seed))
    }

    /// Another budget; at least one attempt is made.
    pub fn with(attempts_max: u32, backoff: Backoff, seed: u64) -> Self {
        Self {
            attempts_max: attempts_max.max(1),
            backoff: Some(backoff),
            random: Arc::new(Mutex::new(SeededRandom::new(seed))),
        }
    }

    /// Attempts without pauses between them: for a simulated store, whose requests themselves take simulated time.
    pub fn at_once(attempts_max: u32) -> Self {
        let random = Arc::new(Mutex::new(SeededRandom::new(0)));
        Self { attempts_max: attempts_max.max(1), backoff: None, random }
    }

    pub(super) fn attempts_max(&self) -> u32 {
        self.attempts_max
    }

    pub(super) async fn pause(&self, attempt: u32) {
        let delay = self.backoff.map(|backoff| backoff.delay(attempt, &mut || self.random()));
        if let Some(delay) = delay.filter(|delay| !delay.is_zero()) {
            tokio::time::sleep(delay).await;
        }
    }

    /// The attempts of one request.
    pub(super) fn attempts(&self, action: &'static str, path: String) -> Attempts<'_> {
        Attempts { retry: self, action, path, made: 0 }
    }

    fn random(&self) -> u64 {
        self.random.lock().unwrap_or_else(PoisonError::into_inner).draw()
    }
}
