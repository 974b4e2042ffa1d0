//! The live feed: readers that are killed and go on, servers that are killed under them, and bytes that no reader sends.

use std::io::Write;
use std::net::TcpListener;

use serde_json::{Value, json};

use crate::process::{Home, Node, get, wait_for};

#[path = "../../examples/clients/rust/follow.rs"]
pub(crate) mod follow;

use crate::reader::Reader;

/// Rounds of a reader that is killed and goes on; `ORRERY_FEED_ROUNDS` asks for more.
const ROUNDS: u32 = 60;

/// A server that is not there.
const NOBODY: &str = "http://127.0.0.1:1";

/// A node that processes made-up ledgers, and its address, which stays the same over its lives.
struct Served {
    home: Home,
    source: String,
    address: String,
    last: u32,
    node: Option<Node>,
}

impl Served {
    fn new(ledgers: u32, rate: u32) -> Self {
        let free = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let source = format!("synthetic:?ledgers={ledgers}&density=sparse&rate={rate}");
        let mut served =
            Self { home: Home::new(), source, address: free.to_string(), last: ledgers + 1, node: None };
        served.start();
        served
    }

    fn start(&mut self) {
        let dataset = self.home.url("dataset");
        let fixed = ["run", "--source", &self.source, "--dataset", &dataset, "--http", &self.address];
        let more = ["--from", "genesis", "--grid", "2:8"];
        self.node = Some(self.home.start(&[&fixed[..], &more].concat(), &[]));
    }

    /// kill -9, and another life.
    fn kill(&mut self) {
        self.node = None;
        self.start();
    }

    fn connect(&self, path: &str) -> Reader {
        let mut reader = None;
        wait_for("feed", || {
            reader = Reader::connect(&self.address, path);
            reader.is_some()
        });
        reader.unwrap()
    }

    /// Every event of the ledgers, as lines.
    fn expected(&self) -> Vec<String> {
        let source = self.source.split("&rate=").next().unwrap();
        let ended = self.home.run(&["events", source, "--format", "jsonl"]).expect(0, "");
        ended.stdout().lines().map(str::to_owned).collect()
    }
}

/// Numbers that look like chance, and are the same every time.
pub(crate) struct Chance(pub(crate) u64);

impl Chance {
    pub(crate) fn below(&mut self, limit: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % limit
    }
}

/// The place of an event, as a cursor.
fn cursor(event: &Value) -> String {
    format!("{}:{}", event["ledger_sequence"], event["ledger_event_index"])
}

/// What a reader that is killed again and again has kept.
pub(crate) struct Kept {
    pub(crate) seen: Vec<Value>,
    /// Where it goes on.
    pub(crate) from: String,
}

impl Kept {
    /// Reads until it has so many events, or what breaks the connection breaks it. Whether all up to ledger `last` was read.
    pub(crate) fn read(
        &mut self,
        mut reader: Reader,
        wanted: u64,
        last: &str,
        mut between: impl FnMut(),
    ) -> bool {
        reader.subscribe(&self.from, &json!({}));
        let (mut is_subscribed, mut count) = (false, 0);
        while let Some(message) = reader.hear() {
            match message["type"].as_str().unwrap() {
                "subscribed" => is_subscribed = true,
                "events" => {
                    let events = message["events"].as_array().unwrap();
                    for event in events.iter().take((wanted - count) as usize) {
                        self.seen.push(event.clone());
                        self.from = cursor(event);
                        count += 1;
                    }
                    if count < wanted {
                        self.from = message["cursor"].as_str().unwrap().to_owned();
                    }
                }
                "heartbeat" if is_subscribed && message["cursors"].is_null() => {
                    let tip = message["tip"].as_str().unwrap();
                    let own = self.from.split(':').next().unwrap().parse().unwrap_or(0);
                    // A server that has just restarted is behind its reader.
                    if tip.parse::<u32>().unwrap() > own {
                        self.from = tip.to_owned();
                    }
                    if tip == last {
                        return true;
                    }
                }
                "heartbeat" => {}
                other => panic!("{other}: {message}"),
            }
            if count >= wanted {
                return false;
            }
            if count > 0 {
                between();
            }
        }
        false
    }

