//! When restarting has become hopeless: more than `max` restarts within `period`, as in Erlang/OTP's supervisors.
//!
//! A restart counts for as long as `period` after it, including its last instant. The restart that makes them more than
//! `max` is not carried out: it escalates, and the supervisor ends its children and itself.

use std::collections::VecDeque;
use std::time::Duration;

use thiserror::Error;

use crate::backoff::Backoff;
use crate::clock::MonotonicTime;

/// Most restarts within a period before giving up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RestartIntensity {
    max: u32,
    period: Duration,
}

/// A restart intensity that makes no sense, alone or with a backoff.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum RestartIntensityError {
    /// No restart would ever be remembered.
    #[error("the restart period is zero; give a positive duration")]
    ZeroPeriod,
    /// A window remembers each restart.
    #[error(
        "{max} restarts are above the limit of {}; lower the number or the period",
        RestartIntensity::MAX_LIMIT
    )]
    MaxTooLarge {
        /// As given.
        max: u32,
    },
    /// The delays alone fill the period: a child that always fails at once would be restarted for ever.
    #[error(
        "more than {max} restarts in {period:?} may never happen, since {} delays last up to {delays:?}; lengthen the \
         period, or lower the number or the backoff",
        max + 1
    )]
    NeverExceeded {
        /// Of the intensity.
        max: u32,
        /// Of the intensity.
        period: Duration,
        /// Longest sum of the first `max + 1` delays.
        delays: Duration,
    },
}

impl RestartIntensity {
    /// Highest `max`. A larger one is no limit in practice, and a window holds up to this many times (16 bytes each).
    pub const MAX_LIMIT: u32 = 1000;

    /// Escalates at restart `max + 1` within `period`. With `max` 0 no restart is allowed.
    ///
    /// # Errors
    ///
    /// `period` must be positive, `max` at most [`Self::MAX_LIMIT`].
    pub const fn new(max: u32, period: Duration) -> Result<Self, RestartIntensityError> {
        if period.is_zero() {
            return Err(RestartIntensityError::ZeroPeriod);
        }
        if max > Self::MAX_LIMIT {
            return Err(RestartIntensityError::MaxTooLarge { max });
        }
        Ok(Self { max, period })
    }

    /// Most restarts within the period.
    pub const fn max(&self) -> u32 {
        self.max
    }

    /// The period.
    pub const fn period(&self) -> Duration {
        self.period
    }

    /// Checks that a child which always fails at once is given up, whatever delays the backoff draws: the period must be
    /// longer than the first `max + 1` of them together.
    ///
    /// # Errors
    ///
    /// [`RestartIntensityError::NeverExceeded`] otherwise.
    pub fn can_be_exceeded_with(&self, backoff: &Backoff) -> Result<(), RestartIntensityError> {
        let delays = backoff.longest_sum(self.max + 1);
        if self.period > delays {
            return Ok(());
        }
        Err(RestartIntensityError::NeverExceeded { max: self.max, period: self.period, delays })
    }
}

/// The restarts of one supervisor that still count. Its supervisor alone writes it; it ends with it.
#[derive(Clone, Debug)]
pub struct RestartWindow {
    intensity: RestartIntensity,
    /// Oldest first; at most `max`: the one too many is not kept.
    restarts: VecDeque<MonotonicTime>,
}

/// What to do about a child that ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RestartVerdict {
    /// Restart it.
    Restart {
        /// Restarts that count, this one included.
        restarts_in_window: u32,
    },
    /// Give up: this would be one restart too many.
    Escalate,
}

impl RestartWindow {
    /// A window without restarts.
    pub const fn new(intensity: RestartIntensity) -> Self {
        Self { intensity, restarts: VecDeque::new() }
    }

    /// Counts a restart that is due at `now` and says whether to carry it out. `now` must not go back.
    pub fn record(&mut self, now: MonotonicTime) -> RestartVerdict {
        while self.restarts.front().is_some_and(|restart| !self.counts(*restart, now)) {
            self.restarts.pop_front();
        }
        let restarts_in_window = self.count(now).saturating_add(1);
        if restarts_in_window > self.intensity.max {
            return RestartVerdict::Escalate;
        }
        self.restarts.push_back(now);
        RestartVerdict::Restart { restarts_in_window }
    }

    /// Restarts that count at `now`.
    pub fn count(&self, now: MonotonicTime) -> u32 {
        let counting = self.restarts.iter().filter(|restart| self.counts(**restart, now)).count();
        u32::try_from(counting).unwrap_or(u32::MAX)
    }

    /// The intensity that it measures.
    pub const fn intensity(&self) -> RestartIntensity {
        self.intensity
    }

    fn counts(&self, restart: MonotonicTime, now: MonotonicTime) -> bool {
        crate::seeded_bug!(B18, now >= restart, now.since(restart) <= self.intensity.period)
    }
}

#[cfg(test)]
mod tests;
