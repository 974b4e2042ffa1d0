//! One actor: what it is, and what ended its earlier lives.

use std::sync::Arc;

use serde_json::{Value, json};

use super::Rest;
use super::answer::{self, Holds};
use super::query::only;
use super::schemas::{INTERNAL, actor_path};
use crate::inspect::{Row, rows};
use crate::reach::Question;
use crate::serve::access::{Access, Role};
use crate::serve::describe::named;
use crate::serve::problem::Problem;
use crate::serve::request::Request;
use crate::serve::router::{Answer, Endpoint};

pub(super) fn endpoints(rest: &Arc<Rest>) -> Vec<Endpoint> {
    let rest = rest.clone();
    let actor = Endpoint::get(
        "/v1/actors/{path}",
        Access::Of(Role::Viewer),
        "One actor and its restarts, by its path from the node's name on (its slashes as %2F)",
        move |request| {
            let rest = rest.clone();
            async move { actor(&rest, &request).await }
        },
    );
    vec![actor.takes(vec![actor_path()]).gives("application/json", named("Actor"))]
}

async fn actor(rest: &Rest, request: &Request) -> Answer {
    only(request, &[])?;
    let look = rest.look().await?;
    let wanted = request.path_value("path");
    let found = rows(&look.seen).into_iter().find(|row| row.path == wanted);
    let row = found.ok_or_else(|| Problem::not_found("there is no such actor: /v1/tree has all"))?;
    let restarts = restarts(rest, &row).await?;
    let mut actor =
        serde_json::to_value(&row).map_err(|error| Problem::new(INTERNAL, "not_json", error.to_string()))?;
    actor["restarts"] = restarts;
    answer::json(request, &actor, Holds::Now)
}

/// Those of this actor, newest last; null if another node, which alone remembers them, does not tell.
async fn restarts(rest: &Rest, row: &Row) -> Result<Value, Problem> {
    let is_own = row.node == rest.readiness.node();
    let all = match rest.ask(Question::Restarts { node: row.node.clone() }).await {
        Ok(all) => all,
        Err(problem) if is_own => return Err(problem),
        Err(_) => return Ok(Value::Null),
    };
    let own = all.as_array().into_iter().flatten().filter(|record| row.is_in(record));
    Ok(json!(own.collect::<Vec<_>>()))
}