    /// Every event once, in order, as the dataset has it.
    pub(crate) fn check(&self, expected: &[String]) {
        let expected: Vec<Value> = expected.iter().map(|line| serde_json::from_str(line).unwrap()).collect();
        let places = |events: &[Value]| events.iter().map(cursor).collect::<Vec<_>>();
        assert_eq!(places(&self.seen), places(&expected));
        assert!(self.seen == expected, "an event is not as the dataset has it");
    }
}

/// How often readers are killed: as `ORRERY_FEED_ROUNDS` says, or `usual`.
pub(crate) fn rounds(usual: u32) -> u32 {
    std::env::var("ORRERY_FEED_ROUNDS").ok().and_then(|rounds| rounds.parse().ok()).unwrap_or(usual)
}

#[test]
fn a_reader_that_is_killed_at_any_event_goes_on_there_also_over_kills_of_the_server() {
    let rounds = rounds(ROUNDS);
    let mut served = Served::new(rounds * 4 + 40, 150);
    let last = served.last.to_string();
    let mut chance = Chance(7);
    let mut kept = Kept { seen: Vec::new(), from: "oldest".to_owned() };
    let (mut kills, mut round) = (0, 0);
    let mut is_over = false;
    while !is_over {
        round += 1;
        // The last reader reads to the end.
        let wanted = if round <= rounds { 1 + chance.below(30) } else { u64::MAX };
        if round <= rounds && chance.below(10) == 0 {
            served.kill();
            kills += 1;
        }
        let kills_under_it = round <= rounds && chance.below(20) == 0;
        let reader = served.connect("/v1/feed");
        is_over = kept.read(reader, wanted, &last, || {
            if kills_under_it {
                served.kill();
                kills += 1;
            }
        });
    }
    eprintln!("{round} readers, {kills} kills of the server, {} events", kept.seen.len());
    assert!(round > rounds && kills > 2);
    kept.check(&served.expected());
}

#[test]
fn tail_prints_every_event_once_over_kills_of_the_server_and_of_itself() {
    let mut served = Served::new(400, 100);
    let (url, last) = (format!("http://{}", served.address), served.last.to_string());
    // Nobody is at the first one.
    let fixed = ["--output", "json", "tail", "--url", NOBODY, "--url", &url, "--to", &last];
    let lines = |node: &Node| {
        let out = node.stdout();
        // The last line may not be whole.
        let whole = out.rfind('\n').map_or("", |end| &out[..=end]);
        whole.lines().map(str::to_owned).collect::<Vec<_>>()
    };
    let begun = [&fixed[..], &["--from", "oldest"]].concat();
    let mut tail = served.home.start_elsewhere(&begun, &[]);
    for count in [100, 250] {
        tail.until("events", |tail| (lines(tail).len() >= count).then_some(()));
        served.kill();
    }
    tail.until("events", |tail| (lines(tail).len() >= 400).then_some(()));
    tail.signal("-9");
    tail.end();
    let mut seen = lines(&tail);
    let from = cursor(&serde_json::from_str(seen.last().unwrap()).unwrap());
    let mut tail = served.home.start_elsewhere(&[&fixed[..], &["--from", &from]].concat(), &[]);
    assert_eq!(tail.end().0, Some(0), "{}", tail.log());
    seen.extend(lines(&tail));
    assert_eq!(seen, served.expected());
}

/// Runs an example until it ends, while the server is killed under it; what it printed must be every event once.
fn check_example(program: &str, arguments: &dyn Fn(&Served) -> Vec<String>) {
    if std::process::Command::new(program).arg("--version").output().is_err() {
        eprintln!("skipped: there is no {program}");
        return;
    }
    let mut served = Served::new(200, 100);
    let arguments = arguments(&served);
    let out = served.home.path("example.out");
    let mut command = std::process::Command::new(program);
    command.args(arguments).stdout(std::fs::File::create(&out).unwrap());
    let mut example = command.spawn().unwrap();
    let lines = || std::fs::read_to_string(&out).unwrap().lines().count();
    for count in [50, 300] {
        wait_for("events", || lines() >= count);
        served.kill();
    }
    assert!(example.wait().unwrap().success());
    let seen = std::fs::read_to_string(&out).unwrap();
    let values = |line: &str| serde_json::from_str::<Value>(line).unwrap();
    let seen: Vec<_> = seen.lines().map(values).collect();
    let expected: Vec<_> = served.expected().iter().map(|line| values(line)).collect();
    assert!(seen == expected, "{} of {} events", seen.len(), expected.len());
}

