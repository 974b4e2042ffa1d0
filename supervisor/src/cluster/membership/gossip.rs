//! The task of the membership: looks at what chitchat knows, tells what this node wants told, and calls the seeds.

use std::collections::{BTreeMap, BTreeSet};
use std::future::pending;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use chitchat::{Chitchat, ChitchatHandle, ChitchatId};
use futures::future::{BoxFuture, FutureExt, join_all};
use tokio::net::lookup_host;
use tokio::sync::watch;
use tokio::time::{MissedTickBehavior, interval, sleep, timeout};
use tracing::{debug, info, warn};

use super::arrival::{Arrival, Namesake, Step};
use super::company::Company;
use super::counts::GossipCounts;
use super::datagram::HeardNamesake;
use super::detector::{Detector, Standing};
use super::error::MembershipError;
use super::members::{Member, MemberState, Members};
use super::record_wire::{self, DRAINING, LEFT, Record};
use super::settings::Timings;
use super::view;
use crate::clock::{Clock, MonotonicTime};
use crate::cluster::{DeniedNames, NodeIdentity};

/// A name server that does not answer must not keep the seeds from being asked again.
const LOOKUP_TIME_MAX: Duration = Duration::from_secs(3);

/// Addresses of one seed that are tried; a name may stand for every node of a large cluster.
const ADDRESSES_MAX: usize = 16;

/// A leaving node tells its last word so often, so that one lost datagram does not keep the others waiting.
const FAREWELLS: u32 = 3;

/// Time for an answer to a farewell: on its way there and back, twice.
const FAREWELL_TIME: Duration = Duration::from_millis(100);

/// What the node wants told of itself.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Wanted {
    pub(super) load: f32,
    pub(super) draining: bool,
    pub(super) leave: bool,
}

/// What is kept of a node between two looks.
struct Known {
    version: u64,
    heartbeat: u64,
    record: Option<Record>,
}

pub(super) struct Gossip {
    given: Beginning,
    detector: Detector,
    company: Company,
    told: Wanted,
    seeds_called_at: Option<MonotonicTime>,
    known: BTreeMap<ChitchatId, Known>,
}

/// What a task of the membership begins with.
pub(super) struct Beginning {
    pub(super) me: NodeIdentity,
    pub(super) timings: Timings,
    pub(super) seeds: Vec<String>,
    pub(super) denied: DeniedNames,
    pub(super) chitchat: ChitchatHandle,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) wanted: watch::Receiver<Wanted>,
    pub(super) members: watch::Sender<Members>,
    /// Until it is known that the name is free.
    pub(super) arrival: Option<Arrival>,
    /// What is told of this node when it is.
    pub(super) first_values: Vec<(String, String)>,
    pub(super) namesake: HeardNamesake,
    pub(super) counts: Arc<GossipCounts>,
}

impl Gossip {
    pub(super) fn new(beginning: Beginning) -> Self {
        Self {
            detector: Detector::new(beginning.timings),
            company: Company::default(),
            told: Wanted::default(),
            seeds_called_at: None,
            known: BTreeMap::new(),
            given: beginning,
        }
    }

    /// Until the node leaves, or the gossip can no longer be.
    pub(super) async fn run(mut self) -> Result<(), MembershipError> {
        let ended = self.given.chitchat.termination_watcher();
        tokio::pin!(ended);
        let mut look = interval(self.given.timings.look_interval);
        look.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut lookup: Option<BoxFuture<'static, BTreeSet<SocketAddr>>> = None;
        loop {
            let found = async {
                match lookup.as_mut() {
                    Some(lookup) => lookup.await,
                    None => pending().await,
                }
            };
            tokio::select! {
                _ = look.tick() => {
                    self.look().await?;
                    if lookup.is_none() && self.are_seeds_due() {
                        lookup = Some(resolve(self.given.seeds.clone()).boxed());
                    }
                }
                addresses = found => {
                    lookup = None;
                    self.call(&addresses)?;
                }
                changed = self.given.wanted.changed() => {
                    let wanted = *self.given.wanted.borrow_and_update();
                    // Nobody holds the handle any more: the others shall know.
                    if changed.is_err() || wanted.leave {
                        return self.leave().await;
                    }
                    self.tell(wanted).await?;
                }
                result = &mut ended => {
                    let why = result.err().map_or_else(|| "it was stopped".to_owned(), |error| format!("{error:#}"));
                    return Err(MembershipError::Ended(why));
                }
            }
        }
    }

