//! Faults of what is stored already: flipped bits, exchanged, deleted and overwritten files, of a folder or behind a server's
//! back. `orrery scrub` must find all of it, and mend it from the ledgers.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::store::on_server;
use crate::Random;
use crate::experiment::ExperimentError;
use crate::judges::dataset::TABLES;
use crate::process::{Ended, Running};
use crate::run::fault::Fault;
use crate::run::setup::Setup;
use crate::run::world::World;
use crate::stubs::s3::S3Stub;
use crate::workload::{remove, url};

/// Time for a scrub of a small dataset.
const SCRUBS_WITHIN: Duration = Duration::from_secs(120);

/// What `scrub` exits with that found damage, and repaired nothing.
const FOUND: i32 = 1;

/// What is done to stored files.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Damage {
    /// One bit of a data file is another.
    Rot,
    /// Two data files, both whole, have each other's names.
    Exchange,
    /// A data file is gone, and another one's content is somebody else's.
    Intruder,
    /// A slot of the log is overwritten with another one's content.
    Log,
}

/// O8, O12, D6 and D7.
#[derive(Debug)]
pub(in crate::run) struct Stored {
    damage: Damage,
    is_on_server: bool,
    stub: Option<S3Stub>,
    /// Files that are not what they were.
    damaged: Vec<(PathBuf, Option<Vec<u8>>)>,
    problems: Vec<String>,
}

impl Stored {
    const fn new(damage: Damage, is_on_server: bool) -> Self {
        Self { damage, is_on_server, stub: None, damaged: Vec::new(), problems: Vec::new() }
    }

    /// O8.
    pub(in crate::run) const fn rots_in_store() -> Self {
        Self::new(Damage::Rot, true)
    }

    /// O12.
    pub(in crate::run) const fn has_intruder() -> Self {
        Self::new(Damage::Intruder, true)
    }

    /// O12, in the log.
    pub(in crate::run) const fn has_intruder_in_log() -> Self {
        Self::new(Damage::Log, true)
    }

    /// D6.
    pub(in crate::run) const fn rots_on_disk() -> Self {
        Self::new(Damage::Rot, false)
    }

    /// D7.
    pub(in crate::run) const fn is_misplaced() -> Self {
        Self::new(Damage::Exchange, false)
    }

    /// What was damaged is kept beside the tables, until somebody has looked at it; here that is now.
    fn take_evidence(&mut self, dataset: &Path) -> Result<(), ExperimentError> {
        let mut kept = Vec::new();
        for table in TABLES {
            let folder = dataset.join(table).join("_quarantine");
            for object in entries(&folder).iter().flat_map(|object| entries(object)) {
                kept.push(fs::read(&object).map_err(ExperimentError::io("read", &object))?);
            }
            remove(&folder)?;
        }
        let lost = self.damaged.iter().filter_map(|(file, bytes)| Some((file, bytes.as_ref()?)));
        let lost = lost.filter(|(_, bytes)| !kept.contains(bytes));
        self.problems.extend(lost.map(|(file, _)| format!("no evidence is kept of {}", file.display())));
        Ok(())
    }

    /// Puts `bytes` in place of a file, or nothing.
    fn replace(&mut self, file: PathBuf, bytes: Option<Vec<u8>>) -> Result<(), ExperimentError> {
        let done = match &bytes {
            Some(bytes) => fs::write(&file, bytes),
            None => fs::remove_file(&file),
        };
        done.map_err(ExperimentError::io("damage", &file))?;
        self.damaged.push((file, bytes));
        Ok(())
    }
}

impl Fault for Stored {
    fn prepare(&mut self, setup: &mut Setup) -> Result<(), ExperimentError> {
        if self.is_on_server {
            self.stub = Some(on_server(setup)?);
        }
        setup.lives_within = SCRUBS_WITHIN;
        Ok(())
    }

