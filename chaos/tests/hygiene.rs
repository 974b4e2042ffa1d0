//! I16 of a node that lives: secrets are put wherever an operator or a user can put them, and are then looked for in whatever
//! the program tells anybody: logs at their most talkative, metrics, traces, answers and errors over HTTP, what commands print,
//! what it keeps on its disk and in its store.

#![expect(clippy::unwrap_used, clippy::panic, reason = "tests say why they fail")]

use std::fs;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::mpsc::sync_channel;
use std::sync::{Arc, Mutex};
use std::thread::Builder;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use orrery_chaos::checkers::signals::hygiene;
use orrery_chaos::history::{Entry, Kind, Op};
use orrery_chaos::stubs::made::MadeLedgers;
use orrery_chaos::stubs::s3::{S3Stub, StoreFault};
use orrery_chaos::stubs::source::{SourceFault, SourceStub};
use serde_json::Value;

/// Longer than anything here takes on a busy machine.
const ROUNDS_MAX: u32 = 1200;
const ROUND: Duration = Duration::from_millis(100);

/// Ledgers of the source.
const LEDGERS: u32 = 60;

/// Credentials of a store, as its tools take them from the environment.
const STORE_KEY: &str = "canaryStoreSecretKey7f3a91";
const STORE_SESSION: &str = "canaryStoreSession0b52d4";
/// What providers of RPC servers put into a URL.
const RPC_OPTION: &str = "canaryRpcOption93ce10";
/// What vendors of collectors put into a URL.
const OTLP_PATH: &str = "canaryOtlpPath44aa07";
const PROFILES_OPTION: &str = "canaryProfilesOption5d1e83";
/// What somebody puts where it is refused.
const PASSWORD: &str = "canaryPassword8c02f6";
const WRONG_TOKEN: &str = "orrery_canaryWrongToken1e77b9";
const JWT: &str = "eyJhbGciOiJSUzI1NiJ9.eyJpc3MiOiJjYW5hcnkifQ.canaryJwtSignature6a60c5";

/// Everything that was told, and what must not be in it.
#[derive(Default)]
struct Told {
    history: Vec<Entry>,
    bytes: usize,
}

impl Told {
    fn note(&mut self, place: &str, what: Op) {
        let at_us = self.history.len() as u64;
        self.history.push(Entry { at_us, process: place.to_owned(), operation: 0, kind: Kind::Ok, what });
    }

    /// In the forms in which it could come out again.
    fn secret(&mut self, canary: &str) {
        let hex: String = canary.bytes().map(|byte| format!("{byte:02x}")).collect();
        // As headers have it, and at each of the three places where base64 may begin.
        let with_user = ["user:", "key:"].map(|user| STANDARD.encode(format!("{user}{canary}")));
        let [with_user, with_key] = with_user;
        for canary in [canary.to_owned(), STANDARD.encode(canary), with_user, with_key, hex] {
            self.note("operator", Op::Secret { canary });
        }
    }

    fn text(&mut self, place: &str, bytes: &[u8]) {
        self.bytes += bytes.len();
        self.note(place, Op::Text { text: String::from_utf8_lossy(bytes).into_owned() });
    }

    fn output(&mut self, place: &str, output: &Output) {
        self.text(place, &output.stdout);
        self.text(place, &output.stderr);
    }

    /// All files below a folder, whatever is in them.
    fn folder(&mut self, folder: &Path) {
        for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
            let path = entry.path();
            match path.is_dir() {
                true => self.folder(&path),
                false => self.text(&path.display().to_string(), &fs::read(&path).unwrap_or_default()),
            }
        }
    }
}

/// The program under test stands beside `orrery-chaos`: `cargo test --workspace` builds both.
fn orrery() -> PathBuf {
    let orrery = Path::new(env!("CARGO_BIN_EXE_orrery-chaos")).with_file_name("orrery");
    assert!(orrery.is_file(), "{}: not built: run `cargo build -p orrery-node`", orrery.display());
    orrery
}

