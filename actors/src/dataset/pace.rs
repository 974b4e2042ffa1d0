//! A limit on bytes a second, for work that must leave room for others.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use orrery_supervisor::{Clock, MonotonicTime};

/// How fast bytes may be read. Clones share one limit.
#[derive(Clone)]
pub struct Pace {
    limit: Option<Arc<Limit>>,
}

struct Limit {
    bytes_per_second: u64,
    clock: Arc<dyn Clock>,
    /// When all that was asked for so far has had its time.
    free_at: Mutex<MonotonicTime>,
}

impl Pace {
    /// As fast as it goes.
    pub fn unlimited() -> Self {
        Self { limit: None }
    }

    /// So many MiB a second; 0: as fast as it goes.
    pub fn mib_per_second(mib: u32, clock: Arc<dyn Clock>) -> Self {
        let bytes_per_second = u64::from(mib) << 20;
        let limit = Limit { bytes_per_second, clock, free_at: Mutex::new(MonotonicTime::ORIGIN) };
        Self { limit: (mib > 0).then(|| Arc::new(limit)) }
    }

    /// Waits until these bytes may be read.
    pub async fn take(&self, bytes: u64) {
        let Some(limit) = &self.limit else { return };
        let wait = limit.reserve(bytes);
        if !wait.is_zero() {
            tokio::time::sleep(wait).await;
        }
    }
}

impl Limit {
    /// Gives the next free time to these bytes; how long it is until then.
    fn reserve(&self, bytes: u64) -> Duration {
        let now = self.clock.now();
        let mut free_at = self.free_at.lock().unwrap_or_else(PoisonError::into_inner);
        let begin = (*free_at).max(now);
        let nanos = u128::from(bytes) * 1_000_000_000 / u128::from(self.bytes_per_second);
        *free_at = begin.after(Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX)));
        begin.since(now)
    }
}

#[cfg(test)]
mod tests {
    use orrery_supervisor::ManualClock;

    use super::*;

    #[test]
    fn bytes_wait_until_those_before_have_had_their_time() {
        let clock = Arc::new(ManualClock::default());
        let pace = Pace::mib_per_second(2, clock.clone());
        let limit = pace.limit.unwrap();
        let check = |bytes, millis| assert_eq!(limit.reserve(bytes), Duration::from_millis(millis));
        check(1 << 20, 0);
        check(4 << 20, 500);
        check(0, 2500);
        clock.advance(Duration::from_secs(1));
        check(1 << 20, 1500);
        // Time that nobody used is lost: there is no burst after a pause.
        clock.advance(Duration::from_secs(60));
        check(2 << 20, 0);
        check(2 << 20, 1000);
        assert!(Pace::mib_per_second(0, clock).limit.is_none());
    }
}
