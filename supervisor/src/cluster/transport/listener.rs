//! Accepting: one loop that takes sockets, runs their handshakes side by side and hands on those that are proven.

use std::collections::BTreeMap;
use std::fmt;
use std::future::pending;
use std::io;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures::future::{AbortHandle, Abortable, BoxFuture};
use futures::stream::{FuturesUnordered, StreamExt};
use thiserror::Error;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tokio_rustls::rustls::pki_types::CertificateDer;
use tokio_rustls::{TlsAcceptor, TlsStream};

use super::connection::{Connection, Unfit};
use super::gate::{Arrival, Gate, Ticket};
use super::places::{NoPlace, Places};
use super::socket;
use crate::clock::{Clock, SystemClock};
use crate::cluster::DeniedNames;
use crate::cluster::certificates::Credentials;
use crate::seldom::Seldom;

/// How long accepting rests when the process has no file descriptor left: trying on would spin.
const EXHAUSTED_PAUSE: Duration = Duration::from_millis(100);

/// Between two words about peers for whom there is no place.
const FULL_SAID_EVERY: Duration = Duration::from_secs(10);

/// What a listener holds at most.
#[derive(Clone, Debug)]
pub struct Limits {
    /// Time from `accept` to a proven peer. Longer ties up places, shorter refuses peers with a slow network.
    pub handshake_deadline: Duration,
    /// Handshakes at once; when there are more, the oldest gives way.
    pub handshakes_max: usize,
    /// Handshakes at once from one address; further ones are closed.
    pub handshakes_per_address_max: usize,
    /// Proven connections at once, of all peers and protocols.
    pub connections_max: usize,
    /// Of these, of operators altogether: the rest is kept for nodes.
    pub operators_max: usize,
    /// Of these, of one operator's name.
    pub connections_per_operator_max: usize,
    /// Of these, of nodes of peer regions altogether.
    pub regions_max: usize,
    /// Of these, of one name of a peer region's node.
    pub connections_per_region_node_max: usize,
    /// Of these, of one node's name: each stage that it has here takes one.
    pub connections_per_node_max: usize,
    /// Time from a proven peer to its first bytes of HTTP/2. Longer lets the silent hold places, shorter refuses peers with a
    /// slow network.
    pub speaks_within: Duration,
    /// Names that may not connect at all, and whose connections end.
    pub denied: DeniedNames,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            handshake_deadline: Duration::from_secs(5),
            handshakes_max: 64,
            handshakes_per_address_max: 16,
            connections_max: 512,
            operators_max: 128,
            connections_per_operator_max: 16,
            regions_max: 64,
            connections_per_region_node_max: 8,
            connections_per_node_max: 128,
            speaks_within: Duration::from_secs(5),
            denied: DeniedNames::default(),
        }
    }
}

/// Why there is no listener.
#[derive(Debug, Error)]
pub enum ListenError {
    /// The address is taken, not ours, or none.
    #[error("{address}: cannot listen: {source}; give another address and port")]
    Bind {
        /// As given.
        address: SocketAddr,
        /// Why.
        source: io::Error,
    },
    /// Credentials that anybody can make stay on this machine.
    #[error(
        "{address}: --insecure-loopback is for loopback addresses alone; use certificates: orrery certs init"
    )]
    Insecure {
        /// As given.
        address: SocketAddr,
    },
}

/// What became of sockets since the listener was bound.
#[derive(Debug, Default)]
pub struct Counters {
    accepted: AtomicU64,
    refused: AtomicU64,
    evicted: AtomicU64,
    timed_out: AtomicU64,
}

impl Counters {
    /// Proven connections.
    pub fn accepted(&self) -> u64 {
        self.accepted.load(Ordering::Relaxed)
    }

    /// Closed for what they sent, for their certificate, or for a limit.
    pub fn refused(&self) -> u64 {
        self.refused.load(Ordering::Relaxed)
    }

