//! Faults inside of a node: an actor panics, or hangs, in the middle of what it does. Nothing of the program is made for that:
//! the clock fails under whoever reads it next on a thread that works, as an actor does that logs what it has committed.

use std::time::Duration;

use super::shim::{Reading, Shim};
use crate::Random;
use crate::experiment::ExperimentError;
use crate::run::fault::Fault;
use crate::run::setup::Setup;
use crate::run::world::World;

/// Names of the threads that work begin so; those that answer are called otherwise.
const THREADS: &str = "orrery-work";

/// What the system says to a clock that is none, in a panic's words.
const PANICKED: &str = "panicked at";

/// What a supervisor logs of a child that it starts again.
const RESTARTED: &str = "child failed, restarting";

/// Between two panics: less often than supervisors give up.
const PANICS_EVERY: Duration = Duration::from_secs(2);

/// P4: whoever reads the clock panics.
#[derive(Debug)]
pub(in crate::run) struct Panics {
    /// So many, one right after the other: those who are told of the first one are next.
    at_once: i32,
    shim: Option<Shim>,
    due: Duration,
    problems: Vec<String>,
}

impl Panics {
    /// One actor now and then; the process must live on.
    pub(in crate::run) const fn one_by_one() -> Self {
        Self { at_once: 1, shim: None, due: Duration::ZERO, problems: Vec::new() }
    }

    /// An actor, and whoever logs that, its supervisors among them. If they all give up the process may end, and is started
    /// again.
    pub(in crate::run) const fn with_supervisors() -> Self {
        Self { at_once: 6, shim: None, due: Duration::ZERO, problems: Vec::new() }
    }
}

impl Fault for Panics {
    fn prepare(&mut self, setup: &mut Setup) -> Result<(), ExperimentError> {
        self.shim = Some(Shim::of_threads(setup, THREADS)?);
        setup.holds = PANICS_EVERY * 3;
        Ok(())
    }

    fn inject(&mut self, world: &mut World, _: &mut Random) -> Result<(), ExperimentError> {
        self.due = world.now() + PANICS_EVERY;
        self.shim.iter().try_for_each(|shim| shim.read(Reading::Panics, self.at_once))
    }

    fn keep_on(&mut self, world: &mut World, random: &mut Random) -> Result<(), ExperimentError> {
        if self.at_once > 1 || world.now() < self.due {
            return Ok(());
        }
        self.inject(world, random)
    }

    fn witness(&mut self, world: &mut World) -> Option<String> {
        let done = self.shim.as_ref()?.done();
        let is_done = done >= u64::try_from(self.at_once).unwrap_or(1);
        let panicked = world.said(&[PANICKED]).filter(|_| is_done)?;
        let log = world.log();
        let count = |word: &str| log.lines().filter(|line| line.contains(word)).count();
        let (panics, restarts) = (count(PANICKED), count(RESTARTED));
        // A process that ended told nobody whom it would have started again.
        (restarts > 0 || !world.runs())
            .then(|| format!("{panics} panics, {restarts} restarts by supervisors; the first: {panicked}"))
    }

    fn heal(&mut self, world: &mut World) -> Result<(), ExperimentError> {
        self.shim.iter().try_for_each(Shim::heal)?;
        if world.runs() {
            return Ok(());
        }
        let ended = world.end(Duration::ZERO)?;
        if self.at_once == 1 {
            self.problems.push(format!("the process ended because an actor panicked: {ended:?}"));
        }
        world.start()
    }

    fn problems(&mut self, _: &mut World) -> Vec<String> {
        std::mem::take(&mut self.problems)
    }
}

/// What a supervisor logs of a child that it ended because it hung.
const STALLED: &str = "stalled: no progress";

/// Seconds after which a stage hangs, as the node is told.
const HANGS_AFTER: &str = "4";

/// For the hang to be noticed, the actor to be given up, and its pipeline to come to the next slot.
const BEGUN_ANEW_WITHIN: Duration = Duration::from_secs(40);

/// P12: an actor hangs in the middle of a message, and with it the thread that it is on, for as long as the fault lasts. Its
/// supervisor gives it up and begins anew on other threads; what does not need it goes on all the time.
#[derive(Debug, Default)]
pub(in crate::run) struct Hangs {
    shim: Option<Shim>,
    /// The newest ledger in the dataset when the actor was given up.
    given_up: Option<u32>,
    problems: Vec<String>,
}

impl Fault for Hangs {
    fn prepare(&mut self, setup: &mut Setup) -> Result<(), ExperimentError> {
        self.shim = Some(Shim::of_threads(setup, THREADS)?);
        setup.set("ORRERY_PIPELINE__HANGS_AFTER_SECONDS", HANGS_AFTER);
        setup.witness_within = BEGUN_ANEW_WITHIN;
        Ok(())
    }

    fn inject(&mut self, _: &mut World, _: &mut Random) -> Result<(), ExperimentError> {
        self.shim.iter().try_for_each(|shim| shim.read(Reading::Hangs, 1))
    }

    fn witness(&mut self, world: &mut World) -> Option<String> {
        let hung = self.shim.as_ref()?.done();
        let stalled = world.said(&[STALLED]).filter(|_| hung > 0)?;
        let committed = world.committed();
        let before = *self.given_up.get_or_insert(committed);
        (committed > before + world.setup.slot_ledgers).then(|| {
            format!("an actor hangs still, and ledgers come without it, {before} to {committed}; it was given up: {stalled}")
        })
    }

    fn heal(&mut self, world: &mut World) -> Result<(), ExperimentError> {
        if world.status("/healthz") != Some(200) {
            self.problems.push("while an actor hung the node did not say that it is alive".to_owned());
        }
        self.shim.iter().try_for_each(Shim::heal)
    }

    fn problems(&mut self, _: &mut World) -> Vec<String> {
        std::mem::take(&mut self.problems)
    }
}
