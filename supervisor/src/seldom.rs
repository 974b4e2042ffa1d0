//! Words about what goes on and on: said at once, and then now and then, with how often it was.

use std::time::Duration;

use crate::clock::MonotonicTime;

/// Decides when something that may happen many times a second is worth a line in the log.
#[derive(Clone, Copy, Debug)]
pub struct Seldom {
    every: Duration,
    said: Option<MonotonicTime>,
    unsaid: u64,
}

impl Seldom {
    /// Says it once in so long at most.
    pub const fn new(every: Duration) -> Self {
        Self { every, said: None, unsaid: 0 }
    }

    /// It happened. If it is to be said now, gives how often it has since it was said last, with this time.
    pub fn happened(&mut self, now: MonotonicTime) -> Option<u64> {
        self.unsaid = self.unsaid.saturating_add(1);
        if self.said.is_some_and(|said| now.since(said) < self.every) {
            return None;
        }
        self.said = Some(now);
        Some(std::mem::take(&mut self.unsaid))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_time_is_said_at_once_and_the_rest_with_their_number() {
        let mut seldom = Seldom::new(Duration::from_secs(10));
        let mut check = |seconds, expect: Option<u64>| {
            let now = MonotonicTime::ORIGIN.after(Duration::from_secs(seconds));
            assert_eq!(seldom.happened(now), expect, "after {seconds} s");
        };
        check(1, Some(1));
        check(1, None);
        check(10, None);
        check(11, Some(3));
        check(20, None);
        check(90, Some(2));
        check(200, Some(1));
    }
}
