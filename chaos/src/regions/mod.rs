//! The experiment: regions with a store each follow a network that closes a ledger a second, and again and again one of them
//! is killed with its store, paused, cut off, parted from the others, emptied, or comes back with old or with other data; or
//! traffic is moved by plan. Readers must get new ledgers from another region within seconds, every event once and in order;
//! the region must catch up by itself and all must say that they are equal; and in the end every region's dataset must be that
//! of one undisturbed process, byte for byte.
//!
//! Each region is a network namespace, and so are the readers. A reader of one region alone is the witness of what that
//! region serves; those that are given all regions are what is protected.

mod differ;
mod fault;
pub(crate) mod http;
pub(crate) mod live_lake;
mod plan;
pub(crate) mod reader;
mod region;
mod report;
mod results;
mod round;
mod store;
mod view;

use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

use orrery_supervisor::{Clock, MonotonicTime, SystemClock};
use serde::Deserialize;

use crate::experiment::ExperimentError;
use crate::judges::dataset::{Accelerators, Expected, TABLES};
use crate::network::Network;
use crate::process::Running;
use crate::workload::{FIRST_LEDGER, Target, UNDISTURBED_MAX, Workload, remove, succeeded, url};

use live_lake::LiveLake;
use plan::Plan;
use reader::Reader;
use region::{Region, name_of};

pub use plan::Fault;
pub use report::{RegionComparison, RegionsReport, RoundReport};
pub use results::FaultResult;
pub use store::StoreKind;

/// Between two ledgers.
const CLOSES_EVERY: Duration = Duration::from_secs(1);

/// Between two looks at readers.
const LOOK_EVERY: Duration = Duration::from_millis(20);

/// Within it regions have started, and have caught up in the end.
const PATIENCE: Duration = Duration::from_secs(180);

/// The mode in which a region derives nothing.
const COPY: &str = "copy";

/// Nodes that are told to stop end within this.
const STOPS_WITHIN: Duration = Duration::from_secs(75);

/// What is asked for.
#[derive(Clone, Debug)]
pub struct RegionsSettings {
    /// Ledgers that there are at most, and the place.
    pub workload: Workload,
    /// Faults.
    pub rounds: u32,
    /// Kinds of faults, done in turn.
    pub faults: Vec<Fault>,
    /// How many regions.
    pub regions: usize,
    /// How many nodes each has.
    pub nodes: usize,
    /// What each keeps its dataset in.
    pub store: StoreKind,
    /// How regions replicate: `recompute`, `both`, or `copy`: the last one derives nothing, and the others recompute.
    pub mode: String,
    /// The region that faults are done to; drawn without it.
    pub victim: Option<usize>,
    /// For how long a region is away; drawn without it.
    pub outage: Option<Duration>,
    /// Readers of all regions.
    pub readers: usize,
    /// Ledgers that are there when regions start.
    pub history: u32,
    /// MiB a second that a region copies from each other one at most; 0 for no limit.
    pub mib_per_second: u32,
    /// Megabits a second of each region's line, if it is a slow one.
    pub line: Option<u32>,
    /// Seed of victims and moments.
    pub seed: u64,
}

impl RegionsSettings {
    /// Whether a region derives nothing.
    fn copies(&self, region: usize) -> bool {
        self.mode == COPY && region + 1 == self.regions
    }

    /// How a region replicates.
    fn mode_of(&self, region: usize) -> &str {
        match self.mode == COPY && !self.copies(region) {
            true => "recompute",
            false => &self.mode,
        }
    }
}

/// Runs it. Progress goes to `progress`.
///
/// # Errors
///
/// The regions do not start, or the machine refuses what is needed.
pub fn run(settings: &RegionsSettings, progress: &mut dyn Write) -> Result<RegionsReport, ExperimentError> {
    let network = Network::new(settings.regions + 1)?;
    for region in 0..settings.regions {
        settings.line.map_or(Ok(()), |megabits| network.slow(region, megabits))?;
    }
    settings.workload.make_lake()?;
    let regions = (0..settings.regions).map(|index| Region::new(settings, index));
    let regions = regions.collect::<Result<Vec<_>, _>>()?;
    let clock = SystemClock::new();
    let live = settings.workload.folder.join("live");
    let now = clock.now().since(MonotonicTime::ORIGIN);
    let lake = LiveLake::new(&settings.workload.lake(), &live, settings.history, CLOSES_EVERY, now)?;
    let plan = Plan::new(settings.seed, &settings.faults, settings.regions, settings.outage);
    let report = RegionsReport::new(settings);
    let (witnesses, roaming) = (Vec::new(), Vec::new());
    let mut experiment = Experiment {
        settings,
        network: &network,
        clock,
        live,
        lake,
        regions,
        witnesses,
        roaming,
        plan,
        report,
        progress,
    };
    experiment.begin()?;
    while experiment.report.goes_on(settings.rounds) && experiment.lake.goes_on() {
        experiment.round()?;
    }
    experiment.end()?;
    let mut report = experiment.report;
    report.conclude();
    Ok(report)
}

