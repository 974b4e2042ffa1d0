//! Nodes that are paused, killed and cut off from each other and from the store, on a seed; and what must hold of them
//! however that goes.

use std::collections::BTreeMap;

use super::*;
use crate::random::SeededRandom;

const TRACES: u64 = 2_500;
const STEP: Duration = Duration::from_millis(200);
/// Seconds.
const FAULTS_END: u32 = 45;

/// The store in memory, and what it is asked.
#[derive(Default)]
struct Store {
    leases: BTreeMap<Epoch, NodeIdentity>,
}

impl Store {
    fn create(&mut self, lease: &Lease) -> Created {
        if self.leases.contains_key(&lease.epoch) {
            return Created::Exists;
        }
        let newest = self.leases.last_key_value().map_or(0, |(epoch, _)| epoch.get());
        assert_eq!(lease.epoch.get(), newest + 1, "an epoch was left out");
        self.leases.insert(lease.epoch, lease.holder.clone());
        Created::Created
    }

    fn newest(&self) -> Option<Lease> {
        self.leases.last_key_value().map(|(epoch, holder)| Lease { epoch: *epoch, holder: holder.clone() })
    }
}

struct Node {
    core: LeaseCore,
    /// Which side of a cut it is on.
    side: u64,
    reaches_store: bool,
    paused_until: MonotonicTime,
    /// When an answer of the store arrives.
    answer: Option<(MonotonicTime, Event)>,
    /// When another is thought to be there or gone, if it stays so: the delay of detection.
    sees: BTreeMap<usize, (bool, MonotonicTime)>,
    /// The electorate that it was told of is that of this version of the world.
    told: Option<u64>,
    draining: bool,
}

struct World {
    random: SeededRandom,
    now: MonotonicTime,
    store: Store,
    store_fails: bool,
    /// Grows when a node begins a new life, or drains.
    version: u64,
    nodes: Vec<Node>,
    /// The newest epoch that each life has been told of.
    told: BTreeMap<NodeIdentity, Epoch>,
}

fn name(index: usize, life: u64) -> NodeIdentity {
    id(&format!("n{index}.{life}"))
}

impl Node {
    fn new(index: usize, life: u64) -> Self {
        Self {
            core: LeaseCore::new(name(index, life), LeaseTimings::default()),
            side: 0,
            reaches_store: true,
            paused_until: MonotonicTime::ORIGIN,
            answer: None,
            sees: BTreeMap::new(),
            told: None,
            draining: false,
        }
    }

    fn identity(&self) -> NodeIdentity {
        self.core.identity().clone()
    }
}

impl World {
    fn new(seed: u64) -> Self {
        let mut random = SeededRandom::new(seed);
        let count = 1 + random.draw() % 5;
        let nodes = (0..count).map(|index| Node::new(usize::try_from(index).unwrap(), 1)).collect();
        Self {
            random,
            now: MonotonicTime::ORIGIN,
            store: Store::default(),
            store_fails: false,
            version: 0,
            nodes,
            told: BTreeMap::new(),
        }
    }

    fn chance(&mut self, one_in: u64) -> bool {
        self.random.draw().is_multiple_of(one_in)
    }

    fn milliseconds(&mut self, from: u64, to: u64) -> Duration {
        Duration::from_millis(from + self.random.draw() % (to - from))
    }

    fn faults(&mut self) {
        for index in 0..self.nodes.len() {
            if self.chance(150) {
                self.nodes[index].paused_until = self.now.after(self.milliseconds(300, 20_000));
            }
            if self.chance(100) {
                self.nodes[index].side = self.random.draw() % 2;
            }
            if self.chance(100) {
                self.nodes[index].reaches_store = self.chance(2);
            }
            if self.chance(400) {
                self.nodes[index].draining = self.chance(3);
                self.version += 1;
            }
            if self.chance(300) {
                let life = self.nodes[index].identity().incarnation + 1;
                self.nodes[index] = Node::new(index, life);
                self.version += 1;
            }
        }
    }

    fn heal(&mut self) {
        for node in &mut self.nodes {
            (node.side, node.reaches_store, node.draining) = (0, true, false);
            node.paused_until = node.paused_until.min(self.now);
        }
        self.version += 1;
    }

    /// Whom a node thinks to be there, if that changed: who is gone is noticed after up to 2.8 s, who is back after up to
    /// 0.8 s.
    fn electorate(&mut self, index: usize) -> Option<Electorate> {
        let mut changed = self.nodes[index].told.replace(self.version) != Some(self.version);
        for other in 0..self.nodes.len() {
            let there = self.nodes[other].side == self.nodes[index].side
                && self.nodes[other].paused_until <= self.now;
            let delay = if there { self.milliseconds(200, 800) } else { self.milliseconds(2400, 2800) };
            let (now, sees) = (self.now, &mut self.nodes[index].sees);
            let seen = sees.entry(other).or_insert((false, now));
            if seen.0 == there {
                seen.1 = now.after(delay);
            } else if now >= seen.1 {
                *seen = (there, now);
                changed = true;
            }
        }
        if !changed {
            return None;
        }
        let seen = self.nodes.iter().enumerate().filter(|(other, _)| {
            *other == index || self.nodes[index].sees.get(other).is_some_and(|(there, _)| *there)
        });
        let eligibility = |node: &Node| if node.draining { Never } else { Candidate };
        Some(Electorate::from_parts(seen.map(|(_, node)| (node.identity(), eligibility(node)))))
    }

