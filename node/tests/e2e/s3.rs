//! Ledgers and dataset in buckets: of a real S3 server (SeaweedFS), through a network that fails, and of one that breaks
//! its promises.

use std::collections::BTreeMap;
use std::fs;
use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::path::Path;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use serde_json::Value;

use crate::process::{Home, assert_same, files, get};
use crate::seaweed::{KEYS, Server, weed};
use crate::stub::{Reply, Stub};

const RANGE: [&str; 4] = ["--grid", "2:16", "--to", "61"];

impl Server {
    /// Uploads a folder past S3.
    fn upload(&self, root: &Path, prefix: &str) {
        for (name, bytes) in files(root) {
            self.store(&format!("{prefix}/{name}"), &bytes);
        }
    }

    /// Writes an object past S3, whatever is there.
    pub(crate) fn store(&self, name: &str, bytes: &[u8]) {
        let mut stream = TcpStream::connect(&self.filer).unwrap();
        let (filer, length) = (&self.filer, bytes.len());
        write!(stream, "PUT /buckets/lake/{name} HTTP/1.1\r\nHost: {filer}\r\n").unwrap();
        write!(stream, "Content-Length: {length}\r\nConnection: close\r\n\r\n").unwrap();
        stream.write_all(bytes).unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        assert!(answer.starts_with("HTTP/1.1 201"), "{answer}");
    }

    /// All objects below a prefix, but that of the store's self-test.
    pub(crate) fn objects(&self, prefix: &str) -> BTreeMap<String, Vec<u8>> {
        let mut found = BTreeMap::new();
        let mut folders = vec![String::new()];
        while let Some(folder) = folders.pop() {
            let (_, listing) = get_json(&self.filer, &format!("/buckets/lake/{prefix}/{folder}?limit=10000"));
            for entry in listing["Entries"].as_array().into_iter().flatten() {
                let name = entry["FullPath"].as_str().unwrap().rsplit('/').next().unwrap();
                // A folder has its bit in the mode of Go's files.
                match entry["Mode"].as_u64().unwrap() & (1 << 31) != 0 {
                    true if name == "_orrery" => {}
                    true => folders.push(format!("{folder}{name}/")),
                    false => {
                        let name = format!("{folder}{name}");
                        let bytes = get_bytes(&self.filer, &format!("/buckets/lake/{prefix}/{name}"));
                        found.insert(name, bytes);
                    }
                }
            }
        }
        found
    }
}

fn request(address: &str, path: &str, more: &str) -> Vec<u8> {
    let mut stream = TcpStream::connect(address).unwrap();
    write!(stream, "GET {path} HTTP/1.0\r\nHost: {address}\r\n{more}\r\n").unwrap();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).unwrap();
    assert!(answer.starts_with(b"HTTP/1.0 200"), "{path}: {}", String::from_utf8_lossy(&answer));
    let head = answer.windows(4).position(|end| end == b"\r\n\r\n").unwrap();
    answer.split_off(head + 4)
}

fn get_bytes(address: &str, path: &str) -> Vec<u8> {
    request(address, path, "")
}

fn get_json(address: &str, path: &str) -> (u16, Value) {
    (200, serde_json::from_slice(&request(address, path, "Accept: application/json\r\n")).unwrap())
}

/// What a proxy does with a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fate {
    Passes,
    /// Answered with this status instead.
    Refused(u16),
    /// Done, and the answer is lost.
    AnswerLost,
    /// Done, and the answer ends in its middle.
    Truncated,
}

/// Passes requests on to `upstream`, or not. Every third fails, each time in another way.
fn proxy(upstream: String) -> (String, &'static AtomicUsize) {
    const FATES: [Fate; 4] = [Fate::Refused(503), Fate::AnswerLost, Fate::Truncated, Fate::Refused(500)];
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let faults: &'static AtomicUsize = Box::leak(Box::default());
    let count: &'static Mutex<usize> = Box::leak(Box::default());
    let serve = move || {
        for client in listener.incoming() {
            let upstream = upstream.clone();
            let one = move || {
                let number = {
                    let mut count = count.lock().unwrap();
                    *count += 1;
                    *count
                };
                let fate = if number.is_multiple_of(3) { FATES[number / 3 % 4] } else { Fate::Passes };
                faults.fetch_add(usize::from(fate != Fate::Passes), Ordering::Relaxed);
                drop(pass(client.unwrap(), &upstream, fate));
            };
            std::thread::Builder::new().spawn(one).unwrap();
        }
    };
    std::thread::Builder::new().spawn(serve).unwrap();
    (address, faults)
}

