//! Arrow Flight, and gRPC's own health, at the address of everything else: for readers that want record batches.
//!
//! In: gRPC requests of the listener, each of which stands in the table of [`methods`] and passes the gatekeeper. Out: what
//! there is (`ListFlights`, `GetFlightInfo`), and rows (`DoGet`): of a range of a table, or of the live feed without end. Each
//! message carries the cursor behind it, with which a reader goes on after any end; a ticket ([`ticket`]) is all that the
//! server knows of a reader. A stream is made by a task that waits until its messages are taken, and ends with the node.

pub(super) mod methods;
mod ticket;
mod endpoints;
mod turns;
mod outlet;
mod stored;
mod live;
mod service;
mod counted;
mod health;

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use arrow_flight::flight_service_server::FlightServiceServer;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;
use tonic::body::Body;
use tonic::codegen::Service;
use tonic::{Code, Status};
use tonic_health::pb::health_server::HealthServer;
use warp::http::header::CONTENT_TYPE;
use warp::http::{HeaderMap, Method, StatusCode};
use warp::hyper::body::Incoming;
use warp::hyper::{Request, Response};

use super::access::Gatekeeper;
use super::feed::Feed;
use super::problem::Problem;
use crate::readiness::Readiness;
use counted::counted;
use health::NodeHealth;
use outlet::Work;
use service::{Caller, Flights};

/// Longest message of a reader: a ticket, and what is around it.
const MESSAGE_BYTES_MAX: usize = ticket::TICKET_BYTES_MAX + (4 << 10);

/// Time for the head of an answer, from the head of a request on.
const ANSWER_WITHIN: Duration = Duration::from_secs(30);

/// Streams that have been asked for and are not yet made: they wait for a task, which takes no time.
const ARRIVALS_MAX: usize = 256;

/// Time for readers to be told that the node stops.
const STOP_WITHIN: Duration = Duration::from_secs(2);

/// What a node serves over gRPC.
pub(super) struct Grpc {
    flights: FlightServiceServer<Flights>,
    health: HealthServer<NodeHealth>,
    gatekeeper: Arc<Gatekeeper>,
    stopping: watch::Sender<bool>,
    /// Until it is served.
    arriving: Mutex<Option<mpsc::Receiver<Work>>>,
}

impl Grpc {
    /// Of a node, for whom the gatekeeper lets in.
    pub(super) fn new(
        readiness: &Arc<Readiness>,
        feed: &Arc<Feed>,
        gatekeeper: &Arc<Gatekeeper>,
    ) -> Arc<Self> {
        let (arrivals, arriving) = mpsc::channel(ARRIVALS_MAX);
        let stopping = watch::Sender::new(false);
        let flights = Flights::new(readiness.clone(), feed.clone(), arrivals, stopping.clone());
        let health = HealthServer::new(NodeHealth::new(readiness.clone()));
        Arc::new(Self {
            flights: FlightServiceServer::new(flights).max_decoding_message_size(MESSAGE_BYTES_MAX),
            health: health.max_decoding_message_size(MESSAGE_BYTES_MAX),
            gatekeeper: gatekeeper.clone(),
            stopping,
            arriving: Mutex::new(Some(arriving)),
        })
    }

    /// Makes streams, for ever; once.
    pub(super) async fn serve(&self) {
        let arriving = self.arriving.lock().unwrap_or_else(PoisonError::into_inner).take();
        let Some(mut arriving) = arriving else { return std::future::pending().await };
        let mut tasks = JoinSet::new();
        loop {
            tokio::select! {
                Some(work) = arriving.recv() => drop(tasks.spawn(work)),
                Some(_) = tasks.join_next(), if !tasks.is_empty() => {}
                else => return std::future::pending().await,
            }
        }
    }

    /// Ends all streams, each with the cursor to go on with, and waits a little until that is sent.
    pub(super) async fn stop(&self) {
        self.stopping.send_replace(true);
        // Streams and connections hold on to what they are told by.
        if tokio::time::timeout(STOP_WITHIN, self.stopping.closed()).await.is_err() {
            tracing::debug!("readers over HTTP/2 do not take that the node stops");
        }
    }

    /// Tells a connection when to end.
    pub(super) fn stopping(&self) -> watch::Receiver<bool> {
        self.stopping.subscribe()
    }

    /// Answers a request, or says why not.
    pub(super) async fn answer(&self, request: Request<Incoming>, peer: SocketAddr) -> Response<Body> {
        // Never the path that was asked for, of which there is no end.
        let method = methods::find(request.uri().path()).map_or("none", |method| method.path);
        let answer = match tokio::time::timeout(ANSWER_WITHIN, self.admitted(request, peer)).await {
            Ok(Ok(answer)) => answer,
            Ok(Err(status)) => status.into_http(),
            Err(_) => Status::deadline_exceeded("the request was not whole in time").into_http(),
        };
        counted(method, answer)
    }

    async fn admitted(
        &self,
        mut request: Request<Incoming>,
        peer: SocketAddr,
    ) -> Result<Response<Body>, Status> {
        let path = request.uri().path().to_owned();
        let Some(method) = methods::find(&path) else {
            let path: String = path.chars().take(100).collect();
            return Err(Status::unimplemented(format!("{path}: there is no such method here")));
        };
        let admitted = self.gatekeeper.admit(method.access, method.path, request.headers(), peer).await;
        let principal = admitted.map_err(|problem| status_of(&problem))?;
        request.extensions_mut().insert(Caller { peer, principal });
        let answer = match path.starts_with("/grpc.health.") {
            true => self.health.clone().call(request).await,
            false => self.flights.clone().call(request).await,
        };
        answer.map_err(|never| match never {})
    }
}

/// Whether a request is one of gRPC.
pub(super) fn is_grpc(method: &Method, headers: &HeaderMap) -> bool {
    let kind = headers.get(CONTENT_TYPE).map(|kind| kind.as_bytes());
    method == Method::POST && kind.is_some_and(|kind| kind.starts_with(b"application/grpc"))
}

/// A refusal as gRPC has it.
fn status_of(problem: &Problem) -> Status {
    let code = match problem.status {
        StatusCode::UNAUTHORIZED => Code::Unauthenticated,
        StatusCode::FORBIDDEN => Code::PermissionDenied,
        StatusCode::TOO_MANY_REQUESTS => Code::ResourceExhausted,
        StatusCode::SERVICE_UNAVAILABLE => Code::Unavailable,
        StatusCode::NOT_FOUND => Code::NotFound,
        StatusCode::BAD_REQUEST => Code::InvalidArgument,
        _ => Code::Internal,
    };
    Status::new(code, problem.detail.clone())
}

#[cfg(test)]
mod tests;
