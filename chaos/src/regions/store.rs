//! Where a region's dataset is: a folder, or a real S3 server of its own that is killed with the region.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use nix::sys::signal::Signal;

use super::http::{body, status};
use crate::experiment::ExperimentError;
use crate::network::{Network, address};
use crate::process::Running;
use crate::workload::url;

/// Ports of the first region's server, of experiments that run beside each other. Each region has others, though each is alone
/// in its namespace: sockets in the file system are called after them, by which one server would find the data of another.
const S3_PORT: u16 = 10_000;
const FILER_PORT: u16 = S3_PORT + REGIONS;
const MASTER_PORT: u16 = FILER_PORT + REGIONS;
const VOLUME_PORT: u16 = MASTER_PORT + REGIONS;
const ADMIN_PORT: u16 = VOLUME_PORT + REGIONS;

/// Regions with ports of their own, ports for one experiment, and experiments that have their own: each port is used 10,000
/// higher too, and all are below those that the system gives to whoever connects (32,768 and above).
const REGIONS: u16 = 8;
const PORTS: u16 = 5 * REGIONS;
const EXPERIMENTS: u32 = 250;

/// Who may write.
const KEYS: [(&str, &str); 2] = [("AWS_ACCESS_KEY_ID", "key"), ("AWS_SECRET_ACCESS_KEY", "secret")];

/// How long an answer may take.
const ANSWERS_WITHIN: Duration = Duration::from_secs(2);

/// What kind of store each region has.
#[derive(Clone, Debug)]
pub enum StoreKind {
    /// A folder, which nothing kills.
    Folder,
    /// SeaweedFS, by its program `weed`.
    SeaweedFs(PathBuf),
}

/// The store of a region.
#[derive(Debug)]
pub(super) struct RegionStore {
    kind: StoreKind,
    region: usize,
    folder: PathBuf,
    log: PathBuf,
    running: Option<Running>,
}

impl RegionStore {
    /// That of region `region`, with all that it keeps in `folder`. It does not run yet.
    pub(super) fn new(kind: StoreKind, region: usize, folder: PathBuf, log: PathBuf) -> Self {
        Self { kind, region, folder, log, running: None }
    }

    /// URL of the dataset.
    pub(super) fn dataset(&self) -> String {
        match &self.kind {
            StoreKind::Folder => url(&self.folder),
            StoreKind::SeaweedFs(_) => {
                let (address, port) = (address(self.region), self.port(S3_PORT));
                format!("s3://region/set?endpoint=http://{address}:{port}&region=us-east-1")
            }
        }
    }

    fn port(&self, first: u16) -> u16 {
        let experiment = u16::try_from(std::process::id() % EXPERIMENTS).unwrap_or_default();
        first + experiment * PORTS + u16::try_from(self.region).unwrap_or_default() % REGIONS
    }

    /// The folder of the dataset, where it is one.
    pub(super) fn files(&self) -> Option<&Path> {
        matches!(self.kind, StoreKind::Folder).then_some(self.folder.as_path())
    }

    /// Lets a command write to it.
    pub(super) fn grant(&self, command: &mut Command) {
        if matches!(self.kind, StoreKind::SeaweedFs(_)) {
            command.envs(KEYS);
        }
    }

    /// Starts it, if it is something that runs.
    ///
    /// # Errors
    ///
    /// It cannot be started.
    pub(super) fn start(&mut self, network: &Network) -> Result<(), ExperimentError> {
        let StoreKind::SeaweedFs(weed) = &self.kind else { return Ok(()) };
        std::fs::create_dir_all(&self.folder).map_err(ExperimentError::io("create", &self.folder))?;
        let ip = address(self.region);
        let mut command = Command::new(weed);
        command.args([
            "mini",
            "-bucket=region",
            "-webdav=false",
            "-admin.ui=false",
            "-master.telemetry=false",
        ]);
        command.arg(format!("-ip={ip}")).arg(format!("-ip.bind={ip}"));
        command
            .arg(format!("-s3.port={}", self.port(S3_PORT)))
            .arg(format!("-filer.port={}", self.port(FILER_PORT)))
            .arg(format!("-master.port={}", self.port(MASTER_PORT)))
            .arg(format!("-volume.port={}", self.port(VOLUME_PORT)))
            .arg(format!("-admin.port={}", self.port(ADMIN_PORT)));
        // Numbers of objects that are not given twice when the server is killed.
        command.env("WEED_MASTER_SEQUENCER_TYPE", "snowflake");
        command.arg(format!("-dir={}", self.folder.display())).envs(KEYS);
        self.running = Some(Running::start_with_log(network.within(self.region, &command), &self.log)?);
        Ok(())
    }

    /// Whether it has its bucket and takes objects, which one that was killed does some seconds after it answers. The program
    /// makes a bucket too, but not where it starts too slowly.
    pub(super) fn is_there(&self, network: &Network) -> bool {
        if matches!(self.kind, StoreKind::Folder) {
            return true;
        }
        let asks = |method: &str, path: &str, body: &str| {
            let stream = network.connect(self.region, self.port(FILER_PORT), ANSWERS_WITHIN).ok()?;
            status(stream, method, path, &address(self.region), body)
        };
        let bucket = |method| asks(method, "/buckets/region/?limit=1", "");
        let listens = network.connect(self.region, self.port(S3_PORT), ANSWERS_WITHIN).is_ok();
        let has_bucket =
            || bucket("GET") == Some(200) || bucket("POST") == Some(201) && bucket("GET") == Some(200);
        listens && has_bucket() && asks("PUT", "/probe", "x") == Some(201)
    }

    /// Kills it, if it runs.
    ///
    /// # Errors
    ///
    /// The system cannot say how it ended.
    pub(super) fn kill(&mut self) -> Result<(), ExperimentError> {
        self.running.take().map_or(Ok(()), |running| running.kill().map(drop))
    }

    /// Sends it a signal, if it runs.
    pub(super) fn signal(&self, signal: Signal) {
        self.running.iter().for_each(|running| running.signal(signal));
    }

    /// An object of the dataset, if it is there. It has to run.
    pub(super) fn read(&self, network: &Network, name: &str) -> Option<Vec<u8>> {
        if let Some(files) = self.files() {
            return std::fs::read(files.join(name)).ok();
        }
        let stream = network.connect(self.region, self.port(FILER_PORT), ANSWERS_WITHIN).ok()?;
        body(stream, &format!("/buckets/region/set/{name}"), &address(self.region))
    }

    /// Puts other bytes in the place of an object, as a hand or a disk might. It has to run.
    ///
    /// # Errors
    ///
    /// It does not take them.
    pub(super) fn replace(&self, network: &Network, name: &str, bytes: &str) -> Result<(), ExperimentError> {
        if let Some(files) = self.files() {
            let path = files.join(name);
            crate::workload::remove_file(&path)?;
            return std::fs::write(&path, bytes).map_err(ExperimentError::io("write", &path));
        }
        let stream = network.connect(self.region, self.port(FILER_PORT), ANSWERS_WITHIN);
        let path = format!("/buckets/region/set/{name}");
        let put = stream.ok().and_then(|stream| status(stream, "PUT", &path, &address(self.region), bytes));
        match put {
            Some(200 | 201) => Ok(()),
            put => Err(ExperimentError::io("replace", Path::new(&path))(std::io::Error::other(format!(
                "the store answers {put:?}"
            )))),
        }
    }
}
