//! How long to wait before a restart: exponential, capped, with full jitter.

use std::time::Duration;

use thiserror::Error;

/// Delays before the restarts of one child. The bound doubles with every restart up to a cap; the delay is drawn
/// evenly between zero and the bound, so that children which failed together do not come back together.
///
/// | restart | 1 | 2 | 3 | ... |
/// |---|---|---|---|---|
/// | at most | `first` | 2 x `first` | 4 x `first` | ... `cap` |
///
/// A delay may be zero: backoff says how fast to try, [`RestartIntensity`](crate::RestartIntensity) when to stop.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Backoff {
    first: Duration,
    cap: Duration,
}

/// A backoff that makes no sense.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum BackoffError {
    /// Doubling zero never waits.
    #[error("the first backoff is zero; give at least a nanosecond")]
    ZeroFirst,
    /// The first delay would already exceed the cap.
    #[error("the first backoff of {first:?} is above the cap of {cap:?}; lower it or raise the cap")]
    FirstAboveCap {
        /// As given.
        first: Duration,
        /// As given.
        cap: Duration,
    },
    /// Nobody waits that long for a restart.
    #[error("the backoff cap of {cap:?} is above {:?}; lower it", Backoff::CAP_MAX)]
    CapTooLong {
        /// As given.
        cap: Duration,
    },
}

impl Backoff {
    /// The longest cap. Larger looks like a hang to whoever watches, and its nanoseconds must fit 64 bits.
    pub const CAP_MAX: Duration = Duration::from_secs(3600);

    /// For children that give no other. The first restart comes within 20 ms, so that a single failure is hardly noticed;
    /// what fails on is tried every few seconds, so that it comes back soon after its cause has gone.
    pub const DEFAULT: Self = Self { first: Duration::from_millis(20), cap: Duration::from_secs(5) };

    /// Delays that begin at most at `first` and never exceed `cap`.
    ///
    /// # Errors
    ///
    /// `first` must be above zero and at most `cap`, `cap` at most [`Self::CAP_MAX`].
    pub fn new(first: Duration, cap: Duration) -> Result<Self, BackoffError> {
        if first.is_zero() {
            return Err(BackoffError::ZeroFirst);
        }
        if first > cap {
            return Err(BackoffError::FirstAboveCap { first, cap });
        }
        if cap > Self::CAP_MAX {
            return Err(BackoffError::CapTooLong { cap });
        }
        Ok(Self { first, cap })
    }

