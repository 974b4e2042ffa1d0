//! A region: some nodes and a store, in a namespace of their own.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use nix::sys::signal::Signal;

use super::RegionsSettings;
use super::store::{RegionStore, status};
use crate::experiment::ExperimentError;
use crate::network::{Network, address};
use crate::process::{Ended, Running};
use crate::workload::{FIRST_LEDGER, UNDISTURBED_MAX, remove, succeeded, url};

/// Ports of the first node; the next ones follow.
const PORT: u16 = 7100;
const HTTP_PORT: u16 = 9464;

/// How long an answer may take.
const ANSWERS_WITHIN: Duration = Duration::from_millis(500);

/// Seconds for which a region must be well before traffic comes back: as few as make sense where one is lost all the time.
const STABLE_SECONDS: u32 = 5;

/// One region.
#[derive(Debug)]
pub(super) struct Region {
    pub(super) name: String,
    index: usize,
    folder: PathBuf,
    pub(super) store: RegionStore,
    nodes: Vec<Option<Running>>,
    lives: u32,
}

/// Name of the region with this number.
pub(super) fn name_of(index: usize) -> String {
    format!("region-{}", index + 1)
}

impl Region {
    /// One with certificates and a configuration that names its peers. Nothing of it runs yet.
    ///
    /// # Errors
    ///
    /// The file system refuses, or `orrery certs` fails.
    pub(super) fn new(settings: &RegionsSettings, index: usize) -> Result<Self, ExperimentError> {
        let (name, workload) = (name_of(index), &settings.workload);
        let folder = workload.folder.join(&name);
        remove(&folder)?;
        fs::create_dir_all(&folder).map_err(ExperimentError::io("create", &folder))?;
        let authority = folder.join("authority").display().to_string();
        let call = |words: &[&str]| {
            let ended = Running::start(workload.orrery.command(words))?.finish(UNDISTURBED_MAX)?;
            succeeded("orrery certs", &ended)
        };
        call(&["certs", "init", "--dir", &authority, "--cluster", &name])?;
        for node in 0..settings.nodes {
            call(&["certs", "issue", "--dir", &authority, &node_name(index, node)])?;
        }
        let config = folder.join("orrery.toml");
        fs::write(&config, configuration(settings, index)).map_err(ExperimentError::io("write", &config))?;
        let store =
            RegionStore::new(settings.store.clone(), index, folder.join("store"), folder.join("store.log"));
        let nodes = (0..settings.nodes).map(|_| None).collect();
        Ok(Self { name, index, folder, store, nodes, lives: 0 })
    }

    /// URL of the feed of its first node.
    pub(super) fn server(&self) -> String {
        format!("http://{}:{HTTP_PORT}", address(self.index))
    }

    /// Starts its nodes, in a further life. Its store has to be there.
    ///
    /// # Errors
    ///
    /// One cannot be started.
    pub(super) fn start(
        &mut self,
        settings: &RegionsSettings,
        network: &Network,
        lake: &Path,
    ) -> Result<(), ExperimentError> {
        self.lives += 1;
        let ip = address(self.index);
        let grid = format!("{FIRST_LEDGER}:{}", settings.workload.slot_ledgers);
        for (number, running) in self.nodes.iter_mut().enumerate() {
            let name = node_name(self.index, number);
            let offset = u16::try_from(number).unwrap_or(u16::MAX);
            let mut command = settings.workload.orrery.command(["run", "--config"]);
            command.arg(self.folder.join("orrery.toml"));
            command.args(["--name", &name, "--listen", &format!("{ip}:{}", PORT + offset)]);
            command.args(["--http", &format!("{ip}:{}", HTTP_PORT + offset)]);
            command.arg("--certificates").arg(self.folder.join("authority").join(&name));
            command.args(["--source", &url(lake), "--dataset", &self.store.dataset()]);
            command.args(["--from", &FIRST_LEDGER.to_string(), "--grid", &grid]);
            command.arg("--data-dir").arg(self.folder.join(format!("{name}-state")));
            for other in (0..offset).chain(offset + 1..u16::try_from(settings.nodes).unwrap_or(u16::MAX)) {
                command.args(["--join", &format!("{ip}:{}", PORT + other)]);
            }
            self.store.grant(&mut command);
            let log = self.folder.join(format!("{name}-{}.log", self.lives));
            *running = Some(Running::start_with_log(network.within(self.index, &command), &log)?);
        }
        Ok(())
    }

