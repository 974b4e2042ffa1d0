//! Time that only goes forward. Code that needs it takes a [`Clock`]; nothing else may ask the machine.

use std::sync::Mutex;
use std::sync::PoisonError;
use std::time::{Duration, Instant};

/// Time since the origin of one clock, which has no meaning outside of its process.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct MonotonicTime(Duration);

impl MonotonicTime {
    /// Where a clock begins.
    pub const ORIGIN: Self = Self(Duration::ZERO);

    /// This long after; the end of time if there is no such moment.
    pub fn after(self, duration: Duration) -> Self {
        Self(self.0.saturating_add(duration))
    }

    /// How long `earlier` is ago; zero if it lies ahead.
    pub fn since(self, earlier: Self) -> Duration {
        self.0.saturating_sub(earlier.0)
    }
}

/// Reads monotonic time. Never goes back; unaffected by corrections of the wall clock.
pub trait Clock: Send + Sync {
    /// The time now.
    fn now(&self) -> MonotonicTime;
}

/// The machine's clock, from the moment it was made.
#[derive(Clone, Copy, Debug)]
pub struct SystemClock {
    origin: Instant,
}

impl SystemClock {
    /// A clock that begins now.
    #[expect(clippy::disallowed_methods, reason = "the one place that reads the machine's clock")]
    pub fn new() -> Self {
        Self { origin: Instant::now() }
    }
}

impl Default for SystemClock {
    fn default() -> Self {
        Self::new()
    }
}

impl Clock for SystemClock {
    #[expect(clippy::disallowed_methods, reason = "the one place that reads the machine's clock")]
    fn now(&self) -> MonotonicTime {
        MonotonicTime(self.origin.elapsed())
    }
}

/// A clock that stands still until it is moved: for tests and simulation.
#[derive(Debug, Default)]
pub struct ManualClock {
    now: Mutex<MonotonicTime>,
}

impl ManualClock {
    /// Moves it forward.
    pub fn advance(&self, duration: Duration) {
        let mut now = self.now.lock().unwrap_or_else(PoisonError::into_inner);
        *now = now.after(duration);
    }
}

impl Clock for ManualClock {
    fn now(&self) -> MonotonicTime {
        *self.now.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn manual_clock_moves_only_when_told() {
        let clock = ManualClock::default();
        assert_eq!(clock.now(), MonotonicTime::ORIGIN);
        clock.advance(Duration::from_secs(3));
        assert_eq!(clock.now(), clock.now());
        assert_eq!(clock.now().since(MonotonicTime::ORIGIN), Duration::from_secs(3));
    }

    #[test]
    fn system_clock_never_goes_back() {
        let clock = SystemClock::new();
        let readings: Vec<_> = (0..1000).map(|_| clock.now()).collect();
        assert!(readings.is_sorted());
    }

    #[test]
    fn time_saturates_at_both_ends() {
        let end = MonotonicTime::ORIGIN.after(Duration::MAX);
        assert_eq!(end.after(Duration::from_nanos(1)), end);
        assert_eq!(MonotonicTime::ORIGIN.since(end), Duration::ZERO);
    }
}
