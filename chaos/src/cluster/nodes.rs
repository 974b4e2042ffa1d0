//! The nodes of a cluster as processes of this machine.

use std::net::{TcpListener, UdpSocket};
use std::path::{Path, PathBuf};
use std::time::Duration;

use nix::sys::signal::Signal;

use super::log_file::{Line, LogFile};
use crate::experiment::ExperimentError;
use crate::network::{Network, address};
use crate::process::{Ended, Orrery, Running};
use crate::workload::{FIRST_LEDGER, Mode, Target, UNDISTURBED_MAX, Workload, remove, succeeded};

/// In a namespace every port is free.
const PORT: u16 = 7100;

/// Lines of a log in a report.
const LINES_TOLD: usize = 40;

/// A node, while it runs and while it does not.
#[derive(Debug)]
pub(super) struct Node {
    pub(super) name: String,
    listen: String,
    certificates: Option<PathBuf>,
    lives: u32,
    pub(super) running: Option<Running>,
    log: LogFile,
    /// Last ledgers of the tasks that were begun in this life.
    pub(super) tasks: Vec<u32>,
    /// Whether it is the other version of the program.
    is_other: bool,
}

/// All nodes that write one dataset.
#[derive(Debug)]
pub(super) struct Nodes<'a> {
    workload: &'a Workload,
    network: Option<&'a Network>,
    dataset: PathBuf,
    pub(super) nodes: Vec<Node>,
    /// Another version of the program.
    pub(super) other: Option<Orrery>,
}

/// Makes an authority and a certificate for each node, in folders of their names.
///
/// # Errors
///
/// `orrery certs` fails.
pub(super) fn make_certificates(workload: &Workload, count: usize) -> Result<PathBuf, ExperimentError> {
    let folder = workload.folder.join("certificates");
    remove(&folder)?;
    let dir = folder.display().to_string();
    let call = |words: &[&str]| {
        let ended = Running::start(workload.orrery.command(words))?.finish(UNDISTURBED_MAX)?;
        succeeded("orrery certs", &ended)
    };
    call(&["certs", "init", "--dir", &dir, "--cluster", "chaos"])?;
    names(count).try_for_each(|name| call(&["certs", "issue", "--dir", &dir, &name]))?;
    Ok(folder)
}

