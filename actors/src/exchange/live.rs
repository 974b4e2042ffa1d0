//! Live ledgers for the feeds of other nodes: a `DoGet` of what a node derives of the live tail, from a ledger on and for
//! ever. Nothing of it is stored, acknowledged or sent again: what is missed is in the dataset soon.
//!
//! ```text
//! node that serves readers                        node that processes the live tail
//! RemoteNode::live  -- ticket: network, from -->  live  <-- Outlet <-- pipeline
//!                   <-- orders, then frames ----
//! ```
//!
//! - **Frames** are those of a sink's stream, `events` and `rows`, one ledger each, numbered. The epoch is the lease of the
//!   coordinator whose orders the node follows; its name comes with the answer, so that who asks can tell another dataset.
//! - **Bounds.** A ledger is encoded when HTTP/2 has room for it, and there is one at a time. Who reads too slowly gets the
//!   newest ledgers that are still there.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use arrow::array::{Array, MutableArrayData, RecordBatch, make_array};
use arrow::error::ArrowError;
use arrow_flight::flight_service_client::FlightServiceClient;
use arrow_flight::{FlightData, Ticket};
use futures::StreamExt;
use futures::stream::{BoxStream, unfold};
use orrery_schemas::{Ledger, LedgerSequence};
use orrery_supervisor::{ErrorClass, ExitError};
use serde::{Deserialize, Serialize};
use tokio::sync::{OwnedSemaphorePermit, watch};
use tonic::metadata::{AsciiMetadataValue, MetadataMap};
use tonic::{Response, Status, Streaming};

use super::error::{ExchangeError, error_of, status_of};
use super::event_frames::{self, PartEncoder};
use super::header_wire::{Body, Header};
use super::ipc::Message;
use super::limits::{FRAME_BYTES_MAX, MESSAGE_BYTES_MAX};
use super::link::work_on;
use super::node_link::RemoteNode;
use crate::envelope::EventBatch;
use crate::feed::{FeedLedger, Outlet};

/// Version of the ticket and of what answers it.
const LIVE_VERSION: u32 = 1;

/// Most bytes of a ticket: a hash and two numbers.
const TICKET_BYTES_MAX: usize = 1024;

/// Headers of the answer: whose orders the node follows.
const LEASE_HEADER: &str = "orrery-lease";
const COORDINATOR_HEADER: &str = "orrery-coordinator";

/// Bytes up to which a ledger is encoded and decoded where it is: another thread would take longer to wake.
const QUICK_BYTES: usize = 256 << 10;

/// Silence after which a frame without a ledger says that the node is there.
const QUIET: Duration = Duration::from_secs(5);

/// Silence after which it is not.
const SILENT_MAX: Duration = Duration::from_secs(15);

/// What is asked for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LiveTicket {
    version: u32,
    /// SHA-256 of the network's passphrase, hexadecimal; `None` if that is not known.
    pub network: Option<String>,
    /// The first ledger that is wanted.
    pub from: u32,
}

/// Whose orders a node follows: the lease of a coordinator is in the dataset that both of them work on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Orders {
    /// Number of the lease.
    pub epoch: u64,
    /// The coordinator's name and incarnation, as in its lease.
    pub coordinator: String,
}

impl LiveTicket {
    /// For the ledgers of this network from `from` on.
    pub fn new(network: Option<String>, from: LedgerSequence) -> Self {
        Self { version: LIVE_VERSION, network, from: from.0 }
    }

