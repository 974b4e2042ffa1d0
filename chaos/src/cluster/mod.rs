//! The experiment: nodes of a cluster write one dataset together, and again and again one of them is killed, paused, cut off
//! or told to stop, in the middle of work. The others must go on within seconds, the node must take part again without a
//! hand, and the dataset must be that of one undisturbed process, byte for byte.
//!
//! How long nothing was committed is seen in the dataset itself: from a fault on, until the log has passed all that the node
//! had in work. Whether a node takes part again is seen in the others' logs and in its own. Each dataset takes as many
//! rounds as fit while there is work; the rest is done to another one.

mod disturbance;
mod plan;
pub(crate) mod progress;
mod log_file;
mod nodes;
mod round;
mod report;

use std::io::{self, Write};
use std::path::PathBuf;
use std::time::Duration;

use orrery_supervisor::{Clock, MonotonicTime, SystemClock};

use crate::experiment::ExperimentError;
use crate::judges::dataset::{Accelerators, Expected};
use crate::process::Orrery;
use crate::workload::{FIRST_LEDGER, Mode, Workload};

use crate::network::Network;
use nodes::Nodes;
use plan::{Plan, Round};
use progress::Tip;

pub use plan::Fault;
pub use progress::Spread;
pub use report::{ClusterReport, RoundReport};

/// Between two looks at logs and datasets.
const LOOK_EVERY: Duration = Duration::from_millis(20);

/// Within it a cluster has committed something, and one that has nothing left to do has ended.
const PATIENCE: Duration = Duration::from_secs(120);

/// No fault any more when so little of a dataset is left, as one part of so many: there would be no work to disturb.
const REST: u32 = 5;

/// Datasets without a round in a row after which the experiment is no good.
const BARREN_MAX: u32 = 10;

/// What is asked for.
#[derive(Clone, Debug)]
pub struct ClusterSettings {
    /// Ledgers and place.
    pub workload: Workload,
    /// Faults.
    pub rounds: u32,
    /// Kinds of faults, done in turn.
    pub faults: Vec<Fault>,
    /// How many nodes.
    pub nodes: usize,
    /// Another version of the program, by which nodes are replaced.
    pub other: Option<Orrery>,
    /// Whether every fault is done to the node that coordinates; else every third one is.
    pub to_coordinator: bool,
    /// Seed of victims and moments.
    pub seed: u64,
}

/// Runs it. Progress goes to `progress`.
///
/// # Errors
///
/// An undisturbed run fails, or the machine refuses what is needed.
pub fn run(settings: &ClusterSettings, progress: &mut dyn Write) -> Result<ClusterReport, ExperimentError> {
    let ClusterSettings { workload, faults, nodes, seed, .. } = settings;
    let clock = SystemClock::new();
    if faults.contains(&Fault::Replace) {
        check_other(&workload.orrery, settings.other.as_ref())?;
    }
    let network =
        faults.iter().any(|fault| fault.is_of_network()).then(|| Network::new(*nodes)).transpose()?;
    let certificates = match &network {
        Some(_) => Some(nodes::make_certificates(workload, *nodes)?),
        None => None,
    };
    workload.make_lake()?;
    let undisturbed = workload.fresh("undisturbed")?;
    let (_, took) = workload.complete(Mode::Backfill, &undisturbed, "the undisturbed run")?;
    let expected = Expected::read(&undisturbed.dataset, (FIRST_LEDGER, workload.last_ledger()))?;
    let report = ClusterReport::new(settings, took);
    let plan = Plan::new(*seed, faults, *nodes, settings.to_coordinator);
    let network = network.as_ref().zip(certificates);
    let mut experiment = Experiment { settings, clock, network, plan, drawn: None, report, progress };
    let line = format!("undisturbed: {:.1} s, {} slots a table", took.as_secs_f64(), workload.slots());
    experiment.say(&line)?;
    experiment.disturb_all(&expected)?;
    let mut report = experiment.report;
    report.conclude(clock.now().since(MonotonicTime::ORIGIN));
    Ok(report)
}

/// Nodes can be replaced by another version if there is one.
fn check_other(orrery: &Orrery, other: Option<&Orrery>) -> Result<(), ExperimentError> {
    let Some(other) = other else {
        let why = "no other version of orrery is given: --other ORRERY";
        return Err(ExperimentError::Skipped(why.to_owned()));
    };
    let read = |program: &Orrery| {
        std::fs::read(program.binary()).map_err(ExperimentError::io("read", program.binary()))
    };
    match read(orrery)? == read(other)? {
        false => Ok(()),
        true => Err(ExperimentError::Usage("--other names the same program, byte for byte".to_owned())),
    }
}

struct Experiment<'a> {
    settings: &'a ClusterSettings,
    clock: SystemClock,
    network: Option<(&'a Network, PathBuf)>,
    plan: Plan,
    /// Drawn, but its dataset was complete before its moment came: the next dataset's first.
    drawn: Option<Round>,
    report: ClusterReport,
    progress: &'a mut dyn Write,
}

