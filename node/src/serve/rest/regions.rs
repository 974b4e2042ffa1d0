//! This region and its peers: what the commands `regions` and `failover` say and do.

use std::sync::Arc;

use orrery_supervisor::Clock;
use serde_json::json;

use super::Rest;
use super::answer::{self, Holds, JSON};
use super::operate::done;
use super::query::{only, parsed};
use crate::reach::Change;
use crate::region::Move;
use crate::serve::access::{Access, Role};
use crate::serve::describe::{Parameter, named};
use crate::serve::problem::Problem;
use crate::serve::request::Request;
use crate::serve::router::Endpoint;

pub(super) fn endpoints(rest: &Arc<Rest>) -> Vec<Endpoint> {
    let (of_regions, of_failover, of_automatic) = (rest.clone(), rest.clone(), rest.clone());
    let name = "The region that is to have traffic, as us";
    let forced = "Even if that region is behind, and at once";
    vec![
        Endpoint::get(
            "/v1/regions",
            Access::Of(Role::Viewer),
            "This region and its peers, and where traffic belongs",
            move |request| {
                let rest = of_regions.clone();
                async move {
                    only(&request, &[])?;
                    let shown = rest.readiness.regions.shown(rest.readiness.clock.now());
                    answer::json(&request, &shown, Holds::Now)
                }
            },
        )
        .gives(JSON, named("Regions")),
        Endpoint::post(
            "/v1/regions/{name}/failover",
            Role::Operator,
            "Decide that traffic belongs to a region, if it is equal and not behind; or in any case",
            move |request| {
                let rest = of_failover.clone();
                async move { done(&rest, &request, &["forced"], moved(&request)?).await }
            },
        )
        .takes(vec![
            Parameter::new("name", name, json!({ "type": "string", "minLength": 1 })),
            Parameter::new("forced", forced, json!({ "type": "boolean" })),
        ])
        .gives(JSON, named("Failover")),
        Endpoint::post(
            "/v1/regions/failover/automatic",
            Role::Operator,
            "Let priorities say where traffic belongs",
            move |request| {
                let rest = of_automatic.clone();
                async move { done(&rest, &request, &[], Change::Failover(Move::default())).await }
            },
        )
        .gives(JSON, named("Failover")),
    ]
}

fn moved(request: &Request) -> Result<Change, Problem> {
    let forced = parsed(request, "forced")?.unwrap_or(false);
    let region = Some(request.path_value("name").to_owned());
    Ok(Change::Failover(Move { region, forced, reason: String::new() }))
}