struct Experiment<'a> {
    settings: &'a RegionsSettings,
    network: &'a Network,
    clock: SystemClock,
    live: PathBuf,
    lake: LiveLake,
    regions: Vec<Region>,
    /// A reader of each region alone.
    witnesses: Vec<Reader>,
    /// Readers of all regions, each of which begins with another.
    roaming: Vec<Reader>,
    plan: Plan,
    report: RegionsReport,
    progress: &'a mut dyn Write,
}

impl Experiment<'_> {
    /// Starts everything, and waits until each region serves what there is.
    fn begin(&mut self) -> Result<(), ExperimentError> {
        for index in 0..self.regions.len() {
            self.bring_up(index)?;
        }
        let servers: Vec<Vec<String>> = self.regions.iter().map(Region::servers).collect();
        for (index, alone) in servers.iter().enumerate() {
            let witness = self.reader(format!("of {}", name_of(index)), alone)?;
            self.witnesses.push(witness);
        }
        for index in 0..self.settings.readers {
            let mut order = servers.clone();
            order.rotate_left(index % servers.len().max(1));
            let reader = self.reader(format!("{}", index + 1), &order.concat())?;
            self.roaming.push(reader);
        }
        let began = self.now();
        while !self.all_have(self.whole_history()) {
            self.pause()?;
            if self.now() - began > PATIENCE {
                return Err(self.failed("the regions do not serve all ledgers"));
            }
        }
        let line = format!(
            "{} regions serve all ledgers after {:.1} s",
            self.regions.len(),
            self.now().as_secs_f64()
        );
        self.say(&line)
    }

    fn reader(&self, name: String, servers: &[String]) -> Result<Reader, ExperimentError> {
        let output = self.settings.workload.folder.join(format!("reader {name}.jsonl"));
        let (orrery, place) = (&self.settings.workload.orrery, self.settings.regions);
        Reader::start(orrery, self.network, place, name, servers, output)
    }

    /// What regions that copy whole slots have of the ledgers that were there.
    fn whole_history(&self) -> u32 {
        let (history, width) = (self.settings.history, self.settings.workload.slot_ledgers);
        if self.settings.mode == COPY { (history / width * width).saturating_sub(1) } else { history }
    }

    /// Starts a region's store, and its nodes when that is there.
    fn bring_up(&mut self, index: usize) -> Result<(), ExperimentError> {
        self.start_store(index)?;
        self.start_nodes(index)
    }

    /// Starts a region's nodes. Its store has to be there.
    fn start_nodes(&mut self, index: usize) -> Result<(), ExperimentError> {
        let Some(region) = self.regions.get_mut(index) else { return Ok(()) };
        region.start(self.settings, self.network, &self.live)
    }

    /// Starts a region's store, and waits until it is there.
    fn start_store(&mut self, index: usize) -> Result<(), ExperimentError> {
        let network = self.network;
        let Some(region) = self.regions.get_mut(index) else { return Ok(()) };
        region.store.start(network)?;
        let began = self.now();
        while self.regions.get(index).is_some_and(|region| !region.store.is_there(network)) {
            self.pause()?;
            if self.now() - began > PATIENCE {
                return Err(self.failed("a store does not come up"));
            }
        }
        Ok(())
    }

    /// Whether every reader has this ledger.
    fn all_have(&self, ledger: u32) -> bool {
        self.witnesses.iter().chain(&self.roaming).all(|reader| reader.newest() >= ledger)
    }

    /// Waits until every region has all that was closed, ends everything and compares.
    fn end(&mut self) -> Result<(), ExperimentError> {
        let width = self.settings.workload.slot_ledgers;
        // The last slot is a whole one: a region that follows a network writes no others.
        while self.lake.goes_on() && !(self.lake.newest() + 1).is_multiple_of(width) {
            self.pause()?;
        }
        let last = self.lake.newest();
        self.report.ledgers = last - FIRST_LEDGER + 1;
        let events = self.expected_events(last)?;
        let began = self.now();
        let is_whole = |reader: &Reader| reader.events() >= events.len();
        while !self.witnesses.iter().chain(&self.roaming).all(is_whole) && self.now() - began < PATIENCE {
            self.read();
            std::thread::park_timeout(LOOK_EVERY);
        }
        self.report.events = events.len();
        for reader in &self.roaming {
            self.report.problems.extend(reader.problems(&events));
            let late = reader.ledgers().iter().filter_map(|(ledger, at)| {
                let appeared = self.lake.appeared(*ledger).filter(|_| *ledger > self.settings.history + 1)?;
                Some(at.saturating_sub(appeared).as_secs_f64())
            });
            self.report.latencies.extend(late);
        }
        for witness in &self.witnesses {
            self.report.problems.extend(witness.problems(&events));
        }
        self.compare(last)
    }

    /// Ids of all events up to `last`, in order, by a command that knows of no regions.
    fn expected_events(&self, last: u32) -> Result<Vec<String>, ExperimentError> {
        #[derive(Deserialize)]
        struct Event {
            event_id: String,
        }
        let file = self.settings.workload.folder.join("expected.jsonl");
        let (lake, out, to) = (url(&self.live), file.display().to_string(), last.to_string());
        let words = ["events", &lake, "--from", "genesis", "--to", &to, "--format", "jsonl", "--out", &out];
        let ended = Running::start(self.settings.workload.orrery.command(words))?.finish(UNDISTURBED_MAX)?;
        succeeded("orrery events", &ended)?;
        let text = std::fs::read_to_string(&file).map_err(ExperimentError::io("read", &file))?;
        let id = |line: &str| serde_json::from_str::<Event>(line).map(|event| event.event_id);
        let failed = |error: serde_json::Error| ExperimentError::io("parse", &file)(error.into());
        text.lines().map(|line| id(line).map_err(failed)).collect()
    }

    /// Compares every region's dataset with that of one process.
    fn compare(&mut self, last: u32) -> Result<(), ExperimentError> {
        let workload = &self.settings.workload;
        let undisturbed = workload.fresh("undisturbed")?;
        self.backfill(&undisturbed, last)?;
        let expected = Expected::read(&undisturbed.dataset, (FIRST_LEDGER, last))?;
        for index in 0..self.regions.len() {
            let began = self.now();
            loop {
                let Some(found) = self.files(index)? else { return Ok(()) };
                self.remove_evidence(&found)?;
                let comparison =
                    expected.compare(&found, (FIRST_LEDGER, last), Accelerators::ThatBothHave)?;
                // The last slots may be on their way.
                if comparison.is_equal() || self.now() - began > PATIENCE {
                    let region = name_of(index);
                    self.report.comparisons.push(RegionComparison { region, comparison });
                    break;
                }
                std::thread::park_timeout(Duration::from_secs(1));
            }
        }
        for region in &mut self.regions {
            for ended in region.stop(STOPS_WITHIN)? {
                let problem =
                    format!("{}: a node ended badly: {}\n{}", region.name, ended.status, ended.output);
                self.report.problems.push(problem);
            }
            region.store.kill()?;
        }
        Ok(())
    }

    fn backfill(&self, target: &Target, last: u32) -> Result<(), ExperimentError> {
        let workload = &self.settings.workload;
        let grid = format!("{FIRST_LEDGER}:{}", workload.slot_ledgers);
        let (lake, dataset, to) = (url(&self.live), url(&target.dataset), last.to_string());
        let words = [
            "backfill",
            "--source",
            &lake,
            "--dataset",
            &dataset,
            "--grid",
            &grid,
            "--from",
            "genesis",
            "--to",
            &to,
        ];
        let mut command = workload.orrery.command(words);
        command.arg("--data-dir").arg(&target.data);
        let ended = Running::start(command)?.finish(UNDISTURBED_MAX)?;
        succeeded("the undisturbed run", &ended)
    }

    /// The files of a region's dataset: itself, or a copy of what its server has.
    fn files(&mut self, index: usize) -> Result<Option<PathBuf>, ExperimentError> {
        let Some(region) = self.regions.get(index) else { return Ok(None) };
        if let Some(files) = region.store.files() {
            return Ok(Some(files.to_owned()));
        }
        let copy = self.settings.workload.fresh(&format!("{}-copy", region.name))?.dataset;
        let (from, to) = (region.store.dataset(), url(&copy));
        let mut command = self.settings.workload.orrery.command(["backup", "--dataset", &from, "--to", &to]);
        region.store.grant(&mut command);
        let ended = Running::start(self.network.within(index, &command))?.finish(UNDISTURBED_MAX)?;
        succeeded("orrery backup", &ended)?;
        Ok(Some(copy))
    }

    /// What was kept of differences that were made is no part of the dataset. It was looked at when it was found.
    fn remove_evidence(&self, files: &Path) -> Result<(), ExperimentError> {
        let is_expected = self.report.rounds.iter().any(|round| round.fault == Fault::Differ);
        let tables = TABLES.iter().filter(|_| is_expected);
        tables.map(|table| files.join(table).join("_quarantine")).try_for_each(|folder| remove(&folder))
    }

    fn failed(&self, problem: &str) -> ExperimentError {
        let output =
            self.regions.iter().map(|region| format!("{}:\n{}\n", region.name, region.output())).collect();
        ExperimentError::Undisturbed { step: "regions".to_owned(), problem: problem.to_owned(), output }
    }

    fn now(&self) -> Duration {
        self.clock.now().since(MonotonicTime::ORIGIN)
    }

    /// Lets some time pass, in which ledgers close and readers are heard.
    fn pause(&mut self) -> Result<(), ExperimentError> {
        let now = self.now();
        self.lake.go_on(now)?;
        self.read();
        std::thread::park_timeout(LOOK_EVERY);
        Ok(())
    }

    fn read(&mut self) {
        let now = self.now();
        self.witnesses.iter_mut().chain(&mut self.roaming).for_each(|reader| reader.read(now));
    }

    fn say(&mut self, line: &str) -> Result<(), ExperimentError> {
        let written: io::Result<()> = writeln!(self.progress, "{line}");
        written.map_err(ExperimentError::io("write", "the progress".as_ref()))
    }
}
