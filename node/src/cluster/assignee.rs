//! Carries out assignments: pipelines below `pipelines/<name>` become those that the coordinator wants.
//!
//! The decision is [`reconcile`], pure. It is taken anew with every assignment, so that a step that failed or is not done
//! yet is taken again with the next one.

use std::collections::BTreeMap;
use std::time::Duration;

use orrery_actors::coordinator::{Task, TaskId};
use orrery_actors::ledger::Network;
use orrery_actors::pipeline::Places;
use orrery_actors::pipeline::supervised::SupervisedPipeline;
use orrery_supervisor::{ChildSpec, NodeState, Restart, SupervisorHandle};
use tokio::sync::Mutex;

use super::message::{Assignment, Report, TaskReport};

/// The tree is read in less, unless the machine is starved.
const TREE_WITHIN: Duration = Duration::from_secs(2);

/// What is to be done about one task.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Step {
    /// Start it.
    Start(Task),
    /// End it, and forget it.
    Remove(TaskId),
}

/// From what a node has to what it is to have. A task that is to run elsewhere in part is begun anew; one that only begins
/// later than it did goes on as it is.
pub(crate) fn reconcile(has: &BTreeMap<TaskId, Task>, wanted: &[Task]) -> Vec<Step> {
    let stages = |task: &Task| (task.fetcher.clone(), task.sink.clone());
    let mut steps = Vec::new();
    for (id, task) in has {
        if wanted.iter().all(|wanted| wanted.id != *id || stages(wanted) != stages(task)) {
            steps.push(Step::Remove(*id));
        }
    }
    let new = wanted.iter().filter(|task| !has.contains_key(&task.id));
    steps.extend(new.cloned().map(Step::Start));
    steps
}

/// What keeps a node from work, for its report.
#[derive(Clone, Debug)]
pub(crate) struct Condition {
    /// Why it may do nothing at all, if so.
    pub(crate) parked: Option<String>,
    /// Tasks that parked here.
    pub(crate) parked_tasks: Vec<TaskId>,
    pub(crate) is_draining: bool,
    /// Why it serves no readers now, if so.
    pub(crate) unready: Option<String>,
}

/// Finds the nodes of a task.
type FindPlaces = Box<dyn Fn(&Task) -> Option<Places> + Send + Sync>;

/// A node's tasks.
pub(crate) struct Assignee {
    handle: SupervisorHandle,
    /// What pipelines are made from; each gets its ledgers.
    template: SupervisedPipeline,
    /// Where the stages of a task work; `None` if a node that has some is not there.
    places: FindPlaces,
    assigned: Mutex<Assigned>,
}

#[derive(Default)]
struct Assigned {
    epoch: u64,
    /// What was started, with its stages.
    tasks: BTreeMap<TaskId, Task>,
    /// What cannot be started here, and why.
    impossible: BTreeMap<TaskId, String>,
}

impl Assigned {
    /// Notes why a task cannot be started. It is tried again and again, and said once.
    fn refuse(&mut self, id: TaskId, why: &str) {
        if self.impossible.get(&id).is_none_or(|known| known != why) {
            tracing::error!(task = %id, why, "task cannot be started here");
            self.impossible.insert(id, why.to_owned());
        }
    }
}

impl Assignee {
    pub(crate) fn new(
        handle: SupervisorHandle,
        template: SupervisedPipeline,
        places: impl Fn(&Task) -> Option<Places> + Send + Sync + 'static,
    ) -> Self {
        Self { handle, template, places: Box::new(places), assigned: Mutex::default() }
    }

    /// Does what an assignment says, and tells how things are.
    ///
    /// # Errors
    ///
    /// The epoch of a newer coordinator that was heard of.
    pub(crate) async fn assign(
        &self,
        assignment: &Assignment,
        mut condition: Condition,
    ) -> Result<Report, u64> {
        // One after another: two coordinators may speak at once.
        let mut assigned = self.assigned.lock().await;
        if assignment.epoch < assigned.epoch {
            return Err(assigned.epoch);
        }
        assigned.epoch = assignment.epoch;
        let states = self.states().await;
        if let Some(states) = &states {
            // What the supervisor has forgotten may be started again.
            assigned.tasks.retain(|id, _| states.contains_key(id));
            // What runs and was not noted, because whoever started it was broken off, goes on if it is wanted, and is ended if not.
            for id in states.keys().filter(|id| !assigned.tasks.contains_key(id)).copied().collect::<Vec<_>>()
            {
                let wanted = assignment.tasks.iter().find(|task| task.id == id).cloned();
                let unknown = Task { id, from: 0, fetcher: None, sink: None };
                assigned.tasks.insert(id, wanted.unwrap_or(unknown));
            }
        }
        let wanted: &[Task] = if condition.is_draining { &[] } else { &assignment.tasks };
        // Who is parked has nothing that could be started or ended.
        let steps = if condition.parked.is_none() { reconcile(&assigned.tasks, wanted) } else { Vec::new() };
        for step in steps {
            self.perform(step, &assignment.network, &mut assigned).await;
        }
        assigned.impossible.retain(|id, _| wanted.iter().any(|task| task.id == *id));
        // As one that parked: others may be able to.
        condition.parked_tasks.extend(assigned.impossible.keys());
        Ok(report(states, condition))
    }

