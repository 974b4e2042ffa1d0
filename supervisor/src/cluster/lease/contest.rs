//! Holders that were deposed although this node thought well of them: signs of a partition, in which each part takes the
//! lease from the other.

use std::collections::VecDeque;
use std::time::Duration;

use super::LeaseTimings;
use crate::clock::MonotonicTime;

/// More change nothing: the wait is at its longest long before.
const REMEMBERED_MAX: usize = 16;

/// Contests of late.
#[derive(Clone, Debug, Default)]
pub(super) struct Contests(VecDeque<MonotonicTime>);

impl Contests {
    pub(super) fn add(&mut self, now: MonotonicTime) {
        if self.0.len() == REMEMBERED_MAX {
            self.0.pop_front();
        }
        self.0.push_back(now);
    }

    /// How long to wait before the next takeover. One contest may be a mistake, and costs nothing.
    pub(super) fn wait(&mut self, now: MonotonicTime, timings: &LeaseTimings) -> Duration {
        self.0.retain(|at| now.since(*at) < timings.contest_memory);
        let Some(doublings) = self.0.len().checked_sub(2) else { return Duration::ZERO };
        let factor = 2_u32.saturating_pow(u32::try_from(doublings).unwrap_or(u32::MAX));
        timings.contest_wait.saturating_mul(factor).min(timings.contest_wait_max)
    }
}
