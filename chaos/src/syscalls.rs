//! The experiment: a node is killed at every single system call that changes what is on disk, and each of the calls that
//! may fail is made to fail. Whatever is there then must be whole, and the next run must complete it.
//!
//! strace does the faults (`-e inject`), and its log is the witness of where. It counts calls of each thread by itself, so
//! that the node runs with one blocking thread. A *point* is a call on an object: the third `fsync` of a part, say. The
//! points are those of an undisturbed run; how many were exercised is read from the logs and not assumed. The
//! process dies before the call happens; that it dies after is the point that comes next.

mod report;
mod trace;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::{self, ErrorKind, Write};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use orrery_supervisor::{Clock, MonotonicTime, SystemClock};

use crate::Random;
use crate::experiment::ExperimentError;
use crate::judges::dataset::Expected;
use crate::process::{Ended, Running};
use crate::workload::{FIRST_LEDGER, Mode, Target, Workload, failed, remove};

pub use report::{CallReport, SyscallsReport};
use trace::{Point, Traced};

pub use trace::CALLS;

/// Calls that are made to fail, and how.
const FAILING: [&str; 5] = ["write", "pwrite64", "fsync", "link", "linkat"];
const ERRORS: [&str; 2] = ["EIO", "ENOSPC"];

/// Where a point is looked for that a run did not reach, from where the undisturbed run had it: threads take turns, and
/// wake each other by writes of which there are not always as many.
const OFFSETS: [i32; 9] = [0, 0, -1, 1, -2, 2, 0, -3, 3];

/// Longest run under strace. A node that a failure brings to hang is a finding.
const TRACED_MAX: Duration = Duration::from_secs(60);

/// Time that remains for a run when a call has failed that is none of a disk.
const FOREIGN_MAX: Duration = Duration::from_millis(1500);

/// How often the trace of a run is looked at.
const LOOK_EVERY: Duration = Duration::from_millis(100);

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
    Error(&'static str),
}

impl Fault {
    /// As strace's `inject` takes it.
    fn action(self) -> String {
        match self {
            Self::Kill => "signal=KILL".to_owned(),
            Self::Error(errno) => format!("error={errno}"),
        }
    }
}

/// One fault of one run.
#[derive(Clone, Copy, Debug)]
struct Injection<'a> {
    fault: Fault,
    call: &'static str,
    /// The how-manieth such call of a thread.
    when: u32,
    /// Only calls on this object count, if one is named.
    path: Option<&'a str>,
    /// Whether the node finds a state of its own. Without, another thread makes one first, and is counted first.
    has_state: bool,
}

/// Runs it. Progress goes to `progress`.
///
/// # Errors
///
/// strace is missing, an undisturbed run fails, or the machine refuses what is needed.
pub fn run(settings: &SyscallsSettings, progress: &mut dyn Write) -> Result<SyscallsReport, ExperimentError> {
    find_strace()?;
    let workload = &settings.workload;
    workload.make_lake()?;
    let undisturbed = workload.fresh("undisturbed")?;
    workload.complete(Mode::Backfill, &undisturbed, "the undisturbed run")?;
    let ledgers = (FIRST_LEDGER, workload.last_ledger());
    let expected = Expected::read(&undisturbed.dataset, ledgers)?;
    let mut sweep = Sweep { settings, expected, report: SyscallsReport::new(settings), target: None };
    let (ended, calls) = sweep.traced(None)?;
    if !ended.status.success() {
        return Err(failed("a run under strace", &ended, "it failed"));
    }
    let mut random = Random::new(settings.seed);
    for fault in [Fault::Kill].into_iter().chain(ERRORS.map(Fault::Error)) {
        let is_asked_for =
            |call: &str| settings.calls.is_empty() || settings.calls.iter().any(|it| it == call);
        let faulty = CALLS.into_iter().filter(|call| fault == Fault::Kill || FAILING.contains(call));
        for call in faulty.filter(|call| is_asked_for(call)) {
            let points = points_of(call, &calls, settings.sample, &mut random);
            if points.is_empty() {
                continue;
            }
            let counts = sweep.exercise(fault, call, &points)?;
            writeln!(progress, "{}", counts.line())
                .map_err(ExperimentError::io("write", "progress".as_ref()))?;
            sweep.report.calls.push(counts);
        }
    }
    Ok(sweep.report)
}

