//! What became of regions to which faults were done.

use std::fmt::Write as _;

use serde::Serialize;

use super::RegionsSettings;
use super::plan::Fault;
use super::region::name_of;
use super::results::FaultResult;
use crate::cluster::Spread;
use crate::judges::dataset::Comparison;

/// 99 of 100 readers wait no longer for a new ledger: what regions promise.
const OUTAGE_P99_MAX: f64 = 10.0;

/// And a region that is back serves new ledgers within this.
const CAUGHT_UP_P99_MAX: f64 = 15.0;

/// One fault and what came of it.
#[derive(Clone, Debug, Default, Serialize)]
pub struct RoundReport {
    /// From 1.
    pub number: usize,
    /// What was done.
    pub fault: Fault,
    /// To which region, from 1.
    pub region: usize,
    /// Whether traffic belonged to it.
    pub had_traffic: bool,
    /// The newest ledger when it was overcome.
    pub ledger: u32,
    /// Seconds for which the region was away.
    pub away_seconds: f64,
    /// Seconds from the fault until the last of the readers had a ledger that closed after it.
    pub outage_seconds: f64,
    /// Seconds from its return until it served all but two ledgers; `None` if it did not.
    pub caught_up_seconds: Option<f64>,
    /// Seconds from its return until every region said that all are equal; `None` if one did not.
    pub equal_seconds: Option<f64>,
    /// Ledgers that it alone had durable when it was lost, if it was.
    pub only_there_ledgers: Option<u32>,
    /// The longest time for which a region was seen not to have heard another one, in seconds.
    pub unheard_seconds: f64,
    /// The same from some seconds after its return on: what copies keep waiting.
    pub unheard_after_seconds: f64,
    /// Seconds until a difference was found, the region parked, and a person told.
    pub found_seconds: Option<f64>,
    /// Seconds that a planned failover took, from the command to its end.
    pub switched_seconds: Option<f64>,
    /// Whether it was paused in the middle of a write, where that can be seen.
    pub was_writing: Option<bool>,
    /// Packets that were dropped in it, where that is the fault.
    pub dropped_packets: Option<u64>,
    /// The machine's load average then.
    pub load_average: Option<f64>,
}

impl RoundReport {
    /// One line for whoever watches.
    pub(super) fn line(&self) -> String {
        let mut line = format!(
            "{}: {} {}{} at ledger {}, away {:.1} s: a new ledger after {:.1} s",
            self.number,
            self.fault.name(),
            name_of(self.region.saturating_sub(1)),
            if self.had_traffic { ", which had traffic," } else { "" },
            self.ledger,
            self.away_seconds,
            self.outage_seconds,
        );
        let since = |time: Option<f64>| {
            time.map_or("never".to_owned(), |time| format!("{time:.1} s after its return"))
        };
        let _ = write!(
            line,
            ", caught up {}, all equal {}",
            since(self.caught_up_seconds),
            since(self.equal_seconds)
        );
        let _ = write!(
            line,
            ", unheard for {:.1} s, then {:.1} s",
            self.unheard_seconds, self.unheard_after_seconds
        );
        if let Some(ledgers) = self.only_there_ledgers {
            let _ = write!(line, ", {ledgers} ledgers were durable there alone");
        }
        for (what, time) in [("found", self.found_seconds), ("switched", self.switched_seconds)] {
            if let Some(time) = time {
                let _ = write!(line, ", {what} after {time:.1} s");
            }
        }
        if self.was_writing == Some(true) {
            line.push_str(", in the middle of a write");
        }
        let _ = write!(line, "; load {:.0}", self.load_average.unwrap_or_default());
        line
    }
}

/// How a region's dataset differs.
#[derive(Clone, Debug, Serialize)]
pub struct RegionComparison {
    /// Its name.
    pub region: String,
    /// Its difference from that of one undisturbed process.
    pub comparison: Comparison,
}

