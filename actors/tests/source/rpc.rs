//! RPC servers that throttle, forget and lie.

use std::sync::Arc;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use futures::StreamExt;
use orrery_actors::source::{SourceErrorKind, SourceUrl, StreamLimits, ledger_stream, open_stores};
use orrery_schemas::LedgerSequence;
use serde_json::{Value, json};

use super::lakes::MadeLake;
use super::made;
use super::reading::{JumpingTimer, check, ledgers, read, root, rpc_of, stream, upto};
use super::stub::{Reply, Stub};

/// An RPC server that keeps `oldest..=latest`; `fault` may answer first.
pub(crate) fn rpc(
    oldest: u32,
    latest: u32,
    fault: impl Fn(&Value, usize) -> Option<Reply> + Send + Sync + 'static,
) -> Stub {
    Stub::start(move |request| {
        let call: Value = serde_json::from_str(&request.body).unwrap();
        if let Some(reply) = fault(&call, request.earlier) {
            return reply;
        }
        let answer = match call["method"].as_str().unwrap() {
            "getNetwork" => json!({ "result": { "passphrase": "made up", "protocolVersion": 23 } }),
            "getHealth" => json!({ "result": {
                "status": "healthy", "oldestLedger": oldest, "latestLedger": latest, "ledgerRetentionWindow": 1
            } }),
            _ => get_ledgers(&call["params"], oldest, latest),
        };
        Reply::Status(200, answer.to_string().into_bytes())
    })
}

fn get_ledgers(parameters: &Value, oldest: u32, latest: u32) -> Value {
    let first = parameters["startLedger"].as_u64().unwrap() as u32;
    let limit = parameters["pagination"]["limit"].as_u64().unwrap() as u32;
    if !(oldest..=latest).contains(&first) || limit > 200 {
        let message = format!("start ledger ({first}) must be between {oldest} and {latest}");
        return json!({ "error": { "code": -32600, "message": message } });
    }
    page_of(first, (first + limit - 1).min(latest), oldest, latest)
}

fn page_of(first: u32, last: u32, oldest: u32, latest: u32) -> Value {
    let ledgers: Vec<_> = (first..=last)
        .map(|it| {
            let xdr = STANDARD.encode(made::ledger(it, it as usize % 7 * 100));
            json!({ "hash": "00", "sequence": it, "ledgerCloseTime": "1", "headerXdr": "", "metadataXdr": xdr })
        })
        .collect();
    json!({ "jsonrpc": "2.0", "id": 1, "result": {
        "ledgers": ledgers, "latestLedger": latest, "latestLedgerCloseTime": "1", "oldestLedger": oldest,
        "oldestLedgerCloseTime": "1", "cursor": last.to_string()
    } })
}

#[test]
fn rpc_server_is_read_in_growing_pages() {
    let stub = rpc(100, 700, |_, _| None);
    check(&rpc_of(&stub), "", "", 100, 700);
    check(&rpc_of(&stub), "300", "310", 300, 310);
    check(&rpc_of(&stub), "latest", "", 700, 700);
    let pages = stub.seen().iter().filter(|request| request.body.contains("getLedgers")).count();
    assert!(pages < 60, "{pages} requests for 613 ledgers");
}

#[test]
fn ledgers_that_the_server_has_dropped_are_a_gap() {
    // One server says so, one answers nothing, one answers what comes after.
    for style in 0..3 {
        let stub = rpc(100, 200, move |call, _| {
            let is_below = call["params"]["startLedger"].as_u64().is_some_and(|first| first < 100);
            (is_below && style > 0).then(|| {
                let mut answer = page_of(100, 101, 100, 200);
                if style == 1 {
                    answer["result"]["ledgers"] = json!([]);
                }
                Reply::Status(200, answer.to_string().into_bytes())
            })
        });
        let (sequences, error) = read(&rpc_of(&stub), "90", "120");
        let error = error.unwrap();
        assert!(sequences.is_empty());
        let SourceErrorKind::RetentionGap { from, to, oldest } = error.kind else {
            panic!("{style}: {error}")
        };
        assert_eq!((from.0, to.0, oldest.0), (90, 99, 100), "{style}");
    }
}

