//! What came of each kind of fault: the figures that are promised to users, for tables and for programs.

use serde::Serialize;

use super::plan::Fault;
use super::report::{RegionsReport, RoundReport};
use crate::cluster::Spread;

/// One kind of fault.
#[derive(Clone, Debug, Serialize)]
pub struct FaultResult {
    /// Which.
    pub fault: Fault,
    /// How often it was done.
    pub rounds: usize,
    /// How often to the region that had traffic.
    pub to_traffic: usize,
    /// Recovery time: seconds from the fault until the last reader had a ledger that closed after it.
    pub recovery_seconds: Spread,
    /// Seconds from the region's return until it served all but two ledgers.
    pub caught_up_seconds: Spread,
    /// Seconds from its return until every region said that all are equal.
    pub equal_seconds: Spread,
    /// Recovery point, if sources were lost too: ledgers that the lost region alone had durable.
    pub only_there_ledgers: Spread,
    /// Seconds until a difference was found and the region parked.
    pub found_seconds: Spread,
    /// Seconds that a planned failover took.
    pub switched_seconds: Spread,
    /// Pauses that began in the middle of a write, where that can be seen.
    pub in_a_write: usize,
}

/// Of all kinds that were done.
pub(super) fn of(rounds: &[RoundReport]) -> Vec<FaultResult> {
    let kinds = Fault::ALL.into_iter().filter(|fault| rounds.iter().any(|round| round.fault == *fault));
    let result = |fault| {
        let of_it = || rounds.iter().filter(move |round| round.fault == fault);
        let spread = |time: fn(&RoundReport) -> Option<f64>| Spread::of(of_it().filter_map(time));
        FaultResult {
            fault,
            rounds: of_it().count(),
            to_traffic: of_it().filter(|round| round.had_traffic).count(),
            recovery_seconds: spread(|round| Some(round.outage_seconds)),
            caught_up_seconds: spread(|round| round.caught_up_seconds),
            equal_seconds: spread(|round| round.equal_seconds),
            only_there_ledgers: spread(|round| round.only_there_ledgers.map(f64::from)),
            found_seconds: spread(|round| round.found_seconds),
            switched_seconds: spread(|round| round.switched_seconds),
            in_a_write: of_it().filter(|round| round.was_writing == Some(true)).count(),
        }
    };
    kinds.map(result).collect()
}

/// A line of the file of results: one kind of fault of one run, and what holds for the whole run.
#[derive(Debug, Serialize)]
struct Line<'a> {
    command: &'a str,
    survived: bool,
    regions: usize,
    nodes: usize,
    store: &'a str,
    mode: &'a str,
    ledgers: u32,
    ledgers_lost: u64,
    ledgers_repeated: u64,
    objects_different: usize,
    events: usize,
    reader_problems: usize,
    #[serde(flatten)]
    result: &'a FaultResult,
}

impl RegionsReport {
    /// One JSON object a line for each kind of fault. `command` is what gave them, `store` what regions keep datasets in.
    pub fn lines(&self, command: &str, store: &str) -> String {
        let of_all = |count: fn(&crate::judges::dataset::Comparison) -> u64| -> u64 {
            self.comparisons.iter().map(|region| count(&region.comparison)).sum()
        };
        let different = self.comparisons.iter().map(|region| &region.comparison);
        let different =
            different.map(|it| it.objects_different + it.objects_missing + it.objects_extra).sum();
        let line = |result| Line {
            command,
            survived: self.survived(),
            regions: self.regions,
            nodes: self.nodes,
            store,
            mode: &self.mode,
            ledgers: self.ledgers,
            ledgers_lost: of_all(|it| it.ledgers_lost),
            ledgers_repeated: of_all(|it| it.ledgers_duplicated),
            objects_different: different,
            events: self.events,
            reader_problems: self.problems.len(),
            result,
        };
        // Texts and numbers: there is nothing that JSON could not say.
        let text = |result| serde_json::to_string(&line(result)).unwrap_or_default() + "\n";
        self.faults.iter().map(text).collect()
    }
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;

    #[test]
    fn each_kind_of_fault_has_a_line_with_its_own_figures_and_the_command() {
        let round = |fault, outage_seconds, only_there_ledgers| RoundReport {
            fault,
            outage_seconds,
            only_there_ledgers,
            had_traffic: outage_seconds > 1.0,
            caught_up_seconds: Some(3.0),
            ..RoundReport::default()
        };
        let rounds = [
            round(Fault::Kill, 4.0, Some(16)),
            round(Fault::Split, 0.5, None),
            round(Fault::Kill, 0.5, Some(0)),
        ];
        let mut report = RegionsReport { rounds: rounds.to_vec(), ..RegionsReport::default() };
        report.conclude();
        let lines = report.lines("orrery-chaos regions --seed 1", "folder");
        let lines: Vec<Value> = lines.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        let figures = |line: &Value| {
            let max = |name: &str| line[name]["max"].as_f64().unwrap();
            let counts = (line["rounds"].as_u64().unwrap(), line["to_traffic"].as_u64().unwrap());
            (
                line["fault"].as_str().unwrap().to_owned(),
                counts,
                max("recovery_seconds"),
                max("only_there_ledgers"),
            )
        };
        assert_eq!(
            lines.iter().map(figures).collect::<Vec<_>>(),
            [("kill".to_owned(), (2, 1), 4.0, 16.0), ("split".to_owned(), (1, 0), 0.5, 0.0)]
        );
        assert!(lines.iter().all(|line| line["command"] == "orrery-chaos regions --seed 1"));
    }
}
