//! Processes of the binary, and what can be seen of them from outside.

use std::collections::BTreeMap;
use std::fs;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::{Condvar, Mutex};
use std::time::Duration;

use orrery_supervisor::{Clock, MonotonicTime, SystemClock};
use serde_json::{Value, json};

/// Longer than anything here takes on a busy machine.
const WITHIN: Duration = Duration::from_secs(600);

/// A folder with the state of a node, its dataset and whatever a test puts there.
pub(crate) struct Home(tempfile::TempDir);

impl Home {
    pub(crate) fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    pub(crate) fn url(&self, name: &str) -> String {
        format!("file://{}", self.path(name).display())
    }

    /// Arguments that keep the node's state here.
    pub(crate) fn state(&self) -> [String; 2] {
        ["--data-dir".to_owned(), self.path("state").display().to_string()]
    }

    /// Runs a command to its end.
    pub(crate) fn run(&self, arguments: &[&str]) -> Ended {
        self.run_with(arguments, &[])
    }

    /// Runs a command to its end, with environment variables.
    pub(crate) fn run_with(&self, arguments: &[&str], variables: &[(&str, &str)]) -> Ended {
        Ended::new(self.command(arguments, variables).output().unwrap())
    }

    /// Runs a command on the state here to its end.
    pub(crate) fn run_here(&self, arguments: &[&str]) -> Ended {
        let state = self.state();
        self.run(&[arguments, &[&*state[0], &*state[1]]].concat())
    }

    /// Writes ledgers of the simulated network as a lake.
    pub(crate) fn synth(&self, name: &str, ledgers: u32) -> String {
        let (url, ledgers) = (self.url(name), ledgers.to_string());
        self.run(&["synth", "--out", &url, "--ledgers", &ledgers, "--density", "sparse"]).expect(0, "");
        url
    }

    /// Backfills into `dataset`, on a state of its own.
    pub(crate) fn backfill(&self, source: &str, dataset: &str, more: &[&str]) -> Ended {
        self.backfill_with(source, dataset, more, &[])
    }

    pub(crate) fn backfill_with(
        &self,
        source: &str,
        dataset: &str,
        more: &[&str],
        variables: &[(&str, &str)],
    ) -> Ended {
        let state = self.state();
        let fixed = ["backfill", "--source", source, "--dataset", dataset, &state[0], &state[1]];
        self.run_with(&[&fixed[..], more].concat(), variables)
    }

    /// Starts a node that follows its source and serves its health somewhere.
    pub(crate) fn follow(
        &self,
        source: &str,
        dataset: &str,
        more: &[&str],
        variables: &[(&str, &str)],
    ) -> Node {
        let fixed = ["run", "--source", source, "--dataset", dataset, "--http", "127.0.0.1:0"];
        self.start(&[&fixed[..], more].concat(), variables)
    }

    /// Starts a command that goes on.
    pub(crate) fn start(&self, arguments: &[&str], variables: &[(&str, &str)]) -> Node {
        let state = self.state();
        self.start_elsewhere(&[arguments, &[&*state[0], &*state[1]]].concat(), variables)
    }

    /// Starts a command that goes on and says itself where its state is.
    pub(crate) fn start_elsewhere(&self, arguments: &[&str], variables: &[(&str, &str)]) -> Node {
        let log = self.path(&format!("log-{}", fs::read_dir(self.0.path()).unwrap().count()));
        let mut command = self.command(arguments, variables);
        command.stdout(fs::File::create(log.with_extension("out")).unwrap());
        let child = command.stderr(fs::File::create(&log).unwrap()).spawn().unwrap();
        let mut told = arguments.iter().skip_while(|argument| **argument != "--data-dir");
        let data_dir = told.nth(1).map_or_else(|| self.path("state"), PathBuf::from);
        Node { child, log, data_dir, clock: SystemClock::new() }
    }

    fn command(&self, arguments: &[&str], variables: &[(&str, &str)]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_orrery"));
        command.args(arguments).current_dir(self.0.path()).stdin(Stdio::null());
        command.envs(variables.iter().copied());
        command
    }
}

/// A command that has ended.
pub(crate) struct Ended {
    code: Option<i32>,
    stdout: String,
    stderr: String,
}

impl Ended {
    fn new(output: Output) -> Self {
        let text = |bytes| String::from_utf8(bytes).unwrap();
        Self { code: output.status.code(), stdout: text(output.stdout), stderr: text(output.stderr) }
    }

    /// Checks the exit code, and that it says this.
    #[track_caller]
    pub(crate) fn expect(self, code: i32, says: &str) -> Self {
        let all = format!("{}{}", self.stdout, self.stderr);
        assert_eq!(self.code, Some(code), "{all}");
        assert!(all.contains(says), "it does not say `{says}`:\n{all}");
        self
    }

    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.stdout).unwrap()
    }

    pub(crate) fn stdout(&self) -> &str {
        &self.stdout
    }

    pub(crate) fn stderr(&self) -> &str {
        &self.stderr
    }
}

/// A process that runs; killed when it is dropped.
pub(crate) struct Node {
    child: Child,
    log: PathBuf,
    data_dir: PathBuf,
    clock: SystemClock,
}

