//! What a node serves over HTTP: `/healthz` (the process turns), `/readyz` (it does its work), `/metrics`.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use metrics_exporter_prometheus::PrometheusHandle;
use tokio::net::TcpListener;
use warp::Filter;
use warp::http::StatusCode;

use crate::exit::Failure;

/// Media type of the text form of Prometheus.
const PROMETHEUS_TEXT: &str = "text/plain; version=0.0.4; charset=utf-8";

/// Serves for ever; ends at once where no address is given.
pub(crate) async fn serve(
    address: Option<SocketAddr>,
    metrics: PrometheusHandle,
    parked: Arc<AtomicBool>,
) -> Result<(), Failure> {
    let Some(address) = address else { return Ok(()) };
    let listener = TcpListener::bind(address).await.map_err(|error| {
        Failure::Unavailable(format!("node.http: listen on {address}: {error}; give another"))
    })?;
    // Port 0 is any that is free.
    let address = listener.local_addr().unwrap_or(address);
    tracing::info!(%address, "health and metrics are served");
    let health = warp::path!("healthz").map(|| "ok\n".to_owned());
    let ready = warp::path!("readyz").map(move || match parked.load(Ordering::Relaxed) {
        false => warp::reply::with_status("ready\n".to_owned(), StatusCode::OK),
        true => {
            warp::reply::with_status("a pipeline is parked\n".to_owned(), StatusCode::SERVICE_UNAVAILABLE)
        }
    });
    let metrics = warp::path!("metrics").map(move || {
        metrics.run_upkeep();
        warp::reply::with_header(metrics.render(), "content-type", PROMETHEUS_TEXT)
    });
    let routes = warp::get().and(health.or(ready).or(metrics)).recover(not_found);
    warp::serve(routes).incoming(listener).run().await;
    Ok(())
}

async fn not_found(_: warp::Rejection) -> Result<impl warp::Reply, Infallible> {
    Ok(warp::reply::with_status(
        "there is /healthz, /readyz and /metrics\n".to_owned(),
        StatusCode::NOT_FOUND,
    ))
}
