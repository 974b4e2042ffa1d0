//! A node's part in a cluster: its membership, its links, and its answers to what others ask.

mod answers;

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use futures::stream::FuturesUnordered;
use futures::{FutureExt, StreamExt};
use orrery_actors::coordinator::Task;
use orrery_actors::exchange::{
    ExchangeCounts, ExchangeLimits, ExchangeMeter, ExchangeService, ExchangeSettings, Opening, RemoteNode,
    Wanted,
};
use orrery_actors::pipeline::supervised::SupervisedPipeline;
use orrery_actors::pipeline::{Place, Places};
use orrery_actors::region::RegionView;
use orrery_actors::sink::OnCheckpoint;
use orrery_schemas::LedgerSequence;
use orrery_supervisor::cluster::certificates::{Protocol, Purpose};
use orrery_supervisor::cluster::control::{Call, ControlPlane, Handler, Refusal};
use orrery_supervisor::cluster::lease::Coordination;
use orrery_supervisor::cluster::links::{LinkSettings, Links};
use orrery_supervisor::cluster::membership::{Members, Membership, MembershipSettings, Profile, Timings};
use orrery_supervisor::cluster::role::Role;
use orrery_supervisor::cluster::transport::{Acceptor, Connection};
use orrery_supervisor::cluster::{NodeIdentity, NodeName};
use orrery_supervisor::{
    ChildSpec, Clock, ErrorClass, ExitError, Restart, RestartIntensity, Strategy, SupervisorSpec,
};
use tokio::runtime::Handle;
use tokio::sync::{Mutex, mpsc, oneshot, watch};
use tonic::Extensions;

use super::assignee::Assignee;
use super::completion::Completion;
use super::coordinator::{Coordinator, CoordinatorSettings};
use super::flight::{self, Peer};
use super::hearing::Readers;
use super::inspection::{self, Inspection};
use super::message::{Ask, Told};
use super::orders::Orders;
use super::peers::{KIND, Peers};
use super::relay::{self, Followed, Relay};
use super::same_dataset::SameDataset;
use super::{ClusterSettings, lease};
use crate::audit::Audit;
use crate::control::Control;
use crate::exit::Failure;
use crate::readiness::Readiness;
use crate::region::{RegionService, RegionSettings, Regions, Replication, TrafficDesk};
use crate::runner::seed;
use crate::trace_context;
use crate::wall_clock;

/// Of the messages in `message.rs`.
const PROTOCOL: u32 = 1;

/// Stages of other nodes at a time: three of each of their tasks.
const STREAMS_MAX: usize = 48;

/// Questions that wait to be taken up: as many as the gateway has in work.
const QUESTIONS_MAX: usize = 64;

/// Time for others to take over what this node has, before it ends all the same.
const HAND_OVER_WITHIN: Duration = Duration::from_secs(10);

/// Between two looks whether they have.
const HAND_OVER_LOOK: Duration = Duration::from_millis(50);

/// Time for another node to tell of its restarts.
const RESTARTS_WITHIN: Duration = Duration::from_secs(2);

/// A node of a cluster, before and while its tree runs.
pub(crate) struct ClusterNode {
    pub(crate) peers: Peers,
    settings: ClusterSettings,
    clock: Arc<dyn Clock>,
    /// Who coordinates.
    coordination: watch::Sender<Coordination>,
    /// What this node wants a person to know while it coordinates.
    concerns: watch::Sender<Vec<String>>,
    readers: watch::Sender<Option<Readers>>,
    /// What crosses to and from other nodes.
    meter: Arc<ExchangeMeter>,
    membership: Membership,
    links: Links,
    control: ControlPlane,
    acceptor: std::sync::Mutex<Option<Acceptor>>,
    questions: Mutex<mpsc::Receiver<Question>>,
    datasets: Arc<SameDataset>,
    orders: Orders,
    /// Whose orders this node follows.
    followed: Followed,
    /// What this node was told of its region and of others.
    regions: Regions,
    /// What it tells all nodes of them while it coordinates.
    regions_told: watch::Sender<Option<RegionView>>,
    /// Where traffic belongs.
    desk: TrafficDesk,
    completion: Completion,
    /// Every ledger that was wanted is durable.
    complete: watch::Sender<bool>,
    draining: watch::Sender<bool>,
}

