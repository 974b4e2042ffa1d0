//! Arrow Flight and gRPC at the address of HTTP: what pyarrow reads is what the command `events` makes of the same ledgers,
//! over kills of the server; who is not let in is told so; and bytes that no client sends harm nobody.

use std::fs;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::process::{Command, Output};
use std::time::Duration;

use arrow_flight::flight_service_client::FlightServiceClient;
use arrow_flight::{Action, Criteria, Empty, FlightDescriptor, Ticket};
use tokio::runtime::Runtime;
use tonic::metadata::MetadataValue;
use tonic::transport::{Channel, Endpoint};
use tonic::{Code, Request, Status};
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_client::HealthClient;

use crate::delta::python::{check_agreement, python};
use crate::process::{Home, Node, files, get, wait_for};

/// Whole slots of 64 ledgers, of which the last is this one.
const SOURCE: &str = "synthetic:?ledgers=2558&density=sparse";
const LAST: u32 = 2_559;
const GRID: [&str; 4] = ["--from", "genesis", "--grid", "2:64"];

/// A file beside this crate's sources.
fn here(path: &str) -> String {
    format!("{}/{path}", env!("CARGO_MANIFEST_DIR"))
}

/// What the command `events` makes of a source, as a file.
fn expected(home: &Home, source: &str) -> String {
    let path = home.path("expected.parquet").display().to_string();
    home.run(&["events", source, "--format", "parquet", "--out", &path]).expect(0, "");
    path
}

fn run(python: &str, script: &str, arguments: &[&str]) -> Output {
    Command::new(python).arg(here(script)).args(arguments).output().unwrap()
}

/// Waits until ledgers up to this one are durable where a node is served.
fn wait_for_tip(http: &str, last: u32) {
    let tip = format!("\"tip\":\"{last}\"");
    wait_for("tip", || get(http, "/v1/events?order=desc&limit=1").1.replace(": ", ":").contains(&tip));
}

