//! What became of regions to which faults were done.

use serde::Serialize;

use super::RegionsSettings;
use super::plan::Fault;
use crate::cluster::Spread;
use crate::judges::dataset::Comparison;

/// 99 of 100 readers wait no longer for a new ledger: what regions promise.
const OUTAGE_P99_MAX: f64 = 10.0;

/// And a region that is back serves new ledgers within this.
const CAUGHT_UP_P99_MAX: f64 = 15.0;

/// One fault and what came of it.
#[derive(Clone, Debug, Serialize)]
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
    /// The machine's load average then.
    pub load_average: Option<f64>,
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
                had_traffic: true,
                ledger: 9,
                away_seconds: 5.0,
                outage_seconds: outage,
                caught_up_seconds: Some(caught_up),
                load_average: None,
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
