//! What a node does while faults are done to it: made-up ledgers of a lake become a dataset.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use clap::ValueEnum;
use orrery_supervisor::{Clock, MonotonicTime, SystemClock};
use serde::Serialize;

use crate::experiment::ExperimentError;
use crate::process::{Ended, Orrery, Running};

/// The first ledger of every made-up lake.
pub(crate) const FIRST_LEDGER: u32 = 2;

/// Longest time for what nobody disturbs: above any machine's need, below patience.
pub(crate) const UNDISTURBED_MAX: Duration = Duration::from_secs(1800);

/// How often it is looked whether a node that never ends has written all.
const LOOK_EVERY: Duration = Duration::from_millis(20);

/// Time for a node to stop that is told to.
const STOPS_WITHIN: Duration = Duration::from_secs(60);

/// What a node logs when its dataset is open.
const STARTED: &str = "node starts";

/// Which command of `orrery` writes the dataset.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ValueEnum)]
#[serde(rename_all = "snake_case")]
pub enum Mode {
    /// `orrery backfill`, which ends by itself.
    Backfill,
    /// `orrery run`, which waits for more ledgers and is told to stop.
    Run,
}

impl Mode {
    /// Its name on the command line.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Backfill => "backfill",
            Self::Run => "run",
        }
    }
}

/// Ledgers, and the folder in which all happens.
#[derive(Clone, Debug)]
pub struct Workload {
    /// The program.
    pub orrery: Orrery,
    /// Where lake, datasets and states are.
    pub folder: PathBuf,
    /// How many ledgers.
    pub ledgers: u32,
    /// Ledgers of a slot.
    pub slot_ledgers: u32,
    /// Seed of the ledgers.
    pub seed: u64,
}

/// One dataset in the making, with the node's state.
#[derive(Clone, Debug)]
pub struct Target {
    /// Root of the dataset.
    pub dataset: PathBuf,
    /// The node's own data.
    pub data: PathBuf,
}

impl Workload {
    /// The last ledger.
    pub fn last_ledger(&self) -> u32 {
        FIRST_LEDGER + self.ledgers - 1
    }

    /// A place for a dataset; what was there is removed.
    ///
    /// # Errors
    ///
    /// The file system refuses.
    pub fn fresh(&self, name: &str) -> Result<Target, ExperimentError> {
        let target =
            Target { dataset: self.folder.join(name), data: self.folder.join(format!("{name}-state")) };
        for folder in [&target.dataset, &target.data] {
            remove(folder)?;
        }
        Ok(target)
    }

    /// Makes the lake, if it is not there yet from an earlier call with the same arguments.
    ///
    /// # Errors
    ///
    /// `orrery synth` fails.
    pub fn make_lake(&self) -> Result<(), ExperimentError> {
        let complete = self.folder.join(format!("{}.complete", self.lake_name()));
        if complete.is_file() {
            return Ok(());
        }
        fs::create_dir_all(&self.folder).map_err(ExperimentError::io("create", &self.folder))?;
        let (ledgers, seed) = (self.ledgers.to_string(), self.seed.to_string());
        let out = url(&self.lake());
        let words = ["synth", "--out", &out, "--density", "sparse", "--ledgers", &ledgers, "--seed", &seed];
        let ended = Running::start(self.orrery.command(words))?.finish(UNDISTURBED_MAX)?;
        succeeded("orrery synth", &ended)?;
        fs::write(&complete, "").map_err(ExperimentError::io("write", &complete))
    }

    fn lake_name(&self) -> String {
        format!("lake-{}-{}", self.ledgers, self.seed)
    }

    pub(crate) fn lake(&self) -> PathBuf {
        self.folder.join(self.lake_name())
    }

    /// As many ledgers, or a few more, so that the last slot is a whole one: a node that follows a network makes no others.
    pub(crate) fn whole_slots(ledgers: u32, slot_ledgers: u32) -> u32 {
        (ledgers + FIRST_LEDGER).next_multiple_of(slot_ledgers) - FIRST_LEDGER
    }