    fn inject(&mut self, world: &mut World, random: &mut Random) -> Result<(), ExperimentError> {
        let root = world.setup.dataset.clone();
        let table = root.join(TABLES[random.below(TABLES.len())]);
        let mut files = match self.damage {
            Damage::Log => slots(&table),
            _ => data_files(&table),
        };
        if files.len() < 4 {
            return Err(ExperimentError::Skipped("the dataset has too few files to damage".to_owned()));
        }
        let one = files.swap_remove(random.below(files.len()));
        let other = files.swap_remove(random.below(files.len()));
        let read = |file: &Path| fs::read(file).map_err(ExperimentError::io("read", file));
        let (mut bytes, others) = (read(&one)?, read(&other)?);
        match self.damage {
            Damage::Rot => {
                let at = random.below(bytes.len());
                bytes.iter_mut().skip(at).take(1).for_each(|byte| *byte ^= 1 << random.below(8));
                self.replace(one, Some(bytes))
            }
            Damage::Exchange => {
                self.replace(one, Some(others))?;
                self.replace(other, Some(bytes))
            }
            Damage::Intruder => {
                self.replace(one, None)?;
                self.replace(other, Some(b"somebody else's".to_vec()))
            }
            Damage::Log => self.replace(one, Some(others)),
        }
    }

    fn witness(&mut self, _: &mut World) -> Option<String> {
        let is_so = |(file, bytes): &(PathBuf, Option<Vec<u8>>)| fs::read(file).ok() == *bytes;
        let names: Vec<_> = self
            .damaged
            .iter()
            .filter_map(|(file, _)| file.file_name())
            .map(|name| name.to_string_lossy())
            .collect();
        (!names.is_empty() && self.damaged.iter().all(is_so))
            .then(|| format!("changed or gone: {}", names.join(", ")))
    }

    fn heal(&mut self, world: &mut World) -> Result<(), ExperimentError> {
        let found = scrub(world, false)?;
        let code = found.status.code();
        if code != Some(FOUND) {
            self.problems.push(format!("scrub ended with {code:?}, not {FOUND}: {}", found.output));
        }
        for (file, _) in &self.damaged {
            let name = file.file_name().unwrap_or_default().to_string_lossy().into_owned();
            if !found.output.contains(&name) {
                self.problems.push(format!("scrub does not name {name}: {}", found.output));
            }
        }
        let mended = scrub(world, true)?;
        if !mended.status.success() {
            self.problems.push(format!("scrub did not mend it: {}: {}", mended.status, mended.output));
        }
        self.take_evidence(&world.setup.dataset)
    }

    fn problems(&mut self, _: &mut World) -> Vec<String> {
        std::mem::take(&mut self.problems)
    }

    fn clean_up(&mut self) {
        self.stub = None;
    }
}

/// `orrery scrub` of the world's dataset, with the lake to mend it from.
fn scrub(world: &World, mends: bool) -> Result<Ended, ExperimentError> {
    let setup = &world.setup;
    let mut command = setup.orrery.command(["scrub", "--dataset", &setup.dataset_url()]);
    if mends {
        command.args(["--repair", "--source", &url(&setup.lake)]);
    }
    command.envs(setup.environment.iter().map(|(name, value)| (name, value)));
    Running::start(command)?.finish(SCRUBS_WITHIN)
}

/// A data file of a dataset: its name and bytes.
pub(super) fn some_data_file(root: &Path, random: &mut Random) -> Option<(String, Vec<u8>)> {
    let mut files = data_files(&root.join(TABLES[0]));
    if files.is_empty() {
        return None;
    }
    let file = files.swap_remove(random.below(files.len()));
    let name = file.strip_prefix(root).ok()?.display().to_string();
    Some((name, fs::read(&file).ok()?))
}

/// Data files of a table, in order.
fn data_files(table: &Path) -> Vec<PathBuf> {
    files(&table.join("data"), "parquet")
}

/// Slots of a table's log that have ledgers, but the newest, in order.
fn slots(table: &Path) -> Vec<PathBuf> {
    let mut slots = files(&table.join("_delta_log"), "json");
    slots.pop();
    slots.into_iter().skip(1).collect()
}

fn files(folder: &Path, extension: &str) -> Vec<PathBuf> {
    let mut files: Vec<_> = entries(folder)
        .into_iter()
        .filter(|path| path.extension().is_some_and(|found| found == extension))
        .collect();
    files.sort();
    files
}

fn entries(folder: &Path) -> Vec<PathBuf> {
    fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.path()).collect()
}
