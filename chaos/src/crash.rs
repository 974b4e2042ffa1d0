//! The experiment: a node is killed with SIGKILL at random moments, again and again, until it has written its dataset all
//! the same. That dataset must be the one of a node that nobody disturbed, byte for byte.
//!
//! The node's own state outlives most kills. Between some it is deleted or damaged, for nothing of it is needed to go on.
//! A kill counts if the system says that SIGKILL ended the process; one that came too late does not. Work that is done
//! before all kills were made is judged, and the rest of the kills is made to another dataset.

mod plan;

use std::io::{self, Write};
use std::time::Duration;

use orrery_supervisor::{Clock, MonotonicTime, SystemClock};
use serde::Serialize;

use crate::Random;
use crate::experiment::ExperimentError;
use crate::faults::{StateDamage, damage_state};
use crate::judges::dataset::{Accelerators, Comparison, Expected};
use crate::process::{Ended, Running};
use crate::workload::{FIRST_LEDGER, Mode, Target, Workload};

use plan::{Pace, Round};

/// Rounds between two lines of progress.
const PROGRESS_EVERY: u32 = 10;

/// Rounds without a kill in a row after which something is wrong with the experiment itself.
const MISSES_MAX: u32 = 100;

/// Datasets without a kill in a row, likewise.
const BARREN_MAX: u32 = 5;

/// What is asked for.
#[derive(Clone, Debug)]
pub struct CrashSettings {
    /// Ledgers and place.
    pub workload: Workload,
    /// Kills.
    pub rounds: u32,
    /// Seed of the moments and of the damage.
    pub seed: u64,
    /// Which command is killed.
    pub mode: Mode,
}

/// What became of it.
#[derive(Clone, Debug, Default, Serialize)]
pub struct CrashReport {
    /// Of the random choices.
    pub seed: u64,
    /// Ledgers of one dataset.
    pub ledgers: u32,
    /// Slots of one table.
    pub slots: u32,
    /// Seconds that the undisturbed run took.
    pub undisturbed_seconds: f64,
    /// Seconds of everything.
    pub seconds: f64,
    /// Kills with a witness.
    pub kills: u32,
    /// Of these, within 20 ms of the start.
    pub kills_at_start: u32,
    /// Of these, after which a temporary part was there: the node was writing.
    pub kills_while_writing: u32,
    /// Rounds whose process had ended before the kill.
    pub ended_before_kill: u32,
    /// How often the node's state was deleted before a start.
    pub states_deleted: u32,
    /// How often it was damaged before a start.
    pub states_damaged: u32,
    /// How often damage was so bad that the node began its state anew; those that it did not notice are no fault.
    pub states_begun_anew: u32,
    /// Kills after which each dataset was complete; more than one says that work was done too early.
    pub datasets: Vec<u32>,
    /// The comparison of the first dataset that differs, or of the last.
    pub comparison: Comparison,
    /// A process that ended by itself and badly, and other things that should not be.
    pub problems: Vec<String>,
}

impl CrashReport {
    /// Whether the node survived everything.
    pub fn survived(&self) -> bool {
        self.problems.is_empty() && self.comparison.is_equal()
    }
}

/// Runs it. Progress goes to `progress`.
///
/// # Errors
///
/// An undisturbed run fails, or the machine refuses what is needed.
pub fn run(settings: &CrashSettings, progress: &mut dyn Write) -> Result<CrashReport, ExperimentError> {
    let clock = SystemClock::new();
    let workload = &settings.workload;
    workload.make_lake()?;
    let undisturbed = workload.fresh("undisturbed")?;
    let (_, took) = workload.complete(settings.mode, &undisturbed, "the undisturbed run")?;
    let ledgers = (FIRST_LEDGER, workload.last_ledger());
    let expected = Expected::read(&undisturbed.dataset, ledgers)?;
    let report = CrashReport {
        seed: settings.seed,
        ledgers: workload.ledgers,
        slots: workload.slots(),
        undisturbed_seconds: took.as_secs_f64(),
        ..CrashReport::default()
    };
    let seconds = report.undisturbed_seconds;
    say(progress, &format!("undisturbed: {seconds:.1} s, {} slots a table", report.slots))?;
    let pace = Pace::new(start_time(settings)?, took, report.slots);
    let mut killer = Killer { settings, pace, random: Random::new(settings.seed), report, progress };
    killer.kill_all(&expected)?;
    let mut report = killer.report;
    report.seconds = clock.now().since(MonotonicTime::ORIGIN).as_secs_f64();
    Ok(report)
}

/// Time from the start of a process to its first slot: that of a run of one ledger.
fn start_time(settings: &CrashSettings) -> Result<Duration, ExperimentError> {
    let workload = &settings.workload;
    let target = workload.fresh("one-ledger")?;
    let clock = SystemClock::new();
    let mut command = workload.command(Mode::Backfill, &target);
    command.args(["--to", &FIRST_LEDGER.to_string()]);
    let ended = Running::start(command)?.finish(crate::workload::UNDISTURBED_MAX)?;
    crate::workload::succeeded("a run of one ledger", &ended)?;
    Ok(clock.now().since(MonotonicTime::ORIGIN))
}

