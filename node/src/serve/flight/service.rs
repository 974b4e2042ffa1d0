//! The methods of Arrow Flight: what there is, where its parts are, and the parts as streams.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;

use arrow_flight::flight_descriptor::DescriptorType;
use arrow_flight::flight_service_server::FlightService;
use arrow_flight::{
    Action, ActionType, Criteria, Empty, FlightData, FlightDescriptor, FlightEndpoint, FlightInfo,
    HandshakeRequest, HandshakeResponse, PollInfo, PutResult, SchemaResult, Ticket as FlightTicket,
};
use bytes::Bytes;
use futures::StreamExt;
use futures::stream::{self, BoxStream};
use orrery_actors::dataset::{DatasetView, Snapshot, TableKind};
use orrery_schemas::{Cursor, LedgerSequence};
use serde_json::json;
use tokio::sync::{mpsc, watch};
use tonic::{Request, Response, Status, Streaming};

use super::live::Live;
use super::outlet::{self, TAKE_WITHIN, Work};
use super::stored::{Stored, encoder};
use super::ticket::{Flight, Held, Part, Ticket};
use super::turns::{TurnLimits, Turns};
use super::{endpoints, status_of};
use crate::readiness::Readiness;
use crate::serve::access::Principal;
use crate::serve::feed::Feed;
use crate::serve::feed::message::{From, Refusal};

/// Who asks; with every request.
#[derive(Clone, Debug)]
pub(super) struct Caller {
    pub(super) peer: SocketAddr,
    pub(super) principal: Principal,
}

/// Rows, schema and place of a flight's answer.
type Stream<T> = BoxStream<'static, Result<T, Status>>;

/// What a node serves over Arrow Flight.
pub(super) struct Flights {
    readiness: Arc<Readiness>,
    feed: Arc<Feed>,
    turns: Arc<Turns>,
    live: Arc<Turns>,
    streams: mpsc::Sender<Work>,
    stopping: watch::Sender<bool>,
}

impl Flights {
    /// Of what the node stores and processes. Who makes streams is given to `streams`.
    pub(super) fn new(
        readiness: Arc<Readiness>,
        feed: Arc<Feed>,
        streams: mpsc::Sender<Work>,
        stopping: watch::Sender<bool>,
    ) -> Self {
        let (turns, live) = (Turns::new(TurnLimits::STORED), Turns::new(TurnLimits::LIVE));
        Self { readiness, feed, turns, live, streams, stopping }
    }

    /// The dataset as it is now.
    fn dataset(&self) -> Result<(Arc<DatasetView>, Arc<Snapshot>, Held), Status> {
        let view = self.readiness.reach.dataset();
        let view = view.ok_or_else(|| {
            Status::unavailable("this node has not opened the dataset yet, or does not reach it: try again")
        })?;
        let nothing = || Status::unavailable("no ledger is durable yet: try again");
        let snapshot = view.snapshot().ok_or_else(nothing)?;
        let held = Held { oldest: snapshot.first(), tip: snapshot.last().ok_or_else(nothing)? };
        Ok((view, snapshot, held))
    }