fn find_strace() -> Result<(), ExperimentError> {
    match Command::new("strace").arg("--version").output() {
        Ok(output) if output.status.success() => Ok(()),
        _ => Err(ExperimentError::NotInstalled {
            program: "strace",
            fix: "install the Debian package strace, as with `apt-get install strace`",
        }),
    }
}

/// The points of a call in an undisturbed run, each with the count of its thread; a sample of them if they are many.
fn points_of(
    call: &str,
    calls: &[Traced],
    sample: Option<usize>,
    random: &mut Random,
) -> BTreeMap<Point, u32> {
    let mut points: Vec<(Point, u32)> = calls
        .iter()
        .filter(|traced| traced.call == call)
        .filter_map(|traced| Some((traced.point.clone()?, traced.when)))
        .collect();
    while sample.is_some_and(|sample| points.len() > sample) {
        points.swap_remove(random.below(points.len()));
    }
    points.into_iter().collect()
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
        call: &'static str,
        points: &BTreeMap<Point, u32>,
    ) -> Result<CallReport, ExperimentError> {
        let name = if let Fault::Error(errno) = fault { errno } else { "SIGKILL" };
        let mut counts = CallReport { call, fault: name, points: points.len(), ..CallReport::default() };
        let mut open: BTreeSet<&Point> = points.keys().collect();
        // A name that is always the same can be waited for. Parts are counted, in passes, until all have been met.
        let named = points.keys().filter(|point| !point.is_part());
        for point in named {
            let path = Some(point.path.as_str());
            let injection = Injection { fault, call, when: point.occurrence, path, has_state: false };
            self.inject(injection, &mut open, &mut counts)?;
        }
        for (pass, offset) in OFFSETS.into_iter().enumerate() {
            let whens = open.iter().filter_map(|point| points[*point].checked_add_signed(offset));
            let whens: BTreeSet<u32> = whens.filter(|when| *when > 0).collect();
            for when in whens {
                let injection = Injection { fault, call, when, path: None, has_state: pass % 2 == 1 };
                self.inject(injection, &mut open, &mut counts)?;
            }
        }
        counts.exercised = counts.points - open.len();
        counts.missed =
            open.into_iter().map(|point| format!("{} {}", point.path, point.occurrence)).collect();
        Ok(counts)
    }

    /// One run: notes which points it met, and judges what came of it.
    fn inject(
        &mut self,
        injection: Injection<'_>,
        open: &mut BTreeSet<&Point>,
        counts: &mut CallReport,
    ) -> Result<(), ExperimentError> {
        let Injection { fault, call, when, .. } = injection;
        let (ended, calls) = self.traced(Some(injection))?;
        let hit: Vec<_> = match fault {
            Fault::Kill if !ended.was_killed() => return Ok(()),
            // The first thread that came so far was killed, and all others with it.
            Fault::Kill => calls.iter().find(|it| it.call == call && it.when == when).into_iter().collect(),
            Fault::Error(_) => calls.iter().filter(|it| it.is_injected).collect(),
        };
        let met: Vec<_> = hit.iter().filter_map(|hit| hit.point.as_ref()).collect();
        let Some(first) = met.first() else { return Ok(()) };
        // Calls of other threads on what is no file fail as well. No disk is to blame for what comes of that: such a run
        // shows something only if it went well.
        let is_foreign = fault != Fault::Kill && met.len() < hit.len();
        if is_foreign && ended.was_killed() {
            return Ok(());
        }
        let mut judged = counts.clone();
        let problems = self.judge(fault, &ended, &mut judged)?;
        if is_foreign && !problems.is_empty() {
            return Ok(());
        }
        *counts = judged;
        let place = format!("{} at {call} {when} ({} {})", counts.fault, first.path, first.occurrence);
        met.iter().for_each(|point| _ = open.remove(*point));
        self.report.problems.extend(problems.into_iter().map(|problem| format!("{place}: {problem}")));
        Ok(())
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
                    problems.extend(self.expected.compare(&target.dataset, ledgers)?.problems);
                }
                Some(_) if ended.output.contains("error") => counts.refused += 1,
                _ => problems.push(format!("it ended without an error: {}\n{}", ended.status, ended.output)),
            }
            if ended.output.contains("panicked") {
                problems.push(format!("it panicked:\n{}", ended.output));
            }
        }
        match workload.complete(Mode::Backfill, &target, "the run after it") {
            Ok(_) => problems.extend(self.expected.compare(&target.dataset, ledgers)?.problems),
            Err(error) => problems.push(error.to_string()),
        }
        Ok(problems)
    }

    /// A run under strace into a fresh dataset.
    fn traced(&mut self, injection: Option<Injection<'_>>) -> Result<(Ended, Vec<Traced>), ExperimentError> {
        let workload = &self.settings.workload;
        let mut target = workload.fresh("traced")?;
        if injection.is_some_and(|injection| injection.has_state) {
            // A copy each time: a state that has seen this dataset rightly refuses one that was made anew (CKPT-1).
            target.data = workload.folder.join("known-state");
            copy_state(&workload.folder.join("undisturbed-state"), &target.data)?;
        }
        let log = workload.folder.join("strace.log");
        // What an earlier run left would be taken for this one's.
        let _ = fs::remove_file(&log);
        let running = Running::start_group(under_strace(workload, &target, &log, injection))?;
        let read = || {
            match fs::read_to_string(&log) {
                Ok(text) => Ok(trace::read(&text, &workload.folder)),
                // strace has not begun.
                Err(error) if error.kind() == ErrorKind::NotFound => Ok(Vec::new()),
                Err(error) => Err(ExperimentError::io("read", &log)(error)),
            }
        };
        let clock = SystemClock::new();
        let is_waited_for = |clock: SystemClock| clock.now().since(MonotonicTime::ORIGIN) < TRACED_MAX;
        while !running.ends_within(LOOK_EVERY) && is_waited_for(clock) {
            // A thread that was not woken may wait for ever: that says nothing about disks.
            let is_foreign = read()?.iter().any(|traced| traced.is_injected && traced.point.is_none());
            if is_foreign {
                running.ends_within(FOREIGN_MAX);
                break;
            }
        }
        // What has ended by itself is not killed any more.
        let ended = running.kill()?;
        self.target = Some(target);
        Ok((ended, read()?))
    }
}

