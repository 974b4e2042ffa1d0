//! One ledger is one trace, from its source to a reader: in what a node sends, and as a collector that others wrote has it.

use std::collections::BTreeMap;
use std::fs;
use std::net::{TcpListener, TcpStream};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

use crate::delta::python::python;
use crate::process::{Home, wait_for};
use crate::telemetry::{Posted, collector};

/// Every step of a ledger, each as `PARENT/NAME`.
const STEPS: [&str; 9] = [
    "/ledgers",
    "ledgers/fetch",
    "ledgers/process",
    "process/decode",
    "process/prove",
    "process/derive",
    "ledgers/write",
    "write/commit",
    "ledgers/deliver",
];

/// A span as a collector has it.
#[derive(Clone, Debug, Default)]
struct Span {
    trace: String,
    id: String,
    parent: String,
    name: String,
    /// Its attributes that are numbers.
    numbers: BTreeMap<String, i64>,
}

/// A trace with all of the steps, and the paths of its spans; `None` as long as there is none.
fn whole_trace(spans: &[Span]) -> Option<(Vec<&Span>, Vec<String>)> {
    let mut traces = BTreeMap::<&str, Vec<&Span>>::new();
    for span in spans {
        traces.entry(&span.trace).or_default().push(span);
    }
    traces.into_values().find_map(|trace| {
        let path = |span: &&Span| {
            let above = trace.iter().find(|above| above.id == span.parent);
            format!("{}/{}", above.map_or("", |above| above.name.as_str()), span.name)
        };
        let mut paths: Vec<String> = trace.iter().map(path).collect();
        paths.sort();
        STEPS.iter().all(|step| paths.iter().any(|path| path == step)).then_some((trace, paths))
    })
}

/// Nothing of another ledger is in it.
#[track_caller]
fn check_paths(paths: &[String]) {
    let count = |step: &str| paths.iter().filter(|path| *path == step).count();
    // Two tables. A ledger that was not there yet is fetched again.
    assert_eq!(count("ledgers/write"), 2, "{paths:?}");
    for once in ["/ledgers", "process/derive", "ledgers/deliver"] {
        assert_eq!(count(once), 1, "{paths:?}");
    }
    assert!(paths.iter().all(|path| STEPS.contains(&path.as_str())), "{paths:?}");
}

/// What a collector is sent, as far as it matters here: numbers of fields are those of OTLP.
mod otlp {
    use prost::Message;

    #[derive(Clone, PartialEq, Message)]
    pub(super) struct Request {
        #[prost(message, repeated, tag = "1")]
        pub(super) resources: Vec<Resource>,
    }

    #[derive(Clone, PartialEq, Message)]
    pub(super) struct Resource {
        #[prost(message, repeated, tag = "2")]
        pub(super) scopes: Vec<Scope>,
    }

    #[derive(Clone, PartialEq, Message)]
    pub(super) struct Scope {
        #[prost(message, repeated, tag = "2")]
        pub(super) spans: Vec<Span>,
    }

    #[derive(Clone, PartialEq, Message)]
    pub(super) struct Span {
        #[prost(bytes = "vec", tag = "1")]
        pub(super) trace: Vec<u8>,
        #[prost(bytes = "vec", tag = "2")]
        pub(super) id: Vec<u8>,
        #[prost(bytes = "vec", tag = "4")]
        pub(super) parent: Vec<u8>,
        #[prost(string, tag = "5")]
        pub(super) name: String,
    }
}

/// All that was posted.
fn sent(posted: &Posted) -> Vec<Span> {
    use prost::Message;
    let text = |bytes: &[u8]| bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
    let mut spans = Vec::new();
    for (_, body) in posted.lock().unwrap().iter() {
        let request = otlp::Request::decode(&**body).unwrap();
        let scopes = request.resources.into_iter().flat_map(|resource| resource.scopes);
        spans.extend(scopes.flat_map(|scope| scope.spans).map(|span| Span {
            trace: text(&span.trace),
            id: text(&span.id),
            parent: text(&span.parent),
            name: span.name,
            ..Span::default()
        }));
    }
    spans
}

#[test]
fn one_ledger_is_one_trace_from_its_source_to_a_reader() {
    let (address, posted) = collector();
    let home = Home::new();
    let (dataset, source) = (home.url("dataset"), "synthetic:?ledgers=100000&density=sparse&rate=20");
    let collector = [("ORRERY_TELEMETRY__OTLP", address.as_str())];
    let mut node = home.follow(source, &dataset, &["--from", "genesis"], &collector);
    let url = format!("http://{}", node.http());
    let _reader = home.start_elsewhere(&["tail", "--url", &url, "--from", "latest"], &[]);
    let found = node.until("a whole trace", |_| whole_trace(&sent(&posted)).map(|(_, paths)| paths));
    check_paths(&found);
}

