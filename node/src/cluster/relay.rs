//! The live tail at a node that another one processes it for: this node's readers get it from memory, and not only when it is
//! durable.
//!
//! Every node that may process is followed, as the coordinator may move the tail at any time; who has it offers, and the
//! others say nothing. Offers are taken as those of an own pipeline: twice is once, and what is missing between two of them
//! the dataset has soon. Only what a node has derived itself is given on, so nothing goes round.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::pin::pin;
use std::sync::{Arc, Mutex, PoisonError};

use arrow_flight::{FlightData, Ticket};
use futures::future::{AbortHandle, Abortable};
use futures::stream::{BoxStream, FuturesUnordered};
use futures::{FutureExt, StreamExt};
use orrery_actors::exchange::{
    DoGet, ExchangeLimits, ExchangeMeter, LiveTicket, Orders, RemoteNode, live, refusal,
};
use orrery_actors::feed::{Hub, Outlet};
use orrery_actors::pipeline::supervised::SupervisedPipeline;
use orrery_actors::region::ticket::RegionTicket;
use orrery_schemas::LedgerSequence;
use orrery_supervisor::cluster::certificates::{Credentials, Purpose};
use orrery_supervisor::cluster::membership::Members;
use orrery_supervisor::cluster::role::Role;
use orrery_supervisor::cluster::{NodeIdentity, NodeName};
use orrery_supervisor::{Backoff, ChildSpec, ErrorClass, ExitError, SeededRandom};
use tokio::sync::{Semaphore, watch};
use tonic::{Request, Response, Status};

use super::flight::{self, Peer};
use super::same_dataset::SameDataset;
use crate::region::RegionService;
use crate::runner::seed;
use crate::trace_context;

/// Nodes that follow this one at a time.
const FOLLOWERS_MAX: usize = 64;

/// Whose orders this node follows.
#[derive(Clone, Default)]
pub(super) struct Followed(Arc<Mutex<Option<Orders>>>);

impl Followed {
    pub(super) fn set(&self, epoch: u64, coordinator: &str) {
        let mut orders = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if orders.as_ref().is_none_or(|known| known.epoch != epoch || known.coordinator != coordinator) {
            *orders = Some(Orders { epoch, coordinator: coordinator.to_owned() });
        }
    }

    fn get(&self) -> Option<Orders> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// What other nodes are given.
struct Offered {
    outlet: Arc<Outlet>,
    followed: Followed,
    network: Option<String>,
    processes: bool,
}

/// Serves it, if this node has any.
pub(super) fn serve(pipeline: &SupervisedPipeline, processes: bool, followed: Followed) -> Option<DoGet> {
    let (outlet, network) = (pipeline.outlet.clone()?, network_id(pipeline));
    let offered = Offered { outlet, followed, network, processes };
    let places = Arc::new(Semaphore::new(FOLLOWERS_MAX));
    Some(Arc::new(move |request| {
        let answer = offered.answer(&request, &places);
        async move { answer }.boxed()
    }))
}

/// SHA-256 of the network's passphrase, if the node knows it.
pub(super) fn network_id(pipeline: &SupervisedPipeline) -> Option<String> {
    let is_known = !pipeline.network.passphrase().is_empty();
    is_known.then(|| hex::encode(pipeline.network.id()))
}

/// What `DoGet` gives between nodes: live ledgers, and what peer regions ask for.
pub(super) fn or_regions(live: Option<DoGet>, regions: RegionService) -> DoGet {
    Arc::new(move |request| {
        let (live, regions) = (live.clone(), regions.clone());
        let purpose = request.extensions().get::<Peer>().map(|peer| peer.purpose);
        async move {
            match (purpose, live) {
                (Some(purpose), _) if RegionTicket::is_meant(&request.get_ref().ticket) => {
                    regions.get(&request.get_ref().ticket, purpose).await
                }
                (Some(Purpose::Region), _) => Err(Status::permission_denied(
                    "a node of a peer region may ask for slots and their files alone",
                )),
                (_, Some(live)) => live(request).await,
                (_, None) => Err(Status::unimplemented("this node has no live ledgers for others")),
            }
        }
        .boxed()
    })
}

type Frames = Response<BoxStream<'static, Result<FlightData, Status>>>;

impl Offered {
    fn answer(&self, request: &Request<Ticket>, places: &Arc<Semaphore>) -> Result<Frames, Status> {
        let refuse = |class, reason: &str| Err(refusal(&ExitError::new(class, reason)));
        if !LiveTicket::is_meant(request.get_ref()) {
            return Err(Status::invalid_argument("the ticket: between nodes there are live ledgers alone"));
        }
        let peer = request.extensions().get::<Peer>();
        if peer.is_none_or(|peer| peer.purpose != Purpose::Node) {
            return refuse(ErrorClass::Invalid, "only nodes of the cluster may ask for live ledgers");
        }
        let ticket = LiveTicket::decode(request.get_ref())?;
        if let (Some(ours), Some(theirs)) = (&self.network, &ticket.network)
            && ours != theirs
        {
            let reason = format!(
                "the network that is asked for is {theirs}, this node's is {ours}: give both nodes the same settings"
            );
            return refuse(ErrorClass::Invalid, &reason);
        }
        if !self.processes {
            return refuse(ErrorClass::Unavailable, "this node has not the role processor");
        }
        let Some(orders) = self.followed.get() else {
            return refuse(ErrorClass::Unavailable, "no coordinator has told this node what to do yet");
        };
        let Ok(place) = places.clone().try_acquire_owned() else {
            let reason = format!("{FOLLOWERS_MAX} nodes follow this one, which is all that may");
            return refuse(ErrorClass::Unavailable, &reason);
        };
        live(self.outlet.clone(), LedgerSequence(ticket.from), &orders, place)
    }
}

/// What follows other nodes.
pub(super) struct Relay {
    pub(super) members: watch::Receiver<Members>,
    pub(super) credentials: Credentials,
    pub(super) meter: Arc<ExchangeMeter>,
    pub(super) hub: Arc<Hub>,
    /// Whether another node's dataset is this one's; `None` if this node has none.
    pub(super) datasets: Option<Arc<SameDataset>>,
    pub(super) network: Option<String>,
}

impl Relay {
    /// As a part of the node's tree.
    pub(super) fn child(self) -> ChildSpec {
        let relay = Arc::new(self);
        ChildSpec::task("relay", move |_| {
            let relay = relay.clone();
            Ok(Box::pin(async move {
                relay.run().await;
                Ok(())
            }))
        })
    }

