//! What became of a cluster to which faults were done.

use std::time::Duration;

use serde::Serialize;

use super::ClusterSettings;
use super::plan::Fault;
use super::progress::Spread;
use crate::judges::dataset::Comparison;

/// 99 of 100 pauses are not longer: what the cluster promises.
const PAUSE_P99_MAX: f64 = 10.0;

/// One fault and what came of it.
#[derive(Clone, Debug, Serialize)]
pub struct RoundReport {
    /// From 1.
    pub number: usize,
    /// What was done.
    pub fault: Fault,
    /// To whom.
    pub node: String,
    /// Whether it was the active coordinator.
    pub was_coordinator: bool,
    /// Tasks of it that were not written yet.
    pub tasks: usize,
    /// Slots that both tables had then.
    pub slots: u32,
    /// Seconds for which it was away.
    pub away_seconds: f64,
    /// Seconds until anybody committed; `None` if the dataset was complete before.
    pub first_commit_seconds: Option<f64>,
    /// Longest time without a commit until all that the node had in work was written.
    pub longest_pause_seconds: f64,
    /// Seconds from its return until another node had it as a member; `None` if the dataset was complete before.
    pub joined_seconds: Option<f64>,
    /// Seconds from its return until it began a task or wrote a slot; `None` likewise.
    pub works_seconds: Option<f64>,
    /// The machine's load average then.
    pub load_average: Option<f64>,
    /// What shows that the fault happened.
    pub witness: Option<String>,
}

/// What became of all.
#[derive(Clone, Debug, Default, Serialize)]
pub struct ClusterReport {
    /// Number of the process that ran it: its namespaces are called after it.
    pub process: u32,
    /// Of the random choices.
    pub seed: u64,
    /// How many.
    pub nodes: usize,
    /// Ledgers of one dataset.
    pub ledgers: u32,
    /// Slots of one table.
    pub slots: u32,
    /// Seconds that one undisturbed process took.
    pub undisturbed_seconds: f64,
    /// Seconds of everything.
    pub seconds: f64,
    /// Every fault.
    pub rounds: Vec<RoundReport>,
    /// Rounds of each dataset.
    pub datasets: Vec<u32>,
    /// Of the longest pauses of all rounds.
    pub pause_seconds: Spread,
    /// Of the times until a node that was back was a member.
    pub joined_seconds: Spread,
    /// Of the times until it worked.
    pub works_seconds: Spread,
    /// Of the times that nodes took to end which were told to stop.
    pub stop_seconds: Spread,
    /// Of the machine's load averages.
    pub load_average: Spread,
    /// The comparison of the first dataset that differs, or of the last.
    pub comparison: Comparison,
    /// Nodes that ended badly, did not come back, and other things that should not be.
    pub problems: Vec<String>,
}

impl ClusterReport {
    pub(super) fn new(settings: &ClusterSettings, undisturbed: Duration) -> Self {
        Self {
            process: std::process::id(),
            seed: settings.seed,
            nodes: settings.nodes,
            ledgers: settings.workload.ledgers,
            slots: settings.workload.slots(),
            undisturbed_seconds: undisturbed.as_secs_f64(),
            ..Self::default()
        }
    }

    /// Whether nothing was lost and everybody went on, however long that took.
    pub(super) fn is_sound(&self) -> bool {
        self.problems.is_empty() && self.comparison.is_equal()
    }

    /// Whether the cluster survived everything, soon enough.
    pub fn survived(&self) -> bool {
        self.is_sound() && self.pause_seconds.p99 <= PAUSE_P99_MAX
    }

    /// Sums up.
    pub(super) fn conclude(&mut self, took: Duration) {
        self.seconds = took.as_secs_f64();
        let rounds = &self.rounds;
        let stops = rounds.iter().filter(|round| round.fault == Fault::Term);
        self.pause_seconds = Spread::of(rounds.iter().map(|round| round.longest_pause_seconds));
        self.joined_seconds = Spread::of(rounds.iter().filter_map(|round| round.joined_seconds));
        self.works_seconds = Spread::of(rounds.iter().filter_map(|round| round.works_seconds));
        self.stop_seconds = Spread::of(stops.map(|round| round.away_seconds));
        self.load_average = Spread::of(rounds.iter().filter_map(|round| round.load_average));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn round(pause: f64) -> RoundReport {
        RoundReport {
            number: 1,
            fault: Fault::Kill,
            witness: None,
            node: "a".to_owned(),
            was_coordinator: false,
            tasks: 2,
            slots: 3,
            away_seconds: 1.0,
            first_commit_seconds: Some(pause),
            longest_pause_seconds: pause,
            joined_seconds: Some(1.0),
            works_seconds: None,
            load_average: None,
        }
    }

    #[test]
    fn long_pauses_and_problems_are_no_survival() {
        let check = |pauses: &[f64], problems: &[&str], expect: bool| {
            let mut report = ClusterReport {
                rounds: pauses.iter().copied().map(round).collect(),
                problems: problems.iter().map(|problem| (*problem).to_owned()).collect(),
                ..ClusterReport::default()
            };
            report.conclude(Duration::ZERO);
            assert_eq!(report.survived(), expect, "{pauses:?} {problems:?}");
        };
        check(&[1.0, 10.0], &[], true);
        check(&[1.0, 10.5], &[], false);
        check(&[1.0], &["node a ended"], false);
        let mut one_of_two_hundred = vec![1.0; 199];
        one_of_two_hundred.push(11.0);
        check(&one_of_two_hundred, &[], true);
    }
}
