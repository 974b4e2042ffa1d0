//! What came of a profile, as it is printed, kept and compared. Pure.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::plan::{Kind, Profile, Shape};
use super::tally::{Tallies, Tally};
use crate::load::swarm::SwarmReport;
use crate::load::timing::Histogram;

/// Lines of the course of a run.
const SLICES: usize = 10;

/// A run.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct ProfileReport {
    /// Of ledgers and choices.
    pub seed: u64,
    /// Which users.
    pub profile: Profile,
    /// When.
    pub shape: Shape,
    /// Most users at once.
    pub users: usize,
    /// Users that were there, on average over the time.
    pub users_mean: f64,
    /// How long they were to be there.
    pub seconds: u32,
    /// How often each asks, by how often its kind does.
    pub faster: f64,
    /// New ledgers a second, and what is in them.
    pub rate: f64,
    /// Of the ledgers.
    pub density: String,
    /// Ledgers that were stored before, and their events.
    pub stored_ledgers: u32,
    /// Those events.
    pub stored_events: u64,
    /// To make them and to start the server.
    pub setup_seconds: f64,
    /// From the first request to the last answer.
    pub measured_seconds: f64,
    /// By kind of user.
    pub kinds: Vec<KindReport>,
    /// Requests of all users but those of the live feed, a second.
    pub requests_per_second: f64,
    /// Of all requests and deliveries, those that failed.
    pub errors_percent: f64,
    /// Answers and deliveries that were not what the ledgers contain, and what was missing.
    pub wrong: u64,
    /// Live ledgers whose events were compared with those of the simulation that made them.
    pub live_ledgers: u32,
    /// The server, as the system says.
    pub server: ServerReport,
    /// Processor seconds of the users, who have the same machine.
    pub client_seconds: Option<f64>,
    /// Of the machine at the end.
    pub load_average: Option<f64>,
    /// The course of the run, without the live feed.
    pub course: Vec<Slice>,
    /// What was to hold.
    #[serde(default)]
    pub checks: Vec<Check>,
    /// Against an earlier run.
    #[serde(default)]
    pub compared: Vec<Compared>,
}

/// Users of one kind.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct KindReport {
    /// Which.
    pub kind: Kind,
    /// Most of them at once.
    pub users: usize,
    /// Requests that ended; of the live feed, ledgers at readers.
    pub requests: u64,
    /// Of them a second.
    pub per_second: f64,
    /// Until the first byte of what was asked for; of the live feed, from the first packet until a reader stands on it.
    pub first: Quantiles,
    /// Until all of it was there; of the live feed, from the server's first word about a ledger until a reader has it.
    pub whole: Quantiles,
    /// Events that were received.
    pub events: u64,
    /// Bytes of answers.
    pub bytes: u64,
    /// How often the server asked to come again later.
    pub told_to_wait: u64,
    /// Requests that failed, by why.
    pub errors: BTreeMap<String, u64>,
    /// The first of them.
    pub first_error: Option<String>,
    /// Answers that were not what the ledgers contain.
    pub wrong: u64,
}

/// Times in milliseconds that so many of a hundred do not exceed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Quantiles {
    /// Half of them.
    pub p50_ms: f64,
    /// 95.
    pub p95_ms: f64,
    /// 99.
    pub p99_ms: f64,
    /// All.
    pub max_ms: f64,
}

/// What the server took.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct ServerReport {
    /// Of the machine.
    pub processors: usize,
    /// Of all of the machine's processors, on average.
    pub cpu_percent: Option<f64>,
    /// Within the busiest second.
    pub cpu_percent_max: Option<f64>,
    /// Resident bytes before the first user came.
    pub memory_before: Option<u64>,
    /// Most of them.
    pub memory_max: Option<u64>,
    /// At the end.
    pub memory_after: Option<u64>,
}

