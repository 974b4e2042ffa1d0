//! Reading and writing of the few small files.

use std::fs::{self, DirBuilder, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use super::error::CertificateError;

/// Certificates and keys are below 4 KiB; a file larger than this is something else.
const FILE_BYTES_MAX: u64 = 64 * 1024;

pub(super) const AUTHORITY: &str = "ca.pem";
pub(super) const AUTHORITY_KEY: &str = "ca.key";
pub(super) const GOSSIP_KEY: &str = "cluster.key";
pub(super) const CERTIFICATE: &str = "node.pem";
pub(super) const KEY: &str = "node.key";

/// Who may read a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Secrecy {
    /// Everybody.
    Open,
    /// Its owner.
    Secret,
}

/// Makes the folder, its user's alone, if it is not there.
pub(super) fn folder(path: &Path) -> Result<(), CertificateError> {
    let made = DirBuilder::new().recursive(true).mode(0o700).create(path);
    made.map_err(|source| CertificateError::Io { action: "create", path: path.to_owned(), source })
}

/// Fails if one of them exists, so that a set of files is written whole or not at all.
pub(super) fn absent(paths: &[PathBuf]) -> Result<(), CertificateError> {
    match paths.iter().find(|path| path.exists()) {
        Some(path) => Err(CertificateError::Exists { path: path.clone() }),
        None => Ok(()),
    }
}

/// Writes a new file; an existing one is never touched.
pub(super) fn write(path: &Path, bytes: &[u8], secrecy: Secrecy) -> Result<(), CertificateError> {
    let mode = if secrecy == Secrecy::Secret { 0o600 } else { 0o644 };
    let written =
        OpenOptions::new().write(true).create_new(true).mode(mode).open(path).and_then(|mut file| {
            file.write_all(bytes)?;
            file.sync_all()
        });
    written.map_err(|source| match source.kind() {
        io::ErrorKind::AlreadyExists => CertificateError::Exists { path: path.to_owned() },
        _ => CertificateError::Io { action: "write", path: path.to_owned(), source },
    })
}

/// Reads a small file.
pub(super) fn read(path: &Path, what: &'static str, fix: &'static str) -> Result<Vec<u8>, CertificateError> {
    let mut bytes = Vec::new();
    let read = fs::File::open(path).and_then(|file| file.take(FILE_BYTES_MAX + 1).read_to_end(&mut bytes));
    read.map_err(|source| match source.kind() {
        io::ErrorKind::NotFound => CertificateError::Missing { path: path.to_owned(), fix },
        _ => CertificateError::Io { action: "read", path: path.to_owned(), source },
    })?;
    if bytes.len() as u64 > FILE_BYTES_MAX {
        return Err(CertificateError::TooLarge { path: path.to_owned(), what, max: FILE_BYTES_MAX });
    }
    Ok(bytes)
}

/// What is doubtful about who may read a key: its group may, as Kubernetes mounts them for a pod's own group.
///
/// # Errors
///
/// Everybody may.
pub(super) fn secrecy(path: &Path) -> Result<Option<String>, CertificateError> {
    let metadata = fs::metadata(path).map_err(|source| CertificateError::Io {
        action: "read",
        path: path.to_owned(),
        source,
    })?;
    let mode = metadata.permissions().mode() & 0o777;
    if mode & 0o007 != 0 {
        return Err(CertificateError::KeyReadable { path: path.to_owned(), mode });
    }
    let is_doubtful = mode & 0o070 != 0;
    Ok(is_doubtful.then(|| {
        format!(
            "{}: its mode is {mode:04o}, so that its group can read this key; chmod 600 it",
            path.display()
        )
    }))
}
