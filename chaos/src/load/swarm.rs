//! All readers of one server on one thread: sockets that are ready are read into one buffer, and nothing is kept of a reader
//! but its place. So many clients on the server's own machine must not take the processor from it.

mod client;
mod judge;

use std::collections::BTreeMap;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::mpsc::{Receiver, TryRecvError};
use std::time::{Duration, SystemTime};

use mio::{Events, Poll, Token};
use serde::{Deserialize, Serialize};

use super::link::{Maker, Trust};
use super::timing::Histogram;
use crate::random::Random;
use client::{Client, Phase, Role};
use judge::Judge;
pub use judge::Wrongs;

/// Connections that are being opened at once: fewer than a server's queue of those that wait to be accepted.
const OPENING_MAX: usize = 128;

/// Connections from one address: what a server lets in without a change of its limits.
const PER_ADDRESS: usize = 250;

/// Bytes that are read at once.
const READ_BYTES: usize = 256 << 10;

/// Whose stamps time the readers.
const TIMERS: [Role; 2] = [Role::Stamps, Role::Closes];

/// Events of sockets that are taken at once.
const EVENTS_MAX: usize = 1024;

/// How often orders are looked for when nothing comes.
const LOOK_EVERY: Duration = Duration::from_millis(20);

/// How long readers may take to get what was there when the run ended; how long those that were slow, to find out.
const ARRIVES_WITHIN: Duration = Duration::from_secs(60);
const DRAINS_WITHIN: Duration = Duration::from_secs(60);

/// Who reads what from where.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct SwarmSettings {
    pub(super) target: SocketAddr,
    /// Of a server over TLS.
    pub(super) trust: Option<Trust>,
    /// What readers say of themselves. Whoever lists processes may see these settings, and not this.
    #[serde(skip)]
    pub(super) token: Option<String>,
    /// Readers.
    pub(super) readers: usize,
    /// They come and go as they are told to ([`Order::Readers`]), and nobody is there before; else all connect at once.
    #[serde(default)]
    pub(super) come_and_go: bool,
    /// How many of them stop reading when they are told to.
    pub(super) slow: usize,
    pub(super) seed: u64,
    /// JSON of the filter that all have.
    pub(super) filter: String,
    /// Second number of their addresses: swarms have different ones.
    pub(super) network: u8,
    /// Time between two ledgers, if the source has a rhythm.
    pub(super) period_us: Option<u64>,
}

/// What a swarm is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Order {
    /// All readers ask for events from now on.
    Subscribe,
    /// So many readers are there from now on, and ask for events when they come.
    Readers(usize),
    /// What counts begins.
    Measure,
    /// Slow readers stop reading.
    Slow,
    /// What counts ends.
    Stop,
}

/// What a swarm tells.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) enum Told {
    /// All readers that the server takes are connected.
    Connected,
    /// All of them have subscribed.
    Subscribed,
    /// The end.
    Ended(Box<SwarmReport>),
}

/// How ledgers arrived between two orders.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(super) struct Window {
    pub(super) ledgers: usize,
    pub(super) latency: Histogram,
    /// 99th percentiles of single ledgers, in milliseconds.
    pub(super) each_p99_ms: Vec<f64>,
    /// How late ledgers were there, by the rhythm of the source.
    pub(super) behind_schedule: Histogram,
    /// Bytes of events and heartbeats that readers took.
    pub(super) bytes: u64,
}

/// What became of readers that stopped reading.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SlowReaders {
    /// Readers.
    pub readers: u64,
    /// They were closed with code 4008 and the cursor at which they stood.
    pub closed_4008: u64,
    /// They were closed with that code and another cursor.
    pub wrong_cursor: u64,
    /// Their connection ended before they looked: the close frame found no room.
    pub cut_off: u64,
    /// They were not found out, and have all.
    pub caught_up: u64,
}

/// What a swarm saw.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(super) struct SwarmReport {
    pub(super) connected: u64,
    pub(super) refused: u64,
    pub(super) first_refusal: Option<String>,
    /// Readers that the server left in the middle though they were not slow.
    pub(super) lost: u64,
    pub(super) first_loss: Option<String>,
    /// Time from a reader's first packet until it stands on the feed.
    pub(super) opened: Histogram,
    /// Events of ledgers, as readers were told them.
    pub(super) events: BTreeMap<u32, u32>,
    /// Events that readers got, all together.
    pub(super) received: u64,
    /// Before readers became slow, and after.
    pub(super) windows: Vec<Window>,
    /// Ledgers that single readers lacked in the end.
    pub(super) missed: u64,
    pub(super) wrongs: Wrongs,
    pub(super) passed_by_all: u64,
    pub(super) slow: SlowReaders,
}