    async fn look(&mut self) -> Result<(), MembershipError> {
        let mut before = std::mem::take(&mut self.known);
        let mut heartbeats: BTreeMap<NodeIdentity, (u64, Option<Record>)> = BTreeMap::new();
        let chitchat = self.given.chitchat.chitchat();
        {
            let chitchat = chitchat.lock().await;
            for (id, state) in chitchat.node_states() {
                let Some(identity) = identity_of(id) else { continue };
                let heartbeat = u64::from(state.heartbeat());
                let unchanged = before.remove(id).filter(|known| known.version == state.max_version());
                let known = match unchanged {
                    Some(known) => Known { heartbeat, ..known },
                    None => {
                        Known { version: state.max_version(), heartbeat, record: record_wire::read(state) }
                    }
                };
                let entry = heartbeats.entry(identity).or_insert((heartbeat, None));
                entry.0 = entry.0.max(heartbeat);
                entry.1 = known.record.clone();
                self.known.insert(id.clone(), known);
            }
        }
        let now = self.given.clock.now();
        self.detector
            .look(now, heartbeats.iter().map(|(identity, (heartbeat, _))| (identity.clone(), *heartbeat)));
        let own = &self.given.me.name;
        let is_denied =
            |identity: &NodeIdentity| identity.name != *own && self.given.denied.contains(&identity.name);
        heartbeats.retain(|identity, _| !is_denied(identity));
        let nodes = heartbeats.into_iter().filter_map(|(identity, (_, record))| {
            let standing = self.detector.standing(&identity);
            Some((identity, record?, standing))
        });
        let members = view::members(&self.given.me, nodes);
        self.note_company(now, members.others().next().is_some());
        if self.given.arrival.is_some() {
            return self.arrive(now).await;
        }
        if let Some(Member { identity: by, profile, .. }) = members.myself()
            && *by != self.given.me
        {
            let (me, by, address) = (self.given.me.clone(), by.clone(), profile.address);
            return Err(MembershipError::Replaced { me, by, address });
        }
        let is_joining = !self.given.seeds.is_empty() && !self.company.has_met();
        self.publish(members.joining(is_joining));
        Ok(())
    }

    fn note_company(&mut self, now: MonotonicTime, is_with_others: bool) {
        let alone = self.company.look(now, is_with_others);
        let Some(alone) = alone.filter(|_| !self.given.seeds.is_empty()) else { return };
        let (seeds, counts) = (self.given.seeds.join(", "), &self.given.counts);
        warn!(
            seeds,
            ?alone,
            refused_datagrams = counts.refused(),
            unsent_datagrams = counts.unsent(),
            "no node that is to be joined answers, so that this one does nothing yet. Check addresses and ports, that the \
             firewalls let TCP and UDP through in both directions, and that all certificates are of one authority. If the \
             others are gone for good, start this node without --join"
        );
    }

    /// Tells the others who this node is, once it is known that its name is free.
    async fn arrive(&mut self, now: MonotonicTime) -> Result<(), MembershipError> {
        let own = &self.given.me.name;
        let lives = self.known.iter().filter_map(|(id, known)| {
            let identity = identity_of(id).filter(|identity| identity.name == *own)?;
            let address = id.gossip_advertise_addr;
            let has_left = known.record.as_ref().is_some_and(|record| record.left);
            let has_told = known.record.is_some();
            (identity != self.given.me && !has_left).then_some(Namesake {
                identity,
                address,
                heartbeat: known.heartbeat,
                has_told,
            })
        });
        let namesakes: Vec<Namesake> = lives.collect();
        let knows_others =
            self.known.keys().any(|id| identity_of(id).is_some_and(|identity| identity.name != *own));
        let heard = self.given.namesake.incarnation();
        let Some(arrival) = &mut self.given.arrival else { return Ok(()) };
        match arrival.step(now, knows_others, &namesakes, heard) {
            Step::Wait => Ok(()),
            Step::Call(addresses) => self.call(&addresses),
            Step::Announce => {
                self.given.arrival = None;
                let values = std::mem::take(&mut self.given.first_values);
                let tell = |chitchat: &mut Chitchat| {
                    for (key, value) in &values {
                        chitchat.self_node_state().set(key, value);
                    }
                };
                self.given.chitchat.with_chitchat(tell).await;
                self.call(&self.known.keys().map(|id| id.gossip_advertise_addr).collect())
            }
            Step::Refuse(address) => Err(MembershipError::NameTaken { name: own.clone(), address }),
        }
    }

