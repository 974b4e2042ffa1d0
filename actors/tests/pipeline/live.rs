//! Live ledgers of one node at another: what was derived arrives once and in order, whatever breaks, and nothing waits.

use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use futures::FutureExt;
use orrery_actors::envelope::EventBatch;
use orrery_actors::exchange::{
    ExchangeLimits, ExchangeMeter, ExchangeService, ExchangeSettings, FlightHandlers, LiveTicket, Orders,
    TraceContext, live, refusal, tuned_server,
};
use orrery_actors::feed::{Hub, HubLimits, Look, Outlet};
use orrery_actors::source::synthetic::{SyntheticLedgers, SyntheticSpec};
use orrery_schemas::{Hash32, LedgerSequence, token_transfers_from_batch};
use orrery_supervisor::{ErrorClass, ExitError, SystemClock};
use tokio::net::TcpListener;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tonic::transport::Server;
use tonic::transport::server::TcpIncoming;

use crate::stages;
use crate::wire::{Serving, node_at};

/// Longer than anything here takes on a busy machine.
const WITHIN: Duration = Duration::from_secs(60);

fn hash(ledger: u32) -> Hash32 {
    let mut bytes = [7; 32];
    bytes[..4].copy_from_slice(&ledger.to_be_bytes());
    Hash32(bytes)
}

/// Ledgers with their events, as a processor hands them on: as many as a few transactions have.
fn batch(first: u32, last: u32) -> EventBatch {
    let spec = SyntheticSpec::from_query("ledgers=40&density=sparse&protocol=23").unwrap();
    let made = SyntheticLedgers::new(&spec).map(|ledger| ledger.expected);
    let events: Vec<_> = made.skip(first as usize - 2).take((last - first) as usize + 1).collect();
    let mut batch = stages::batch(first, &events);
    for ledger in &mut batch.ledgers {
        (ledger.hash, ledger.previous_hash) = (hash(ledger.sequence.0), hash(ledger.sequence.0 - 1));
    }
    batch
}

/// A node that gives what is in `outlet`, to as many as it says.
async fn serve(outlet: &Arc<Outlet>, places: usize) -> Serving {
    let (outlet, places) = (outlet.clone(), Arc::new(Semaphore::new(places)));
    let do_get = Arc::new(move |request: tonic::Request<arrow_flight::Ticket>| {
        let (outlet, places) = (outlet.clone(), places.clone());
        async move {
            let ticket = LiveTicket::decode(request.get_ref())?;
            let place = places.try_acquire_owned();
            let full = |_| refusal(&ExitError::new(ErrorClass::Unavailable, "no place"));
            let orders = Orders { epoch: 9, coordinator: "c.1".to_owned() };
            live(outlet, LedgerSequence(ticket.from), &orders, place.map_err(full)?)
        }
        .boxed()
    });
    let meter = Arc::new(ExchangeMeter::default());
    let settings = ExchangeSettings {
        make_stage: Arc::new(|_, _, _| Err(ExitError::new(ErrorClass::Invalid, "there is none"))),
        limits: ExchangeLimits::default(),
        streams_max: 1,
        traces: TraceContext::none(),
        meter: meter.clone(),
        clock: Arc::new(SystemClock::new()),
        seed: 1,
    };
    let handlers = FlightHandlers { do_get: Some(do_get), ..FlightHandlers::default() };
    let service = ExchangeService::new(settings, handlers).into_server();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let server = tuned_server(Server::builder()).add_service(service);
    let mut task = JoinSet::new();
    task.spawn(async move { server.serve_with_incoming(TcpIncoming::from(listener)).await.unwrap() });
    Serving { address, meter, _task: task }
}

