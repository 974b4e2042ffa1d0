//! Readers of the feed: memory and dataset joined, whatever is where.

use std::sync::Arc;

use orrery_actors::dataset::{Dataset, DatasetView, Store, ViewLimits};
use orrery_actors::envelope::EventBatch;
use orrery_actors::feed::{FRAME_EVENTS_MAX, Format, Frame, History, Hub, HubLimits, Look, StoredHistory};
use orrery_schemas::{Cursor, EventFilter, LedgerSequence, TokenTransfer, TokenTransferBatchBuilder};
use serde_json::Value;

use crate::made::{START, events, fill, hash, ledger, memory, settings};
use crate::rows;

/// The batch of these ledgers, as a processor hands it on.
fn batch(range: std::ops::RangeInclusive<u32>) -> EventBatch {
    let mut builder = TokenTransferBatchBuilder::with_capacity(16);
    range.clone().for_each(|sequence| builder.append(&events(sequence)).unwrap());
    let rows = builder.finish().unwrap();
    EventBatch { ledgers: range.map(ledger).collect(), rows, trace: tracing::Span::none() }
}

/// All that can be read behind a cursor, frame by frame, and where the reader stands then.
async fn read(hub: &Hub, mut at: Cursor, filter: &EventFilter) -> (Vec<TokenTransfer>, Cursor) {
    let wanted = hub.wanted(filter.clone());
    let mut seen = Vec::new();
    while let Some((next, from_event)) = at.next() {
        let found = match hub.look(next) {
            Look::Here(found) => found,
            Look::Stored { .. } => hub.page(next).await.unwrap().get(next).unwrap().clone(),
            Look::Ahead => break,
            Look::Lost { next } => panic!("lost up to {next}"),
        };
        assert_eq!((found.sequence(), found.ledger.hash), (next, hash(next.0)));
        for frame in hub.frames(&found, &wanted, Format::Json, from_event).unwrap().iter() {
            assert!(frame.cursor > at, "cursors go forward");
            at = frame.cursor;
            seen.extend(events_of(frame));
        }
        at = Cursor::behind(next);
    }
    (seen, at)
}

fn events_of(frame: &Frame) -> Vec<TokenTransfer> {
    let text = format!("{{{}", std::str::from_utf8(&frame.body).unwrap());
    let object: Value = serde_json::from_str(&text).unwrap();
    let events: Vec<TokenTransfer> = serde_json::from_value(object["events"].clone()).unwrap();
    assert_eq!((object["count"].as_u64().unwrap() as usize, frame.count), (events.len(), events.len()));
    assert_eq!(object["cursor"], frame.cursor.to_string());
    let sequence = object["ledger"].as_u64().unwrap() as u32;
    assert!(events.iter().all(|event| event.ledger_sequence.0 == sequence));
    assert_eq!(object["ledger_hash"], hash(sequence).to_string());
    assert_eq!(object["previous_ledger_hash"], hash(sequence - 1).to_string());
    assert_eq!(object["closed_at"], ledger(sequence).closed_at.to_string());
    events
}

fn expected(range: std::ops::RangeInclusive<u32>) -> Vec<TokenTransfer> {
    range.flat_map(events).collect()
}

async fn over(to: u32, limits: HubLimits) -> Hub {
    let store = memory();
    let mut dataset = Dataset::open(&store, &settings(16, 4)).await.unwrap();
    fill(&mut dataset, to).await.unwrap();
    let hub = Hub::new(limits);
    let view = view(&store);
    view.refresh().await.unwrap();
    hub.attach(Some(Arc::new(StoredHistory::new(view))));
    hub.look_again().await;
    hub
}

fn view(store: &Store) -> Arc<DatasetView> {
    Arc::new(DatasetView::new(store.clone(), ViewLimits::default()))
}

#[tokio::test]
async fn a_reader_gets_the_dataset_and_then_memory_from_wherever_it_begins() {
    let hub = over(47, HubLimits::default()).await;
    // A pipeline began again at what is durable in an earlier life, and is further now.
    hub.offer(&batch(32..=63));
    hub.offer(&batch(64..=70));
    let all = EventFilter::default();
    for begin in (START - 1)..=70 {
        let (seen, at) = read(&hub, Cursor::behind(LedgerSequence(begin)), &all).await;
        assert_eq!(at.to_string(), "70");
        assert_eq!(seen, expected(begin + 1..=70), "from {begin}");
    }
    let inside = "34:1".parse().unwrap();
    let (seen, _) = read(&hub, inside, &all).await;
    let whole = expected(34..=70);
    assert_eq!(seen, whole[2..], "the first two events of ledger 34 were seen");
    let tips = hub.tips_now();
    assert_eq!(
        (tips.oldest_cursor().to_string(), tips.tip_cursor().to_string()),
        ("4".to_owned(), "70".to_owned())
    );
}

