//! The experiment: the disk under a dataset is full, in bytes or in inodes. A node must say so, leave nothing torn, and go
//! on by itself when there is room again. A node that starts on a full disk must end with an error that says so.
//!
//! The disk is a small tmpfs beside everything else, filled by a file of our own or by many empty ones. Mounting takes
//! root, or a namespace in which one is root: without, the experiment is skipped.

mod small_disk;

use std::io::Write;
use std::path::Path;
use std::time::Duration;

use orrery_supervisor::{Clock, MonotonicTime, SystemClock};
use serde::Serialize;

use crate::experiment::ExperimentError;
use crate::judges::dataset::{Comparison, Expected};
use crate::process::{Ended, Running};
use crate::workload::{FIRST_LEDGER, Mode, Target, UNDISTURBED_MAX, Workload, failed};

use small_disk::{Fill, SmallDisk};

/// What a node says about a full disk.
const FULL: &str = "no space is left";

/// How long it may take to notice, and to end where it cannot go on.
const NOTICES_WITHIN: Duration = Duration::from_secs(120);

/// How often it is looked.
const LOOK_EVERY: Duration = Duration::from_millis(20);

/// Attempts that must have failed before there is room again: one could be luck.
const ATTEMPTS: usize = 3;

/// One disk that was full.
#[derive(Clone, Debug, Serialize)]
pub struct FullDisk {
    /// What was used up.
    pub fill: Fill,
    /// The command that wrote.
    pub mode: Mode,
    /// Slots before the disk was full.
    pub slots_before: u32,
    /// What the node said first.
    pub message: String,
    /// How often it said so before there was room.
    pub attempts: usize,
    /// Seconds from room to the last ledger.
    pub seconds_to_end: f64,
    /// How a node ended that was started on a full disk.
    pub started_full: String,
    /// The dataset that it wrote in the end.
    pub comparison: Comparison,
}

/// All of it.
#[derive(Clone, Debug, Default, Serialize)]
pub struct DiskFullReport {
    /// Of the ledgers.
    pub seed: u64,
    /// How many.
    pub ledgers: u32,
    /// What was done.
    pub disks: Vec<FullDisk>,
    /// What should not be.
    pub problems: Vec<String>,
}

impl DiskFullReport {
    /// Whether the node survived everything.
    pub fn survived(&self) -> bool {
        self.problems.is_empty()
    }
}

/// Runs it. Progress goes to `progress`.
///
/// # Errors
///
/// [`ExperimentError::Skipped`] without the right to mount; an undisturbed run that fails.
pub fn run(workload: &Workload, progress: &mut dyn Write) -> Result<DiskFullReport, ExperimentError> {
    // First, so that nobody waits for what will be skipped.
    drop(SmallDisk::mount(&workload.folder.join("small"), 1 << 20, 64)?);
    workload.make_lake()?;
    let undisturbed = workload.fresh("undisturbed")?;
    workload.complete(Mode::Backfill, &undisturbed, "the undisturbed run")?;
    let ledgers = (FIRST_LEDGER, workload.last_ledger());
    let expected = Expected::read(&undisturbed.dataset, ledgers)?;
    let report =
        DiskFullReport { seed: workload.seed, ledgers: workload.ledgers, ..DiskFullReport::default() };
    let mut experiment = Experiment { workload, expected, undisturbed: &undisturbed.dataset, report };
    for mode in [Mode::Backfill, Mode::Run] {
        for fill in [Fill::Bytes, Fill::Inodes] {
            let disk = experiment.fill(mode, fill)?;
            let (said, name) = (&disk.message, mode.name());
            let line = format!("{name}, {fill:?}: full after {} slots: {said}", disk.slots_before);
            writeln!(progress, "{line}").map_err(ExperimentError::io("write", "progress".as_ref()))?;
            experiment.report.disks.push(disk);
        }
    }
    Ok(experiment.report)
}