/// Puts a copy of a node's state in place of the one before.
fn copy_state(from: &Path, to: &Path) -> Result<(), ExperimentError> {
    remove(to)?;
    copy_folder(from, to).map_err(ExperimentError::io("copy the state to", to))
}

/// Folders and files; a socket is of a process that has ended.
fn copy_folder(from: &Path, to: &Path) -> io::Result<()> {
    fs::create_dir_all(to)?;
    for entry in fs::read_dir(from)? {
        let (entry, path) = entry.map(|entry| (entry.file_type(), entry.path()))?;
        let (kind, name) = (entry?, path.file_name().unwrap_or_default());
        match (kind.is_dir(), kind.is_file()) {
            (true, _) => copy_folder(&path, &to.join(name))?,
            (_, true) => fs::copy(&path, to.join(name)).map(drop)?,
            _ => {}
        }
    }
    Ok(())
}

fn under_strace(
    workload: &Workload,
    target: &Target,
    log: &PathBuf,
    injection: Option<Injection<'_>>,
) -> Command {
    let node = workload.command(Mode::Backfill, target);
    let mut command = Command::new("strace");
    command.args(["-f", "-qq", "-y", "-s", "0", "-o"]).arg(log);
    // Calls that this machine does not have are no error.
    let calls: Vec<String> = CALLS.iter().map(|call| format!("?{call}")).collect();
    command.args(["-e", &format!("trace={}", calls.join(","))]);
    if let Some(Injection { fault, call, when, path, .. }) = injection {
        command.args(
            path.map(|path| workload.folder.join(path))
                .iter()
                .flat_map(|path| ["-P".as_ref(), path.as_os_str()]),
        );
        command.args(["-e", &format!("inject={call}:{}:when={when}", fault.action())]);
    }
    for (name, value) in node.get_envs() {
        match value {
            Some(value) => command.env(name, value),
            None => command.env_remove(name),
        };
    }
    // One thread does what waits for disks. Of the others there are so many that it seldom has to wake the one that waits
    // for events, by writes that would be counted too.
    command.env("TOKIO_WORKER_THREADS", "8").env("ORRERY_NODE__BLOCKING_THREADS", "1");
    // A result of one line is one write, which a failing count seldom meets.
    let words = ["--workers", "1", "--output", "json"];
    command.arg("--").arg(node.get_program()).args(node.get_args()).args(words);
    command.current_dir(&workload.folder);
    command
}
