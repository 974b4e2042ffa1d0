//! Load as users make it: some read ranges over Arrow Flight, some the live feed, some export, some look things up, and all of
//! them are real clients with addresses and connections of their own. Every answer is held against what the ledgers contain.
//!
//! In: which users, how many, when they are there. Out: a [`ProfileReport`] with times, rates, errors, what the server took, and
//! whether the targets hold. The dataset is made here (`stock`); users of the live feed are a `swarm`, all others a `crowd`.
//!
//! | what is measured | how |
//! |---|---|
//! | a request | from when its user wanted to ask: what it waits for the last answer counts, so that a slow server does not hide behind few requests |
//! | a delivery | as in the parent module |
//! | contents | the simulation that makes the ledgers notes events as they happen (`contents`); Flight and exports must have as many, pages as many as they may have |

mod plan;
mod tally;
mod contents;
mod stock;
mod crowd;
mod report;
mod targets;
mod baseline;
mod progress;

use std::path::PathBuf;
use std::time::Duration;

use orrery_supervisor::{Clock, MonotonicTime, SystemClock};

use super::clients::{Clients, Ordered};
use super::server::{Server, processor_seconds, resident_bytes};
use super::swarm::{Order, SwarmReport, SwarmSettings, Told};
use super::{ENDS_WITHIN, SETTLES_IN, load_average};
use crate::experiment::ExperimentError;
use crate::process::Orrery;
pub use baseline::{read as read_baseline, save as save_baseline, unlike as unlike_baseline};
pub(crate) use crowd::{COMMAND as USERS_COMMAND, serve as serve_users};
use crowd::{CrowdOrder, CrowdSettings, CrowdTold};
pub use plan::{Kind, Profile, Shape, Users};
pub use progress::Progress;
pub use report::{Check, Compared, KindReport, ProfileReport, Quantiles, ServerReport, Slice};
use report::{Sample, deliveries};
use stock::Stock;
use tally::{Tallies, Tally};
pub use targets::Limit;
pub(crate) use targets::seconds as shown_time;

/// How often it is looked who is to be there.
const LOOK_EVERY: Duration = Duration::from_millis(100);

/// How often the machine is looked at.
const SAMPLE_EVERY: Duration = Duration::from_secs(1);

/// How long the two connections that time the live feed may take.
const CONNECTS_WITHIN: Duration = Duration::from_secs(60);

/// Second numbers of the addresses of readers, and of all other users.
const NETWORK_OF_READERS: u8 = 1;
const NETWORK_OF_USERS: u8 = 2;

/// What is done.
#[derive(Clone, Debug)]
pub struct ProfileSettings {
    /// The program.
    pub orrery: Orrery,
    /// Where its node keeps its data.
    pub folder: PathBuf,
    /// Which users.
    pub profile: Profile,
    /// When they are there.
    pub shape: Shape,
    /// How many.
    pub users: Users,
    /// How long.
    pub seconds: u32,
    /// How often each asks, by how often its kind does.
    pub faster: f64,
    /// Ledgers that are stored before, at least.
    pub ledgers: u32,
    /// New ledgers a second.
    pub rate: f64,
    /// Of the made-up ledgers.
    pub density: String,
    /// Of ledgers and choices.
    pub seed: u64,
    /// Instead of targets, or beside them.
    pub limits: Vec<Limit>,
    /// An earlier run, and the percent by which this one may be worse.
    pub baseline: Option<(Box<ProfileReport>, f64)>,
}

/// A run.
struct Run<'a> {
    settings: &'a ProfileSettings,
    server: Server,
    readers: Option<Clients>,
    crowd: Option<Ordered>,
    clock: SystemClock,
    began: MonotonicTime,
    present: Users,
    tallies: Tallies,
    samples: Vec<Sample>,
    /// What came of requests since the last sample.
    since: Tally,
    /// Processor seconds of users and readers.
    client_seconds: Option<f64>,
}