    /// What there is of a flight. Of a table, its ledgers, rows, and tickets that can be read beside each other.
    fn info(&self, ticket: &Ticket, is_cut: bool) -> Result<FlightInfo, Status> {
        let schema = encoder(ticket.flight.table())?.head().clone();
        let info = FlightInfo { schema, ..FlightInfo::new() }.with_ordered(true);
        let endpoint =
            |ticket: &Ticket| FlightEndpoint::new().with_ticket(FlightTicket::new(ticket.to_string()));
        if ticket.flight == Flight::Live {
            let tips = self.readiness.feed.tips_now();
            let held = json!({ "oldest": tips.oldest_cursor(), "tip": tips.tip_cursor() });
            return Ok(info.with_endpoint(endpoint(ticket)).with_app_metadata(held.to_string()));
        }
        let (_, snapshot, held) = self.dataset()?;
        let part = ticket.part(held)?;
        let table = ticket.flight.table();
        let ranges = match is_cut {
            true => ranges(&snapshot, table, part, ticket),
            false => vec![(part.first.ledger, part.last)],
        };
        let tickets = if is_cut { ticket.cut(part, &ranges) } else { vec![ticket.clone()] };
        let oldest = Cursor::behind(LedgerSequence(held.oldest.0.saturating_sub(1)));
        let held = json!({ "oldest": oldest, "tip": Cursor::behind(held.tip) });
        let info = tickets.iter().fold(info, |info, ticket| info.with_endpoint(endpoint(ticket)));
        let is_all = *ticket == Ticket::all(ticket.flight);
        let rows = if is_all { i64::try_from(snapshot.rows(table)).unwrap_or(-1) } else { -1 };
        Ok(info.with_total_records(rows).with_app_metadata(held.to_string()))
    }

    fn live(&self, ticket: Ticket, caller: &Caller) -> Result<(Work, Stream<FlightData>), Status> {
        let hub = self.readiness.feed.clone();
        let tips = hub.tips_now();
        if !tips.is_known || tips.next().is_none() {
            return Err(Status::unavailable("the node does not know its dataset yet: try again"));
        }
        let at = ticket.from.unwrap_or(From::Latest).place(&tips).map_err(|refusal| of_cursor(&refusal))?;
        let asked = self.live.ask(caller.principal.names(caller.peer.ip()))?;
        let place = self.feed.place(caller.peer.ip(), &caller.principal);
        let place = Arc::new((place.map_err(|problem| status_of(&problem))?, asked));
        let send = |outlet| Live::send(hub, at, ticket.filter, outlet);
        Ok(outlet::stream(self.stopping.subscribe(), TAKE_WITHIN, place, send))
    }

    fn stored(&self, ticket: Ticket, caller: &Caller) -> Result<(Work, Stream<FlightData>), Status> {
        let (view, snapshot, held) = self.dataset()?;
        let part = ticket.part(held)?;
        let asked = self.turns.ask(caller.principal.names(caller.peer.ip()))?;
        let stored = Stored { view, snapshot, ticket, part };
        let send = {
            let asked = asked.clone();
            |outlet| stored.send(asked, outlet)
        };
        Ok(outlet::stream(self.stopping.subscribe(), TAKE_WITHIN, asked, send))
    }
}

/// How a part of a table is cut.
fn ranges(
    snapshot: &Snapshot,
    table: TableKind,
    part: Part,
    ticket: &Ticket,
) -> Vec<(LedgerSequence, LedgerSequence)> {
    let files = snapshot.files(table).map(|(_, range)| range);
    endpoints::cut(files, part.first.ledger, part.last, ticket.to_string().len())
}

/// What a descriptor asks.
fn descriptor(descriptor: &FlightDescriptor) -> Result<Ticket, Status> {
    match (descriptor.r#type(), descriptor.path.as_slice()) {
        (DescriptorType::Cmd, _) => Ticket::parse(&descriptor.cmd),
        (DescriptorType::Path, [name]) => Ok(Ticket::all(Flight::named(name)?)),
        _ => Err(Status::invalid_argument(
            r#"descriptor: give a path of one name, as "token_transfers", or a command as tickets are"#,
        )),
    }
}

fn of_cursor(refusal: &Refusal) -> Status {
    let Refusal { code, message, reach, .. } = refusal;
    let reach = reach.map_or(String::new(), |(oldest, tip)| format!(": oldest is {oldest}, the tip {tip}"));
    Status::out_of_range(format!("ticket: from: {code}: {message}{reach}"))
}

fn caller<T>(request: &Request<T>) -> Caller {
    let nobody = || Caller {
        peer: SocketAddr::new(IpAddr::V4(Ipv4Addr::UNSPECIFIED), 0),
        principal: Principal::anonymous(None),
    };
    request.extensions().get::<Caller>().cloned().unwrap_or_else(nobody)
}