fn command(folder: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new(orrery());
    command.args(arguments).current_dir(folder).stdin(Stdio::null());
    command.env("AWS_ACCESS_KEY_ID", "chaos").env("AWS_SECRET_ACCESS_KEY", STORE_KEY);
    command.env("AWS_SESSION_TOKEN", STORE_SESSION);
    command
}

fn run(folder: &Path, arguments: &[&str]) -> Output {
    command(folder, arguments).output().unwrap()
}

/// A node that runs; dropped, it is killed.
struct Node(Child);

impl Drop for Node {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Asks it to end.
fn stop(child: &Child) {
    // It may have ended by itself.
    let _ = kill(Pid::from_raw(i32::try_from(child.id()).unwrap()), Signal::SIGTERM);
}

fn free_address() -> SocketAddr {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap()
}

/// Lets time pass.
fn pass(time: Duration) {
    let (_kept, never) = sync_channel::<()>(0);
    let _ = never.recv_timeout(time);
}

/// Waits until it is so.
fn until(what: &str, mut is_so: impl FnMut() -> bool) {
    for _ in 0..ROUNDS_MAX {
        if is_so() {
            return;
        }
        pass(ROUND);
    }
    panic!("{what}: not in time");
}

/// Whatever is answered to a request within a second.
fn ask(address: SocketAddr, request: &str) -> Vec<u8> {
    let Ok(mut stream) = TcpStream::connect(address) else { return Vec::new() };
    stream.set_read_timeout(Some(Duration::from_secs(1))).unwrap();
    let _ = stream.write_all(request.as_bytes());
    let mut answer = Vec::new();
    let mut part = [0; 65_536];
    while let Ok(count @ 1..) = stream.read(&mut part) {
        answer.extend_from_slice(&part[..count]);
        if answer.len() > 4 << 20 {
            break;
        }
    }
    answer
}

fn request(method: &str, path: &str, headers: &[String]) -> String {
    let headers: String = headers.iter().map(|header| format!("{header}\r\n")).collect();
    format!(
        "{method} {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nContent-Length: 0\r\n{headers}\r\n"
    )
}

/// Takes what is posted to it until it is away.
struct Collector {
    address: SocketAddr,
    posted: Arc<Mutex<Vec<u8>>>,
    is_away: Arc<Mutex<bool>>,
}

fn collector() -> Collector {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let (posted, is_away) = (Arc::new(Mutex::new(Vec::new())), Arc::new(Mutex::new(false)));
    let (keeps, away) = (posted.clone(), is_away.clone());
    let take = move || {
        for stream in listener.incoming() {
            let Ok(mut stream) = stream else { return };
            if *away.lock().unwrap() {
                continue;
            }
            let _ = stream.set_read_timeout(Some(Duration::from_millis(200)));
            let mut part = [0; 65_536];
            let mut body = Vec::new();
            while let Ok(count @ 1..) = stream.read(&mut part) {
                body.extend_from_slice(&part[..count]);
            }
            // Its own path is in the head of each request, where it belongs.
            let at = body.windows(4).position(|end| end == b"\r\n\r\n").unwrap_or(0);
            keeps.lock().unwrap().extend_from_slice(&body[at..]);
            let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
        }
    };
    // It ends with the test.
    Builder::new().name("collector".to_owned()).spawn(take).unwrap();
    Collector { address, posted, is_away }
}

/// Asks for everything, as whoever may, with wrong tokens, and in places where no token belongs.
fn ask_everything(told: &mut Told, address: SocketAddr, token: &str) {
    let described = ask(address, &request("GET", "/openapi.json", &[]));
    let text = String::from_utf8_lossy(&described).into_owned();
    let start = text.find("\r\n\r\n").unwrap() + 4;
    let json = &text[text[start..].find('{').unwrap() + start..=text.rfind('}').unwrap()];
    let paths: Value = serde_json::from_str(json).unwrap();
    let mut paths: Vec<String> = paths["paths"].as_object().unwrap().keys().cloned().collect();
    assert!(paths.len() > 15, "{paths:?}");
    paths.extend(["/", "/nothing", "/v1/nothing", "/debug"].map(str::to_owned));
    for path in paths {
        let path = path.replace("{name}", "main").replace("{sequence}", "3").replace("{ledger}", "3");
        let path = path.replace(['{', '}'], "");
        let bearer = |token: &str| vec![format!("Authorization: Bearer {token}")];
        let basic = format!("Authorization: Basic {}", STANDARD.encode(format!("user:{PASSWORD}")));
        let in_query = format!("{path}?token={WRONG_TOKEN}&access_token={token}");
        for request in [
            request("GET", &path, &bearer(token)),
            request("GET", &path, &bearer(WRONG_TOKEN)),
            request("GET", &path, &bearer(JWT)),
            request("GET", &path, &[basic, format!("Cookie: session={PASSWORD}")]),
            request("GET", &in_query, &[]),
            request("DELETE", &path, &bearer(token)),
        ] {
            told.text(&format!("answer to {path}"), &ask(address, &request));
        }
    }
    for (path, with) in [("park", token), ("resume", token), ("park", WRONG_TOKEN)] {
        let path = format!("/v1/pipelines/main/{path}");
        let asked = request("POST", &path, &[format!("Authorization: Bearer {with}")]);
        told.text(&path, &ask(address, &asked));
    }
    for with in [token, WRONG_TOKEN, JWT] {
        let socket = format!(
            "GET /v1/feed HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: \
             13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Protocol: orrery.feed, bearer.{with}\r\n\r\n"
        );
        told.text("/v1/feed", &ask(address, &socket));
    }
}

/// What commands print about a node that runs.
fn ask_commands(told: &mut Told, folder: &Path, address: SocketAddr) {
    let commands: [&[&str]; 11] = [
        &["config", "print"],
        &["config", "print", "--output", "json"],
        &["config", "check"],
        &["tree"],
        &["ps"],
        &["inspect", "pipelines/main/processor"],
        &["restarts"],
        &["audit"],
        &["logs"],
        &["quarantine", "list"],
        &["kill", "pipelines/main/fetcher"],
    ];
    for arguments in commands {
        let mut all = arguments.to_vec();
        all.extend(["-c", "orrery.toml"]);
        let output = run(folder, &all);
        // What is no command tells nothing.
        assert_ne!(output.status.code(), Some(2), "{all:?}: {}", String::from_utf8_lossy(&output.stderr));
        told.output(&all.join(" "), &output);
    }
    let url = format!("http://{address}");
    let mut tail =
        command(folder, &["tail", "--url", &url, "--from", "1", "--to", "4", "--patience-seconds", "1"]);
    told.output("tail", &tail.env("ORRERY_TOKEN", WRONG_TOKEN).output().unwrap());
}

/// What is said of settings that hold secrets where none may be.
fn misconfigure(told: &mut Told, folder: &Path) {
    let dataset = format!("file://{}", folder.join("other").display());
    let source = "synthetic:?ledgers=4&density=sparse";
    let rpc = format!("rpc+http://127.0.0.1:1/v1/{PASSWORD}?key={PASSWORD}");
    let urls = [
        (format!("s3://key:{PASSWORD}@lake/x"), dataset.clone()),
        (format!("https://key:{PASSWORD}@127.0.0.1:1/lake"), dataset.clone()),
        (format!("rpc+https://key:{PASSWORD}@127.0.0.1:1"), dataset.clone()),
        (format!("s3://lake/x?secret={PASSWORD}"), dataset.clone()),
        (rpc, dataset.clone()),
        (source.to_owned(), format!("s3://key:{PASSWORD}@lake/x")),
        (source.to_owned(), format!("s3://lake/x?secret={PASSWORD}")),
        (source.to_owned(), format!("s3://lake/x?endpoint=http://key:{PASSWORD}@127.0.0.1:1")),
        (source.to_owned(), format!("https://key:{PASSWORD}@host/x")),
    ];
    for (source, dataset) in &urls {
        let arguments =
            ["backfill", "--source", source, "--dataset", dataset, "--data-dir", "other-state", "--to", "5"];
        let mut backfill = command(folder, &arguments);
        backfill.env("ORRERY_SOURCE__PATIENCE_SECONDS", "1");
        told.output(&format!("backfill {source} {dataset}"), &backfill.output().unwrap());
        told.output("print", &run(folder, &["config", "print", "--source", source, "--dataset", dataset]));
    }
    for (variable, value) in [
        ("ORRERY_HTTP__TOKENS", format!("[\"{WRONG_TOKEN}\"]")),
        ("ORRERY_HTTP__TOKENS", format!("[\"ci:admin:{WRONG_TOKEN}\"]")),
        ("ORRERY_TELEMETRY__OTLP", format!("http://key:{PASSWORD}@127.0.0.1:1/{PASSWORD}")),
        ("ORRERY_TELEMETRY__OTLP", format!("no url {PASSWORD}")),
        ("ORRERY_TELEMETRY__PROFILES", format!("http://key:{PASSWORD}@127.0.0.1:1/{PASSWORD}")),
        ("ORRERY_HTTP__OIDC__KEYS", format!("http://idp.example/keys?key={PASSWORD}")),
        ("ORRERY_HTTP__OIDC__KEYS", format!("http://127.0.0.1:1/keys?key={PASSWORD}")),
    ] {
        let with = |command: &mut Command| {
            command.env(variable, &value).env("ORRERY_HTTP__OIDC__ISSUER", "https://idp.example");
            command.env("ORRERY_HTTP__OIDC__AUDIENCE", "orrery").output().unwrap()
        };
        for arguments in [["config", "print"], ["config", "check"]] {
            told.output(variable, &with(&mut command(folder, &arguments)));
        }
        let arguments = [
            "run",
            "--source",
            source,
            "--dataset",
            &dataset,
            "--data-dir",
            "third",
            "--http",
            "127.0.0.1:0",
            "--to",
            "4",
        ];
        let mut node = command(folder, &arguments);
        node.env(variable, &value).env("ORRERY_HTTP__OIDC__ISSUER", "https://idp.example");
        node.env("ORRERY_HTTP__OIDC__AUDIENCE", "orrery").env("ORRERY_TELEMETRY__LOG", "debug");
        let child = node.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        pass(Duration::from_secs(2));
        stop(&child);
        told.output(variable, &child.wait_with_output().unwrap());
    }
}

/// A node whose source, store, collector and users all have secrets.
struct Scene {
    folder: tempfile::TempDir,
    store: S3Stub,
    source: SourceStub,
    address: SocketAddr,
    token: String,
}

impl Scene {
    fn set() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let at = folder.path();
        let lake = format!("file://{}", at.join("lake").display());
        let ledgers = LEDGERS.to_string();
        let synth = ["synth", "--out", &lake, "--ledgers", &ledgers, "--density", "sparse", "--seed", "1"];
        assert!(run(at, &synth).status.success());
        let store = S3Stub::start(&at.join("store"), "canaries").unwrap();
        let source = SourceStub::start(&at.join("lake"), MadeLedgers::new(1, LEDGERS).unwrap()).unwrap();
        source.set(SourceFault::Stalls(LEDGERS / 2));
        let made = run(at, &["token", "ci", "--role", "admin", "--output", "json"]);
        let made: Value = serde_json::from_slice(&made.stdout).unwrap();
        let token = made["token"].as_str().unwrap().to_owned();
        let address = free_address();
        let hashed = made["configuration"].as_str().unwrap();
        let text = format!(
            "[node]\nname = \"canary\"\ndata_dir = \"state\"\nhttp = \"{address}\"\n[http]\ntokens = [\"{hashed}\"]\n\
             [source]\nurls = [\"{}?apikey={RPC_OPTION}\"]\nfrom = \"genesis\"\n[dataset]\nurl = \"{}\"\ngrid = [\"2:4\"]\n",
            source.rpc_url(),
            store.url("set"),
        );
        fs::write(at.join("orrery.toml"), text).unwrap();
        Self { folder, store, source, address, token }
    }

