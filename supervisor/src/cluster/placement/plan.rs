//! All work, placed.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use super::rendezvous::{Weight, ranking};
use crate::cluster::membership::Member;
use crate::cluster::name::NodeName;
use crate::cluster::role::{Role, Roles};

/// Most of its fair share that a node gets while others have room. Lower moves more when a node joins or leaves; higher
/// leaves some nodes idle while others work through what ranked them first.
pub const SHARE_PERCENT_MAX: u64 = 110;

/// Names a piece of work: what is placed by.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct WorkKey(Arc<str>);

impl WorkKey {
    /// Any text that stays the same while the work does, such as `pipeline/range/17`.
    pub fn new(key: impl Into<Arc<str>>) -> Self {
        Self(key.into())
    }

    /// As text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for WorkKey {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

/// A piece of work.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Work {
    /// Ledgers that exist already.
    Range(WorkKey),
    /// Ledgers as they close. Placed before all ranges.
    Live(WorkKey),
}

impl Work {
    /// What it is placed by.
    pub const fn key(&self) -> &WorkKey {
        match self {
            Self::Range(key) | Self::Live(key) => key,
        }
    }
}

/// A node that may get work.
#[derive(Clone, Debug, PartialEq)]
pub struct Candidate {
    /// Of the node.
    pub name: NodeName,
    /// What it may do.
    pub roles: Roles,
    /// Most tasks at once, in each role.
    pub capacity: u32,
    /// How busy it is with other things: 0 idle, 1 as busy as it can be.
    pub load: f32,
}

impl Candidate {
    /// `None` for a member that takes no work now.
    pub fn of(member: &Member) -> Option<Self> {
        member.takes_work().then(|| Self {
            name: member.identity.name.clone(),
            roles: member.profile.roles.clone(),
            capacity: member.profile.capacity,
            load: member.load,
        })
    }

    fn weight(&self) -> Weight {
        Weight::of(self.capacity, self.load)
    }

    fn does_all(&self) -> bool {
        STAGES.iter().all(|stage| self.roles.contains(*stage))
    }
}

/// The stages of a pipeline. The processor owns it.
const STAGES: [Role; 3] = [Role::Processor, Role::Fetcher, Role::Sink];

/// A piece of work, and who does which part of it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Task {
    /// What.
    pub work: Work,
    /// Owns the pipeline.
    pub processor: NodeName,
    /// Reads the ledgers; the processor itself unless it has not the role.
    pub fetcher: NodeName,
    /// Makes events durable; the processor itself unless it has not the role.
    pub sink: NodeName,
}

impl Task {
    /// Whether one node does it all.
    pub fn is_together(&self) -> bool {
        self.fetcher == self.processor && self.sink == self.processor
    }
}

/// Why a piece of work has no node.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum UnplacedReason {
    /// No node takes work in this role.
    NoNode(Role),
    /// All nodes with this role have as many tasks as they take.
    NoRoom(Role),
}

/// A piece of work that has no node now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unplaced {
    /// What.
    pub work: Work,
    /// Why.
    pub reason: UnplacedReason,
}

/// Who does what.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Assignment {
    /// By the node that owns the pipelines, in the order of the work.
    pub tasks: BTreeMap<NodeName, Vec<Task>>,
    /// What nobody does, in the order of the work.
    pub unplaced: Vec<Unplaced>,
}

impl Assignment {
    /// All tasks, by node.
    pub fn iter(&self) -> impl Iterator<Item = &Task> {
        self.tasks.values().flatten()
    }

    /// Tasks in which a node has a part.
    pub fn involving<'a>(&'a self, name: &'a NodeName) -> impl Iterator<Item = &'a Task> {
        self.iter().filter(move |task| [&task.processor, &task.fetcher, &task.sink].contains(&name))
    }
}

/// Places the live tail and then `ranges`, whose first are placed first: they get the nodes when there is not room for all.
/// Of two candidates with one name, or two pieces of work with one key, the first counts.
pub fn plan(
    ranges: &[WorkKey],
    live: Option<&WorkKey>,
    candidates: impl IntoIterator<Item = Candidate>,
) -> Assignment {
    let mut work: Vec<Work> = live.into_iter().cloned().map(Work::Live).collect();
    work.extend(ranges.iter().cloned().map(Work::Range));
    let mut seen = std::collections::BTreeSet::new();
    work.retain(|work| seen.insert(work.key().clone()));
    let mut nodes = BTreeMap::new();
    for candidate in candidates {
        nodes.entry(candidate.name.clone()).or_insert(candidate);
    }
    Planner { work: &work, nodes: &nodes, given: BTreeMap::new(), tasks: BTreeMap::new() }.place()
}

struct Planner<'a> {
    work: &'a [Work],
    nodes: &'a BTreeMap<NodeName, Candidate>,
    /// Tasks that a node has so far in a role.
    given: BTreeMap<(&'a NodeName, Role), u64>,
    /// By index of the work.
    tasks: BTreeMap<usize, Task>,
}

/// How full a node may become.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Fill {
    /// Up to its share.
    Share,
    /// Up to its capacity.
    Capacity,
}