/// A part of the run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Slice {
    /// When it ended.
    pub to_seconds: f64,
    /// Users that were there at its end.
    pub users: usize,
    /// Requests that ended in it, a second.
    pub requests_per_second: f64,
    /// Of whole requests.
    pub p95_ms: f64,
    /// Requests that failed.
    pub failed: u64,
    /// Of the server.
    pub cpu_percent: Option<f64>,
    /// Of the server, in bytes.
    pub memory: Option<u64>,
}

/// Something that was to hold.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Check {
    /// What: as it is given to `--target`.
    pub name: String,
    /// What it may be at most, or is to be at least.
    pub limit: String,
    /// What it is.
    pub found: String,
    /// Whether that holds.
    pub holds: bool,
}

/// A figure beside that of an earlier run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Compared {
    /// Which.
    pub name: String,
    /// Of the earlier run.
    pub before: f64,
    /// Of this one.
    pub now: f64,
    /// By how much it is worse, in percent; less than nothing is better.
    pub worse_percent: f64,
    /// It is worse than is allowed, by more than such runs differ anyhow.
    pub has_regressed: bool,
}

/// The machine and the users at a moment.
#[derive(Clone, Debug, Default)]
pub(super) struct Sample {
    pub(super) seconds: f64,
    pub(super) users: usize,
    /// What came of requests since the sample before.
    pub(super) tally: Tally,
    pub(super) server_seconds: Option<f64>,
    pub(super) memory: Option<u64>,
}

impl From<&Histogram> for Quantiles {
    fn from(times: &Histogram) -> Self {
        let of = |permille| times.permille(permille);
        Self { p50_ms: of(500), p95_ms: of(950), p99_ms: of(990), max_ms: of(1000) }
    }
}

impl KindReport {
    fn new(kind: Kind, users: usize, tally: &Tally, seconds: f64) -> Self {
        Self {
            kind,
            users,
            requests: tally.requests,
            per_second: tally.requests as f64 / seconds,
            first: (&tally.first).into(),
            whole: (&tally.whole).into(),
            events: tally.rows,
            bytes: tally.bytes,
            told_to_wait: tally.waits,
            errors: tally.errors.clone(),
            first_error: tally.first_error.clone(),
            wrong: tally.wrong,
        }
    }

    /// Requests that failed.
    pub fn failed(&self) -> u64 {
        self.errors.values().sum()
    }
}

/// Deliveries of the live feed as the requests of its users.
pub(super) fn deliveries(swarm: &SwarmReport, unlike: u64) -> Tally {
    let mut tally = Tally { first: swarm.opened.clone(), rows: swarm.received, ..Tally::default() };
    for window in &swarm.windows {
        tally.whole.merge(&window.latency);
        tally.bytes += window.bytes;
    }
    let errors = [
        ("refused", swarm.refused),
        ("connection cut off", swarm.lost),
        ("ledgers missed", swarm.missed),
        ("wrong frames", swarm.wrongs.sum()),
        ("ledgers unlike the simulation's", unlike),
    ];
    let happened = errors.into_iter().filter(|(_, count)| *count > 0);
    tally.errors = happened.map(|(name, count)| (name.to_owned(), count)).collect();
    tally.first_error = swarm.first_refusal.clone().or_else(|| swarm.first_loss.clone());
    tally.wrong = swarm.missed + swarm.wrongs.sum() + unlike;
    tally.requests = tally.whole.count() + tally.failed();
    tally
}

impl ProfileReport {
    /// Adds what came of requests and deliveries.
    pub(super) fn took(&mut self, tallies: &Tallies, users: impl Fn(Kind) -> usize) {
        let seconds = self.measured_seconds.max(0.001);
        let kinds = Kind::ALL.into_iter().filter(|kind| users(*kind) > 0);
        self.kinds =
            kinds.map(|kind| KindReport::new(kind, users(kind), tallies.of(kind), seconds)).collect();
        let asked = self.kinds.iter().filter(|kind| kind.kind != Kind::Live);
        self.requests_per_second = asked.map(|kind| kind.requests as f64).sum::<f64>() / seconds;
        let sum = tallies.sum();
        self.errors_percent = sum.failed() as f64 * 100.0 / (sum.requests as f64).max(1.0);
        self.wrong = sum.wrong;
    }