struct Experiment<'a> {
    workload: &'a Workload,
    expected: Expected,
    undisturbed: &'a Path,
    report: DiskFullReport,
}

impl Experiment<'_> {
    fn fill(&mut self, mode: Mode, fill: Fill) -> Result<FullDisk, ExperimentError> {
        let workload = self.workload;
        let disk = SmallDisk::for_dataset(&workload.folder.join("small"), self.undisturbed, fill)?;
        let target = Target { dataset: disk.path().join("dataset"), data: workload.fresh("on-small")?.data };
        disk.fill_all(fill)?;
        let started_full = self.start_on_full(mode, &target)?;
        disk.leave_room_for_a_third(fill)?;
        let running = Running::start(workload.command(mode, &target))?;
        let attempts = wait_until_full(&running);
        let slots_before = workload.slots_of(&target);
        let message =
            running.output().lines().find(|line| line.contains(FULL)).unwrap_or_default().to_owned();
        if attempts < ATTEMPTS {
            let ended = running.kill()?;
            return Err(failed("a node on a full disk", &ended, "it did not wait for room"));
        }
        self.problems(mode, fill, self.expected.torn(&target.dataset)?);
        let clock = SystemClock::new();
        disk.free()?;
        let ended = self.end(mode, &target, running)?;
        let seconds_to_end = clock.now().since(MonotonicTime::ORIGIN).as_secs_f64();
        let is_good = ended.status.code() == Some(mode.exit_code());
        let problem = (!is_good).then(|| format!("after there was room: {}\n{}", ended.status, ended.output));
        self.problems(mode, fill, problem.into_iter().collect());
        let ledgers = (FIRST_LEDGER, workload.last_ledger());
        let comparison = self.expected.compare(&target.dataset, ledgers)?;
        self.problems(mode, fill, comparison.problems.clone());
        Ok(FullDisk { fill, mode, slots_before, message, attempts, seconds_to_end, started_full, comparison })
    }

    /// A node that cannot even begin ends, and says why.
    fn start_on_full(&mut self, mode: Mode, target: &Target) -> Result<String, ExperimentError> {
        let ended = Running::start(self.workload.command(mode, target))?.finish(NOTICES_WITHIN)?;
        let said = ended.output.lines().find(|line| line.contains(FULL)).unwrap_or_default().to_owned();
        if ended.status.code() != Some(69) || said.is_empty() {
            let problem = format!("started on a full disk: {}\n{}", ended.status, ended.output);
            self.report.problems.push(problem);
        }
        Ok(format!("{}: {said}", ended.status))
    }

    /// Waits until all is written, without any help.
    fn end(&self, mode: Mode, target: &Target, running: Running) -> Result<Ended, ExperimentError> {
        if mode == Mode::Backfill {
            return running.finish(UNDISTURBED_MAX);
        }
        let clock = SystemClock::new();
        let is_late = |clock: SystemClock| clock.now().since(MonotonicTime::ORIGIN) > NOTICES_WITHIN;
        while !self.workload.is_complete(target) && !is_late(clock) {
            if running.ends_within(LOOK_EVERY) {
                break;
            }
        }
        running.stop(NOTICES_WITHIN)
    }

    fn problems(&mut self, mode: Mode, fill: Fill, problems: Vec<String>) {
        let name = mode.name();
        self.report
            .problems
            .extend(problems.into_iter().map(|problem| format!("{name}, {fill:?}: {problem}")));
    }
}

/// How often the node has said that the disk is full, once that is often enough or it has ended.
fn wait_until_full(running: &Running) -> usize {
    let clock = SystemClock::new();
    loop {
        let attempts = running.output().matches(FULL).count();
        let is_late = clock.now().since(MonotonicTime::ORIGIN) > NOTICES_WITHIN;
        if attempts >= ATTEMPTS || is_late || running.ends_within(LOOK_EVERY) {
            return attempts;
        }
    }
}