    /// Handshakes that gave way to newer ones.
    pub fn evicted(&self) -> u64 {
        self.evicted.load(Ordering::Relaxed)
    }

    /// Handshakes that did not end in time.
    pub fn timed_out(&self) -> u64 {
        self.timed_out.load(Ordering::Relaxed)
    }
}

/// Why a socket came to nothing.
enum Refused {
    TimedOut,
    Tls(io::Error),
    Unfit(Unfit),
    NoPlace(NoPlace),
    /// Nobody takes it.
    Busy,
}

impl fmt::Display for Refused {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TimedOut => formatter.write_str("no TLS handshake in time"),
            Self::Tls(error) => write!(formatter, "TLS failed: {error}"),
            Self::Unfit(unfit) => unfit.fmt(formatter),
            Self::NoPlace(why) => why.fmt(formatter),
            Self::Busy => formatter.write_str("too many new connections at once"),
        }
    }
}

type Handshake = BoxFuture<'static, (Ticket, Option<Result<Connection, Refused>>)>;

/// A bound port that accepts while [`Self::run`] is awaited.
pub struct Listener {
    socket: TcpListener,
    address: SocketAddr,
    credentials: Credentials,
    limits: Limits,
    counters: Arc<Counters>,
    places: Places,
    clock: SystemClock,
    full: Mutex<Seldom>,
    gate: Gate,
    handshakes: FuturesUnordered<Handshake>,
    aborts: BTreeMap<Ticket, AbortHandle>,
}

impl Listener {
    /// Binds; port 0 takes a free one.
    ///
    /// # Errors
    ///
    /// The address cannot be had, or is not loopback while the credentials are [`Credentials::is_insecure`].
    pub async fn bind(
        address: SocketAddr,
        credentials: &Credentials,
        limits: Limits,
    ) -> Result<Self, ListenError> {
        if credentials.is_insecure() && !address.ip().is_loopback() {
            return Err(ListenError::Insecure { address });
        }
        let bind = |source| ListenError::Bind { address, source };
        let socket = TcpListener::bind(address).await.map_err(bind)?;
        let bound = socket.local_addr().map_err(bind)?;
        Ok(Self {
            socket,
            address: bound,
            credentials: credentials.clone(),
            counters: Arc::default(),
            places: Places::new(limits.clone()),
            clock: SystemClock::new(),
            full: Mutex::new(Seldom::new(FULL_SAID_EVERY)),
            gate: Gate::new(limits.handshakes_max, limits.handshakes_per_address_max),
            handshakes: FuturesUnordered::new(),
            aborts: BTreeMap::new(),
            limits,
        })
    }

    /// Where it listens.
    pub const fn local_address(&self) -> SocketAddr {
        self.address
    }

    /// What became of sockets; shared, and counting on.
    pub fn counters(&self) -> Arc<Counters> {
        Arc::clone(&self.counters)
    }

    /// Accepts until nobody receives any more. A connection that finds the channel full is closed: whoever receives must
    /// keep up, and the peer dials again.
    pub async fn run(mut self, proven: mpsc::Sender<Connection>) {
        let mut pause: BoxFuture<'static, ()> = Box::pin(pending());
        let mut is_paused = false;
        let mut denied = self.limits.denied.changes();
        loop {
            tokio::select! {
                () = proven.closed() => return,
                () = &mut pause, if is_paused => is_paused = false,
                Ok(()) = denied.changed() => self.places.close_denied(),
                Some((ticket, ended)) = self.handshakes.next(), if !self.handshakes.is_empty() => {
                    self.ended(ticket, ended, &proven);
                }
                arrived = self.socket.accept(), if !is_paused => match arrived {
                    Ok((socket, remote)) => self.arrived(socket, remote),
                    Err(error) if is_of_one_socket(&error) => {}
                    Err(error) => {
                        tracing::warn!(%error, "cannot accept connections, pausing");
                        (pause, is_paused) = (Box::pin(tokio::time::sleep(EXHAUSTED_PAUSE)), true);
                    }
                },
            }
        }
    }

