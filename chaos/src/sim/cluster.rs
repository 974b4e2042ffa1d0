//! A cluster: the product's failure detector, lease and assignment on several nodes, whose network is cut, whose clocks stand
//! still while they are paused, and whose store of leases loses answers and creates late.

mod orders;

use std::collections::{BTreeMap, BTreeSet};

use orrery_actors::coordinator::TaskId;
use orrery_supervisor::Clock;
use orrery_supervisor::cluster::lease::{
    Action, Created, Electorate, Epoch, Event, Lease, LeaseCore, LeaseTimings,
};
use orrery_supervisor::cluster::membership::{
    Detector, Member, MemberState, Members, Profile, Standing, Timings,
};
use orrery_supervisor::cluster::role::Roles;
use orrery_supervisor::cluster::{NodeIdentity, NodeName};

use super::SimError;
use super::mail::Mail;
use super::world::{Micros, World};
use crate::history::Op;
use orders::Term;

/// Faults end after this.
const SAFETY: Micros = 45_000_000;
/// All spans are done then, once somebody coordinates.
const WORKED: Micros = 120_000_000;
/// How often a node looks around.
const STEP: Micros = 200_000;
/// Tasks that a node takes on at once.
const CAPACITY: u32 = 2;
/// Spans of ledgers that are to be done.
const SPANS: u32 = 30;
/// Spans that are due at a time.
const AHEAD: usize = 6;
/// What breaks, as traces call it.
const DISTURBANCES: [&str; 5] =
    ["begins another life", "sleeps", "may be cut off", "may not reach the store of leases", "may drain"];
/// Of a thousand messages so many come late, later than a node is taken for dead, and so many come twice.
const LATE_PER_MILLE: u32 = 10;
const TWICE_PER_MILLE: u32 = 20;

#[derive(Clone)]
enum Message {
    /// A node looks around.
    Step { node: usize, life: u64 },
    /// A heartbeat of another node.
    Heartbeat { to: usize, from: NodeIdentity, heartbeat: u64, draining: bool },
    /// The store of leases takes a lease, whoever still waits.
    Create { node: usize, life: u64, lease: Lease, is_lost: bool },
    /// It answers.
    Answer { node: usize, life: u64, event: Event },
    /// A coordinator asks a node what it has, and perhaps gives it its tasks.
    Ask { to: usize, from: usize, epoch: Epoch, tasks: Option<BTreeSet<TaskId>> },
    /// What a node has, for a coordinator of an epoch.
    Told { to: usize, epoch: Epoch, from: NodeName, running: BTreeSet<TaskId> },
    /// A node has done a task.
    Finished { node: usize, life: u64, task: TaskId },
    /// Something breaks.
    Disturb,
}

struct Node {
    identity: NodeIdentity,
    heartbeat: u64,
    detector: Detector,
    heard: BTreeMap<NodeIdentity, (u64, bool)>,
    lease: LeaseCore,
    electorate: Option<Electorate>,
    /// While it coordinates.
    term: Option<Term>,
    /// The newest epoch whose orders it has taken.
    obeys: Option<Epoch>,
    running: BTreeSet<TaskId>,
    paused_until: Micros,
    side: u64,
    reaches_store: bool,
    draining: bool,
}

struct Cluster {
    world: World,
    mail: Mail<Message>,
    nodes: Vec<Node>,
    /// Lives of nodes so far.
    lives: u64,
    leases: BTreeMap<u64, NodeIdentity>,
    done: BTreeSet<u32>,
    has_faults: bool,
    lost_per_mille: u32,
}

