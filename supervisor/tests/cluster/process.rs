//! Nodes as processes of their own, told what to do a line at a time.

use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{Receiver, sync_channel};
use std::time::Duration;

use serde_json::{Value, json};

/// Tells a process of this binary that it is a node, and which.
pub(crate) const NODE: &str = "ORRERY_TEST_NODE";

/// Longer than any answer takes, so that a node that hangs fails its test.
const PATIENCE: Duration = Duration::from_secs(60);

/// A running node.
pub(crate) struct Node {
    child: Child,
    stdin: ChildStdin,
    lines: Receiver<String>,
    pub(crate) name: String,
    pub(crate) address: String,
}

impl Node {
    /// Starts it and waits until it listens.
    pub(crate) fn start(name: &str, incarnation: u64, certificates: &Path) -> Self {
        Self::start_with(name, incarnation, certificates, json!({}))
    }

    /// With other settings: `cluster`, `idle_ms`, `listen`.
    pub(crate) fn start_with(name: &str, incarnation: u64, certificates: &Path, mut settings: Value) -> Self {
        settings["incarnation"] = incarnation.into();
        settings["certificates"] = certificates.to_str().unwrap().into();
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "node::as_a_process", "--nocapture", "--test-threads=1"])
            .env(NODE, settings.to_string())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let (sender, lines) = sync_channel(64);
        let stdout = BufReader::new(child.stdout.take().unwrap());
        std::thread::Builder::new()
            .name(format!("lines of {name}"))
            .spawn(move || {
                for line in stdout.lines().map_while(Result::ok) {
                    // The test harness prints lines too, and begins ours on one of its own.
                    if let Some((_, said)) = line.split_once("@said ")
                        && sender.send(said.to_owned()).is_err()
                    {
                        return;
                    }
                }
            })
            .unwrap();
        let stdin = child.stdin.take().unwrap();
        let mut node = Self { child, stdin, lines, name: name.to_owned(), address: String::new() };
        node.address = node.hear()["listens"].as_str().unwrap().to_owned();
        node
    }

    /// Has it do something, and waits for what it says.
    pub(crate) fn ask(&mut self, what: &Value) -> Value {
        self.tell(what);
        self.hear()
    }

    pub(crate) fn tell(&mut self, what: &Value) {
        writeln!(self.stdin, "{what}").unwrap();
    }

    pub(crate) fn hear(&self) -> Value {
        let said = self.lines.recv_timeout(PATIENCE);
        let said = said.unwrap_or_else(|error| panic!("node {}: {error}", self.name));
        serde_json::from_str(&said).unwrap()
    }

    pub(crate) fn want(&mut self, peers: &[&Node]) {
        let peers: serde_json::Map<_, _> =
            peers.iter().map(|peer| (peer.name.clone(), json!(peer.address))).collect();
        self.ask(&json!({"do": "want", "peers": peers}));
    }

    /// Waits until it can call the peer, in this incarnation if any; gives the milliseconds.
    #[track_caller]
    pub(crate) fn until_linked(&mut self, peer: &str, incarnation: Option<u64>) -> u64 {
        let said = self.ask(&json!({"do": "until_linked", "peer": peer, "incarnation": incarnation}));
        said["ms"].as_u64().unwrap_or_else(|| panic!("{}: {said}", self.name))
    }

    /// Waits until it can no longer call the peer; gives the milliseconds.
    #[track_caller]
    pub(crate) fn until_gone(&mut self, peer: &str) -> u64 {
        let said = self.ask(&json!({"do": "until_gone", "peer": peer}));
        said["ms"].as_u64().unwrap_or_else(|| panic!("{}: {said}", self.name))
    }

    /// A call: `answer` or `error`, and the milliseconds.
    pub(crate) fn call(&mut self, peer: &str, kind: &str, body: &str, timeout_ms: u64) -> Value {
        self.ask(&json!({"do": "call", "peer": peer, "kind": kind, "body": body, "timeout_ms": timeout_ms}))
    }

    pub(crate) fn status(&mut self) -> Value {
        self.ask(&json!({"do": "status"}))
    }

    /// STOP, CONT, KILL.
    pub(crate) fn signal(&self, name: &str) {
        let sent = Command::new("kill").args([&format!("-{name}"), &self.child.id().to_string()]).status();
        assert!(sent.unwrap().success());
        // A signal is sent before it is obeyed.
        while name == "STOP" && !self.proc("stat").rsplit_once(')').unwrap().1.starts_with(" T") {}
    }

    /// The number below which its open files' numbers must be, from now on; `None` lets it open no more.
    pub(crate) fn limit_files(&self, most: Option<usize>) {
        let is_open = |number: &usize| {
            std::fs::symlink_metadata(format!("/proc/{}/fd/{number}", self.child.id())).is_ok()
        };
        // A file gets the lowest number that is free.
        let most = most.unwrap_or_else(|| (0..).find(|number| !is_open(number)).unwrap());
        let pid = self.child.id().to_string();
        let set = Command::new("prlimit").args(["--pid", &pid, &format!("--nofile={most}:")]).status();
        assert!(set.unwrap().success());
    }

    /// Processor time that it has used, in hundredths of a second.
    pub(crate) fn ticks(&self) -> u64 {
        let stat = self.proc("stat");
        let fields: Vec<_> = stat.rsplit_once(')').unwrap().1.split_whitespace().collect();
        fields[11].parse::<u64>().unwrap() + fields[12].parse::<u64>().unwrap()
    }

    /// Ports on which it listens: of all that the system has, those whose sockets it has open.
    pub(crate) fn ports(&self) -> Vec<u16> {
        let files = std::fs::read_dir(format!("/proc/{}/fd", self.child.id())).unwrap();
        let files = files.filter_map(|file| std::fs::read_link(file.unwrap().path()).ok());
        let files: Vec<_> = files.map(|to| to.to_string_lossy().into_owned()).collect();
        let listening = |line: &str| {
            let fields: Vec<_> = line.split_whitespace().collect();
            let is_its = fields[3] == "0A" && files.contains(&format!("socket:[{}]", fields[9]));
            is_its.then(|| u16::from_str_radix(fields[1].rsplit_once(':').unwrap().1, 16).unwrap())
        };
        self.proc("net/tcp").lines().skip(1).filter_map(listening).collect()
    }

    fn proc(&self, file: &str) -> String {
        std::fs::read_to_string(format!("/proc/{}/{file}", self.child.id())).unwrap()
    }

    /// The most memory that was resident, in MiB.
    pub(crate) fn peak_mib(&self) -> u64 {
        let status = self.proc("status");
        let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
        line.trim().trim_end_matches(" kB").trim().parse::<u64>().unwrap() / 1024
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        // It may be stopped, or gone.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
