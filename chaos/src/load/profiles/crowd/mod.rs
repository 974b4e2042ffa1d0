//! All users but those of the live feed, in a process of their own with one thread: each has an address and connections of its
//! own, and asks when it is due, or as soon as it has its last answer.
//!
//! In: how many users of each kind are to be there, whenever that changes. Out: every second what came of their requests, and
//! the last of it when all have their answers.

mod body;
mod parquet_rows;
mod http;
mod flight;
mod user;

use std::cell::RefCell;
use std::fs::File;
use std::io::{self, BufReader, Write};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::thread::Builder;
use std::time::Duration;

use futures::StreamExt;
use futures::stream::FuturesUnordered;
use orrery_supervisor::{Clock, MonotonicTime, SystemClock};
use serde::{Deserialize, Serialize};
use tokio::sync::watch;
use tokio::time::MissedTickBehavior;

use super::contents::Contents;
use super::plan::{Kind, Shape, Users, next_in_seconds};
use super::tally::{Fault, Tallies};
use crate::experiment::ExperimentError;
use crate::load::{files, token};
use crate::random::Random;
use http::Caller;
use user::User;

/// Name of the subcommand that is such a process.
pub(crate) const COMMAND: &str = "load-users";

/// How often it tells what came of requests.
const TELLS_EVERY: Duration = Duration::from_secs(1);

/// Time for one request, with what it waits for.
const ANSWERED_WITHIN: Duration = Duration::from_secs(120);

/// Of one machine's addresses.
const ADDRESSES_OF_NETWORK: usize = 254;

/// Who they are.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct CrowdSettings {
    pub(super) target: SocketAddr,
    /// All that may be there.
    pub(super) users: Users,
    pub(super) shape: Shape,
    /// How often each asks, by how often its kind does.
    pub(super) faster: f64,
    pub(super) seed: u64,
    /// JSON of what the ledgers contain.
    pub(super) contents: PathBuf,
    /// Second number of their addresses: swarms have others.
    pub(super) network: u8,
}

/// What they are told.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum CrowdOrder {
    /// So many are there from now on. Who leaves has the answer to its last request first.
    Present(Users),
    /// All leave.
    Stop,
}

/// What they tell.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) enum CrowdTold {
    /// What came of requests since it was told last.
    Ended(Box<Tallies>),
    /// The last of it.
    Stopped(Box<Tallies>),
}

/// What users share.
struct World {
    settings: CrowdSettings,
    contents: Contents,
    clock: SystemClock,
    present: watch::Receiver<Users>,
    tallies: RefCell<Tallies>,
}

/// The process: follows orders until the last one.
///
/// # Errors
///
/// Its settings are none, what the ledgers contain cannot be read, or nobody gives orders any more.
pub(crate) fn serve(settings: &str) -> Result<(), ExperimentError> {
    let failed = |action| ExperimentError::io(action, Path::new("users"));
    let settings: CrowdSettings =
        serde_json::from_str(settings).map_err(io::Error::from).map_err(failed("read the settings of"))?;
    // A mixed user has two connections.
    files::check("a process of users", 2 * settings.users.sum())?;
    let contents = || -> io::Result<Contents> {
        Ok(serde_json::from_reader(BufReader::new(File::open(&settings.contents)?))?)
    };
    let contents = contents().map_err(ExperimentError::io("read", &settings.contents))?;
    let (orders, present) = watch::channel(Users::default());
    Builder::new()
        .name("orders".to_owned())
        .spawn(move || pass_on(&orders))
        .map_err(failed("listen to orders of"))?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let world = World { settings, contents, clock: SystemClock::new(), present, tallies: RefCell::default() };
    runtime.map_err(failed("start"))?.block_on(world.runs()).map_err(failed("tell of"))
}