/// Readers of one server.
pub(super) struct Swarm {
    settings: SwarmSettings,
    maker: Maker,
    poll: Poll,
    clients: Vec<Client>,
    judge: Judge,
    buffer: Vec<u8>,
    events: Events,
    /// The next one to connect.
    next: usize,
    /// The first that is not to connect now.
    present: usize,
    /// Ledger and bytes at each order.
    marks: Vec<(u32, u64)>,
}

/// Microseconds since 1970.
#[expect(
    clippy::disallowed_methods,
    reason = "compared with stamps of the server, another process of this machine"
)]
fn now_us() -> u64 {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    since.map_or(0, |since| u64::try_from(since.as_micros()).unwrap_or(u64::MAX))
}

impl Swarm {
    /// Readers that are not connected yet.
    ///
    /// # Errors
    ///
    /// The system has nothing to wait for sockets with, or what is to be trusted is not there.
    pub(super) fn new(settings: SwarmSettings) -> io::Result<Self> {
        let mut roles = vec![Role::Reader; settings.readers];
        let mut random = Random::new(settings.seed);
        // The first of a shuffled list.
        let mut order: Vec<usize> = (0..roles.len()).collect();
        for at in 0..settings.slow.min(order.len()) {
            let other = at + random.below(order.len() - at);
            order.swap(at, other);
            roles[order[at]] = Role::Slow;
        }
        // Those whose stamps time the others come first, and are always there.
        let clients: Vec<_> = TIMERS.into_iter().chain(roles).map(Client::new).collect();
        let present = if settings.come_and_go { TIMERS.len() } else { clients.len() };
        Ok(Self {
            judge: Judge::new(settings.filter == "{}", settings.target.ip().is_loopback()),
            maker: Maker::new(settings.trust.as_ref())?,
            poll: Poll::new()?,
            clients,
            buffer: vec![0; READ_BYTES],
            events: Events::with_capacity(EVENTS_MAX),
            next: 0,
            present,
            marks: Vec::new(),
            settings,
        })
    }

    /// Does what it is told until it is told to stop.
    ///
    /// # Errors
    ///
    /// The system cannot wait for sockets, nobody gives orders any more, or `tell` fails.
    pub(super) fn run(
        mut self,
        orders: &Receiver<Order>,
        mut tell: impl FnMut(&Told) -> io::Result<()>,
    ) -> io::Result<()> {
        self.until(|swarm| Ok(swarm.connect_more()))?;
        tell(&Told::Connected)?;
        loop {
            self.turn()?;
            self.come();
            match orders.try_recv() {
                Ok(Order::Subscribe) => {
                    self.subscribe();
                    self.until(|swarm| Ok(swarm.clients.iter().all(|client| client.phase != Phase::Asked)))?;
                    tell(&Told::Subscribed)?;
                }
                Ok(Order::Readers(readers)) => self.readers(readers),
                Ok(Order::Measure) => self.mark(),
                Ok(Order::Slow) => {
                    self.has_ledgers()?;
                    self.mark();
                    self.clients.iter_mut().filter(|client| client.role == Role::Slow).for_each(Client::rest);
                }
                Ok(Order::Stop) => break,
                Err(TryRecvError::Empty) => {}
                Err(TryRecvError::Disconnected) => return Err(io::ErrorKind::BrokenPipe.into()),
            }
        }
        self.has_ledgers()?;
        self.mark();
        let report = self.end()?;
        tell(&Told::Ended(Box::new(report)))
    }

    /// Waits for ledgers, if none has come since the last mark that would count.
    fn has_ledgers(&mut self) -> io::Result<()> {
        if !self.clients.iter().any(|client| client.was_live) {
            return Ok(());
        }
        let begun = self.marks.last().map_or(0, |(ledger, _)| *ledger);
        self.within(ARRIVES_WITHIN, |swarm| swarm.judge.times.newest() >= begun + 2)
    }

    fn mark(&mut self) {
        self.marks.push((self.judge.times.newest(), self.judge.bytes));
    }

    /// Serves sockets until something holds.
    fn until(&mut self, mut holds: impl FnMut(&mut Self) -> io::Result<bool>) -> io::Result<()> {
        while !holds(self)? {
            self.turn()?;
        }
        Ok(())
    }

    /// Serves sockets until something holds, or this time is over.
    fn within(&mut self, time: Duration, holds: impl Fn(&Self) -> bool) -> io::Result<()> {
        let end = now_us() + u64::try_from(time.as_micros()).unwrap_or(u64::MAX);
        self.until(|swarm| Ok(holds(swarm) || now_us() > end))
    }