    /// How things are.
    pub(crate) async fn report(&self, condition: Condition) -> Report {
        report(self.states().await, condition)
    }

    /// Whether nothing is left to do here.
    pub(crate) async fn is_idle(&self) -> bool {
        self.states().await.is_some_and(|states| states.is_empty())
    }

    fn path(&self) -> [&str; 2] {
        ["pipelines", &self.template.name]
    }

    /// The tasks in the tree; `None` if it does not tell now.
    async fn states(&self) -> Option<BTreeMap<TaskId, NodeState>> {
        let tree = self.handle.tree(TREE_WITHIN).await.ok()?;
        let pipeline = tree.find(&self.path())?;
        if !pipeline.answered {
            return None;
        }
        let named = pipeline.children.iter().map(|child| (child.id.as_str().parse(), child.state));
        Some(named.filter_map(|(id, state)| Some((id.ok()?, state))).collect())
    }

    async fn perform(&self, step: Step, network: &str, assigned: &mut Assigned) {
        let [pipelines, pipeline] = self.path();
        match step {
            Step::Start(task) => {
                let (id, from) = (task.id, task.from);
                let Some(places) = (self.places)(&task) else {
                    return tracing::debug!(task = %id, "task not started yet: a node of it is not there");
                };
                let template = SupervisedPipeline { network: Network::new(network), ..self.template.clone() };
                let spec = template.for_task(&task, places).spec();
                let child = match spec {
                    Ok(spec) => ChildSpec::supervisor(spec).restart(Restart::Transient),
                    Err(error) => return assigned.refuse(id, &error.to_string()),
                };
                match self.handle.add_child(&[pipelines, pipeline], child).await {
                    Ok(()) => {
                        tracing::info!(task = %id, from, "task begins");
                        assigned.impossible.remove(&id);
                        assigned.tasks.insert(id, task);
                    }
                    // It is still on its way out; or the pipeline restarts.
                    Err(error) => tracing::debug!(%error, task = %id, "task not started yet"),
                }
            }
            Step::Remove(id) => {
                let name = id.to_string();
                match self.handle.remove_child(&[pipelines, pipeline, &name]).await {
                    Ok(()) => tracing::debug!(task = %id, "task is over here"),
                    Err(error) => tracing::debug!(%error, task = %id, "task not ended yet"),
                }
            }
        }
    }
}

fn report(states: Option<BTreeMap<TaskId, NodeState>>, condition: Condition) -> Report {
    let Condition { parked, parked_tasks, is_draining, unready } = condition;
    let tasks = states.unwrap_or_default().into_iter();
    let tasks = tasks.map(|(id, state)| TaskReport { id, state: state.as_str().to_owned() }).collect();
    Report { tasks, parked, refuses: false, parked_tasks, is_draining, unready }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn task(last: u32, from: u32, fetcher: Option<&str>) -> Task {
        Task { id: TaskId::Until(last), from, fetcher: fetcher.map(str::to_owned), sink: None }
    }

    #[test]
    fn what_is_wanted_is_started_once_and_what_is_not_is_removed() {
        let check = |has: Vec<Task>, wanted: Vec<Task>, expect: Vec<Step>| {
            let has = has.into_iter().map(|task| (task.id, task)).collect();
            assert_eq!(reconcile(&has, &wanted), expect, "{has:?} {wanted:?}");
        };
        let (first, second) = (|| task(10, 2, None), || task(20, 11, None));
        let gone = || Step::Remove(first().id);
        check(vec![], vec![first()], vec![Step::Start(first())]);
        check(vec![first()], vec![second()], vec![gone(), Step::Start(second())]);
        check(vec![first()], vec![task(10, 8, None)], vec![]);
        check(vec![first()], vec![task(10, 2, Some("b"))], vec![gone()]);
        check(vec![first()], vec![], vec![gone()]);
    }
}
