//! Keeps the links that are wanted: hands connections to ractor_cluster, dials, and tells who is linked.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use futures::future::BoxFuture;
use futures::stream::{FuturesUnordered, StreamExt};
use ractor::{Actor, ActorProcessingErr, ActorRef, SupervisionEvent, call_t};
use ractor_cluster::{NodeServerMessage, RactorMessage};
use tokio::sync::{Mutex, Notify, mpsc, watch};

use super::claim::Side;
use super::failures::Failures;
use super::guard::{Ended, Guarded};
use super::node_server::{Wakes, node_server};
use super::redial::Redial;
use super::sessions::{Judged, Linked, Session, judge};
use crate::backoff::Backoff;
use crate::child_spec::ChildSpec;
use crate::clock::Clock;
use crate::cluster::DeniedNames;
use crate::cluster::certificates::{Credentials, Protocol};
use crate::cluster::name::{ClusterName, NodeIdentity, NodeName};
use crate::cluster::transport::{Connection, DialError, dial};
use crate::exit::{ErrorClass, ExitError};
use crate::task::ScopedTask;

/// How often the links are looked at when nothing happens. Longer delays redialling, shorter costs a message each time.
const LOOKS_EVERY: Duration = Duration::from_millis(200);

/// ractor_cluster's server only keeps lists; if it does not answer, it hangs.
const SERVER_ANSWERS_MS: u64 = 5000;

/// Connections that wait to be handed over; more are closed, and their peers dial again.
const OFFERED_MAX: usize = 64;

/// Ends of connections whose reasons wait to be noted; reasons beyond are dropped.
const ENDED_MAX: usize = 64;

/// How links are kept.
#[derive(Clone)]
pub struct LinkSettings {
    /// This life of this node.
    pub identity: NodeIdentity,
    /// What it proves itself with; the name must be the identity's.
    pub credentials: Credentials,
    /// The cluster: peers with another name for it are refused.
    pub cluster: ClusterName,
    /// Silence after which a link ends. ractor_cluster pings every 1 to 5 s, so that less than 6 s ends links that are
    /// well; more delays noticing that a peer is gone.
    pub idle_limit: Duration,
    /// Time for a dial, from the name's look-up to the end of TLS.
    pub dial_deadline: Duration,
    /// Who is not linked.
    pub denied: DeniedNames,
    /// Between dials of one peer.
    pub backoff: Backoff,
    /// Of the jitter.
    pub seed: u64,
    /// Time.
    pub clock: Arc<dyn Clock>,
}

impl LinkSettings {
    /// For settings that give no other: one ping may be late.
    pub const IDLE_LIMIT: Duration = Duration::from_secs(8);
    /// The least that ends no link that is well: the longest interval of pings, and a second.
    pub const IDLE_LIMIT_MIN: Duration = Duration::from_secs(6);
    /// For settings that give no other.
    pub const DIAL_DEADLINE: Duration = Duration::from_secs(5);

    /// Defaults; the cluster is that of the credentials.
    pub fn new(identity: NodeIdentity, credentials: Credentials, clock: Arc<dyn Clock>, seed: u64) -> Self {
        Self {
            cluster: credentials.cluster().clone(),
            identity,
            credentials,
            idle_limit: Self::IDLE_LIMIT,
            dial_deadline: Self::DIAL_DEADLINE,
            denied: DeniedNames::default(),
            backoff: Backoff::DEFAULT,
            seed,
            clock,
        }
    }
}

/// How it stands with one peer.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LinkStatus {
    /// The peer's present life, if it is linked.
    pub linked: Option<NodeIdentity>,
    /// Dials since it was linked last.
    pub attempts: u32,
    /// Why the last connection or dial failed that did; kept while the peer is wanted, also when it is linked again.
    pub last_error: Option<String>,
}

/// All links of this process: there can be one set only, since ractor's registries are the process's. Cheap to clone;
/// works while [`Self::child`] runs.
#[derive(Clone)]
pub struct Links(Arc<Shared>);

struct Shared {
    settings: LinkSettings,
    wanted: watch::Sender<BTreeMap<NodeName, String>>,
    offered: mpsc::Sender<Connection>,
    /// Locked by the life that runs.
    offers: Mutex<mpsc::Receiver<Connection>>,
    linked: watch::Sender<BTreeMap<NodeName, Linked>>,
    status: watch::Sender<BTreeMap<NodeName, LinkStatus>>,
}

impl Links {
    /// Nothing runs yet.
    pub fn new(settings: LinkSettings) -> Self {
        let (offered, offers) = mpsc::channel(OFFERED_MAX);
        Self(Arc::new(Shared {
            settings,
            wanted: watch::Sender::default(),
            offered,
            offers: Mutex::new(offers),
            linked: watch::Sender::default(),
            status: watch::Sender::default(),
        }))
    }