fn pass(mut client: TcpStream, upstream: &str, fate: Fate) -> std::io::Result<()> {
    let (mut bytes, mut part) = (Vec::new(), [0; 1 << 16]);
    let body = loop {
        let count = client.read(&mut part)?;
        bytes.extend_from_slice(&part[..count]);
        if let Some(end) = bytes.windows(4).position(|end| end == b"\r\n\r\n") {
            break end + 4;
        }
        if count == 0 {
            return Ok(());
        }
    };
    let head = String::from_utf8_lossy(&bytes[..body]).into_owned();
    let length = head
        .lines()
        .find_map(|line| line.to_ascii_lowercase().strip_prefix("content-length:")?.trim().parse().ok());
    while bytes.len() < body + length.unwrap_or(0) {
        let count = client.read(&mut part)?;
        bytes.extend_from_slice(&part[..count]);
    }
    if let Fate::Refused(status) = fate {
        let error =
            "<?xml version=\"1.0\"?><Error><Code>SlowDown</Code><Message>Reduce your rate</Message></Error>";
        let length = error.len();
        write!(
            client,
            "HTTP/1.1 {status} No\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n{error}"
        )?;
        return client.shutdown(Shutdown::Both);
    }
    let mut server = TcpStream::connect(upstream)?;
    server.write_all(&bytes[..body - 2])?;
    server.write_all(b"Connection: close\r\n\r\n")?;
    server.write_all(&bytes[body..])?;
    let mut answer = Vec::new();
    server.read_to_end(&mut answer)?;
    match fate {
        Fate::AnswerLost => {}
        Fate::Truncated => client.write_all(&answer[..answer.len() / 2])?,
        Fate::Passes | Fate::Refused(_) => client.write_all(&answer)?,
    }
    client.shutdown(Shutdown::Both)
}

#[test]
fn a_lake_and_a_dataset_in_buckets_are_as_in_folders_however_the_network_fails() {
    let Some(weed) = weed() else { return };
    let server = Server::start(&weed);
    let home = Home::new();
    let lake = home.synth("lake", 60);
    server.upload(&home.path("lake"), "v1/ledgers");
    home.backfill(&lake, &home.url("dataset"), &RANGE).expect(0, "complete");
    let expected = files(&home.path("dataset"));

    let url = |prefix: &str, address: &str| {
        format!("s3://lake/{prefix}?endpoint=http://{address}&region=us-east-1")
    };
    let bucket = |address: &str, prefix: &str| {
        let state = Home::new();
        let (source, dataset) = (url("v1/ledgers", address), url(prefix, address));
        state.backfill_with(&source, &dataset, &RANGE, &KEYS).expect(0, "complete");
        state.backfill_with(&source, &dataset, &RANGE, &KEYS).expect(0, "nothing to do");
    };
    bucket(&server.s3, "sound");
    assert_same(&server.objects("sound"), &expected);
    let (address, faults) = proxy(server.s3.clone());
    bucket(&address, "disturbed");
    assert_same(&server.objects("disturbed"), &expected);
    let faults = faults.load(Ordering::Relaxed);
    assert!(faults > 20, "{faults}");
    eprintln!("{faults} requests failed");

    let state = Home::new();
    let denied = [("AWS_ACCESS_KEY_ID", "key"), ("AWS_SECRET_ACCESS_KEY", "wrong")];
    let ended = state.backfill_with(&url("v1/ledgers", &server.s3), &url("x", &server.s3), &RANGE, &denied);
    assert!(!ended.expect(69, "denied").stderr().contains("wrong"));
}