    /// What the store makes of it, and when the node hears of that. Without a connection, it may have been done or not.
    fn ask(&mut self, index: usize, action: &Action) {
        let lost = !self.nodes[index].reaches_store || (self.store_fails && self.chance(50));
        let done = !lost || (self.nodes[index].reaches_store && self.chance(2));
        let answer = match action {
            Action::Create(lease) if done => Event::Created(self.store.create(lease)),
            Action::Read => Event::Read(self.store.newest()),
            _ => Event::Failed,
        };
        let delay = if lost { LeaseTimings::default().operation_max } else { self.milliseconds(5, 500) };
        let answer = if lost { Event::Failed } else { answer };
        let at = self.now.after(delay);
        assert!(self.nodes[index].answer.replace((at, answer)).is_none(), "two operations at once");
    }

    fn step(&mut self, index: usize) {
        if self.nodes[index].paused_until > self.now {
            return;
        }
        let electorate = self.electorate(index);
        let node = &mut self.nodes[index];
        let mut events = vec![Event::Tick];
        events.extend(electorate.map(Event::Members));
        events.extend(node.answer.take_if(|(at, _)| *at <= self.now).map(|(_, answer)| answer));
        for event in events {
            if let Event::Read(Some(lease)) = &event {
                let told = self.told.entry(self.nodes[index].identity()).or_insert(lease.epoch);
                *told = lease.epoch.max(*told);
            }
            let actions = self.nodes[index].core.step(event, self.now);
            for action in &actions {
                match action {
                    Action::Activate(_) | Action::StandDown { .. } => {}
                    Action::Read | Action::Create(_) => self.ask(index, action),
                }
            }
        }
        self.check(index);
    }

    fn check(&self, index: usize) {
        let core = &self.nodes[index].core;
        let Some(epoch) = core.active() else { return };
        let me = self.nodes[index].identity();
        assert_eq!(self.store.leases.get(&epoch), Some(&me), "active with somebody else's lease");
        assert_eq!(core.newest().map(|lease| lease.epoch), Some(epoch), "active with an old lease");
        assert!(self.told.get(&me).is_none_or(|told| *told <= epoch), "active although it saw a newer lease");
    }

    fn active(&self) -> Vec<(usize, Epoch)> {
        let active = |(index, node): (usize, &Node)| node.core.active().map(|epoch| (index, epoch));
        self.nodes.iter().enumerate().filter_map(active).collect()
    }

    /// At most one active node has seen the newest epoch.
    fn check_all(&self) {
        let newest = self.store.newest().map(|lease| lease.epoch);
        let up_to_date = self.active().into_iter().filter(|(_, epoch)| Some(*epoch) == newest).count();
        assert!(up_to_date <= 1);
    }

    fn run(&mut self, duration: Duration, faults: bool) {
        let end = self.now.after(duration);
        self.store_fails = faults;
        while self.now < end {
            if faults {
                self.faults();
            }
            for index in 0..self.nodes.len() {
                self.step(index);
            }
            self.check_all();
            self.now = self.now.after(STEP);
        }
    }
}

#[test]
fn however_nodes_fail_one_is_active_in_the_end() {
    let within = LeaseTimings::default().elected_within();
    for seed in 0..TRACES {
        let result = std::panic::catch_unwind(|| {
            let mut world = World::new(seed);
            world.run(SECOND * FAULTS_END, true);
            world.heal();
            world.run(within, false);
            let active = world.active();
            assert_eq!(active.len(), 1, "{active:?}");
            let epochs = world.store.leases.len();
            world.run(SECOND * 10, false);
            assert_eq!(world.active(), active, "it changed without need");
            assert_eq!(world.store.leases.len(), epochs, "a lease was taken without need");
        });
        assert!(result.is_ok(), "seed {seed}");
    }
}

#[test]
fn a_partition_costs_few_leases() {
    for seed in 0..50 {
        let mut world = World::new(seed);
        world.nodes = (0..4).map(|index| Node::new(index, 1)).collect();
        world.run(SECOND * 10, false);
        for (index, node) in world.nodes.iter_mut().enumerate() {
            node.side = u64::from(index >= 2);
        }
        let before = world.store.leases.len();
        world.run(SECOND * 600, false);
        let taken = world.store.leases.len() - before;
        assert!((1..=90).contains(&taken), "seed {seed}: {taken} in 600 s");
    }
}

#[test]
fn the_lease_of_a_killed_holder_is_taken_within_seconds() {
    let mut times = Vec::new();
    for seed in 0..200 {
        let mut world = World::new(seed);
        world.nodes = (0..3).map(|index| Node::new(index, 1)).collect();
        world.run(SECOND * 20, false);
        let (holder, epoch) = world.active()[0];
        let begin = world.now;
        world.nodes[holder].paused_until = begin.after(SECOND * 3600);
        while world.active().iter().all(|(_, newer)| *newer == epoch) {
            world.run(STEP, false);
        }
        times.push(world.now.since(begin));
    }
    times.sort_unstable();
    assert!(times[197] < SECOND * 5, "p99 {:?} max {:?}", times[197], times[199]);
}
