//! What came of a run under load.

use serde::Serialize;

use super::hostile::AttackReport;
use super::swarm::{SlowReaders, SwarmReport, Window, Wrongs};
use super::timing::Histogram;
use super::{Costs, LoadSettings};

/// What a server's memory may grow by while hostile clients come: less than what they send. Recent ledgers are part of it.
const HOSTILE_BYTES_MAX: u64 = 64 << 20;

/// A run.
#[derive(Clone, Debug, Serialize)]
pub struct LoadReport {
    /// Of ledgers and choices.
    pub seed: u64,
    /// Readers that were to connect.
    pub connections: usize,
    /// Servers.
    pub processes: usize,
    /// Of each half.
    pub seconds: u32,
    /// Ledgers a second.
    pub rate: f64,
    /// Of the ledgers.
    pub density: String,
    /// Of all readers, as JSON.
    pub filter: String,
    /// Readers that connected.
    pub connected: u64,
    /// Readers that the server did not take.
    pub refused: u64,
    /// Readers whose connection ended though they were not slow.
    pub lost: u64,
    /// The first that was said about either.
    pub first_problem: Option<String>,
    /// Of the servers.
    pub memory: Option<MemoryReport>,
    /// While all read.
    pub all_read: LatencyReport,
    /// Of the same readers, while others read nothing.
    pub some_slow: Option<LatencyReport>,
    /// Those others.
    pub slow: SlowReaders,
    /// Hostile clients, by what they did.
    pub attacks: Vec<AttackReport>,
    /// Readers that servers say they have closed as too slow.
    pub evicted: Option<u64>,
    /// Ledgers that single readers lacked at the end.
    pub missed: u64,
    /// Frames that should not have been sent.
    pub wrong: Wrongs,
    /// Ledgers of which no reader was sent anything though all was wanted: they have no events, or all readers missed them.
    pub passed_by_all: u64,
    /// Processor seconds of servers and of readers while it was measured.
    pub server_seconds: Option<f64>,
    /// Those of the readers.
    pub client_seconds: Option<f64>,
    /// Load average of the machine at the end of each half.
    pub load_average: Vec<Option<f64>>,
}

/// Resident memory of the servers, in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct MemoryReport {
    /// Before the first reader came.
    pub before: u64,
    /// With all readers connected.
    pub connected: u64,
    /// With all readers waiting for events.
    pub subscribed: u64,
    /// What one more has cost that is connected.
    pub each_connected: u64,
    /// What one more has cost that waits for events.
    pub each_subscribed: u64,
    /// At the end.
    pub after: u64,
}

/// How late ledgers were at readers, in milliseconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct LatencyReport {
    /// Ledgers, of all servers.
    pub ledgers: usize,
    /// Ledgers at readers.
    pub samples: u64,
    /// Half of them were not later.
    pub p50_ms: f64,
    /// 99 of 100 were not later.
    pub p99_ms: f64,
    /// The latest.
    pub max_ms: f64,
    /// 99th percentiles of single ledgers: the smallest, half of them, the largest.
    pub each_p99_ms: [f64; 3],
    /// How late ledgers were there, 99 of 100, behind the most punctual one.
    pub behind_schedule_p99_ms: f64,
    /// Bytes that a reader got for a ledger.
    pub bytes_per_ledger: u64,
}

impl MemoryReport {
    pub(super) fn new(bytes: [Option<u64>; 3], readers: usize) -> Option<Self> {
        let [before, connected, subscribed] = bytes;
        let (before, connected, subscribed) = (before?, connected?, subscribed?);
        let each = |with: u64| with.saturating_sub(before) / (readers as u64).max(1);
        Some(Self {
            before,
            connected,
            subscribed,
            each_connected: each(connected),
            each_subscribed: each(subscribed),
            after: 0,
        })
    }

    /// What an idle reader costs: the larger of both.
    pub fn each_idle(&self) -> u64 {
        self.each_connected.max(self.each_subscribed)
    }
}

impl LatencyReport {
    fn new(windows: &[&Window], readers: u64) -> Self {
        let (mut latency, mut late) = (Histogram::default(), Histogram::default());
        let mut each: Vec<f64> = Vec::new();
        for window in windows {
            latency.merge(&window.latency);
            late.merge(&window.behind_schedule);
            each.extend(&window.each_p99_ms);
        }
        each.sort_by(f64::total_cmp);
        let at = |index: usize| each.get(index).copied().unwrap_or_default();
        let ledgers: usize = windows.iter().map(|window| window.ledgers).sum();
        let bytes: u64 = windows.iter().map(|window| window.bytes).sum();
        let readers_of_one = readers / (windows.len() as u64).max(1);
        Self {
            ledgers,
            samples: latency.count(),
            p50_ms: latency.permille(500),
            p99_ms: latency.permille(990),
            max_ms: latency.permille(1000),
            each_p99_ms: [at(0), at(each.len() / 2), at(each.len().saturating_sub(1))],
            behind_schedule_p99_ms: late.permille(990),
            bytes_per_ledger: bytes / (ledgers as u64 * readers_of_one).max(1),
        }
    }
}