/// What another node asks, and where the answer goes.
struct Question {
    ask: Ask,
    reply: oneshot::Sender<Result<Told, Refusal>>,
}

/// Why [`ClusterNode::serve`] came to its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Served {
    /// Nothing is left to do in the whole cluster.
    Complete,
    /// This node is asked to leave.
    Drain,
}

impl ClusterNode {
    /// Binds the port, and looks for other nodes.
    ///
    /// # Errors
    ///
    /// The address cannot be had.
    pub(crate) async fn start(
        settings: &ClusterSettings,
        pipeline: &SupervisedPipeline,
        regions: Regions,
    ) -> Result<Self, Failure> {
        let clock = pipeline.clock.clone();
        let unavailable =
            |error: &dyn std::fmt::Display| Failure::Unavailable(format!("cluster.listen: {error}"));
        let credentials = settings.credentials.clone();
        let identity =
            NodeIdentity { name: settings.name().clone(), incarnation: wall_clock::milliseconds() };
        let acceptor = Acceptor::bind(settings.listen, credentials.clone(), settings.limits()).await;
        let acceptor = acceptor.map_err(|error| unavailable(&error))?;
        let listen = acceptor.local_address();
        let advertise = with_port(settings.advertise.unwrap_or(listen), listen.port());
        let Some(gossip_key) = credentials.gossip_key() else {
            return Err(Failure::Configuration("cluster.certificates: there is no cluster.key".to_owned()));
        };
        let membership = MembershipSettings {
            identity: identity.clone(),
            cluster: credentials.cluster().clone(),
            profile: Profile {
                address: advertise,
                roles: settings.roles.clone(),
                version: env!("CARGO_PKG_VERSION").to_owned(),
                protocol: PROTOCOL,
                capacity: settings.tasks,
            },
            listen,
            advertise,
            seeds: settings.join.clone(),
            gossip_key: *gossip_key.bytes(),
            denied: settings.denied.clone(),
            timings: Timings::default(),
        };
        let membership =
            Membership::start(membership, clock.clone()).await.map_err(|error| unavailable(&error))?;
        let links = LinkSettings::new(identity.clone(), credentials, clock.clone(), seed());
        let links = Links::new(LinkSettings { denied: settings.denied.clone(), ..links });
        let (asked, questions) = mpsc::channel(QUESTIONS_MAX);
        let control = ControlPlane::new(links.clone(), handler(asked));
        let peers = Peers::new(control.clone(), membership.members());
        tracing::info!(node = %identity, address = %advertise, roles = %settings.roles, "node of a cluster");
        let (datasets, orders) = orders(settings, pipeline);
        let dataset = pipeline.dataset.clone();
        Ok(Self {
            peers,
            settings: settings.clone(),
            clock: clock.clone(),
            coordination: watch::Sender::default(),
            concerns: watch::Sender::default(),
            readers: watch::Sender::default(),
            meter: Arc::default(),
            membership,
            links,
            control,
            acceptor: std::sync::Mutex::new(Some(acceptor)),
            questions: Mutex::new(questions),
            datasets,
            orders,
            followed: Followed::default(),
            regions,
            regions_told: watch::Sender::default(),
            desk: TrafficDesk::new(pipeline.dataset.clone()),
            completion: Completion::new(dataset, pipeline.settings.clone(), pipeline.to, clock.now()),
            complete: watch::Sender::new(false),
            draining: watch::Sender::new(false),
        })
    }

