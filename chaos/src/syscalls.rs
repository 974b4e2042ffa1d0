//! The experiment: a node is killed at every single system call that changes what is on disk, and each of the calls that
//! may fail is made to fail. Whatever is there then must be whole, and the next run must complete it.
//!
//! A *point* is a call on an object: the third `fsync` of a part, say. The points are those of an undisturbed run, and each
//! is met in a run of its own, by a tracer that looks at every call: what it hit is counted and not assumed. The process
//! dies before the call happens; that it dies after is the point that comes next.

mod report;
mod point;
#[cfg(all(target_os = "linux", target_arch = "x86_64"))]
mod tracer;
#[cfg(not(all(target_os = "linux", target_arch = "x86_64")))]
#[path = "syscalls/no_tracer.rs"]
mod tracer;

use std::io::Write;
use std::process::Command;

use nix::errno::Errno;

use crate::Random;
use crate::experiment::ExperimentError;
use crate::judges::dataset::{Accelerators, Expected};
use crate::process::Ended;
use crate::workload::{FIRST_LEDGER, Mode, Target, Workload, failed};

use point::Point;
pub use report::{CallReport, SyscallsReport};

pub use point::CALLS;

/// Calls that are made to fail, and how.
const FAILING: [&str; 5] = ["write", "pwrite64", "fsync", "link", "linkat"];
const ERRORS: [(&str, Errno); 2] = [("EIO", Errno::EIO), ("ENOSPC", Errno::ENOSPC)];

/// Runs for one point, each of which is seen whole: after so many without it, only a timer can have made it.
const ATTEMPTS_MAX: usize = 10;

/// What is asked for.
#[derive(Clone, Debug)]
pub struct SyscallsSettings {
    /// Ledgers and place.
    pub workload: Workload,
    /// Seed of the sample.
    pub seed: u64,
    /// Points of each call and fault, at most; all if `None`.
    pub sample: Option<usize>,
    /// Only these calls; all if there are none.
    pub calls: Vec<String>,
}

/// What is done to a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fault {
    Kill,
    Error(Errno),
}

/// One fault of one run.
#[derive(Clone, Copy, Debug)]
struct Injection<'a> {
    fault: Fault,
    point: &'a Point,
}

/// What a program did.
#[derive(Debug)]
struct Traced {
    /// How it ended.
    ended: Ended,
    /// Its calls on objects of the experiment, in the order in which they began.
    points: Vec<Point>,
    /// Whether the fault was done.
    is_injected: bool,
}

/// Runs it. Progress goes to `progress`.
///
/// # Errors
///
/// An undisturbed run fails, or the machine refuses what is needed.
pub fn run(settings: &SyscallsSettings, progress: &mut dyn Write) -> Result<SyscallsReport, ExperimentError> {
    let workload = &settings.workload;
    workload.make_lake()?;
    let undisturbed = workload.fresh("undisturbed")?;
    workload.complete(Mode::Backfill, &undisturbed, "the undisturbed run")?;
    let ledgers = (FIRST_LEDGER, workload.last_ledger());
    let expected = Expected::read(&undisturbed.dataset, ledgers)?;
    let mut sweep = Sweep { settings, expected, report: SyscallsReport::new(settings), target: None };
    let Traced { ended, points, .. } = sweep.traced(None)?;
    if !ended.status.success() {
        return Err(failed("a traced run", &ended, "it failed"));
    }
    let mut random = Random::new(settings.seed);
    let errors = ERRORS.map(|(name, errno)| (name, Fault::Error(errno)));
    for (name, fault) in [("SIGKILL", Fault::Kill)].into_iter().chain(errors) {
        let is_asked_for =
            |call: &str| settings.calls.is_empty() || settings.calls.iter().any(|it| it == call);
        let faulty = CALLS.into_iter().filter(|call| fault == Fault::Kill || FAILING.contains(call));
        for call in faulty.filter(|call| is_asked_for(call)) {
            let points = points_of(call, &points, settings.sample, &mut random);
            if points.is_empty() {
                continue;
            }
            let counts = CallReport { call, fault: name, points: points.len(), ..CallReport::default() };
            let counts = sweep.exercise(fault, &points, counts)?;
            writeln!(progress, "{}", counts.line())
                .map_err(ExperimentError::io("write", "progress".as_ref()))?;
            sweep.report.calls.push(counts);
        }
    }
    Ok(sweep.report)
}

