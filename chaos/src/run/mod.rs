//! The runner: faults by name, each done to a node, a cluster or regions, each with a witness that it happened, and a verdict.
//!
//! A fault that nothing shows is invalid, one that the machine does not allow is skipped, one that nothing does yet is not
//! implemented: none of these counts as survived. Everything that is made bears the number of this process, so that
//! [`gc`] finds what a killed run has left.
//!
//! | where | what |
//! |---|---|
//! | [`catalogue`] | all faults |
//! | [`doctor`] | what the machine allows |
//! | [`fault`], [`faults`] | what a fault is, and those that are done to one node |
//! | [`setup`], [`world`] | that node, with its source, its dataset and a reader |
//! | `scenario` | how a fault is done to it and judged |
//! | [`experiments`] | faults that are done by other experiments |
//! | [`verdict`], `report` | what came of it, for programs and for people |

pub mod catalogue;
pub mod doctor;
pub mod experiments;
pub mod fault;
pub mod faults;
pub mod gc;
pub mod report;
mod profile;
mod recorder;
mod reference;
mod scenario;
pub mod setup;
pub mod simulated;
mod slots;
pub mod verdict;
pub mod world;

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::Duration;

use orrery_supervisor::{Clock, MonotonicTime, SystemClock};

pub use profile::Profile;
pub use recorder::Recorder;

use catalogue::{Entry, Way};
use doctor::Machine;
use experiments::{Findings, Place};
use reference::Reference;
use setup::Setup;
use verdict::{Compared, FaultVerdict, Outcome, Verdict};

use crate::experiment::ExperimentError;
use crate::history;
use crate::process::{Orrery, Running};
use crate::workload::remove;

/// What is asked for.
#[derive(Clone, Debug)]
pub struct RunSettings {
    /// The program under test.
    pub orrery: Orrery,
    /// Another version of it, by which nodes are replaced.
    pub other: Option<Orrery>,
    /// Where worlds are while they are needed.
    pub folder: PathBuf,
    /// Where verdict, report and histories go.
    pub out: PathBuf,
    /// Of all choices.
    pub seed: u64,
    /// How much is done.
    pub profile: Profile,
    /// Only these faults; those of the profile if there are none.
    pub faults: Vec<&'static Entry>,
    /// Of each only the way with this number, from 0.
    pub way: Option<usize>,
}

/// Runs it. Progress goes to `progress`.
///
/// # Errors
///
/// Nothing can begin: an undisturbed run fails, or a folder cannot be written.
pub fn run(settings: &RunSettings, progress: &mut dyn Write) -> Result<Verdict, ExperimentError> {
    let RunSettings { orrery, out, seed, profile, faults, .. } = settings;
    fs::create_dir_all(out).map_err(ExperimentError::io("create", out))?;
    let chosen = catalogue::all().filter(|entry| match faults.as_slice() {
        [] => profile.has(entry),
        faults => faults.iter().any(|fault| fault.id == entry.id),
    });
    let verdict = Verdict {
        seed: *seed,
        profile: profile.name().to_owned(),
        version: version(orrery),
        seconds: 0.0,
        faults: Vec::new(),
    };
    let clock = SystemClock::new();
    let mut runner = Runner { settings, clock, machine: Machine::new(), reference: None, verdict, progress };
    for entry in chosen {
        runner.entry(entry)?;
    }
    let mut verdict = runner.verdict;
    verdict.seconds = clock.now().since(MonotonicTime::ORIGIN).as_secs_f64();
    Ok(verdict)
}

fn version(orrery: &Orrery) -> String {
    let ended =
        Running::start(orrery.command(["--version"])).and_then(|it| it.finish(Duration::from_secs(30)));
    ended.map(|ended| ended.output.trim().to_owned()).unwrap_or_default()
}

struct Runner<'a> {
    settings: &'a RunSettings,
    clock: SystemClock,
    machine: Machine,
    /// Made for the first fault that needs it.
    reference: Option<Reference>,
    verdict: Verdict,
    progress: &'a mut dyn Write,
}

