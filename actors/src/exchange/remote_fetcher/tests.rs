//! A node that fetches and does not keep to the exchange, as the node that processes sees it.

use std::time::Duration;

use arrow_flight::FlightData;
use bytes::Bytes;
use futures::StreamExt;
use orrery_supervisor::Probe;
use tokio_stream::wrappers::ReceiverStream;
use tonic::Status;

use super::super::header_wire::{AtTipWire, Header, Wanted};
use super::super::limits::{ExchangeLimits, FRAME_BYTES_MAX};
use super::super::link::{Incoming, Outgoing};
use super::super::meter::ExchangeMeter;
use super::super::node_link::TraceContext;
use super::*;

/// A processor that keeps what it is sent.
struct Ear;

impl Actor for Ear {
    type Msg = ProcessorMessage;
    type State = Vec<ProcessorMessage>;
    type Arguments = ();

    async fn pre_start(
        &self,
        _: ActorRef<ProcessorMessage>,
        _: (),
    ) -> Result<Self::State, ActorProcessingErr> {
        Ok(Vec::new())
    }

    async fn handle(
        &self,
        _: ActorRef<ProcessorMessage>,
        message: ProcessorMessage,
        kept: &mut Self::State,
    ) -> Result<(), ActorProcessingErr> {
        kept.push(message);
        Ok(())
    }
}

/// The end of the stream that processes, and what the other end sends and hears by hand.
struct Ends {
    work: BoxFuture,
    demands: mpsc::Sender<Demand>,
    sends: Outgoing,
    hears: mpsc::Receiver<Result<FlightData, Status>>,
    sent: u64,
}

type BoxFuture = futures::future::BoxFuture<'static, Result<(), ExitError>>;

async fn ends() -> Ends {
    ends_with(ExchangeLimits::default()).await
}

async fn ends_with(limits: ExchangeLimits) -> Ends {
    let (processor, _) = Actor::spawn(None, Ear, ()).await.unwrap();
    let node = RemoteNode {
        name: "b".to_owned(),
        connect: Arc::new(|| Box::pin(std::future::pending())),
        limits,
        traces: TraceContext::none(),
        meter: Arc::new(ExchangeMeter::default()),
    };
    let settings = RemoteFetcherSettings {
        node: Arc::new(node),
        opening: Opening {
            pipeline: "main".to_owned(),
            network: String::new(),
            from: None,
            to: None,
            window_bytes: limits.window_bytes(),
            wanted: Wanted::Fetch { at_tip: AtTipWire::Wait },
        },
        epoch: 4,
        reach: Reach::once(),
        processor: Handle::new(processor, Arc::new(Probe::default())),
        probe: Arc::new(Probe::default()),
        metrics: Arc::new(PipelineMetrics::new("main")),
    };
    let (sends, incoming) = mpsc::channel(16);
    let (outgoing, hears) = mpsc::channel(16);
    let (demands, waiting) = mpsc::channel(16);
    let incoming: Incoming = ReceiverStream::new(incoming).boxed();
    let link = Link::new("b".to_owned(), Some(4), incoming, outgoing, &limits);
    Ends { work: Box::pin(converse(settings, link, waiting)), demands, sends, hears, sent: 0 }
}

impl Ends {
    async fn say(&mut self, body: Body, data_body: Bytes) {
        self.sent += 1;
        let header = Header { epoch: 4, sequence: self.sent, traceparent: None, body };
        let app_metadata = header.encode().unwrap();
        let frame =
            FlightData { flight_descriptor: None, data_header: Bytes::new(), app_metadata, data_body };
        self.sends.send(Ok(frame)).await.unwrap();
    }

    /// Asks for two batches from ledger 5 on, and waits until the other end has heard of it.
    async fn begun(&mut self) {
        let begin = Demand::Begin { run: 7, from: LedgerSequence(5), avoid: None, attempt: 0, credits: 2 };
        self.demands.send(begin).await.unwrap();
        tokio::select! {
            ended = &mut self.work => panic!("{ended:?}"),
            heard = self.hears.recv() => assert!(heard.is_some()),
        }
    }
}

fn object(run: u64, first: u32, bytes: usize) -> Body {
    let origin = OriginWire { source: 0, lake: "lake".into(), file: "f".into(), fingerprint: None };
    Body::Object { run, first, last: first, named: (first, first), bytes, origin }
}

