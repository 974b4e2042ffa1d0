//! When to ask for the next ledger at the tip: about when it is due, then again at growing pauses. Pure.
//!
//! The time between ledgers is learned from when they were found. Requests for a ledger that comes when it is due: one or
//! two. For one that is late: at most [`POLLS_MAX`] at pauses from 0.2 to 2 s, then one each time between ledgers or 2 s,
//! whichever is longer. A ledger that was there at the first poll may not be the last: the next one is asked for at once.

use std::time::Duration;

use orrery_supervisor::MonotonicTime;

/// Before anything was learned. The network takes about 5 s: beginning low costs a few polls, beginning high a few ledgers
/// that come late.
const INTERVAL_FIRST: Duration = Duration::from_secs(1);

/// Bounds of what can be learned: a faster network does not exist, and a stop is not a cadence.
const INTERVAL_MIN: Duration = Duration::from_millis(200);
const INTERVAL_MAX: Duration = Duration::from_secs(30);

const PAUSE_MIN: Duration = Duration::from_millis(200);
const PAUSE_MAX: Duration = Duration::from_secs(2);

/// Polls of one ledger at short pauses: about 12 s of them.
const POLLS_MAX: u32 = 10;

/// What was learned about the tip.
#[derive(Clone, Debug)]
pub(super) struct Cadence {
    interval: Duration,
    /// When the newest ledger was found by polling for it.
    found: Option<MonotonicTime>,
    /// Polls of the current ledger that found nothing.
    polls: u32,
    /// Ledgers in a row that were there at the first poll.
    hits: u32,
    /// The next poll asks whether there is already more.
    probing: bool,
}

impl Cadence {
    pub(super) fn new() -> Self {
        Self { interval: INTERVAL_FIRST, found: None, polls: 0, hits: 0, probing: false }
    }

    /// A ledger at the tip was found.
    pub(super) fn found(&mut self, now: MonotonicTime) {
        self.probing = self.found.is_some() && self.polls == 0;
        match self.found {
            Some(last) if self.polls > 0 => {
                let sample = now.since(last).clamp(INTERVAL_MIN, INTERVAL_MAX);
                self.interval = (self.interval * 3 + sample) / 4;
                self.hits = 0;
            }
            // It may have been there for long: that tells that the interval is too long, but not by how much. The longer
            // polls find everything at once, the faster it shrinks.
            Some(_) => {
                let part = 64 >> self.hits.min(5);
                self.interval = (self.interval - self.interval / part).max(INTERVAL_MIN);
                self.hits += 1;
            }
            None => self.hits = 0,
        }
        self.found = Some(now);
        self.polls = 0;
    }

    /// A poll found nothing. The pause before the next one.
    pub(super) fn not_yet(&mut self, random: &mut impl FnMut() -> u64) -> Duration {
        if std::mem::take(&mut self.probing) {
            return self.until_due();
        }
        self.polls = self.polls.saturating_add(1);
        if self.polls > POLLS_MAX {
            return self.interval.max(PAUSE_MAX);
        }
        let longest = PAUSE_MIN.saturating_mul(1 << self.polls.min(16)).min(PAUSE_MAX);
        PAUSE_MIN + part_of(longest - PAUSE_MIN, random())
    }

    /// When to ask for the ledger after the one that was found last: a little before it is due.
    pub(super) fn next_due(&self) -> Option<MonotonicTime> {
        let wait = if self.probing { Duration::ZERO } else { self.until_due() };
        self.found.map(|found| found.after(wait))
    }

    fn until_due(&self) -> Duration {
        self.interval - self.interval / 16
    }

    /// True if the next ledger was due so long ago that there are more behind it.
    pub(super) fn is_behind(&self, now: MonotonicTime) -> bool {
        self.next_due().is_none_or(|due| now.since(due) > self.interval * 2)
    }

    /// The stream is no longer at the tip.
    pub(super) fn leave_tip(&mut self) {
        self.found = None;
        self.polls = 0;
        self.probing = false;
    }
}

/// `random / 2^64` of `duration`.
fn part_of(duration: Duration, random: u64) -> Duration {
    let nanos = (duration.as_nanos() * u128::from(random)) >> u64::BITS;
    Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const fn ms(milliseconds: u64) -> Duration {
        Duration::from_millis(milliseconds)
    }

    fn at(milliseconds: u64) -> MonotonicTime {
        MonotonicTime::ORIGIN.after(ms(milliseconds))
    }

    /// Polls a network whose ledger n appears at `n x interval + delays[n]`; returns polls for each ledger and how late
    /// each was found.
    fn follow(interval: u64, delays: &[u64], random: &mut impl FnMut() -> u64) -> Vec<(u32, u64)> {
        let mut cadence = Cadence::new();
        let mut now = at(0);
        let mut seen = Vec::new();
        for (index, delay) in delays.iter().enumerate() {
            let appears = at((index as u64 + 1) * interval + delay);
            if let Some(due) = cadence.next_due() {
                now = now.max(due);
            }
            let mut polls = 1;
            while now < appears {
                now = now.after(cadence.not_yet(random));
                polls += 1;
            }
            cadence.found(now);
            seen.push((polls, now.since(appears).as_millis() as u64));
        }
        seen
    }

    #[test]
    fn pauses_grow_to_two_seconds_and_then_to_the_interval() {
        let mut cadence = Cadence::new();
        cadence.found(at(0));
        assert_eq!(cadence.next_due(), Some(at(937).after(Duration::from_micros(500))));
        let longest: Vec<_> = (0..12).map(|_| cadence.not_yet(&mut || u64::MAX).as_millis()).collect();
        assert_eq!(longest, [399, 799, 1599, 1999, 1999, 1999, 1999, 1999, 1999, 1999, 2000, 2000]);
        cadence.found(at(20_000));
        assert_eq!(cadence.not_yet(&mut || 0), ms(200));
    }

    #[test]
    fn cadence_of_any_network_is_learned() {
        for interval in [600, 1000, 2000, 5000, 10_000] {
            let mut random = || 1 << 63;
            let seen = follow(interval, &[0; 400], &mut random);
            let late = &seen[200..];
            let polls: u32 = late.iter().map(|(polls, _)| polls).sum();
            assert!(polls <= 200 * 3, "{interval} ms: {polls} polls for 200 ledgers");
            let worst = late.iter().map(|(_, late)| late).max().unwrap();
            assert!(*worst <= 1000.min(interval), "{interval} ms: found {worst} ms late");
        }
    }

    #[test]
    fn stream_that_was_held_up_knows_that_it_is_behind() {
        let mut cadence = Cadence::new();
        assert!(cadence.is_behind(at(0)));
        cadence.found(at(1000));
        assert!(!cadence.is_behind(at(2000)));
        assert!(!cadence.is_behind(at(3900)));
        assert!(cadence.is_behind(at(4000)));
    }

    proptest! {
        #[test]
        fn no_ledger_is_polled_without_bound(delays in prop::collection::vec(0_u64..60_000, 1..50), seed: u64) {
            let mut state = seed | 1;
            let mut random = || { state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1); state };
            let mut sorted = delays;
            sorted.sort_unstable();
            for (polls, _) in follow(5000, &sorted, &mut random) {
                // A minute without a ledger: 10 short pauses, then one poll each interval or 2 s.
                prop_assert!(polls <= 1 + POLLS_MAX + 40, "{polls} polls");
            }
        }
    }
}