pub(crate) fn example(name: &str) -> String {
    format!("{}/examples/clients/{name}", env!("CARGO_MANIFEST_DIR"))
}

#[test]
fn the_python_example_sees_every_event_once() {
    check_example("python3", &|served| {
        let place = served.home.path("place.txt").display().to_string();
        let (url, to) = (format!("{NOBODY},http://{}", served.address), format!("to={}", served.last));
        let all = "kind=transfer,mint,burn,clawback,fee".to_owned();
        vec![example("python/follow.py"), url, place, "--from".to_owned(), "oldest".to_owned(), all, to]
    });
}

#[test]
fn the_javascript_example_sees_every_event_once() {
    check_example("node", &|served| {
        let url = format!("{NOBODY},http://{}", served.address);
        let fixed = ["--experimental-websocket".to_owned(), "--no-warnings".to_owned()];
        let given = [example("javascript/follow.mjs"), url, "oldest".to_owned(), "{}".to_owned()];
        [&fixed[..], &given, &[served.last.to_string()]].concat()
    });
}

/// In a thread of its own, which ends and begins again, while the server is killed under it.
#[test]
fn the_rust_example_sees_every_event_once() {
    let mut served = Served::new(200, 100);
    let text = |path: &str| served.home.path(path).display().to_string();
    let (url, place, out) = (format!("http://{}", served.address), text("place.txt"), text("example.out"));
    let start = |to: u32| {
        let arguments = [&*url, &*place, "--from", "oldest", &format!("to={to}")].map(str::to_owned);
        let out = std::fs::OpenOptions::new().create(true).append(true).open(&out).unwrap();
        let example = std::thread::Builder::new().name("example".to_owned());
        let running = example.spawn(move || {
            let mut out = out;
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(follow::follow(&arguments, &mut out)).unwrap();
        });
        running.unwrap()
    };
    let lines = || std::fs::read_to_string(&out).unwrap_or_default().lines().count();
    let half = served.last / 2;
    let first = start(half);
    wait_for("events", || lines() >= 50);
    served.kill();
    first.join().unwrap();
    // What it has read of the ledger after the last that it wanted stands behind its place.
    std::fs::write(&place, half.to_string()).unwrap();
    let second = start(served.last);
    wait_for("events", || lines() >= 300);
    served.kill();
    second.join().unwrap();
    let values = |line: &str| serde_json::from_str::<Value>(line).unwrap();
    let seen: Vec<_> = std::fs::read_to_string(&out).unwrap().lines().map(values).collect();
    let expected: Vec<_> = served.expected().iter().map(|line| values(line)).collect();
    assert!(seen == expected, "{} of {} events", seen.len(), expected.len());
}

#[test]
fn tail_says_what_is_wrong_and_ends_with_the_code_for_it() {
    let served = Served::new(20, 1_000);
    drop(served.connect("/v1/feed"));
    let url = format!("http://{}", served.address);
    let check = |more: &[&str], code: i32, says: &str| {
        served.home.run(&[&["tail", "--url", &url], more].concat()).expect(code, says);
    };
    check(&["--from", "oldest", "--to", "9", "--kind", "mint,fee"], 0, "mint");
    check(&["--from", "0"], 1, "not here any more");
    check(&["--from", "900000"], 1, "newest ledger here");
    check(&["--from", "yesterday"], 2, "give latest, oldest, or the cursor");
    check(&["--kind", "gift"], 2, "filter.kind");
    served.home.run(&["tail", "--url", "127.0.0.1:1"]).expect(2, "give http://HOST:PORT");
    let refused = ["tail", "--url", "http://127.0.0.1:1", "--patience-seconds", "1"];
    served.home.run(&refused).expect(69, "connecting again in");
    let elsewhere = format!("{url}/healthz");
    served.home.run(&["tail", "--url", &elsewhere]).expect(2, "200 OK");
}