#[tokio::test]
async fn a_filter_leaves_the_same_events_in_memory_and_in_the_dataset() {
    let hub = over(47, HubLimits::default()).await;
    hub.offer(&batch(48..=60));
    for (key, value) in
        [("kind", "mint,fee"), ("asset", "native"), ("min_amount", "1000000"), ("op_type", "payment")]
    {
        let mut filter = EventFilter::default();
        filter.add(key, value).unwrap();
        let (seen, at) = read(&hub, Cursor::behind(LedgerSequence(START - 1)), &filter).await;
        let rows = expected(START..=60);
        let mut builder = TokenTransferBatchBuilder::with_capacity(16);
        builder.append(&rows).unwrap();
        let matches = filter.matches(&builder.finish().unwrap()).unwrap();
        let wanted: Vec<_> =
            rows.into_iter().zip(matches.iter()).filter(|(_, is)| is.unwrap()).map(|(row, _)| row).collect();
        assert!(!wanted.is_empty(), "{key}");
        assert_eq!((seen, at.to_string()), (wanted, "60".to_owned()), "{key}");
    }
}

#[tokio::test]
async fn what_left_memory_comes_from_the_dataset_and_is_waited_for_until_it_is_there() {
    let small = HubLimits { memory_bytes: 1, ..HubLimits::default() };
    let hub = over(15, small).await;
    hub.offer(&batch(16..=40));
    assert!(matches!(hub.look(LedgerSequence(15)), Look::Stored { has_left_memory: true }));
    assert!(matches!(hub.look(LedgerSequence(16)), Look::Ahead), "in neither");
    assert!(matches!(hub.look(LedgerSequence(40)), Look::Here(_)));
    assert!(matches!(hub.look(LedgerSequence(41)), Look::Ahead));
}

#[tokio::test]
async fn looking_at_a_dataset_that_is_not_there_creates_none_and_waits_for_it() {
    let store = memory();
    let view = view(&store);
    view.refresh().await.unwrap();
    let history = StoredHistory::new(view.clone());
    assert_eq!(history.look().await.unwrap(), None);
    assert_eq!(store.list("token_transfers/_delta_log").await.unwrap(), []);
    assert!(history.page(LedgerSequence(START)).await.is_err());
    let hub = Hub::new(HubLimits::default());
    hub.attach(Some(Arc::new(history)));
    hub.look_again().await;
    assert!(!hub.tips_now().is_known);
    let mut tips = hub.tips();
    let mut dataset = Dataset::open(&store, &settings(16, 1)).await.unwrap();
    view.refresh().await.unwrap();
    hub.look_again().await;
    assert!(tips.has_changed().unwrap() && tips.borrow_and_update().is_known);
    fill(&mut dataset, 31).await.unwrap();
    let before = store.list("token_transfers/_delta_log").await.unwrap();
    view.refresh().await.unwrap();
    hub.look_again().await;
    assert!(tips.has_changed().unwrap(), "who waits for the dataset is told");
    assert_eq!(
        read(&hub, Cursor::behind(LedgerSequence(4)), &EventFilter::default()).await.0,
        expected(START..=31)
    );
    assert_eq!(store.list("token_transfers/_delta_log").await.unwrap(), before, "a reader writes nothing");
}

#[tokio::test]
async fn slots_of_what_is_in_memory_wake_nobody() {
    let store = memory();
    let mut dataset = Dataset::open(&store, &settings(16, 4)).await.unwrap();
    let hub = Hub::new(HubLimits::default());
    let view = view(&store);
    view.refresh().await.unwrap();
    hub.attach(Some(Arc::new(StoredHistory::new(view.clone()))));
    hub.look_again().await;
    hub.offer(&batch(START..=50));
    let mut tips = hub.tips();
    tips.mark_unchanged();
    fill(&mut dataset, 47).await.unwrap();
    view.refresh().await.unwrap();
    hub.look_again().await;
    assert!(!tips.has_changed().unwrap());
    assert_eq!(tips.borrow().stored.unwrap().next, LedgerSequence(48), "but they are known");
    hub.offer(&batch(51..=51));
    assert!(tips.has_changed().unwrap());
}

