//! The Flight service of a node: serves stages to pipelines of other nodes by `DoExchange`. What else Flight has is served
//! by whoever composes the node, or not at all.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use arrow_flight::flight_service_server::{FlightService, FlightServiceServer};
use arrow_flight::{
    Action, ActionType, Criteria, Empty, FlightData, FlightDescriptor, FlightInfo, HandshakeRequest,
    HandshakeResponse, PollInfo, PutResult, SchemaResult, Ticket,
};
use futures::future::BoxFuture;
use futures::stream::BoxStream;
use futures::{FutureExt, Stream, StreamExt};
use orrery_schemas::LedgerSequence;
use orrery_supervisor::{ChildSpec, Clock, ErrorClass, ExitError};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc, watch};
use tokio_stream::wrappers::ReceiverStream;
use tonic::transport::{Endpoint, Server};
use tonic::{Extensions, Request, Response, Status, Streaming};

use super::admission::Admission;
use super::error::{ExchangeError, status_of};
use super::header_wire::{Body, Opening, Wanted};
use super::limits::{ExchangeLimits, MESSAGE_BYTES_MAX, OUTGOING_FRAMES, is_window};
use super::link::{Incoming, Link, LinkEvent, LinkTask, Outgoing};
use super::meter::{ExchangeMeter, StreamMeter};
use super::node_link::TraceContext;
use super::relay::{Stage, StageKind};
use super::served_fetcher::ServedFetcher;
use super::served_sink::ServedSink;
use super::window::ReceiveWindow;
use crate::sink::OnCheckpoint;

/// Window of HTTP/2 for one stream: a frame of usual size. More is held by tonic before it is measured.
const STREAM_WINDOW_BYTES: u32 = 4 << 20;

/// Window of HTTP/2 for one connection, of all its streams.
const CONNECTION_WINDOW_BYTES: u32 = 16 << 20;

/// Bytes of a frame of HTTP/2: the 16 KiB that are usual cost a system call each. A credit or a ping waits for one frame.
const HTTP_FRAME_BYTES_MAX: u32 = 256 << 10;

/// How often a connection without frames is asked whether it is there, and how long it may take to answer.
const KEEPALIVE_EVERY: Duration = Duration::from_secs(5);
const KEEPALIVE_WITHIN: Duration = Duration::from_secs(5);

/// Makes the stage that another node asks for, or refuses. The extensions are of the request: who asks, as the transport
/// has proven it. A sink is to tell the last argument of its checkpoints.
pub type MakeStage =
    Arc<dyn Fn(&Opening, &Extensions, OnCheckpoint) -> Result<ChildSpec, ExitError> + Send + Sync>;

/// The answer to a method that streams.
pub type Answer<T> = BoxFuture<'static, Result<Response<BoxStream<'static, Result<T, Status>>>, Status>>;

/// Serves `DoAction`.
pub type DoAction = Arc<dyn Fn(Request<Action>) -> Answer<arrow_flight::Result> + Send + Sync>;

/// Serves `ListActions`.
pub type ListActions = Arc<dyn Fn(Request<Empty>) -> Answer<ActionType> + Send + Sync>;

/// Serves `DoGet`.
pub type DoGet = Arc<dyn Fn(Request<Ticket>) -> Answer<FlightData> + Send + Sync>;

/// What of Flight is served beside the exchange.
#[derive(Clone, Default)]
pub struct FlightHandlers {
    /// Inspection.
    pub do_action: Option<DoAction>,
    /// Its list.
    pub list_actions: Option<ListActions>,
    /// Tables and the live feed.
    pub do_get: Option<DoGet>,
}

/// What the service is made from.
#[derive(Clone)]
pub struct ExchangeSettings {
    /// Makes stages.
    pub make_stage: MakeStage,
    /// Bounds of each stream; a peer that asks for a larger window is refused.
    pub limits: ExchangeLimits,
    /// Streams that are served at a time, those of the earliest ledgers; as many again may be about to say what they want.
    /// Memory: as many times the greater of [`ExchangeLimits::receiver_bytes_max`] and
    /// [`ExchangeLimits::sender_bytes_max`].
    pub streams_max: usize,
    /// Trace context of batches.
    pub traces: TraceContext,
    /// Counts over all streams.
    pub meter: Arc<ExchangeMeter>,
    /// Time, for the trees of stages.
    pub clock: Arc<dyn Clock>,
    /// Seed of their jitter.
    pub seed: u64,
}

/// The service.
#[derive(Clone)]
pub struct ExchangeService {
    settings: Arc<ExchangeSettings>,
    handlers: FlightHandlers,
    serving: Serving,
}

/// How many streams there are.
#[derive(Clone)]
struct Serving {
    /// That have not said what they want.
    unopened: Arc<Semaphore>,
    admission: Admission,
    /// At work: one that gives way to another may still end its message.
    at_work: Arc<Semaphore>,
}