impl Drop for Node {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Node {
    pub(crate) fn now(&self) -> MonotonicTime {
        self.clock.now()
    }

    pub(crate) fn log(&self) -> String {
        fs::read_to_string(&self.log).unwrap()
    }

    pub(crate) fn stdout(&self) -> String {
        fs::read_to_string(self.out()).unwrap()
    }

    /// Where its standard output goes.
    pub(crate) fn out(&self) -> PathBuf {
        self.log.with_extension("out")
    }

    /// Asks over the control socket; `None` while there is none.
    pub(crate) fn ask(&self, request: &Value) -> Option<Value> {
        let mut client = UnixStream::connect(self.data_dir.join("control.sock")).ok()?;
        writeln!(client, "{request}").ok()?;
        let mut answer = String::new();
        client.read_to_string(&mut answer).ok()?;
        serde_json::from_str(&answer).ok()
    }

    /// What the supervision tree says of the actor at `path`.
    pub(crate) fn actor(&self, path: &[&str]) -> Option<Value> {
        let tree = self.ask(&json!({ "op": "tree" }))?["done"].take();
        path.iter().try_fold(tree, |node, id| {
            node["children"].as_array()?.iter().find(|child| child["id"] == *id).cloned()
        })
    }

    /// Waits until `look` finds something.
    #[track_caller]
    pub(crate) fn until<T>(&mut self, what: &str, mut look: impl FnMut(&Self) -> Option<T>) -> T {
        let began = self.clock.now();
        loop {
            if let Some(found) = look(self) {
                return found;
            }
            let ended = self.child.try_wait().unwrap();
            let is_late = self.clock.now().since(began) > WITHIN;
            assert!(ended.is_none() && !is_late, "no {what}; {ended:?}; {}{}", self.log(), self.stdout());
            pause();
        }
    }

    /// Waits until the last ledger of some slot is durable.
    pub(crate) fn until_committed(&mut self) {
        self.until("commit", |node| node.log().contains("slot committed").then_some(()));
    }

    /// The address that health and metrics are served at.
    pub(crate) fn http(&mut self) -> String {
        self.until("address", |node| {
            let log = node.log();
            let line = log.lines().find(|line| line.contains("health and metrics are served"))?;
            let (_, address) = line.split_once("address=")?;
            Some(address.trim().to_owned())
        })
    }

    /// Of the process.
    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    /// Waits until something is so, or the process has ended.
    pub(crate) fn until_gone_or(&mut self, mut is_so: impl FnMut() -> bool) {
        let began = self.clock.now();
        while self.child.try_wait().unwrap().is_none() && !is_so() {
            assert!(self.clock.now().since(began) < WITHIN, "{}{}", self.log(), self.stdout());
            pause();
        }
    }

    /// Kills it at once; one that has ended stays as it was.
    pub(crate) fn kill(&mut self) {
        let _ = self.child.kill();
    }

    pub(crate) fn signal(&self, name: &str) {
        let done = Command::new("kill").args([name, &self.child.id().to_string()]).status().unwrap();
        assert!(done.success());
    }

    /// Waits for its end; gives its exit code and how long that took.
    pub(crate) fn end(&mut self) -> (Option<i32>, Duration) {
        let began = self.clock.now();
        loop {
            let taken = self.clock.now().since(began);
            if let Some(status) = self.child.try_wait().unwrap() {
                return (status.code(), taken);
            }
            assert!(taken < WITHIN, "it does not end: {}", self.log());
            pause();
        }
    }
}

/// Waits until something is so.
pub(crate) fn wait_for(what: &str, mut is_so: impl FnMut() -> bool) {
    let clock = SystemClock::new();
    while !is_so() {
        assert!(clock.now().since(MonotonicTime::ORIGIN) < WITHIN, "no {what}");
        pause();
    }
}

/// A little while: processes have no other way to tell that they got on.
fn pause() {
    let (lock, never) = (Mutex::new(()), Condvar::new());
    drop(never.wait_timeout(lock.lock().unwrap(), Duration::from_millis(2)).unwrap());
}

/// Status and body of a GET.
pub(crate) fn get(address: &str, path: &str) -> (u16, String) {
    let mut stream = TcpStream::connect(address).unwrap();
    write!(stream, "GET {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n").unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    (head.split(' ').nth(1).unwrap().parse().unwrap(), body.to_owned())
}

/// All files below a folder, but those of the store's self-test.
pub(crate) fn files(root: &Path) -> BTreeMap<String, Vec<u8>> {
    let mut found = BTreeMap::new();
    let mut folders = vec![root.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            let name = path.strip_prefix(root).unwrap().display().to_string();
            match path.is_dir() {
                true if name == "_orrery" => {}
                true => folders.push(path),
                false => drop(found.insert(name, fs::read(&path).unwrap())),
            }
        }
    }
    found
}

/// Equal names and equal bytes.
#[track_caller]
pub(crate) fn assert_same(one: &BTreeMap<String, Vec<u8>>, other: &BTreeMap<String, Vec<u8>>) {
    assert!(!one.is_empty());
    assert_eq!(one.keys().collect::<Vec<_>>(), other.keys().collect::<Vec<_>>());
    for (name, bytes) in one {
        assert!(*bytes == other[name], "{name} differs");
    }
}
