//! One fault from beginning to end: work, the fault, its witness, its end, and everything as if it had not been.
//!
//! In the safety phase the fault lasts, and nothing false may happen; after it has ended, in the liveness phase, all has to be
//! done within a time. The dataset is compared byte for byte with one that nobody disturbed, the reader's events with those
//! that the simulated network recorded as they happened.

use std::ops::RangeInclusive;
use std::time::Duration;

use super::fault::Fault;
use super::reference::Reference;
use super::setup::{Ending, Setup};
use super::verdict::{Compared, Phase, PhaseName};
use super::world::{NODE, READER, World};
use crate::Random;
use crate::checkers;
use crate::experiment::ExperimentError;
use crate::history::{Entry, Op};
use crate::judges::dataset::Accelerators;
use crate::workload::FIRST_LEDGER;

/// The node serves its history within this, and ends within this when it is told to.
const STARTS_WITHIN: Duration = Duration::from_secs(60);
const STOPS_WITHIN: Duration = Duration::from_secs(75);

/// The moment of a fault is drawn from this long after the node serves all that there is.
const WORKS_MILLIS: RangeInclusive<usize> = 300..=2300;

/// Ledgers that a reader may be behind when all is well.
const LAG_MAX: u32 = 2;

/// Between two calls of a fault that lasts.
const KEEPS_ON_EVERY: Duration = Duration::from_millis(50);

/// Lines of a log in a report.
const LINES_TOLD: usize = 15;

/// What came of it.
#[derive(Debug)]
pub(super) struct Trial {
    /// What showed that the fault happened.
    pub(super) witness: Option<String>,
    /// What should not be.
    pub(super) problems: Vec<String>,
    /// When what was done.
    pub(super) phases: Vec<Phase>,
    /// What was compared.
    pub(super) compared: Compared,
    /// All that was seen.
    pub(super) history: Vec<Entry>,
}

/// Does `fault` to a world of its own. However that ends, the fault is cleaned up.
///
/// # Errors
///
/// The machine refuses something, or the node does not even work undisturbed.
pub(super) fn run(
    id: &str,
    fault: &mut dyn Fault,
    setup: Setup,
    reference: &Reference,
    seed: u64,
) -> Result<Trial, ExperimentError> {
    let trial = prepared(id, fault, setup, reference, seed);
    fault.clean_up();
    trial
}

fn prepared(
    id: &str,
    fault: &mut dyn Fault,
    mut setup: Setup,
    reference: &Reference,
    seed: u64,
) -> Result<Trial, ExperimentError> {
    fault.prepare(&mut setup)?;
    let world = World::new(setup, &reference.lake)?;
    let random = Random::new(seed);
    let (problems, phases, compared) = (Vec::new(), Vec::new(), Compared::default());
    let mut scenario = Scenario { world, random, reference, problems, phases, witness: None, compared };
    scenario.run(id, fault)?;
    let Scenario { world, mut problems, phases, witness, compared, .. } = scenario;
    let history = world.into_history();
    problems.extend(checkers::check(&history).iter().map(ToString::to_string));
    Ok(Trial { witness, problems, phases, compared, history })
}

struct Scenario<'a> {
    world: World,
    random: Random,
    reference: &'a Reference,
    problems: Vec<String>,
    phases: Vec<Phase>,
    witness: Option<String>,
    compared: Compared,
}