/// Traces a process that does nothing.
///
/// # Errors
///
/// The machine does not allow that.
pub(crate) fn can_trace(folder: &std::path::Path) -> Result<(), ExperimentError> {
    tracer::trace(&Command::new("true"), folder, None).map(drop)
}

/// The points of a call in an undisturbed run; a sample of them if they are many.
fn points_of(call: &str, met: &[Point], sample: Option<usize>, random: &mut Random) -> Vec<Point> {
    let mut points: Vec<Point> = met.iter().filter(|point| point.call == call).cloned().collect();
    while sample.is_some_and(|sample| points.len() > sample) {
        points.swap_remove(random.below(points.len()));
    }
    points
}

/// The runs of one experiment.
struct Sweep<'a> {
    settings: &'a SyscallsSettings,
    expected: Expected,
    report: SyscallsReport,
    /// Where the run in work writes.
    target: Option<Target>,
}

impl Sweep<'_> {
    /// Does `fault` at each of `points`, and judges what came of it.
    fn exercise(
        &mut self,
        fault: Fault,
        points: &[Point],
        mut counts: CallReport,
    ) -> Result<CallReport, ExperimentError> {
        for point in points {
            let Point { call, path, occurrence } = point;
            let place = format!("{} {occurrence}", path.display());
            let Some(ended) = self.meet(Injection { fault, point })? else {
                counts.missed.push(place);
                continue;
            };
            counts.exercised += 1;
            let problems = self.judge(fault, &ended, &mut counts)?;
            let named = |problem| format!("{} at {call} ({place}): {problem}", counts.fault);
            self.report.problems.extend(problems.into_iter().map(named));
        }
        Ok(counts)
    }

    /// Runs until the point was met, which the first run does, but for timers. How that ended, if ever.
    fn meet(&mut self, injection: Injection<'_>) -> Result<Option<Ended>, ExperimentError> {
        for _ in 0..ATTEMPTS_MAX {
            let Traced { ended, is_injected, .. } = self.traced(Some(injection))?;
            let is_met = is_injected && (injection.fault != Fault::Kill || ended.was_killed());
            if is_met {
                return Ok(Some(ended));
            }
        }
        Ok(None)
    }

    /// What is there must be whole, and the next run must complete it.
    fn judge(
        &mut self,
        fault: Fault,
        ended: &Ended,
        counts: &mut CallReport,
    ) -> Result<Vec<String>, ExperimentError> {
        let Some(target) = self.target.clone() else { return Ok(Vec::new()) };
        let workload = &self.settings.workload;
        let ledgers = (FIRST_LEDGER, workload.last_ledger());
        counts.runs += 1;
        let mut problems = self.expected.torn(&target.dataset)?;
        if let Fault::Error(_) = fault {
            match ended.status.code() {
                Some(0) => {
                    counts.recovered += 1;
                    problems.extend(
                        self.expected.compare(&target.dataset, ledgers, Accelerators::Exact)?.problems,
                    );
                }
                Some(_) if ended.output.contains("error") => counts.refused += 1,
                _ => problems.push(format!("it ended without an error: {}\n{}", ended.status, ended.output)),
            }
            if ended.output.contains("panicked") {
                problems.push(format!("it panicked:\n{}", ended.output));
            }
        }
        match workload.complete(Mode::Backfill, &target, "the run after it") {
            Ok(_) => problems
                .extend(self.expected.compare(&target.dataset, ledgers, Accelerators::Exact)?.problems),
            Err(error) => problems.push(error.to_string()),
        }
        Ok(problems)
    }

    /// A traced run into a fresh dataset.
    fn traced(&mut self, injection: Option<Injection<'_>>) -> Result<Traced, ExperimentError> {
        let workload = &self.settings.workload;
        let target = self.target.insert(workload.fresh("traced")?);
        tracer::trace(&command(workload, target), &workload.folder, injection.as_ref())
    }
}

/// The node, with one thread that waits for disks: the third part is the same one in every run.
fn command(workload: &Workload, target: &Target) -> Command {
    let mut command = workload.command(Mode::Backfill, target);
    command.env("ORRERY_NODE__BLOCKING_THREADS", "1").args(["--workers", "1"]);
    command
}