/// Lets users come, and watches what comes of them.
///
/// # Errors
///
/// Ledgers cannot be made, or the server or the users cannot be started, or end.
pub fn run(settings: &ProfileSettings, progress: &mut Progress) -> Result<ProfileReport, ExperimentError> {
    let clock = SystemClock::new();
    let (ledgers, _) = stock::whole_slots(settings.ledgers);
    progress.begins(&format!("{ledgers} {} ledgers are made", settings.density));
    let mut stock = stock::make(settings)?;
    progress.begins("a node starts, and goes on with new ones");
    let server = stock::serve(settings, &stock)?;
    server.runs_for(SETTLES_IN)?;
    let mut run = Run::start(settings, server, &stock, clock)?;
    let setup = clock.now().since(MonotonicTime::ORIGIN);
    progress.begins(&format!("{} users come, {}", settings.users.sum(), settings.shape.name()));
    run.began = clock.now();
    let users_seconds = run.runs(progress)?;
    let swarm = run.ends()?;
    progress.ends();
    let mut report = run.report(&stock, setup, users_seconds);
    if let Some(swarm) = swarm {
        let (unlike, compared) = unlike_the_oracle(&mut stock, &swarm);
        report.live_ledgers = compared;
        *run.tallies.of_mut(Kind::Live) = deliveries(&swarm, unlike);
    }
    report.took(&run.tallies, |kind| settings.users.of(kind));
    report.checks = targets::checks(&report, &settings.limits);
    if let Some((before, worse_by)) = &settings.baseline {
        report.compared = baseline::compare(before, &report, *worse_by);
    }
    run.server.stop()?;
    Ok(report)
}

/// Live ledgers whose events are others than the simulation's, and how many were compared.
fn unlike_the_oracle(stock: &mut Stock, swarm: &SwarmReport) -> (u64, u32) {
    let (mut unlike, mut compared) = (0, 0);
    let ends = swarm.events.keys().next().zip(swarm.events.keys().next_back());
    // A ledger of which nobody was told anything has no events.
    for ledger in ends.into_iter().flat_map(|(first, last)| *first..=*last) {
        let told = swarm.events.get(&ledger).copied().unwrap_or(0);
        compared += 1;
        unlike += u64::from(stock.oracle.events(ledger) != Some(u64::from(told)));
    }
    (unlike, compared)
}

impl<'a> Run<'a> {
    fn start(
        settings: &'a ProfileSettings,
        server: Server,
        stock: &Stock,
        clock: SystemClock,
    ) -> Result<Self, ExperimentError> {
        let users = settings.users;
        let readers = users.of(Kind::Live);
        let swarm = SwarmSettings {
            target: server.address,
            trust: None,
            token: None,
            readers,
            come_and_go: true,
            slow: 0,
            seed: settings.seed,
            filter: "{}".to_owned(),
            network: NETWORK_OF_READERS,
            period_us: Some((1e6 / settings.rate) as u64),
        };
        let mut readers = (readers > 0).then(|| Clients::start(&swarm)).transpose()?;
        if let Some(readers) = &mut readers {
            match readers.told(CONNECTS_WITHIN)? {
                Told::Connected => readers.order(Order::Measure)?,
                other => return Err(ExperimentError::Usage(format!("readers said {other:?}"))),
            }
        }
        let crowd = CrowdSettings {
            target: server.address,
            users,
            shape: settings.shape,
            faster: settings.faster,
            seed: settings.seed,
            contents: stock.file.clone(),
            network: NETWORK_OF_USERS,
        };
        let others = users.sum() - users.of(Kind::Live);
        let started = || Ordered::start(USERS_COMMAND, &crowd, "the process of users".to_owned());
        let crowd = (others > 0).then(started).transpose()?;
        if let Some(crowd) = &crowd {
            // The first word, of nothing yet, says that they are ready.
            let told = crowd.told::<CrowdTold>(CONNECTS_WITHIN)?;
            told.ok_or_else(|| crowd.failed("did not begin"))?;
        }
        Ok(Self {
            settings,
            server,
            readers,
            crowd,
            clock,
            began: clock.now(),
            present: Users::default(),
            tallies: Tallies::default(),
            samples: Vec::new(),
            since: Tally::default(),
            client_seconds: None,
        })
    }

    fn passed(&self) -> Duration {
        self.clock.now().since(self.began)
    }

    /// Lets users come and go until the time is over.
    fn runs(&mut self, progress: &mut Progress) -> Result<f64, ExperimentError> {
        let all = Duration::from_secs(u64::from(self.settings.seconds));
        self.sample();
        while self.passed() < all {
            let part = self.passed().as_secs_f64() / all.as_secs_f64();
            self.lets_be(self.settings.shape.present(self.settings.users, part))?;
            self.server.runs_for(LOOK_EVERY)?;
            self.hears(Duration::ZERO)?;
            let last = self.samples.last().map_or(0.0, |sample| sample.seconds);
            if self.passed().as_secs_f64() >= last + SAMPLE_EVERY.as_secs_f64() {
                self.sample();
                progress.passed(self.passed(), all, || self.said());
            }
        }
        // A moment at the end is no time to measure a rate in.
        if self.samples.len() < 2 {
            self.sample();
        }
        Ok(self.passed().as_secs_f64())
    }

