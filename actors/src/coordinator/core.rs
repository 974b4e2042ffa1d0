//! The decision: `plan(view) -> tasks of each node`.
//!
//! - A task stays with its node while that node is there and ready: only new tasks, and those of nodes that went, are given
//!   out. So a node that joins gets what comes next, and nothing is moved for balance alone.
//! - A new task goes to the node with the highest hash of both names that has room: whoever coordinates, the choice is the
//!   same.
//! - A task that a ledger parked goes to a node that it has not parked on: its sources may be better. What has parked on
//!   all of them stays where it is, and waits for a person.
//! - A task that its node does not begin is taken back and goes to others, and the node gets nothing new for a while: all
//!   later ledgers would wait for it.
//! - What a coordinator remembers is a convenience. A new one learns from the nodes' reports what they are at.
//! - No node is given more than its capacity, whatever it reports: what it has beside that goes to others.

use std::collections::{BTreeMap, BTreeSet};

use orrery_supervisor::cluster::NodeName;
use orrery_supervisor::cluster::placement::{Weight, ranking};
use orrery_supervisor::cluster::role::Role;

use super::{LedgerSpan, Task, TaskId};

/// Rounds in which a node answers and does not list a task that it was given, after which it goes to others. A supervisor
/// that restarts lists none for some seconds.
const BEGINS_WITHIN_ROUNDS: u32 = 50;

/// Rounds for which such a node gets nothing new, if others can: its settings will hardly change sooner.
const PASSED_OVER_ROUNDS: u32 = 300;

/// A node as the coordinator sees it.
#[derive(Clone, Debug, PartialEq)]
pub struct Worker {
    /// Its name.
    pub name: NodeName,
    /// It may fetch ledgers.
    pub fetches: bool,
    /// It may derive events.
    pub processes: bool,
    /// It may write the dataset.
    pub writes: bool,
    /// Tasks at once.
    pub capacity: u32,
    /// How busy it is: 0 idle, 1 as busy as it can be.
    pub load: f32,
    /// It answers, is not drained, not parked: it keeps the tasks that it has.
    pub is_ready: bool,
    /// It has answered in the round before: what it says that it has is what it has.
    pub answered: bool,
    /// It is not suspected: it may get new ones.
    pub takes_more: bool,
    /// Tasks that it says it has.
    pub running: BTreeSet<TaskId>,
    /// Tasks that a ledger parked there, until somebody resumes them.
    pub parked: BTreeSet<TaskId>,
}

/// All that a decision depends on.
#[derive(Clone, Debug, PartialEq)]
pub struct View {
    /// The spans that are due, in order.
    pub spans: Vec<LedgerSpan>,
    /// Who is there.
    pub workers: Vec<Worker>,
}

/// Tasks by node; nodes without any are in it too, so that they end what they have.
pub type Plan = BTreeMap<NodeName, Vec<Task>>;

