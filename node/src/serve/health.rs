//! What probes ask: `/healthz` (the process turns), `/startupz` (it has begun), `/readyz` (it does its work),
//! `/healthz/traffic` (readers are to come here), `/metrics`.

use std::sync::Arc;

use serde_json::json;
use warp::http::StatusCode;
use warp::reply::{self, Reply, with_header, with_status};

use super::Api;
use super::access::Access;
use super::router::Endpoint;

/// Media type of the text form of Prometheus.
const PROMETHEUS_TEXT: &str = "text/plain; version=0.0.4; charset=utf-8";

/// Open to whoever asks: a probe has no token.
pub(super) fn endpoints(api: &Arc<Api>) -> Vec<Endpoint> {
    let (ready, started, traffic) = (api.clone(), api.clone(), api.clone());
    let reasons = json!({ "type": "array", "items": { "type": "object", "properties": {
        "reason": { "type": "string" }, "pipeline": { "type": "string" }, "detail": { "type": "string" },
    }, "required": ["reason", "detail"] } });
    vec![
        Endpoint::get("/healthz", Access::Open, "Whether the process turns", |_| async {
            Ok("ok\n".into_response())
        })
        .gives("text/plain", json!({ "type": "string" })),
        Endpoint::get("/readyz", Access::Open, "Whether the node does its work, or why not", move |_| {
            let (is_ready, answer) = ready.readiness.answer();
            async move { Ok(with_status(reply::json(&answer), status(is_ready)).into_response()) }
        })
        .gives(
            "application/json",
            json!({ "type": "object", "properties": { "ready": { "type": "boolean" } }, "required": ["ready"] }),
        ),
        Endpoint::get(
            "/healthz/traffic",
            Access::Open,
            "Whether traffic belongs here, for balancers and DNS: the node is ready, no operator has taken it out, and its region has traffic",
            move |_| {
                let (belongs, answer) = traffic.readiness.traffic();
                async move { Ok(with_status(reply::json(&answer), status(belongs)).into_response()) }
            },
        )
        .gives(
            "application/json",
            json!({
                "type": "object",
                "properties": { "traffic": { "type": "boolean" }, "reasons": reasons },
                "required": ["traffic"],
            }),
        ),
        Endpoint::get("/startupz", Access::Open, "Whether sources and dataset were opened", move |_| {
            let has_begun = started.readiness.has_begun();
            async move {
                Ok(with_status(if has_begun { "ok\n" } else { "starting\n" }, status(has_begun))
                    .into_response())
            }
        })
        .gives("text/plain", json!({ "type": "string" })),
    ]
}

/// For the operator alone.
pub(super) fn metrics(api: &Arc<Api>) -> Vec<Endpoint> {
    let api = api.clone();
    vec![
        Endpoint::get("/metrics", Access::Open, "Counts and gauges for Prometheus", move |_| {
            api.metrics.run_upkeep();
            let text = with_header(api.metrics.render(), "content-type", PROMETHEUS_TEXT);
            async move { Ok(text.into_response()) }
        })
        .gives("text/plain", json!({ "type": "string" })),
    ]
}

fn status(is_well: bool) -> StatusCode {
    if is_well { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE }
}
