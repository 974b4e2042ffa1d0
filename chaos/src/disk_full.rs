//! The experiment: the disk under a dataset is full, in bytes or in inodes. A node must say so, leave nothing torn, and go
//! on by itself when there is room again. The disk is full from the start, has room for a part, is full once more, and then
//! has room for all; one process lives through that.
//!
//! The disk is a small tmpfs beside everything else, filled by a file of our own or by many empty ones. Mounting takes
//! root, or a namespace in which one is root: without, the experiment is skipped.

pub(crate) mod small_disk;

use std::io::Write;
use std::path::Path;
use std::time::Duration;

use orrery_supervisor::{Clock, MonotonicTime, SystemClock};
use serde::Serialize;

use crate::experiment::ExperimentError;
use crate::judges::dataset::{Accelerators, Comparison, Expected};
use crate::process::{Ended, Running};
use crate::workload::{FIRST_LEDGER, Mode, Target, UNDISTURBED_MAX, Workload};

use small_disk::{Fill, SmallDisk};

/// What a node says about a full disk.
const FULL: &str = "no space is left";

/// What it cannot do then: first open the dataset, later commit to it.
const AT_OPENING: &str = "cannot open";
const AT_COMMITS: &str = "cannot commit";

/// How long it may take to notice, and to stop.
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
    /// Slots before the disk was full again.
    pub slots_before: u32,
    /// What it said when it could not commit any more.
    pub message: String,
    /// Seconds from room to the last ledger.
    pub seconds_to_end: f64,
    /// What it said when it was started on a full disk.
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
        let running = Running::start(workload.command(mode, &target))?;
        let started_full = wait_for(&running, AT_OPENING, 1)?;
        disk.leave_room_for_a_third(fill)?;
        let message = wait_for(&running, AT_COMMITS, ATTEMPTS)?;
        let slots_before = workload.slots_of(&target);
        self.problems(mode, fill, self.expected.torn(&target.dataset)?);
        let clock = SystemClock::new();
        disk.free()?;
        let ended = self.end(mode, &target, running)?;
        let seconds_to_end = clock.now().since(MonotonicTime::ORIGIN).as_secs_f64();
        let is_good = ended.status.success();
        let problem = (!is_good).then(|| format!("after there was room: {}\n{}", ended.status, ended.output));
        self.problems(mode, fill, problem.into_iter().collect());
        let ledgers = (FIRST_LEDGER, workload.last_ledger());
        let comparison = self.expected.compare(&target.dataset, ledgers, Accelerators::Exact)?;
        self.problems(mode, fill, comparison.problems.clone());
        Ok(FullDisk { fill, mode, slots_before, message, seconds_to_end, started_full, comparison })
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

/// Waits until the node has said in so many lines that the disk is full, and `when`; gives the first that is kept.
fn wait_for(running: &Running, when: &str, lines: usize) -> Result<String, ExperimentError> {
    let clock = SystemClock::new();
    loop {
        let output = running.output();
        let said: Vec<_> = output.lines().filter(|line| line.contains(FULL) && line.contains(when)).collect();
        if let Some(first) = said.first().filter(|_| said.len() >= lines) {
            return Ok((*first).to_owned());
        }
        let is_late = clock.now().since(MonotonicTime::ORIGIN) > NOTICES_WITHIN;
        if is_late || running.ends_within(LOOK_EVERY) {
            let step = "a node on a full disk".to_owned();
            let problem = format!("it did not say `{FULL}` and `{when}` and wait for room");
            return Err(ExperimentError::Undisturbed { step, problem, output });
        }
    }
}