/// Passes orders on until the last one; nobody is there then.
fn pass_on(present: &watch::Sender<Users>) {
    let orders = io::stdin().lines().map_while(|line| serde_json::from_str(&line.ok()?).ok());
    for order in orders {
        match order {
            CrowdOrder::Present(users) => present.send_replace(users),
            CrowdOrder::Stop => break,
        };
    }
    present.send_replace(Users::default());
}

impl World {
    /// Has users ask until nobody says any more who is there, and then until they have their answers.
    async fn runs(&self) -> io::Result<()> {
        let kinds = Kind::ALL.into_iter().filter(|kind| *kind != Kind::Live);
        let users = kinds.flat_map(|kind| (0..self.settings.users.of(kind)).map(move |index| (kind, index)));
        let users = users.enumerate().map(|(number, (kind, index))| self.user(number, kind, index));
        let mut users: FuturesUnordered<_> = users.collect();
        let mut ticks = tokio::time::interval(TELLS_EVERY);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                ended = users.next(), if !users.is_empty() => if ended.is_some() && users.is_empty() { break },
                _ = ticks.tick() => self.tell(CrowdTold::Ended)?,
            }
            if users.is_empty() && self.present.has_changed().is_err() {
                break;
            }
        }
        self.tell(CrowdTold::Stopped)
    }

    fn tell(&self, told: fn(Box<Tallies>) -> CrowdTold) -> io::Result<()> {
        let line = serde_json::to_string(&told(Box::new(self.tallies.take())))?;
        let mut out = io::stdout().lock();
        writeln!(out, "{line}")?;
        out.flush()
    }

    /// Who has this number: `number` of all users, and `index` of its kind.
    fn caller(&self, number: usize) -> Caller {
        let CrowdSettings { target, network, .. } = self.settings;
        let (high, low) = (number / ADDRESSES_OF_NETWORK, number % ADDRESSES_OF_NETWORK);
        let is_near = target.ip().is_loopback() && target.is_ipv4();
        let from = Ipv4Addr::new(127, network, high as u8, 1 + low as u8);
        Caller { target, from: is_near.then_some(IpAddr::V4(from)), token: token() }
    }

    /// One user's life, until nobody says any more who is there.
    async fn user(&self, number: usize, kind: Kind, index: usize) {
        let CrowdSettings { shape, faster, seed, .. } = self.settings;
        let mut random = Random::new(seed ^ (number as u64 + 1).wrapping_mul(0x9e37_79b9));
        let pause = kind.pause_seconds() / faster;
        let mut present = self.present.clone();
        let mut user = User::new(kind, self.caller(number), &self.contents, &self.clock);
        while present.wait_for(|users| users.of(kind) > index).await.is_ok() {
            let first = shape.first_within_seconds(pause) * random.below(1000) as f64 / 1000.0;
            let mut due = self.clock.now().after(Duration::from_secs_f64(first));
            while !self.leaves_before(due, &mut present, kind, index).await {
                self.asks(&mut user, due, &mut random).await;
                due = due.after(Duration::from_secs_f64(next_in_seconds(pause, &mut random)));
            }
            user.leaves(self.caller(number));
        }
    }

    /// Waits until a user is due; true if it is to leave before.
    async fn leaves_before(
        &self,
        due: MonotonicTime,
        present: &mut watch::Receiver<Users>,
        kind: Kind,
        index: usize,
    ) -> bool {
        let wait = tokio::time::sleep(due.since(self.clock.now()));
        tokio::select! {
            biased;
            _ = present.wait_for(|users| users.of(kind) <= index) => true,
            () = wait => false,
        }
    }

    async fn asks(&self, user: &mut User<'_>, due: MonotonicTime, random: &mut Random) {
        let kind = user.kind();
        let ended = match tokio::time::timeout(ANSWERED_WITHIN, user.asks(due, random)).await {
            Ok(ended) => ended,
            Err(_) => Err(Fault::new("no answer in time", format!("{} s", ANSWERED_WITHIN.as_secs()))),
        };
        self.tallies.borrow_mut().of_mut(kind).add(ended);
    }
}
