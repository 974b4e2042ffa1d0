//! What a node keeps for itself, in sled: checkpoints, fingerprints of objects, quarantined ledgers, parked pipelines,
//! restart history. One file per family of keys, under `kv/`.
//!
//! None of it is the truth: that is the dataset. Lost or damaged, it is moved aside and begun anew, and checkpoints come
//! back as soon as the dataset is open. Every value carries a checksum, so that damage reads as absence and never as another value.
//! One process at a time: sled locks the directory.

mod kv;
mod writes;

use std::fs;
use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

use orrery_schemas::LedgerSequence;
use thiserror::Error;

pub use kv::checkpoints::{Checkpoints, Opened, OutputKey};
pub use kv::objects::{Objects, Seen};
pub use kv::parked::{Parked, name_of_task, task_of};
pub use kv::quarantine::{Quarantine, Quarantined};
pub use kv::restarts::{RestartRecord, Restarts};
pub use writes::Writes;

/// Where in a node's directory.
const STATE: &str = "state";

/// Memory that sled may use for its cache. All of a node's state is smaller.
const CACHE_BYTES: u64 = 16 << 20;

/// How often sled writes what nobody flushed. All of it can be rebuilt, so that little is flushed at once.
const FLUSH_EVERY_MS: u64 = 500;

/// Directories of damaged state that are kept beside a new one, for whoever wants to know what happened.
const DAMAGED_KEPT_MAX: u32 = 10;

/// A node's own state.
#[derive(Clone, Debug)]
pub struct NodeState {
    /// What each output has.
    pub checkpoints: Checkpoints,
    /// What objects looked like when they were processed.
    pub objects: Objects,
    /// Ledgers that could not be processed.
    pub quarantine: Quarantine,
    /// Pipelines that an operator or a poison ledger stopped.
    pub parked: Parked,
    /// What was restarted, and why.
    pub restarts: Restarts,
    /// Whether it takes what is written.
    pub writes: Writes,
    db: sled::Db,
}

/// State that cannot be had.
#[derive(Debug, Error)]
pub enum StateError {
    /// Another process has it.
    #[error(
        "{}: another process uses this node's state; stop it, or give this one its own --data-dir", path.display()
    )]
    InUse {
        /// The directory.
        path: PathBuf,
    },
    /// The file system refuses.
    #[error("{}: cannot {action} the node's state: {source}; see to the directory, or give another --data-dir", path.display())]
    Io {
        /// The directory.
        path: PathBuf,
        /// What was tried.
        action: &'static str,
        /// Why not.
        source: io::Error,
    },
    /// sled refuses.
    #[error("cannot {action} the node's state: {source}")]
    Sled {
        /// What was tried.
        action: &'static str,
        /// Why not.
        source: sled::Error,
    },
}

impl NodeState {
    /// Whether a node has kept its state in `directory`.
    pub fn exists(directory: &Path) -> bool {
        directory.join(STATE).is_dir()
    }

    /// Opens what is in `directory`, or makes it. Damaged state is moved aside.
    ///
    /// # Errors
    ///
    /// [`StateError`] says what to do about it.
    pub fn open(directory: &Path) -> Result<Self, StateError> {
        let failed = |action| move |source| StateError::Io { path: directory.to_owned(), action, source };
        // Nobody else's business: whoever may enter may also tell the node what to do.
        let created = fs::DirBuilder::new().recursive(true).mode(0o700).create(directory);
        created.map_err(failed("create"))?;
        let path = directory.join(STATE);
        match Self::open_at(&path) {
            Err(StateError::Sled { source, .. }) if !matches!(source, sled::Error::Io(_)) => {
                let aside = move_aside(&path).map_err(failed("move aside"))?;
                let kept = aside.display();
                tracing::warn!(error = %source, %kept, "node state was damaged and is begun anew");
                Self::open_at(&path)
            }
            opened => opened,
        }
    }

    fn open_at(path: &Path) -> Result<Self, StateError> {
        let config = sled::Config::new().path(path).cache_capacity(CACHE_BYTES);
        let db = config.flush_every_ms(Some(FLUSH_EVERY_MS)).open().map_err(|source| match source {
            // What sled says when its lock is taken.
            sled::Error::Io(error) if is_locked(&error) => StateError::InUse { path: path.to_owned() },
            sled::Error::Io(source) => StateError::Io { path: path.to_owned(), action: "open", source },
            source => StateError::Sled { action: "open", source },
        })?;
        let tree = |name: &str| {
            db.open_tree(name).map_err(|source| StateError::Sled { action: "open a table of", source })
        };
        Ok(Self {
            checkpoints: Checkpoints::new(tree("checkpoints")?),
            objects: Objects::new(tree("objects")?),
            quarantine: Quarantine::new(tree("quarantine")?, tree("quarantine-bytes")?),
            parked: Parked::new(tree("parked")?),
            restarts: Restarts::new(tree("restarts")?),
            writes: Writes::default(),
            db,
        })
    }

    /// Ends what troubled `pipeline` and its tasks before `dataset` had every ledger up to `durable`: the evidence is
    /// forgotten, and a task without any is not parked any more. Gives these ledgers.
    ///
    /// # Errors
    ///
    /// [`StateError`] of the disk.
    pub fn mend(
        &self,
        pipeline: &str,
        dataset: &str,
        durable: LedgerSequence,
    ) -> Result<Vec<LedgerSequence>, StateError> {
        let mended = self.quarantine.release_until(pipeline, dataset, durable)?;
        for entry in &mended {
            let is_left = self.quarantine.list()?.iter().any(|left| left.pipeline == entry.pipeline);
            if !is_left && task_of(&entry.pipeline, pipeline).is_some() {
                self.parked.resume(&entry.pipeline)?;
            }
        }
        Ok(mended.into_iter().map(|entry| LedgerSequence(entry.ledger)).collect())
    }

    /// Leaves the state open until the process ends, however many handles are dropped. To close itself, sled writes once
    /// more, and panics where the disk does not take it: that must not end a node whose dataset is complete. What has to
    /// stay is flushed; sled expects to be killed at any moment.
    pub fn keep_open(&self) {
        std::mem::forget(self.clone());
    }

    /// Writes everything to disk.
    ///
    /// # Errors
    ///
    /// The disk does not take it.
    pub fn flush(&self) -> Result<(), StateError> {
        self.db.flush().map(drop).map_err(|source| StateError::Sled { action: "flush", source })
    }
}

fn is_locked(error: &io::Error) -> bool {
    error.to_string().contains("could not acquire lock")
}

/// Renames a damaged directory to the first free of a few names, the last of which is taken anew.
fn move_aside(path: &Path) -> io::Result<PathBuf> {
    let named = |number| path.with_extension(format!("damaged-{number}"));
    let free = (1..DAMAGED_KEPT_MAX).map(named).find(|aside| !aside.exists());
    let aside = free.unwrap_or_else(|| named(DAMAGED_KEPT_MAX));
    if aside.exists() {
        fs::remove_dir_all(&aside)?;
    }
    fs::rename(path, &aside)?;
    Ok(aside)
}

#[cfg(test)]
mod tests;
