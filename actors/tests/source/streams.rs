//! Ledgers as a stream: budgets of tries and bytes, the tip, and several sources.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt;
use orrery_actors::source::{
    LedgerRange, ObjectExtension, ObjectFingerprint, Rejected, SourceError, SourceErrorKind, SourceUrl,
    StreamLimits, StreamStart, ledger_stream, open, open_stores,
};
use orrery_schemas::LedgerSequence;
use orrery_supervisor::MonotonicTime;
use serde_json::json;

use super::lakes::MadeLake;
use super::made;
use super::reading::{JumpingTimer, lake_of, ledgers, root, rpc_of, stream, upto};
use super::rpc::rpc;
use super::stub::{Reply, Stub};

#[tokio::test]
async fn budget_that_is_spent_says_how_often_and_for_how_long() {
    let lake = MadeLake::uniform(2, 30);
    let stub = Stub::lake(root(&lake), |request| {
        request.path.contains("--12.").then(|| Reply::Status(500, b"overloaded".to_vec()))
    });
    let stores = open_stores(&[lake_of(&stub)], &|_| None).await.unwrap();
    let timer = JumpingTimer::new(|_| ());
    let (chunks, error) = stream(&stores, upto(10, 20), timer.clone()).await;
    assert_eq!(ledgers(&chunks), [(10, 0), (11, 0)]);
    let error = error.unwrap();
    assert_eq!((error.ledger.0, error.tried[0].attempts), (12, 8));
    let text = error.to_string();
    assert!(text.contains("was tried 8 times in") && text.contains("500"), "{text}");
    // A few more from slots that were given up.
    assert!((8..=12).contains(&stub.count("--12.")), "{}", stub.count("--12."));
    let text = SourceError::from(error).to_string();
    assert!(text.contains("given up after 8 tries in"), "{text}");
}

#[tokio::test]
async fn tip_is_followed_with_few_requests() {
    let lake = Arc::new(MadeLake::uniform(18, 18));
    let stub = Stub::lake(root(&lake), |_| None);
    let stores = open_stores(&[lake_of(&stub)], &|_| None).await.unwrap();
    // A ledger each 5 s.
    let writer = Arc::downgrade(&lake);
    let timer = JumpingTimer::new(move |now| {
        let lake = writer.upgrade().unwrap();
        let closed = 18 + now.since(MonotonicTime::ORIGIN).as_secs() as u32 / 5;
        for sequence in 19..=closed.min(60) {
            lake.put_ledger(sequence);
        }
    });
    let (chunks, error) = stream(&stores, upto(18, 50), timer).await;
    assert!(error.is_none(), "{}", error.unwrap());
    assert_eq!(ledgers(&chunks), (18..=50).map(|ledger| (ledger, 0)).collect::<Vec<_>>());
    // At the tip: each ledger is polled for, and found soon after it is there.
    println!("{:?}", (18..=50).map(|it| stub.count(&format!("--{it}."))).collect::<Vec<_>>());
    for sequence in 30..=50 {
        let requests = stub.count(&format!("--{sequence}."));
        assert!(requests <= 5, "{requests} requests for ledger {sequence}");
    }
    let total: usize = (30..=50).map(|sequence| stub.count(&format!("--{sequence}."))).sum();
    assert!(total <= 21 * 3, "{total} requests for 21 ledgers");
}

#[tokio::test]
async fn gap_is_told_from_the_tip() {
    let lake = MadeLake::uniform(2, 40);
    lake.remove(25);
    let folder = SourceUrl::Lake(root(&lake));
    let stub = Stub::lake(root(&lake), |_| None);
    for url in [folder, lake_of(&stub)] {
        for from in [20, 25] {
            let stores = open_stores(std::slice::from_ref(&url), &|_| None).await.unwrap();
            let (chunks, error) = stream(&stores, upto(from, 30), JumpingTimer::new(|_| ())).await;
            assert_eq!(chunks.len() as u32, 25 - from);
            let error = error.unwrap();
            assert_eq!(error.ledger.0, 25);
            assert!(matches!(error.tried[0].error.kind, SourceErrorKind::MissingLedger { .. }), "{error}");
        }
    }
}

#[tokio::test]
async fn changed_object_has_another_fingerprint() {
    let lake = MadeLake::uniform(2, 9);
    let stub = Stub::lake(root(&lake), |_| None);
    let stores = open_stores(&[lake_of(&stub)], &|_| None).await.unwrap();
    let (before, _) = stream(&stores, upto(6, 6), JumpingTimer::new(|_| ())).await;
    let content = made::batch(6, 6, 1, &made::ledgers(6, 6));
    lake.put(6, ObjectExtension::Zst, &content);
    let (after, _) = stream(&stores, upto(6, 6), JumpingTimer::new(|_| ())).await;
    assert_eq!(ledgers(&before), ledgers(&after));
    assert_ne!(before[0].fingerprint(), after[0].fingerprint());
    assert_eq!(after[0].fingerprint(), ObjectFingerprint::of(&content));
    let file = Path::new(&*before[0].file);
    assert!(file.file_name().unwrap().to_str().unwrap().starts_with("FFFFFFF9--6.xdr"), "{file:?}");
}