/// Windows and keepalive of connections to other nodes.
pub fn tuned_endpoint(endpoint: Endpoint) -> Endpoint {
    endpoint
        .initial_stream_window_size(STREAM_WINDOW_BYTES)
        .initial_connection_window_size(CONNECTION_WINDOW_BYTES)
        .max_frame_size(HTTP_FRAME_BYTES_MAX)
        .http2_keep_alive_interval(KEEPALIVE_EVERY)
        .keep_alive_timeout(KEEPALIVE_WITHIN)
        .tcp_nodelay(true)
}

/// Windows and keepalive of connections from other nodes.
pub fn tuned_server(server: Server) -> Server {
    server
        .initial_stream_window_size(STREAM_WINDOW_BYTES)
        .initial_connection_window_size(CONNECTION_WINDOW_BYTES)
        .max_frame_size(HTTP_FRAME_BYTES_MAX)
        .http2_keepalive_interval(Some(KEEPALIVE_EVERY))
        .http2_keepalive_timeout(Some(KEEPALIVE_WITHIN))
        .tcp_nodelay(true)
}

impl ExchangeService {
    /// A service of these stages.
    pub fn new(settings: ExchangeSettings, handlers: FlightHandlers) -> Self {
        let serving = Serving {
            unopened: Arc::new(Semaphore::new(settings.streams_max)),
            admission: Admission::new(settings.streams_max),
            at_work: Arc::new(Semaphore::new(settings.streams_max)),
        };
        Self { settings: Arc::new(settings), handlers, serving }
    }

    /// The service with the limits of its messages, for a server.
    pub fn into_server(self) -> FlightServiceServer<Self> {
        FlightServiceServer::new(self)
            .max_decoding_message_size(MESSAGE_BYTES_MAX)
            .max_encoding_message_size(MESSAGE_BYTES_MAX)
    }

    /// Serves one stream, as `do_exchange` does. Dropping what it gives ends it, and the stage with it.
    ///
    /// # Errors
    ///
    /// As many streams as may be have not said what they want.
    pub fn serve(&self, incoming: Incoming, extensions: Extensions) -> Result<ServedStream, Status> {
        let unopened = self.serving.unopened.clone().try_acquire_owned().map_err(|_| {
            let streams_max = self.settings.streams_max;
            Status::resource_exhausted(format!("{streams_max} streams have not said what they want"))
        })?;
        let (outgoing, frames) = mpsc::channel(OUTGOING_FRAMES);
        let last = outgoing.clone();
        let asked = Asked { incoming, outgoing, extensions, unopened };
        let work = serve(self.settings.clone(), self.serving.clone(), asked).boxed();
        let task = LinkTask::start(work, move |outcome| {
            let status = outcome.err().map(|error| {
                tracing::warn!(%error, "a stage for another node ended");
                status_of(&error)
            });
            async move {
                if let Some(status) = status {
                    // Nobody is told if the other end has gone.
                    let _ = last.send(Err(status)).await;
                }
            }
            .boxed()
        });
        Ok(ServedStream { frames: ReceiverStream::new(frames), _task: task })
    }
}

/// What goes to the other node. Holds the stage.
pub struct ServedStream {
    frames: ReceiverStream<Result<FlightData, Status>>,
    _task: LinkTask,
}

impl Stream for ServedStream {
    type Item = Result<FlightData, Status>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.frames.poll_next_unpin(context)
    }
}

/// A stream as it comes.
struct Asked {
    incoming: Incoming,
    outgoing: Outgoing,
    extensions: Extensions,
    unopened: OwnedSemaphorePermit,
}

/// One stream, from its first frame to its end.
async fn serve(settings: Arc<ExchangeSettings>, serving: Serving, asked: Asked) -> Result<(), ExitError> {
    let limits = settings.limits;
    let Asked { incoming, outgoing, extensions, unopened } = asked;
    let mut link = Link::new("that asks".to_owned(), None, incoming, outgoing, &limits);
    let late = |_| {
        let reason = format!("no stage was asked for within {:?}", limits.open_within);
        ExitError::new(ErrorClass::Unavailable, reason)
    };
    let opening = match tokio::time::timeout(limits.open_within, link.next()).await.map_err(late)?? {
        LinkEvent::Arrived(arrived) => match arrived.body {
            Body::Open(opening) => opening,
            body => return Err(link.unexpected(&body)),
        },
        LinkEvent::Idle | LinkEvent::Ended => return Ok(()),
    };
    link.rename(format!("that processes {}", opening.pipeline));
    drop(unopened);
    let mut place = serving.admission.enter(opening.from)?;
    let at_work = tokio::time::timeout(limits.open_within, serving.at_work.acquire_owned());
    let _at_work = at_work.await.map_err(|_| {
        ExitError::new(ErrorClass::Unavailable, "the stream that was to give way to this one has not ended")
    })?;
    tokio::select! {
        ended = serve_stage(settings, &mut link, opening, extensions) => ended,
        taken = place.taken() => Err(taken),
    }
}

