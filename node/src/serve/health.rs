//! What probes ask: `/healthz` (the process turns), `/startupz` (it has begun), `/readyz` (it does its work),
//! `/healthz/traffic` (readers are to come here), `/metrics`.

use std::sync::Arc;
use std::time::Duration;

use serde_json::json;
use warp::http::StatusCode;
use warp::reply::{self, Reply, with_header, with_status};

use super::Api;
use super::access::Access;
use super::describe::named;
use super::router::Endpoint;
use crate::telemetry::process;

const JSON: &str = "application/json";

/// Media type of the text form of Prometheus.
const PROMETHEUS_TEXT: &str = "text/plain; version=0.0.4; charset=utf-8";

/// Prometheus waits ten seconds.
const TOLD_WITHIN: Duration = Duration::from_secs(2);

/// Open to whoever asks: a probe has no token.
pub(super) fn endpoints(api: &Arc<Api>) -> Vec<Endpoint> {
    let (ready, started, traffic) = (api.clone(), api.clone(), api.clone());
    vec![
        Endpoint::get("/healthz", Access::Open, "Whether the process turns", |_| async {
            Ok("ok\n".into_response())
        })
        .gives("text/plain", json!({ "type": "string" })),
        Endpoint::get("/readyz", Access::Open, "Whether the node does its work, or why not", move |_| {
            let (is_ready, answer) = ready.readiness.answer();
            async move { Ok(with_status(reply::json(&answer), status(is_ready)).into_response()) }
        })
        .gives(JSON, named("Readiness"))
        .also_unwell(),
        Endpoint::get(
            "/healthz/traffic",
            Access::Open,
            "Whether traffic belongs here, for balancers and DNS: the node is ready, no operator has taken it out, and its region has traffic",
            move |_| {
                let (belongs, answer) = traffic.readiness.traffic();
                async move { Ok(with_status(reply::json(&answer), status(belongs)).into_response()) }
            },
        )
        .gives(JSON, named("Traffic"))
        .also_unwell(),
        Endpoint::get("/startupz", Access::Open, "Whether sources and dataset were opened", move |_| {
            let has_begun = started.readiness.has_begun();
            async move {
                Ok(with_status(if has_begun { "ok\n" } else { "starting\n" }, status(has_begun))
                    .into_response())
            }
        })
        .gives("text/plain", json!({ "type": "string" }))
        .also_unwell(),
    ]
}

/// For the operator alone.
pub(super) fn metrics(api: &Arc<Api>) -> Vec<Endpoint> {
    let api = api.clone();
    vec![
        Endpoint::get("/metrics", Access::Open, "Counts and gauges for Prometheus", move |_| {
            let api = api.clone();
            async move {
                api.readiness.tell();
                let volumes = api.readiness.volumes();
                // A disk that does not answer leaves the values from before.
                let told = tokio::task::spawn_blocking(move || process::tell(&volumes));
                if tokio::time::timeout(TOLD_WITHIN, told).await.is_err() {
                    tracing::warn!("a disk of the node does not tell how full it is");
                }
                api.metrics.run_upkeep();
                Ok(with_header(api.metrics.render(), "content-type", PROMETHEUS_TEXT).into_response())
            }
        })
        .gives("text/plain", json!({ "type": "string" })),
    ]
}

fn status(is_well: bool) -> StatusCode {
    if is_well { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE }
}

#[cfg(test)]
mod tests {
    use crate::readiness::tests::{of_nobody, whose_state_disk_is_full};
    use crate::serve::rest;

    #[test]
    fn what_probes_are_told_is_described() {
        let schemas = rest::schemas();
        let check = |name: &str, (_, answer): (bool, serde_json::Value), expect: &[&str]| {
            let properties = &schemas[name]["properties"];
            for key in expect {
                assert!(answer[key].is_array() && properties[key].is_object(), "{key} in {answer}");
            }
            assert!(answer.as_object().unwrap().keys().all(|key| properties[key].is_object()), "{answer}");
        };
        // One that begins, and one that runs.
        check("Readiness", of_nobody().answer(), &["reasons"]);
        check("Traffic", of_nobody().traffic(), &["reasons"]);
        check("Readiness", whose_state_disk_is_full().answer(), &["warnings"]);
    }
}