    /// Follows whoever is there, for ever.
    async fn run(&self) {
        let mut members = self.members.clone();
        let mut followed: BTreeMap<NodeIdentity, AbortHandle> = BTreeMap::new();
        let mut work = FuturesUnordered::new();
        loop {
            let wanted = processors(&members.borrow_and_update());
            followed.retain(|node, follows| {
                let stays = wanted.contains(node);
                if !stays {
                    follows.abort();
                }
                stays
            });
            for node in wanted {
                let name = node.name.clone();
                if let Entry::Vacant(place) = followed.entry(node) {
                    let (follows, registration) = AbortHandle::new_pair();
                    work.push(Abortable::new(self.follow(name), registration));
                    place.insert(follows);
                }
            }
            let mut changed = pin!(members.changed());
            loop {
                tokio::select! {
                    changed = &mut changed => match changed {
                        Ok(()) => break,
                        Err(_) => return,
                    },
                    Some(_) = work.next() => {}
                }
            }
        }
    }

    /// Follows one node, again and again.
    async fn follow(&self, name: NodeName) {
        let node = RemoteNode {
            name: name.as_str().to_owned(),
            connect: flight::connect(self.members.clone(), self.credentials.clone(), name),
            limits: ExchangeLimits::default(),
            traces: trace_context::between_nodes(),
            meter: self.meter.clone(),
        };
        let node_seed = node.name.bytes().fold(seed(), |seed, byte| seed.rotate_left(8) ^ u64::from(byte));
        let (mut random, mut attempts) = (SeededRandom::new(node_seed), 0);
        loop {
            let mut has_begun = false;
            let ended = self.once(&node, &mut has_begun).await;
            attempts = if has_begun { 1 } else { attempts + 1 };
            let why = ended.err().map_or_else(|| "it ended".to_owned(), |error| error.message);
            match (has_begun, attempts) {
                (true, _) => {
                    tracing::info!(node = node.name, why, "live ledgers of a node end, following again")
                }
                // Its coordinator is found soon, or it leaves.
                (false, 1..=4) => tracing::debug!(node = node.name, why, "no live ledgers of a node yet"),
                (false, 5) => tracing::warn!(
                    node = node.name,
                    why,
                    "no live ledgers of a node, trying on; what it derives is seen here when it is durable"
                ),
                (false, _) => {}
            }
            tokio::time::sleep(Backoff::DEFAULT.delay(attempts, &mut || random.draw())).await;
        }
    }

    async fn once(&self, node: &RemoteNode, has_begun: &mut bool) -> Result<(), ExitError> {
        // Before what is in memory here, the dataset has what is wanted; without any, some are welcome.
        let from = self.hub.tips_now().memory.map_or(LedgerSequence(0), |memory| memory.next);
        let mut ledgers = node.live(LiveTicket::new(self.network.clone(), from)).await?;
        if let Some(datasets) = &self.datasets {
            let Orders { epoch, coordinator } = ledgers.orders();
            let unknown = |reason| ExitError::new(ErrorClass::Unavailable, reason);
            if let Some(reason) = datasets.differs(*epoch, coordinator).await.map_err(unknown)? {
                return Err(ExitError::new(ErrorClass::Invalid, reason));
            }
        }
        *has_begun = true;
        tracing::debug!(node = node.name, %from, "live ledgers of a node are followed");
        while let Some(batch) = ledgers.next().await? {
            self.hub.relay(&batch);
        }
        Ok(())
    }
}

/// Other nodes that may process.
fn processors(members: &Members) -> Vec<NodeIdentity> {
    let others = members.others().filter(|member| member.profile.roles.contains(Role::Processor));
    others.map(|member| member.identity.clone()).collect()
}
