//! Load: very many readers of the feed at once, what they cost the server, how late ledgers reach them, and whether all do.
//!
//! In: how many readers of how many servers, for how long, how many of them stop reading in the second half, and whether
//! hostile ones come then. Out: a [`LoadReport`]. Servers are started here, on made-up ledgers at a fixed rate, or are
//! somewhere else; readers of each server are a process of their own.
//!
//! | what is measured | how |
//! |---|---|
//! | memory of an idle reader | resident memory of the server with all connected, and with all subscribed, less that before, by their number |
//! | latency | from the first word of the server about a ledger to anybody (`timing`) until a reader has read all of it; the reader's own delay counts |
//! | missed ledgers | at the end every reader that was not slow has every ledger; each was led the same way (`place`) |
//! | what others suffer | 99th percentile of a ledger at the same readers in the second half, by that in the first, half of the ledgers |

pub(crate) mod caller;
mod clients;
mod files;
pub(crate) mod frames;
mod link;
pub(crate) mod hostile;
mod place;
mod report;
mod said;
mod server;
mod swarm;
mod timing;
pub mod profiles;

use std::io::Write;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use crate::experiment::ExperimentError;
use crate::process::Orrery;
use clients::Clients;
pub(crate) use clients::{COMMAND as CLIENTS_COMMAND, serve as serve_clients};
pub use hostile::AttackReport;
pub use link::Trust;
pub use report::{LatencyReport, LoadReport, MemoryReport};
use server::{Server, processor_seconds, resident_bytes};
use swarm::{Order, SwarmReport, SwarmSettings, Told};
pub use swarm::{SlowReaders, Wrongs};

/// How long memory and processor may take to come to rest before they are looked at.
const SETTLES_IN: Duration = Duration::from_secs(3);

/// How long readers may take to connect or subscribe.
const CONNECTS_WITHIN: Duration = Duration::from_secs(600);

/// How long they may take to end: what they wait for, and a margin.
const ENDS_WITHIN: Duration = Duration::from_secs(180);

/// Variable with the token of readers; it is none of the arguments, which others can list.
pub const TOKEN: &str = "ORRERY_TOKEN";

/// A node that is there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target {
    /// Where it serves.
    pub address: SocketAddr,
    /// Of one that serves over TLS.
    pub trust: Option<Trust>,
}

/// The token of readers, if they have one.
fn token() -> Option<String> {
    std::env::var(TOKEN).ok().filter(|token| !token.is_empty())
}

/// What is done.
#[derive(Clone, Debug)]
pub struct LoadSettings {
    /// The program.
    pub orrery: Orrery,
    /// Where its nodes keep their data.
    pub folder: PathBuf,
    /// A node that is there, instead of those that would be started.
    pub at: Option<Target>,
    /// Readers of all servers.
    pub connections: usize,
    /// Servers, each with as many of the readers.
    pub processes: usize,
    /// Seconds of each half.
    pub seconds: u32,
    /// Readers of a hundred that stop reading in the second half; there is none if this is 0.
    pub slow_percent: u8,
    /// Whether hostile clients come in the second half.
    pub hostile: bool,
    /// Ledgers a second.
    pub rate: f64,
    /// Of the made-up ledgers.
    pub density: String,
    /// JSON of the filter of all readers.
    pub filter: String,
    /// Of the ledgers, and of who is slow.
    pub seed: u64,
}

impl LoadSettings {
    /// Readers of a server.
    fn connections_of(&self, number: usize) -> usize {
        self.connections / self.processes + usize::from(number < self.connections % self.processes)
    }

    fn swarm(&self, number: usize, target: SocketAddr) -> SwarmSettings {
        let readers = self.connections_of(number);
        SwarmSettings {
            target,
            trust: self.at.as_ref().and_then(|at| at.trust.clone()),
            token: None,
            readers,
            come_and_go: false,
            slow: readers * usize::from(self.slow_percent) / 100,
            seed: self.seed.wrapping_add(number as u64),
            filter: self.filter.clone(),
            network: 1 + number as u8,
            period_us: self.at.is_none().then_some((1e6 / self.rate) as u64),
        }
    }

    fn has_second_half(&self) -> bool {
        self.slow_percent > 0 || self.hostile
    }
}

/// What servers and readers cost at a moment.
#[derive(Clone, Copy, Debug, Default)]
struct Costs {
    /// Resident bytes of all servers, if they are known.
    memory: Option<u64>,
    server_seconds: Option<f64>,
    client_seconds: Option<f64>,
}