/// Runs one seed's cluster.
///
/// # Errors
///
/// [`SimError::Ledgers`] if a name of the simulation is none.
pub(super) fn run(world: &World) -> Result<(), SimError> {
    let count = 1 + world.below(5);
    let mut cluster = Cluster {
        world: world.clone(),
        mail: Mail::new(world),
        nodes: Vec::new(),
        lives: 0,
        leases: BTreeMap::new(),
        done: BTreeSet::new(),
        has_faults: true,
        lost_per_mille: [0, 50, 200][world.below(3)],
    };
    for node in 0..count {
        let fresh = cluster.fresh(node)?;
        cluster.nodes.push(fresh);
        cluster.mail.send(world.micros(1, STEP), Message::Step { node, life: cluster.lives });
    }
    cluster.mail.send(world.micros(1_000_000, 5_000_000), Message::Disturb);
    while let Some(message) = cluster.mail.next(SAFETY) {
        cluster.take(message)?;
    }
    cluster.heal();
    let elected = u64::try_from(LeaseTimings::default().elected_within().as_micros()).unwrap_or(u64::MAX);
    let within = elected + WORKED;
    world.saw("nemesis", Op::Awaited { subject: "all spans".to_owned() });
    world.saw("nemesis", Op::Awaited { subject: "one coordinator".to_owned() });
    world.saw("nemesis", Op::Healed { within_us: within });
    // When all is done, the rest is only about who coordinates.
    while let Some(message) = cluster.mail.next(SAFETY + within) {
        cluster.take(message)?;
        if cluster.done.len() == SPANS as usize && world.now() > SAFETY + elected {
            break;
        }
    }
    let active = cluster.nodes.iter().filter(|node| node.lease.active().is_some()).count();
    if active == 1 {
        world.saw("nemesis", Op::Done { subject: "one coordinator".to_owned() });
    }
    Ok(())
}

impl Cluster {
    /// The next life of a node.
    fn fresh(&mut self, node: usize) -> Result<Node, SimError> {
        self.lives += 1;
        let name = format!("n{node}.{}", self.lives);
        let identity: NodeIdentity =
            name.parse().map_err(|_| SimError::Ledgers(format!("{name} is no name")))?;
        Ok(Node {
            lease: LeaseCore::new(identity.clone(), LeaseTimings::default()),
            identity,
            heartbeat: 0,
            detector: Detector::new(Timings::default()),
            heard: BTreeMap::new(),
            electorate: None,
            term: None,
            obeys: None,
            running: BTreeSet::new(),
            paused_until: 0,
            side: 0,
            reaches_store: true,
            draining: false,
        })
    }

    fn is_life(&self, node: usize, life: u64) -> bool {
        self.nodes.get(node).is_some_and(|node| node.identity.incarnation == life)
    }

    /// Who sleeps gets its messages when it wakes.
    fn sleeps(&self, node: usize) -> Option<Micros> {
        let until = self.nodes.get(node)?.paused_until;
        until.checked_sub(self.world.now()).filter(|rest| *rest > 0)
    }

    fn take(&mut self, message: Message) -> Result<(), SimError> {
        let to = match &message {
            Message::Step { node, .. } | Message::Answer { node, .. } | Message::Finished { node, .. } => {
                Some(*node)
            }
            Message::Heartbeat { to, .. } | Message::Ask { to, .. } | Message::Told { to, .. } => Some(*to),
            Message::Create { .. } | Message::Disturb => None,
        };
        if let Some(rest) = to.and_then(|node| self.sleeps(node)) {
            self.mail.send(rest + 1, message);
            return Ok(());
        }
        match message {
            Message::Step { node, life } if self.is_life(node, life) => self.step(node),
            Message::Answer { node, life, event } if self.is_life(node, life) => self.lease(node, event),
            Message::Finished { node, life, task } if self.is_life(node, life) => self.finished(node, task),
            Message::Step { .. } | Message::Answer { .. } | Message::Finished { .. } => {}
            Message::Heartbeat { to, from, heartbeat, draining } => {
                if self.nodes.iter().all(|node| node.identity != from) {
                    self.world.trace(format_args!("n{to} hears {from}, of an earlier life"));
                }
                if let Some(node) = self.nodes.get_mut(to) {
                    let heard = node.heard.entry(from).or_insert((heartbeat, draining));
                    if heard.0 <= heartbeat {
                        *heard = (heartbeat, draining);
                    }
                }
            }
            Message::Create { node, life, lease, is_lost } => self.create(node, life, lease, is_lost),
            Message::Ask { to, from, epoch, tasks } => self.asked(to, from, epoch, tasks.as_ref()),
            Message::Told { to, epoch, from, running } => self.told(to, epoch, from, running),
            Message::Disturb => self.disturb()?,
        }
        Ok(())
    }