#[tokio::test]
async fn busy_rpc_server_is_left_alone_for_as_long_as_it_says() {
    let stub = rpc(100, 200, |call, earlier| match call["method"].as_str() {
        Some("getLedgers") if earlier < 3 => Some(Reply::Busy(429, 17)),
        _ => None,
    });
    let stores = open_stores(&[rpc_of(&stub)], &|_| None).await.unwrap();
    assert_eq!(stores[0].network_passphrase(), Some("made up"));
    assert!(!stores[0].name().contains("s3cret"));
    let timer = JumpingTimer::new(|_| ());
    let (chunks, error) = stream(&stores, upto(150, 160), timer.clone()).await;
    assert!(error.is_none(), "{}", error.unwrap());
    assert_eq!(ledgers(&chunks).len(), 11);
    let slept = timer.slept.lock().unwrap().clone();
    assert_eq!(slept, [Duration::from_secs(17); 2]);
}

#[test]
fn faults_of_an_rpc_server_that_pass_are_outlived() {
    let stub = rpc(100, 200, |_, earlier| {
        let answer = page_of(100, 101, 100, 200).to_string().into_bytes();
        match earlier % 7 {
            0 => Some(Reply::Dropped),
            2 => Some(Reply::Truncated(answer, 100)),
            3 => Some(Reply::Status(502, b"<html>bad gateway</html>".to_vec())),
            5 => Some(Reply::Status(200, br#"{"error":{"code":-32001,"message":"too slow"}}"#.to_vec())),
            _ => None,
        }
    });
    check(&rpc_of(&stub), "110", "140", 110, 140);
}

#[tokio::test]
async fn answer_with_larger_ledgers_than_fit_is_asked_for_in_smaller_pages() {
    let stub = rpc(100, 200, |call, _| {
        let first = call["params"]["startLedger"].as_u64()? as u32;
        let limit = call["params"]["pagination"]["limit"].as_u64().unwrap() as u32;
        let mut answer = page_of(first, first + limit - 1, 100, 200);
        for ledger in answer["result"]["ledgers"].as_array_mut().unwrap() {
            let sequence = ledger["sequence"].as_u64().unwrap() as u32;
            ledger["metadataXdr"] = STANDARD.encode(made::ledger(sequence, 300_000)).into();
        }
        Some(Reply::Status(200, answer.to_string().into_bytes()))
    });
    let stores = open_stores(&[rpc_of(&stub)], &|_| None).await.unwrap();
    // One ledger has 400 KB as text and 300 KB decoded: two do not fit, one does.
    let limits = StreamLimits::new(800 << 10).unwrap();
    let timer = Arc::new(JumpingTimer::new(|_| ()));
    let chunks = ledger_stream(stores, upto(150, 160), limits, timer, || 0);
    let mut chunks = std::pin::pin!(chunks);
    let mut due = 150;
    while let Some(chunk) = chunks.next().await {
        let chunk = chunk.unwrap();
        assert_eq!(ledgers(std::slice::from_ref(&chunk)), [(due, 0)]);
        due += 1;
    }
    assert_eq!(due, 161);
}

#[tokio::test]
async fn rpc_server_that_skips_a_ledger_is_not_believed() {
    let stub = rpc(100, 200, |call, _| {
        let first = call["params"]["startLedger"].as_u64()? as u32;
        (first <= 120 && first + 20 > 120).then(|| {
            let mut answer = page_of(first, 125, 100, 200);
            answer["result"]["ledgers"].as_array_mut().unwrap().retain(|ledger| ledger["sequence"] != 120);
            Reply::Status(200, answer.to_string().into_bytes())
        })
    });
    let lake = MadeLake::new(5, 8, 100, 200);
    let urls = [rpc_of(&stub), SourceUrl::Lake(root(&lake))];
    let stores = open_stores(&urls, &|_| None).await.unwrap();
    let (chunks, error) = stream(&stores[..1], upto(118, 130), JumpingTimer::new(|_| ())).await;
    assert!(chunks.iter().all(|chunk| *chunk.range.end() < LedgerSequence(120)));
    let text = error.unwrap().to_string();
    assert!(text.contains("gave ledger 121 where 120 is due"), "{text}");

    let (chunks, error) = stream(&stores, upto(118, 130), JumpingTimer::new(|_| ())).await;
    assert!(error.is_none(), "{}", error.unwrap());
    let found = ledgers(&chunks);
    assert_eq!(found.iter().map(|(ledger, _)| *ledger).collect::<Vec<_>>(), (118..=130).collect::<Vec<_>>());
    assert_eq!(found.iter().find(|(ledger, _)| *ledger == 120), Some(&(120, 1)));
}