#[tokio::test]
async fn without_a_dataset_what_left_memory_is_lost_and_said_to_be() {
    let hub = Hub::new(HubLimits { memory_bytes: 1, ..HubLimits::default() });
    assert!(!hub.tips_now().is_known);
    hub.attach(None);
    hub.offer(&batch(16..=18));
    assert!(hub.tips_now().is_known);
    assert!(matches!(hub.look(LedgerSequence(16)), Look::Lost { next: LedgerSequence(18) }));
}

#[tokio::test]
async fn those_who_want_the_same_get_the_same_bytes_and_a_bound_holds() {
    let hub = over(15, HubLimits { frame_bytes: 20_000, ..HubLimits::default() }).await;
    hub.offer(&batch(16..=99));
    let mut filter = EventFilter::default();
    let (one, other) = (hub.wanted(filter.clone()), hub.wanted(filter.clone()));
    filter.add("kind", "transfer").unwrap();
    let alone = hub.wanted(filter);
    let frames = |wanted, ledger| {
        let Look::Here(found) = hub.look(LedgerSequence(ledger)) else { panic!("{ledger} is not in memory") };
        hub.frames(&found, wanted, Format::Json, 0).unwrap()
    };
    assert!(Arc::ptr_eq(&frames(&one, 20), &frames(&other, 20)));
    assert!(!Arc::ptr_eq(&frames(&alone, 20), &frames(&alone, 20)), "what one wants alone is not kept");
    for ledger in 16..=99 {
        assert_eq!(frames(&one, ledger).is_empty(), events(ledger).is_empty());
        let (kept, bytes) = hub.kept_frames();
        assert!(bytes <= 20_000 && kept < 60, "{kept} encodings of {bytes} bytes");
    }
}

#[test]
fn a_ledger_of_many_events_is_several_frames_whose_cursors_go_on_inside_it() {
    let rows = rows::ledger(77, 1_203);
    let mut builder = TokenTransferBatchBuilder::with_capacity(16);
    builder.append(&rows).unwrap();
    let head = orrery_schemas::Ledger { event_count: 1_203, ..ledger(77) };
    let hub = Hub::new(HubLimits::default());
    let rows_of = builder.finish().unwrap();
    hub.offer(&EventBatch { ledgers: vec![head], rows: rows_of, trace: tracing::Span::none() });
    let Look::Here(found) = hub.look(LedgerSequence(77)) else { panic!("77 is not in memory") };
    let wanted = hub.wanted(EventFilter::default());
    let check = |from_event: u32, cursors: &[&str]| {
        let frames = hub.frames(&found, &wanted, Format::Json, from_event).unwrap();
        let found: Vec<_> = frames.iter().map(|frame| frame.cursor.to_string()).collect();
        assert_eq!(found, cursors, "from event {from_event}");
        assert!(frames.iter().all(|frame| frame.count <= FRAME_EVENTS_MAX));
        let seen: Vec<_> = frames.iter().flat_map(events_of).collect();
        assert_eq!(seen, rows[from_event as usize..]);
    };
    check(0, &["77:499", "77:999", "77"]);
    check(500, &["77:999", "77"]);
    check(1_000, &["77"]);
    check(1_203, &[]);
}

#[tokio::test]
async fn an_arrow_frame_is_a_stream_whose_schema_names_subscription_and_cursor() {
    let hub = over(15, HubLimits::default()).await;
    hub.offer(&batch(16..=17));
    let page = hub.page(LedgerSequence(14)).await.unwrap();
    let Look::Here(in_memory) = hub.look(LedgerSequence(16)) else { panic!("16 is not in memory") };
    for found in [page.get(LedgerSequence(14)).unwrap(), &in_memory] {
        let frames = hub.frames(found, &hub.wanted(EventFilter::default()), Format::Arrow, 0).unwrap();
        let [frame] = &frames[..] else { panic!("{frames:?}") };
        let head = orrery_actors::feed::arrow_head("mine", frame.cursor).unwrap();
        let stream = [&head[..], &frame.body[..]].concat();
        let mut reader = arrow::ipc::reader::StreamReader::try_new(&stream[..], None).unwrap();
        let metadata = reader.schema().metadata().clone();
        let sequence = found.sequence().to_string();
        assert_eq!((&*metadata["orrery.feed.id"], &*metadata["orrery.feed.cursor"]), ("mine", &*sequence));
        let rows = reader.next().unwrap().unwrap();
        assert_eq!(orrery_schemas::token_transfers_from_batch(&rows).unwrap(), events(found.sequence().0));
        assert!(reader.next().is_none());
    }
}