    fn arrived(&mut self, socket: TcpStream, remote: SocketAddr) {
        let Arrival::Admitted { ticket, evicted } = self.gate.arrive(remote.ip()) else {
            self.counters.refused.fetch_add(1, Ordering::Relaxed);
            tracing::debug!(%remote, "closed: too many handshakes from this address");
            return;
        };
        if let Some(oldest) = evicted.and_then(|evicted| self.aborts.remove(&evicted)) {
            self.counters.evicted.fetch_add(1, Ordering::Relaxed);
            oldest.abort();
        }
        let (abort, registration) = AbortHandle::new_pair();
        self.aborts.insert(ticket, abort);
        let handshake = handshake(
            // Read anew: the certificate may have been renewed.
            self.credentials.clone(),
            socket,
            remote,
            self.limits.clone(),
            self.places.clone(),
        );
        let handshake = Abortable::new(handshake, registration);
        self.handshakes.push(Box::pin(async move { (ticket, handshake.await.ok()) }));
    }

    fn ended(
        &mut self,
        ticket: Ticket,
        ended: Option<Result<Connection, Refused>>,
        proven: &mpsc::Sender<Connection>,
    ) {
        self.gate.leave(ticket);
        self.aborts.remove(&ticket);
        let counter = match ended {
            // Evicted, and counted then.
            None => return,
            Some(Ok(connection)) => self.proven(connection, proven),
            Some(Err(refused)) => self.refuse(&refused),
        };
        counter.fetch_add(1, Ordering::Relaxed);
    }

    fn proven(&self, connection: Connection, proven: &mpsc::Sender<Connection>) -> &AtomicU64 {
        match proven.try_send(connection) {
            Ok(()) => &self.counters.accepted,
            Err(_) => self.refuse(&Refused::Busy),
        }
    }

    fn refuse(&self, refused: &Refused) -> &AtomicU64 {
        match refused {
            Refused::NoPlace(_) => {
                let mut full = self.full.lock().unwrap_or_else(PoisonError::into_inner);
                if let Some(times) = full.happened(self.clock.now()) {
                    tracing::warn!(%refused, times, "no place for a connection, closed");
                }
            }
            _ => tracing::info!(%refused, "refused a connection"),
        }
        if matches!(refused, Refused::TimedOut) { &self.counters.timed_out } else { &self.counters.refused }
    }
}

impl fmt::Debug for Listener {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut debug = formatter.debug_struct("Listener");
        debug.field("address", &self.address).field("limits", &self.limits).finish_non_exhaustive()
    }
}

async fn handshake(
    credentials: Credentials,
    socket: TcpStream,
    remote: SocketAddr,
    limits: Limits,
    places: Places,
) -> Result<Connection, Refused> {
    socket::configure(&socket).map_err(Refused::Tls)?;
    let acceptor = TlsAcceptor::from(credentials.server_config());
    let tls = tokio::time::timeout(limits.handshake_deadline, acceptor.accept(socket)).await;
    let tls = tls.map_err(|_| Refused::TimedOut)?.map_err(Refused::Tls)?;
    let region_of = |certificate: &CertificateDer<'_>| credentials.region_of(certificate);
    let connection = Connection::of(TlsStream::Server(tls), remote, region_of).map_err(Refused::Unfit)?;
    let place = places.take(&connection.peer, connection.purpose).map_err(Refused::NoPlace)?;
    Ok(connection.hold(place, limits.speaks_within))
}

/// Errors that `accept` hands on from the socket it would have given; the next one is not touched by them.
fn is_of_one_socket(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::ConnectionAborted
            | io::ErrorKind::ConnectionReset
            | io::ErrorKind::ConnectionRefused
            | io::ErrorKind::Interrupted
    )
}
