//! Connections: accepted up to a bound, each served by a task of its own that ends with the listener.
//!
//! HTTP/1.1, and HTTP/2 where gRPC is served.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures::future::BoxFuture;
use futures::{FutureExt, Stream, StreamExt, TryStreamExt};
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use orrery_supervisor::{Clock, SystemClock};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::{Id, JoinSet};
use tokio_rustls::TlsAcceptor;
use tonic::body::Body;
use warp::http::{HeaderMap, HeaderValue, Method, header};
use warp::hyper::body::Incoming;
use warp::hyper::server::conn::http1;
use warp::hyper::service::{Service, service_fn};
use warp::hyper::upgrade::OnUpgrade;
use warp::path::FullPath;
use warp::reply::{Reply, Response};
use warp::{Buf, Filter};

use super::access::{Gatekeeper, network_of};
use super::flight::Grpc;
use super::patience::{OverTcp, Patient, Room};
use super::problem::Problem;
use super::protocol::{Begun, Pace, Protocol, http2};
use super::request::{Request, pairs};
use super::router::Router;
use super::tls::{Tls, TlsFiles};
use crate::exit::Failure;
use crate::telemetry::requests::{self, Connected};

/// Time for the head of a request, from when the connection is there or its last answer was sent.
const HEAD_WITHIN: Duration = Duration::from_secs(15);

/// Time in which a client has to take some byte of an answer.
const TAKE_WITHIN: Duration = Duration::from_secs(30);

/// Time for the body of a request, which is small.
const BODY_WITHIN: Duration = Duration::from_secs(15);

/// Bytes of a request's head, and of what is read ahead.
const HEAD_BYTES_MAX: usize = 16 << 10;

/// Headers of a request.
const HEADERS_MAX: usize = 64;

/// Bytes of a request's body.
const BODY_BYTES_MAX: usize = 64 << 10;

/// Bytes that wait in the system beside those on their way. Left to it, they are megabytes for each connection that is not
/// read: nobody would be found too slow for minutes, and a thousand of those would take gigabytes.
#[cfg(target_os = "linux")]
const UNSENT_BYTES_MAX: u32 = 128 << 10;

/// Accepting rests when the process has no file descriptor left: trying on would spin.
const EXHAUSTED_PAUSE: Duration = Duration::from_millis(100);

/// What a listener holds at most.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct ListenerLimits {
    /// Connections; more wait to be accepted.
    pub(crate) connections_max: usize,
    /// Connections from one address; further ones are closed.
    pub(crate) per_address_max: usize,
}

/// A socket that is listened on.
pub(super) struct Listener {
    /// The key of the configuration, for counts.
    name: &'static str,
    socket: TcpListener,
    address: SocketAddr,
    limits: ListenerLimits,
    tls: Option<Arc<Tls>>,
}

/// Who sent a request.
#[derive(Clone, Copy)]
struct Peer(SocketAddr);

impl Listener {
    /// Listens at `address`, which `key` of the configuration names; port 0 is any that is free.
    ///
    /// # Errors
    ///
    /// The address is taken, or not of this machine; or there is no such certificate.
    pub(super) async fn bind(
        key: &'static str,
        address: SocketAddr,
        limits: ListenerLimits,
        tls: Option<TlsFiles>,
    ) -> Result<Self, Failure> {
        let tls = tls.map(Tls::new).transpose()?.map(Arc::new);
        let socket = TcpListener::bind(address).await.map_err(|error| {
            Failure::Unavailable(format!("{key}: listen on {address}: {error}; give another"))
        })?;
        let address = socket.local_addr().unwrap_or(address);
        requests::listens(key);
        Ok(Self { name: key, socket, address, limits, tls })
    }

    /// Its certificate, if it has one.
    pub(super) fn tls(&self) -> Option<Arc<Tls>> {
        self.tls.clone()
    }

    /// Where it listens.
    pub(super) fn address(&self) -> SocketAddr {
        self.address
    }