impl<'a> Planner<'a> {
    /// Nodes that do all come first, and then who only processes; each up to their share, and then up to their capacity.
    /// In every pass all first choices are served before any second choice, so that what overflows from one node never
    /// displaces what ranked another first.
    fn place(mut self) -> Assignment {
        let groups: [Vec<&'a Candidate>; 2] = [true, false].map(|all| {
            let has = |node: &&Candidate| node.roles.contains(Role::Processor) && node.does_all() == all;
            self.nodes.values().filter(has).collect()
        });
        let mut left: Vec<usize> = (0..self.work.len()).collect();
        for group in &groups {
            let share = shares(group, left.len());
            let rankings = self.rankings(&left, group);
            for fill in [Fill::Share, Fill::Capacity] {
                for choice in 0..group.len() {
                    left.retain(|index| {
                        let chosen = rankings.get(index).and_then(|ranking| ranking.get(choice));
                        let Some(processor) = chosen.and_then(|name| self.nodes.get(*name)) else {
                            return true;
                        };
                        let share = share.get(&processor.name).copied().filter(|_| fill == Fill::Share);
                        !self.give(*index, processor, share)
                    });
                }
            }
        }
        let unplaced = left
            .into_iter()
            .map(|index| Unplaced { work: self.work[index].clone(), reason: self.reason() })
            .collect();
        let mut tasks: BTreeMap<NodeName, Vec<Task>> = BTreeMap::new();
        for task in std::mem::take(&mut self.tasks).into_values() {
            tasks.entry(task.processor.clone()).or_default().push(task);
        }
        Assignment { tasks, unplaced }
    }

    fn rankings(&self, left: &[usize], group: &[&'a Candidate]) -> BTreeMap<usize, Vec<&'a NodeName>> {
        let ranked = |index: &usize| {
            let candidates = group.iter().map(|node| (&node.name, node.weight()));
            (*index, ranking(self.work[*index].key().as_str().as_bytes(), candidates))
        };
        left.iter().map(ranked).collect()
    }

    /// Gives the work to a processor that has room, if there is somebody to fetch and to write.
    fn give(&mut self, index: usize, processor: &'a Candidate, share: Option<u64>) -> bool {
        if !self.has_room(processor, Role::Processor)
            || share.is_some_and(|share| self.given(processor, Role::Processor) >= share)
        {
            return false;
        }
        let Some(fetcher) = self.partner(index, processor, Role::Fetcher) else { return false };
        let Some(sink) = self.partner(index, processor, Role::Sink) else { return false };
        for (node, role) in [(processor, Role::Processor), (fetcher, Role::Fetcher), (sink, Role::Sink)] {
            *self.given.entry((&node.name, role)).or_default() += 1;
        }
        let [processor, fetcher, sink] = [processor, fetcher, sink].map(|node| node.name.clone());
        self.tasks.insert(index, Task { work: self.work[index].clone(), processor, fetcher, sink });
        true
    }

    /// Who does another stage: the processor itself if it can, else the best ranked that has room. Nodes that do all are
    /// asked last, since they have work of their own.
    fn partner(&self, index: usize, processor: &'a Candidate, role: Role) -> Option<&'a Candidate> {
        if processor.roles.contains(role) && self.has_room(processor, role) {
            return Some(processor);
        }
        let able = self.nodes.values().filter(|node| node.roles.contains(role) && self.has_room(node, role));
        let (all, some): (Vec<_>, Vec<_>) = able.partition(|node| node.does_all());
        let from = if some.is_empty() { all } else { some };
        let key = self.work[index].key().as_str().as_bytes();
        let best = super::rendezvous::owner(key, from.iter().map(|node| (&node.name, node.weight())))?;
        self.nodes.get(best)
    }

    fn given(&self, node: &'a Candidate, role: Role) -> u64 {
        self.given.get(&(&node.name, role)).copied().unwrap_or(0)
    }

    fn has_room(&self, node: &'a Candidate, role: Role) -> bool {
        self.given(node, role) < u64::from(node.capacity)
    }

    /// Why nothing more can be placed: the same for all that is left.
    fn reason(&self) -> UnplacedReason {
        let missing =
            STAGES.into_iter().find(|role| self.nodes.values().all(|node| !node.roles.contains(*role)));
        if let Some(role) = missing {
            return UnplacedReason::NoNode(role);
        }
        let has_room =
            |role| self.nodes.values().any(|node| node.roles.contains(role) && self.has_room(node, role));
        let full = STAGES.into_iter().find(|role| !has_room(*role));
        UnplacedReason::NoRoom(full.unwrap_or(Role::Processor))
    }
}

/// What each node of a group gets at most of so many tasks, while others have room.
fn shares(group: &[&Candidate], tasks: usize) -> BTreeMap<NodeName, u64> {
    let weight = |node: &&Candidate| u64::from(node.weight().tickets());
    let total: u64 = group.iter().map(weight).sum();
    let tasks = u64::try_from(tasks).unwrap_or(u64::MAX);
    let share = |node| (tasks.saturating_mul(weight(node)) * SHARE_PERCENT_MAX).div_ceil(total.max(1) * 100);
    group.iter().map(|node| (node.name.clone(), share(node))).collect()
}
