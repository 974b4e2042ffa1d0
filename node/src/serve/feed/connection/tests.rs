use orrery_actors::envelope::EventBatch;
use orrery_actors::feed::HubLimits;
use orrery_schemas::{
    CloseTime, ContractId, Hash32, Kind, Ledger, LedgerSequence, OpType, RowDigest, Toid, TokenTransfer,
    TokenTransferBatchBuilder,
};
use serde_json::{Value, json};
use tokio::io::DuplexStream;

use super::super::wire::masked;
use super::*;
use crate::serve::patience::Patient;
use crate::serve::patience::tests::pair;

const TICK: Duration = Duration::from_millis(50);

/// Where something has to be read within one, on a machine that may do much else.
const LONG_TICK: Duration = Duration::from_secs(2);

/// A hub without a dataset, with these ledgers of `events` events each.
fn hub(ledgers: std::ops::RangeInclusive<u32>, events: u32) -> Arc<Hub> {
    let hub = Hub::new(HubLimits::default());
    hub.attach(None);
    offer(&hub, ledgers, events);
    Arc::new(hub)
}

fn offer(hub: &Hub, ledgers: std::ops::RangeInclusive<u32>, events: u32) {
    let mut builder = TokenTransferBatchBuilder::with_capacity(16);
    for ledger in ledgers.clone() {
        let rows: Vec<_> = (0..events).map(|index| event(ledger, index)).collect();
        builder.append(&rows).unwrap();
    }
    let ledgers = ledgers.map(|sequence| ledger(sequence, events)).collect();
    hub.offer(&EventBatch { ledgers, rows: builder.finish().unwrap(), trace: tracing::Span::none() });
}

fn event(ledger: u32, index: u32) -> TokenTransfer {
    let ledger_sequence = LedgerSequence(ledger);
    TokenTransfer {
        ledger_sequence,
        closed_at: CloseTime::from_unix_seconds(1_725_274_219).unwrap(),
        tx_hash: Hash32::ZERO,
        tx_index: 1,
        op_index: Some(index + 1),
        event_index: 0,
        ledger_event_index: index,
        toid: Toid::new(ledger_sequence, 1, Some(index + 1)).unwrap(),
        kind: Kind::Transfer,
        op_type: Some(OpType::ALL[0]),
        contract_id: ContractId([7; 32]),
        asset: None,
        from: None,
        to: None,
        amount: 5,
        to_muxed: None,
        tx_successful: true,
    }
}

fn hash(ledger: u32) -> Hash32 {
    let mut bytes = [7; 32];
    bytes[..4].copy_from_slice(&ledger.to_be_bytes());
    Hash32(bytes)
}

fn ledger(sequence: u32, event_count: u32) -> Ledger {
    Ledger {
        sequence: LedgerSequence(sequence),
        hash: hash(sequence),
        previous_hash: hash(sequence - 1),
        closed_at: CloseTime::from_unix_seconds(1_725_274_219).unwrap(),
        protocol_version: 23,
        tx_set_hash: Hash32::ZERO,
        tx_set_result_hash: Hash32::ZERO,
        tx_count: 1,
        successful_tx_count: 1,
        failed_tx_count: 0,
        operation_count: event_count,
        event_count,
        total_coins: 1,
        fee_pool: 1,
        base_fee: 100,
        base_reserve: 1,
        max_tx_set_size: 1,
        row_digest: RowDigest::default(),
    }
}

/// The other end, with a pipe between that holds so many bytes.
struct Client {
    io: DuplexStream,
    decoder: Decoder,
    heard: VecDeque<Incoming>,
}

fn connect(hub: &Arc<Hub>, pipe_bytes: usize) -> (Client, impl Future<Output = ()> + use<>) {
    connect_with(hub, pipe_bytes, TICK)
}

