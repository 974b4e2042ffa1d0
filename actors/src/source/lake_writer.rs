//! Writes a SEP-54 lake: one ledger an object, as Galexie does by default.

use std::fs;
use std::io::{self, Write};
use std::num::NonZeroU32;
use std::path::{Path, PathBuf};

use orrery_schemas::LedgerSequence;
use tempfile::NamedTempFile;
use thiserror::Error;

use super::{LakeConfig, LakeLayout, ObjectExtension};

/// Galexie's defaults.
const LEDGERS_PER_BATCH: NonZeroU32 = NonZeroU32::MIN;
const BATCHES_PER_PARTITION: u32 = 64_000;

/// zstd's default level, which Galexie uses.
const COMPRESSION_LEVEL: i32 = 3;

/// Objects in a folder, each whole or absent.
pub struct LakeWriter {
    root: PathBuf,
    layout: LakeLayout,
    bytes: u64,
}

/// Why a lake cannot be written.
#[derive(Debug, Error)]
pub enum LakeWriterError {
    /// The folder holds another lake.
    #[error("{root} holds a lake of {reason}: write to another folder, or remove it first")]
    OtherLake {
        /// The folder.
        root: String,
        /// In what it differs.
        reason: String,
    },
    /// The file system refused.
    #[error("{action} {path}: {source}")]
    Io {
        /// What was tried.
        action: &'static str,
        /// On which file.
        path: String,
        /// Why it failed.
        source: io::Error,
    },
}

impl LakeWriter {
    /// Opens a folder, makes it if needed, and writes `.config.json`. Going on with a lake of the same configuration is
    /// allowed: equal ledgers make equal objects.
    ///
    /// # Errors
    ///
    /// The folder holds another lake, or cannot be written.
    pub fn create(root: &Path, network_passphrase: &str) -> Result<Self, LakeWriterError> {
        let batches_per_partition = NonZeroU32::new(BATCHES_PER_PARTITION).unwrap_or(NonZeroU32::MIN);
        let layout = LakeLayout::new(LEDGERS_PER_BATCH, batches_per_partition);
        let writer = Self { root: root.to_owned(), layout, bytes: 0 };
        let path = root.join(".config.json");
        match fs::read(&path) {
            Ok(json) => writer.check_config(&json, network_passphrase)?,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                fs::create_dir_all(root).map_err(|error| io_error("create", root, error))?;
                let config = serde_json::json!({
                    "networkPassphrase": network_passphrase,
                    "version": "1.0",
                    "compression": "zstd",
                    "ledgersPerBatch": LEDGERS_PER_BATCH,
                    "batchesPerPartition": BATCHES_PER_PARTITION,
                });
                write_whole(&path, config.to_string().as_bytes())?;
            }
            Err(error) => return Err(io_error("read", &path, error)),
        }
        Ok(writer)
    }

    /// Writes one ledger, given as the XDR of its `LedgerCloseMeta`.
    ///
    /// # Errors
    ///
    /// The lake holds another ledger of this number, or the object cannot be written; nothing is left of it.
    pub fn write(&mut self, sequence: LedgerSequence, xdr: &[u8]) -> Result<(), LakeWriterError> {
        const ONE_LEDGER: [u8; 4] = [0, 0, 0, 1];
        let path = self.root.join(self.layout.object_key(sequence, ObjectExtension::Zst));
        let number = sequence.0.to_be_bytes();
        let batch = [&number[..], &number, &ONE_LEDGER, xdr].concat();
        let object = zstd::bulk::compress(&batch, COMPRESSION_LEVEL)
            .map_err(|error| io_error("compress", &path, error))?;
        let partition = path.parent().unwrap_or(&self.root);
        fs::create_dir_all(partition).map_err(|error| io_error("create", partition, error))?;
        self.bytes += object.len() as u64;
        match fs::read(&path) {
            Ok(existing) if existing == object => Ok(()),
            Ok(_) => Err(LakeWriterError::OtherLake {
                root: self.root.display().to_string(),
                reason: format!("other ledgers: {sequence} differs"),
            }),
            Err(_) => write_whole(&path, &object),
        }
    }

    /// Bytes of the objects written so far.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    fn check_config(&self, json: &[u8], network_passphrase: &str) -> Result<(), LakeWriterError> {
        let other =
            |reason: String| LakeWriterError::OtherLake { root: self.root.display().to_string(), reason };
        let config = LakeConfig::parse(json).map_err(&other)?;
        if config.network_passphrase.as_deref() != Some(network_passphrase) {
            let network = config.network_passphrase.unwrap_or_else(|| "unknown".to_owned());
            return Err(other(format!("network `{network}`")));
        }
        if config.layout != self.layout {
            return Err(other("another layout".to_owned()));
        }
        Ok(())
    }
}

/// Writes a file that appears under its name when it is whole.
fn write_whole(path: &Path, bytes: &[u8]) -> Result<(), LakeWriterError> {
    let folder = path.parent().unwrap_or(Path::new("."));
    let mut file = NamedTempFile::with_prefix_in(".orrery-", folder)
        .map_err(|error| io_error("create a file in", folder, error))?;
    file.write_all(bytes).map_err(|error| io_error("write", path, error))?;
    file.persist(path).map_err(|error| io_error("rename to", path, error.error))?;
    Ok(())
}

fn io_error(action: &'static str, path: &Path, source: io::Error) -> LakeWriterError {
    LakeWriterError::Io { action, path: path.display().to_string(), source }
}
