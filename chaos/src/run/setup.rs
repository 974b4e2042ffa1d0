//! How a world is started, before a fault has changed it.

use std::ffi::OsString;
use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::experiment::ExperimentError;
use crate::process::{Orrery, Running};
use crate::workload::{FIRST_LEDGER, succeeded, url};

/// How long it may take to make a certificate.
const CERTIFIES_WITHIN: Duration = Duration::from_secs(60);

/// Ledgers of a slot: few, so that much is committed in a short time.
const SLOT_LEDGERS: u32 = 4;

/// Ledgers of a dataset: those that are there at the beginning, half a minute of a growing lake, and a rest that comes at once.
const LEDGERS: u32 = 398;
const HISTORY: u32 = 38;

/// Ledgers a second: some slots, so that a fault of seconds meets work.
const RATE: f64 = 10.0;

/// How the world is started and how long everything may take.
#[derive(Clone, Debug)]
pub struct Setup {
    /// The program under test.
    pub orrery: Orrery,
    /// Where all of this world is.
    pub folder: PathBuf,
    /// The lake that grows, a folder, whoever serves it.
    pub lake: PathBuf,
    /// Sources of the node in order of preference, as URLs; none: the lake as a folder.
    pub sources: Vec<String>,
    /// URL of the dataset, if it is no folder.
    pub dataset_url: Option<String>,
    /// The files of the dataset, which are compared in the end: those of the folder, or those that a server keeps.
    pub dataset: PathBuf,
    /// What the node keeps for itself.
    pub state: PathBuf,
    /// The node serves here.
    pub address: SocketAddr,
    /// More environment of the node.
    pub environment: Vec<(OsString, OsString)>,
    /// A command that the node's is appended to, as `strace -f`; none: it is started itself.
    pub wrapper: Vec<OsString>,
    /// More arguments of `orrery run`.
    pub arguments: Vec<OsString>,
    /// The node's configuration file, as TOML.
    pub configuration: String,
    /// Seed of the ledgers.
    pub seed: u64,
    /// Ledgers in all.
    pub ledgers: u32,
    /// Of these, there from the beginning.
    pub history: u32,
    /// Ledgers a second that appear then.
    pub rate: f64,
    /// Ledgers of a slot.
    pub slot_ledgers: u32,
    /// How long the fault lasts once it has shown itself.
    pub holds: Duration,
    /// The fault must show itself within this.
    pub witness_within: Duration,
    /// After the fault everything must be done and read within this.
    pub lives_within: Duration,
    /// What becomes of the node.
    pub ending: Ending,
}

/// What has to become of a node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    /// It serves before the fault, goes on after it, stops when it is told to with 0, and its dataset and events are those of
    /// an undisturbed one.
    Whole,
    /// The fault starts the node if there is to be one, and says itself what is wrong in the end: for what must be refused,
    /// where there is no dataset to compare.
    AsFaultSays,
}

impl Setup {
    /// A folder as source, and a folder as dataset.
    ///
    /// # Errors
    ///
    /// No port is free.
    pub fn new(orrery: &Orrery, folder: &Path, seed: u64) -> Result<Self, ExperimentError> {
        Ok(Self {
            orrery: orrery.clone(),
            folder: folder.to_owned(),
            lake: folder.join("live"),
            sources: Vec::new(),
            dataset_url: None,
            dataset: folder.join("dataset"),
            state: folder.join("state"),
            address: free_address()?,
            environment: Vec::new(),
            wrapper: Vec::new(),
            arguments: Vec::new(),
            configuration: String::new(),
            seed,
            ledgers: LEDGERS,
            history: HISTORY,
            rate: RATE,
            slot_ledgers: SLOT_LEDGERS,
            holds: Duration::from_secs(3),
            witness_within: Duration::from_secs(30),
            lives_within: Duration::from_secs(60),
            ending: Ending::Whole,
        })
    }

    /// Sets a variable of the node's environment.
    pub fn set(&mut self, name: &str, value: impl Into<OsString>) {
        self.environment.push((name.into(), value.into()));
    }

    /// Makes an authority, and has the node listen for its cluster with a certificate of this name; `others` have one too. The
    /// address, and the folder with all certificates.
    ///
    /// # Errors
    ///
    /// The program under test cannot make them.
    pub fn certify(&mut self, name: &str, others: &[&str]) -> Result<(String, PathBuf), ExperimentError> {
        let authority = self.folder.join("authority");
        let folder = authority.display().to_string();
        let run = |words: &[&str]| {
            let ended = Running::start(self.orrery.command(words))?.finish(CERTIFIES_WITHIN)?;
            succeeded("orrery certs", &ended)
        };
        run(&["certs", "init", "--dir", &folder, "--cluster", "chaos"])?;
        for name in [name].iter().chain(others) {
            run(&["certs", "issue", "--dir", &folder, name])?;
        }
        let listen = free_address()?.to_string();
        let certificates = authority.join(name).into_os_string();
        self.arguments.extend(["--name".into(), name.into(), "--listen".into(), listen.clone().into()]);
        self.arguments.extend(["--certificates".into(), certificates]);
        Ok((listen, authority))
    }

    /// URL of the dataset.
    pub fn dataset_url(&self) -> String {
        self.dataset_url.clone().unwrap_or_else(|| url(&self.dataset))
    }

    /// URLs of the sources.
    pub fn sources(&self) -> Vec<String> {
        match self.sources.as_slice() {
            [] => vec![url(&self.lake)],
            sources => sources.to_vec(),
        }
    }

    /// The last ledger of all.
    pub const fn last_ledger(&self) -> u32 {
        FIRST_LEDGER + self.ledgers - 1
    }

    /// The last ledger of a slot of this number; the first slot with ledgers has number 1.
    pub const fn last_of_slot(&self, slot: u32) -> u32 {
        (FIRST_LEDGER / self.slot_ledgers + slot) * self.slot_ledgers - 1
    }
}

/// An address of this machine whose port nobody has now.
///
/// # Errors
///
/// There is none.
pub fn free_address() -> Result<SocketAddr, ExperimentError> {
    let bound = TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr());
    bound.map_err(ExperimentError::io("find a free port of", Path::new("127.0.0.1")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_slot_is_a_whole_one() {
        let last = FIRST_LEDGER + LEDGERS - 1;
        assert_eq!((last + 1) % SLOT_LEDGERS, 0);
        assert_eq!((FIRST_LEDGER + HISTORY) % SLOT_LEDGERS, 0);
    }
}
