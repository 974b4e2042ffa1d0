//! How late ledgers are at readers. Pure: times are microseconds of one clock, whichever that is.
//!
//! A ledger is *there* when the server first told anybody of it, by the server's own stamp (a heartbeat says how old its
//! ledger was when it was written), or when the first reader had it, whichever is earlier. One reader wants no event at all:
//! it is told of a ledger without waiting for an encoding.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// Latencies, in tenths of a millisecond.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Histogram(BTreeMap<u32, u64>);

impl Histogram {
    pub(super) fn add(&mut self, micros: u64) {
        *self.0.entry(u32::try_from(micros / 100).unwrap_or(u32::MAX)).or_default() += 1;
    }

    pub(super) fn merge(&mut self, other: &Self) {
        other.0.iter().for_each(|(tenths, count)| *self.0.entry(*tenths).or_default() += count);
    }

    pub(super) fn count(&self) -> u64 {
        self.0.values().sum()
    }

    /// The latency that so many of a thousand do not exceed, in milliseconds.
    pub(super) fn permille(&self, permille: u64) -> f64 {
        let rank = (self.count() * permille).div_ceil(1000).max(1);
        let mut seen = 0;
        let found = self.0.iter().find(|(_, count)| {
            seen += **count;
            seen >= rank
        });
        found.map_or(0.0, |(tenths, _)| f64::from(*tenths) / 10.0)
    }
}

/// What came of one ledger.
#[derive(Clone, Debug, Default)]
struct Seen {
    /// By its header, in milliseconds.
    closed_ms: Option<i64>,
    /// How old it was when the server first told anybody of it.
    lag_ms: Option<i64>,
    /// When readers had all of it: since the first of these times.
    first: u64,
    after: Vec<u32>,
}

/// Ledgers of a run.
#[derive(Debug, Default)]
pub(super) struct Times {
    ledgers: BTreeMap<u32, Seen>,
}

impl Seen {
    fn began(&self) -> u64 {
        let told = self.closed_ms.zip(self.lag_ms).map(|(closed, lag)| closed.saturating_add(lag));
        let told = told.and_then(|told| u64::try_from(told.saturating_mul(1000)).ok());
        told.map_or(self.first, |told| told.min(self.first))
    }
}

impl Times {
    /// A reader has all of a ledger.
    pub(super) fn arrived(&mut self, ledger: u32, at: u64) {
        let seen = self.ledgers.entry(ledger).or_default();
        if seen.after.is_empty() {
            seen.first = at;
        }
        seen.after.push(u32::try_from(at.saturating_sub(seen.first)).unwrap_or(u32::MAX));
    }

    /// A ledger was so old when the server told somebody of it.
    pub(super) fn told(&mut self, ledger: u32, lag_ms: i64) {
        let seen = self.ledgers.entry(ledger).or_default();
        seen.lag_ms = Some(seen.lag_ms.map_or(lag_ms, |least| least.min(lag_ms)));
    }

    /// When a ledger was closed.
    pub(super) fn closed(&mut self, ledger: u32, closed_ms: i64) {
        self.ledgers.entry(ledger).or_default().closed_ms = Some(closed_ms);
    }

    /// The newest ledger that anybody has.
    pub(super) fn newest(&self) -> u32 {
        self.ledgers.keys().next_back().copied().unwrap_or(0)
    }

    /// Ledgers behind `after`, up to `last`: how late each was at each reader, and the 99th percentiles of each alone.
    pub(super) fn spread(&self, after: u32, last: u32) -> (Histogram, Vec<f64>) {
        let (mut all, mut each) = (Histogram::default(), Vec::new());
        for seen in self.between(after, last) {
            let began = seen.began();
            let mut of_it = Histogram::default();
            seen.after.iter().for_each(|after| of_it.add(seen.first - began + u64::from(*after)));
            each.push(of_it.permille(990));
            all.merge(&of_it);
        }
        (all, each)
    }

    /// How late each ledger was there, measured by a source that closes one every `period`: behind the most punctual one.
    pub(super) fn behind_schedule(&self, after: u32, last: u32, period: u64) -> Histogram {
        let due = |ledger: u32| u64::from(ledger - after) * period;
        let there: Vec<_> = self
            .ledgers
            .range(after + 1..=last.max(after + 1))
            .filter(|(_, seen)| !seen.after.is_empty())
            .map(|(ledger, seen)| seen.began().saturating_sub(due(*ledger)))
            .collect();
        let punctual = there.iter().min().copied().unwrap_or(0);
        let mut late = Histogram::default();
        there.iter().for_each(|at| late.add(at - punctual));
        late
    }

    fn between(&self, after: u32, last: u32) -> impl Iterator<Item = &Seen> {
        let timed = self.ledgers.iter().filter(move |(ledger, _)| (after + 1..=last).contains(*ledger));
        timed.map(|(_, seen)| seen).filter(|seen| !seen.after.is_empty())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_those_of_all_latencies() {
        let mut histogram = Histogram::default();
        (1..=1000).for_each(|millis| histogram.add(millis * 1000));
        let check = |permille: u64, expect: f64| assert_eq!(histogram.permille(permille), expect);
        check(0, 1.0);
        check(500, 500.0);
        check(990, 990.0);
        check(1000, 1000.0);
        assert_eq!(Histogram::default().permille(990), 0.0);
        let mut twice = histogram.clone();
        twice.merge(&histogram);
        assert_eq!((twice.count(), twice.permille(990)), (2000, 990.0));
    }

    #[test]
    fn a_ledger_is_late_from_when_it_was_there() {
        let mut times = Times::default();
        times.arrived(7, 50_000);
        for (ledger, began) in [(8, 1_000_000), (9, 2_030_000), (10, 3_000_000)] {
            times.told(ledger, 905);
            times.told(ledger, 900);
            times.closed(ledger, (began / 1000) as i64 - 900);
            times.arrived(ledger, began + 10_000);
            times.arrived(ledger, began + 250_000);
        }
        let (all, each) = times.spread(7, 9);
        assert_eq!((all.count(), all.permille(500), all.permille(990)), (4, 10.0, 250.0));
        assert_eq!(each, [250.0, 250.0]);
        let late = times.behind_schedule(7, 10, 1_000_000);
        assert_eq!((late.count(), late.permille(500), late.permille(1000)), (3, 0.0, 30.0));
        assert_eq!(times.newest(), 10);
    }

    #[test]
    fn a_ledger_that_no_stamp_tells_of_is_late_from_its_first_reader_on() {
        let mut times = Times::default();
        times.arrived(8, 10_000);
        times.arrived(8, 30_000);
        assert_eq!(times.spread(0, 8).0.permille(1000), 20.0);
    }
}
