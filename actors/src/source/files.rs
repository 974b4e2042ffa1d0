//! Files behind a path or pattern.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::{SourceError, SourceErrorKind};

/// A file to read and the name it goes by.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct NamedFile {
    pub(super) name: Arc<str>,
    pub(super) path: PathBuf,
}

/// What stands at a path.
pub(super) enum Found {
    /// One file or named pipe.
    File,
    /// A directory that says it is a lake.
    Lake,
    /// Any other directory.
    Directory,
}

/// Name of the file that makes a directory a lake.
pub(super) const LAKE_CONFIG_NAME: &str = ".config.json";

/// Looks at `path`.
pub(super) fn find(path: &Path) -> io::Result<Found> {
    Ok(match fs::metadata(path)?.is_dir() {
        false => Found::File,
        true if path.join(LAKE_CONFIG_NAME).is_file() => Found::Lake,
        true => Found::Directory,
    })
}

/// Every file below `directory`, in the order of their paths, named by its path relative to `directory`.
///
/// Names that begin with a dot are left out, and links to directories are not followed: they may lead in a circle.
pub(super) fn files_below(directory: &str) -> Result<Vec<NamedFile>, SourceError> {
    let mut files = Vec::new();
    let mut directories = vec![PathBuf::from(directory)];
    while let Some(current) = directories.pop() {
        let failed = |error| SourceError::io(current.to_string_lossy(), error);
        for entry in fs::read_dir(&current).map_err(failed)? {
            let entry = entry.map_err(failed)?;
            if entry.file_name().as_encoded_bytes().starts_with(b".") {
                continue;
            }
            let path = entry.path();
            match entry.file_type().map_err(failed)? {
                kind if kind.is_dir() => directories.push(path),
                kind if kind.is_symlink() && path.is_dir() => {}
                _ => files.push(path),
            }
        }
    }
    if files.is_empty() {
        return Err(SourceError::new(directory, SourceErrorKind::EmptyInput));
    }
    files.sort_unstable();
    let name = |path: &Path| path.strip_prefix(directory).unwrap_or(path).to_string_lossy().into();
    Ok(files.into_iter().map(|path| NamedFile { name: name(&path), path }).collect())
}

/// Paths that match `pattern`, in alphabetical order and written as the pattern is. At least one.
pub(super) fn matches(pattern: &str) -> Result<Vec<String>, SourceError> {
    let error = |kind| SourceError::new(pattern, kind);
    let paths =
        glob::glob(pattern).map_err(|reason| error(SourceErrorKind::BadPattern(reason.to_string())))?;
    let mut names = Vec::new();
    for path in paths {
        let path = path.map_err(|failed| {
            SourceError::io(failed.path().to_string_lossy(), io::Error::from(failed.error().kind()))
        })?;
        let name = path.to_string_lossy();
        // The matcher drops a leading `./`.
        names.push(match pattern.starts_with("./") && !name.starts_with("./") {
            true => format!("./{name}"),
            false => name.into_owned(),
        });
    }
    match names.is_empty() {
        true => Err(error(SourceErrorKind::NoMatch)),
        false => Ok(names),
    }
}