/// A run.
struct Run {
    servers: Vec<Server>,
    clients: Vec<Clients>,
}

/// Connects readers, and watches what comes of it.
///
/// # Errors
///
/// A server or the readers cannot be started, or end.
pub fn run(settings: &LoadSettings, log: &mut dyn Write) -> Result<LoadReport, ExperimentError> {
    let most = settings.connections_of(0);
    files::check("a process", most)?;
    let mut say = |text: String| drop(writeln!(log, "{text}"));
    let mut report = LoadReport::new(settings);
    let servers = match &settings.at {
        Some(target) => vec![Server::at(target)?],
        None => {
            (0..settings.processes).map(|number| Server::start(settings, number)).collect::<Result<_, _>>()?
        }
    };
    let mut run = Run { servers, clients: Vec::new() };
    run.pass(SETTLES_IN)?;
    let before = run.costs();
    say(format!("{} readers connect", settings.connections));
    for (number, server) in run.servers.iter().enumerate() {
        run.clients.push(Clients::start(&settings.swarm(number, server.address))?);
    }
    run.all_tell()?;
    run.pass(SETTLES_IN)?;
    let connected = run.costs();
    run.order(Order::Subscribe)?;
    run.all_tell()?;
    run.pass(SETTLES_IN)?;
    let subscribed = run.costs();
    report.memory =
        MemoryReport::new([before.memory, connected.memory, subscribed.memory], settings.connections);
    let half = Duration::from_secs(u64::from(settings.seconds));
    say(format!("{} s of ledgers", settings.seconds));
    run.order(Order::Measure)?;
    run.pass(half)?;
    report.load_average.push(load_average());
    if settings.has_second_half() {
        say(format!("{} s more, with those that do harm or read nothing", settings.seconds));
        run.order(Order::Slow)?;
        match settings.hostile {
            true => report.attacks = run.attacked(half)?,
            false => run.pass(half)?,
        }
        report.load_average.push(load_average());
    }
    let after = run.costs();
    report.took(subscribed, after, run.status());
    run.order(Order::Stop)?;
    let seen = run.clients.into_iter().map(|clients| clients.ended(ENDS_WITHIN));
    report.saw(&seen.collect::<Result<Vec<SwarmReport>, _>>()?);
    run.servers.into_iter().try_for_each(Server::stop)?;
    Ok(report)
}

impl Run {
    /// Lets time pass, unless a server ends.
    fn pass(&self, time: Duration) -> Result<(), ExperimentError> {
        let Some((last, others)) = self.servers.split_last() else { return Ok(()) };
        last.runs_for(time)?;
        others.iter().try_for_each(|server| server.runs_for(Duration::ZERO))
    }

    /// Lets time pass in which hostile clients come to the first server, from one address after the other.
    fn attacked(&self, time: Duration) -> Result<Vec<AttackReport>, ExperimentError> {
        let attacks = match self.servers.first() {
            Some(server) => hostile::attack(server.address, time),
            None => Vec::new(),
        };
        self.pass(Duration::ZERO)?;
        Ok(attacks)
    }

    fn order(&mut self, order: Order) -> Result<(), ExperimentError> {
        self.clients.iter_mut().try_for_each(|clients| clients.order(order))
    }

    fn all_tell(&self) -> Result<(), ExperimentError> {
        for clients in &self.clients {
            if let Told::Ended(_) = clients.told(CONNECTS_WITHIN)? {
                return Err(ExperimentError::Usage("readers ended before they were told to".to_owned()));
            }
        }
        Ok(())
    }

    fn costs(&self) -> Costs {
        let servers = || self.servers.iter().map(|server| server.id());
        let clients = self.clients.iter().map(|clients| i32::try_from(clients.id()).ok());
        Costs {
            memory: servers().map(|id| resident_bytes(id?)).sum(),
            server_seconds: servers().map(|id| processor_seconds(id?)).sum(),
            client_seconds: clients.map(|id| processor_seconds(id?)).sum(),
        }
    }

    /// What servers count: readers that they have closed as too slow.
    fn status(&self) -> Option<u64> {
        self.servers.iter().map(|server| server.status()?["feed"]["evicted"].as_u64()).sum()
    }
}

/// Of the machine: figures of a machine that is busy with something else say little.
fn load_average() -> Option<f64> {
    let text = std::fs::read_to_string("/proc/loadavg").ok()?;
    text.split_whitespace().next()?.parse().ok()
}
