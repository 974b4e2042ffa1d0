//! What is asked over HTTP and gRPC, counted by route and status: never by the path that was asked for, of which there is no end.

use std::time::Duration;

use metrics::{Gauge, counter, gauge, histogram};
use orrery_supervisor::cluster::certificates;
use tokio_rustls::rustls::pki_types::CertificateDer;

use super::contract::{
    GRPC_REQUESTS, HTTP_CONNECTIONS, HTTP_EXPIRY, HTTP_REQUESTS, HTTP_SECONDS, HTTP_TURNED_AWAY,
};

/// A request was answered. `route` is `None` where nothing is served.
pub(crate) fn answered(method: &str, route: Option<&'static str>, status: u16, took: Duration) {
    let method = match method {
        "GET" => "GET",
        "HEAD" => "HEAD",
        "POST" => "POST",
        // Whatever a stranger writes there.
        _ => "other",
    };
    let route = route.unwrap_or("none");
    let labels = [("method", method.to_owned()), ("route", route.to_owned()), ("status", status.to_string())];
    counter!(HTTP_REQUESTS, &labels).increment(1);
    histogram!(HTTP_SECONDS, "route" => route).record(took.as_secs_f64());
}

/// A call over gRPC is over. `method` is `none` where there is no such method, `code` as gRPC names it.
pub(crate) fn called(method: &'static str, code: &'static str) {
    counter!(GRPC_REQUESTS, "method" => method, "code" => code).increment(1);
}

/// A listener is there.
pub(crate) fn listens(listener: &'static str) {
    counter!(HTTP_TURNED_AWAY, "listener" => listener).increment(0);
    gauge!(HTTP_CONNECTIONS, "listener" => listener).set(0.0);
}

/// A connection was closed at once.
pub(crate) fn turned_away(listener: &'static str) {
    counter!(HTTP_TURNED_AWAY, "listener" => listener).increment(1);
}

/// A connection that is open for as long as this is held.
pub(crate) struct Connected(Gauge);

impl Connected {
    /// One more.
    pub(crate) fn new(listener: &'static str) -> Self {
        let connections = gauge!(HTTP_CONNECTIONS, "listener" => listener);
        connections.increment(1.0);
        Self(connections)
    }

    /// Until it is served, or its task is ended.
    pub(crate) async fn during(self, served: impl Future<Output = ()>) {
        served.await;
    }
}

impl Drop for Connected {
    fn drop(&mut self) {
        self.0.decrement(1.0);
    }
}

/// The chain of certificates that is served from now on: it is as good as the first that runs out.
pub(crate) fn certificates(chain: &[CertificateDer<'_>]) {
    if let Some(expiry) = chain.iter().filter_map(|one| certificates::expiry(one)).min() {
        gauge!(HTTP_EXPIRY).set(expiry as f64);
    }
}