#[test]
fn bytes_that_no_reader_sends_close_their_connection_and_nobody_elses() {
    let served = Served::new(2_000, 100);
    let mut well = served.connect("/v1/feed");
    well.subscribe("latest", &json!({}));
    well.hear_until("events");
    let check = |bytes: &[u8], code: u16| {
        let mut reader = served.connect("/v1/feed");
        reader.raw().write_all(bytes).unwrap();
        let closed = reader.hear_until("closed");
        assert_eq!(closed["close"][0], code, "{bytes:?}: {closed}");
    };
    check(&[0x81, 0x01, b'x'], 1002);
    check(&[0x83, 0x81, 0, 0, 0, 0, b'x'], 1002);
    check(&[0xf1, 0x81, 0, 0, 0, 0, b'x'], 1002);
    check(&[0x81, 0x81, 0, 0, 0, 0, 0xff], 1007);
    check(&[0x81, 0xff, 0x7f, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0, 0, 0, 0], 1009);
    check(&[0x89, 0xfe, 0x01, 0x00, 0, 0, 0, 0], 1002);
    check(&[0x88, 0x82, 0, 0, 0, 0, 0, 1], 1002);
    let flood = [0x81, 0x82, 0, 0, 0, 0, b'{', b'}'].repeat(2_000);
    let mut reader = served.connect("/v1/feed");
    // It may be closed before all of it is taken.
    let _ = reader.raw().write_all(&flood);
    assert_eq!(reader.hear_until("closed")["close"][0], 1008);
    for _ in 0..20 {
        drop(served.connect("/v1/feed"));
    }
    assert_eq!(get(&served.address, "/v1/feed").0, 426);
    assert_eq!(get(&served.address, "/v1/feed?colour=red").0, 400);
    assert!(Reader::connect(&served.address, "/v1/feed?format=xml").is_none());
    for _ in 0..5 {
        well.hear_until("events");
    }
}

#[test]
fn server_sent_events_carry_the_cursor_that_goes_on() {
    let served = Served::new(60, 1_000);
    let (mut status, mut body) = (0, String::new());
    drop(served.connect("/v1/feed"));
    // A cursor that is refused ends the answer, so that it can be read as a whole.
    wait_for("dataset", || {
        (status, body) = get(&served.address, "/v1/feed.sse?from=0");
        status != 503
    });
    assert!(status == 410 && body.contains("cursor_too_old"), "{status} {body}");
    assert_eq!(get(&served.address, "/v1/feed.sse?kind=gift").0, 400);
    assert_eq!(get(&served.address, "/v1/feed.sse?from=yesterday").0, 400);
    let expected = served.expected();
    let mut seen = Vec::new();
    let mut last = String::new();
    while seen.len() < expected.len() {
        let mut stream = std::net::TcpStream::connect(&served.address).unwrap();
        let (host, id) = (&served.address, if last.is_empty() { "oldest".to_owned() } else { last.clone() });
        write!(stream, "GET /v1/feed.sse HTTP/1.0\r\nHost: {host}\r\nLast-Event-ID: {id}\r\n\r\n").unwrap();
        let mut lines = std::io::BufRead::lines(std::io::BufReader::new(stream)).map_while(Result::ok);
        let mut id = String::new();
        // Three frames a connection, and then it is dropped.
        let mut frames = 0;
        while frames < 3 && seen.len() < expected.len() {
            let line = lines.next().unwrap();
            if let Some(found) = line.strip_prefix("id: ") {
                id = found.to_owned();
            }
            let Some(data) = line.strip_prefix("data: ") else { continue };
            let data: Value = serde_json::from_str(data).unwrap();
            if data["type"] == "events" {
                assert_eq!(data["cursor"], id);
                seen.extend(data["events"].as_array().unwrap().iter().cloned());
                frames += 1;
            }
            last.clone_from(&id);
        }
    }
    let expected: Vec<Value> = expected.iter().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert!(seen == expected, "{} of {} events", seen.len(), expected.len());
}
