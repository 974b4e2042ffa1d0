//! Bytes a second, at most: when the next part of a copy may be read.

use std::num::NonZeroU64;
use std::time::Duration;

use orrery_supervisor::MonotonicTime;

/// A bucket that holds as much as one second gives. Pure: whoever asks waits.
#[derive(Clone, Debug)]
pub struct Pace {
    bytes_per_second: Option<NonZeroU64>,
    /// Until then what was taken is paid for.
    paid_until: MonotonicTime,
}

impl Pace {
    /// `None` for no limit.
    pub const fn new(bytes_per_second: Option<NonZeroU64>) -> Self {
        Self { bytes_per_second, paid_until: MonotonicTime::ORIGIN }
    }

    /// Takes bytes that have come; how long to wait before more are read.
    pub fn take(&mut self, bytes: u64, now: MonotonicTime) -> Duration {
        let Some(rate) = self.bytes_per_second else { return Duration::ZERO };
        let nanos = u128::from(bytes) * 1_000_000_000 / u128::from(rate.get());
        let cost = Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX));
        self.paid_until = self.paid_until.max(now).after(cost);
        self.paid_until.since(now).saturating_sub(Duration::from_secs(1))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_is_free_and_more_is_waited_for() {
        let at = |seconds| MonotonicTime::ORIGIN.after(Duration::from_secs(seconds));
        let mut pace = Pace::new(NonZeroU64::new(100));
        assert_eq!(pace.take(100, at(10)), Duration::ZERO);
        assert_eq!(pace.take(50, at(10)), Duration::from_millis(500));
        assert_eq!(pace.take(150, at(11)), Duration::from_secs(1));
        assert_eq!(pace.take(100, at(20)), Duration::ZERO, "what was not taken does not add up");
        assert_eq!(pace.take(100, at(20)), Duration::from_secs(1));
        assert_eq!(Pace::new(None).take(u64::MAX, at(0)), Duration::ZERO);
    }
}
