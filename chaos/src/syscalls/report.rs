//! What came of killing and failing calls.

use serde::Serialize;

use super::SyscallsSettings;

/// One call under one fault.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct CallReport {
    /// The system call.
    pub call: &'static str,
    /// `SIGKILL`, or the error that the call gave.
    pub fault: &'static str,
    /// Points of the plan.
    pub points: usize,
    /// Of these, where the fault was seen to happen.
    pub exercised: usize,
    /// Runs that were judged. A point may be met more than once.
    pub runs: usize,
    /// Of these, with an error that the node overcame by itself.
    pub recovered: usize,
    /// Of these, with an error that the node ended with.
    pub refused: usize,
    /// Points that no further run had: the node's state is written through by a timer, more often in a slow run.
    pub missed: Vec<String>,
}

impl CallReport {
    /// For people.
    pub(crate) fn line(&self) -> String {
        let Self { call, fault, points, exercised, runs, recovered, refused, .. } = self;
        let line = format!("{fault:<8}{call:<16}{exercised:>5} of {points:>4} points, {runs:>4} runs");
        match *fault {
            "SIGKILL" => line,
            _ => format!("{line}: {recovered} overcome, {refused} ended with an error"),
        }
    }
}

/// All of it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct SyscallsReport {
    /// Of ledgers and sample.
    pub seed: u64,
    /// Ledgers of the dataset.
    pub ledgers: u32,
    /// Slots of one table.
    pub slots: u32,
    /// What was done.
    pub calls: Vec<CallReport>,
    /// What should not be.
    pub problems: Vec<String>,
}

impl SyscallsReport {
    pub(super) fn new(settings: &SyscallsSettings) -> Self {
        let (ledgers, slots) = (settings.workload.ledgers, settings.workload.slots());
        Self { seed: settings.seed, ledgers, slots, ..Self::default() }
    }

    /// Whether the node survived everything.
    pub fn survived(&self) -> bool {
        self.problems.is_empty()
    }

    /// Points where a kill was seen, and all there are.
    pub fn killed(&self) -> (usize, usize) {
        let kills = self.calls.iter().filter(|counts| counts.fault == "SIGKILL");
        kills.fold((0, 0), |(exercised, points), counts| {
            (exercised + counts.exercised, points + counts.points)
        })
    }
}
