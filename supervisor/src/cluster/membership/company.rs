//! When to say that a node that joins has met nobody.

use std::time::Duration;

use crate::clock::MonotonicTime;

/// A node that is there is met within a second.
const FIRST: Duration = Duration::from_secs(3);

/// Then it is said again and again.
const AGAIN: Duration = Duration::from_secs(30);

/// Whether anybody has been met in this life.
#[derive(Debug, Default)]
pub(super) struct Company {
    has_met: bool,
    since: Option<MonotonicTime>,
    told_at: Option<MonotonicTime>,
}

impl Company {
    /// Takes note of who is there now. `Some` with how long it has been alone if that is to be said.
    pub(super) fn look(&mut self, now: MonotonicTime, is_with_others: bool) -> Option<Duration> {
        self.has_met |= is_with_others;
        let alone = now.since(*self.since.get_or_insert(now));
        let is_due = self.told_at.map_or(alone >= FIRST, |at| now.since(at) >= AGAIN);
        if self.has_met || !is_due {
            return None;
        }
        self.told_at = Some(now);
        Some(alone)
    }

    /// Whether anybody has been met.
    pub(super) const fn has_met(&self) -> bool {
        self.has_met
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_meets_nobody_says_so_after_3_seconds_and_then_every_30() {
        let check = |met_at: Option<u64>, gone_at: u64, expect: &[u64]| {
            let mut company = Company::default();
            let told = (0..1000_u64).filter(|tenths| {
                let now = MonotonicTime::ORIGIN.after(Duration::from_millis(tenths * 100));
                let is_there = met_at.is_some_and(|met_at| (met_at..gone_at).contains(&(tenths / 10)));
                company.look(now, is_there).is_some()
            });
            assert_eq!(told.collect::<Vec<_>>(), expect, "met at {met_at:?} s");
            assert_eq!(company.has_met(), met_at.is_some());
        };
        check(None, 0, &[30, 330, 630, 930]);
        check(Some(0), 1000, &[]);
        check(Some(2), 5, &[]);
        check(Some(40), 50, &[30, 330]);
    }
}