/// What became of all.
#[derive(Clone, Debug, Default, Serialize)]
pub struct RegionsReport {
    /// Of the random choices.
    pub seed: u64,
    /// How many regions.
    pub regions: usize,
    /// How many nodes each has.
    pub nodes: usize,
    /// How they replicate.
    pub mode: String,
    /// Ledgers that closed.
    pub ledgers: u32,
    /// Events in them.
    pub events: usize,
    /// Every fault.
    pub rounds: Vec<RoundReport>,
    /// What came of each kind of fault.
    pub faults: Vec<FaultResult>,
    /// Of the outages of all rounds.
    pub outage_seconds: Spread,
    /// Of those where the region had traffic.
    pub failover_seconds: Spread,
    /// Of the times until a region that was back had caught up.
    pub caught_up_seconds: Spread,
    /// Of the times from a ledger's closing until a reader had its first event, faults included.
    pub latency_seconds: Spread,
    /// Of the machine's load averages.
    pub load_average: Spread,
    /// Every region's dataset.
    pub comparisons: Vec<RegionComparison>,
    /// Events lost or repeated, regions that did not come back, and other things that should not be.
    pub problems: Vec<String>,
    #[serde(skip)]
    pub(super) latencies: Vec<f64>,
}

impl RegionsReport {
    pub(super) fn new(settings: &RegionsSettings) -> Self {
        let RegionsSettings { seed, regions, nodes, mode, .. } = settings;
        Self { seed: *seed, regions: *regions, nodes: *nodes, mode: mode.clone(), ..Self::default() }
    }

    /// Whether there is to be another round.
    pub(super) fn goes_on(&self, rounds: u32) -> bool {
        self.problems.is_empty() && self.rounds.len() < rounds as usize
    }

    /// Whether nothing was lost, and readers and regions went on soon enough.
    pub fn survived(&self) -> bool {
        let equal = self.comparisons.iter().filter(|region| region.comparison.is_equal()).count();
        self.problems.is_empty()
            && equal == self.regions
            && self.outage_seconds.p99 <= OUTAGE_P99_MAX
            && self.caught_up_seconds.p99 <= CAUGHT_UP_P99_MAX
    }

    /// Sums up.
    pub(super) fn conclude(&mut self) {
        let rounds = &self.rounds;
        self.outage_seconds = Spread::of(rounds.iter().map(|round| round.outage_seconds));
        let failovers = rounds.iter().filter(|round| round.had_traffic);
        self.failover_seconds = Spread::of(failovers.map(|round| round.outage_seconds));
        self.caught_up_seconds = Spread::of(rounds.iter().filter_map(|round| round.caught_up_seconds));
        self.faults = super::results::of(rounds);
        self.load_average = Spread::of(rounds.iter().filter_map(|round| round.load_average));
        self.latency_seconds = Spread::of(self.latencies.iter().copied());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_outages_slow_returns_problems_and_other_datasets_are_no_survival() {
        let check = |outage: f64, caught_up: f64, problem: &str, equal: usize, expect: bool| {
            let round = RoundReport {
                number: 1,
                fault: Fault::Kill,
                region: 1,
                outage_seconds: outage,
                caught_up_seconds: Some(caught_up),
                ..RoundReport::default()
            };
            let region =
                RegionComparison { region: "region-1".to_owned(), comparison: Comparison::default() };
            let mut report = RegionsReport {
                regions: 2,
                rounds: vec![round],
                comparisons: vec![region; equal],
                problems: Some(problem.to_owned()).filter(|it| !it.is_empty()).into_iter().collect(),
                ..RegionsReport::default()
            };
            report.conclude();
            assert_eq!(report.survived(), expect, "{outage} {caught_up} {problem} {equal}");
        };
        check(10.0, 15.0, "", 2, true);
        check(10.5, 15.0, "", 2, false);
        check(10.0, 15.5, "", 2, false);
        check(10.0, 15.0, "a reader", 2, false);
        check(10.0, 15.0, "", 1, false);
    }
}