/// What is remembered between decisions.
#[derive(Clone, Debug, Default)]
pub struct CoordinatorCore {
    /// Who has what.
    owners: BTreeMap<TaskId, Owner>,
    /// Rounds for which the owner of a task has not begun it.
    unbegun: BTreeMap<TaskId, u32>,
    /// Who has not begun something, and rounds for which it gets nothing new.
    passed_over: BTreeMap<NodeName, u32>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Owner {
    node: NodeName,
    fetcher: Option<NodeName>,
    sink: Option<NodeName>,
}

/// Roles that a task needs and that nobody who is ready has: nothing can be given out while there is one.
pub fn missing_roles(workers: &[Worker]) -> Vec<Role> {
    let has = |may: fn(&Worker) -> bool| workers.iter().any(|worker| worker.is_ready && may(worker));
    let needed = [
        (Role::Fetcher, has(|worker| worker.fetches)),
        (Role::Processor, has(|worker| worker.processes)),
        (Role::Sink, has(|worker| worker.writes)),
    ];
    needed.into_iter().filter(|(_, is_there)| !is_there).map(|(role, _)| role).collect()
}

impl CoordinatorCore {
    /// Decides.
    pub fn plan(&mut self, view: &View) -> Plan {
        let due: BTreeSet<TaskId> = view.spans.iter().map(LedgerSpan::id).collect();
        let ready: BTreeMap<&NodeName, &Worker> = view
            .workers
            .iter()
            .filter(|worker| worker.is_ready)
            .map(|worker| (&worker.name, worker))
            .collect();
        self.owners.retain(|id, owner| {
            due.contains(id) && owner.is_fit(&ready) && !is_given_away(&owner.node, id, &ready)
        });
        self.take_back(&ready);
        for worker in ready.values() {
            for id in worker.running.intersection(&due) {
                if self.owners.contains_key(id)
                    || is_given_away(&worker.name, id, &ready)
                    || !self.has_room(worker)
                {
                    continue;
                }
                if let Some(owner) = choose_stages(worker, id, &ready) {
                    self.owners.insert(*id, owner);
                }
            }
        }
        for span in &view.spans {
            let id = span.id();
            if self.owners.contains_key(&id) {
                continue;
            }
            if let Some(owner) = self.choose(&id, &ready) {
                self.owners.insert(id, owner);
            }
        }
        self.give_the_first(view, &ready);
        self.tasks(view)
    }

    /// Nodes that did not begin what they were given, and get nothing new for a while.
    pub fn passed_over(&self) -> impl Iterator<Item = &NodeName> {
        self.passed_over.keys()
    }

    /// Takes tasks from those who do not begin them, if others can.
    fn take_back(&mut self, ready: &BTreeMap<&NodeName, &Worker>) {
        self.passed_over.retain(|node, rounds| {
            *rounds -= 1;
            *rounds > 0 && ready.contains_key(node)
        });
        let (owners, passed_over) = (&mut self.owners, &mut self.passed_over);
        self.unbegun.retain(|id, _| owners.contains_key(id));
        owners.retain(|id, owner| {
            let Some(worker) = ready.get(&owner.node) else { return true };
            if worker.running.contains(id) {
                self.unbegun.remove(id);
                return true;
            }
            let rounds = self.unbegun.entry(*id).or_default();
            *rounds = rounds.saturating_add(worker.answered.into());
            let can = |other: &&Worker| {
                other.name != owner.node
                    && other.processes
                    && other.takes_more
                    && !passed_over.contains_key(&other.name)
            };
            let stays = *rounds <= BEGINS_WITHIN_ROUNDS || !ready.values().copied().any(|other| can(&other));
            if !stays {
                self.unbegun.remove(id);
                passed_over.insert(owner.node.clone(), PASSED_OVER_ROUNDS);
            }
            stays
        });
    }

    /// All others wait for the first span: if nobody has room for it, whoever has the last one does it instead.
    fn give_the_first(&mut self, view: &View, ready: &BTreeMap<&NodeName, &Worker>) {
        let Some(first) = view.spans.first().map(LedgerSpan::id) else { return };
        if self.owners.contains_key(&first) {
            return;
        }
        for id in view.spans.iter().rev().map(LedgerSpan::id) {
            let worker = self.owners.get(&id).and_then(|owner| ready.get(&owner.node).copied());
            let may = |worker: &&Worker| {
                !is_given_away(&worker.name, &first, ready) && !self.passed_over.contains_key(&worker.name)
            };
            let worker = worker.filter(may);
            if let Some(owner) = worker.and_then(|worker| choose_stages(worker, &first, ready)) {
                self.owners.remove(&id);
                self.owners.insert(first, owner);
                return;
            }
        }
    }

    fn has_room(&self, worker: &Worker) -> bool {
        let count = self.owners.values().filter(|owner| owner.node == worker.name).count();
        count < worker.capacity as usize
    }

