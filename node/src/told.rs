//! What a node is asked and told over HTTP: the same as by the commands of the same names, and noted as those are.

use serde_json::{Value, json};
use tonic::{Code, Status};

use crate::audit::chain::Note;
use crate::control::{self, Control};
use crate::quarantine;
use crate::reach::{By, Change, Question, Unanswered};
use crate::region::Move;
use crate::runner::Node;

/// Restarts that HTTP is told of: those of one actor are looked for among them.
const RESTARTS_TOLD: usize = 200;

impl Change {
    /// What it is, and to what.
    fn named(&self) -> (&'static str, String) {
        match self {
            Self::Park { pipeline } => ("park", pipeline.clone()),
            Self::Resume { pipeline } => ("resume", pipeline.clone()),
            Self::Drain { node } => ("drain", node.clone()),
            Self::Retry { ledger } => ("quarantine retry", ledger.to_string()),
            Self::Failover(Move { region, forced, .. }) => {
                let to = region.as_deref().unwrap_or("automatic");
                ("failover", if *forced { format!("{to}, forced") } else { to.to_owned() })
            }
        }
    }
}

impl Node {
    /// What HTTP asks of the node, or of all nodes.
    pub(crate) async fn tell(&self, question: Question, control: &Control<'_>) -> Result<Value, Unanswered> {
        match (question, &self.cluster) {
            (Question::Quarantine, _) => {
                let request = quarantine::Request::List;
                control.perform(control::Request::Quarantine { request }).await.map_err(Unanswered::Away)
            }
            (Question::Restarts { node }, Some(cluster)) if node != self.settings.name => {
                cluster.restarts(&node, RESTARTS_TOLD).await.map_err(Unanswered::Away)
            }
            (Question::Restarts { .. }, _) => {
                let request = control::Request::Restarts { last: RESTARTS_TOLD };
                control.perform(request).await.map_err(Unanswered::Away)
            }
            (Question::Tree, Some(cluster)) => Ok(cluster.inspection(&self.audit).tree().await),
            (Question::Tree, None) => {
                let mut node = control.perform(control::Request::Status).await.map_err(Unanswered::Away)?;
                node["state"] = json!("running");
                Ok(json!({ "nodes": [node] }))
            }
            (Question::Change(change, by), _) => self.change(change, by, control).await,
        }
    }

    /// Does what an operator says, and notes it.
    async fn change(&self, change: Change, by: By, control: &Control<'_>) -> Result<Value, Unanswered> {
        let (action, target) = change.named();
        let done = self.done(change, &by.who, control).await;
        let outcome = match &done {
            Ok(answer) => answer.to_string(),
            Err(Unanswered::Away(why) | Unanswered::Refused(why) | Unanswered::Unknown(why)) => why.clone(),
        };
        let (By { who, via }, action) = (by, action.to_owned());
        self.audit.note(Note { who, via, action, target, outcome, is_refusal: false }).await;
        done
    }

    async fn done(&self, change: Change, who: &str, control: &Control<'_>) -> Result<Value, Unanswered> {
        let named = |action: &'static str, key: &str, name: String| (action, json!({ key: name }));
        let (action, body) = match (change, &self.cluster) {
            (Change::Retry { ledger }, _) => return self.retried(ledger, control).await,
            (Change::Park { pipeline }, None) => {
                return self.alone(pipeline, control, |pipeline| control::Request::Park { pipeline }).await;
            }
            (Change::Resume { pipeline }, None) => {
                return self.alone(pipeline, control, |pipeline| control::Request::Resume { pipeline }).await;
            }
            (Change::Drain { node }, None) => return Err(self.stays(&node)),
            (Change::Failover(_), None) => {
                let why = "this node works alone: give it a [cluster] and a [region] with peers";
                return Err(Unanswered::Refused(why.to_owned()));
            }
            (Change::Failover(wanted), Some(_)) => ("failover", json!(wanted)),
            (Change::Park { pipeline }, Some(_)) => named("park", "pipeline", pipeline),
            (Change::Resume { pipeline }, Some(_)) => named("resume", "pipeline", pipeline),
            (Change::Drain { node }, Some(_)) => named("drain", "node", node),
        };
        let Some(cluster) = &self.cluster else { return Err(Unanswered::Away("it works alone".to_owned())) };
        let inspection = cluster.inspection(&self.audit);
        let answer = inspection.perform(action, body.to_string().as_bytes(), who).await.map_err(why_not)?;
        match answer["nodes"].as_array() {
            Some(nodes) => everywhere(action, nodes),
            None if action == "failover" => Ok(answer),
            None => Ok(json!({ "nodes": [{ "node": answer["node"], "answer": answer }] })),
        }
    }

    /// Has this node do it, which works alone.
    async fn alone(
        &self,
        pipeline: String,
        control: &Control<'_>,
        request: impl FnOnce(String) -> control::Request,
    ) -> Result<Value, Unanswered> {
        let own = &self.settings.pipeline;
        if pipeline != *own {
            return Err(Unanswered::Unknown(format!("no pipeline `{pipeline}` here; this node has `{own}`")));
        }
        let answer = control.perform(request(pipeline)).await.map_err(Unanswered::Refused)?;
        Ok(json!({ "nodes": [{ "node": self.settings.name, "answer": answer }] }))
    }

    async fn retried(&self, ledger: u32, control: &Control<'_>) -> Result<Value, Unanswered> {
        let request = quarantine::Request::Retry { ledger };
        let answer = control.perform(control::Request::Quarantine { request }).await;
        match answer.map_err(Unanswered::Refused)? {
            Value::Null => Err(Unanswered::Unknown(format!(
                "ledger {ledger} is not in this node's quarantine: see /v1/quarantine"
            ))),
            answer => Ok(json!({ "nodes": [{ "node": self.settings.name, "answer": answer }] })),
        }
    }

    /// Why a node that works alone is not drained.
    fn stays(&self, node: &str) -> Unanswered {
        let own = &self.settings.name;
        match node == own {
            true => Unanswered::Refused(format!(
                "{own} works alone, so that nobody can take over: stop it with SIGTERM, which loses nothing"
            )),
            false => Unanswered::Unknown(format!("no node `{node}` is there; there is {own}")),
        }
    }
}

/// What all nodes say; an error if one of them did not do it.
fn everywhere(action: &str, nodes: &[Value]) -> Result<Value, Unanswered> {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let failed: Vec<_> = nodes
        .iter()
        .filter(|node| node["error"].is_string())
        .map(|node| format!("{}: {}", text(&node["node"]), text(&node["error"])))
        .collect();
    match failed.is_empty() {
        true => Ok(json!({ "nodes": nodes })),
        false => {
            let done = nodes.len() - failed.len();
            Err(Unanswered::Refused(format!("{action}: done on {done} nodes; not on {}", failed.join("; "))))
        }
    }
}

fn why_not(status: Status) -> Unanswered {
    let why = status.message().to_owned();
    match status.code() {
        Code::NotFound => Unanswered::Unknown(why),
        Code::InvalidArgument | Code::FailedPrecondition => Unanswered::Refused(why),
        _ => Unanswered::Away(why),
    }
}
