//! How often and for how long a failed fetch is tried again. Pure: time and chance come from the caller.

use std::time::Duration;

use orrery_supervisor::{Backoff, BackoffError, MonotonicTime};

/// Tries that one ledger gets at one store, and how long they may take together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RetryBudget {
    /// The first try counts.
    pub attempts_max: u32,
    /// From the first try; no further try begins after it.
    pub total_max: Duration,
    /// Pause after a failure: drawn between zero and a bound that doubles.
    pub backoff: Backoff,
}

/// What came of one ledger at one store so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Attempts {
    count: u32,
    began: Option<MonotonicTime>,
}

impl RetryBudget {
    /// Eight tries within two minutes: a store that restarts, or throttles for a minute, is waited for.
    pub fn patient() -> Result<Self, BackoffError> {
        let backoff = Backoff::new(Duration::from_millis(200), Duration::from_secs(20))?;
        Ok(Self { attempts_max: 8, total_max: Duration::from_secs(120), backoff })
    }
}

impl Attempts {
    /// A try begins.
    pub(super) fn begin(&mut self, now: MonotonicTime) {
        self.count += 1;
        self.began.get_or_insert(now);
    }

    /// Tries begun.
    pub(super) fn count(&self) -> u32 {
        self.count
    }

    /// Since the first try began.
    pub(super) fn elapsed(&self, now: MonotonicTime) -> Duration {
        self.began.map_or(Duration::ZERO, |began| now.since(began))
    }

    /// The pause before the next try, or `None` if the budget is spent. `wanted` is what the server asks for: the pause
    /// is not shorter.
    pub(super) fn pause(
        &self,
        budget: &RetryBudget,
        now: MonotonicTime,
        wanted: Option<Duration>,
        random: &mut impl FnMut() -> u64,
    ) -> Option<Duration> {
        if self.count >= budget.attempts_max {
            return None;
        }
        let pause = budget.backoff.delay(self.count, random);
        let pause = pause.max(wanted.unwrap_or_default());
        (self.elapsed(now).saturating_add(pause) <= budget.total_max).then_some(pause)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const fn ms(milliseconds: u64) -> Duration {
        Duration::from_millis(milliseconds)
    }

    fn budget() -> RetryBudget {
        let backoff = Backoff::new(ms(100), ms(1000)).unwrap();
        RetryBudget { attempts_max: 4, total_max: ms(5000), backoff }
    }

    #[test]
    fn pauses_double_until_the_budget_is_spent() {
        // (tries begun, time since the first, what the server wants, the longest pause)
        let check = |tries: u32, elapsed, wanted, expect| {
            let mut attempts = Attempts::default();
            (0..tries).for_each(|_| attempts.begin(MonotonicTime::ORIGIN));
            let now = MonotonicTime::ORIGIN.after(elapsed);
            let pause = attempts.pause(&budget(), now, wanted, &mut || u64::MAX);
            assert_eq!(pause, expect, "{tries} tries, {elapsed:?}, {wanted:?}");
        };
        check(1, ms(0), None, Some(ms(100)));
        check(2, ms(100), None, Some(ms(200)));
        check(3, ms(100), None, Some(ms(400)));
        check(4, ms(100), None, None);
        check(2, ms(4800), None, Some(ms(200)));
        check(2, ms(4801), None, None);
        check(1, ms(0), Some(ms(3000)), Some(ms(3000)));
        check(1, ms(0), Some(ms(50)), Some(ms(100)));
        check(1, ms(0), Some(ms(5001)), None);
    }

    proptest! {
        #[test]
        fn no_course_of_failures_exceeds_the_budget(randoms in prop::collection::vec(any::<u64>(), 64), wanted in 0..4000_u64) {
            let (budget, mut attempts, mut now) = (budget(), Attempts::default(), MonotonicTime::ORIGIN);
            let mut randoms = randoms.into_iter();
            loop {
                attempts.begin(now);
                let wanted = (wanted > 2000).then(|| ms(wanted));
                match attempts.pause(&budget, now, wanted, &mut || randoms.next().unwrap()) {
                    Some(pause) => now = now.after(pause),
                    None => break,
                }
            }
            prop_assert!(attempts.count() <= budget.attempts_max);
            prop_assert!(attempts.elapsed(now) <= budget.total_max);
        }
    }
}