    /// The child that keeps them: ractor_cluster's server and the loop that dials.
    pub fn child(&self) -> ChildSpec {
        let links = self.clone();
        ChildSpec::worker("links", move |_| Ok((LinksActor, links.clone())))
    }

    /// This life of this node.
    pub fn identity(&self) -> &NodeIdentity {
        &self.0.settings.identity
    }

    /// The peers to be linked with and their addresses, `HOST:PORT`: all of them, each time. This node itself does no
    /// harm. Links with others are left as they are.
    pub fn want(&self, peers: BTreeMap<NodeName, String>) {
        self.0.wanted.send_if_modified(|wanted| {
            let is_new = *wanted != peers;
            *wanted = peers;
            is_new
        });
    }

    /// A connection that a peer opened, with [`Protocol::Control`]. Never waits: what cannot be taken now is closed.
    pub fn offer(&self, connection: Connection) {
        if connection.protocol != Protocol::Control {
            tracing::warn!(peer = %connection.peer, protocol = %connection.protocol, "no control connection, closed");
        } else if let Err(error) = self.0.offered.try_send(connection) {
            tracing::warn!(%error, "control connection closed");
        }
    }

    /// Every peer that is wanted or linked. The receiver wakes whenever anything in it changed.
    pub fn status(&self) -> watch::Receiver<BTreeMap<NodeName, LinkStatus>> {
        self.0.status.subscribe()
    }

    pub(crate) fn linked(&self, peer: &NodeName) -> Option<Linked> {
        self.0.linked.borrow().get(peer).cloned()
    }

    pub(crate) fn all_linked(&self) -> BTreeMap<NodeName, Linked> {
        self.0.linked.borrow().clone()
    }
}

impl fmt::Debug for Links {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Links").field("identity", self.identity()).finish_non_exhaustive()
    }
}

/// Owns ractor_cluster's server and the keeper; all three live and die together.
struct LinksActor;

/// The keeper gave up.
#[derive(Debug, RactorMessage)]
struct KeeperEnded(ExitError);

impl Actor for LinksActor {
    type Msg = KeeperEnded;
    type State = ScopedTask;
    type Arguments = Links;

    async fn pre_start(
        &self,
        myself: ActorRef<KeeperEnded>,
        links: Links,
    ) -> Result<ScopedTask, ActorProcessingErr> {
        let settings = &links.0.settings;
        let server = node_server(&settings.identity, &settings.cluster).map_err(|error| {
            ExitError::new(ErrorClass::Internal, "cannot set up the links' server").caused_by(error)
        })?;
        let (server, _) = Actor::spawn_linked(None, server, (), myself.get_cell()).await?;
        let wakes = Arc::new(Notify::new());
        let subscription = Box::new(Wakes(Arc::clone(&wakes)));
        server
            .send_message(NodeServerMessage::SubscribeToEvents { id: "keeper".to_owned(), subscription })?;
        Ok(ScopedTask::spawn(async move {
            let error = Keeper::new(&links.0, server, wakes).keep().await;
            // The actor is gone only if it is stopping, which drops this task.
            let _ = myself.send_message(KeeperEnded(error));
        }))
    }

    async fn handle(
        &self,
        _: ActorRef<KeeperEnded>,
        KeeperEnded(error): KeeperEnded,
        _: &mut ScopedTask,
    ) -> Result<(), ActorProcessingErr> {
        Err(error.into())
    }

    async fn handle_supervisor_evt(
        &self,
        _: ActorRef<KeeperEnded>,
        event: SupervisionEvent,
        _: &mut ScopedTask,
    ) -> Result<(), ActorProcessingErr> {
        match event {
            SupervisionEvent::ActorTerminated(..) | SupervisionEvent::ActorFailed(..) => {
                Err(ExitError::new(ErrorClass::Internal, "the links' server ended").into())
            }
            _ => Ok(()),
        }
    }
}

type Dialled = (NodeName, Result<Connection, DialError>);

/// The loop: whatever wakes it, it looks at everything.
struct Keeper<'a> {
    shared: &'a Shared,
    server: ActorRef<NodeServerMessage>,
    wakes: Arc<Notify>,
    redial: Redial,
    dials: FuturesUnordered<BoxFuture<'static, Dialled>>,
    ended: (mpsc::Sender<Ended>, mpsc::Receiver<Ended>),
    failures: Failures,
}

impl<'a> Keeper<'a> {
    fn new(shared: &'a Shared, server: ActorRef<NodeServerMessage>, wakes: Arc<Notify>) -> Self {
        let LinkSettings { identity, backoff, seed, .. } = &shared.settings;
        Self {
            shared,
            server,
            wakes,
            redial: Redial::new(identity.name.clone(), *backoff, *seed),
            dials: FuturesUnordered::new(),
            ended: mpsc::channel(ENDED_MAX),
            failures: Failures::default(),
        }
    }

