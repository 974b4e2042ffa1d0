//! What a node serves over HTTP: health, metrics, the API, the feed, the page, and rows over Arrow Flight.
//!
//! In: connections, each bounded in what it may hold and how long it may dawdle. Every request passes the router, which
//! knows for each route who may call it; a route that says nothing of that cannot be written down.

mod access;
mod dashboard;
mod describe;
pub(crate) mod feed;
mod flight;
mod health;
mod listener;
mod open_files;
mod openapi;
mod patience;
mod problem;
mod profile;
mod protocol;
mod request;
mod rest;
mod router;
mod tls;

#[cfg(test)]
mod damaged;
#[cfg(test)]
mod routes;

use std::net::SocketAddr;
use std::sync::Arc;

use futures::FutureExt;
use futures::future::{BoxFuture, pending, select_all};
use metrics_exporter_prometheus::PrometheusHandle;

use crate::audit::Audit;
use crate::exit::Failure;
use crate::readiness::Readiness;
use crate::settings::Settings;
pub(crate) use access::{AccessSettings, HashedToken, Role, new_token};
pub(crate) use feed::{Feed, PlaceLimits};
pub(crate) use listener::ListenerLimits;
pub(crate) use tls::TlsFiles;

use access::Gatekeeper;
use flight::Grpc;
use listener::Listener;
use router::{Endpoint, Router};
use tls::Tls;

/// What handlers read of the node. It is there before the node is: what is not there yet is answered with 503.
pub(crate) struct Api {
    readiness: Arc<Readiness>,
    metrics: PrometheusHandle,
    audit: Arc<Audit>,
}

impl Api {
    /// Of a node that begins.
    pub(crate) fn new(readiness: Arc<Readiness>, metrics: PrometheusHandle, audit: Arc<Audit>) -> Arc<Self> {
        Arc::new(Self { readiness, metrics, audit })
    }
}

/// Where it is served.
#[derive(Clone, Debug)]
pub(crate) struct ServeSettings {
    /// For everybody: health, API, feed, page.
    public: Option<SocketAddr>,
    /// For the operator's own machines: health, metrics, profiles.
    admin: Option<SocketAddr>,
    access: AccessSettings,
    tls: Option<TlsFiles>,
    limits: ListenerLimits,
    /// Bytes of answers that are kept.
    answer_bytes: usize,
}

impl ServeSettings {
    /// As configured.
    pub(crate) fn new(settings: &Settings) -> Self {
        Self {
            public: settings.http,
            admin: settings.admin,
            access: settings.access.clone(),
            tls: settings.tls.clone(),
            limits: settings.listener,
            answer_bytes: settings.look_ups.cache_bytes / 4,
        }
    }

    /// Of the feed: a connection that has become a socket is counted there.
    fn readers(&self) -> PlaceLimits {
        let ListenerLimits { connections_max, per_address_max } = self.limits;
        PlaceLimits { readers_max: connections_max, per_reader_max: per_address_max }
    }

    /// Where metrics are served: they tell more of a machine than everybody should know.
    fn metrics_are_public(&self) -> bool {
        self.admin.is_none() && self.public.is_some_and(|address| address.ip().is_loopback())
    }
}

/// All that is served to everybody.
fn public(settings: &ServeSettings, api: &Arc<Api>, feed: &Arc<Feed>) -> Vec<Endpoint> {
    let mut endpoints = health::endpoints(api);
    endpoints.extend(rest::endpoints(api, settings.answer_bytes));
    endpoints.extend(feed.endpoints());
    if settings.metrics_are_public() {
        endpoints.extend(health::metrics(api));
    }
    endpoints.push(feed::asyncapi::endpoint(rest::schemas()["Event"].clone()));
    openapi::add_to(&mut endpoints);
    // For people: no part of the API.
    endpoints.extend(dashboard::endpoints());
    endpoints
}

/// All that is served to the operator's own machines.
fn admin(api: &Arc<Api>) -> Vec<Endpoint> {
    health::endpoints(api).into_iter().chain(health::metrics(api)).chain(profile::endpoints()).collect()
}

/// Serves while `work` is done, from before it begins until it has ended; nowhere if no address is given.
///
/// # Errors
///
/// An address cannot be listened on, and then nothing is done; or those of `work`.
pub(crate) async fn beside<T>(
    settings: ServeSettings,
    api: Arc<Api>,
    work: impl Future<Output = Result<T, Failure>>,
) -> Result<T, Failure> {
    let mut served: Vec<BoxFuture<'_, ()>> = vec![pending().boxed()];
    served.push(api.readiness.reach.follow().boxed());
    let gatekeeper = Gatekeeper::new(&settings.access, &api.audit);
    let mut readers = None;
    if let Some(address) = settings.public {
        open_files::raise(settings.limits.connections_max);
        let feed = Feed::new(api.readiness.feed.clone(), settings.readers());
        let endpoints = public(&settings, &api, &feed);
        let listener = Listener::bind("node.http", address, settings.limits, settings.tls).await?;
        tracing::info!(address = %listener.address(), "health and metrics are served");
        let grpc = Grpc::new(&api.readiness, &feed, &gatekeeper);
        served.push(renew(api.clone(), gatekeeper.clone(), listener.tls()).boxed());
        let router = Router::new(endpoints)?;
        served.push(listener.serve(router, gatekeeper.clone(), Some(grpc.clone())).boxed());
        let (serves, streams) = (feed.clone(), grpc.clone());
        served.push(async move { serves.serve().await }.boxed());
        served.push(async move { streams.serve().await }.boxed());
        readers = Some((feed, grpc));
    }
    if let Some(address) = settings.admin {
        let endpoints = admin(&api);
        let listener = Listener::bind("node.admin", address, settings.limits, None).await?;
        tracing::info!(address = %listener.address(), "metrics are served");
        served.push(listener.serve(Router::new(endpoints)?, gatekeeper, None).boxed());
    }
    let mut served = select_all(served);
    let ended = || Err(Failure::Bug("HTTP is not served any more".to_owned()));
    let done = tokio::select! {
        done = work => done,
        _ = &mut served => return ended(),
    };
    // Readers go first, each with its place; then nobody is listened to any more.
    if let Some((feed, grpc)) = readers {
        tokio::select! {
            _ = async { tokio::join!(feed.close(), grpc.stop()) } => {}
            _ = &mut served => {}
        }
    }
    done
}

/// Takes up other tokens and certificates when the node is told to, for ever.
async fn renew(api: Arc<Api>, gatekeeper: Arc<Gatekeeper>, tls: Option<Arc<Tls>>) {
    let mut renewed = api.readiness.renewed.subscribe();
    while renewed.changed().await.is_ok() {
        let tokens = renewed.borrow_and_update().clone();
        gatekeeper.renew(tokens).await;
        if let Some(tls) = &tls {
            tls.renew();
        }
        tracing::info!("certificate and tokens are those of now");
    }
    pending().await
}
