//! Readers of several regions: nodes with datasets of their own, of the same ledgers. Whichever dies, readers go on at the
//! other one, and see every event once and in order.

use std::cell::Cell;
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command};
use std::{fs, thread};

use serde_json::Value;

use crate::feed::{example, follow};
use crate::process::{Home, Node, get, wait_for};

/// Ledgers that close between two deaths.
const LEDGERS: u32 = 20;

/// A lake that grows only as a test says.
pub(crate) struct Lake {
    lake: PathBuf,
    all: PathBuf,
    /// Objects by their ledgers; what is no ledger stands first.
    objects: Vec<(Option<u32>, PathBuf)>,
    /// How many are there.
    count: Cell<usize>,
}

impl Lake {
    /// Of so many ledgers, none of which is there yet: `lake`, beside `all`, which has them.
    pub(crate) fn new(home: &Home, ledgers: u32) -> Self {
        home.synth("all", ledgers);
        let (all, lake) = (home.path("all"), home.path("lake"));
        let mut objects: Vec<_> = files(&all).into_iter().map(|path| (sequence(&path), path)).collect();
        objects.sort();
        Self { lake, all, objects, count: Cell::new(0) }
    }

    /// Has all up to a ledger. What lists it sees an object that is whole, or none.
    pub(crate) fn grow(&self, last: u32) {
        let count = self.objects.partition_point(|(ledger, _)| *ledger <= Some(last));
        for (_, path) in self.objects.iter().take(count).skip(self.count.get()) {
            let to = self.lake.join(path.strip_prefix(&self.all).unwrap());
            fs::create_dir_all(to.parent().unwrap()).unwrap();
            fs::hard_link(path, to).unwrap();
        }
        self.count.set(count.max(self.count.get()));
    }
}

/// Two regions that follow one lake, which grows only as a test says.
struct Regions {
    home: Home,
    lake: Lake,
    addresses: [String; 2],
    nodes: [Option<Node>; 2],
    /// Every event of every ledger.
    expected: Vec<Value>,
}

impl Regions {
    /// Of so many times [`LEDGERS`]; the lake has the first of them.
    fn new(phases: u32) -> Self {
        let home = Home::new();
        let lake = Lake::new(&home, LEDGERS * phases);
        let ended = home.run(&["events", &home.url("all"), "--format", "jsonl"]).expect(0, "");
        let expected = ended.stdout().lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        let free = || TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string();
        let mut regions = Self { home, lake, addresses: [free(), free()], nodes: [None, None], expected };
        regions.lake.grow(regions.last(1));
        for region in 0..2 {
            regions.start(region);
        }
        regions
    }

    fn start(&mut self, region: usize) {
        let name = ["a", "b"][region];
        let (source, dataset) = (self.home.url("lake"), self.home.url(&format!("dataset-{name}")));
        let state = self.home.path(&format!("state-{name}")).display().to_string();
        let work = ["run", "--source", &source, "--dataset", &dataset, "--from", "genesis", "--grid", "2:8"];
        let own = ["--http", &self.addresses[region], "--data-dir", &state, "--name", name, "--workers", "1"];
        self.nodes[region] = Some(self.home.start_elsewhere(&[&work[..], &own].concat(), &[]));
        let address = &self.addresses[region];
        wait_for("traffic", || {
            TcpStream::connect(address).is_ok() && get(address, "/healthz/traffic").0 == 200
        });
    }

    /// kill -9; it stays away.
    fn kill(&mut self, region: usize) {
        self.nodes[region] = None;
    }

    fn last(&self, phases: u32) -> u32 {
        LEDGERS * phases + 1
    }

    /// How many events the ledgers of so many phases have.
    fn count(&self, phases: u32) -> usize {
        let last = u64::from(self.last(phases));
        self.expected.iter().filter(|event| event["ledger_sequence"].as_u64().unwrap() <= last).count()
    }

    fn urls(&self) -> [String; 2] {
        self.addresses.each_ref().map(|address| format!("http://{address}"))
    }

    /// Kills each region in turn while a reader reads, so that it can get what comes next at the other one alone.
    fn kill_in_turn(&mut self, phases: u32, out: &Path) {
        let lines = || fs::read_to_string(out).unwrap_or_default().lines().count();
        let reach = |regions: &Self, phase: u32| {
            regions.lake.grow(regions.last(phase));
            wait_for("events", || lines() >= regions.count(phase));
        };
        reach(self, 1);
        for phase in 2..phases {
            let dies = (phase % 2) as usize;
            self.start_if_dead(1 - dies);
            self.kill(dies);
            reach(self, phase);
        }
        self.lake.grow(self.last(phases));
    }