    fn disturb(&mut self) -> Result<(), SimError> {
        if !self.has_faults {
            return Ok(());
        }
        let chosen = self.world.below(self.nodes.len());
        let fault = self.world.below(5);
        self.world.trace(format_args!("n{chosen} {}", DISTURBANCES.get(fault).unwrap_or(&"")));
        if fault == 0 {
            let fresh = self.fresh(chosen)?;
            let life = fresh.identity.incarnation;
            if let Some(node) = self.nodes.get_mut(chosen) {
                *node = fresh;
            }
            self.mail.send(self.world.micros(100_000, 3_000_000), Message::Step { node: chosen, life });
        }
        let until = self.world.now() + self.world.micros(300_000, 20_000_000);
        let (side, reaches_store, drains) =
            (self.world.draw() % 2, self.world.chance(500), self.world.chance(300));
        if let Some(node) = self.nodes.get_mut(chosen) {
            match fault {
                1 => node.paused_until = until,
                2 => node.side = side,
                3 => node.reaches_store = reaches_store,
                4 => node.draining = drains,
                _ => {}
            }
        }
        self.mail.send(self.world.micros(200_000, 4_000_000), Message::Disturb);
        Ok(())
    }

    fn heal(&mut self) {
        self.has_faults = false;
        self.lost_per_mille = 0;
        let now = self.world.now();
        for node in &mut self.nodes {
            (node.side, node.reaches_store, node.draining) = (0, true, false);
            node.paused_until = node.paused_until.min(now);
        }
    }

    /// Sends over the network, which loses some and is cut between sides.
    fn send(&mut self, from: usize, to: usize, message: Message) {
        let side = |node: usize| self.nodes.get(node).map(|node| node.side);
        if side(from) != side(to) || self.world.chance(self.lost_per_mille) {
            self.world.trace(format_args!("n{from} to n{to} is lost"));
            return;
        }
        if self.has_faults && self.world.chance(TWICE_PER_MILLE) {
            self.world.trace(format_args!("n{from} to n{to} comes twice"));
            self.mail.send(self.world.micros(1000, 400_000), message.clone());
        }
        let is_late = self.has_faults && self.world.chance(LATE_PER_MILLE);
        if is_late {
            self.world.trace(format_args!("n{from} to n{to} comes late, behind later ones"));
        }
        let takes =
            if is_late { self.world.micros(400_000, 8_000_000) } else { self.world.micros(1000, 60_000) };
        self.mail.send(takes, message);
    }

    fn step(&mut self, index: usize) {
        let life = match self.nodes.get_mut(index) {
            Some(node) => {
                node.heartbeat += 1;
                node.identity.incarnation
            }
            None => return,
        };
        for to in 0..self.nodes.len() {
            let Some(node) = self.nodes.get(index).filter(|_| to != index) else { continue };
            let (from, heartbeat, draining) = (node.identity.clone(), node.heartbeat, node.draining);
            self.send(index, to, Message::Heartbeat { to, from, heartbeat, draining });
        }
        let members = self.members(index);
        if let Some(members) = members {
            let electorate = Electorate::of(&members);
            let is_new =
                self.nodes.get(index).is_some_and(|node| node.electorate.as_ref() != Some(&electorate));
            if is_new {
                if let Some(node) = self.nodes.get_mut(index) {
                    node.electorate = Some(electorate.clone());
                }
                self.lease(index, Event::Members(electorate));
            }
            self.coordinate(index, &members);
        }
        self.lease(index, Event::Tick);
        self.mail.send(STEP, Message::Step { node: index, life });
    }