#[test]
fn pyarrow_reads_what_the_events_command_makes_of_the_ledgers() {
    let Some(python) = python("pyarrow.flight") else { return };
    let home = Home::new();
    let mut node = home.follow(SOURCE, &home.url("dataset"), &GRID, &[]);
    let http = node.http();
    let expected = expected(&home, SOURCE);
    wait_for_tip(&http, LAST);
    let url = format!("grpc://{http}");
    check_agreement(&run(&python, "tests/flight/tables.py", &[&url, &expected, &LAST.to_string()]), "agreed");
    let example = "examples/clients/python/flight.py";
    let listed = run(&python, example, &[&url, "list"]);
    let listed = String::from_utf8_lossy(&listed.stdout).into_owned();
    assert!(listed.contains(&format!("ledgers rows {} oldest 1 tip {LAST}\n", LAST - 1)), "{listed}");
    // A table of the same rows, whoever read it: the folder has one file.
    fs::create_dir(home.path("read")).unwrap();
    let out = home.path("read").join(format!("{LAST}.parquet")).display().to_string();
    let read = run(&python, example, &[&url, "read", &out, r#"{"table":"token_transfers"}"#]);
    assert!(read.status.success(), "{}", String::from_utf8_lossy(&read.stderr));
    let folder = home.path("read").display().to_string();
    check_agreement(&run(&python, "tests/flight/same_rows.py", &[&folder, &expected]), "agreed");
    let readme = fs::read_to_string(here("../README.md")).unwrap();
    let script = home.path("readme.py");
    fs::write(&script, in_readme(&readme, &url)).unwrap();
    let shown = Command::new(&python).arg(&script).output().unwrap();
    let said = String::from_utf8_lossy(&shown.stdout).into_owned();
    assert!(shown.status.success(), "{said}{}", String::from_utf8_lossy(&shown.stderr));
    assert!(said.contains(r#"{"cursor":""#) || said.contains(r#"{'cursor': '"#), "{said}");
}

/// The Python of the README, for a node elsewhere, with an end, and from ledgers that are there.
fn in_readme(readme: &str, url: &str) -> String {
    let section = readme.split("### Arrow Flight").nth(1).unwrap();
    let lines = section
        .lines()
        .skip_while(|line| !line.starts_with("    import "))
        .take_while(|line| line.is_empty() || line.starts_with("    "));
    let code: String = lines.map(|line| format!("{}\n", line.strip_prefix("    ").unwrap_or(line))).collect();
    let code =
        code.replace("grpc://127.0.0.1:9464", url).replace("53312000", "1000").replace("53313000", "1500");
    format!("{code}    break\n")
}

#[test]
fn a_follower_over_flight_has_every_row_once_over_kills_of_the_server_and_of_itself() {
    let Some(python) = python("pyarrow.flight") else { return };
    let home = Home::new();
    let address = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string();
    let source = "synthetic:?ledgers=240&density=sparse";
    let (paced, dataset) = (format!("{source}&rate=60"), home.url("dataset"));
    let start = || {
        let fixed = ["run", "--source", &paced, "--dataset", &dataset, "--http", &address];
        home.start(&[&fixed[..], &["--from", "genesis", "--grid", "2:8"]].concat(), &[])
    };
    let folder = home.path("kept");
    // The first of the servers never answers.
    let nobody = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let (urls, to) = (format!("grpc://{nobody},grpc://{address}"), "to=241");
    let follow = || {
        let said = fs::File::options().create(true).append(true).open(home.path("follower.log")).unwrap();
        let script = here("examples/clients/python/flight.py");
        let ticket = r#"{"table":"live","from":"oldest"}"#;
        let mut command = Command::new(&python);
        command.arg(script).args([&urls, "follow"]).arg(&folder).args([ticket, to]);
        command.stderr(said).spawn().unwrap()
    };
    let kept = || fs::read_dir(&folder).map_or(0, |files| files.count());
    let mut node = start();
    let mut follower = follow();
    for count in [20, 80, 130] {
        wait_for("rows", || kept() >= count);
        // kill -9, and another life.
        drop(node);
        node = start();
    }
    wait_for("rows", || kept() >= 160);
    follower.kill().unwrap();
    follower.wait().unwrap();
    let mut follower = follow();
    let ended = follower.wait().unwrap();
    drop(node);
    assert!(ended.success(), "{}", fs::read_to_string(home.path("follower.log")).unwrap());
    let (folder, expected) = (folder.display().to_string(), expected(&home, source));
    check_agreement(&run(&python, "tests/flight/same_rows.py", &[&folder, &expected]), "agreed");
}

/// A client that shares no code with the server's own.
struct Caller {
    runtime: Runtime,
    channel: Channel,
    token: Option<String>,
}

impl Caller {
    fn new(http: &str, token: Option<&str>) -> Self {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let endpoint = Endpoint::from_shared(format!("http://{http}")).unwrap();
        let channel = runtime.block_on(endpoint.connect()).unwrap();
        Self { runtime, channel, token: token.map(str::to_owned) }
    }

    fn request<T>(&self, message: T) -> Request<T> {
        let mut request = Request::new(message);
        if let Some(token) = &self.token {
            let value = MetadataValue::try_from(format!("Bearer {token}")).unwrap();
            request.metadata_mut().insert("authorization", value);
        }
        request.set_timeout(Duration::from_secs(120));
        request
    }

    /// The code of each method's answer.
    fn codes(&self) -> Vec<(&'static str, Code)> {
        let mut client = FlightServiceClient::new(self.channel.clone());
        let code = |found: Result<(), Status>| found.map_or_else(|status| status.code(), |()| Code::Ok);
        let path = FlightDescriptor::new_path(vec!["live".to_owned()]);
        self.runtime.block_on(async {
            let list = client.list_flights(self.request(Criteria::default())).await.map(drop);
            let info = client.get_flight_info(self.request(path.clone())).await.map(drop);
            let schema = client.get_schema(self.request(path.clone())).await.map(drop);
            let get = client.do_get(self.request(Ticket::new(r#"{"table":"live"}"#))).await.map(drop);
            let actions = client.list_actions(self.request(Empty {})).await.map(drop);
            let poll = client.poll_flight_info(self.request(path)).await.map(drop);
            let action = client.do_action(self.request(Action::new("x", ""))).await.map(drop);
            let put = client.do_put(self.request(tokio_stream::empty())).await.map(drop);
            let exchange = client.do_exchange(self.request(tokio_stream::empty())).await.map(drop);
            let handshake = client.handshake(self.request(tokio_stream::empty())).await.map(drop);
            vec![
                ("ListFlights", code(list)),
                ("GetFlightInfo", code(info)),
                ("GetSchema", code(schema)),
                ("DoGet", code(get)),
                ("ListActions", code(actions)),
                ("PollFlightInfo", code(poll)),
                ("DoAction", code(action)),
                ("DoPut", code(put)),
                ("DoExchange", code(exchange)),
                ("Handshake", code(handshake)),
            ]
        })
    }

    /// What a health check says of a service.
    fn health(&self, service: &str) -> Result<i32, Code> {
        let mut client = HealthClient::new(self.channel.clone());
        let request = self.request(HealthCheckRequest { service: service.to_owned() });
        let answer = self.runtime.block_on(client.check(request));
        answer.map(|answer| answer.into_inner().status).map_err(|status| status.code())
    }

    /// Statuses of the server as they change: what `change` does is to be seen in the next one.
    fn watched(&self, changes: &[&dyn Fn()]) -> Vec<i32> {
        let mut client = HealthClient::new(self.channel.clone());
        let request = self.request(HealthCheckRequest { service: String::new() });
        self.runtime.block_on(async {
            let mut statuses = client.watch(request).await.unwrap().into_inner();
            let mut seen = vec![statuses.message().await.unwrap().unwrap().status];
            for change in changes {
                change();
                seen.push(statuses.message().await.unwrap().unwrap().status);
            }
            seen
        })
    }

    /// The end of a stream of what is stored.
    fn end_of(&self, ticket: &str) -> Result<(), Status> {
        let mut client = FlightServiceClient::new(self.channel.clone());
        self.runtime.block_on(async {
            let mut stream = client.do_get(self.request(Ticket::new(ticket.to_owned()))).await?.into_inner();
            while stream.message().await?.is_some() {}
            Ok(())
        })
    }

    /// How an endless stream ends, after the messages that come before.
    fn until_end(&self, ticket: &str, begun: impl FnOnce()) -> Status {
        let mut client = FlightServiceClient::new(self.channel.clone());
        self.runtime.block_on(async {
            let mut stream =
                client.do_get(self.request(Ticket::new(ticket.to_owned()))).await.unwrap().into_inner();
            // The schema, and something that has a cursor.
            for _ in 0..2 {
                stream.message().await.unwrap().unwrap();
            }
            begun();
            loop {
                match stream.message().await {
                    Ok(Some(_)) => {}
                    Ok(None) => panic!("it has ended well"),
                    Err(status) => return status,
                }
            }
        })
    }
}

/// A viewer's token, and the configuration that lets it in.
fn token(home: &Home) -> (String, String) {
    let made = home.run(&["token", "reader", "--role", "viewer"]).expect(0, "");
    let said = format!("{}{}", made.stdout(), made.stderr());
    let token = said.split(|char: char| !char.is_ascii_alphanumeric() && char != '_' && char != '-');
    let token =
        token.filter(|word| word.starts_with("orrery_")).max_by_key(|word| word.len()).unwrap().to_owned();
    let line = said.split('"').find(|part| part.starts_with("reader:viewer:")).unwrap();
    (token, format!("[\"{line}\"]"))
}

#[test]
fn every_method_is_for_viewers_and_health_for_everybody() {
    let home = Home::new();
    let (token, tokens) = token(&home);
    let variables = [
        ("ORRERY_HTTP__ANONYMOUS", "nobody"),
        ("ORRERY_HTTP__TOKENS", &*tokens),
        // What waits here asks all the time.
        ("ORRERY_HTTP__REQUESTS_PER_SECOND", "0"),
    ];
    let more = ["--from", "genesis", "--grid", "2:8"];
    let source = "synthetic:?ledgers=80&density=sparse";
    let mut node = home.follow(source, &home.url("dataset"), &more, &variables);
    let http = node.http();
    let forged = format!("{}x", &token[..token.len() - 1]);
    let well = Caller::new(&http, Some(&token));
    wait_for("ready", || well.health("") == Ok(1));
    wait_for("dataset", || well.codes()[3].1 == Code::Ok);
    for (who, given, ok, absent) in [
        ("a viewer", Some(&*token), Code::Ok, Code::Unimplemented),
        ("nobody", None, Code::Unauthenticated, Code::Unauthenticated),
        ("a forger", Some(&*forged), Code::Unauthenticated, Code::Unauthenticated),
        ("alg none", Some("eyJhbGciOiJub25lIn0.e30."), Code::Unauthenticated, Code::Unauthenticated),
    ] {
        let caller = Caller::new(&http, given);
        for (index, (method, code)) in caller.codes().into_iter().enumerate() {
            assert_eq!(code, if index < 5 { ok } else { absent }, "{method} for {who}");
        }
        assert_eq!(caller.health(""), Ok(1), "{who}");
        assert_eq!(caller.health("arrow.flight.protocol.FlightService"), Ok(1));
        assert_eq!(caller.health("x"), Err(Code::NotFound));
    }
    // What is not gRPC is answered over HTTP/1.1 as before.
    assert_eq!(get(&http, "/healthz").0, 200);
    assert_eq!(get(&http, "/v1/status").0, 401);
    // A node that is told to stop tells its readers where to go on.
    let ended = well.until_end(r#"{"table":"live","from":"oldest"}"#, || node.signal("-TERM"));
    assert_eq!(ended.code(), Code::Unavailable, "{ended}");
    assert!(ended.message().starts_with(r#"this node stops: go on with "from":""#), "{ended}");
    assert_eq!(node.end().0, Some(0), "{}", node.log());
}

#[test]
fn pyarrow_reads_over_tls_with_a_token() {
    let Some(python) = python("pyarrow.flight") else { return };
    let home = Home::new();
    let (token, tokens) = token(&home);
    let certificates = home.path("ca").display().to_string();
    home.run(&["certs", "init", "--dir", &certificates, "--cluster", "test"]).expect(0, "");
    home.run(&["certs", "issue", "a", "--dir", &certificates]).expect(0, "");
    let of = |name: &str| home.path("ca").join("a").join(name).display().to_string();
    let (chain, key) = (of("node.pem"), of("node.key"));
    let variables = [
        ("ORRERY_HTTP__ANONYMOUS", "nobody"),
        ("ORRERY_HTTP__TOKENS", &tokens),
        ("ORRERY_HTTP__TLS_CERTIFICATE", &chain),
        ("ORRERY_HTTP__TLS_KEY", &key),
    ];
    let more = ["--from", "genesis", "--grid", "2:8"];
    let mut node =
        home.follow("synthetic:?ledgers=80&density=sparse", &home.url("dataset"), &more, &variables);
    let url = format!("grpc+tls://{}", node.http());
    node.until_committed();
    let script = here("tests/flight/tls.py");
    // A table without a ledger is UNAVAILABLE, which passes.
    let mut output = None;
    wait_for("tables over TLS", || {
        let mut command = Command::new(&python);
        command.arg(&script).args([&url, &of("ca.pem"), "a"]).env("ORRERY_TOKEN", &token);
        let found = command.output().unwrap();
        let is_early = String::from_utf8_lossy(&found.stderr).contains("FlightUnavailableError");
        output = Some(found);
        !is_early
    });
    check_agreement(&output.unwrap(), "agreed");
}

#[test]
fn who_watches_health_is_told_when_it_changes() {
    let home = Home::new();
    let source = "synthetic:?ledgers=1000000&density=sparse&rate=20";
    let mut node = home.follow(source, &home.url("dataset"), &["--from", "genesis", "--grid", "2:8"], &[]);
    let http = node.http();
    node.until_committed();
    let caller = Caller::new(&http, None);
    wait_for("ready", || caller.health("") == Ok(1));
    let park = || drop(home.run_here(&["park"]).expect(0, "parked"));
    let resume = || drop(home.run_here(&["resume"]).expect(0, "running"));
    // Serving, and not: at once, and whenever that changes.
    assert_eq!(caller.watched(&[&park, &resume]), [1, 2, 1]);
}

/// A file that cannot be read is told as what it is, by tables and by the feed, and never left out.
#[test]
fn a_damaged_file_is_data_loss() {
    let home = Home::new();
    let dataset = home.url("dataset");
    let run = || {
        let more = ["--from", "genesis", "--grid", "2:8"];
        // Only what is read of the dataset is asked here.
        let variables = [("ORRERY_HTTP__ROW_FILES_MIB", "0")];
        home.follow("synthetic:?ledgers=80&density=sparse", &dataset, &more, &variables)
    };
    let ticket = r#"{"table":"token_transfers","from":"1","to":"33"}"#;
    let mut node = run();
    let http = node.http();
    wait_for_tip(&http, 79);
    assert_eq!(Caller::new(&http, None).end_of(ticket).map_err(|status| status.to_string()), Ok(()));
    node.signal("-TERM");
    assert_eq!(node.end().0, Some(0), "{}", node.log());
    let mut damaged = 0;
    for name in files(&home.path("dataset")).into_keys().filter(|name| name.ends_with(".parquet")) {
        if !name.starts_with("token_transfers") {
            continue;
        }
        let path = home.path("dataset").join(&name);
        let mut bytes = fs::read(&path).unwrap();
        // Pages, not the end, by which a file is found to be one.
        let end = bytes.len() / 2;
        bytes[4..end].fill(0xa5);
        fs::write(&path, bytes).unwrap();
        damaged += 1;
    }
    assert!(damaged > 3, "{damaged} files");
    let mut node = run();
    let http = node.http();
    // The other table is whole.
    wait_for("ledger 79", || get(&http, "/v1/ledgers/79").0 == 200);
    let caller = Caller::new(&http, None);
    for ticket in [ticket, r#"{"table":"live","from":"oldest"}"#] {
        let mut ended = caller.end_of(ticket).unwrap_err();
        // Before it has looked at its dataset, a node serves none of it.
        wait_for("dataset that the feed knows", || {
            ended = caller.end_of(ticket).unwrap_err();
            ended.code() != Code::Unavailable
        });
        assert_eq!(ended.code(), Code::DataLoss, "{ticket}: {ended}");
        assert!(ended.message().contains("orrery verify"), "{ended}");
    }
    // And counted, by what the reader was told.
    let calls = |code: &str| {
        let text = get(&http, "/metrics").1;
        let label = format!("code=\"{code}\"");
        let of = |line: &&str| line.starts_with("orrery_grpc_requests_total{") && line.contains(&label);
        let line = text.lines().find(|line| of(line) && line.contains("FlightService/DoGet"));
        line.map_or(0, |line| line.rsplit_once(' ').unwrap().1.parse::<u64>().unwrap())
    };
    assert!(calls("data_loss") >= 2, "{}", get(&http, "/metrics").1);
    assert_eq!(caller.health(""), Ok(1));
    let checked = "orrery_grpc_requests_total{method=\"/grpc.health.v1.Health/Check\",code=\"ok\"} 1\n";
    assert!(get(&http, "/metrics").1.contains(checked), "{}", get(&http, "/metrics").1);
}

/// A frame of HTTP/2.
fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = (payload.len() as u32).to_be_bytes();
    [&length[1..], &[kind, flags], &stream.to_be_bytes(), payload].concat()
}

/// POST / to host x: indexed fields of the static table, and an authority.
const POST: [u8; 6] = [0x83, 0x86, 0x84, 0x41, 0x01, b'x'];

/// Sends bytes again and again until the server closes; fails if it never does.
fn flood(http: &str, what: &str, mut bytes: impl FnMut(u32) -> Vec<u8>) {
    let mut stream = TcpStream::connect(http).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(120))).unwrap();
    stream.set_write_timeout(Some(Duration::from_secs(120))).unwrap();
    stream.write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n").unwrap();
    stream.write_all(&frame(4, 0, 0, &[])).unwrap();
    let mut reader = stream.try_clone().unwrap();
    let read = std::thread::Builder::new().spawn(move || {
        let mut sink = [0; 4_096];
        while reader.read(&mut sink).is_ok_and(|read| read > 0) {}
    });
    let is_closed = (0..200_000).any(|round| stream.write_all(&bytes(round)).is_err());
    drop(stream.shutdown(std::net::Shutdown::Both));
    read.unwrap().join().unwrap();
    assert!(is_closed, "{what} is not stopped");
}

fn resident_kib(node: &Node) -> u64 {
    let status = fs::read_to_string(format!("/proc/{}/status", node.id())).unwrap();
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}

#[test]
fn attacks_on_http2_are_closed_and_others_are_served() {
    let home = Home::new();
    let more = ["--from", "genesis", "--grid", "2:8"];
    let mut node = home.follow("synthetic:?ledgers=80&density=sparse", &home.url("dataset"), &more, &[]);
    let http = node.http();
    let well = Caller::new(&http, None);
    wait_for("ready", || well.health("") == Ok(1));
    let before = resident_kib(&node);
    // CVE-2023-44487: streams that are begun and given up.
    flood(&http, "rapid reset", |round| {
        let stream = 2 * round + 1;
        [frame(1, 5, stream, &POST), frame(3, 0, stream, &8_u32.to_be_bytes())].concat()
    });
    // CVE-2024-27316: headers without an end.
    flood(&http, "continuation", |round| match round {
        0 => frame(1, 1, 1, &POST),
        _ => frame(9, 0, 1, &[&[0, 1, b'a', 0x7f, 0x81, 0x07][..], &[b'a'; 256]].concat()),
    });
    // Data without content and without an end.
    flood(&http, "empty data", |round| match round {
        0 => frame(1, 4, 1, &POST),
        _ => frame(0, 0, 1, &[]),
    });
    // A header that is larger than all may be together, again and again from the same few bytes.
    flood(&http, "many headers", |round| {
        let headers = [&POST[..], &[0x40, 1, b'a', 0x7f, 0x81, 0x1f], &[b'a'; 4_096], &[0xbe; 64]].concat();
        frame(1, 5, 2 * round + 1, &headers)
    });
    // A frame that is longer than was agreed, and one that makes no sense.
    flood(&http, "huge frame", |_| frame(0, 0, 1, &[0; 20_000]));
    flood(&http, "headers of stream 0", |_| frame(1, 5, 0, &POST));
    let grown = resident_kib(&node).saturating_sub(before);
    assert!(grown < 64 << 10, "{grown} KiB more than before");
    assert_eq!(well.health(""), Ok(1));
    assert_eq!(get(&http, "/healthz").0, 200);
}