impl LoadReport {
    pub(super) fn new(settings: &LoadSettings) -> Self {
        let LoadSettings { seed, connections, processes, seconds, rate, .. } = *settings;
        Self {
            seed,
            connections,
            processes,
            seconds,
            rate,
            density: settings.density.clone(),
            filter: settings.filter.clone(),
            connected: 0,
            refused: 0,
            lost: 0,
            first_problem: None,
            memory: None,
            all_read: LatencyReport::default(),
            some_slow: None,
            slow: SlowReaders::default(),
            attacks: Vec::new(),
            evicted: None,
            missed: 0,
            wrong: Wrongs::default(),
            passed_by_all: 0,
            server_seconds: None,
            client_seconds: None,
            load_average: Vec::new(),
        }
    }

    /// What was used between two moments, and what the servers counted.
    pub(super) fn took(&mut self, from: Costs, to: Costs, evicted: Option<u64>) {
        let spent = |from: Option<f64>, to: Option<f64>| Some(to? - from?);
        self.server_seconds = spent(from.server_seconds, to.server_seconds);
        self.client_seconds = spent(from.client_seconds, to.client_seconds);
        self.evicted = evicted;
        if let (Some(memory), Some(after)) = (&mut self.memory, to.memory) {
            memory.after = after;
        }
    }

    /// What readers of all servers saw.
    pub(super) fn saw(&mut self, swarms: &[SwarmReport]) {
        for swarm in swarms {
            self.connected += swarm.connected;
            self.refused += swarm.refused;
            self.lost += swarm.lost;
            self.missed += swarm.missed;
            self.passed_by_all += swarm.passed_by_all;
            self.wrong.add(swarm.wrongs);
            self.slow.add(swarm.slow);
            let problem = swarm.first_refusal.clone().or(swarm.first_loss.clone());
            self.first_problem = self.first_problem.take().or(problem);
        }
        let half = |index: usize| -> Vec<&Window> {
            swarms.iter().filter_map(|swarm| swarm.windows.get(index)).collect()
        };
        self.all_read = LatencyReport::new(&half(0), self.connected);
        let second = half(1);
        self.some_slow = (!second.is_empty()).then(|| LatencyReport::new(&second, self.connected));
    }

    /// By how much the 99th percentile of a ledger grew, half of them, in percent. That of all ledgers together is that of
    /// the few in whose moment the machine did something else.
    pub fn slow_adds_percent(&self) -> Option<f64> {
        let (before, after) = (self.all_read.each_p99_ms[1], self.some_slow?.each_p99_ms[1]);
        (before > 0.0).then(|| (after / before - 1.0) * 100.0)
    }

    /// Why the run is no success, whatever its limits.
    pub fn problems(&self) -> Vec<String> {
        let mut problems = Vec::new();
        let mut count = |count: u64, what: &str| {
            if count > 0 {
                problems.push(format!("{count} {what}"));
            }
        };
        count(self.refused, "readers were refused");
        count(self.lost, "readers were left in the middle");
        count(self.missed, "ledgers did not arrive at a reader");
        count(self.wrong.sum(), "frames should not have been sent so");
        count(self.slow.wrong_cursor, "slow readers were closed with a wrong cursor");
        for attack in self.attacks.iter().filter(|attack| !attack.is_held()) {
            let AttackReport { name, tries, as_expected, first_other } = attack;
            let other = first_other.as_deref().unwrap_or_default();
            problems.push(format!("{name}: {} of {tries} not as expected: {other}", tries - as_expected));
        }
        if let Some(grown) = self.memory.map(|memory| memory.after.saturating_sub(memory.subscribed))
            && !self.attacks.is_empty()
            && grown > HOSTILE_BYTES_MAX
        {
            problems.push(format!("the servers' memory grew by {grown} bytes"));
        }
        if self.all_read.samples == 0 || self.some_slow.is_some_and(|half| half.samples == 0) {
            problems.push("no ledger came while it was measured".to_owned());
        }
        problems
    }
}

impl SlowReaders {
    fn add(&mut self, other: Self) {
        self.readers += other.readers;
        self.closed_4008 += other.closed_4008;
        self.wrong_cursor += other.wrong_cursor;
        self.cut_off += other.cut_off;
        self.caught_up += other.caught_up;
    }
}
