//! Peers that do not keep to the exchange: each is told why, its stream ends, and the connection serves others.

use std::sync::Arc;
use std::time::Duration;

use arrow_flight::FlightData;
use arrow_flight::flight_service_client::FlightServiceClient;
use bytes::Bytes;
use futures::StreamExt;
use orrery_actors::dataset::TableKind;
use orrery_actors::exchange::{DatasetWire, ExchangeLimits, FRAME_BYTES_MAX, MakeStage, Opening, Wanted};
use orrery_actors::pipeline::Place;
use orrery_actors::source::synthetic::{SyntheticLedgers, SyntheticSpec};
use orrery_schemas::LedgerSequence;
use orrery_supervisor::ExitReason;
use serde_json::{Value, json};
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::transport::Channel;
use tonic::{Code, Status};

use crate::exchange_flow::{fetch, opening};
use crate::made::{FIRST, Fault, LAST, Source, check_rows, ledgers, object, pipeline, start, state};
use crate::objects::Objects;
use crate::stages::fetcher;
use crate::wire::{STREAMS_MAX, Serving, connect_to, node_at, serve, serve_stages};

/// Longer than anything here takes on a busy machine.
const WITHIN: Duration = Duration::from_secs(60);

/// A stream that is spoken by hand.
struct ByHand {
    sends: mpsc::Sender<FlightData>,
    hears: tonic::Streaming<FlightData>,
    sent: u64,
}

fn header(version: u8, header: &Value) -> Bytes {
    [&[b'O', b'X', version], header.to_string().as_bytes()].concat().into()
}

impl ByHand {
    async fn new(channel: &Channel) -> Result<Self, Status> {
        let (sends, requests) = mpsc::channel(16);
        let mut client = FlightServiceClient::new(channel.clone()).max_encoding_message_size(usize::MAX);
        let hears = client.do_exchange(ReceiverStream::new(requests)).await?.into_inner();
        Ok(Self { sends, hears, sent: 0 })
    }

    /// A stream that has asked for a stage.
    async fn opened(channel: &Channel, opening: &Opening) -> Self {
        let mut stream = Self::new(channel).await.unwrap();
        stream.say(json!({ "open": opening }), Bytes::new()).await;
        stream
    }

    async fn say(&mut self, body: Value, data_body: Bytes) {
        self.sent += 1;
        let app_metadata = header(2, &json!({ "epoch": 1, "sequence": self.sent, "body": body }));
        self.frame(FlightData { app_metadata, data_body, ..FlightData::default() }).await;
    }

    async fn frame(&mut self, frame: FlightData) {
        // The other end may have had enough.
        let _ = self.sends.send(frame).await;
    }

    /// The next frame that is not about being there.
    async fn heard(&mut self) -> Result<Value, Status> {
        loop {
            let frame = tokio::time::timeout(WITHIN, self.hears.next()).await.expect("nothing came");
            let frame = frame.expect("the stream ended without a word")?;
            let header: Value = serde_json::from_slice(&frame.app_metadata[3..]).unwrap();
            if header["body"] != "ping" {
                return Ok(header["body"].clone());
            }
        }
    }

    /// How it ends.
    async fn end(mut self) -> Status {
        loop {
            match self.heard().await {
                Ok(_) => {}
                Err(status) => return status,
            }
        }
    }
}

async fn serving() -> (Serving, Channel) {
    let spec = SyntheticSpec::from_query("ledgers=4&density=sparse").unwrap();
    let ledgers = Arc::new(SyntheticLedgers::new(&spec).map(|ledger| ledger.to_xdr().into()).collect());
    let make: MakeStage = Arc::new(move |_, _, _| Ok(fetcher(FIRST, Arc::clone(&ledgers))));
    let serving = serve_stages(make, ExchangeLimits::default()).await;
    let channel = connect_to(serving.address)().await.unwrap();
    (serving, channel)
}

/// A well-behaved stream on the same connection gets its ledgers.
async fn check_alive(channel: &Channel) {
    let mut stream = ByHand::opened(channel, &fetch()).await;
    let begin = json!({ "begin": { "run": 1, "from": FIRST, "avoid": null, "attempt": 0, "credits": 9 } });
    stream.say(begin, Bytes::new()).await;
    let first = stream.heard().await.unwrap();
    assert_eq!(first["ledgers"]["first"], FIRST, "{first}");
}