    /// Answers requests for ever.
    pub(super) async fn serve(self, router: Router, gatekeeper: Arc<Gatekeeper>, grpc: Option<Arc<Grpc>>) {
        let served = Served { router: Arc::new(router), gatekeeper, grpc, clock: SystemClock::new() };
        let mut tasks = JoinSet::new();
        let mut held = Held::default();
        loop {
            let has_room = tasks.len() < self.limits.connections_max;
            let accepted = tokio::select! {
                ended = tasks.join_next_with_id(), if !tasks.is_empty() => {
                    held.ended(ended.map(|ended| ended.map_or_else(|error| error.id(), |(id, ())| id)));
                    continue;
                }
                accepted = self.socket.accept(), if has_room => accepted,
            };
            let (stream, peer) = match accepted {
                Ok(accepted) => accepted,
                Err(error) => {
                    tracing::debug!(%error, "a connection was not accepted");
                    tokio::time::sleep(EXHAUSTED_PAUSE).await;
                    continue;
                }
            };
            // Frames are small and each is whole: waiting for more would only be late.
            if let Err(error) = stream.set_nodelay(true) {
                tracing::debug!(%error, "a connection sends with delay");
            }
            bound_unsent(&stream);
            if held.of(peer.ip()) >= self.limits.per_address_max {
                tracing::debug!(%peer, "closed: too many connections from there");
                requests::turned_away(self.name);
                continue;
            }
            let (served, connected) = (served.clone(), Connected::new(self.name));
            let id = match self.tls.as_ref().map(|tls| tls.acceptor()) {
                None => tasks.spawn(connected.during(connection(stream, peer, served))).id(),
                Some(acceptor) => tasks.spawn(connected.during(secured(acceptor, stream, peer, served))).id(),
            };
            held.begun(id, peer.ip());
        }
    }
}

/// Keeps what the system holds for somebody who does not read small, so that it is soon known who that is.
pub(super) fn bound_unsent(stream: &TcpStream) {
    #[cfg(target_os = "linux")]
    if let Err(error) = socket2::SockRef::from(stream).set_tcp_notsent_lowat(UNSENT_BYTES_MAX) {
        tracing::debug!(%error, "a connection's unsent bytes are not bounded");
    }
    #[cfg(not(target_os = "linux"))]
    let _ = stream;
}

/// Connections of each address, and of each network of IPv6: who has one address there has them all.
#[derive(Default)]
struct Held {
    addresses: BTreeMap<IpAddr, usize>,
    of_task: std::collections::HashMap<Id, IpAddr>,
}

impl Held {
    fn of(&self, address: IpAddr) -> usize {
        self.addresses.get(&network_of(address)).copied().unwrap_or(0)
    }

    fn begun(&mut self, task: Id, address: IpAddr) {
        let address = network_of(address);
        *self.addresses.entry(address).or_default() += 1;
        self.of_task.insert(task, address);
    }

    fn ended(&mut self, task: Option<Id>) {
        let Some(address) = task.and_then(|task| self.of_task.remove(&task)) else { return };
        if let Some(count) = self.addresses.get_mut(&address) {
            *count -= 1;
            if *count == 0 {
                self.addresses.remove(&address);
            }
        }
    }
}

/// What a listener's connections are served.
#[derive(Clone)]
struct Served {
    router: Arc<Router>,
    gatekeeper: Arc<Gatekeeper>,
    /// `None` where only HTTP/1.1 is spoken.
    grpc: Option<Arc<Grpc>>,
    clock: SystemClock,
}

/// Serves one connection over TLS, once its handshake is done.
async fn secured(acceptor: TlsAcceptor, stream: TcpStream, peer: SocketAddr, served: Served) {
    match tokio::time::timeout(HEAD_WITHIN, acceptor.accept(stream)).await {
        Ok(Ok(stream)) => connection(stream, peer, served).await,
        Ok(Err(error)) => tracing::debug!(%peer, %error, "a handshake failed"),
        Err(_) => tracing::debug!(%peer, "a handshake did not end in time"),
    }
}