impl<'a> Nodes<'a> {
    /// So many nodes for a new dataset. They are not started yet.
    ///
    /// # Errors
    ///
    /// The file system or the network refuses.
    pub(super) fn new(
        workload: &'a Workload,
        network: Option<(&'a Network, &Path)>,
        count: usize,
    ) -> Result<Self, ExperimentError> {
        let dataset = workload.fresh("disturbed")?.dataset;
        let logs = workload.folder.join("logs");
        remove(&logs)?;
        std::fs::create_dir_all(&logs).map_err(ExperimentError::io("create", &logs))?;
        let ports = free_ports(count)?;
        let mut nodes = Vec::new();
        for (index, (name, port)) in names(count).zip(ports).enumerate() {
            let listen = match network {
                Some(_) => format!("{}:{PORT}", address(index)),
                None => format!("127.0.0.1:{port}"),
            };
            let certificates = network.map(|(_, folder)| folder.join(&name));
            workload.fresh(&state_of(&name))?;
            let log = LogFile::new(logs.join(format!("{name}-0.log")));
            let (lives, running, tasks) = (0, None, Vec::new());
            let is_other = false;
            nodes.push(Node { name, listen, certificates, lives, running, log, tasks, is_other });
        }
        let network = network.map(|(network, _)| network);
        Ok(Self { workload, network, dataset, nodes, other: None })
    }

    pub(super) fn dataset(&self) -> &Path {
        &self.dataset
    }

    /// Starts a node, for the first time or again.
    ///
    /// # Errors
    ///
    /// It cannot be started.
    pub(super) fn start(&mut self, index: usize) -> Result<(), ExperimentError> {
        let listens: Vec<String> = self.nodes.iter().map(|node| node.listen.clone()).collect();
        let (workload, last) = (self.workload, self.workload.last_ledger().to_string());
        let Some(node) = self.nodes.get_mut(index) else { return Ok(()) };
        let data = workload.folder.join(format!("{}-state", state_of(&node.name)));
        let target = Target { dataset: self.dataset.clone(), data };
        let orrery = self.other.as_ref().filter(|_| node.is_other).unwrap_or(&workload.orrery).clone();
        let mut command = Workload { orrery, ..workload.clone() }.command(Mode::Run, &target);
        command.args(["--from", &FIRST_LEDGER.to_string(), "--to", &last]);
        command.args(["--name", &node.name, "--listen", &node.listen]);
        for listen in listens.iter().filter(|listen| **listen != node.listen) {
            command.args(["--join", listen]);
        }
        match &node.certificates {
            Some(folder) => command.arg("--certificates").arg(folder),
            None => command.arg("--insecure-loopback"),
        };
        let command = self
            .network
            .map_or_else(|| None, |network| Some(network.within(index, &command)))
            .unwrap_or(command);
        node.lives += 1;
        let path = node.log.path().with_file_name(format!("{}-{}.log", node.name, node.lives));
        node.log = LogFile::new(path.clone());
        node.tasks.clear();
        node.running = Some(Running::start_with_log(command, &path)?);
        Ok(())
    }

    /// From its next life on, a node is the other version of the program, or this one again. Gives what that says of itself.
    ///
    /// # Errors
    ///
    /// It says nothing.
    pub(super) fn replace(&mut self, index: usize) -> Result<String, ExperimentError> {
        let Some(node) = self.nodes.get_mut(index) else { return Ok(String::new()) };
        node.is_other = !node.is_other;
        let (which, orrery) = match &self.other {
            Some(other) if node.is_other => ("the other version", other),
            _ => ("this version", &self.workload.orrery),
        };
        let ended = Running::start(orrery.command(["--version"]))?.finish(UNDISTURBED_MAX)?;
        succeeded("orrery --version", &ended)?;
        Ok(format!("{which}, {}", ended.output.trim()))
    }

    /// Further lines of all logs.
    pub(super) fn read_logs(&mut self) -> Vec<(usize, Line)> {
        let mut lines = Vec::new();
        for (index, node) in self.nodes.iter_mut().enumerate() {
            for line in node.log.read() {
                if let Line::TaskBegins(last) = line {
                    node.tasks.push(last);
                }
                lines.push((index, line));
            }
        }
        lines
    }

    /// Sends a signal to a node, if it runs.
    pub(super) fn signal(&self, index: usize, signal: Signal) {
        if let Some(running) = self.nodes.get(index).and_then(|node| node.running.as_ref()) {
            running.signal(signal);
        }
    }

    /// Whether a node has ended, or was never started.
    pub(super) fn has_ended(&self, index: usize) -> bool {
        let running = self.nodes.get(index).and_then(|node| node.running.as_ref());
        running.is_none_or(|running| running.ends_within(Duration::ZERO))
    }

    /// How a node ends within this time; after it, it is killed. `None` if it does not run.
    ///
    /// # Errors
    ///
    /// The system cannot say how it ended.
    pub(super) fn finish(
        &mut self,
        index: usize,
        within: Duration,
    ) -> Result<Option<Ended>, ExperimentError> {
        let running = self.nodes.get_mut(index).and_then(|node| node.running.take());
        running.map(|running| running.finish(within)).transpose()
    }

    /// A sentence about how a node ended that should not have, with its last lines.
    pub(super) fn ended_badly(&self, index: usize, when: &str, ended: &Ended) -> String {
        let name = self.nodes.get(index).map_or("", |node| node.name.as_str());
        let lines: Vec<&str> = ended.output.lines().collect();
        let told = lines.get(lines.len().saturating_sub(LINES_TOLD)..).unwrap_or_default().join("\n");
        format!("node {name} ended {when}: {}\n{told}", ended.status)
    }
}

fn names(count: usize) -> impl Iterator<Item = String> {
    ('a'..='z').take(count).map(String::from)
}

fn state_of(name: &str) -> String {
    format!("disturbed-{name}")
}

/// Ports that nobody has now, for TCP and UDP alike.
fn free_ports(count: usize) -> Result<Vec<u16>, ExperimentError> {
    let failed = || ExperimentError::io("find a free port of", Path::new("127.0.0.1"));
    let mut held = Vec::new();
    while held.len() < count {
        let stream = TcpListener::bind("127.0.0.1:0").map_err(failed())?;
        let address = stream.local_addr().map_err(failed())?;
        if let Ok(datagrams) = UdpSocket::bind(address) {
            held.push((address.port(), stream, datagrams));
        }
    }
    Ok(held.into_iter().map(|(port, ..)| port).collect())
}
