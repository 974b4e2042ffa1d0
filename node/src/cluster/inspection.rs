//! What operators ask of a cluster, through any of its nodes: `DoAction` of Arrow Flight, JSON each way.
//!
//! | action | body | answer |
//! |---|---|---|
//! | `nodes` | | who is there, and who coordinates |
//! | `tree` | | the same, with the supervision tree of each node, and what it counts |
//! | `restarts` | `{"node": NAME, "last": COUNT}` | what the node's supervisors restarted, newest last |
//! | `logs` | `{"node": NAME, "after": NUMBER}` | the node's log lines after this one, oldest first, or the first of them |
//! | `park`, `resume` | `{"pipeline": NAME}` | what each node says |
//! | `region.report` | | what this region says of itself, to nodes of its peers alone |
//! | `drain` | `{"node": NAME}` | what the node says |
//! | `regions` | | this region and its peers, and where traffic belongs |
//! | `failover.check` | `{"region": NAME or null, "forced": BOOL, "reason": TEXT}` | whether traffic can be moved there now |
//! | `failover` | the same | the decision |

mod regions;

use std::sync::Arc;
use std::time::Duration;

use arrow_flight::{Action, ActionType};
use futures::future::join_all;
use futures::{FutureExt, StreamExt};
use orrery_actors::exchange::FlightHandlers;
use orrery_supervisor::Clock;
use orrery_supervisor::cluster::NodeName;
use orrery_supervisor::cluster::lease::Coordination;
use orrery_supervisor::cluster::membership::Member;
use orrery_supervisor::cluster::role::Role;
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::sync::watch;
use tonic::{Request, Response, Status};

use super::flight::Peer;
use super::message::{Ask, Told};
use super::peers::Peers;
use crate::audit::Audit;
use crate::audit::chain::Note;
use crate::region::{RegionService, Regions};

/// A node that does not answer sooner is shown without its answer.
const ANSWER_WITHIN: Duration = Duration::from_secs(2);

/// A coordinator that does not tell its concerns sooner is shown without them.
const CONCERNS_WITHIN: Duration = Duration::from_secs(1);

/// An action's body has some dozen bytes.
const BODY_BYTES_MAX: usize = 4096;

/// Those who are asked for the lease: one who is up to date is enough.
const CANDIDATES_MAX: usize = 3;

/// What can be asked.
const ACTIONS: [(&str, &str); 10] = [
    ("nodes", "who is there, and who coordinates"),
    ("tree", "the supervision tree of every node"),
    ("restarts", "what a node's supervisors restarted"),
    ("logs", "the newest lines of a node's log"),
    ("park", "stop a pipeline on every node until it is resumed"),
    ("resume", "start a parked pipeline on every node"),
    ("drain", "have a node hand over its work and leave"),
    ("regions", "this region and its peers, and where traffic belongs"),
    ("failover.check", "whether traffic can be moved to a region now"),
    ("failover", "decide where traffic belongs"),
];