    fn start_if_dead(&mut self, region: usize) {
        if self.nodes[region].is_none() {
            self.start(region);
        }
    }

    /// Every event once, in order.
    fn check(&self, out: &Path) {
        let text = fs::read_to_string(out).unwrap();
        let seen: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        assert!(seen == self.expected, "{} of {} events", seen.len(), self.expected.len());
    }
}

/// All files below a folder.
fn files(root: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(root).unwrap() {
        let path = entry.unwrap().path();
        match path.is_dir() {
            true => found.extend(files(&path)),
            false => found.push(path),
        }
    }
    found
}

/// The ledger of a lake's object, as its name says; none of what is no ledger.
fn sequence(path: &Path) -> Option<u32> {
    let name = path.file_name().unwrap().to_str().unwrap();
    name.split_once("--")?.1.split('.').next()?.parse().ok()
}

/// How many phases: each region dies twice.
const PHASES: u32 = 6;

#[test]
fn tail_goes_on_in_the_other_region_and_says_where() {
    let mut regions = Regions::new(PHASES);
    let (urls, last) = (regions.urls(), regions.last(PHASES).to_string());
    let fixed = ["--output", "json", "tail", "--url", &urls[0], "--url", &urls[1], "--to", &last];
    let mut tail = regions.home.start_elsewhere(&[&fixed[..], &["--from", "oldest"]].concat(), &[]);
    let out = tail.out();
    regions.kill_in_turn(PHASES, &out);
    assert_eq!(tail.end().0, Some(0), "{}", tail.log());
    regions.check(&out);
    let log = tail.log();
    for url in urls {
        assert!(log.contains(&format!("going on at {url}/v1/feed behind ")), "{log}");
    }
}

/// Runs an example to its end.
fn check_example(program: &str, arguments: &dyn Fn(&Regions) -> Vec<String>) {
    if Command::new(program).arg("--version").output().is_err() {
        eprintln!("skipped: there is no {program}");
        return;
    }
    let mut regions = Regions::new(PHASES);
    let out = regions.home.path("example.out");
    let mut command = Command::new(program);
    command.args(arguments(&regions)).stdout(fs::File::create(&out).unwrap());
    let mut example = Killed(command.spawn().unwrap());
    regions.kill_in_turn(PHASES, &out);
    assert!(example.0.wait().unwrap().success());
    regions.check(&out);
}

/// A process that does not outlive its test.
struct Killed(Child);

impl Drop for Killed {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn the_python_example_goes_on_in_the_other_region() {
    check_example("python3", &|regions| {
        let place = regions.home.path("place.txt").display().to_string();
        let to = format!("to={}", regions.last(PHASES));
        let urls = regions.urls().join(",");
        vec![example("python/follow.py"), urls, place, "--from".to_owned(), "oldest".to_owned(), to]
    });
}

#[test]
fn the_javascript_example_goes_on_in_the_other_region() {
    check_example("node", &|regions| {
        let fixed = ["--experimental-websocket", "--no-warnings"].map(str::to_owned);
        let urls = regions.urls().join(",");
        let given = [example("javascript/follow.mjs"), urls, "oldest".to_owned(), "{}".to_owned()];
        [&fixed[..], &given, &[regions.last(PHASES).to_string()]].concat()
    });
}

#[test]
fn the_rust_example_goes_on_in_the_other_region() {
    let mut regions = Regions::new(PHASES);
    let (out, place) = (regions.home.path("example.out"), regions.home.path("place.txt"));
    let (urls, to) = (regions.urls().join(","), format!("to={}", regions.last(PHASES)));
    let arguments = [&*urls, place.to_str().unwrap(), "--from", "oldest", &to].map(str::to_owned);
    let mut written = fs::File::create(&out).unwrap();
    let example = thread::Builder::new().name("example".to_owned());
    let running = example.spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(follow::follow(&arguments, &mut written)).unwrap();
    });
    regions.kill_in_turn(PHASES, &out);
    running.unwrap().join().unwrap();
    regions.check(&out);
}
