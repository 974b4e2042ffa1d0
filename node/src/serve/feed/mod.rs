//! The live feed: ledger after ledger with the events that a reader wants, from wherever it was, without gap or duplicate.
//!
//! In: requests for `/v1/feed` (WebSocket) and `/v1/feed.sse` (server-sent events). Out: frames, each with the cursor that
//! goes on behind it. What a reader is owed is decided in [`session`], purely; ledgers and their encodings come from
//! [`orrery_actors::feed`]. A reader is a task of its own with a few hundred bytes, and ends with the node.

pub(super) mod asyncapi;
pub(super) mod message;
mod session;
pub(crate) mod wire;
mod outgoing;
mod connection;
pub(crate) mod handshake;
mod places;
mod sse;

use std::net::IpAddr;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures::FutureExt;
use futures::future::BoxFuture;
use hyper_util::rt::TokioIo;
use orrery_actors::feed::{Format, Hub};
use serde_json::json;
use tokio::sync::mpsc;
use tokio::task::JoinSet;

use super::access::{Access, Principal, Role};
use super::problem::Problem;
use super::request::Request;
use super::rest;
use super::router::{Answer, Endpoint};
use crate::wall_clock;
use connection::{Connection, ConnectionSettings};
use places::Places;
use session::SessionLimits;

pub(super) use places::Place;
pub(crate) use places::PlaceLimits;

/// Connections that have shaken hands and are not yet served: they wait for a task, which takes no time.
const ARRIVALS_MAX: usize = 1_024;

/// Subscriptions of a connection. Each costs a look at every ledger.
const SUBSCRIPTIONS_MAX: usize = 16;

/// Messages of a connection in a tick.
const MESSAGES_PER_TICK_MAX: u32 = 100;

/// The unit of all deadlines of a connection: a frame is taken within three, and who says nothing for three is asked
/// whether it lives.
const TICK: Duration = Duration::from_secs(10);

/// Time for readers to take their last frames when the node ends, and between two looks whether they have.
const CLOSE_WITHIN: Duration = Duration::from_secs(3);
const CLOSE_LOOK: Duration = Duration::from_millis(10);

/// A connection that is to be served.
type Arrival = BoxFuture<'static, ()>;

/// The feed of a node.
pub(crate) struct Feed {
    hub: Arc<Hub>,
    places: Arc<Places>,
    arrivals: mpsc::Sender<Arrival>,
    /// Until it is served.
    arriving: Mutex<Option<mpsc::Receiver<Arrival>>>,
}

impl Feed {
    /// Of what the node processes and stores.
    pub(crate) fn new(hub: Arc<Hub>, limits: PlaceLimits) -> Arc<Self> {
        let (arrivals, arriving) = mpsc::channel(ARRIVALS_MAX);
        let places = Places::new(limits, hub.clone());
        Arc::new(Self { hub, places, arrivals, arriving: Mutex::new(Some(arriving)) })
    }

    /// What it answers.
    pub(crate) fn endpoints(self: &Arc<Self>) -> Vec<Endpoint> {
        let (socket, events) = (self.clone(), self.clone());
        vec![
            Endpoint::get(
                "/v1/feed",
                Access::Of(Role::Viewer),
                "The live feed as a WebSocket",
                move |request| std::future::ready(socket.connect(&request)),
            )
            .takes(vec![rest::frames()])
            .upgrades(),
            Endpoint::get(
                "/v1/feed.sse",
                Access::Of(Role::Viewer),
                "The live feed as server-sent events",
                move |request| std::future::ready(events.stream(&request)),
            )
            .takes(rest::subscription())
            .gives("text/event-stream", json!({ "type": "string" })),
        ]
    }

    /// Follows the dataset and serves connections, for ever; once.
    pub(crate) async fn serve(&self) {
        let arriving = self.arriving.lock().unwrap_or_else(PoisonError::into_inner).take();
        let Some(mut arriving) = arriving else { return std::future::pending().await };
        let connections = async {
            let mut tasks = JoinSet::new();
            loop {
                tokio::select! {
                    arrival = arriving.recv() => match arrival {
                        Some(arrival) => drop(tasks.spawn(arrival)),
                        None => return,
                    },
                    Some(_) = tasks.join_next(), if !tasks.is_empty() => {}
                }
            }
        };
        tokio::join!(self.hub.follow(), connections);
    }

    /// Has every reader go on elsewhere, and waits until they have gone, for a while: who does not read is not waited for.
    pub(crate) async fn close(&self) {
        self.hub.close();
        let gone = async {
            while self.hub.counts.connections.load(Ordering::Relaxed) > 0 {
                tokio::time::sleep(CLOSE_LOOK).await;
            }
        };
        if tokio::time::timeout(CLOSE_WITHIN, gone).await.is_err() {
            tracing::debug!("some readers do not close, they are closed on");
        }
    }

    fn connect(&self, request: &Request) -> Answer {
        let mut format = Format::Json;
        for (name, value) in &request.query {
            format = match (name.as_str(), value.as_str()) {
                ("format", "json") => Format::Json,
                ("format", "arrow") => Format::Arrow,
                ("format", _) => return Err(Problem::parameter("format", "give json or arrow")),
                (other, _) => {
                    let other: String = other.chars().take(40).collect();
                    let fix = "is unknown: give format, and the rest in a message after connecting";
                    return Err(Problem::parameter(&other, fix));
                }
            };
        }
        let (response, upgrade) = handshake::accept(request)?;
        let place = self.place(request.peer.ip(), &request.principal)?;
        let (hub, room) = (self.hub.clone(), request.room.clone());
        let settings = ConnectionSettings {
            format,
            session: SessionLimits {
                subscriptions_max: SUBSCRIPTIONS_MAX,
                messages_per_tick_max: MESSAGES_PER_TICK_MAX,
            },
            tick: TICK,
            now_ms: wall_clock::milliseconds,
        };
        let served = async move {
            let _place = place;
            // The answer may never reach the other end.
            if let Ok(Ok(upgraded)) = tokio::time::timeout(TICK, upgrade).await {
                Connection::new(TokioIo::new(upgraded), hub, room, settings).run(&[]).await;
            }
        };
        let full = || Problem::unavailable("too many readers connect at once: try again", 1);
        self.arrivals.try_send(served.boxed()).map_err(|_| full())?;
        Ok(response)
    }

    fn stream(&self, request: &Request) -> Answer {
        sse::answer(&self.hub, request, self.place(request.peer.ip(), &request.principal)?)
    }

    /// A place for a reader, until it is dropped.
    pub(super) fn place(&self, address: IpAddr, principal: &Principal) -> Result<Place, Problem> {
        if self.hub.tips_now().is_over {
            return Err(Problem::unavailable("this node ends: go on at another one", 1));
        }
        self.places.take(principal.names(address))
    }
}