/// Serves one connection in whatever it speaks.
async fn connection(
    stream: impl AsyncRead + AsyncWrite + OverTcp + Unpin + Send + 'static,
    peer: SocketAddr,
    served: Served,
) {
    let room = Room::default();
    let stream = Patient::new(stream, TAKE_WITHIN, room.clone());
    let Some(grpc) = served.grpc.clone() else { return http1(stream, peer, room, served).await };
    match tokio::time::timeout(HEAD_WITHIN, Begun::new(stream)).await {
        Ok(Ok((Protocol::Http1, stream))) => http1(stream, peer, room, served).await,
        // Large, and few have it: the others' tasks need not have room for it.
        Ok(Ok((Protocol::Http2, stream))) => http2_boxed(stream, peer, served, grpc).await,
        Ok(Err(error)) => tracing::debug!(%peer, %error, "a connection ended before it began"),
        Err(_) => tracing::debug!(%peer, "a connection did not begin in time"),
    }
}

/// Serves one connection in HTTP/1.1 until it is closed, or goes on in another protocol.
async fn http1(
    stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    peer: SocketAddr,
    room: Room,
    served: Served,
) {
    let filter = requests().then(move |request| {
        let served = served.clone();
        async move { answer(request, &served).await }
    });
    let service = TowerToHyperService::new(warp::service(filter));
    let service = service_fn(move |mut request: warp::hyper::Request<_>| {
        request.extensions_mut().insert(Peer(peer));
        request.extensions_mut().insert(room.clone());
        Service::call(&service, request)
    });
    let served = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_WITHIN)
        .max_headers(HEADERS_MAX)
        .max_buf_size(HEAD_BYTES_MAX)
        .serve_connection(TokioIo::new(stream), service)
        .with_upgrades();
    if let Err(error) = served.await {
        tracing::debug!(%peer, %error, "a connection ended badly");
    }
}

/// Serves one connection in HTTP/2.
fn http2_boxed(
    stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    peer: SocketAddr,
    served: Served,
    grpc: Arc<Grpc>,
) -> BoxFuture<'static, ()> {
    let filter = requests().then(move |request| {
        let served = served.clone();
        async move { answer(request, &served).await }
    });
    let service = TowerToHyperService::new(warp::service(filter));
    let http = move |mut request: warp::hyper::Request<Incoming>| {
        request.extensions_mut().insert(Peer(peer));
        let answered = Service::call(&service, request);
        async move { answered.await.map_or_else(|never| match never {}, |answer| answer.map(Body::new)) }
    };
    http2(stream, peer, Pace::USUAL, grpc, http).boxed()
}

/// A request before it is looked at.
struct Raw {
    method: Method,
    path: FullPath,
    query: String,
    headers: HeaderMap,
    peer: Peer,
    room: Room,
    upgrade: Option<OnUpgrade>,
    body: std::pin::Pin<Box<dyn Stream<Item = Result<Bytes, warp::Error>> + Send>>,
}

/// Every request.
fn requests() -> impl Filter<Extract = (Raw,), Error = warp::Rejection> + Clone {
    let query = warp::query::raw().or(warp::any().map(String::new)).unify();
    let upgrade = warp::ext::optional::<OnUpgrade>();
    let (peer, room) = (warp::ext::optional::<Peer>(), warp::ext::optional::<Room>());
    warp::method()
        .and(warp::path::full())
        .and(query)
        .and(warp::header::headers_cloned())
        .and(peer)
        .and(room)
        .and(upgrade)
        .and(warp::body::stream())
        .map(|method, path, query, headers, peer: Option<Peer>, room: Option<Room>, upgrade, body| {
            let peer = peer.unwrap_or(Peer(SocketAddr::from(([0, 0, 0, 0], 0))));
            let body = TryStreamExt::map_ok(body, whole);
            let room = room.unwrap_or_default();
            Raw { method, path, query, headers, peer, room, upgrade, body: body.boxed() }
        })
}

/// A part of a body as one run of bytes.
fn whole(mut part: impl Buf) -> Bytes {
    part.copy_to_bytes(part.remaining())
}

async fn answer(raw: Raw, served: &Served) -> Response {
    let Served { router, gatekeeper, clock, .. } = served;
    let (method, began) = (raw.method.clone(), clock.now());
    let is_head = method == Method::HEAD;
    let route = router.find(&method, raw.path.as_str()).ok().map(|(endpoint, _)| endpoint.path);
    let answered = handled(raw, router, gatekeeper).await;
    let mut response = answered.unwrap_or_else(Reply::into_response);
    requests::answered(method.as_str(), route, response.status().as_u16(), clock.now().since(began));
    secure(response.headers_mut());
    if is_head {
        // Its length stays in the header.
        let (parts, _) = response.into_parts();
        return Response::from_parts(parts, Bytes::new().into());
    }
    response
}