    fn choose(&self, id: &TaskId, ready: &BTreeMap<&NodeName, &Worker>) -> Option<Owner> {
        let able = ready.values().copied().filter(|worker| {
            worker.processes && self.has_room(worker) && !is_given_away(&worker.name, id, ready)
        });
        let mut ranked = rank(&id.to_string(), able);
        // Others, if there are any at all.
        let begins = |worker: &&Worker| !self.passed_over.contains_key(&worker.name);
        if ready.values().any(|worker| worker.processes && worker.takes_more && begins(worker)) {
            ranked.retain(begins);
        }
        // One that does all stages itself moves no batches over the network. The sort is stable.
        ranked.sort_by_key(|worker| !(worker.fetches && worker.writes));
        ranked.into_iter().find_map(|worker| choose_stages(worker, id, ready))
    }

    fn tasks(&self, view: &View) -> Plan {
        let mut plan: Plan = view.workers.iter().map(|worker| (worker.name.clone(), Vec::new())).collect();
        for span in &view.spans {
            let id = span.id();
            let Some(owner) = self.owners.get(&id) else { continue };
            let Owner { node, fetcher, sink } = owner.clone();
            let named = |node: NodeName| node.as_str().to_owned();
            let task = Task { id, from: span.from.0, fetcher: fetcher.map(named), sink: sink.map(named) };
            plan.entry(node).or_default().push(task);
        }
        plan
    }
}

impl Owner {
    /// Everybody who takes part is still there and may.
    fn is_fit(&self, ready: &BTreeMap<&NodeName, &Worker>) -> bool {
        let is = |name: &Option<NodeName>, may: fn(&Worker) -> bool| {
            let name = name.as_ref().unwrap_or(&self.node);
            ready.get(name).is_some_and(|worker| may(worker))
        };
        is(&None, |worker| worker.processes)
            && is(&self.fetcher, |worker| worker.fetches)
            && is(&self.sink, |worker| worker.writes)
    }
}

/// Whether a task has parked on a node, and others could still do it.
fn is_given_away(node: &NodeName, id: &TaskId, ready: &BTreeMap<&NodeName, &Worker>) -> bool {
    let has_parked = ready.get(node).is_some_and(|worker| worker.parked.contains(id));
    let can = |other: &&Worker| other.processes && other.takes_more && !other.parked.contains(id);
    has_parked && ready.values().any(can)
}

/// Who fetches and who writes for a node that processes: itself if it may.
fn choose_stages(worker: &Worker, id: &TaskId, ready: &BTreeMap<&NodeName, &Worker>) -> Option<Owner> {
    let best = |stage: &str, may: fn(&Worker) -> bool| {
        let able = ready.values().copied().filter(|worker| may(worker));
        rank(&format!("{id}/{stage}"), able).first().map(|worker| worker.name.clone())
    };
    let fetcher = if worker.fetches { None } else { Some(best("fetcher", |worker| worker.fetches)?) };
    let sink = if worker.writes { None } else { Some(best("sink", |worker| worker.writes)?) };
    worker.processes.then(|| Owner { node: worker.name.clone(), fetcher, sink })
}

/// Those of `workers` that may get more, in the order in which a key belongs to them.
fn rank<'a>(key: &str, workers: impl Iterator<Item = &'a Worker>) -> Vec<&'a Worker> {
    let by_name: BTreeMap<&NodeName, &Worker> =
        workers.filter(|worker| worker.takes_more).map(|worker| (&worker.name, worker)).collect();
    let weighted = by_name.iter().map(|(name, worker)| (*name, Weight::of(worker.capacity, worker.load)));
    ranking(key.as_bytes(), weighted).into_iter().filter_map(|name| by_name.get(name).copied()).collect()
}

#[cfg(test)]
mod tests {
    use orrery_schemas::LedgerSequence;
    use proptest::prelude::*;

    use super::*;

    fn worker(name: &str, roles: &str) -> Worker {
        Worker {
            name: name.parse().unwrap(),
            fetches: roles.contains('f'),
            processes: roles.contains('p'),
            writes: roles.contains('s'),
            capacity: 2,
            load: 0.0,
            is_ready: true,
            answered: true,
            takes_more: true,
            running: BTreeSet::new(),
            parked: BTreeSet::new(),
        }
    }