    fn publish(&self, members: Members) {
        self.given.members.send_if_modified(|current| {
            if *current == members {
                return false;
            }
            report(current, &members, |identity| self.detector.standing(identity));
            *current = members;
            true
        });
    }

    fn are_seeds_due(&mut self) -> bool {
        let alone = self.given.members.borrow().others().next().is_none();
        let every =
            if alone { self.given.timings.seed_interval_alone } else { self.given.timings.seed_interval };
        let now = self.given.clock.now();
        let due =
            !self.given.seeds.is_empty() && self.seeds_called_at.is_none_or(|at| now.since(at) >= every);
        if due {
            self.seeds_called_at = Some(now);
        }
        due
    }

    fn call(&self, addresses: &BTreeSet<SocketAddr>) -> Result<(), MembershipError> {
        let own = self.given.chitchat.chitchat_id().gossip_advertise_addr;
        let mut others = addresses.iter().filter(|address| **address != own);
        let result = others.try_for_each(|address| self.given.chitchat.gossip(*address));
        result.map_err(|error| MembershipError::Ended(error.to_string()))
    }

    /// Says it and calls everybody, rather than wait for the next round to reach some.
    async fn tell(&mut self, wanted: Wanted) -> Result<(), MembershipError> {
        let (load_key, load) = record_wire::load_value(wanted.load);
        let draining = if wanted.draining { "1" } else { "0" };
        let urgent = wanted.draining != self.told.draining;
        self.told = wanted;
        self.given
            .chitchat
            .with_chitchat(|chitchat| {
                let state = chitchat.self_node_state();
                state.set(&load_key, &load);
                state.set(DRAINING, draining);
            })
            .await;
        if urgent { self.call_everybody() } else { Ok(()) }
    }

    fn call_everybody(&self) -> Result<(), MembershipError> {
        let members = self.given.members.borrow().clone();
        let is_there = |id: &ChitchatId| identity_of(id).is_some_and(|identity| members.contains(&identity));
        let there = self.known.keys().filter(|id| is_there(id));
        self.call(&there.map(|id| id.gossip_advertise_addr).collect())
    }

    async fn leave(self) -> Result<(), MembershipError> {
        self.given.chitchat.with_chitchat(|chitchat| chitchat.self_node_state().set(LEFT, "1")).await;
        for _ in 0..FAREWELLS {
            self.call_everybody()?;
            sleep(FAREWELL_TIME).await;
        }
        info!(node = %self.given.me, "left the cluster");
        self.given.chitchat.shutdown().await.map_err(|error| MembershipError::Ended(format!("{error:#}")))
    }
}

fn identity_of(id: &ChitchatId) -> Option<NodeIdentity> {
    Some(NodeIdentity { name: id.node_id.parse().ok()?, incarnation: id.generation_id })
}

/// Addresses behind all seeds that are known now.
async fn resolve(seeds: Vec<String>) -> BTreeSet<SocketAddr> {
    let found = join_all(seeds.iter().map(|seed| async move {
        match timeout(LOOKUP_TIME_MAX, lookup_host(seed.as_str())).await {
            Ok(Ok(addresses)) => addresses.take(ADDRESSES_MAX).collect(),
            Ok(Err(error)) => {
                debug!(seed, %error, "seed has no address");
                Vec::new()
            }
            Err(_) => {
                debug!(seed, "seed was not looked up in time");
                Vec::new()
            }
        }
    }));
    found.await.into_iter().flatten().collect()
}

/// One log line for every node that came, went, or is thought of otherwise.
fn report(before: &Members, after: &Members, standing: impl Fn(&NodeIdentity) -> Standing) {
    for member in after.iter().filter(|member| !before.contains(&member.identity)) {
        info!(node = %member.identity, address = %member.profile.address, roles = %member.profile.roles, "node joined");
    }
    for member in before.iter() {
        let node = &member.identity;
        match after.get(&node.name) {
            None if standing(node) == Standing::Out => info!(%node, "node is out: nothing heard of it"),
            None => info!(%node, "node left"),
            Some(now) if now.identity != *node => info!(%node, by = %now.identity, "node replaced"),
            Some(now) if now.state != member.state && now.state == MemberState::Suspect => {
                info!(%node, "node suspected");
            }
            Some(now) if now.state != member.state => info!(%node, "node no longer suspected"),
            Some(_) => {}
        }
    }
}