impl Scenario<'_> {
    fn run(&mut self, id: &str, fault: &mut dyn Fault) -> Result<(), ExperimentError> {
        let is_whole = self.world.setup.ending == Ending::Whole;
        self.begin(PhaseName::Work);
        if is_whole {
            self.work()?;
        }
        self.begin(PhaseName::Safety);
        let signal = None;
        self.world.recorder.saw(NODE, Op::Fault { fault: id.to_owned(), signal });
        fault.inject(&mut self.world, &mut self.random)?;
        self.await_witness(fault)?;
        let holds = self.world.setup.holds;
        self.last(fault, holds)?;
        // What shows itself only towards the end is a witness as well, or when all is counted.
        self.look(fault);
        self.begin(PhaseName::Heal);
        fault.heal(&mut self.world)?;
        self.look(fault);
        self.world.note(&format!("{id} has ended"));
        self.begin(PhaseName::Liveness);
        if is_whole {
            self.live()?;
            self.begin(PhaseName::End);
            self.finish()?;
            self.compare()?;
        }
        self.problems.extend(fault.problems(&mut self.world));
        if !self.problems.is_empty() {
            let log = self.world.log();
            let lines: Vec<&str> = log.lines().collect();
            let told = lines.get(lines.len().saturating_sub(LINES_TOLD)..).unwrap_or_default().join("\n");
            self.problems.push(format!("the node's last lines:\n{told}"));
        }
        self.close();
        Ok(())
    }

    /// Until the node serves what there is, and some time more.
    fn work(&mut self) -> Result<(), ExperimentError> {
        self.world.start()?;
        self.world.start_reader()?;
        let history = FIRST_LEDGER + self.world.setup.history - 1;
        let serves = |world: &mut World| {
            let is_there = world.read().0 >= history && world.committed() >= history;
            (is_there || !world.runs()).then_some(is_there)
        };
        if self.world.until(STARTS_WITHIN, serves)? != Some(true) {
            let problem = format!("it does not serve {history} ledgers, before any fault");
            let (step, output) = ("a node".to_owned(), self.world.log());
            return Err(ExperimentError::Undisturbed { step, problem, output });
        }
        let span = WORKS_MILLIS.end() - WORKS_MILLIS.start();
        let millis = WORKS_MILLIS.start() + self.random.below(span);
        self.world.pass(Duration::from_millis(millis as u64))
    }

    fn await_witness(&mut self, fault: &mut dyn Fault) -> Result<(), ExperimentError> {
        let until = self.world.now() + self.world.setup.witness_within;
        while self.witness.is_none() && self.world.now() < until {
            self.look(fault);
            fault.keep_on(&mut self.world, &mut self.random)?;
            self.world.pass(KEEPS_ON_EVERY)?;
        }
        Ok(())
    }

    /// Asks for a witness, if there is none yet.
    fn look(&mut self, fault: &mut dyn Fault) {
        if self.witness.is_none() {
            self.witness = fault.witness(&mut self.world);
            if let Some(witness) = &self.witness {
                let text = format!("witness: {witness}");
                self.world.note(&text);
            }
        }
    }

    fn last(&mut self, fault: &mut dyn Fault, time: Duration) -> Result<(), ExperimentError> {
        let until = self.world.now() + time;
        while self.world.now() < until {
            fault.keep_on(&mut self.world, &mut self.random)?;
            self.world.pass(KEEPS_ON_EVERY)?;
        }
        Ok(())
    }

    /// The node catches up with a lake that goes on growing.
    fn live(&mut self) -> Result<(), ExperimentError> {
        let within = self.world.setup.lives_within;
        let within_us = u64::try_from(within.as_micros()).unwrap_or(u64::MAX);
        self.world.recorder.saw(NODE, Op::Awaited { subject: NODE.to_owned() });
        self.world.recorder.saw(NODE, Op::Healed { within_us });
        let healed_at = self.world.newest();
        let keeps_up = |world: &mut World| {
            let (newest, slot) = (world.newest(), world.setup.slot_ledgers);
            let has_written = world.committed() + slot + LAG_MAX > newest
                && world.committed() >= healed_at / slot * slot - 1;
            let has_read = world.read().0 + LAG_MAX + slot >= newest;
            (has_written && has_read).then_some(())
        };
        if self.world.until(within, keeps_up)?.is_none() {
            let ((read, _), committed, newest) =
                (self.world.read(), self.world.committed(), self.world.newest());
            self.problems.push(format!(
                "{} s after the fault the dataset ends with ledger {committed} and the reader has {read}, of {newest}",
                within.as_secs()
            ));
            return Ok(());
        }
        self.world.recorder.saw(NODE, Op::Done { subject: NODE.to_owned() });
        Ok(())
    }

    /// All of the rest, and a stop.
    fn finish(&mut self) -> Result<(), ExperimentError> {
        let last = self.world.setup.last_ledger();
        self.world.complete_lake()?;
        let events = self.reference.events.iter().map(|(_, events)| events.len()).sum::<usize>();
        let is_done = |world: &mut World| {
            (world.committed() >= last && world.read().1 >= events || !world.runs()).then_some(())
        };
        let within = self.world.setup.lives_within;
        if self.world.until(within, is_done)?.is_none() {
            let ((_, read), committed) = (self.world.read(), self.world.committed());
            self.problems.push(format!(
                "the dataset ends with ledger {committed} of {last} and the reader has {read} of {events} events"
            ));
        }
        match self.world.stop(STOPS_WITHIN)? {
            Some(ended) if ended.status.success() => {}
            Some(ended) => self.problems.push(format!("told to stop, the node ended with {}", ended.status)),
            None => self.problems.push("the node does not run in the end".to_owned()),
        }
        self.world.pass(Duration::ZERO)
    }

    /// What is there in the end, beside what should be.
    fn compare(&mut self) -> Result<(), ExperimentError> {
        let ledgers = (FIRST_LEDGER, self.world.setup.last_ledger());
        let dataset = self.world.setup.dataset.clone();
        let found = self.reference.dataset.compare(&dataset, ledgers, Accelerators::ThatBothHave)?;
        self.problems.extend(found.problems.iter().map(|problem| format!("dataset: {problem}")));
        self.compared.datasets += 1;
        if let Some(reader) = self.world.reader() {
            self.compared.feeds += 1;
            let expected: Vec<String> =
                self.reference.events.iter().flat_map(|(_, events)| events.clone()).collect();
            self.problems.extend(reader.problems(&expected));
        }
        for (ledger, events) in &self.reference.events {
            let (hash, events) = (String::new(), events.clone());
            self.world.recorder.saw("oracle", Op::Expected { ledger: *ledger, hash, events });
        }
        let (first, last) = ledgers;
        self.world.recorder.saw(READER, Op::Wants { reader: READER.to_owned(), first, last });
        self.world.note_received();
        self.world.note_slots(&dataset);
        Ok(())
    }

    fn begin(&mut self, name: PhaseName) {
        self.close();
        let from = self.world.now().as_secs_f64();
        self.world.note(&format!("phase {}", name.name()));
        self.phases.push(Phase { name, from, to: from });
    }

    fn close(&mut self) {
        let now = self.world.now().as_secs_f64();
        if let Some(phase) = self.phases.last_mut() {
            phase.to = now;
        }
    }
}