    /// Whom a node thinks to be there.
    fn members(&mut self, index: usize) -> Option<Members> {
        let now = Clock::now(&self.world);
        let node = self.nodes.get_mut(index)?;
        let heard: Vec<_> =
            node.heard.iter().map(|(who, (heartbeat, _))| (who.clone(), *heartbeat)).collect();
        node.detector.look(now, heard);
        let member = |identity: &NodeIdentity, state, draining| {
            let profile = Profile {
                address: ([127, 0, 0, 1], 1).into(),
                roles: Roles::default(),
                version: "sim".to_owned(),
                protocol: 1,
                capacity: CAPACITY,
            };
            Member { identity: identity.clone(), profile, load: 0.0, draining, state }
        };
        // Of two lives of one name the later one counts.
        let mut newest: BTreeMap<NodeName, Member> = BTreeMap::new();
        for (who, (_, draining)) in &node.heard {
            if who.name == node.identity.name {
                continue;
            }
            if let Standing::In(state) = node.detector.standing(who) {
                let known = newest.get(&who.name).map(|member| member.identity.incarnation);
                if known.is_none_or(|life| life < who.incarnation) {
                    newest.insert(who.name.clone(), member(who, state, *draining));
                }
            }
        }
        let me = member(&node.identity, MemberState::Alive, node.draining);
        Some(Members::new(node.identity.clone(), newest.into_values().chain([me])))
    }

    fn lease(&mut self, index: usize, event: Event) {
        let now = Clock::now(&self.world);
        let Some(node) = self.nodes.get_mut(index) else { return };
        let (who, life) = (node.identity.to_string(), node.identity.incarnation);
        if let Event::Read(Some(lease)) = &event {
            let epoch = lease.epoch.get();
            self.world.saw(&who, Op::Epoch { register: "lease".to_owned(), epoch });
        }
        for action in node.lease.step(event, now) {
            self.world.trace(format_args!("{who} {action:?}"));
            match action {
                Action::Activate(_) | Action::StandDown { .. } => {}
                Action::Read => self.read(index, life),
                Action::Create(lease) => {
                    let is_lost = !self.reaches_store(index);
                    let after = match is_lost && self.world.chance(500) {
                        // It comes late, or not at all.
                        true => self.world.micros(1_000_000, 20_000_000),
                        false => self.world.micros(5000, 200_000),
                    };
                    if !is_lost || self.world.chance(700) {
                        self.mail.send(after, Message::Create { node: index, life, lease, is_lost });
                    }
                    if is_lost {
                        self.mail
                            .send(3_000_000, Message::Answer { node: index, life, event: Event::Failed });
                    }
                }
            }
        }
    }

    fn reaches_store(&self, index: usize) -> bool {
        let reaches = self.nodes.get(index).is_some_and(|node| node.reaches_store);
        reaches && !(self.has_faults && self.world.chance(30))
    }

    fn read(&mut self, node: usize, life: u64) {
        let newest = self.leases.last_key_value();
        let newest = newest
            .and_then(|(epoch, holder)| Some(Lease { epoch: Epoch::new(*epoch)?, holder: holder.clone() }));
        let (after, event) = match self.reaches_store(node) {
            true => (self.world.micros(5000, 400_000), Event::Read(newest)),
            false => (3_000_000, Event::Failed),
        };
        self.mail.send(after, Message::Answer { node, life, event });
    }

    fn create(&mut self, node: usize, life: u64, lease: Lease, is_lost: bool) {
        let epoch = lease.epoch.get();
        let created = match self.leases.contains_key(&epoch) {
            true => Created::Exists,
            false => {
                self.leases.insert(epoch, lease.holder.clone());
                Created::Created
            }
        };
        self.world.trace(format_args!("lease {epoch} of {} {created:?}", lease.holder));
        if !is_lost {
            let after = self.world.micros(5000, 200_000);
            self.mail.send(after, Message::Answer { node, life, event: Event::Created(created) });
        }
    }
}