/// Serves it.
pub(super) fn handlers(inspection: Inspection, regions: RegionService) -> FlightHandlers {
    FlightHandlers {
        do_action: Some(Arc::new(move |request: Request<Action>| {
            let (inspection, regions) = (inspection.clone(), regions.clone());
            async move {
                let purpose = request.extensions().get::<Peer>().map(|peer| peer.purpose);
                let action = request.get_ref().r#type.as_str();
                let of_regions = purpose.map(|purpose| regions.act(action, purpose)).transpose()?.flatten();
                let body = match of_regions {
                    Some(body) => body,
                    None => serde_json::to_vec(&inspection.act(request).await?)
                        .map_err(|error| Status::internal(error.to_string()))?,
                };
                let result = arrow_flight::Result { body: body.into() };
                Ok(Response::new(futures::stream::iter([Ok(result)]).boxed()))
            }
            .boxed()
        })),
        list_actions: Some(Arc::new(|_| {
            let named = |(name, description): (&str, &str)| {
                Ok(ActionType { r#type: name.to_owned(), description: description.to_owned() })
            };
            let listed = futures::stream::iter(ACTIONS.map(named)).boxed();
            async move { Ok(Response::new(listed)) }.boxed()
        })),
        do_get: None,
    }
}

/// Asks the nodes.
#[derive(Clone)]
pub(crate) struct Inspection {
    pub(super) peers: Peers,
    pub(super) coordination: watch::Receiver<Coordination>,
    /// What this node wants a person to know while it coordinates.
    pub(super) concerns: watch::Receiver<Vec<String>>,
    pub(super) regions: Regions,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) audit: Arc<Audit>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct OfPipeline {
    pipeline: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct OfNode {
    node: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct OfRestarts {
    node: String,
    last: usize,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct OfLogs {
    node: String,
    after: u64,
}

impl Inspection {
    async fn act(&self, request: Request<Action>) -> Result<Value, Status> {
        let peer = request.extensions().get::<Peer>().map(|peer| peer.name.clone());
        let Some(peer) = peer else {
            return Err(Status::unauthenticated("the connection has no certificate"));
        };
        let Action { r#type: action, body } = request.into_inner();
        if body.len() > BODY_BYTES_MAX {
            return Err(Status::invalid_argument(format!(
                "a body of {} bytes: {BODY_BYTES_MAX} at most",
                body.len()
            )));
        }
        let changes = matches!(action.as_str(), "park" | "resume" | "drain" | "failover");
        let outcome = self.perform(&action, &body, peer.as_str()).await;
        if changes {
            let note = Note {
                who: peer.to_string(),
                via: "cluster".to_owned(),
                action,
                target: String::from_utf8_lossy(&body).into_owned(),
                outcome: outcome.as_ref().map_or_else(|status| status.message().to_owned(), Value::to_string),
                is_refusal: false,
            };
            self.audit.note(note).await;
        }
        outcome
    }

    /// What an action answers. Whoever asks for it, for `who`, notes it.
    pub(crate) async fn perform(&self, action: &str, body: &[u8], who: &str) -> Result<Value, Status> {
        match action {
            "nodes" => Ok(self.nodes().await),
            "tree" => Ok(self.tree().await),
            "park" => {
                let OfPipeline { pipeline } = parse(body)?;
                Ok(self.ask_all(&Ask::Park { pipeline, reason: None }).await)
            }
            "resume" => {
                let OfPipeline { pipeline } = parse(body)?;
                Ok(self.ask_all(&Ask::Resume { pipeline }).await)
            }
            "drain" => {
                let OfNode { node } = parse(body)?;
                self.ask_one(&node, &Ask::Drain).await
            }
            "restarts" => {
                let OfRestarts { node, last } = parse(body)?;
                self.ask_one(&node, &Ask::Restarts { last }).await
            }
            "logs" => {
                let OfLogs { node, after } = parse(body)?;
                self.ask_one(&node, &Ask::Logs { after }).await
            }
            "regions" => Ok(self.regions.shown(self.clock.now())),
            "failover.check" => self.can_move(&parse(body)?),
            "failover" => self.failover(parse(body)?, who).await,
            other => {
                let known = ACTIONS.map(|(name, _)| name).join(", ");
                Err(Status::invalid_argument(format!("no action `{other}`; there is {known}")))
            }
        }
    }

    async fn ask_one(&self, node: &str, ask: &Ask) -> Result<Value, Status> {
        let node = self.known(node)?;
        let told = self.peers.ask(&node, ask, ANSWER_WITHIN).await;
        told.map(value).map_err(|error| Status::unavailable(error.to_string()))
    }

    fn known(&self, node: &str) -> Result<NodeName, Status> {
        let members = self.peers.members();
        if let Some(member) = members.iter().find(|member| member.identity.name.as_str() == node) {
            return Ok(member.identity.name.clone());
        }
        let names: Vec<_> = members.iter().map(|member| member.identity.name.as_str().to_owned()).collect();
        Err(Status::not_found(format!("no node `{node}` is there; there are {}", names.join(", "))))
    }

    async fn nodes(&self) -> Value {
        let members = self.peers.members();
        let nodes: Vec<Value> = members.iter().map(described).collect();
        json!({ "coordinator": self.coordinator().await, "nodes": nodes })
    }

    /// Who coordinates, and what it wants a person to know.
    async fn coordinator(&self) -> Value {
        let mut known = self.newest_lease().await;
        let holder = known["node"].as_str().and_then(|holder| holder.parse::<NodeName>().ok());
        if known.get("concerns").is_none()
            && let Some(holder) = holder
            && let Ok(told) = self.peers.ask(&holder, &Ask::Coordinator, CONCERNS_WITHIN).await
        {
            let told = value(told);
            if told["epoch"] == known["epoch"] {
                known = told;
            }
        }
        known
    }

    /// The newest lease that this node has seen; or, if it is none of those that look at leases, that they have.
    async fn newest_lease(&self) -> Value {
        let own = lease(&self.coordination.borrow(), &self.concerns.borrow());
        if !own.is_null() {
            return own;
        }
        let members = self.peers.members();
        let candidates = members.others().filter(|member| member.profile.roles.contains(Role::Coordinator));
        let asked = candidates
            .take(CANDIDATES_MAX)
            .map(|member| self.peers.ask(&member.identity.name, &Ask::Coordinator, ANSWER_WITHIN));
        let told = join_all(asked).await.into_iter().filter_map(Result::ok).map(value);
        told.max_by_key(|lease| lease["epoch"].as_u64()).unwrap_or_default()
    }

    /// Who is there, who coordinates, and what each node says of itself.
    pub(crate) async fn tree(&self) -> Value {
        let members = self.peers.members();
        let asked = members.iter().map(|member| async {
            let mut node = described(member);
            let told = self.peers.ask(&member.identity.name, &Ask::Tree, ANSWER_WITHIN).await;
            let told = match told.map(value) {
                Ok(Value::Object(told)) => told,
                Ok(other) => {
                    [("error".to_owned(), json!(format!("not a status: {other}")))].into_iter().collect()
                }
                Err(error) => [("error".to_owned(), json!(error.to_string()))].into_iter().collect(),
            };
            if let Some(fields) = node.as_object_mut() {
                // Who a node is, the membership says.
                let own = std::mem::replace(fields, told);
                fields.extend(own);
            }
            node
        });
        let (coordinator, nodes) = tokio::join!(self.coordinator(), join_all(asked));
        json!({ "coordinator": coordinator, "nodes": nodes })
    }

    async fn ask_all(&self, ask: &Ask) -> Value {
        let members = self.peers.members();
        let asked = members.iter().map(|member| async {
            let name = &member.identity.name;
            let told = self.peers.ask(name, ask, ANSWER_WITHIN).await;
            match told {
                Ok(told) => json!({ "node": name.as_str(), "answer": value(told) }),
                Err(error) => json!({ "node": name.as_str(), "error": error.to_string() }),
            }
        });
        json!({ "nodes": join_all(asked).await })
    }
}

/// The newest lease that was seen, if any was; of whoever has it, with what a person should know.
pub(super) fn lease(coordination: &Coordination, concerns: &[String]) -> Value {
    let newest = coordination.newest.as_ref();
    newest.map_or(Value::Null, |lease| {
        let (holder, epoch) = (&lease.holder, lease.epoch.get());
        let mut told =
            json!({ "node": holder.name.as_str(), "incarnation": holder.incarnation, "epoch": epoch });
        if coordination.active == Some(lease.epoch) {
            told["concerns"] = json!(concerns);
        }
        told
    })
}

fn parse<'a, T: Deserialize<'a>>(body: &'a [u8]) -> Result<T, Status> {
    serde_json::from_slice(body)
        .map_err(|error| Status::invalid_argument(format!("the action's body: {error}")))
}

pub(super) fn value(told: Told) -> Value {
    match told {
        Told::Value(value) => value,
        Told::Report(report) => json!(report),
    }
}

fn described(member: &Member) -> Value {
    let roles: Vec<_> = member.profile.roles.iter().map(|role| role.as_str()).collect();
    json!({
        "name": member.identity.name.as_str(),
        "incarnation": member.identity.incarnation,
        "state": member.state.as_str(),
        "draining": member.draining,
        "address": member.profile.address.to_string(),
        "roles": roles,
        "version": member.profile.version,
        "protocol": member.profile.protocol,
        "capacity": member.profile.capacity,
        "load": member.load,
    })
}