/// The stage that was asked for, until it ends or its stream does.
async fn serve_stage(
    settings: Arc<ExchangeSettings>,
    link: &mut Link,
    opening: Opening,
    extensions: Extensions,
) -> Result<(), ExitError> {
    let limits = settings.limits;
    let window_bytes = opening.window_bytes;
    if !is_window(window_bytes) || window_bytes > limits.window_bytes() {
        let (max, reason) = (limits.window_bytes(), "give both nodes the same");
        let reason =
            format!("a window of {window_bytes} bytes was asked for, this node gives {max}: {reason}");
        return Err(ExitError::new(ErrorClass::Invalid, reason));
    }
    let (told, durable) = watch::channel(None::<LedgerSequence>);
    let on_checkpoint: OnCheckpoint = Arc::new(move |ledger| {
        told.send_replace(Some(ledger));
    });
    let child = (settings.make_stage)(&opening, &extensions, on_checkpoint)?;
    let (meter, traces) = (StreamMeter::new(settings.meter.clone()), settings.traces.clone());
    let kind = match opening.wanted {
        Wanted::Fetch { .. } => StageKind::Fetcher,
        Wanted::Sink { .. } => StageKind::Sink,
    };
    let name = format!("served/{}", opening.pipeline);
    let stage = Stage::start(name, kind, child, settings.clock.clone(), settings.seed).await?;
    match kind {
        StageKind::Fetcher => {
            let fetcher = ServedFetcher::new(window_bytes, limits.compression, traces, meter);
            fetcher.run(link, stage).await
        }
        StageKind::Sink => {
            let window = ReceiveWindow::new(window_bytes)
                .ok_or_else(|| link.of(ExchangeError::Credit("no window")))?;
            ServedSink::new(window, traces, meter).run(link, stage, durable).await
        }
    }
}

/// A method that is not served.
fn absent<T>(method: &str) -> Result<T, Status> {
    Err(Status::unimplemented(format!("{method} is not served by this node")))
}

#[tonic::async_trait]
impl FlightService for ExchangeService {
    type HandshakeStream = BoxStream<'static, Result<HandshakeResponse, Status>>;
    type ListFlightsStream = BoxStream<'static, Result<FlightInfo, Status>>;
    type DoGetStream = BoxStream<'static, Result<FlightData, Status>>;
    type DoPutStream = BoxStream<'static, Result<PutResult, Status>>;
    type DoExchangeStream = ServedStream;
    type DoActionStream = BoxStream<'static, Result<arrow_flight::Result, Status>>;
    type ListActionsStream = BoxStream<'static, Result<ActionType, Status>>;

    async fn do_exchange(
        &self,
        request: Request<Streaming<FlightData>>,
    ) -> Result<Response<ServedStream>, Status> {
        let (_, extensions, incoming) = request.into_parts();
        self.serve(incoming.boxed(), extensions).map(Response::new)
    }

    async fn do_action(&self, request: Request<Action>) -> Result<Response<Self::DoActionStream>, Status> {
        match &self.handlers.do_action {
            Some(handler) => handler(request).await,
            None => absent("DoAction"),
        }
    }

    async fn list_actions(
        &self,
        request: Request<Empty>,
    ) -> Result<Response<Self::ListActionsStream>, Status> {
        match &self.handlers.list_actions {
            Some(handler) => handler(request).await,
            None => absent("ListActions"),
        }
    }

    async fn do_get(&self, request: Request<Ticket>) -> Result<Response<Self::DoGetStream>, Status> {
        match &self.handlers.do_get {
            Some(handler) => handler(request).await,
            None => absent("DoGet"),
        }
    }

    async fn handshake(
        &self,
        _: Request<Streaming<HandshakeRequest>>,
    ) -> Result<Response<Self::HandshakeStream>, Status> {
        absent("Handshake")
    }

    async fn list_flights(&self, _: Request<Criteria>) -> Result<Response<Self::ListFlightsStream>, Status> {
        absent("ListFlights")
    }

    async fn get_flight_info(&self, _: Request<FlightDescriptor>) -> Result<Response<FlightInfo>, Status> {
        absent("GetFlightInfo")
    }

    async fn poll_flight_info(&self, _: Request<FlightDescriptor>) -> Result<Response<PollInfo>, Status> {
        absent("PollFlightInfo")
    }

    async fn get_schema(&self, _: Request<FlightDescriptor>) -> Result<Response<SchemaResult>, Status> {
        absent("GetSchema")
    }

    async fn do_put(&self, _: Request<Streaming<FlightData>>) -> Result<Response<Self::DoPutStream>, Status> {
        absent("DoPut")
    }
}
