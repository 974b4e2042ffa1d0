//! Ledgers over a network: web servers and RPC servers that throttle, truncate, forget and lie.

use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use futures::StreamExt;
use futures::future::BoxFuture;
use orrery_actors::source::{
    AtTip, LedgerChunk, LedgerRange, LedgerStore, ObjectExtension, ObjectFingerprint, Rejected, SourceError,
    SourceErrorClass, SourceErrorKind, SourceUrl, StreamError, StreamLimits, StreamStart, Timer,
    ledger_stream, open, open_stores,
};
use orrery_schemas::LedgerSequence;
use orrery_supervisor::{Clock, ManualClock, MonotonicTime};
use serde_json::{Value, json};

use super::lakes::MadeLake;
use super::made;
use super::stub::{Reply, Request, Stub};

fn lake_of(stub: &Stub) -> SourceUrl {
    format!("http://{}/lake", stub.address()).parse().unwrap()
}

fn rpc_of(stub: &Stub) -> SourceUrl {
    format!("rpc+http://{}/v1/s3cret", stub.address()).parse().unwrap()
}

/// Reads with blocking code, as commands do.
fn read(url: &SourceUrl, from: &str, to: &str) -> (Vec<u32>, Option<SourceError>) {
    let bound = |text: &str| (!text.is_empty()).then(|| text.parse().unwrap());
    let mut source = match open(std::slice::from_ref(url), LedgerRange { from: bound(from), to: bound(to) }) {
        Ok(source) => source,
        Err(error) => return (Vec::new(), Some(error)),
    };
    let mut sequences = Vec::new();
    loop {
        match source.next_ledger() {
            None => return (sequences, None),
            Some(Err(error)) => return (sequences, Some(error)),
            Some(Ok(ledger)) => {
                assert_eq!(ledger.xdr, made::ledger(ledger.sequence.0, ledger.sequence.0 as usize % 7 * 100));
                sequences.push(ledger.sequence.0);
            }
        }
    }
}

#[track_caller]
fn check(url: &SourceUrl, from: &str, to: &str, first: u32, last: u32) {
    let (sequences, error) = read(url, from, to);
    assert!(error.is_none(), "{}", error.unwrap());
    assert_eq!(sequences, (first..=last).collect::<Vec<_>>());
}

/// Time that passes when somebody waits for it, and what happens then.
#[derive(Clone)]
pub(crate) struct JumpingTimer {
    clock: Arc<ManualClock>,
    slept: Arc<Mutex<Vec<Duration>>>,
    on_sleep: Arc<dyn Fn(MonotonicTime) + Send + Sync>,
}

impl JumpingTimer {
    pub(crate) fn new(on_sleep: impl Fn(MonotonicTime) + Send + Sync + 'static) -> Self {
        Self { clock: Arc::default(), slept: Arc::default(), on_sleep: Arc::new(on_sleep) }
    }
}

impl Timer for JumpingTimer {
    fn now(&self) -> MonotonicTime {
        self.clock.now()
    }

    fn sleep(&self, duration: Duration) -> BoxFuture<'static, ()> {
        let timer = self.clone();
        Box::pin(async move {
            // Lets what runs come to its end first, as requests on loopback take no time.
            for _ in 0..50 {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
            timer.clock.advance(duration);
            timer.slept.lock().unwrap().push(duration);
            (timer.on_sleep)(timer.clock.now());
        })
    }
}

pub(crate) fn upto(from: u32, to: u32) -> StreamStart {
    let (from, to) = (LedgerSequence(from), Some(LedgerSequence(to)));
    StreamStart { from, to, at_tip: AtTip::Wait, rejected: Vec::new() }
}

/// Chunks of a stream until it ends, with a timer that jumps.
pub(crate) async fn stream(
    stores: &[Arc<dyn LedgerStore>],
    start: StreamStart,
    timer: JumpingTimer,
) -> (Vec<LedgerChunk>, Option<StreamError>) {
    let limits = StreamLimits::new(64 << 20).unwrap();
    let mut random = 0_u64;
    let random = move || {
        random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        random
    };
    let stream = ledger_stream(stores.to_vec(), start, limits, Arc::new(timer), random);
    let mut stream = std::pin::pin!(stream);
    let mut chunks = Vec::new();
    while let Some(chunk) = stream.next().await {
        match chunk {
            Ok(chunk) => chunks.push(chunk),
            Err(error) => return (chunks, Some(error)),
        }
    }
    (chunks, None)
}

/// Ledgers of chunks, each with its source.
pub(crate) fn ledgers(chunks: &[LedgerChunk]) -> Vec<(u32, usize)> {
    let mut all = Vec::new();
    for chunk in chunks {
        let found: Vec<_> = chunk.ledgers().map(|ledger| ledger.unwrap().sequence).collect();
        assert_eq!((found.first(), found.last()), (Some(chunk.range.start()), Some(chunk.range.end())));
        all.extend(found.iter().map(|ledger| (ledger.0, chunk.source)));
    }
    all
}