    /// What keeps it connected, as a part of the node's tree; once. Stages for others are those of `pipeline`, and leases
    /// are in its dataset.
    pub(crate) fn child(
        &self,
        intensity: RestartIntensity,
        pipeline: &SupervisedPipeline,
        audit: &Arc<Audit>,
        working: &Handle,
    ) -> ChildSpec {
        let dataset = self.settings.touches_dataset().then(|| pipeline.dataset.clone());
        let regions = RegionService::new(self.regions.clone(), dataset, self.clock.clone());
        let mut handlers = inspection::handlers(self.inspection(audit), regions.clone());
        let processes = self.settings.roles.contains(Role::Processor);
        let live = relay::serve(pipeline, processes, self.followed.clone());
        handlers.do_get = Some(relay::or_regions(live, regions));
        let (flight, offers) = flight::server(ExchangeService::new(self.exchange(pipeline), handlers));
        let mut cluster = SupervisorSpec::new("cluster", Strategy::OneForOne, intensity)
            .child(self.control.child())
            .child(self.links.child())
            .child(flight.on(working.clone()));
        let acceptor = self.acceptor.lock().unwrap_or_else(std::sync::PoisonError::into_inner).take();
        let links = self.links.clone();
        if let Some(acceptor) = acceptor {
            cluster =
                cluster.child(acceptor.child(move |connection: Connection| match connection.protocol {
                    Protocol::Control => links.offer(connection),
                    Protocol::Flight => offers.offer(connection),
                }));
        }
        if self.settings.roles.contains(Role::Coordinator) {
            cluster = cluster.child(lease::child(
                self.links.identity().clone(),
                pipeline.dataset.clone(),
                self.membership.members(),
                self.clock.clone(),
                self.coordination.clone(),
            ));
        }
        let cluster = self.relay(pipeline).into_iter().fold(cluster, SupervisorSpec::child);
        let cluster = self.settings.renewal().into_iter().fold(cluster, SupervisorSpec::child);
        ChildSpec::supervisor(cluster).restart(Restart::Permanent)
    }

    /// What brings the live tail to this node's feed, if it has one.
    fn relay(&self, pipeline: &SupervisedPipeline) -> Option<ChildSpec> {
        let hub = pipeline.feed.clone().filter(|_| self.settings.roles.contains(Role::Gateway))?;
        let relay = Relay {
            members: self.membership.members(),
            credentials: self.settings.credentials.clone(),
            meter: self.meter.clone(),
            hub,
            // One in memory is this node's own.
            datasets: pipeline.dataset.place().map(|_| self.datasets.clone()),
            network: relay::network_id(pipeline),
        };
        Some(relay.child())
    }

    /// What is served to nodes that process and do not fetch, or do not write.
    fn exchange(&self, pipeline: &SupervisedPipeline) -> ExchangeSettings {
        let (template, roles) = (pipeline.clone().of_existing(), self.settings.roles.clone());
        let make_stage = move |opening: &Opening, extensions: &Extensions, on_durable: OnCheckpoint| {
            let peer = extensions.get::<Peer>();
            if peer.is_none_or(|peer| peer.purpose != Purpose::Node) {
                let reason = "only nodes of the cluster may ask for a stage";
                return Err(ExitError::new(ErrorClass::Invalid, reason));
            }
            let (role, is_mine) = match opening.wanted {
                Wanted::Fetch { .. } => (Role::Fetcher, roles.contains(Role::Fetcher)),
                Wanted::Sink { .. } => (Role::Sink, roles.contains(Role::Sink)),
            };
            if !is_mine {
                let reason = format!("this node has not the role {}", role.as_str());
                return Err(ExitError::new(ErrorClass::Unavailable, reason));
            }
            template.stage(opening, on_durable)
        };
        ExchangeSettings {
            make_stage: Arc::new(make_stage),
            limits: ExchangeLimits::default(),
            streams_max: STREAMS_MAX,
            traces: trace_context::between_nodes(),
            meter: self.meter.clone(),
            clock: self.clock.clone(),
            seed: seed(),
        }
    }

    /// What operators ask of the cluster, for this node's own HTTP.
    pub(crate) fn inspection(&self, audit: &Arc<Audit>) -> Inspection {
        Inspection {
            peers: self.peers.clone(),
            coordination: self.coordination.subscribe(),
            concerns: self.concerns.subscribe(),
            regions: self.regions.clone(),
            clock: self.clock.clone(),
            audit: audit.clone(),
        }
    }

