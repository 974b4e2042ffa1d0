//! What operators ask about regions.

use std::time::Duration;

use orrery_supervisor::cluster::NodeName;
use serde_json::{Value, json};
use tonic::Status;

use super::Inspection;
use crate::cluster::message::Ask;
use crate::region::{Move, Obstacle};

/// A coordinator writes a decision to its store first.
const DECIDE_WITHIN: Duration = Duration::from_secs(8);

impl Inspection {
    /// Whether traffic can be moved now; an answer also if not yet.
    pub(super) fn can_move(&self, wanted: &Move) -> Result<Value, Status> {
        self.is_region()?;
        match wanted.check(&self.regions.subscribe().borrow().view) {
            Ok(way) => Ok(json!({ "can": true, "to": way.to, "behind_ledgers": way.behind_ledgers })),
            Err(Obstacle::NotYet(why)) => Ok(json!({ "can": false, "why": why })),
            Err(obstacle) => Err(refused(obstacle)),
        }
    }

    /// Has the coordinator decide.
    pub(super) async fn failover(&self, wanted: Move, who: &str) -> Result<Value, Status> {
        self.is_region()?;
        let way = wanted.check(&self.regions.subscribe().borrow().view).map_err(refused)?;
        let lease = self.newest_lease().await;
        let holder: Option<NodeName> = lease["node"].as_str().and_then(|holder| holder.parse().ok());
        let Some(holder) = holder else {
            return Err(Status::unavailable("nobody coordinates now: see orrery nodes, and try again"));
        };
        let Move { region, forced, reason } = wanted;
        let ask = Ask::Failover { region, forced, reason, by: who.to_owned() };
        let told = self.peers.ask(&holder, &ask, DECIDE_WITHIN).await;
        let decision = told.map(super::value).map_err(|error| Status::unavailable(error.to_string()))?;
        Ok(json!({ "decision": decision, "behind_ledgers": way.behind_ledgers }))
    }

    fn is_region(&self) -> Result<(), Status> {
        match self.regions.is_region() {
            true => Ok(()),
            false => Err(Status::failed_precondition(
                "this cluster is the only region: give it a [region] with name and peers in the configuration",
            )),
        }
    }
}

fn refused(obstacle: Obstacle) -> Status {
    match obstacle {
        Obstacle::Unknown(why) => Status::not_found(why),
        Obstacle::Refused(why) => Status::failed_precondition(why),
        Obstacle::NotYet(why) => Status::failed_precondition(format!("{why}: wait, or give --forced")),
    }
}
