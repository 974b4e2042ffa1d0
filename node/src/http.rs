//! What a node serves over HTTP: `/healthz` (the process turns), `/readyz` (it does its work), `/metrics`.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;

use metrics_exporter_prometheus::PrometheusHandle;
use tokio::net::TcpListener;
use warp::Filter;
use warp::http::StatusCode;

use crate::exit::Failure;
use crate::readiness::Readiness;

/// Media type of the text form of Prometheus.
const PROMETHEUS_TEXT: &str = "text/plain; version=0.0.4; charset=utf-8";

/// Serves while `work` is done, from before it begins until it has ended; nowhere if no address is given.
///
/// # Errors
///
/// The address cannot be listened on, and then nothing is done; or those of `work`.
pub(crate) async fn beside<T>(
    address: Option<SocketAddr>,
    metrics: PrometheusHandle,
    readiness: Arc<Readiness>,
    work: impl Future<Output = Result<T, Failure>>,
) -> Result<T, Failure> {
    let Some(address) = address else { return work.await };
    let listener = TcpListener::bind(address).await.map_err(|error| {
        Failure::Unavailable(format!("node.http: listen on {address}: {error}; give another"))
    })?;
    // Port 0 is any that is free.
    let address = listener.local_addr().unwrap_or(address);
    tracing::info!(%address, "health and metrics are served");
    let health = warp::path!("healthz").map(|| "ok\n".to_owned());
    let ready = warp::path!("readyz").map(move || {
        let (is_ready, answer) = readiness.answer();
        let status = if is_ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
        warp::reply::with_status(warp::reply::json(&answer), status)
    });
    let metrics = warp::path!("metrics").map(move || {
        metrics.run_upkeep();
        warp::reply::with_header(metrics.render(), "content-type", PROMETHEUS_TEXT)
    });
    let routes = warp::get().and(health.or(ready).or(metrics)).recover(not_found);
    tokio::select! {
        done = work => done,
        () = warp::serve(routes).incoming(listener).run() => {
            Err(Failure::Bug("health and metrics are not served any more".to_owned()))
        }
    }
}

async fn not_found(_: warp::Rejection) -> Result<impl warp::Reply, Infallible> {
    Ok(warp::reply::with_status(
        "there is /healthz, /readyz and /metrics\n".to_owned(),
        StatusCode::NOT_FOUND,
    ))
}