    /// What another node's supervisors restarted, newest last: it alone remembers.
    pub(crate) async fn restarts(&self, node: &str, last: usize) -> Result<serde_json::Value, String> {
        let name: NodeName = node.parse().map_err(|_| format!("`{node}` is no node's name"))?;
        let told = self.peers.ask(&name, &Ask::Restarts { last }, RESTARTS_WITHIN).await;
        told.map(inspection::value).map_err(|error| error.to_string())
    }

    /// What crosses to and from other nodes now.
    pub(crate) fn exchange_counts(&self) -> ExchangeCounts {
        self.meter.counts()
    }

    /// Where the stages of a task work.
    pub(crate) fn places(&self) -> impl Fn(&Task) -> Option<Places> + Send + Sync + 'static {
        let (members, credentials) = (self.membership.members(), self.settings.credentials.clone());
        let meter = self.meter.clone();
        let place = move |name: &Option<String>| {
            let Some(name) = name else { return Some(Place::Here) };
            let name: NodeName = name.parse().ok()?;
            members.borrow().get(&name)?;
            Some(Place::Node(Arc::new(RemoteNode {
                name: name.as_str().to_owned(),
                connect: flight::connect(members.clone(), credentials.clone(), name),
                limits: ExchangeLimits::default(),
                traces: trace_context::between_nodes(),
                meter: meter.clone(),
            })))
        };
        move |task| Some(Places { fetcher: place(&task.fetcher)?, sinks: place(&task.sink)? })
    }

    /// The coordinator, if this node may be one; it goes up to ledger `to`.
    pub(crate) fn coordinator(
        &self,
        pipeline: &SupervisedPipeline,
        to: Option<LedgerSequence>,
        derives: bool,
    ) -> Option<ChildSpec> {
        let settings = CoordinatorSettings {
            peers: self.peers.clone(),
            coordination: self.coordination.subscribe(),
            network: pipeline.network.passphrase().to_owned(),
            sources: pipeline.stores.clone(),
            dataset: pipeline.dataset.clone(),
            settings: pipeline.settings.clone(),
            to,
            derives,
            regions: self.regions_told.subscribe(),
            concerns: self.concerns.clone(),
            readers: self.readers.clone(),
            metrics: pipeline.metrics.clone(),
            clock: self.clock.clone(),
        };
        let may = self.settings.roles.contains(Role::Coordinator);
        may.then(|| ChildSpec::worker("coordinator", move |_| Ok((Coordinator, settings.clone()))))
    }

    /// What keeps this region equal to its peers while this node coordinates, if it may.
    pub(crate) fn replication(
        &self,
        region: &RegionSettings,
        pipeline: &SupervisedPipeline,
        readiness: &Arc<Readiness>,
    ) -> Option<Replication> {
        self.settings.roles.contains(Role::Coordinator).then(|| Replication {
            settings: region.clone(),
            credentials: self.settings.credentials.clone(),
            coordination: self.coordination.subscribe(),
            dataset: pipeline.dataset.clone(),
            dataset_settings: pipeline.settings.clone(),
            pipeline: pipeline.name.clone(),
            metrics: pipeline.metrics.clone(),
            readiness: readiness.clone(),
            concerns: self.concerns.subscribe(),
            readers: self.readers.subscribe(),
            peers: self.peers.clone(),
            desk: self.desk.clone(),
            view: self.regions_told.clone(),
            clock: self.clock.clone(),
            seed: seed(),
        })
    }

    /// Answers others and keeps links to those who are there, until something ends it.
    ///
    /// # Errors
    ///
    /// The membership has failed.
    pub(crate) async fn serve(&self, control: &Control<'_>, assignee: &Assignee) -> Result<Served, Failure> {
        let mut questions = self.questions.lock().await;
        let mut members = self.membership.members();
        let mut answers = FuturesUnordered::new();
        let mut complete = self.complete.subscribe();
        let mut draining = self.draining.subscribe();
        let is_draining_before = *draining.borrow();
        // Who may coordinate finds out what there is to do when the others are gone; unless it has met none, and waits.
        let roles = &self.settings.roles;
        let follows = |members: &Members| match roles.contains(Role::Coordinator) {
            true => members.is_joining(),
            false => roles.contains(Role::Sink),
        };
        let mut reached = pin!(self.completion.reached(self.clock.as_ref()));
        let mut coordination = self.coordination.subscribe();
        let mut concerns = self.concerns.subscribe();
        self.met(&members.borrow_and_update());
        self.contested();
        loop {
            tokio::select! {
                Some(Question { ask, reply }) = questions.recv() => {
                    answers.push(async move {
                        // Whoever asked may not wait any more.
                        let _ = reply.send(self.answer(ask, control, assignee).await);
                    }.boxed());
                }
                Some(()) = answers.next() => {}
                Ok(()) = members.changed() => self.met(&members.borrow_and_update()),
                Ok(()) = coordination.changed() => self.contested(),
                Ok(()) = concerns.changed() => self.contested(),
                () = &mut reached, if follows(&self.peers.members()) => return Ok(Served::Complete),
                ended = self.membership.ended() => return Err(match ended {
                    Err(error) if error.is_of_name() => Failure::Configuration(error.to_string()),
                    Err(error) => Failure::Unavailable(format!("membership: {error}")),
                    Ok(()) => Failure::Unavailable("membership: it has left".to_owned()),
                }),
                Ok(_) = complete.wait_for(|complete| *complete) => return Ok(Served::Complete),
                Ok(_) = draining.wait_for(|draining| *draining), if !is_draining_before => return Ok(Served::Drain),
            }
        }
    }

    /// Gives what this node does to others, if there are any, and leaves. Others learn of it at once.
    pub(crate) async fn hand_over(&self, control: &Control<'_>, assignee: &Assignee) {
        self.draining.send_replace(true);
        self.membership.set_draining(true);
        let has_others = self.peers.members().others().next().is_some();
        let idle = async {
            while has_others && !assignee.is_idle().await {
                tokio::time::sleep(HAND_OVER_LOOK).await;
            }
        };
        tokio::select! {
            _ = self.serve(control, assignee) => {}
            handed_over = tokio::time::timeout(HAND_OVER_WITHIN, idle) => {
                if handed_over.is_err() {
                    tracing::warn!("nobody took over in time; what is not durable is done again by others");
                }
            }
        }
    }

    /// Tells the others that this node is gone.
    pub(crate) async fn leave(&self) {
        if let Err(error) = self.membership.leave().await
            && !error.is_of_name()
        {
            tracing::warn!(%error, "others are not told that this node leaves; they will notice");
        }
    }
}