async fn check(frames: Vec<(Body, usize)>, class: ErrorClass, expect: &str) {
    let mut ends = ends().await;
    ends.begun().await;
    for (body, bytes) in frames {
        ends.say(body, Bytes::from(vec![0; bytes])).await;
    }
    let error = tokio::time::timeout(Duration::from_secs(60), ends.work).await.unwrap().unwrap_err();
    assert_eq!(error.class, class, "{error}");
    assert!(error.message.starts_with("node b: ") && error.message.contains(expect), "{error}");
}

#[tokio::test]
async fn order_credits_and_window_are_kept_or_the_stream_ends() {
    let internal = ErrorClass::Internal;
    check(vec![(object(7, 6, 9), 9)], internal, "SRC-1: ledger 6 came where 5 is due").await;
    let twice = vec![(object(7, 5, 9), 9), (object(7, 5, 9), 9)];
    check(twice, internal, "SRC-1: ledger 5 came where 6 is due").await;
    let three = vec![(object(7, 5, 9), 9), (object(7, 6, 9), 9), (object(7, 7, 9), 9)];
    check(three, internal, "FLOW-1: ledgers came without a credit").await;
    check(vec![(object(7, 5, 8), 9)], ErrorClass::Data, "a frame `object` has 9 bytes").await;
    check(vec![(Body::Granted { credits: 1 }, 0)], internal, "`granted` came").await;
    check(vec![(Body::Open(sample()), 0)], internal, "`open` came").await;
}

fn sample() -> Opening {
    Opening {
        pipeline: String::new(),
        network: String::new(),
        from: None,
        to: None,
        window_bytes: 0,
        wanted: Wanted::Fetch { at_tip: AtTipWire::Fail },
    }
}

/// What was announced counts, not what came; and what the processor holds counts until it drops it.
#[tokio::test]
async fn bytes_beyond_the_window_end_the_stream_even_where_credits_are_left() {
    let mut ends = ends().await;
    ends.begun().await;
    ends.demands.send(Demand::Grant { run: 7, credits: 9 }).await.unwrap();
    for ledger in 5..=7 {
        ends.say(object(7, ledger, FRAME_BYTES_MAX), Bytes::from_static(b"xdr")).await;
    }
    let error = tokio::time::timeout(Duration::from_secs(60), ends.work).await.unwrap().unwrap_err();
    let expect =
        format!("node b: FLOW-2: a frame of {FRAME_BYTES_MAX} bytes came where 0 were left of the window");
    assert_eq!(error, ExitError::new(ErrorClass::Internal, expect));
}

#[tokio::test]
async fn batches_of_an_earlier_run_are_dropped_and_their_window_comes_back() {
    let mut ends = ends().await;
    ends.begun().await;
    for ledger in 90..92 {
        ends.say(object(3, ledger, FRAME_BYTES_MAX), Bytes::new()).await;
    }
    tokio::select! {
        ended = &mut ends.work => panic!("{ended:?}"),
        credit = async {
            loop {
                let frame = ends.hears.recv().await.unwrap().unwrap();
                if let Body::Credit { bytes } = Header::decode(&frame.app_metadata).unwrap().body {
                    break bytes;
                }
            }
        } => assert_eq!(credit, ExchangeLimits::default().window_bytes() / 8),
    }
}

#[tokio::test]
async fn a_peer_that_stalls_is_asked_and_then_given_up() {
    let mut limits = ExchangeLimits::default();
    (limits.ask_after, limits.silent_max) = (Duration::from_millis(3), Duration::from_millis(12));
    let mut ends = ends_with(limits).await;
    ends.begun().await;
    let error = tokio::time::timeout(Duration::from_secs(60), ends.work).await.unwrap().unwrap_err();
    assert_eq!(error.class, ErrorClass::Unavailable);
    assert_eq!(error.message, "node b: the other node has said nothing for 12ms and does not answer");
    let mut pings = 0;
    while let Ok(Ok(frame)) = ends.hears.try_recv() {
        pings += u32::from(Header::decode(&frame.app_metadata).unwrap().body == Body::Ping);
    }
    assert_eq!(pings, 3);
}
