//! What came of a run, for programs: `verdict.json`.

use serde::{Deserialize, Serialize};

/// What came of one fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Outcome {
    /// It was done, it showed itself, and everything was as if it had not been.
    Survived,
    /// It was done, and something is wrong.
    Violated,
    /// Nothing showed that it happened, or it could not be done: nothing is known.
    Invalid,
    /// The machine does not allow it.
    Skipped,
    /// Nothing does it yet.
    NotImplemented,
}

impl Outcome {
    /// Its name in reports.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Survived => "survived",
            Self::Violated => "violated",
            Self::Invalid => "invalid",
            Self::Skipped => "skipped",
            Self::NotImplemented => "not implemented",
        }
    }
}

/// A part of a scenario.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum PhaseName {
    /// Nothing is done to the node.
    Work,
    /// The fault lasts: nothing false may happen.
    Safety,
    /// The fault is ended.
    Heal,
    /// All has to be done in time.
    Liveness,
    /// The rest of the ledgers, a stop, the comparison.
    End,
}

impl PhaseName {
    /// Its name in reports.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Work => "work",
            Self::Safety => "safety",
            Self::Heal => "heal",
            Self::Liveness => "liveness",
            Self::End => "end",
        }
    }
}

/// When a part was, in seconds since the scenario began.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Phase {
    /// Which.
    pub name: PhaseName,
    /// Its beginning.
    pub from: f64,
    /// Its end.
    pub to: f64,
}

/// What was held against that of an undisturbed node, byte for byte and event for event. What differs is a problem.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Compared {
    /// Datasets: of nodes, of clusters, of each region.
    pub datasets: usize,
    /// Readers' feeds, from the first event to the last.
    pub feeds: usize,
}

/// What came of one way of one fault.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct FaultVerdict {
    /// Name of the fault, as `P1`.
    pub fault: String,
    /// What is done.
    pub sentence: String,
    /// How it was done.
    pub way: String,
    /// What must hold.
    pub invariants: Vec<String>,
    /// What came of it.
    pub outcome: Outcome,
    /// What showed that it happened.
    pub witness: Option<String>,
    /// Why it was skipped, or is not implemented.
    pub why: Option<String>,
    /// What should not be.
    pub problems: Vec<String>,
    /// What was looked at to the end.
    #[serde(default)]
    pub compared: Compared,
    /// Since the run began, in seconds.
    pub began: f64,
    /// How long it took, in seconds.
    pub seconds: f64,
    /// Its parts, if it was done to one node.
    pub phases: Vec<Phase>,
    /// The history, a file beside this one.
    pub history: Option<String>,
    /// The same again, on one line.
    pub reproduce: String,
}

/// What came of a run.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Verdict {
    /// Of all choices.
    pub seed: u64,
    /// Which faults were asked for.
    pub profile: String,
    /// The program under test, as it says.
    pub version: String,
    /// Seconds of everything.
    pub seconds: f64,
    /// Each fault, in each of its ways.
    pub faults: Vec<FaultVerdict>,
}

impl Verdict {
    /// Faults, of which several verdicts may be, with the worst that came of each, in their order.
    pub fn by_fault(&self) -> Vec<(&str, Outcome)> {
        let mut found: Vec<(&str, Outcome)> = Vec::new();
        for verdict in &self.faults {
            match found.iter_mut().find(|(fault, _)| *fault == verdict.fault) {
                Some((_, outcome)) => *outcome = worst(*outcome, verdict.outcome),
                None => found.push((&verdict.fault, verdict.outcome)),
            }
        }
        found
    }

    /// How many faults ended so.
    pub fn count(&self, outcome: Outcome) -> usize {
        self.by_fault().iter().filter(|(_, found)| *found == outcome).count()
    }

    /// 0: all that could be done was survived; 1: something was not, or nothing is known of it; 77: nothing could be done.
    pub fn exit_code(&self) -> u8 {
        match () {
            () if self.count(Outcome::Violated) + self.count(Outcome::Invalid) > 0 => 1,
            () if self.count(Outcome::Survived) == 0 => 77,
            () => 0,
        }
    }

    /// What was compared of all that was survived, in a sentence; nothing if nothing was.
    pub fn compared(&self) -> Option<String> {
        let survived = || self.faults.iter().filter(|fault| fault.outcome == Outcome::Survived);
        let datasets: usize = survived().map(|fault| fault.compared.datasets).sum();
        let feeds: usize = survived().map(|fault| fault.compared.feeds).sum();
        (datasets > 0).then(|| {
            format!(
                "In what was survived, {datasets} datasets are byte for byte those of an undisturbed node, and {feeds} readers have every \
                 event once and in order: 0 lost, 0 duplicated, 0 phantom"
            )
        })
    }

    /// The result in a sentence.
    pub fn sentence(&self) -> String {
        let count = |outcome| self.count(outcome);
        format!(
            "{} of {} faults survived; {} violated, {} without a witness, {} skipped, {} not implemented",
            count(Outcome::Survived),
            self.by_fault().len(),
            count(Outcome::Violated),
            count(Outcome::Invalid),
            count(Outcome::Skipped),
            count(Outcome::NotImplemented)
        )
    }
}

/// Of two ways of one fault. One that was skipped takes nothing from one that was survived: it is listed.
fn worst(a: Outcome, b: Outcome) -> Outcome {
    let rank = |outcome| match outcome {
        Outcome::Violated => 4,
        Outcome::Invalid => 3,
        Outcome::Survived => 2,
        Outcome::Skipped => 1,
        Outcome::NotImplemented => 0,
    };
    if rank(a) >= rank(b) { a } else { b }
}
