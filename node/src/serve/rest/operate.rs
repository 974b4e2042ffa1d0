//! What operators have nodes do: the commands `park`, `resume`, `drain` and `quarantine retry`.
//!
//! A page of another origin cannot have it done: a browser sends no token by itself, and there are no cookies; and whatever
//! has the `Origin` of a stranger is refused before it is looked at (see `access`).

use std::sync::Arc;
use std::time::Duration;

use serde_json::json;

use super::Rest;
use super::answer::{self, Holds, JSON};
use super::query::{only, sequence};
use super::schemas;
use crate::reach::{By, Change, Question};
use crate::serve::access::Role;
use crate::serve::describe::{Parameter, named};
use crate::serve::problem::Problem;
use crate::serve::request::Request;
use crate::serve::router::{Answer, Endpoint};

/// What is in work when a pipeline is stopped is ended first. It goes on if this is over.
const DONE_WITHIN: Duration = Duration::from_secs(60);

pub(super) fn endpoints(rest: &Arc<Rest>) -> Vec<Endpoint> {
    let endpoint = |path, summary, parameter, change: fn(&Request) -> Result<Change, Problem>| {
        let rest = rest.clone();
        Endpoint::post(path, Role::Operator, summary, move |request| {
            let rest = rest.clone();
            async move { have_done(&rest, &request, change).await }
        })
        .takes(vec![parameter])
        .gives(JSON, named("Done"))
    };
    let name = |what| Parameter::new("name", what, json!({ "type": "string", "minLength": 1 }));
    let ledger = Parameter::new("sequence", "The ledger's number", schemas::sequence());
    vec![
        endpoint(
            "/v1/pipelines/{name}/park",
            "Stop a pipeline on every node until it is resumed",
            name("The pipeline's name, as main"),
            |request| Ok(Change::Park { pipeline: of(request) }),
        ),
        endpoint(
            "/v1/pipelines/{name}/resume",
            "Start a parked pipeline on every node",
            name("The pipeline's name, as main"),
            |request| Ok(Change::Resume { pipeline: of(request) }),
        ),
        endpoint(
            "/v1/nodes/{name}/drain",
            "Have a node of a cluster hand over its work and leave",
            name("The node's name"),
            |request| Ok(Change::Drain { node: of(request) }),
        ),
        endpoint(
            "/v1/quarantine/{sequence}/retry",
            "Have this node try a quarantined ledger again",
            ledger,
            |request| {
                let ledger = sequence("sequence", request.path_value("sequence"))?;
                Ok(Change::Retry { ledger: ledger.0 })
            },
        ),
    ]
}

fn of(request: &Request) -> String {
    request.path_value("name").to_owned()
}

async fn have_done(
    rest: &Rest,
    request: &Request,
    change: fn(&Request) -> Result<Change, Problem>,
) -> Answer {
    done(rest, request, &[], change(request)?).await
}

/// Has the node do something; `known` is what the query may have.
pub(super) async fn done(rest: &Rest, request: &Request, known: &[&str], change: Change) -> Answer {
    only(request, known)?;
    if !request.body.is_empty() {
        return Err(Problem::parameter("body", "nothing is read of it: send none"));
    }
    let by = By { who: request.principal.name.clone(), via: format!("http {}", request.peer) };
    let late = "it is not done yet, and goes on: /v1/tree shows how far it is";
    let done = rest.ask_within(Question::Change(change, by), DONE_WITHIN, late).await?;
    answer::json(request, &done, Holds::Now)
}