fn connect_with(
    hub: &Arc<Hub>,
    pipe_bytes: usize,
    tick: Duration,
) -> (Client, impl Future<Output = ()> + use<>) {
    let (near, far) = tokio::io::duplex(pipe_bytes);
    let session = SessionLimits { subscriptions_max: 4, messages_per_tick_max: 1_000 };
    let settings = ConnectionSettings { format: Format::Json, session, tick, now_ms: || 1_725_274_219_500 };
    let connection = Connection::new(near, hub.clone(), Room::default(), settings);
    let client = Client { io: far, decoder: Decoder::new(End::Client, 1 << 24), heard: VecDeque::new() };
    (client, async move { connection.run(&[]).await })
}

impl Client {
    async fn say(&mut self, message: Value) {
        let frame = masked(Opcode::Text, message.to_string().as_bytes(), [1, 2, 3, 4]);
        self.io.write_all(&frame).await.unwrap();
    }

    /// The next message but pings; `None` at the end.
    async fn hear(&mut self) -> Option<Incoming> {
        loop {
            match self.heard.pop_front() {
                Some(Incoming::Ping(_)) => {}
                Some(message) => return Some(message),
                None => {
                    let mut buffer = [0; 1024];
                    let count = self.io.read(&mut buffer).await.ok().filter(|&count| count > 0)?;
                    let mut messages = Vec::new();
                    self.decoder.take(&buffer[..count], &mut messages).unwrap();
                    self.heard.extend(messages);
                }
            }
        }
    }

    async fn json(&mut self) -> Value {
        match self.hear().await {
            Some(Incoming::Text(text)) => serde_json::from_str(&text).unwrap(),
            other => panic!("{other:?}"),
        }
    }
}

#[tokio::test]
async fn a_reader_gets_what_is_there_and_then_what_comes() {
    let hub = hub(10..=11, 2);
    let (mut client, served) = connect(&hub, 1 << 20);
    let read = async {
        client.say(json!({ "op": "subscribe", "id": "a", "from": "oldest" })).await;
        let said = client.json().await;
        assert_eq!(
            (&said["type"], &said["oldest"], &said["tip"]),
            (&json!("subscribed"), &json!("9"), &json!("11"))
        );
        let mut cursors = Vec::new();
        while cursors.len() < 2 {
            let said = client.json().await;
            if said["type"] == "events" {
                assert_eq!((said["id"].as_str(), said["count"].as_u64()), (Some("a"), Some(2)));
                cursors.push(said["cursor"].clone());
            }
        }
        assert_eq!(cursors, ["10", "11"]);
        assert_eq!(client.json().await, json!({ "type": "heartbeat", "tip": "11", "lag_ms": 500 }));
        offer(&hub, 12..=12, 1);
        let said = client.json().await;
        assert_eq!((&said["cursor"], &said["events"][0]["ledger_event_index"]), (&json!("12"), &json!(0)));
        assert_eq!(client.json().await["tip"], "12");
        offer(&hub, 13..=13, 0);
        assert_eq!(client.json().await["tip"], "13", "also for a ledger in which nothing matched");
        assert_eq!(hub.counts.subscriptions.load(Ordering::Relaxed), 1);
        client.io.write_all(&masked(Opcode::Close, &[3, 232], [0; 4])).await.unwrap();
        while let Some(message) = client.hear().await {
            assert!(matches!(message, Incoming::Text(_) | Incoming::Close(Some((1000, _)))), "{message:?}");
        }
    };
    tokio::join!(served, read);
    assert_eq!(hub.counts.subscriptions.load(Ordering::Relaxed), 0);
}