    /// Serves the sockets that are ready.
    fn turn(&mut self) -> io::Result<()> {
        match self.poll.poll(&mut self.events, Some(LOOK_EVERY)) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => return Ok(()),
            polled => polled?,
        }
        for event in &self.events {
            let Some(client) = self.clients.get_mut(event.token().0) else { continue };
            client.ready(event, &self.settings, &mut self.buffer, &mut self.judge, now_us);
        }
        Ok(())
    }

    /// Opens further connections. True if all are open, or refused.
    fn connect_more(&mut self) -> bool {
        let mut opening = self.clients[..self.next].iter().filter(|client| client.is_opening()).count();
        while opening < OPENING_MAX && self.next < self.present {
            let from = self.address(self.next);
            let client = &mut self.clients[self.next];
            let known_as = (self.poll.registry(), Token(self.next));
            if let Err(error) = client.connect(self.settings.target, from, &self.maker, known_as, now_us()) {
                client.refused(&mut self.judge, &format!("connect to {}: {error}", self.settings.target));
            }
            self.next += 1;
            opening += 1;
        }
        self.next == self.present && opening == 0
    }

    /// So many readers are to be there: the last ones go, and others will come.
    fn readers(&mut self, readers: usize) {
        self.present = self.clients.len().min(TIMERS.len() + readers);
        for client in &mut self.clients[self.present..] {
            client.leave(&mut self.judge);
        }
        self.next = self.next.min(self.present);
    }

    /// Lets those come that are to be there, if they come and go.
    fn come(&mut self) {
        if self.settings.come_and_go {
            self.connect_more();
            self.subscribe();
        }
    }

    /// Where a reader connects from; anywhere, if the server is on another machine.
    fn address(&self, index: usize) -> Option<Ipv4Addr> {
        let number = index / PER_ADDRESS;
        let (high, low) = (number / 254, number % 254);
        let is_near = self.settings.target.ip().is_loopback() && self.settings.target.is_ipv4();
        is_near.then(|| Ipv4Addr::new(127, self.settings.network, high as u8, 1 + low as u8))
    }

    fn subscribe(&mut self) {
        let (own, filter) = (now_us, self.settings.filter.clone());
        for client in self.clients.iter_mut().filter(|client| client.phase == Phase::Open) {
            client.subscribe(&filter, &mut self.judge, own);
        }
    }

    /// Waits until readers have what was there, and counts what they lack.
    fn end(&mut self) -> io::Result<SwarmReport> {
        let last = self.judge.times.newest();
        let lacks = |swarm: &Self, role: Role| {
            let of_role = swarm.clients.iter().filter(move |client| client.role == role);
            of_role.filter(|client| client.phase == Phase::Live && client.place.complete < last).count()
        };
        self.within(ARRIVES_WITHIN, |swarm| lacks(swarm, Role::Reader) == 0)?;
        for client in self.clients.iter_mut().filter(|client| client.role == Role::Slow) {
            client.read(&mut self.buffer, &mut self.judge, now_us);
        }
        self.within(DRAINS_WITHIN, |swarm| lacks(swarm, Role::Slow) == 0)?;
        let readers = || self.clients.iter().filter(|client| client.role == Role::Reader && client.was_live);
        readers().for_each(|client| self.judge.look_at(client.place));
        let mut report = self.judge.report();
        report.missed =
            readers().map(|client| u64::from(last.saturating_sub(client.place.complete))).sum::<u64>();
        report.windows = self.windows();
        report.slow = self.slow_readers(last);
        Ok(report)
    }

    fn windows(&self) -> Vec<Window> {
        let pairs = self.marks.windows(2).enumerate();
        let window = |(index, pair): (usize, &[(u32, u64)])| {
            // A ledger that was on its way when readers became slow belongs to neither.
            let (after, last) = (pair[0].0 + u32::from(index > 0), pair[1].0);
            let (latency, each_p99_ms) = self.judge.times.spread(after, last);
            let behind_schedule = match self.settings.period_us {
                Some(period) if last > after => self.judge.times.behind_schedule(after, last, period),
                _ => Histogram::default(),
            };
            let bytes = pair[1].1 - pair[0].1;
            Window { ledgers: each_p99_ms.len(), latency, each_p99_ms, behind_schedule, bytes }
        };
        pairs.map(window).collect()
    }

    fn slow_readers(&self, last: u32) -> SlowReaders {
        let mut slow = SlowReaders::default();
        for client in self.clients.iter().filter(|client| client.role == Role::Slow && client.was_live) {
            slow.readers += 1;
            match client.closed_4008 {
                Some(true) => slow.closed_4008 += 1,
                Some(false) => slow.wrong_cursor += 1,
                None if client.phase == Phase::Gone => slow.cut_off += 1,
                None if client.place.complete >= last => slow.caught_up += 1,
                None => {}
            }
        }
        slow
    }
}