    /// Whether a ticket is one of these, whatever is wrong with it.
    pub fn is_meant(ticket: &Ticket) -> bool {
        ticket.ticket.starts_with(br#"{"live":"#)
    }

    /// As it travels.
    ///
    /// # Errors
    ///
    /// It cannot be written as JSON: a bug.
    pub fn encode(self) -> Result<Ticket, ExitError> {
        let bytes = serde_json::to_vec(&Named { live: self })
            .map_err(|error| ExitError::new(ErrorClass::Internal, error.to_string()))?;
        Ok(Ticket { ticket: bytes.into() })
    }

    /// Reads one.
    ///
    /// # Errors
    ///
    /// It is none, or of another version.
    pub fn decode(ticket: &Ticket) -> Result<Self, Status> {
        let bytes = &ticket.ticket;
        if bytes.len() > TICKET_BYTES_MAX {
            let reason = format!("a ticket of {} bytes: {TICKET_BYTES_MAX} at most", bytes.len());
            return Err(Status::invalid_argument(reason));
        }
        let named: Named = serde_json::from_slice(bytes)
            .map_err(|error| Status::invalid_argument(format!("the ticket: {error}")))?;
        match named.live.version {
            LIVE_VERSION => Ok(named.live),
            other => Err(status_of(&ExitError::new(
                ErrorClass::Unavailable,
                format!(
                    "version {other} of live ledgers is asked for, this node has {LIVE_VERSION}: run one release"
                ),
            ))),
        }
    }
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Named {
    live: LiveTicket,
}

/// The refusal of a stream, with its class.
pub fn refusal(error: &ExitError) -> Status {
    status_of(error)
}

/// The answer to a ticket: what `outlet` has from `from` on, for as long as it is read. `place` is held as long.
///
/// # Errors
///
/// The coordinator's name cannot be a header.
pub fn live(
    outlet: Arc<Outlet>,
    from: LedgerSequence,
    orders: &Orders,
    place: OwnedSemaphorePermit,
) -> Result<Response<BoxStream<'static, Result<FlightData, Status>>>, Status> {
    let coordinator = AsciiMetadataValue::try_from(orders.coordinator.as_str())
        .map_err(|_| Status::internal("the coordinator's name is no header"))?;
    let newest = outlet.newest();
    let source = Source {
        outlet,
        newest,
        from,
        epoch: orders.epoch,
        sent: 0,
        encoder: Some(PartEncoder::default()),
        frames: VecDeque::new(),
        is_over: false,
        _place: place,
    };
    let frames = unfold(source, |mut source| async move {
        let frame = source.next().await?;
        Some((frame, source))
    });
    let mut response = Response::new(frames.boxed());
    response.metadata_mut().insert(LEASE_HEADER, orders.epoch.into());
    response.metadata_mut().insert(COORDINATOR_HEADER, coordinator);
    Ok(response)
}

/// The end that sends.
struct Source {
    outlet: Arc<Outlet>,
    newest: watch::Receiver<Option<LedgerSequence>>,
    /// The first ledger that was not sent.
    from: LedgerSequence,
    epoch: u64,
    sent: u64,
    encoder: Option<PartEncoder>,
    /// Of one ledger.
    frames: VecDeque<FlightData>,
    is_over: bool,
    _place: OwnedSemaphorePermit,
}

impl Source {
    async fn next(&mut self) -> Option<Result<FlightData, Status>> {
        loop {
            if let Some(frame) = self.frames.pop_front() {
                return Some(Ok(frame));
            }
            if self.is_over {
                return None;
            }
            // Before the look: what comes after it wakes.
            self.newest.borrow_and_update();
            let done = match self.outlet.next(self.from) {
                Some(ledger) => self.encode(&ledger).await,
                None => match tokio::time::timeout(QUIET, self.newest.changed()).await {
                    Ok(Ok(())) => continue,
                    Ok(Err(_)) => return None,
                    Err(_) => self.push(Body::Ping, None),
                },
            };
            if let Err(error) = done {
                self.is_over = true;
                return Some(Err(status_of(&error)));
            }
        }
    }

    async fn encode(&mut self, ledger: &Arc<FeedLedger>) -> Result<(), ExitError> {
        let sequence = ledger.sequence();
        let Some(next) = sequence.next() else {
            self.is_over = true;
            return Ok(());
        };
        self.from = next;
        let mut encoder = self.encoder.take().unwrap_or_default();
        let (is_quick, ledger) = (ledger.bytes <= QUICK_BYTES, ledger.clone());
        let work = move || {
            let FeedLedger { ledger, rows, .. } = &*ledger;
            let batch = EventBatch {
                ledgers: vec![ledger.clone()],
                rows: rows.clone(),
                trace: tracing::Span::none(),
            };
            let frames = event_frames::encode(&batch, &mut encoder);
            (frames, encoder)
        };
        let (frames, encoder) = work_on(is_quick, work).await?;
        self.encoder = Some(encoder);
        match frames {
            Ok(frames) => {
                for frame in frames {
                    self.push(frame.body, Some(frame.message))?;
                }
                Ok(())
            }
            // No frame holds it. Its readers wait for the dataset, as they would without this.
            Err(ExchangeError::TooLarge { .. }) => {
                tracing::warn!(ledger = %sequence, "a ledger is too large for a frame, other nodes take it from the dataset");
                Ok(())
            }
            Err(error) => Err(error.into()),
        }
    }