    /// Adds what the machine said, sample after sample; the first one is of the beginning.
    pub(super) fn sampled(&mut self, samples: &[Sample]) {
        let processors = self.server.processors.max(1) as f64;
        let used = |from: &Sample, to: &Sample| {
            let seconds = (to.seconds - from.seconds).max(0.001);
            Some((to.server_seconds? - from.server_seconds?) * 100.0 / seconds / processors)
        };
        let (Some(first), Some(last)) = (samples.first(), samples.last()) else { return };
        self.server.cpu_percent = used(first, last);
        let each = samples.windows(2).filter_map(|pair| used(&pair[0], &pair[1]));
        self.server.cpu_percent_max = each.max_by(f64::total_cmp);
        self.server.memory_before = first.memory;
        self.server.memory_max = samples.iter().filter_map(|sample| sample.memory).max();
        self.server.memory_after = last.memory;
        self.users_mean =
            samples.iter().map(|sample| sample.users as f64).sum::<f64>() / samples.len() as f64;
        let of_slice = (samples.len() - 1).div_ceil(SLICES).max(1);
        let starts = (0..samples.len() - 1).step_by(of_slice);
        self.course = starts
            .map(|start| {
                let slice = &samples[start..samples.len().min(start + of_slice + 1)];
                let (from, to) = (&slice[0], &slice[slice.len() - 1]);
                let mut tally = Tally::default();
                slice[1..].iter().for_each(|sample| tally.merge(&sample.tally));
                Slice {
                    to_seconds: to.seconds,
                    users: to.users,
                    requests_per_second: tally.requests as f64 / (to.seconds - from.seconds).max(0.001),
                    p95_ms: tally.whole.permille(950),
                    failed: tally.failed(),
                    cpu_percent: used(from, to),
                    memory: to.memory,
                }
            })
            .collect();
    }

    /// What does not hold, a line each.
    pub fn problems(&self) -> Vec<String> {
        let mut problems = Vec::new();
        for kind in self.kinds.iter().filter(|kind| kind.wrong > 0) {
            let first = kind.first_error.clone().unwrap_or_default();
            problems.push(format!("{}: {} wrong or missing; first: {first}", kind.kind.name(), kind.wrong));
        }
        for check in self.checks.iter().filter(|check| !check.holds) {
            problems.push(format!("{}: {}, target {}", check.name, check.found, check.limit));
        }
        for one in self.compared.iter().filter(|one| one.has_regressed) {
            let Compared { name, before, now, worse_percent, .. } = one;
            problems
                .push(format!("{name}: {now:.1}, {before:.1} in the baseline: {worse_percent:.0} % worse"));
        }
        problems
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_course_of_a_run_has_slices_of_what_was_sampled() {
        let mut report: ProfileReport = serde_json::from_str(crate::load::profiles::EXAMPLE).unwrap();
        let samples: Vec<Sample> = (0..=40)
            .map(|second| Sample {
                seconds: f64::from(second),
                users: 10,
                tally: Tally { requests: 5, ..Tally::default() },
                server_seconds: Some(f64::from(second) * 0.5 + if second == 40 { 1.0 } else { 0.0 }),
                memory: Some(100 + u64::from(second as u32)),
            })
            .collect();
        report.sampled(&samples);
        assert_eq!((report.course.len(), report.course[9].to_seconds), (10, 40.0));
        assert!(report.course.iter().all(|slice| slice.requests_per_second == 5.0 && slice.users == 10));
        assert_eq!((report.server.cpu_percent, report.server.cpu_percent_max), (Some(26.25), Some(75.0)));
        assert_eq!((report.server.memory_before, report.server.memory_max), (Some(100), Some(140)));
        assert_eq!(report.users_mean, 10.0);
        report.sampled(&samples[..1]);
        assert!(report.course.is_empty());
    }
}