    fn spans(ends: &[u32]) -> Vec<LedgerSpan> {
        let span = |end: &u32| LedgerSpan { from: LedgerSequence(end - 9), to: Some(LedgerSequence(*end)) };
        ends.iter().map(span).collect()
    }

    fn owners(plan: &Plan) -> BTreeMap<TaskId, String> {
        plan.iter()
            .flat_map(|(node, tasks)| tasks.iter().map(|task| (task.id, node.as_str().to_owned())))
            .collect()
    }

    #[test]
    fn a_task_stays_where_it_is_until_its_node_goes() {
        let mut core = CoordinatorCore::default();
        let mut view =
            View { spans: spans(&[10, 20, 30]), workers: vec![worker("a", "fps"), worker("b", "fps")] };
        let before = owners(&core.plan(&view));
        assert_eq!(before.len(), 3);
        view.workers.push(worker("c", "fps"));
        assert_eq!(owners(&core.plan(&view)), before, "nothing moves for a newcomer");
        view.workers.remove(0);
        let after = owners(&core.plan(&view));
        assert!(before.iter().all(|(id, node)| node == "a" || after[id] == *node), "{before:?} {after:?}");
        assert!(after.values().all(|node| node != "a") && after.len() == 3, "{after:?}");
    }

    /// Whoever has later ledgers waits for the first ones, which must not wait for whoever has later ones.
    #[test]
    fn the_first_span_is_done_though_all_are_full() {
        let mut core = CoordinatorCore::default();
        let workers = vec![worker("a", "fps"), worker("b", "fps")];
        let mut view = View { spans: spans(&[10, 20, 30, 40]), workers };
        let before = owners(&core.plan(&view));
        assert_eq!(before.len(), 4);
        let gone = before[&TaskId::Until(10)].clone();
        view.workers.retain(|worker| worker.name.as_str() != gone);
        let after = owners(&core.plan(&view));
        assert!(after.contains_key(&TaskId::Until(10)) && after.len() == 2, "{before:?} {after:?}");
        assert!(after.values().all(|node| *node != gone), "{after:?}");
    }

    #[test]
    fn a_task_that_parked_goes_to_others_until_it_has_parked_everywhere() {
        let (first, mut core) = (TaskId::Until(10), CoordinatorCore::default());
        let workers = vec![worker("a", "fps"), worker("b", "fps"), worker("c", "fs")];
        let mut view = View { spans: spans(&[10, 20, 30, 40]), workers };
        let mut tried = BTreeSet::new();
        for _ in 0..2 {
            let owner = owners(&core.plan(&view))[&first].clone();
            let parked = view.workers.iter_mut().find(|worker| worker.name.as_str() == owner).unwrap();
            parked.running.insert(first);
            parked.parked.insert(first);
            tried.insert(owner);
        }
        assert_eq!(tried, ["a", "b"].map(str::to_owned).into());
        let last = owners(&core.plan(&view));
        assert!(tried.contains(&last[&first]), "it stays where a person finds it");
        assert_eq!(owners(&core.plan(&view)), last);
    }

    /// Plans so often, with nobody ever saying that a task has begun.
    fn plan_often(core: &mut CoordinatorCore, view: &View, rounds: u32) -> BTreeMap<TaskId, String> {
        (0..rounds).fold(BTreeMap::new(), |_, _| owners(&core.plan(view)))
    }