    fn push(&mut self, body: Body, message: Option<Message>) -> Result<(), ExitError> {
        self.sent += 1;
        let header = Header { epoch: self.epoch, sequence: self.sent, traceparent: None, body };
        let (data_header, data_body) =
            message.map(|message| (message.header, message.body)).unwrap_or_default();
        let app_metadata = header.encode()?;
        self.frames.push_back(FlightData { flight_descriptor: None, data_header, app_metadata, data_body });
        Ok(())
    }
}

/// The end that receives.
pub struct LiveStream {
    node: String,
    incoming: Streaming<FlightData>,
    orders: Orders,
    received: u64,
    /// The ledgers' rows whose events come next.
    half: Option<Vec<Ledger>>,
}

impl RemoteNode {
    /// Asks for live ledgers.
    ///
    /// # Errors
    ///
    /// The node cannot be reached in time, or refuses.
    pub async fn live(&self, ticket: LiveTicket) -> Result<LiveStream, ExitError> {
        let limit = self.limits.open_within;
        let late = |_| {
            let reason = format!("node {} did not answer within {limit:?}", self.name);
            ExitError::new(ErrorClass::Unavailable, reason)
        };
        let channel = tokio::time::timeout(limit, (self.connect)()).await.map_err(late)??;
        let mut client = FlightServiceClient::new(channel).max_decoding_message_size(MESSAGE_BYTES_MAX);
        let answer = tokio::time::timeout(limit, client.do_get(ticket.encode()?)).await.map_err(late)?;
        let answer = answer.map_err(|status| error_of(&status, &self.name))?;
        let orders = orders(answer.metadata()).ok_or_else(|| {
            let reason = format!("node {} does not say whose orders it follows", self.name);
            ExitError::new(ErrorClass::Unavailable, reason)
        })?;
        Ok(LiveStream {
            node: self.name.clone(),
            incoming: answer.into_inner(),
            orders,
            received: 0,
            half: None,
        })
    }
}

fn orders(metadata: &MetadataMap) -> Option<Orders> {
    let text = |key| metadata.get(key)?.to_str().ok();
    Some(Orders {
        epoch: text(LEASE_HEADER)?.parse().ok()?,
        coordinator: text(COORDINATOR_HEADER)?.to_owned(),
    })
}

impl LiveStream {
    /// Whose orders the node follows.
    pub fn orders(&self) -> &Orders {
        &self.orders
    }

    /// The next ledgers; `None` when the node has ended the stream. Not to be dropped before it ends and called again.
    ///
    /// # Errors
    ///
    /// The node is gone or silent, or sends what is no batch.
    pub async fn next(&mut self) -> Result<Option<EventBatch>, ExitError> {
        loop {
            let frame = tokio::time::timeout(SILENT_MAX, self.incoming.message()).await;
            let frame = frame.map_err(|_| self.of(ExchangeError::Silent(SILENT_MAX)))?;
            let Some(frame) = frame.map_err(|status| error_of(&status, &self.node))? else { return Ok(None) };
            if let Some(batch) = self.take(frame).await? {
                return Ok(Some(batch));
            }
        }
    }

    async fn take(&mut self, frame: FlightData) -> Result<Option<EventBatch>, ExitError> {
        let Header { epoch, sequence, body, .. } =
            Header::decode(&frame.app_metadata).map_err(|error| self.of(error))?;
        self.received += 1;
        if sequence != self.received {
            return Err(self.of(ExchangeError::Sequence { expected: self.received, found: sequence }));
        }
        if epoch != self.orders.epoch {
            return Err(self.of(ExchangeError::Epoch { expected: self.orders.epoch, found: epoch }));
        }
        let bytes = body.window_bytes();
        if bytes > FRAME_BYTES_MAX || frame.data_body.len() > bytes {
            let (what, bytes) = (format!("a frame `{}`", body.kind()), bytes.max(frame.data_body.len()));
            return Err(self.of(ExchangeError::TooLarge { what, bytes, max: FRAME_BYTES_MAX }));
        }
        let message = Message { header: frame.data_header, body: frame.data_body, bytes };
        match (body, self.half.take()) {
            (Body::Ping, None) => Ok(None),
            (Body::Events { first, last, .. }, None) => {
                let range = LedgerSequence(first)..=LedgerSequence(last);
                let ledgers =
                    event_frames::decode_ledgers(&range, message).map_err(|error| self.of(error))?;
                self.half = Some(ledgers);
                Ok(None)
            }
            (Body::Rows { bytes }, Some(ledgers)) => {
                let work = move || {
                    let rows = event_frames::decode_rows(&ledgers, message)?;
                    Ok::<_, ExchangeError>((ledgers, of_its_own(&rows)?))
                };
                let decoded = work_on(bytes <= QUICK_BYTES, work).await?;
                let (ledgers, rows) = decoded.map_err(|error| self.of(error))?;
                Ok(Some(EventBatch { ledgers, rows, trace: tracing::Span::none() }))
            }
            (body, _) => Err(self.of(ExchangeError::Unexpected { kind: body.kind() })),
        }
    }

    fn of(&self, error: ExchangeError) -> ExitError {
        ExitError::new(error.class(), format!("node {}: {error}", self.node))
    }
}

/// The rows with memory of their own for each column: as they come they share that of the frame, which a feed that measures
/// what it keeps would count once for every column.
fn of_its_own(rows: &RecordBatch) -> Result<RecordBatch, ExchangeError> {
    let columns = rows.columns().iter().map(|column| {
        let data = column.to_data();
        let mut own = MutableArrayData::new(vec![&data], false, data.len());
        own.try_extend(0, 0, data.len())?;
        Ok(make_array(own.freeze()))
    });
    let own =
        columns.collect::<Result<_, _>>().and_then(|columns| RecordBatch::try_new(rows.schema(), columns));
    own.map_err(|error: ArrowError| ExchangeError::Batch { what: "events", problem: error.to_string() })
}