#[tokio::test]
async fn who_holds_chunks_gets_no_more_than_the_budget() {
    let lake = MadeLake::uniform(2, 2);
    let object = |sequence| made::batch(sequence, sequence, 1, &[made::ledger(sequence, 40_000)]);
    (2..=150).for_each(|sequence| lake.put(sequence, ObjectExtension::Zst, &object(sequence)));
    let stub = Stub::lake(root(&lake), |_| None);
    let stores = open_stores(&[lake_of(&stub)], &|_| None).await.unwrap();
    let bytes_max = 4 << 20;
    let limits = StreamLimits::new(bytes_max).unwrap();
    let timer = Arc::new(JumpingTimer::new(|_| ()));
    let chunks = ledger_stream(stores, upto(2, 150), limits, timer, || 0);
    let mut chunks = std::pin::pin!(chunks);
    let mut held = Vec::new();
    // Nothing comes any more: that can only be seen by waiting.
    while let Ok(chunk) = tokio::time::timeout(Duration::from_millis(500), chunks.next()).await {
        held.push(chunk.unwrap().unwrap());
    }
    let bytes: usize = held.iter().map(|chunk| chunk.bytes.len()).sum();
    assert!((bytes_max * 9 / 10..=bytes_max).contains(&bytes), "{bytes} bytes in {} chunks", held.len());
    assert_eq!(stub.count(".xdr.zst"), held.len(), "nothing is fetched that has no room");
    // What is dropped makes room.
    held.truncate(50);
    while let Some(chunk) = chunks.next().await {
        held.truncate(50);
        held.push(chunk.unwrap());
    }
    assert_eq!(held.last().unwrap().range, LedgerSequence(150)..=LedgerSequence(150));
}

#[tokio::test]
async fn gap_of_one_source_is_filled_from_the_next() {
    let stub = rpc(150, 200, |_, _| None);
    let lake = MadeLake::new(5, 8, 100, 169);
    let urls = [rpc_of(&stub), SourceUrl::Lake(root(&lake))];
    let stores = open_stores(&urls, &|_| None).await.unwrap();
    // The lake fills what the server has dropped; the server has what the lake does not hold yet.
    let (chunks, error) = stream(&stores, upto(140, 180), JumpingTimer::new(|_| ())).await;
    assert!(error.is_none(), "{}", error.unwrap());
    let found = ledgers(&chunks);
    assert_eq!(found.iter().map(|(ledger, _)| *ledger).collect::<Vec<_>>(), (140..=180).collect::<Vec<_>>());
    assert!(found[..10].iter().all(|(_, source)| *source == 1), "{found:?}");
    assert_eq!(found.last(), Some(&(180, 0)));

    // A chunk that was rejected comes from elsewhere.
    let rejected = vec![Rejected { ledger: LedgerSequence(160), source: 0 }];
    let start = StreamStart { rejected, ..upto(160, 165) };
    let (chunks, error) = stream(&stores, start, JumpingTimer::new(|_| ())).await;
    assert!(error.is_none(), "{}", error.unwrap());
    assert_eq!(ledgers(&chunks)[0], (160, 1));
}

#[tokio::test]
async fn sources_of_two_networks_are_refused() {
    let stub = rpc(150, 200, |call, _| {
        let other = json!({ "result": { "passphrase": "another" } }).to_string().into_bytes();
        (call["method"] == "getNetwork").then_some(Reply::Status(200, other))
    });
    let lake = MadeLake::new(5, 8, 100, 169);
    let urls = [rpc_of(&stub), SourceUrl::Lake(root(&lake))];
    let Err(error) = open_stores(&urls, &|_| None).await else { panic!("accepted") };
    assert!(error.to_string().contains("it holds `made up` and an earlier source `another`"), "{error}");
}

#[tokio::test]
async fn synthetic_ledgers_come_by_number_and_at_their_rate() {
    let url: SourceUrl = "synthetic:?ledgers=20&density=sparse".parse().unwrap();
    let stores = open_stores(std::slice::from_ref(&url), &|_| None).await.unwrap();
    let (chunks, error) = stream(&stores, upto(5, 12), JumpingTimer::new(|_| ())).await;
    assert!(error.is_none(), "{}", error.unwrap());
    assert_eq!(ledgers(&chunks), (5..=12).map(|ledger| (ledger, 0)).collect::<Vec<_>>());
    // The same bytes as blocking code reads.
    let mut source = open(&[url], LedgerRange::default()).unwrap();
    let fifth = std::iter::from_fn(|| source.next_ledger()).nth(3).unwrap().unwrap();
    assert_eq!(chunks[0].bytes, fifth.xdr);
}

#[tokio::test]
async fn files_have_no_ledgers_by_number() {
    for text in ["stream:-", "stream:x"] {
        let Err(error) = open_stores(&[text.parse().unwrap()], &|_| None).await else { panic!("accepted") };
        assert!(error.to_string().contains("has no ledgers by number"), "{error}");
    }
}
