//! What is there before the first user comes: a dataset of made-up ledgers, what the oracle says of them, and a node that serves
//! them and goes on with new ones.

use std::fs::{self, File};
use std::io::{self, BufWriter, Write};
use std::path::PathBuf;
use std::thread;
use std::time::Duration;

use orrery_actors::source::synthetic::{LEDGERS_MAX, SyntheticSpec};

use super::ProfileSettings;
use super::contents::{Contents, Oracle};
use crate::experiment::ExperimentError;
use crate::load::server::Server;
use crate::process::Running;
use crate::workload::{FIRST_LEDGER, Workload, remove, succeeded, url};

/// Ledgers of a slot, as a backfill makes them; of fewer ledgers than that, as a node makes them that follows a network.
const BACKFILL_SLOT: u32 = 1024;
const LIVE_SLOT: u32 = 16;

/// How long it may take to make all ledgers.
const MADE_WITHIN: Duration = Duration::from_secs(1800);

/// What was made.
pub(super) struct Stock {
    pub(super) contents: Contents,
    /// Goes on with the ledgers that come.
    pub(super) oracle: Oracle,
    /// JSON of the contents, for the process of users.
    pub(super) file: PathBuf,
}

/// So many ledgers, or a few more, so that the last slot is whole.
pub(super) fn whole_slots(ledgers: u32) -> (u32, u32) {
    let slot = if ledgers + FIRST_LEDGER >= BACKFILL_SLOT { BACKFILL_SLOT } else { LIVE_SLOT };
    (Workload::whole_slots(ledgers, slot), slot)
}

fn source(settings: &ProfileSettings) -> String {
    let ProfileSettings { seed, density, .. } = settings;
    format!("seed={seed}&density={density}")
}

/// The dataset, and beside it what the oracle says.
///
/// # Errors
///
/// `orrery backfill` fails, or the file system refuses.
pub(super) fn make(settings: &ProfileSettings) -> Result<Stock, ExperimentError> {
    let (ledgers, slot) = whole_slots(settings.ledgers);
    let spec = format!("{}&ledgers={LEDGERS_MAX}", source(settings));
    let spec = SyntheticSpec::from_query(&spec)
        .map_err(|error| ExperimentError::Usage(format!("--density: {error}")))?;
    let folder = &settings.folder;
    for name in ["dataset", "state"] {
        remove(&folder.join(name))?;
    }
    let mut command = settings.orrery.command(["backfill", "--source"]);
    command.arg(format!("synthetic:?{}&ledgers={ledgers}", source(settings)));
    command.args(["--dataset", &url(&folder.join("dataset"))]);
    command.args(["--grid", &format!("{FIRST_LEDGER}:{slot}")]);
    if slot > LIVE_SLOT {
        command.args(["--grid", &format!("{}:{LIVE_SLOT}", FIRST_LEDGER + ledgers)]);
    }
    command.arg("--data-dir").arg(folder.join("state")).current_dir(folder);
    let running = Running::start(command)?;
    // Both take a processor for some seconds.
    let counted = thread::scope(|scope| {
        let oracle = scope.spawn(|| {
            let mut oracle = Oracle::new(&spec);
            (oracle.contents(ledgers), oracle)
        });
        succeeded("orrery backfill", &running.finish(MADE_WITHIN)?)?;
        let ended = |_| ExperimentError::Usage("the simulation of ledgers ended badly".to_owned());
        oracle.join().map_err(ended)
    });
    let (contents, oracle) = counted?;
    let file = folder.join("contents.json");
    let write = || -> io::Result<()> {
        let mut out = BufWriter::new(File::create(&file)?);
        serde_json::to_writer(&mut out, &contents)?;
        out.flush()
    };
    write().map_err(ExperimentError::io("write", &file))?;
    Ok(Stock { contents, oracle, file })
}

/// A node that serves the dataset and adds a new ledger every now and then; it has added the first.
///
/// # Errors
///
/// It does not start.
pub(super) fn serve(settings: &ProfileSettings, stock: &Stock) -> Result<Server, ExperimentError> {
    let folder = &settings.folder;
    let config = folder.join("orrery.toml");
    // An export's user has one connection, a mixed one two; and room for those that come before others have gone.
    let connections = 3 * settings.users.sum() + 64;
    let text = format!("[http]\nconnections_max = {connections}\n");
    fs::write(&config, text).map_err(ExperimentError::io("write", &config))?;
    let mut command = settings.orrery.command(["run", "--http", "127.0.0.1:0", "--source"]);
    command.arg(format!("synthetic:?{}&rate={}&ledgers={LEDGERS_MAX}", source(settings), settings.rate));
    command.arg("--config").arg(&config).args(["--dataset", &url(&folder.join("dataset"))]);
    command.arg("--data-dir").arg(folder.join("state")).current_dir(folder);
    Server::begin(command, stock.contents.last() + 1)
}