    /// Delay before restart number `restart`, counted from 1 since the child last ran well (0 counts as 1).
    /// `random` gives 64 even random bits.
    pub fn delay(&self, restart: u32, random: &mut impl FnMut() -> u64) -> Duration {
        let longest = self.longest_delay(restart).as_nanos();
        // The upper 64 bits of the product are even over 0..=longest to one part in 2^64; no division, no bias to speak of.
        let nanos = ((longest + 1) * u128::from(random())) >> u64::BITS;
        Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX))
    }

    /// The bound of [`Self::delay`].
    pub fn longest_delay(&self, restart: u32) -> Duration {
        let factor = 1_u32.checked_shl(restart.saturating_sub(1)).unwrap_or(u32::MAX);
        self.first.saturating_mul(factor).min(self.cap)
    }

    /// The longest that the first `restarts` delays can last together: `first x (1 + 2 + 4 + ...)`, each term at most
    /// `cap`. A restart intensity whose period is not longer than this for its `max + 1` restarts might never be
    /// exceeded, however often a child fails: see
    /// [`RestartIntensity::can_be_exceeded_with`](crate::RestartIntensity::can_be_exceeded_with).
    pub fn longest_sum(&self, restarts: u32) -> Duration {
        let mut sum = Duration::ZERO;
        for restart in 1..=restarts {
            let longest = self.longest_delay(restart);
            sum = sum.saturating_add(longest);
            if longest == self.cap {
                let rest = restarts - restart;
                return sum.saturating_add(self.cap.saturating_mul(rest));
            }
        }
        sum
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const fn ms(milliseconds: u64) -> Duration {
        Duration::from_millis(milliseconds)
    }

    #[test]
    fn bound_doubles_up_to_the_cap() {
        let backoff = Backoff::new(ms(100), ms(3000)).unwrap();
        let check = |restart, expect| assert_eq!(backoff.longest_delay(restart), expect, "restart {restart}");
        check(0, ms(100));
        check(1, ms(100));
        check(2, ms(200));
        check(5, ms(1600));
        check(6, ms(3000));
        check(32, ms(3000));
        check(33, ms(3000));
        check(u32::MAX, ms(3000));
    }

    #[test]
    fn default_makes_sense() {
        assert_eq!(Backoff::new(Backoff::DEFAULT.first, Backoff::DEFAULT.cap), Ok(Backoff::DEFAULT));
    }

    #[test]
    fn sum_adds_the_bounds() {
        let backoff = Backoff::new(ms(100), ms(3000)).unwrap();
        let check =
            |restarts, expect| assert_eq!(backoff.longest_sum(restarts), expect, "{restarts} restarts");
        check(0, ms(0));
        check(1, ms(100));
        check(5, ms(3100));
        check(6, ms(6100));
        check(8, ms(12_100));
        check(u32::MAX, ms(3100) + ms(3000) * (u32::MAX - 5));
    }

    #[test]
    fn delay_reaches_zero_and_the_bound() {
        let backoff = Backoff::new(ms(100), ms(3000)).unwrap();
        assert_eq!(backoff.delay(3, &mut || 0), Duration::ZERO);
        assert_eq!(backoff.delay(3, &mut || u64::MAX), ms(400));
        assert_eq!(backoff.delay(3, &mut || 1 << 63), ms(200));
    }

    #[test]
    fn delays_spread_evenly() {
        let backoff = Backoff::new(ms(100), ms(100)).unwrap();
        let mut state = 1_u64;
        let mut random = || {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            state
        };
        let mut tenths = [0; 10];
        for _ in 0..10_000 {
            let delay = backoff.delay(1, &mut random);
            tenths[(delay.as_millis() / 10).min(9) as usize] += 1;
        }
        assert!(tenths.iter().all(|count| (850..1150).contains(count)), "{tenths:?}");
    }

    #[test]
    fn senseless_backoff_is_refused() {
        let check = |first, cap, expect| assert_eq!(Backoff::new(first, cap), Err(expect));
        check(ms(0), ms(5), BackoffError::ZeroFirst);
        check(ms(6), ms(5), BackoffError::FirstAboveCap { first: ms(6), cap: ms(5) });
        let cap = Backoff::CAP_MAX + ms(1);
        check(ms(6), cap, BackoffError::CapTooLong { cap });
    }

    proptest! {
        #[test]
        fn no_delay_exceeds_its_bound(first in 1_u64..10_000_000_000, more in 0_u64..1_000_000_000_000, restart: u32, random: u64) {
            let (first, cap) = (Duration::from_nanos(first), Duration::from_nanos(first + more));
            let backoff = Backoff::new(first, cap).unwrap();
            let delay = backoff.delay(restart, &mut || random);
            prop_assert!(delay <= backoff.longest_delay(restart));
            prop_assert!(backoff.longest_delay(restart) <= cap);
        }

        #[test]
        fn sum_is_the_sum_of_the_bounds(first in 1_u64..1_000_000_000, more in 0_u64..1_000_000_000_000, restarts in 0_u32..200) {
            let backoff = Backoff::new(Duration::from_nanos(first), Duration::from_nanos(first + more)).unwrap();
            let sum: Duration = (1..=restarts).map(|restart| backoff.longest_delay(restart)).sum();
            prop_assert_eq!(backoff.longest_sum(restarts), sum);
        }
    }
}