impl Runner<'_> {
    /// Does a fault in all of its ways.
    fn entry(&mut self, entry: &'static Entry) -> Result<(), ExperimentError> {
        if let Some(why) = entry.missing() {
            let verdict = self.verdict_of(entry, "", Outcome::NotImplemented);
            return self.note(FaultVerdict { why: Some(why.to_owned()), ..verdict });
        }
        if let Some(why) = self.machine.forbids(entry) {
            let verdict = self.verdict_of(entry, "", Outcome::Skipped);
            return self.note(FaultVerdict { why: Some(why), ..verdict });
        }
        let ways = entry.ways.iter().enumerate();
        let RunSettings { profile, way: only, .. } = self.settings;
        let ways = ways.filter(|(index, way)| profile.does(way) && only.is_none_or(|only| only == *index));
        for (index, way) in ways {
            match way {
                Way::World(make) => {
                    for time in 0..self.settings.profile.times() {
                        let name = format!("{}-{index}-{time}", entry.id);
                        self.in_world(entry, &name, *make, self.settings.seed.wrapping_add(u64::from(time)))?;
                    }
                }
                Way::Experiment(experiment) => self.by_experiment(entry, index, *experiment)?,
                Way::Simulation(simulated) => self.in_simulation(entry, *simulated)?,
                Way::NotYet(_) => {}
            }
        }
        Ok(())
    }

    fn in_world(
        &mut self,
        entry: &'static Entry,
        name: &str,
        make: fn() -> Box<dyn fault::Fault>,
        seed: u64,
    ) -> Result<(), ExperimentError> {
        let folder = self.settings.folder.join(name);
        remove(&folder)?;
        fs::create_dir_all(&folder).map_err(ExperimentError::io("create", &folder))?;
        let setup = Setup::new(&self.settings.orrery, &folder, self.settings.seed)?;
        if self.reference.is_none() {
            self.reference = Some(Reference::new(&setup, &self.settings.folder)?);
        }
        let mut verdict = self.verdict_of(entry, "one node", Outcome::Invalid);
        verdict.reproduce = reproduction(entry.id, seed, self.settings.profile);
        let Some(reference) = &self.reference else { return Ok(()) };
        match scenario::run(entry.id, &mut *make(), setup, reference, seed) {
            Ok(trial) => {
                let file = format!("{name}.jsonl");
                write_history(&self.settings.out.join(&file), &trial.history)?;
                verdict.outcome = outcome(trial.witness.is_some(), &trial.problems);
                verdict.witness = trial.witness;
                verdict.problems = trial.problems;
                verdict.compared = trial.compared;
                verdict.phases = trial.phases;
                verdict.history = Some(file);
            }
            Err(error) => self.failed(&mut verdict, error),
        }
        if verdict.outcome == Outcome::Survived {
            remove(&folder)?;
        }
        self.note(verdict)
    }

    fn by_experiment(
        &mut self,
        entry: &'static Entry,
        index: usize,
        experiment: experiments::Experiment,
    ) -> Result<(), ExperimentError> {
        let RunSettings { orrery, other, seed, profile, .. } = self.settings;
        let folder = self.settings.folder.join(format!("{}-{index}", entry.id));
        fs::create_dir_all(&folder).map_err(ExperimentError::io("create", &folder))?;
        let mut verdict = self.verdict_of(entry, experiment.name(), Outcome::Invalid);
        if let Some(other) = other {
            verdict.reproduce.push_str(&format!(" --other {}", other.binary().display()));
        }
        let (other, progress) = (other.as_ref(), &mut *self.progress);
        let place = Place { orrery, other, folder: folder.clone(), seed: *seed, profile: *profile, progress };
        let found = experiment.run(place);
        let is_survived = self.conclude(verdict, found)? == Outcome::Survived;
        if is_survived { remove(&folder) } else { Ok(()) }
    }

    fn in_simulation(
        &mut self,
        entry: &'static Entry,
        simulated: simulated::Simulated,
    ) -> Result<(), ExperimentError> {
        let verdict = self.verdict_of(entry, "simulation", Outcome::Invalid);
        let found = simulated.run(self.settings.seed, self.settings.profile);
        self.conclude(verdict, found).map(drop)
    }

    fn conclude(
        &mut self,
        mut verdict: FaultVerdict,
        found: Result<Findings, ExperimentError>,
    ) -> Result<Outcome, ExperimentError> {
        match found {
            Ok(findings) => {
                verdict.outcome = outcome(findings.witness.is_some(), &findings.problems);
                verdict.witness = findings.witness;
                verdict.problems = findings.problems;
                verdict.compared = findings.compared;
            }
            Err(error) => self.failed(&mut verdict, error),
        }
        let outcome = verdict.outcome;
        self.note(verdict)?;
        Ok(outcome)
    }

    /// An experiment that gave no verdict: skipped if the machine is why, invalid otherwise.
    fn failed(&self, verdict: &mut FaultVerdict, error: ExperimentError) {
        match error {
            ExperimentError::Skipped(why) => {
                verdict.outcome = Outcome::Skipped;
                verdict.why = Some(why);
            }
            error => verdict.problems.push(error.to_string()),
        }
    }

    /// A verdict in the making.
    fn verdict_of(&self, entry: &Entry, way: &str, outcome: Outcome) -> FaultVerdict {
        FaultVerdict {
            fault: entry.id.to_owned(),
            sentence: entry.sentence.to_owned(),
            way: way.to_owned(),
            invariants: entry.invariants.iter().map(|id| (*id).to_owned()).collect(),
            outcome,
            witness: None,
            why: None,
            problems: Vec::new(),
            compared: Compared::default(),
            began: self.now(),
            seconds: 0.0,
            phases: Vec::new(),
            history: None,
            reproduce: reproduction(entry.id, self.settings.seed, self.settings.profile),
        }
    }

    fn note(&mut self, mut verdict: FaultVerdict) -> Result<(), ExperimentError> {
        verdict.seconds = self.now() - verdict.began;
        let why = verdict.why.iter().chain(&verdict.witness).chain(&verdict.problems).next();
        let FaultVerdict { fault, way, outcome, seconds, sentence, .. } = &verdict;
        let line = format!(
            "{fault:<4}{:<16}{seconds:>6.1} s  {way:<12}{sentence}{}{}",
            outcome.name(),
            if why.is_some() { ": " } else { "" },
            why.and_then(|why| why.lines().next()).unwrap_or_default()
        );
        writeln!(self.progress, "{line}").map_err(ExperimentError::io("write", Path::new("the progress")))?;
        self.verdict.faults.push(verdict);
        Ok(())
    }

    fn now(&self) -> f64 {
        self.clock.now().since(MonotonicTime::ORIGIN).as_secs_f64()
    }
}

/// Without a witness nothing is known, whatever went wrong.
fn outcome(has_witness: bool, problems: &[String]) -> Outcome {
    match (has_witness, problems.is_empty()) {
        (false, _) => Outcome::Invalid,
        (true, true) => Outcome::Survived,
        (true, false) => Outcome::Violated,
    }
}

fn reproduction(fault: &str, seed: u64, profile: Profile) -> String {
    match profile {
        Profile::Standard => format!("orrery-chaos run --fault {fault} --seed {seed}"),
        _ => format!("orrery-chaos run --profile {} --fault {fault} --seed {seed}", profile.name()),
    }
}

fn write_history(path: &Path, entries: &[history::Entry]) -> Result<(), ExperimentError> {
    let failed = || ExperimentError::io("write", path);
    let mut file = fs::File::create(path).map(std::io::BufWriter::new).map_err(failed())?;
    history::write(&mut file, entries).map_err(failed())
}