    #[test]
    fn what_a_node_does_not_begin_is_given_to_others() {
        let (first, mut core) = (TaskId::Until(10), CoordinatorCore::default());
        let mut view = View { spans: spans(&[10]), workers: vec![worker("a", "fps"), worker("b", "fps")] };
        let idle = plan_often(&mut core, &view, BEGINS_WITHIN_ROUNDS + 1)[&first].clone();
        let other = if idle == "a" { "b" } else { "a" };
        let of = |view: &mut View, name: &str, change: fn(&mut Worker)| {
            change(view.workers.iter_mut().find(|worker| worker.name.as_str() == name).unwrap());
        };
        of(&mut view, &idle, |worker| worker.answered = false);
        let silent = plan_often(&mut core, &view, BEGINS_WITHIN_ROUNDS);
        assert_eq!(silent[&first], idle, "who says nothing may have begun");
        of(&mut view, &idle, |worker| worker.answered = true);
        assert_eq!(owners(&core.plan(&view))[&first], other);
        assert_eq!(core.passed_over().map(NodeName::as_str).collect::<Vec<_>>(), [idle.as_str()]);
        of(&mut view, other, |worker| worker.running.extend([TaskId::Until(10)]));
        view.spans = spans(&[10, 20]);
        let later = plan_often(&mut core, &view, PASSED_OVER_ROUNDS / 2);
        assert_eq!(later.into_values().collect::<BTreeSet<_>>(), [other.to_owned()].into());
    }

    #[test]
    fn what_the_only_node_does_not_begin_stays_with_it() {
        let mut core = CoordinatorCore::default();
        let view = View { spans: spans(&[10]), workers: vec![worker("a", "fps"), worker("b", "fs")] };
        let kept = plan_often(&mut core, &view, 2 * BEGINS_WITHIN_ROUNDS);
        assert_eq!(kept[&TaskId::Until(10)], "a");
        assert_eq!(core.passed_over().count(), 0);
    }

    #[test]
    fn a_new_coordinator_leaves_tasks_where_they_run() {
        let mut workers = vec![worker("a", "fps"), worker("b", "fps"), worker("c", "fps")];
        let spans = spans(&[10, 20, 30, 40, 50, 60]);
        for (worker, ids) in workers.iter_mut().zip([[10, 20], [30, 40], [50, 60]]) {
            worker.running = ids.map(TaskId::Until).into();
        }
        let plan = CoordinatorCore::default().plan(&View { spans, workers });
        let ids =
            |node: &str| plan[&node.parse().unwrap()].iter().map(|task| task.from + 9).collect::<Vec<_>>();
        assert_eq!((ids("a"), ids("b"), ids("c")), (vec![10, 20], vec![30, 40], vec![50, 60]));
    }

    /// It may be heard of what it was given by another coordinator only after it has been given more.
    #[test]
    fn a_node_is_given_no_more_than_its_capacity_whatever_it_says_it_has() {
        let mut core = CoordinatorCore::default();
        let mut view = View { spans: spans(&[10, 20, 30, 40]), workers: vec![worker("a", "fps")] };
        assert_eq!(owners(&core.plan(&view)).into_keys().collect::<Vec<_>>(), [10, 20].map(TaskId::Until));
        view.workers[0].running = [10, 30, 40].map(TaskId::Until).into();
        assert_eq!(owners(&core.plan(&view)).into_keys().collect::<Vec<_>>(), [10, 20].map(TaskId::Until));
        // What is due first is kept by a coordinator that knows of nothing else.
        view.workers[0].running = [20, 30, 40].map(TaskId::Until).into();
        let plan = CoordinatorCore::default().plan(&view);
        assert_eq!(owners(&plan).into_keys().collect::<Vec<_>>(), [10, 20].map(TaskId::Until));
        view.workers.push(worker("b", "fps"));
        let plan = owners(&CoordinatorCore::default().plan(&view));
        let of = |node: &str| {
            plan.iter().filter(|(_, owner)| *owner == node).map(|(id, _)| *id).collect::<Vec<_>>()
        };
        assert_eq!(
            (of("a"), of("b")),
            ([20, 30].map(TaskId::Until).into(), [10, 40].map(TaskId::Until).into())
        );
    }

