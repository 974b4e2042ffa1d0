//! Ledgers over a network: web servers and buckets that throttle, truncate and refuse.

use orrery_actors::source::{SourceErrorClass, SourceErrorKind, open_stores};
use orrery_schemas::LedgerSequence;

use super::lakes::MadeLake;
use super::reading::{check, lake_of, read, root, rpc_of};
use super::stub::{Reply, Request, Stub};

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
