//! What a node answers to what others ask.

use orrery_schemas::LedgerSequence;
use orrery_supervisor::cluster::control::Refusal;
use orrery_supervisor::cluster::membership::Members;
use serde_json::{Value, json};

use super::ClusterNode;
use crate::cluster::assignee::{Assignee, Condition};
use crate::cluster::inspection;
use crate::cluster::message::{Ask, Assignment, Report, Told};
use crate::control::{Control, Request};
use crate::logs;
use crate::region::{Move, Wanted};
use crate::telemetry::observed;

/// Restarts that are told at once: their reasons are long.
const RESTARTS_MAX: usize = 200;

impl ClusterNode {
    /// Others are there than before.
    pub(super) fn met(&self, members: &Members) {
        observed::set_members(members);
        self.links.want(super::addresses(members));
    }

    /// The lease changed hands, or there is something else to tell a person.
    pub(super) fn contested(&self) {
        observed::set_coordination(self.coordination.borrow().active.is_some(), self.concerns.borrow().len());
    }

    pub(super) async fn answer(
        &self,
        ask: Ask,
        control: &Control<'_>,
        assignee: &Assignee,
    ) -> Result<Told, Refusal> {
        let is_draining = *self.draining.borrow();
        match ask {
            Ask::Assign(assignment) => self.assigned(&assignment, control, assignee).await,
            Ask::Report => Ok(Told::Report(assignee.report(condition(control, is_draining)).await)),
            Ask::Tree => control.perform(Request::Status).await.map(Told::Value).map_err(Refusal::failed),
            Ask::Coordinator => {
                Ok(Told::Value(inspection::lease(&self.coordination.borrow(), &self.concerns.borrow())))
            }
            Ask::Restarts { last } => {
                let restarts = control.perform(Request::Restarts { last: last.min(RESTARTS_MAX) }).await;
                restarts.map(Told::Value).map_err(Refusal::failed)
            }
            Ask::Park { pipeline, reason } => {
                let parked = match (reason, control.parked_reason()) {
                    // Told again while nobody has resumed it.
                    (Some(_), Some(why)) => {
                        Ok(json!({ "pipeline": pipeline, "state": "parked", "reason": why }))
                    }
                    (Some(reason), None) => control.park(&pipeline, &reason).await,
                    (None, _) => control.perform(Request::Park { pipeline }).await,
                };
                parked.map(Told::Value).map_err(Refusal::failed)
            }
            Ask::Resume { pipeline } => {
                let resumed = control.perform(Request::Resume { pipeline }).await;
                resumed.map(Told::Value).map_err(Refusal::failed)
            }
            Ask::Drain => {
                self.draining.send_replace(true);
                Ok(Told::Value(json!({ "node": self.settings.name().as_str(), "state": "draining" })))
            }
            Ask::Logs { after } => Ok(Told::Value(logs::page(after))),
            Ask::Failover { region, forced, reason, by } => {
                let wanted = Move { region, forced, reason };
                self.decide(&wanted, by).await.map(Told::Value).map_err(Refusal::failed)
            }
        }
    }

    /// Writes down where traffic belongs, if that is possible now and this node coordinates.
    async fn decide(&self, wanted: &Move, by: String) -> Result<Value, String> {
        if self.coordination.borrow().active.is_none() {
            return Err("another node coordinates by now: try again".to_owned());
        }
        let way = wanted.check(&self.regions.subscribe().borrow().view);
        let way = way.map_err(|obstacle| obstacle.to_string())?;
        let Move { forced, reason, .. } = wanted.clone();
        let decision = self.desk.decide(Wanted { to: way.to, forced, by, reason }).await?;
        serde_json::to_value(decision).map_err(|error| error.to_string())
    }

    /// Does what a coordinator says, unless it is not this node's.
    async fn assigned(
        &self,
        assignment: &Assignment,
        control: &Control<'_>,
        assignee: &Assignee,
    ) -> Result<Told, Refusal> {
        let asked = assignment.epoch;
        let mut condition = condition(control, *self.draining.borrow());
        if let Some(refused) = self.orders.refuses(assignment).await.map_err(Refusal::failed)? {
            condition.parked = Some(refused.detail.clone());
            control.refuse(refused);
            let report = assignee.report(condition).await;
            return Ok(Told::Report(Report { refuses: true, ..report }));
        }
        let report = assignee.assign(assignment, condition).await;
        let report = report.map_err(|current| Refusal::Stale { asked, current })?;
        // Where most nodes refuse, this one is among those that differ, and is to show what it refuses itself.
        if !assignment.is_outvoted {
            control.obey();
        }
        self.completion.hear(assignment, self.clock.now());
        self.followed.set(assignment.epoch, &assignment.coordinator);
        if let Some(view) = &assignment.regions {
            control.tell_regions(view, self.clock.now());
        }
        if let Some(next) = assignment.next {
            control.mend(LedgerSequence(next));
        }
        self.membership.set_load(load(report.tasks.len(), self.settings.tasks));
        if assignment.is_complete {
            self.complete.send_replace(true);
        }
        Ok(Told::Report(report))
    }
}

fn condition(control: &Control<'_>, is_draining: bool) -> Condition {
    let parked_tasks = control.parked_tasks().into_keys().collect();
    let (parked, unready) = (control.parked_reason(), control.unready());
    Condition { parked, parked_tasks, is_draining, unready }
}

fn load(tasks: usize, tasks_max: u32) -> f32 {
    let tasks = f32::from(u16::try_from(tasks).unwrap_or(u16::MAX));
    tasks / f32::from(u16::try_from(tasks_max).unwrap_or(u16::MAX)).max(1.0)
}