/// What tells whose dataset a coordinator writes to, and whether this node does what it says.
fn orders(settings: &ClusterSettings, pipeline: &SupervisedPipeline) -> (Arc<SameDataset>, Orders) {
    let datasets = Arc::new(SameDataset::new(pipeline.dataset.clone(), pipeline.clock.clone()));
    let compared = settings.touches_dataset().then(|| datasets.clone());
    let orders = Orders::new(pipeline.network.passphrase(), compared);
    (datasets, orders)
}

/// Those who are to be linked with, this node included.
fn addresses(members: &Members) -> BTreeMap<NodeName, String> {
    let address = |member: &orrery_supervisor::cluster::membership::Member| {
        (member.identity.name.clone(), member.profile.address.to_string())
    };
    members.others().map(address).collect()
}

fn with_port(address: SocketAddr, port: u16) -> SocketAddr {
    match address.port() {
        0 => SocketAddr::new(address.ip(), port),
        _ => address,
    }
}

/// Hands calls to whoever serves them: what answers them lives with the node's tree, the gateway with its links.
fn handler(asked: mpsc::Sender<Question>) -> Handler {
    Arc::new(move |call: Call| {
        let asked = asked.clone();
        async move {
            if call.kind != KIND {
                return Err(Refusal::unknown_kind(&call.kind, &[KIND]));
            }
            let ask = serde_json::from_slice(&call.body)
                .map_err(|error| Refusal::Malformed { detail: error.to_string() })?;
            let (reply, told) = oneshot::channel();
            if asked.send(Question { ask, reply }).await.is_err() {
                return Err(Refusal::failed("the node ends"));
            }
            let told = told.await.map_err(|_| Refusal::failed("the node ends"))??;
            serde_json::to_vec(&told).map(Into::into).map_err(Refusal::failed)
        }
        .boxed()
    })
}