    /// Sends a signal to all of its nodes.
    pub(super) fn signal(&self, signal: Signal) {
        self.nodes.iter().flatten().for_each(|running| running.signal(signal));
    }

    /// Kills its nodes and its store.
    ///
    /// # Errors
    ///
    /// The system cannot say how one ended.
    pub(super) fn kill(&mut self) -> Result<(), ExperimentError> {
        for running in self.nodes.iter_mut().filter_map(Option::take) {
            running.kill()?;
        }
        self.store.kill()
    }

    /// Removes what its store and its nodes keep. Nothing of it may run.
    ///
    /// # Errors
    ///
    /// The file system refuses.
    pub(super) fn empty(&self) -> Result<(), ExperimentError> {
        self.store.empty()?;
        (0..self.nodes.len())
            .try_for_each(|node| remove(&self.folder.join(format!("{}-state", node_name(self.index, node)))))
    }

    /// Tells its nodes to stop, and says how those ended that did so by themselves before or badly.
    ///
    /// # Errors
    ///
    /// The system cannot say how one ended.
    pub(super) fn stop(&mut self, within: Duration) -> Result<Vec<Ended>, ExperimentError> {
        self.signal(Signal::SIGTERM);
        let ended = self.nodes.iter_mut().filter_map(Option::take).map(|running| running.finish(within));
        let ended: Vec<Ended> = ended.collect::<Result<_, _>>()?;
        Ok(ended.into_iter().filter(|ended| !ended.status.success()).collect())
    }

    /// Whether a node has ended that nobody told to.
    pub(super) fn has_ended(&self) -> bool {
        self.nodes.iter().flatten().any(|running| running.ends_within(Duration::ZERO))
    }

    /// What its first node printed last.
    pub(super) fn output(&self) -> String {
        self.nodes.iter().flatten().next().map(Running::output).unwrap_or_default()
    }

    /// Whether it says that it has traffic; `false` if it does not answer.
    pub(super) fn has_traffic(&self, network: &Network) -> bool {
        let stream = network.connect(self.index, HTTP_PORT, ANSWERS_WITHIN);
        let host = address(self.index);
        stream.ok().and_then(|stream| status(stream, "GET", "/healthz/traffic", &host, "")) == Some(200)
    }
}

fn node_name(region: usize, node: usize) -> String {
    format!("{}-{}", name_of(region), ('a'..='z').nth(node).unwrap_or('z'))
}

/// The configuration of every node of a region: whoever comes first has the lower priority.
fn configuration(settings: &RegionsSettings, index: usize) -> String {
    let (name, priority) = (name_of(index), index + 1);
    let mut text = format!(
        "[http]\nanonymous = \"viewer\"\n\n[region]\nname = \"{name}\"\npriority = {priority}\nstable_seconds = {STABLE_SECONDS}\n"
    );
    for peer in (0..settings.regions).filter(|peer| *peer != index) {
        let nodes = 0..u16::try_from(settings.nodes).unwrap_or(u16::MAX);
        let addresses: Vec<_> = nodes.map(|node| format!("\"{}:{}\"", address(peer), PORT + node)).collect();
        let authority = settings.workload.folder.join(name_of(peer)).join("authority/ca.pem");
        text.push_str(&format!(
            "\n[[region.peers]]\nname = \"{}\"\naddresses = [{}]\nauthority = \"{}\"\nmode = \"{}\"\n",
            name_of(peer),
            addresses.join(", "),
            authority.display(),
            settings.mode
        ));
    }
    text
}