impl Experiment<'_> {
    /// Does all rounds, to as many datasets as that takes, or stops at the first that differs.
    fn disturb_all(&mut self, expected: &Expected) -> Result<(), ExperimentError> {
        let workload = &self.settings.workload;
        let ledgers = (FIRST_LEDGER, workload.last_ledger());
        let mut barren = 0;
        while self.rounds_left() > 0 && self.report.is_sound() {
            let before = self.rounds_left();
            let network = self.network.clone();
            let network = network.as_ref().map(|(network, folder)| (*network, folder.as_path()));
            let mut nodes = Nodes::new(workload, network, self.settings.nodes)?;
            nodes.other = self.settings.other.clone();
            self.disturb(&mut nodes)?;
            if self.report.problems.is_empty() {
                self.end(&mut nodes)?;
            }
            let rounds = before - self.rounds_left();
            self.report.datasets.push(rounds);
            if !self.report.problems.is_empty() {
                break;
            }
            self.report.comparison =
                expected.compare(nodes.dataset(), ledgers, Accelerators::ThatBothHave)?;
            barren = if rounds == 0 { barren + 1 } else { 0 };
            if barren == BARREN_MAX {
                let problem = "datasets were complete before any fault: use more ledgers";
                self.report.problems.push(problem.to_owned());
            }
        }
        Ok(())
    }

    /// Rounds while there is work.
    fn disturb(&mut self, nodes: &mut Nodes<'_>) -> Result<(), ExperimentError> {
        (0..self.settings.nodes).try_for_each(|index| nodes.start(index))?;
        let mut tip = Tip::new(nodes.dataset());
        let begun = self.now();
        while tip.look() == 0 {
            self.note_ends(nodes, None, false)?;
            if self.now() - begun > PATIENCE {
                self.report.problems.push(format!("nothing was committed in {} s", PATIENCE.as_secs()));
            }
            if !self.report.problems.is_empty() {
                return Ok(());
            }
            self.pause();
        }
        let slots = self.settings.workload.slots();
        while self.rounds_left() > 0 && slots - tip.look() > slots / REST && self.report.problems.is_empty() {
            let round = self.drawn.take().unwrap_or_else(|| self.plan.round());
            let until = self.now() + round.delay;
            while self.now() < until {
                self.note_ends(nodes, None, tip.look() >= slots)?;
                self.pause();
            }
            if tip.look() < slots && self.report.problems.is_empty() {
                self.round(nodes, &mut tip, &round)?;
            } else {
                self.drawn = Some(round);
            }
        }
        Ok(())
    }

    /// Waits until all nodes end by themselves, as they do when everything is written.
    fn end(&mut self, nodes: &mut Nodes<'_>) -> Result<(), ExperimentError> {
        let mut tip = Tip::new(nodes.dataset());
        let (slots, mut last, mut grew) = (self.settings.workload.slots(), 0, self.now());
        while tip.look() < slots && self.now() - grew < PATIENCE {
            if tip.look() > last {
                (last, grew) = (tip.look(), self.now());
            }
            // Logs are read to the end, so that a report can tell where they are.
            nodes.read_logs();
            self.pause();
        }
        for index in 0..self.settings.nodes {
            if let Some(ended) = nodes.finish(index, PATIENCE)?
                && !ended.status.success()
            {
                let when = format!("when {} of {slots} slots were written", tip.look());
                self.report.problems.push(nodes.ended_badly(index, &when, &ended));
            }
        }
        Ok(())
    }

    /// A node that ends by itself while there is work, or badly, is a problem.
    fn note_ends(
        &mut self,
        nodes: &mut Nodes<'_>,
        but: Option<usize>,
        is_complete: bool,
    ) -> Result<(), ExperimentError> {
        for index in (0..self.settings.nodes).filter(|index| Some(*index) != but) {
            let is_running = nodes.nodes.get(index).is_some_and(|node| node.running.is_some());
            if is_complete || !is_running || !nodes.has_ended(index) {
                continue;
            }
            if let Some(ended) = nodes.finish(index, Duration::ZERO)? {
                self.report.problems.push(nodes.ended_badly(index, "while there was work", &ended));
            }
        }
        Ok(())
    }

    fn rounds_left(&self) -> u32 {
        let done = u32::try_from(self.report.rounds.len()).unwrap_or(u32::MAX);
        self.settings.rounds.saturating_sub(done)
    }

    fn now(&self) -> Duration {
        self.clock.now().since(MonotonicTime::ORIGIN)
    }

    /// Until it is time for another look; an early one does no harm.
    fn pause(&self) {
        std::thread::park_timeout(LOOK_EVERY);
    }

    fn say(&mut self, line: &str) -> Result<(), ExperimentError> {
        let written: io::Result<()> = writeln!(self.progress, "{line}");
        written.map_err(ExperimentError::io("write", "the progress".as_ref()))
    }
}