/// The rounds.
struct Killer<'a> {
    settings: &'a CrashSettings,
    pace: Pace,
    random: Random,
    report: CrashReport,
    progress: &'a mut dyn Write,
}

impl Killer<'_> {
    /// Makes all kills, to as many datasets as that takes, or stops at the first that differs.
    fn kill_all(&mut self, expected: &Expected) -> Result<(), ExperimentError> {
        let CrashSettings { workload, rounds, mode, .. } = self.settings;
        let ledgers = (FIRST_LEDGER, workload.last_ledger());
        let mut barren = 0;
        while self.report.kills < *rounds && self.report.survived() {
            let before = self.report.kills;
            let target = workload.fresh("disturbed")?;
            self.disturb(&target)?;
            let kills = self.report.kills - before;
            self.report.datasets.push(kills);
            if !self.report.problems.is_empty() {
                break;
            }
            if let Err(error) = workload.complete(*mode, &target, "the run after the last kill") {
                self.report.problems.push(error.to_string());
            }
            self.report.comparison = expected.compare(&target.dataset, ledgers, Accelerators::Exact)?;
            barren = if kills == 0 { barren + 1 } else { 0 };
            if barren == BARREN_MAX {
                let problem = "datasets were complete before any kill: use more ledgers";
                self.report.problems.push(problem.to_owned());
            }
        }
        Ok(())
    }

    /// Kills until all kills are made or `target` is complete.
    fn disturb(&mut self, target: &Target) -> Result<(), ExperimentError> {
        let workload = &self.settings.workload;
        let mut misses = 0;
        while self.report.kills < self.settings.rounds && misses < MISSES_MAX {
            let rounds_left = self.settings.rounds - self.report.kills;
            let slots_left = workload.slots().saturating_sub(workload.slots_of(target));
            let round = self.pace.round(&mut self.random, slots_left, rounds_left);
            if let Some(damage) = round.damage {
                self.damage(target, damage)?;
            }
            let running = Running::start(workload.command(self.settings.mode, target))?;
            let ended_first = running.ends_within(round.delay);
            let ended = running.kill()?;
            self.note(target, &round, &ended, ended_first);
            misses = if ended.was_killed() { 0 } else { misses + 1 };
            if !self.report.problems.is_empty() || ended.status.success() || workload.is_complete(target) {
                return Ok(());
            }
            if self.report.kills.is_multiple_of(PROGRESS_EVERY) && ended.was_killed() {
                self.say_progress(target)?;
            }
        }
        Ok(())
    }

    fn damage(&mut self, target: &Target, damage: StateDamage) -> Result<(), ExperimentError> {
        let state = target.data.join("state");
        if !damage_state(&state, damage, &mut self.random).map_err(ExperimentError::io("damage", &state))? {
            return Ok(());
        }
        match damage {
            StateDamage::Delete => self.report.states_deleted += 1,
            _ => self.report.states_damaged += 1,
        }
        Ok(())
    }

    fn note(&mut self, target: &Target, round: &Round, ended: &Ended, ended_first: bool) {
        let report = &mut self.report;
        if ended.output.contains("begun anew") {
            report.states_begun_anew += 1;
        }
        if ended.was_killed() {
            report.kills += 1;
            report.kills_at_start += u32::from(round.is_at_start);
            let parts = std::fs::read_dir(target.dataset.join("_orrery/parts"));
            let has_parts = parts.is_ok_and(|mut parts| parts.next().is_some());
            report.kills_while_writing += u32::from(has_parts);
            return;
        }
        report.ended_before_kill += 1;
        if !ended.status.success() {
            let (kill, status, output) = (report.kills + 1, ended.status, ended.output.trim_end());
            let after =
                round.damage.map_or_else(String::new, |damage| format!(" after {damage:?} of its state"));
            let when = if ended_first { "by itself" } else { "just before the kill" };
            report
                .problems
                .push(format!("before kill {kill} the node ended {when}{after}: {status}\n{output}"));
        }
    }

    fn say_progress(&mut self, target: &Target) -> Result<(), ExperimentError> {
        let CrashReport { kills, kills_while_writing, slots, .. } = &self.report;
        let (rounds, has) = (self.settings.rounds, self.settings.workload.slots_of(target));
        let line = format!(
            "{kills}/{rounds} kills, {kills_while_writing} of them while writing; {has}/{slots} slots"
        );
        say(self.progress, &line)
    }
}

fn say(progress: &mut dyn Write, line: &str) -> Result<(), ExperimentError> {
    let written: io::Result<()> = writeln!(progress, "{line}");
    written.map_err(ExperimentError::io("write", "the progress".as_ref()))
}
