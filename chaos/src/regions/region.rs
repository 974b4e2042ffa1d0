//! A region: some nodes and a store, in a namespace of their own.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use nix::sys::signal::Signal;
use serde_json::Value;

use super::RegionsSettings;
use super::http::{body, status};
use super::store::RegionStore;
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

/// In a region's folder: all that its store keeps, and an earlier copy of that and of what its nodes keep.
const STORE: &str = "store";
const OLD_DISKS: &str = "old-disks";

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
            RegionStore::new(settings.store.clone(), index, folder.join(STORE), folder.join("store.log"));
        let nodes = (0..settings.nodes).map(|_| None).collect();
        Ok(Self { name, index, folder, store, nodes, lives: 0 })
    }

    /// URLs of the feeds of its nodes.
    pub(super) fn servers(&self) -> Vec<String> {
        let ports = (HTTP_PORT..).take(self.nodes.len());
        ports.map(|port| format!("http://{}:{port}", address(self.index))).collect()
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
            if !settings.copies(self.index) {
                command.args(["--source", &url(lake)]);
            }
            command.args(["--dataset", &self.store.dataset()]);
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

    /// Sends a signal to all of its nodes and its store.
    pub(super) fn signal_all(&self, signal: Signal) {
        self.signal(signal);
        self.store.signal(signal);
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

    /// Folders of its store and of what its nodes keep.
    fn disks(&self) -> Vec<PathBuf> {
        let states = (0..self.nodes.len()).map(|node| format!("{}-state", node_name(self.index, node)));
        states.chain([STORE.to_owned()]).map(|name| self.folder.join(name)).collect()
    }

    /// Removes what its store and its nodes keep. Nothing of it may run.
    ///
    /// # Errors
    ///
    /// The file system refuses.
    pub(super) fn empty(&self) -> Result<(), ExperimentError> {
        self.disks().iter().try_for_each(|disk| remove(disk))
    }

    /// Copies all of its disks, in place of an earlier copy. Nothing of it may run.
    ///
    /// # Errors
    ///
    /// The file system refuses.
    pub(super) fn copy_disks(&self) -> Result<(), ExperimentError> {
        let copy = self.folder.join(OLD_DISKS);
        remove(&copy)?;
        fs::create_dir_all(&copy).map_err(ExperimentError::io("create", &copy))?;
        self.disks().iter().try_for_each(|disk| copy_into(disk, &copy))
    }

    /// Puts the copy of its disks in their place. Nothing of it may run.
    ///
    /// # Errors
    ///
    /// The file system refuses.
    pub(super) fn put_old_disks(&self) -> Result<(), ExperimentError> {
        self.empty()?;
        let names = self.disks().into_iter().filter_map(|disk| disk.file_name().map(ToOwned::to_owned));
        names
            .into_iter()
            .try_for_each(|name| copy_into(&self.folder.join(OLD_DISKS).join(name), &self.folder))
    }

    /// Sets its store aside, to begin anew. Nothing of it may run.
    ///
    /// # Errors
    ///
    /// The file system refuses.
    pub(super) fn set_store_aside(&self) -> Result<(), ExperimentError> {
        let (store, aside) = (self.folder.join(STORE), self.folder.join("store-aside"));
        remove(&aside)?;
        fs::rename(&store, &aside).map_err(ExperimentError::io("rename", &store))
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

    /// Whether one of its nodes says that it has traffic.
    pub(super) fn has_traffic(&self, network: &Network) -> bool {
        let asks = |port| {
            let stream = network.connect(self.index, port, ANSWERS_WITHIN).ok()?;
            status(stream, "GET", "/healthz/traffic", &address(self.index), "")
        };
        (HTTP_PORT..).take(self.nodes.len()).any(|port| asks(port) == Some(200))
    }

    /// What a node of it answers, the first that does, as JSON: `/readyz` or `/v1/regions`.
    pub(super) fn ask(&self, network: &Network, path: &str) -> Option<Value> {
        let asks = |port| {
            let stream = network.connect(self.index, port, ANSWERS_WITHIN).ok()?;
            serde_json::from_slice(&body(stream, path, &address(self.index))?).ok()
        };
        (HTTP_PORT..).take(self.nodes.len()).find_map(asks)
    }

    /// A command of an operator to its cluster.
    pub(super) fn command(&self, settings: &RegionsSettings, network: &Network, words: &[&str]) -> Command {
        let mut command = settings.workload.orrery.command(words);
        command.args(["--cluster", &format!("{}:{PORT}", address(self.index))]);
        command.arg("--certificates").arg(self.folder.join("authority").join(node_name(self.index, 0)));
        network.within(self.index, &command)
    }
}

/// A copy of a folder with all that is in it, in another one; nothing, if it is not there.
fn copy_into(folder: &Path, place: &Path) -> Result<(), ExperimentError> {
    if !folder.exists() {
        return Ok(());
    }
    let status = Command::new("cp").arg("-a").arg(folder).arg(place).status();
    match status.map_err(ExperimentError::io("copy", folder))? {
        status if status.success() => Ok(()),
        status => Err(ExperimentError::io("copy", folder)(std::io::Error::other(status.to_string()))),
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
            "\n[[region.peers]]\nname = \"{}\"\naddresses = [{}]\nauthority = \"{}\"\nmode = \"{}\"\nmib_per_second = {}\n",
            name_of(peer),
            addresses.join(", "),
            authority.display(),
            settings.mode_of(index),
            settings.mib_per_second
        ));
    }
    text
}