/// A collector that runs until the test ends.
struct Collector {
    child: Child,
    address: String,
    told: PathBuf,
}

impl Drop for Collector {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Collector {
    /// Rotel, from the package that `.ci/requirements.txt` names; it writes what it takes as text. `None`, said, where there is none.
    fn start(home: &Home) -> Option<Self> {
        let python = python("rotel")?;
        let find = "import os, rotel; print(os.path.join(os.path.dirname(rotel.__file__), 'rotel-agent'))";
        let found = Command::new(&python).args(["-c", find]).output().unwrap();
        let program = String::from_utf8(found.stdout).unwrap();
        let held = [(); 2].map(|()| TcpListener::bind("127.0.0.1:0").unwrap());
        let [http, grpc] = held.map(|held| held.local_addr().unwrap().to_string());
        let told = home.path("collector.txt");
        let out = fs::File::create(&told).unwrap();
        let child = Command::new(program.trim())
            .args(["start", "--otlp-http-endpoint", &http, "--otlp-grpc-endpoint", &grpc])
            .args(["--exporter", "blackhole", "--debug-log", "traces", "--debug-log-verbosity", "detailed"])
            .env_clear()
            .stdin(Stdio::null())
            .stdout(out.try_clone().unwrap())
            .stderr(out)
            .spawn()
            .unwrap();
        let collector = Self { child, address: format!("http://{http}"), told };
        wait_for("collector", || TcpStream::connect(&http).is_ok());
        Some(collector)
    }

    /// The spans that it says it was given.
    fn spans(&self) -> Vec<Span> {
        let mut spans: Vec<Span> = Vec::new();
        for line in fs::read_to_string(&self.told).unwrap().lines() {
            if line.starts_with("Span #") {
                spans.push(Span::default());
            }
            let Some(span) = spans.last_mut() else { continue };
            // `-> NAME: Int(N)`, or a text: unsigned numbers arrive so.
            let attribute = line.trim().strip_prefix("-> ").and_then(|line| line.split_once(": "));
            if let Some((name, value)) = attribute {
                let value = value.trim_start_matches(|one: char| one != '(').trim_matches(['(', ')']);
                span.numbers.extend(value.parse().ok().map(|number| (name.to_owned(), number)));
            }
            let Some((key, value)) = line.split_once(':') else { continue };
            let value = value.trim().to_owned();
            match key.trim() {
                "Trace ID" => span.trace = value,
                "ID" => span.id = value,
                "Parent ID" => span.parent = value,
                "Name" => span.name = value,
                _ => {}
            }
        }
        // The last one may be half written.
        spans.pop();
        spans
    }
}

#[test]
fn a_ledgers_trace_arrives_in_a_collector_of_others() {
    let home = Home::new();
    let Some(collector) = Collector::start(&home) else { return };
    let (dataset, source) = (home.url("dataset"), "synthetic:?ledgers=100000&density=sparse&rate=20");
    let variables = [("ORRERY_TELEMETRY__OTLP", collector.address.as_str())];
    let mut node = home.follow(source, &dataset, &["--from", "genesis"], &variables);
    let url = format!("http://{}", node.http());
    let _reader = home.start_elsewhere(&["tail", "--url", &url, "--from", "latest"], &[]);
    let spans = node.until("a whole trace", |_| {
        let spans = collector.spans();
        whole_trace(&spans).is_some().then_some(spans)
    });
    let (trace, paths) = whole_trace(&spans).unwrap();
    check_paths(&paths);
    // The same ledger wherever a step names one.
    let of = |name: &str, key: &str| {
        let span = trace.iter().find(|span| span.name == name).unwrap();
        *span.numbers.get(key).unwrap_or_else(|| panic!("{name} has no {key}: {span:?}"))
    };
    let ledger = of("ledgers", "first");
    assert!(ledger >= 2, "{trace:?}");
    for (name, key) in [("ledgers", "last"), ("fetch", "first"), ("commit", "last"), ("deliver", "ledger")] {
        assert_eq!(of(name, key), ledger, "{name}: {trace:?}");
    }
    for text in ["-> service.name: Str(orrery)", "-> service.instance.id: Str(orrery)"] {
        assert!(fs::read_to_string(&collector.told).unwrap().contains(text), "{text}");
    }
    assert!(!node.log().contains("the collector takes no spans"), "{}", node.log());
}
