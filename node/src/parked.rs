//! What of a node's pipeline is parked, and why: the pipeline as a whole, or tasks of it, that others may do.

use std::collections::BTreeMap;
use std::sync::Arc;

use orrery_actors::checkpoint::{NodeState, RestartRecord, name_of_task, task_of};
use orrery_actors::coordinator::TaskId;
use orrery_supervisor::{ExitReason, Observer, Outcome, RestartReport};
use tokio::sync::watch;

use crate::telemetry;

/// Reasons by name: that of the pipeline, or `<pipeline>/<task>`.
pub(crate) type Reasons = BTreeMap<String, String>;

/// What supervisors and operators say about it; `/readyz` reads it.
pub(crate) struct Parked {
    pipeline: String,
    reasons: watch::Sender<Reasons>,
    /// Every ledger that is wanted is durable.
    has_ended: watch::Sender<bool>,
}

impl Parked {
    /// Of a node that begins, with what its state says.
    pub(crate) fn new(pipeline: &str, noted: Reasons, reasons: watch::Sender<Reasons>) -> Self {
        let parked = Self { pipeline: pipeline.to_owned(), reasons, has_ended: watch::Sender::new(false) };
        let is_ours = |name: &String| name == pipeline || task_of(name, pipeline).is_some();
        parked.replace(noted.into_iter().filter(|(name, _)| is_ours(name)).collect());
        parked
    }

    /// Notes all that is; gives what was noted before.
    pub(crate) fn replace(&self, reasons: Reasons) -> Reasons {
        telemetry::set_parked(&self.pipeline, !reasons.is_empty());
        self.reasons.send_replace(reasons)
    }

    /// Notes that the pipeline, or a task by its full name, is parked.
    pub(crate) fn add(&self, name: String, reason: String) {
        telemetry::set_parked(&self.pipeline, true);
        self.reasons.send_modify(|reasons| drop(reasons.insert(name, reason)));
    }

    /// Notes that of the tasks only those are that `is_left`.
    pub(crate) fn keep_tasks(&self, is_left: impl Fn(TaskId) -> bool) {
        let task = |name: &str| task_of(name, &self.pipeline).and_then(|task| task.parse().ok());
        self.reasons.send_if_modified(|reasons| {
            let before = reasons.len();
            reasons.retain(|name, _| task(name).is_none_or(&is_left));
            telemetry::set_parked(&self.pipeline, !reasons.is_empty());
            reasons.len() != before
        });
    }

    /// Why the pipeline as a whole is parked, if it is.
    pub(crate) fn reason(&self) -> Option<String> {
        self.reasons.borrow().get(&self.pipeline).cloned()
    }

    /// Tasks of it that are.
    pub(crate) fn tasks(&self) -> BTreeMap<TaskId, String> {
        let reasons = self.reasons.borrow();
        let task = |(name, reason): (&String, &String)| {
            Some((task_of(name, &self.pipeline)?.parse().ok()?, reason.clone()))
        };
        reasons.iter().filter_map(task).collect()
    }

    /// Until the pipeline as a whole is parked; gives why.
    pub(crate) async fn wait(&self) -> String {
        let mut reasons = self.reasons.subscribe();
        let parked = reasons.wait_for(|reasons| reasons.contains_key(&self.pipeline)).await;
        // The sender is here: it cannot be gone.
        parked.ok().and_then(|reasons| reasons.get(&self.pipeline).cloned()).unwrap_or_default()
    }

    /// Until the pipeline has done all that is wanted.
    pub(crate) async fn ended(&self) {
        // The sender is here: it cannot be gone.
        let _ = self.has_ended.subscribe().wait_for(|ended| *ended).await;
    }

    /// Counts and keeps every report, and notices what is parked or has ended.
    pub(crate) fn observer(self: &Arc<Self>, state: NodeState) -> Observer {
        let parked = self.clone();
        Arc::new(move |report: &RestartReport| {
            parked.see(report);
            if report.outcome == Outcome::Escalated {
                telemetry::count_escalation(&report.supervisor);
            }
            if report.outcome != Outcome::Restarted {
                return;
            }
            telemetry::count_restart(&report.supervisor, report.child.as_str(), report.reason.kind());
            let record = RestartRecord {
                supervisor: report.supervisor.clone(),
                child: report.child.to_string(),
                reason: report.reason.to_string(),
                restarts_in_window: report.restarts_in_window,
                incarnation: report.incarnation,
            };
            state.writes.note("restart", state.restarts.add(&record));
        })
    }

    fn see(&self, report: &RestartReport) {
        let child = report.child.as_str();
        let name = if child == self.pipeline {
            child.to_owned()
        } else if child.parse::<TaskId>().is_ok() {
            name_of_task(&self.pipeline, child)
        } else {
            return;
        };
        match report.outcome {
            Outcome::Parked => {
                let reason = match &report.reason {
                    ExitReason::Parked(why) => why.clone(),
                    other => other.to_string(),
                };
                self.add(name, reason);
            }
            Outcome::Ended if child == self.pipeline => {
                self.has_ended.send_replace(true);
            }
            Outcome::Ended | Outcome::Restarted | Outcome::Escalated => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn parked(noted: &[(&str, &str)]) -> Parked {
        let noted = noted.iter().map(|(name, why)| ((*name).to_owned(), (*why).to_owned())).collect();
        Parked::new("main", noted, watch::Sender::default())
    }

    fn report(child: &str, outcome: Outcome) -> RestartReport {
        RestartReport {
            supervisor: "node/pipelines/main".to_owned(),
            child: child.into(),
            reason: ExitReason::Parked("ledger 7".to_owned()),
            outcome,
            restarts_in_window: 0,
            incarnation: 1,
            delay: Duration::ZERO,
        }
    }

    #[test]
    fn what_supervisors_park_and_what_was_noted_is_known_by_its_name() {
        let parked = parked(&[("main/live", "noted"), ("other", "noted"), ("main", "asked for")]);
        assert_eq!(parked.reason().as_deref(), Some("asked for"));
        parked.see(&report("until-20", Outcome::Parked));
        parked.see(&report("until-30", Outcome::Restarted));
        parked.see(&report("fetcher", Outcome::Parked));
        let expect = [(TaskId::Until(20), "ledger 7"), (TaskId::Live, "noted")];
        assert_eq!(parked.tasks(), expect.map(|(task, why)| (task, why.to_owned())).into());
        parked.keep_tasks(|task| task == TaskId::Live);
        assert_eq!(parked.tasks().into_keys().collect::<Vec<_>>(), [TaskId::Live]);
        assert_eq!(parked.reason().as_deref(), Some("asked for"), "the pipeline is no task");
    }
}