/// A method of Flight that has nothing to do here.
fn absent<T>(method: &str) -> Result<T, Status> {
    let detail = format!("{method}: this server only gives: ListFlights, GetFlightInfo, GetSchema and DoGet");
    Err(Status::unimplemented(detail))
}

#[tonic::async_trait]
impl FlightService for Flights {
    type HandshakeStream = Stream<HandshakeResponse>;
    type ListFlightsStream = Stream<FlightInfo>;
    type DoGetStream = Stream<FlightData>;
    type DoPutStream = Stream<PutResult>;
    type DoActionStream = Stream<arrow_flight::Result>;
    type ListActionsStream = Stream<ActionType>;
    type DoExchangeStream = Stream<FlightData>;

    async fn list_flights(
        &self,
        request: Request<Criteria>,
    ) -> Result<Response<Self::ListFlightsStream>, Status> {
        if !request.get_ref().expression.is_empty() {
            return Err(Status::invalid_argument("criteria: there are three flights: give none"));
        }
        let info = |flight: Flight| {
            let descriptor = FlightDescriptor::new_path(vec![flight.as_str().to_owned()]);
            Ok(self.info(&Ticket::all(flight), false)?.with_descriptor(descriptor))
        };
        let infos: Vec<Result<FlightInfo, Status>> = Flight::ALL.into_iter().map(info).collect();
        Ok(Response::new(stream::iter(infos).boxed()))
    }

    async fn get_flight_info(
        &self,
        request: Request<FlightDescriptor>,
    ) -> Result<Response<FlightInfo>, Status> {
        let asked = request.into_inner();
        let info = self.info(&descriptor(&asked)?, true)?;
        Ok(Response::new(info.with_descriptor(asked)))
    }

    async fn get_schema(&self, request: Request<FlightDescriptor>) -> Result<Response<SchemaResult>, Status> {
        let ticket = descriptor(request.get_ref())?;
        let schema: Bytes = encoder(ticket.flight.table())?.head().clone();
        Ok(Response::new(SchemaResult { schema }))
    }

    async fn do_get(&self, request: Request<FlightTicket>) -> Result<Response<Self::DoGetStream>, Status> {
        let (caller, ticket) = (caller(&request), Ticket::parse(&request.get_ref().ticket)?);
        let (work, stream) = match ticket.flight {
            Flight::Live => self.live(ticket, &caller)?,
            Flight::TokenTransfers | Flight::Ledgers => self.stored(ticket, &caller)?,
        };
        let full = |_| Status::unavailable("too many streams begin at once: try again");
        self.streams.try_send(work).map_err(full)?;
        Ok(Response::new(stream))
    }

    async fn list_actions(&self, _: Request<Empty>) -> Result<Response<Self::ListActionsStream>, Status> {
        Ok(Response::new(stream::empty().boxed()))
    }

    async fn poll_flight_info(&self, _: Request<FlightDescriptor>) -> Result<Response<PollInfo>, Status> {
        absent("PollFlightInfo")
    }

    async fn do_action(&self, _: Request<Action>) -> Result<Response<Self::DoActionStream>, Status> {
        absent("DoAction")
    }

    async fn do_put(&self, _: Request<Streaming<FlightData>>) -> Result<Response<Self::DoPutStream>, Status> {
        absent("DoPut")
    }

    async fn do_exchange(
        &self,
        _: Request<Streaming<FlightData>>,
    ) -> Result<Response<Self::DoExchangeStream>, Status> {
        absent("DoExchange")
    }

    async fn handshake(
        &self,
        _: Request<Streaming<HandshakeRequest>>,
    ) -> Result<Response<Self::HandshakeStream>, Status> {
        Err(Status::unimplemented(
            "Handshake: there is none: send a token with each call, as the header `authorization: Bearer TOKEN`",
        ))
    }
}