async fn handled(raw: Raw, router: &Router, gatekeeper: &Gatekeeper) -> Result<Response, Problem> {
    let path = raw.path.as_str().to_owned();
    let (endpoint, path_values) = router.find(&raw.method, &path)?;
    let principal = gatekeeper.admit(endpoint.access, endpoint.path, &raw.headers, raw.peer.0).await?;
    let has_body = !matches!(raw.method, Method::GET | Method::HEAD);
    let mut request = Request {
        query: pairs(&raw.query)?,
        path,
        path_values,
        headers: raw.headers,
        peer: raw.peer.0,
        room: raw.room,
        principal,
        upgrade: raw.upgrade,
        body: Bytes::new(),
    };
    if has_body {
        request.body = whole_body(raw.body, BODY_WITHIN).await?;
    }
    (endpoint.handler)(request).await
}

async fn whole_body<E: std::fmt::Display>(
    parts: impl Stream<Item = Result<Bytes, E>> + Unpin,
    within: Duration,
) -> Result<Bytes, Problem> {
    let late = |_| Problem::parameter("body", format_args!("was not whole within {within:?}"));
    tokio::time::timeout(within, body(parts)).await.map_err(late)?
}

async fn body<E: std::fmt::Display>(
    mut parts: impl Stream<Item = Result<Bytes, E>> + Unpin,
) -> Result<Bytes, Problem> {
    let mut body = Vec::new();
    while let Some(part) = parts.try_next().await.map_err(|error| Problem::parameter("body", error))? {
        body.extend_from_slice(&part);
        if body.len() > BODY_BYTES_MAX {
            return Err(Problem::parameter("body", format_args!("has over {BODY_BYTES_MAX} bytes")));
        }
    }
    Ok(body.into())
}

/// What every answer says to browsers, unless it says more itself.
fn secure(headers: &mut HeaderMap) {
    let fixed = [
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::REFERRER_POLICY, "no-referrer"),
        (header::X_FRAME_OPTIONS, "DENY"),
        (header::CONTENT_SECURITY_POLICY, "default-src 'none'; frame-ancestors 'none'"),
    ];
    for (name, value) in fixed {
        headers.entry(name).or_insert(HeaderValue::from_static(value));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Without the bound a reader that takes nothing would have megabytes in the system: it is what finds out who is slow.
    #[cfg(target_os = "linux")]
    #[tokio::test]
    async fn what_the_system_keeps_unsent_is_bounded() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let connected = TcpStream::connect(listener.local_addr().unwrap());
        let (client, accepted) = tokio::join!(connected, listener.accept());
        let (server, _) = accepted.unwrap();
        bound_unsent(&server);
        let bound = |stream: &TcpStream| socket2::SockRef::from(stream).tcp_notsent_lowat().unwrap();
        assert_eq!(bound(&server), UNSENT_BYTES_MAX);
        assert_ne!(bound(&client.unwrap()), UNSENT_BYTES_MAX);
    }

    #[tokio::test]
    async fn a_body_that_stops_or_does_not_end_is_refused() {
        use futures::stream::{iter, pending, repeat};
        let soon = Duration::from_millis(20);
        let part = |bytes: &'static [u8]| Ok::<_, std::io::Error>(Bytes::from_static(bytes));
        let all = whole_body(iter([part(b"{"), part(b"}")]), BODY_WITHIN).await.unwrap();
        assert_eq!(&all[..], b"{}");
        let stops = iter([part(b"{")]).chain(pending());
        let problem = whole_body(stops, soon).await.unwrap_err();
        assert!(problem.detail.contains("not whole within 20ms"), "{}", problem.detail);
        let endless = repeat(Bytes::from_static(&[b' '; 1_000])).map(Ok::<_, std::io::Error>);
        let problem = whole_body(endless, BODY_WITHIN).await.unwrap_err();
        assert!(problem.detail.contains("over 65536 bytes"), "{}", problem.detail);
    }
}
