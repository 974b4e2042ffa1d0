//! Who is to do what: a coordinator's term, and what nodes make of what they are told.

use std::collections::BTreeSet;

use orrery_actors::coordinator::{CoordinatorCore, Hearing, LedgerSpan, TaskId, View, Worker};
use orrery_schemas::LedgerSequence;
use orrery_supervisor::Clock;
use orrery_supervisor::cluster::NodeName;
use orrery_supervisor::cluster::lease::Epoch;
use orrery_supervisor::cluster::membership::{Member, Members};

use super::{AHEAD, CAPACITY, Cluster, Message, SPANS};
use crate::history::Op;

/// What a node holds while it coordinates.
pub(super) struct Term {
    epoch: Epoch,
    core: CoordinatorCore,
    hearing: Hearing<BTreeSet<TaskId>>,
    /// Whom it has asked, and who has not answered yet.
    asked: BTreeSet<NodeName>,
}

impl Term {
    fn worker(&self, member: &Member) -> Worker {
        let name = &member.identity.name;
        Worker {
            name: name.clone(),
            fetches: true,
            processes: true,
            writes: true,
            capacity: member.profile.capacity,
            load: 0.0,
            is_ready: self.hearing.answers(name) && !member.draining,
            answered: self.hearing.has_answered(name),
            takes_more: member.takes_work(),
            running: self.hearing.of(name).cloned().unwrap_or_default(),
            parked: BTreeSet::new(),
        }
    }
}

impl Cluster {
    /// An active node asks who has said nothing yet, and gives out what is due once it has heard enough.
    pub(super) fn coordinate(&mut self, index: usize, members: &Members) {
        let now = Clock::now(&self.world);
        let Some(node) = self.nodes.get_mut(index) else { return };
        let Some(epoch) = node.lease.active() else {
            node.term = None;
            return;
        };
        let (who, me) = (node.identity.to_string(), node.identity.name.clone());
        let mut term = match node.term.take().filter(|term| term.epoch == epoch) {
            Some(term) => term,
            None => Term {
                epoch,
                core: CoordinatorCore::default(),
                hearing: Hearing::new(now, epoch == Epoch::FIRST),
                asked: BTreeSet::new(),
            },
        };
        term.hearing.note(me, node.running.clone());
        for name in std::mem::take(&mut term.asked) {
            term.hearing.note_silence(&name);
        }
        if term.hearing.is_enough(members, now) {
            self.world.saw(&who, Op::Acts { register: "lease".to_owned(), epoch: epoch.get() });
            self.assign(index, &mut term, members);
            term.hearing.keep(&members.iter().map(|member| member.identity.name.clone()).collect());
        } else {
            for name in term.hearing.unheard(members) {
                self.ask(index, &mut term, &name, None);
            }
        }
        if let Some(node) = self.nodes.get_mut(index) {
            node.term = Some(term);
        }
    }

    fn assign(&mut self, index: usize, term: &mut Term, members: &Members) {
        let span = |span: u32| LedgerSpan {
            from: LedgerSequence((span - 1) * 1024 + 2),
            to: Some(LedgerSequence(span)),
        };
        let spans = (1..=SPANS).filter(|span| !self.done.contains(span)).take(AHEAD).map(span).collect();
        let workers = members.iter().map(|member| term.worker(member)).collect();
        for (name, tasks) in term.core.plan(&View { spans, workers }) {
            let tasks: BTreeSet<TaskId> = tasks.iter().map(|task| task.id).collect();
            let (value, max) = (tasks.len() as u64, u64::from(CAPACITY));
            if value > max {
                let name = format!("tasks of {name}");
                self.world.saw("coordinator", Op::Gauge { name, value, max });
            }
            let given = term.hearing.has_heard(&name).then_some(tasks);
            self.ask(index, term, &name, given);
        }
    }

    fn ask(&mut self, index: usize, term: &mut Term, name: &NodeName, tasks: Option<BTreeSet<TaskId>>) {
        let Some(to) = self.nodes.iter().position(|node| node.identity.name == *name) else { return };
        if to == index {
            if let Some(tasks) = &tasks {
                self.assigned(index, term.epoch, tasks);
            }
            return;
        }
        term.asked.insert(name.clone());
        self.send(index, to, Message::Ask { to, from: index, epoch: term.epoch, tasks });
    }

    /// A node answers with what it has, behind what it was told; it tells nothing to a coordinator that it does not obey.
    pub(super) fn asked(
        &mut self,
        index: usize,
        from: usize,
        epoch: Epoch,
        tasks: Option<&BTreeSet<TaskId>>,
    ) {
        if tasks.is_some_and(|tasks| !self.assigned(index, epoch, tasks)) {
            return;
        }
        let Some(node) = self.nodes.get(index) else { return };
        let (name, running) = (node.identity.name.clone(), node.running.clone());
        self.send(index, from, Message::Told { to: from, epoch, from: name, running });
    }

    pub(super) fn told(&mut self, index: usize, epoch: Epoch, from: NodeName, running: BTreeSet<TaskId>) {
        let term = self.nodes.get_mut(index).and_then(|node| node.term.as_mut());
        if let Some(term) = term.filter(|term| term.epoch == epoch) {
            term.asked.remove(&from);
            term.hearing.note(from, running);
        }
    }

    /// A node takes the orders of the newest epoch that it knows. Whether it has taken these.
    fn assigned(&mut self, index: usize, epoch: Epoch, tasks: &BTreeSet<TaskId>) -> bool {
        let Some(node) = self.nodes.get_mut(index) else { return false };
        if node.obeys.is_some_and(|newest| epoch < newest) {
            self.world.trace(format_args!(
                "{} refuses orders of an earlier epoch, {}",
                node.identity,
                epoch.get()
            ));
            return false;
        }
        node.obeys = Some(epoch);
        let life = node.identity.incarnation;
        node.running.retain(|task| tasks.contains(task));
        for task in tasks {
            if node.running.insert(*task) {
                let takes = self.world.micros(500_000, 6_000_000);
                self.mail.send(takes, Message::Finished { node: index, life, task: *task });
            }
        }
        true
    }

    /// What is done is in the dataset, which all see; only what is still assigned is done.
    pub(super) fn finished(&mut self, index: usize, task: TaskId) {
        let Some(node) = self.nodes.get_mut(index) else { return };
        if !node.running.remove(&task) {
            return;
        }
        let TaskId::Until(span) = task else { return };
        self.world.trace(format_args!("{} has done {task}", node.identity));
        self.done.insert(span);
        if self.done.len() == SPANS as usize {
            self.world.saw("nemesis", Op::Done { subject: "all spans".to_owned() });
        }
    }
}