    #[test]
    fn stages_are_together_unless_roles_are_apart() {
        let check = |workers: &[(&str, &str)], expect: Option<(&str, Option<&str>, Option<&str>)>| {
            let workers: Vec<_> = workers.iter().map(|(name, roles)| worker(name, roles)).collect();
            let plan = CoordinatorCore::default().plan(&View { spans: spans(&[10]), workers });
            let task = plan.iter().find_map(|(node, tasks)| Some((node.clone(), tasks.first()?.clone())));
            let found = task
                .as_ref()
                .map(|(node, task)| (node.as_str(), task.fetcher.as_deref(), task.sink.as_deref()));
            assert_eq!(found, expect);
        };
        check(&[("a", "fps")], Some(("a", None, None)));
        check(&[("a", "f"), ("b", "p"), ("c", "s")], Some(("b", Some("a"), Some("c"))));
        check(&[("a", "p"), ("b", "fps"), ("c", "s")], Some(("b", None, None)));
        check(&[("a", "fp"), ("c", "s")], Some(("a", None, Some("c"))));
        check(&[("a", "fp")], None);
        check(&[], None);
    }

    #[test]
    fn a_role_that_nobody_ready_has_is_named() {
        let check = |workers: &[(&str, bool)], expect: &[Role]| {
            let of = |(roles, is_ready): &(&str, bool)| Worker { is_ready: *is_ready, ..worker("a", roles) };
            let workers: Vec<_> = workers.iter().map(of).collect();
            assert_eq!(missing_roles(&workers), expect, "{workers:?}");
        };
        check(&[("fp", true), ("s", true)], &[]);
        check(&[("", true), ("p", true)], &[Role::Fetcher, Role::Sink]);
        check(&[("fps", false), ("fs", true)], &[Role::Processor]);
        check(&[], &[Role::Fetcher, Role::Processor, Role::Sink]);
    }

    proptest! {
        #[test]
        fn plans_are_within_bounds_and_depend_on_no_order(
            kinds in prop::collection::vec((0_u8..8, any::<bool>()), 0..7),
            ends in prop::collection::btree_set(1_u32..50, 0..12),
            seed in any::<u64>(),
        ) {
            let worker = |(index, (kind, is_ready)): (usize, &(u8, bool))| {
                let roles: String = ["f", "p", "s"].iter().enumerate().filter(|(bit, _)| kind >> bit & 1 == 1).map(|(_, role)| *role).collect();
                Worker { is_ready: *is_ready, ..worker(&format!("n{index}"), &roles) }
            };
            let workers: Vec<Worker> = kinds.iter().enumerate().map(worker).collect();
            let ends: Vec<u32> = ends.iter().map(|end| end * 10).collect();
            let view = View { spans: spans(&ends), workers: workers.clone() };
            let plan = CoordinatorCore::default().plan(&view);
            let mut turned = view.clone();
            let turn = usize::try_from(seed).unwrap_or(0) % workers.len().max(1);
            turned.workers.rotate_left(turn);
            prop_assert_eq!(&CoordinatorCore::default().plan(&turned), &plan);
            let find = |name: &str| workers.iter().find(|worker| worker.name.as_str() == name).unwrap();
            for (node, tasks) in &plan {
                let node = &node.as_str().to_owned();
                prop_assert!(tasks.len() <= 2);
                for task in tasks {
                    prop_assert!(find(node).is_ready && find(node).processes);
                    let fetcher = find(task.fetcher.as_ref().unwrap_or(node));
                    let sink = find(task.sink.as_ref().unwrap_or(node));
                    prop_assert!(fetcher.is_ready && fetcher.fetches && sink.is_ready && sink.writes);
                }
            }
            let ready = |may: fn(&Worker) -> bool| workers.iter().filter(|worker| worker.is_ready && may(worker)).count();
            let (fetchers, processors, sinks) = (ready(|it| it.fetches), ready(|it| it.processes), ready(|it| it.writes));
            let given = owners(&plan).len();
            let expect = if fetchers == 0 || sinks == 0 { 0 } else { ends.len().min(2 * processors) };
            prop_assert_eq!(given, expect);
            // Those that are due first are given first.
            let first: BTreeSet<_> = ends.iter().take(given).map(|end| TaskId::Until(*end)).collect();
            prop_assert_eq!(owners(&plan).into_keys().collect::<BTreeSet<_>>(), first);
        }
    }
}