fn check_status(status: &Status, code: Code, expect: &str) {
    assert_eq!(status.code(), code, "{status:?}");
    assert!(status.message().contains(expect), "{status:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn frames_that_are_none_end_their_stream_with_words_and_no_other() {
    let (_serving, channel) = serving().await;
    let raw = |app_metadata: Bytes| FlightData { app_metadata, ..FlightData::default() };
    let numbered = |epoch: u64, sequence: u64, body: Value| {
        raw(header(2, &json!({ "epoch": epoch, "sequence": sequence, "body": body })))
    };
    let cases = [
        (raw(Bytes::new()), Code::Internal, "0 bytes and no mark"),
        (raw(Bytes::from_static(b"PRI * HTTP/2.0")), Code::Internal, "no mark of ours"),
        (raw(header(9, &json!({}))), Code::Unavailable, "speaks version 9"),
        (raw(header(2, &json!({ "epoch": 1 }))), Code::Internal, "missing field"),
        (numbered(1, 1, json!("end")), Code::Internal, "`end` came, which has no place here"),
        (numbered(1, 2, json!({ "open": fetch() })), Code::Internal, "frame 2 came where 1 is due"),
    ];
    for (frame, code, expect) in cases {
        let mut stream = ByHand::new(&channel).await.unwrap();
        stream.frame(frame).await;
        check_status(&stream.end().await, code, expect);
        check_alive(&channel).await;
    }
    let after = [
        (numbered(2, 2, json!("end")), Code::Internal, "epoch 2 came on a stream of epoch 1"),
        (numbered(1, 3, json!("end")), Code::Internal, "frame 3 came where 2 is due"),
        (numbered(1, 2, json!({ "durable": { "ledger": 5 } })), Code::Internal, "`durable` came"),
        (
            numbered(1, 2, json!({ "credit": { "bytes": 1 } })),
            Code::Internal,
            "FLOW-1: more bytes were granted",
        ),
    ];
    for (frame, code, expect) in after {
        let mut stream = ByHand::opened(&channel, &fetch()).await;
        stream.frame(frame).await;
        check_status(&stream.end().await, code, expect);
        check_alive(&channel).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_message_over_the_limit_is_refused_and_the_connection_lives() {
    let (_serving, channel) = serving().await;
    let zeros = |bytes| Bytes::from(vec![0; bytes]);
    let mut stream = ByHand::opened(&channel, &fetch()).await;
    stream.say(json!({ "rows": { "bytes": FRAME_BYTES_MAX } }), zeros(FRAME_BYTES_MAX + (1 << 20))).await;
    check_status(&stream.end().await, Code::DataLoss, "decoded message length too large");
    check_alive(&channel).await;
    let mut stream = ByHand::opened(&channel, &fetch()).await;
    stream.say(json!({ "rows": { "bytes": 10 } }), zeros(11)).await;
    check_status(&stream.end().await, Code::DataLoss, "a frame `rows` has 11 bytes");
    let mut stream = ByHand::opened(&channel, &fetch()).await;
    stream.say(json!({ "rows": { "bytes": FRAME_BYTES_MAX + 1 } }), Bytes::new()).await;
    check_status(&stream.end().await, Code::DataLoss, "a frame at most");
    check_alive(&channel).await;
}

fn sink_of(dataset: DatasetWire) -> Opening {
    let network = hex::encode(
        orrery_actors::ledger::Network::new(orrery_actors::source::synthetic::NETWORK_PASSPHRASE).id(),
    );
    Opening { network, ..opening(Wanted::Sink { table: TableKind::Ledgers.into(), dataset }) }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn events_without_credit_order_or_window_are_refused() {
    let objects = Objects::sound();
    let serving = serve(pipeline("main", &[], &objects, 16, LAST), ExchangeLimits::default()).await;
    let channel = connect_to(serving.address)().await.unwrap();
    let dataset = DatasetWire { start_ledger: Some(FIRST), grid: Some(vec![(1, 16)]), processor_version: 1 };
    let events = |first, last, bytes| json!({ "events": { "first": first, "last": last, "bytes": bytes } });
    let cases = [
        (vec![json!({ "rows": { "bytes": 5 } })], "`rows` came"),
        (vec![events(FIRST, FIRST, 5)], "ledgers in a frame: "),
        (vec![events(FIRST + 1, FIRST, 5)], "events of ledgers 3 to 2"),
        (vec![events(FIRST, FIRST, FRAME_BYTES_MAX); 2], "ledgers in a frame: "),
        (vec![json!({ "credit": { "bytes": 1 } })], "`credit` came"),
        (vec![json!("end")], "ended where 2 is due"),
    ];
    for (frames, expect) in cases {
        let mut stream = ByHand::opened(&channel, &sink_of(dataset.clone())).await;
        assert_eq!(stream.heard().await.unwrap()["ready"]["next"], FIRST);
        assert!(stream.heard().await.unwrap()["granted"]["credits"].as_u64().unwrap() > 0);
        for frame in frames {
            stream.say(frame, Bytes::new()).await;
        }
        check_status(&stream.end().await, Code::Internal, expect);
    }
    // Before the sink is open nothing may come.
    let mut stream = ByHand::opened(&channel, &sink_of(dataset.clone())).await;
    stream.say(events(FIRST, FIRST, 5), Bytes::new()).await;
    let status = stream.end().await;
    assert_eq!(status.code(), Code::Internal, "{status:?}");

    let check_opening = async |opening: Opening, expect: &str| {
        let stream = ByHand::opened(&channel, &opening).await;
        check_status(&stream.end().await, Code::InvalidArgument, expect);
    };
    check_opening(sink_of(DatasetWire::default()), "the dataset that is asked for is").await;
    check_opening(Opening { network: "00".into(), ..sink_of(dataset.clone()) }, "the network that is").await;
    check_opening(Opening { window_bytes: 1, ..sink_of(dataset.clone()) }, "a window of 1 bytes").await;
    check_opening(Opening { window_bytes: 1 << 30, ..sink_of(dataset) }, "a window of 1073741824 bytes")
        .await;
}

/// Waits until as many streams are served as may be.
async fn all_served(serving: &Serving) {
    let all = async {
        while serving.meter.counts().streams < STREAMS_MAX {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(WITHIN, all).await.expect("streams are not served");
}

/// Tries until a stream gets its ledgers.
async fn check_served_again(channel: &Channel) {
    loop {
        let mut stream = ByHand::opened(channel, &fetch()).await;
        let begin =
            json!({ "begin": { "run": 1, "from": FIRST, "avoid": null, "attempt": 0, "credits": 9 } });
        stream.say(begin, Bytes::new()).await;
        match stream.heard().await {
            Ok(_) => return,
            Err(status) => check_status(&status, Code::Unavailable, "streams are served"),
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn streams_of_earlier_ledgers_take_the_place_of_later_ones() {
    let (serving, channel) = serving().await;
    let from = |from| Opening { from: Some(from), ..fetch() };
    let mut streams = Vec::new();
    for first in 11..11 + STREAMS_MAX as u32 {
        streams.push(ByHand::opened(&channel, &from(first)).await);
    }
    all_served(&serving).await;
    let later = ByHand::opened(&channel, &from(20)).await;
    check_status(&later.end().await, Code::Unavailable, "and none of later ledgers");
    let mut first = ByHand::opened(&channel, &from(FIRST)).await;
    let begin = json!({ "begin": { "run": 1, "from": FIRST, "avoid": null, "attempt": 0, "credits": 9 } });
    first.say(begin, Bytes::new()).await;
    assert_eq!(first.heard().await.unwrap()["ledgers"]["first"], FIRST);
    let last = streams.pop().unwrap();
    check_status(&last.end().await, Code::Unavailable, "took the place of this one");
    assert_eq!(serving.meter.counts().streams, STREAMS_MAX);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn streams_that_ask_for_nothing_are_bounded_too() {
    let (_serving, channel) = serving().await;
    let mut silent = Vec::new();
    for _ in 0..STREAMS_MAX {
        silent.push(ByHand::new(&channel).await.unwrap());
    }
    let status = ByHand::new(&channel).await.err().expect("one stream too many is waited for");
    check_status(&status, Code::ResourceExhausted, "4 streams have not said what they want");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_more_streams_are_served_than_may_be_and_each_end_makes_room() {
    let (serving, channel) = serving().await;
    let mut streams = Vec::new();
    for _ in 0..STREAMS_MAX {
        streams.push(ByHand::opened(&channel, &fetch()).await);
    }
    all_served(&serving).await;
    let more = ByHand::opened(&channel, &fetch()).await;
    check_status(&more.end().await, Code::Unavailable, "4 streams are served");
    streams.pop();
    tokio::time::timeout(WITHIN, check_served_again(&channel))
        .await
        .expect("an ended stream keeps its place");
    drop(streams);
    let gone = async {
        while serving.meter.counts().streams > 0 {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(WITHIN, gone).await.expect("a stream outlives its peer");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_would_park_a_pipeline_here_parks_it_from_there() {
    // The sources of the other node end before the range does: a gap, which a person must see.
    let limits = ExchangeLimits::default();
    let objects = Objects::sound();
    let serving = serve(pipeline("main", &[Source::sound(4)], &objects, 16, 1), limits).await;
    let mut hub = pipeline("main", &[], &objects, 16, LAST + 10);
    hub.places.fetcher = Place::Node(node_at(serving.address, limits));
    let running = start(vec![hub]).await;
    let reason = running.end().await;
    assert!(matches!(reason, ExitReason::Parked(_)), "{reason}");
    let parked = running.parked();
    assert!(parked[0].contains("node b: ") && parked[0].contains("lacks this ledger"), "{parked:?}");
    assert_eq!(running.restarts(), Vec::<String>::new());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_with_other_settings_parks_what_needs_it_and_nothing_else() {
    let limits = ExchangeLimits::default();
    let serving = serve(pipeline("main", &[], &Objects::sound(), 8, 1), limits).await;
    let mut hub = pipeline("main", &[Source::sound(4)], &Objects::sound(), 16, LAST);
    hub.places.sinks = Place::Node(node_at(serving.address, limits));
    let objects = Objects::sound();
    let other = pipeline("other", &[Source::sound(4)], &objects, 16, LAST);
    let running = start(vec![hub, other]).await;
    let reason = running.end().await;
    assert!(matches!(reason, ExitReason::Parked(_)), "{reason}");
    let parked = running.parked();
    let expect = "node b: the dataset that is asked for is";
    assert!(parked[0].contains("main") && parked[0].contains(expect), "{parked:?}");
    assert_eq!(running.restarts(), Vec::<String>::new());
    check_rows(&objects, LAST).await;
}

/// A pipeline whose fetcher is on a node with this source.
async fn fetched_from(
    source: &Arc<Source>,
    objects: &Arc<Objects>,
) -> (Serving, orrery_actors::pipeline::supervised::SupervisedPipeline) {
    let limits = ExchangeLimits::default();
    let serving = serve(pipeline("main", std::slice::from_ref(source), objects, 8, 1), limits).await;
    let mut hub = pipeline("main", &[], objects, 8, 50);
    hub.places.fetcher = Place::Node(node_at(serving.address, limits));
    (serving, hub)
}

fn torn() -> Bytes {
    let whole = object(&ledgers(1), 20..=23);
    whole.slice(..whole.len() - 100)
}

/// A byte in the middle of what binds a ledger to its hashes.
fn changed() -> Bytes {
    let mut bytes = object(&ledgers(1), 20..=23).to_vec();
    let at = bytes.len() / 2;
    bytes[at] ^= 1;
    bytes.into()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_object_that_came_badly_from_another_node_is_fetched_again() {
    for bad in [torn, changed] {
        let source = Source::new("mirror", 1, 4, move |first, earlier| {
            ((20..24).contains(&first) && earlier == 0).then(|| Fault::Gives(bad()))
        });
        let objects = Objects::sound();
        let (_serving, hub) = fetched_from(&source, &objects).await;
        let metrics = hub.metrics.clone();
        let running = start(vec![hub]).await;
        running.end_normally().await;
        assert_eq!(running.restarts(), Vec::<String>::new());
        assert!(metrics.counts().refused >= 1);
        check_rows(&objects, 50).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_poison_ledger_of_another_node_leaves_the_evidence_where_it_was_processed() {
    let source =
        Source::new("mirror", 1, 4, move |first, _| (20..24).contains(&first).then(|| Fault::Gives(torn())));
    let objects = Objects::sound();
    let (_serving, mut hub) = fetched_from(&source, &objects).await;
    let (_folder, state) = state();
    hub.state = Some(state.clone());
    let running = start(vec![hub]).await;
    let reason = running.end().await;
    assert!(matches!(reason, ExitReason::Parked(_)), "{reason}");
    let kept = state.quarantine.list().unwrap();
    assert_eq!(kept.len(), 1, "{kept:?}");
    let entry = &kept[0];
    assert_eq!((entry.ledger, entry.source.as_str(), entry.file.as_str()), (23, "mirror", "mirror/20-23"));
    assert_eq!((entry.attempts, entry.object_bytes), (3, torn().len()), "{entry:?}");
    let (_, bytes) = state.quarantine.get(LedgerSequence(23)).unwrap().unwrap();
    assert!(bytes == Some(torn()), "the evidence is not the object");
}