fn ticket(from: u32) -> LiveTicket {
    LiveTicket::new(None, LedgerSequence(from))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn live_ledgers_come_to_the_feed_of_another_node_as_they_were_derived() {
    let outlet = Arc::new(Outlet::default());
    outlet.offer(&batch(5, 9));
    let serving = serve(&outlet, 4).await;
    let node = node_at(serving.address, ExchangeLimits::default());
    let hub = Hub::new(HubLimits::default());
    let mut ledgers = node.live(ticket(7)).await.unwrap();
    assert_eq!(*ledgers.orders(), Orders { epoch: 9, coordinator: "c.1".to_owned() });
    let expected = batch(5, 30);
    let mut seen = Vec::new();
    // The pipeline begins again where its dataset ends, and goes on.
    for (offered, until) in [((7, 9), 9), ((8, 14), 14), ((15, 15), 15), ((14, 22), 22), ((23, 30), 30)] {
        outlet.offer(&batch(offered.0, offered.1));
        while seen.last() != Some(&until) {
            let came = tokio::time::timeout(WITHIN, ledgers.next()).await.unwrap().unwrap().unwrap();
            let range = came.range().unwrap();
            seen.extend(came.ledgers.iter().map(|ledger| ledger.sequence.0));
            let due = expected.within(&range);
            let events = |batch: &EventBatch| token_transfers_from_batch(&batch.rows).unwrap();
            assert!(came.ledgers == due.ledgers && events(&came) == events(&due), "{range:?}");
            hub.relay(&came);
        }
    }
    assert_eq!(seen, (7..=30).collect::<Vec<_>>());
    assert!(
        matches!(hub.look(LedgerSequence(7)), Look::Here(_)) && hub.tips_now().memory.unwrap().next.0 == 31
    );
    // What is kept costs what it is, and not the frame that it came in once for every column.
    let Look::Here(found) = hub.look(LedgerSequence(20)) else { panic!("not here") };
    assert!(found.bytes < 64 << 10, "{} bytes for {} events", found.bytes, found.rows.num_rows());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_follower_that_comes_again_gets_the_rest_and_one_that_is_late_the_newest() {
    let outlet = Arc::new(Outlet::new(1));
    let serving = serve(&outlet, 1).await;
    let node = node_at(serving.address, ExchangeLimits::default());
    outlet.offer(&batch(5, 8));
    let next = async |from: u32| {
        let mut ledgers = node.live(ticket(from)).await.unwrap();
        let came = tokio::time::timeout(WITHIN, ledgers.next()).await.unwrap().unwrap().unwrap();
        let sequence = came.ledgers[0].sequence.0;
        (sequence, ledgers)
    };
    // Those before the newest have left for want of room.
    let (sequence, held) = next(6).await;
    assert_eq!(sequence, 8);
    let refused = node.live(ticket(6)).await.err().unwrap();
    assert_eq!((refused.class, refused.message.as_str()), (ErrorClass::Unavailable, "node b: no place"));
    drop(held);
    // Its place is free when the other end sees that it has gone.
    let mut again = loop {
        match node.live(ticket(9)).await {
            Ok(ledgers) => break ledgers,
            Err(error) => assert_eq!(error.class, ErrorClass::Unavailable),
        }
        tokio::task::yield_now().await;
    };
    {
        let mut waits = pin!(again.next());
        assert!((&mut waits).now_or_never().is_none());
        outlet.offer(&batch(40, 40));
        let came = tokio::time::timeout(WITHIN, waits).await.unwrap().unwrap().unwrap();
        assert_eq!(came.ledgers[0].sequence.0, 40);
    }
}

#[test]
fn a_ticket_of_another_version_or_none_is_refused_with_words() {
    let check = |text: &str, expect: &str| {
        let ticket = arrow_flight::Ticket { ticket: text.as_bytes().to_vec().into() };
        let refused = LiveTicket::decode(&ticket).unwrap_err();
        assert!(refused.message().contains(expect), "{text}: {refused}");
    };
    let made = LiveTicket::new(Some("ab".repeat(32)), LedgerSequence(5));
    let ticket = made.clone().encode().unwrap();
    assert!(LiveTicket::is_meant(&ticket));
    assert_eq!(LiveTicket::decode(&ticket).unwrap(), made);
    check(r#"{"live":{"version":7,"network":null,"from":5}}"#, "version 7 of live ledgers");
    check(r#"{"live":{"version":1,"network":null,"from":-5}}"#, "invalid value");
    check(r#"{"live":{"version":1,"network":null,"from":5,"to":9}}"#, "unknown field `to`");
    check("token_transfers", "the ticket");
    check(&" ".repeat(5000), "at most");
}