    /// The call that makes `target` of the lake.
    pub fn command(&self, mode: Mode, target: &Target) -> Command {
        let (lake, dataset) = (url(&self.lake()), url(&target.dataset));
        let grid = format!("{FIRST_LEDGER}:{}", self.slot_ledgers);
        let words = [mode.name(), "--source", &lake, "--dataset", &dataset, "--grid", &grid];
        let mut command = self.orrery.command(words);
        command.arg("--data-dir").arg(&target.data).current_dir(&self.folder);
        command
    }

    /// Runs until all of `target` is written, undisturbed. Says how long that took.
    ///
    /// # Errors
    ///
    /// It ends otherwise.
    pub fn complete(
        &self,
        mode: Mode,
        target: &Target,
        step: &str,
    ) -> Result<(Ended, Duration), ExperimentError> {
        let clock = SystemClock::new();
        let running = Running::start(self.command(mode, target))?;
        if mode == Mode::Run {
            // Before it has said so, a node has not tidied up, and a signal ends it at once.
            let mut has_started = false;
            while !(has_started && self.is_complete(target)) {
                // Only the last lines are kept, so that this one may be seen once.
                has_started |= running.output().contains(STARTED);
                if running.ends_within(LOOK_EVERY)
                    || clock.now().since(MonotonicTime::ORIGIN) > UNDISTURBED_MAX
                {
                    let ended = running.kill()?;
                    return Err(failed(step, &ended, "it did not write all ledgers"));
                }
            }
        }
        let took = |clock: SystemClock| clock.now().since(MonotonicTime::ORIGIN);
        let written = took(clock);
        let (ended, took) = match mode {
            Mode::Run => (running.stop(STOPS_WITHIN)?, written),
            Mode::Backfill => (running.finish(UNDISTURBED_MAX)?, took(clock)),
        };
        match ended.status.success() {
            true => Ok((ended, took)),
            false => Err(failed(step, &ended, "it did not end well")),
        }
    }

    /// Whether both tables have their last slot. Slots are of equal width; a bounded run may cut the last one short.
    pub fn is_complete(&self, target: &Target) -> bool {
        let last_slot = self.slots();
        ["token_transfers", "ledgers"].iter().all(|table| {
            target.dataset.join(table).join("_delta_log").join(format!("{last_slot:020}.json")).is_file()
        })
    }

    /// Slots of a table, without the first one, which has no ledgers.
    pub fn slots(&self) -> u32 {
        let boundary = |ledger: u32| ledger / self.slot_ledgers;
        boundary(self.last_ledger()) - boundary(FIRST_LEDGER) + 1
    }

    /// Slots that `target` has by now: those of the table that is behind.
    pub fn slots_of(&self, target: &Target) -> u32 {
        let count = |table: &str| {
            let log = target.dataset.join(table).join("_delta_log");
            let slots = fs::read_dir(log).into_iter().flatten().filter_map(Result::ok);
            slots.filter(|entry| entry.path().extension().is_some_and(|is| is == "json")).count()
        };
        let slots = count("token_transfers").min(count("ledgers")).saturating_sub(1);
        u32::try_from(slots).unwrap_or(u32::MAX)
    }
}

/// Checks the end of a run that nobody disturbed.
pub(crate) fn succeeded(step: &str, ended: &Ended) -> Result<(), ExperimentError> {
    match ended.status.success() {
        true => Ok(()),
        false => Err(failed(step, ended, "it failed")),
    }
}

/// A run that went wrong though nobody disturbed it.
pub(crate) fn failed(step: &str, ended: &Ended, problem: &str) -> ExperimentError {
    let problem = format!("{problem}: {}", ended.status);
    ExperimentError::Undisturbed { step: step.to_owned(), problem, output: ended.output.clone() }
}

/// Removes a folder, if it is there.
pub(crate) fn remove(folder: &Path) -> Result<(), ExperimentError> {
    match fs::remove_dir_all(folder) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            Err(ExperimentError::io("remove", folder)(error))
        }
        _ => Ok(()),
    }
}

/// Removes a file, if it is there. What is linked to it elsewhere stays.
pub(crate) fn remove_file(path: &Path) -> Result<(), ExperimentError> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            Err(ExperimentError::io("remove", path)(error))
        }
        _ => Ok(()),
    }
}

pub(crate) fn url(path: &Path) -> String {
    format!("file://{}", path.display())
}