#[test]
fn a_server_that_ignores_put_if_absent_is_refused_at_the_start() {
    let objects = Mutex::new(BTreeMap::<String, Vec<u8>>::new());
    let stub = Stub::start(move |request| {
        let mut objects = objects.lock().unwrap();
        match request.method.as_str() {
            "PUT" => {
                objects.insert(request.path.clone(), request.body.clone().into_bytes());
                Reply::Status(200, Vec::new())
            }
            _ => objects
                .get(&request.path)
                .map_or(Reply::Status(404, Vec::new()), |bytes| Reply::Status(200, bytes.clone())),
        }
    });
    let home = Home::new();
    let dataset = format!("s3://bucket/set?endpoint=http://{}&region=us-east-1", stub.address());
    for command in ["backfill", "run"] {
        let state = home.state();
        let arguments = [
            command,
            "--source",
            "synthetic:?ledgers=5",
            "--dataset",
            &dataset,
            "--to",
            "6",
            &state[0],
            &state[1],
        ];
        home.run_with(&arguments, &KEYS).expect(78, "does not honour put-if-absent");
    }
    assert!(
        stub.seen().iter().all(|request| request.path.contains("_orrery/put-if-absent")),
        "{:?}",
        stub.seen()
    );
    assert!(fs::read_dir(home.path("state")).is_ok());
}

/// Row files are made from data files that are somewhere else, and what they answer is what the ledgers have.
#[test]
fn rows_of_a_dataset_in_a_bucket_are_found_with_and_without_row_files() {
    let Some(weed) = weed() else { return };
    let server = Server::start(&weed);
    let home = Home::new();
    let lake = home.synth("lake", 60);
    let dataset = format!("s3://lake/rows?endpoint=http://{}&region=us-east-1", server.s3);
    let lines = home.run(&["events", &lake, "--format", "jsonl", "--to", "47"]).expect(0, "");
    let events: Vec<Value> = lines.stdout().lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    // Whoever has most, so that it is in several files.
    let of = |account: &str| events.iter().filter(|event| event["from"] == account).count();
    let accounts = events.iter().filter_map(|event| event["from"].as_str());
    let account = accounts.max_by_key(|account| of(account)).unwrap();
    let of_account = |event: &&Value| event["from"] == account || event["to"] == account;
    let expected: Vec<&Value> = events.iter().filter(of_account).collect();
    assert!(expected.len() > 3, "{account}");
    let check = |row_files_mib: &str| {
        let variables = [&KEYS[..], &[("ORRERY_HTTP__ROW_FILES_MIB", row_files_mib)]].concat();
        let mut node = home.follow(&lake, &dataset, &["--grid", "2:16"], &variables);
        let http = node.http();
        // The last whole slot ends there.
        node.until("all slots", |_| {
            get(&http, "/v1/events?order=desc&limit=1").1.contains("\"tip\":\"47\"").then_some(())
        });
        if row_files_mib != "0" {
            let folder = home.path("state").join("rows");
            let made = || fs::read_dir(&folder).into_iter().flatten().flatten().collect::<Vec<_>>();
            node.until("row files", |_| {
                let made = made();
                let whole =
                    made.iter().filter(|file| file.path().extension().is_some_and(|end| end == "rows"));
                (whole.count() >= 3).then_some(())
            });
        }
        let page = get_json(&http, &format!("/v1/accounts/{account}/events?order=asc&limit=1000")).1;
        let found: Vec<&Value> = page["events"].as_array().unwrap().iter().collect();
        assert!(found == expected, "{row_files_mib}: {} of {}", found.len(), expected.len());
        let ledger = get_json(&http, "/v1/ledgers/20").1;
        let in_it = events.iter().filter(|event| event["ledger_sequence"] == 20).count();
        assert_eq!(ledger["event_count"], in_it);
        node.signal("-TERM");
        assert_eq!(node.end().0, Some(0), "{}", node.log());
    };
    check("64");
    // Those that are there by now, and none.
    check("64");
    check("0");
}
