//! How often somebody may ask.

use std::num::NonZeroU32;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use governor::clock::{Clock, DefaultClock};
use governor::{DefaultKeyedRateLimiter, RateLimiter};

/// Requests between two looks for names that have not asked for long: what is kept of them is bounded by what can ask meanwhile.
const FORGET_EVERY: u32 = 10_000;

/// Requests per second and name.
#[derive(Debug)]
pub(super) struct Quota {
    limiter: DefaultKeyedRateLimiter<String>,
    clock: DefaultClock,
    taken: AtomicU32,
}

impl Quota {
    /// So many a second, and so many at once; `None` if that is 0, which is no limit.
    pub(super) fn new(per_second: u32, burst: u32) -> Option<Self> {
        let quota = governor::Quota::per_second(NonZeroU32::new(per_second)?);
        let quota = quota.allow_burst(NonZeroU32::new(burst.max(1))?);
        Some(Self {
            limiter: RateLimiter::keyed(quota),
            clock: DefaultClock::default(),
            taken: AtomicU32::new(0),
        })
    }

    /// Takes one request of `name`, or says how long it has to wait.
    pub(super) fn take(&self, name: &str) -> Option<Duration> {
        if self.taken.fetch_add(1, Ordering::Relaxed) % FORGET_EVERY == FORGET_EVERY - 1 {
            self.limiter.retain_recent();
            self.limiter.shrink_to_fit();
        }
        let denied = self.limiter.check_key(&name.to_owned()).err()?;
        Some(denied.wait_time_from(self.clock.now()))
    }
}