#[tokio::test]
async fn a_reader_that_takes_nothing_is_closed_with_its_cursor_and_others_are_served() {
    let hub = hub(10..=40, 50);
    let (mut slow, slow_served) = connect_with(&hub, 256, LONG_TICK);
    let (mut quick, quick_served) = connect_with(&hub, 256, LONG_TICK);
    let read = async {
        for client in [&mut slow, &mut quick] {
            client.say(json!({ "op": "subscribe", "id": "a", "from": "oldest" })).await;
        }
        let mut looks = tokio::time::interval(Duration::from_millis(1));
        let mut last = Value::Null;
        while hub.counts.evicted.load(Ordering::Relaxed) == 0 {
            looks.tick().await;
            while last != "40" {
                let said = quick.json().await;
                last = if said["type"] == "events" { said["cursor"].clone() } else { last };
            }
        }
        let (mut cursor, mut closed) = (Value::Null, None);
        while let Some(message) = slow.hear().await {
            match message {
                Incoming::Text(text) => {
                    let said: Value = serde_json::from_str(&text).unwrap();
                    cursor = if said["type"] == "events" { said["cursor"].clone() } else { cursor };
                }
                Incoming::Close(close) => closed = close,
                _ => {}
            }
        }
        let (code, reason) = closed.unwrap();
        assert_eq!(code, 4008);
        assert!(cursor.is_null() && reason == "9" || cursor == reason.as_str(), "{cursor} {reason}");
        drop((slow, quick));
    };
    tokio::join!(slow_served, quick_served, read);
}

/// As a reader that is stopped: it reads only when the server has long given it up, and finds the reason at the end of all
/// that was sent.
#[tokio::test]
async fn a_reader_that_took_nothing_for_long_finds_why_it_was_closed() {
    let hub = hub(10..=12, 400);
    let (near, mut far) = pair().await;
    socket2::SockRef::from(&far).set_recv_buffer_size(4 << 10).unwrap();
    let room = Room::default();
    let near = Patient::new(near, Duration::from_secs(600), room.clone());
    let session = SessionLimits { subscriptions_max: 4, messages_per_tick_max: 1_000 };
    let settings =
        ConnectionSettings { format: Format::Json, session, tick: TICK, now_ms: || 1_725_274_219_500 };
    let served = Connection::new(near, hub.clone(), room, settings).run(&[]);
    let ask = json!({ "op": "subscribe", "id": "a", "from": "oldest" }).to_string();
    far.write_all(&masked(Opcode::Text, ask.as_bytes(), [1, 2, 3, 4])).await.unwrap();
    // More comes while it takes nothing, until it is given up.
    let mut next = 13;
    let more = async {
        let mut ticks = tokio::time::interval(Duration::from_millis(5));
        while hub.counts.evicted.load(Ordering::Relaxed) == 0 {
            ticks.tick().await;
            offer(&hub, next..=next, 400);
            next += 1;
        }
    };
    tokio::join!(served, more);
    let (mut bytes, mut messages) = (Vec::new(), Vec::new());
    far.read_to_end(&mut bytes).await.unwrap();
    Decoder::new(End::Client, 1 << 24).take(&bytes, &mut messages).unwrap();
    let Some(Incoming::Close(Some((4008, reason)))) = messages.last() else {
        panic!("{} messages, and the last one is {:?}", messages.len(), messages.last())
    };
    let texts = messages.iter().filter_map(|message| match message {
        Incoming::Text(text) => serde_json::from_str::<Value>(text).ok(),
        _ => None,
    });
    let cursor = texts.filter_map(|said| said["cursor"].as_str().map(str::to_owned)).next_back().unwrap();
    assert_eq!(*reason, cursor);
}

#[tokio::test]
async fn who_says_nothing_is_asked_and_then_given_up() {
    let hub = hub(10..=10, 1);
    let (mut client, served) = connect(&hub, 1 << 20);
    let silent = async {
        let mut buffer = [0; 64];
        let mut found = Vec::new();
        loop {
            match client.io.read(&mut buffer).await.unwrap() {
                0 => break,
                count => found.extend_from_slice(&buffer[..count]),
            }
        }
        assert!(found.starts_with(&[0x89, 0]), "a ping: {found:?}");
    };
    tokio::join!(served, silent);
}

#[test]
fn a_connection_costs_little() {
    let hub = hub(10..=10, 1);
    let (_client, served) = connect(&hub, 64);
    let bytes = size_of_val(&served);
    assert!(bytes <= 2_048, "the task of an idle connection has {bytes} bytes");
}