    /// So many are there from now on.
    fn lets_be(&mut self, users: Users) -> Result<(), ExperimentError> {
        if users == self.present {
            return Ok(());
        }
        self.present = users;
        if let Some(readers) = &mut self.readers {
            readers.order(Order::Readers(users.of(Kind::Live)))?;
        }
        self.crowd.iter_mut().try_for_each(|crowd| crowd.order(&CrowdOrder::Present(users)))
    }

    /// Takes what users tell. True once they have told the last of it.
    fn hears(&mut self, within: Duration) -> Result<bool, ExperimentError> {
        let Some(crowd) = &self.crowd else { return Ok(true) };
        while let Some(told) = crowd.told::<CrowdTold>(within)? {
            let (tallies, is_last) = match &told {
                CrowdTold::Ended(tallies) => (tallies, false),
                CrowdTold::Stopped(tallies) => (tallies, true),
            };
            self.tallies.merge(tallies);
            self.since.merge(&tallies.sum());
            if is_last {
                return Ok(true);
            }
            if within > Duration::ZERO {
                break;
            }
        }
        Ok(false)
    }

    fn sample(&mut self) {
        let id = self.server.id();
        self.samples.push(Sample {
            seconds: self.passed().as_secs_f64(),
            users: self.present.sum(),
            tally: std::mem::take(&mut self.since),
            server_seconds: id.and_then(processor_seconds),
            memory: id.and_then(resident_bytes),
        });
    }

    /// How it goes, in a line.
    fn said(&self) -> String {
        let recent = &self.samples[self.samples.len().saturating_sub(6)..];
        let (mut tally, mut seconds) = (Tally::default(), 0.0);
        if let [first, rest @ ..] = recent {
            rest.iter().for_each(|sample| tally.merge(&sample.tally));
            seconds = rest.last().map_or(0.0, |last| last.seconds - first.seconds);
        }
        let memory = self.samples.last().and_then(|sample| sample.memory).unwrap_or(0) >> 20;
        let (failed, rate) = (self.tallies.sum().failed(), tally.requests as f64 / f64::max(seconds, 0.001));
        let (p50, p95) = (tally.whole.permille(500), tally.whole.permille(950));
        format!(
            "{} users, {rate:.0} requests/s, p50 {}, p95 {}, {failed} failed, server {memory} MiB",
            self.present.sum(),
            shown_time(p50),
            shown_time(p95),
        )
    }

    /// Has all leave once they have their answers. What readers of the live feed saw, if there were any.
    fn ends(&mut self) -> Result<Option<SwarmReport>, ExperimentError> {
        let readers = self.readers.as_ref().map(Clients::id);
        let ids = [readers, self.crowd.as_ref().map(Ordered::id)].into_iter().flatten();
        self.client_seconds = ids.map(|id| processor_seconds(i32::try_from(id).ok()?)).sum();
        if let Some(readers) = &mut self.readers {
            readers.order(Order::Stop)?;
        }
        self.crowd.iter_mut().try_for_each(|crowd| crowd.order(&CrowdOrder::Stop))?;
        let end = self.passed() + ENDS_WITHIN;
        while !self.hears(LOOK_EVERY)? {
            if let (Some(crowd), true) = (&self.crowd, self.passed() > end) {
                return Err(crowd.failed("did not end"));
            }
        }
        self.readers.take().map(|readers| readers.ended(ENDS_WITHIN)).transpose()
    }

    fn report(&self, stock: &Stock, setup: Duration, measured_seconds: f64) -> ProfileReport {
        let ProfileSettings { seed, profile, shape, users, seconds, faster, rate, .. } = *self.settings;
        let processors = std::thread::available_parallelism().map_or(1, usize::from);
        let mut report = ProfileReport {
            seed,
            profile,
            shape,
            users: users.sum(),
            users_mean: 0.0,
            seconds,
            faster,
            rate,
            density: self.settings.density.clone(),
            stored_ledgers: stock.contents.ledgers(),
            stored_events: stock.contents.sum(),
            setup_seconds: setup.as_secs_f64(),
            measured_seconds,
            kinds: Vec::new(),
            requests_per_second: 0.0,
            errors_percent: 0.0,
            wrong: 0,
            live_ledgers: 0,
            server: ServerReport { processors, ..ServerReport::default() },
            client_seconds: self.client_seconds,
            load_average: load_average(),
            course: Vec::new(),
            checks: Vec::new(),
            compared: Vec::new(),
        };
        report.sampled(&self.samples);
        report
    }
}

/// A report, for tests of what is made of one.
#[cfg(test)]
const EXAMPLE: &str = include_str!("example.json");