    fn at(&self) -> &Path {
        self.folder.path()
    }

    fn log(&self) -> Vec<u8> {
        fs::read(self.at().join("log")).unwrap()
    }

    fn says(&self, text: &str) -> bool {
        String::from_utf8_lossy(&self.log()).contains(text)
    }
}

#[test]
fn no_secret_comes_out_of_a_node_again() {
    let scene = Scene::set();
    let Collector { address: traces, posted, is_away: traces_away } = collector();
    let mut told = Told::default();
    for canary in [STORE_KEY, STORE_SESSION, RPC_OPTION, OTLP_PATH, PROFILES_OPTION, PASSWORD, WRONG_TOKEN] {
        told.secret(canary);
    }
    told.secret(&scene.token);
    told.secret("canaryJwtSignature6a60c5");
    let configured = fs::read_to_string(scene.at().join("orrery.toml")).unwrap();
    let telemetry = format!(
        "[telemetry]\nlog = \"trace\"\notlp = \"http://{traces}/{OTLP_PATH}\"\nprofiles = \"http://127.0.0.1:1/?key={PROFILES_OPTION}\"\n"
    );
    fs::write(scene.at().join("orrery.toml"), configured + &telemetry).unwrap();
    let mut node = command(scene.at(), &["run", "-c", "orrery.toml"]);
    let log = fs::File::create(scene.at().join("log")).unwrap();
    node.stdout(log.try_clone().unwrap()).stderr(log);
    let mut node = Node(node.spawn().unwrap());

    until("the first ledgers are durable", || scene.store.counts().puts > 6);
    until("it serves", || ask(scene.address, &request("GET", "/readyz", &[])).starts_with(b"HTTP/1.1 200"));
    let admitted = request("GET", "/v1/audit", &[format!("Authorization: Bearer {}", scene.token)]);
    assert!(!ask(scene.address, &admitted).starts_with(b"HTTP/1.1 401"), "the token is one");
    ask_everything(&mut told, scene.address, &scene.token);
    ask_commands(&mut told, scene.at(), scene.address);
    until("traces are sent", || !posted.lock().unwrap().is_empty());
    // Errors of each of them, in the log and in answers.
    scene.source.set(SourceFault::Busy(1));
    until("the source is away", || scene.source.counts().befallen > 2);
    scene.source.set(SourceFault::None);
    *traces_away.lock().unwrap() = true;
    scene.store.set(StoreFault::Denies, 1);
    until("the store refuses", || scene.store.counts().befallen > 2);
    until("the collector is away", || scene.says("the collector takes no spans"));
    until("profiles are lost", || scene.says("profiles are lost"));
    ask_everything(&mut told, scene.address, &scene.token);
    ask_commands(&mut told, scene.at(), scene.address);
    stop(&node.0);
    until("it has stopped", || node.0.try_wait().unwrap().is_some());
    misconfigure(&mut told, scene.at());

    assert!(scene.log().len() > 100_000, "a log at its most talkative");
    told.text("log", &scene.log());
    told.text("traces", &posted.lock().unwrap());
    told.folder(&scene.at().join("state"));
    told.folder(&scene.at().join("store"));
    assert!(told.bytes > 1 << 20, "{} bytes were searched", told.bytes);
    let found: Vec<_> = hygiene(&told.history).iter().map(ToString::to_string).collect();
    assert!(found.is_empty(), "{}", found.join("\n"));
    // The search finds what is there.
    told.text("the search itself", format!("X-Amz-Security-Token: {STORE_SESSION}").as_bytes());
    assert_eq!(hygiene(&told.history).len(), 1);
}