fn root(lake: &MadeLake) -> std::path::PathBuf {
    lake.root.path().to_owned()
}

#[test]
fn lake_on_a_web_server_is_read_without_listing() {
    for (ledgers_per_batch, batches_per_partition) in [(1, 64000), (1, 1), (5, 8), (64, 10)] {
        let lake = MadeLake::new(ledgers_per_batch, batches_per_partition, 2, 71);
        let stub = Stub::lake(root(&lake), |_| None);
        check(&lake_of(&stub), "10", "20", 10, 20);
        check(&lake_of(&stub), "genesis", "latest", 2, 71);
        check(&lake_of(&stub), "60", "", 60, 71);
        assert!(stub.seen().iter().all(|request| ["GET", "HEAD"].contains(&&*request.method)));
        let (_, error) = read(&lake_of(&stub), "", "20");
        let error = error.unwrap();
        assert_eq!(error.class(), SourceErrorClass::Usage);
        assert!(error.to_string().contains("give --from"), "{error}");
    }
}

#[test]
fn faults_that_pass_are_outlived() {
    let lake = MadeLake::uniform(2, 30);
    let content = root(&lake);
    let stub = Stub::lake(root(&lake), move |request: &Request| {
        let name = request.path.strip_prefix("/lake/").unwrap();
        let bytes = std::fs::read(content.join(name)).unwrap_or_default();
        // Every path fails in its own way, once or twice; the configuration too.
        match (name.len() + bytes.len() + request.earlier) % 5 {
            _ if request.earlier > 1 => None,
            0 => Some(Reply::Status(500, b"<html>oops</html>".to_vec())),
            1 => Some(Reply::Busy(503, 0)),
            2 if !bytes.is_empty() => Some(Reply::Truncated(bytes.clone(), bytes.len() / 2)),
            3 => Some(Reply::Dropped),
            _ => None,
        }
    });
    check(&lake_of(&stub), "2", "30", 2, 30);
    assert!(stub.seen().len() > 40, "{} requests", stub.seen().len());
}

#[test]
fn missing_ledger_in_a_lake_on_a_web_server_is_an_error() {
    let lake = MadeLake::uniform(2, 30);
    lake.remove(20);
    let stub = Stub::lake(root(&lake), |_| None);
    let (sequences, error) = read(&lake_of(&stub), "2", "30");
    let error = error.unwrap();
    assert_eq!((sequences.len(), error.ledger), (18, Some(LedgerSequence(20))));
    assert!(matches!(error.kind, SourceErrorKind::MissingLedger { .. }), "{error}");
}

#[test]
fn server_that_refuses_is_not_asked_again() {
    for (status, fragment) in [(401, "access denied"), (403, "access denied"), (410, "the server refuses")] {
        let stub = Stub::start(move |_| Reply::Status(status, Vec::new()));
        let (_, error) = read(&lake_of(&stub), "2", "30");
        assert!(error.as_ref().unwrap().to_string().contains(fragment), "{status}: {}", error.unwrap());
        assert_eq!(stub.seen().len(), 1);
        let (_, error) = read(&rpc_of(&stub), "2", "30");
        let error = error.unwrap().to_string();
        assert!(error.contains(fragment) && !error.contains("s3cret"), "{status}: {error}");
    }
}

#[test]
fn page_that_is_no_lake_says_so() {
    let stub = Stub::start(|_| Reply::Status(404, Vec::new()));
    let (_, error) = read(&lake_of(&stub), "2", "30");
    assert!(error.unwrap().to_string().contains("this is no lake"));
    let stub = Stub::start(|_| Reply::Status(200, b"<html>".to_vec()));
    let (_, error) = read(&lake_of(&stub), "2", "30");
    assert!(error.unwrap().to_string().contains("not JSON"));
}

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

/// An RPC server that keeps `oldest..=latest`; `fault` may answer first.
fn rpc(
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
async fn answers_of_a_bucket_are_understood() {
    for (status, code, is_transient, fragment) in [
        (301, "PermanentRedirect", false, "the bucket is in another region; give `region=`"),
        (400, "InvalidRequest", false, "the server refuses"),
        (403, "AccessDenied", false, "access denied"),
        (404, "NoSuchBucket", false, "this is no lake"),
        (429, "TooManyRequests", true, "the server is busy (HTTP status 429)"),
        (503, "SlowDown", true, "the server is busy (HTTP status 503)"),
        (500, "InternalError", true, "cannot fetch"),
    ] {
        let body = format!("<Error><Code>{code}</Code></Error>").into_bytes();
        let stub = Stub::start(move |_| Reply::Status(status, body.clone()));
        let url = format!("s3://bucket/lake?anonymous=true&endpoint=http://{}", stub.address());
        let error = open_stores(&[url.parse().unwrap()], &|_| None).await.err().unwrap();
        assert!(error.to_string().contains(fragment), "{status}: {error}");
        assert_eq!(error.kind.is_transient(), is_transient, "{status}: {error}");
        assert_eq!(stub.seen().len(), 1, "who retries is the stream");
    }
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