    async fn keep(mut self) -> ExitError {
        let mut offers = self.shared.offers.lock().await;
        let mut wanted = self.shared.wanted.subscribe();
        loop {
            if let Err(error) = self.look().await {
                self.shared.linked.send_replace(BTreeMap::new());
                return error;
            }
            tokio::select! {
                () = self.wakes.notified() => {}
                () = tokio::time::sleep(LOOKS_EVERY) => {}
                _ = wanted.changed() => {}
                Some(connection) = offers.recv() => self.open(connection, Side::Accepted),
                Some(ended) = self.ended.1.recv() => self.noted(ended),
                Some((name, dialled)) = self.dials.next(), if !self.dials.is_empty() => self.dialled(&name, dialled),
            }
        }
    }

    /// Looks at what is, and begins what is missing.
    async fn look(&mut self) -> Result<(), ExitError> {
        let sessions =
            call_t!(self.server, NodeServerMessage::GetSessions, SERVER_ANSWERS_MS).map_err(|error| {
                ExitError::new(ErrorClass::Internal, format!("the links' server does not answer: {error}"))
            })?;
        let listed = sessions.values().map(|session| Session {
            node_id: session.node_id,
            proven: session.peer_addr.clone(),
            claimed: session.peer_name.as_ref().map(|name| name.name.clone()).unwrap_or_default(),
        });
        let me = &self.shared.settings.identity.name;
        let Judged { linked, stopped } =
            judge(me, |name| self.shared.settings.denied.contains(name), listed.collect());
        for (node_id, reason) in stopped {
            tracing::warn!(%reason, "a link is ended");
            if let Some(session) = sessions.get(&node_id) {
                session.actor.stop(Some("not_believed".to_owned()));
            }
        }
        let wanted = self.shared.wanted.borrow().clone();
        let names: BTreeSet<_> = linked.keys().cloned().collect();
        for (name, address) in self.redial.step(self.shared.settings.clock.now(), &wanted, &names) {
            self.dial(name, address);
        }
        self.tell(linked, &wanted);
        Ok(())
    }

    fn dial(&self, name: NodeName, address: String) {
        let (credentials, deadline) =
            (self.shared.settings.credentials.clone(), self.shared.settings.dial_deadline);
        self.dials.push(Box::pin(async move {
            let dialled = dial(&address, &credentials, Protocol::Control, Some(&name), deadline).await;
            (name, dialled)
        }));
    }

    fn dialled(&mut self, name: &NodeName, dialled: Result<Connection, DialError>) {
        self.redial.dialled(name, self.shared.settings.clock.now(), dialled.is_ok());
        match dialled {
            Ok(connection) => self.open(connection, Side::Dialled),
            Err(error) => self.failures.failed(name, error.to_string(), self.shared.settings.clock.now()),
        }
    }

    /// Hands a connection over.
    fn open(&self, connection: Connection, side: Side) {
        if connection.peer == self.shared.settings.identity.name {
            tracing::warn!(remote = %connection.remote, "a connection with this node's own name, closed");
            return;
        }
        let limit = self.shared.settings.idle_limit;
        let stream = Box::new(Guarded::new(connection, side, limit, self.ended.0.clone()));
        let is_server = side == Side::Accepted;
        // If the server is gone, the next look says so.
        let _ = self.server.send_message(NodeServerMessage::ConnectionOpenedExternal { stream, is_server });
    }

    fn noted(&mut self, ended: Ended) {
        let now = self.shared.settings.clock.now();
        self.redial.ended(&ended.peer, now);
        if let Some(error) = ended.error {
            self.failures.failed(&ended.peer, error, now);
        }
    }

    fn tell(&mut self, linked: BTreeMap<NodeName, Linked>, wanted: &BTreeMap<NodeName, String>) {
        let (now, stand) = (self.shared.settings.clock.now(), linked.keys().cloned().collect());
        for (peer, error) in self.failures.look(now, |name| wanted.contains_key(name), &stand) {
            tracing::warn!(%peer, error, "no link");
        }
        let names: BTreeSet<_> = wanted.keys().chain(linked.keys()).collect();
        let me = &self.shared.settings.identity.name;
        let status = names.into_iter().filter(|name| *name != me).map(|name| {
            let status = LinkStatus {
                linked: linked.get(name).map(|linked| linked.identity.clone()),
                attempts: self.redial.attempts(name),
                last_error: self.failures.of(name).map(str::to_owned),
            };
            (name.clone(), status)
        });
        replace(&self.shared.status, status.collect());
        replace(&self.shared.linked, linked);
    }
}

/// Wakes receivers only if something changed.
fn replace<T: PartialEq>(sender: &watch::Sender<T>, value: T) {
    sender.send_if_modified(|present| {
        let is_new = *present != value;
        *present = value;
        is_new
    });
}
