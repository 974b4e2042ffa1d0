//! The folder of row files: which are there, which are worth their place, and which go.

use std::collections::{HashMap, HashSet, VecDeque};
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock};

use super::layout::part_rows;
use super::row_file::RowFile;
use super::walk::{Walk, Wanted};
use super::writer::{RowFileWriter, UNFINISHED};
use crate::dataset::scan::Place;

/// What a row file's name ends in.
const ENDING: &str = ".rows";

/// Most bytes of a row in a row file that is not there yet, where every row has a token and two addresses of its own. Real
/// ones have a third of it, which they are counted with as soon as they are there: fewer bytes here, and a file could be
/// made, found too large, and made again.
const ROW_BYTES: u64 = 360;

/// Most row files: one that was found costs some hundred bytes of memory, and a rare address is looked for in each.
const FILES_MAX: usize = 8 * 1024;

/// Row files of one dataset.
#[derive(Debug)]
pub(in crate::dataset) struct Shelf {
    folder: PathBuf,
    bytes_max: u64,
    /// Of a part of a new row file.
    part_rows: u32,
    files: RwLock<HashMap<String, Arc<RowFile>>>,
}

/// A data file, as far as it matters here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::dataset) struct Candidate {
    /// Below its table.
    pub(in crate::dataset) name: String,
    pub(in crate::dataset) rows: u64,
}

impl Shelf {
    /// At most `bytes_max` bytes in `folder`, and `memory_bytes_max` in memory while a row file is made. Nothing is read yet.
    pub(in crate::dataset) fn new(folder: PathBuf, bytes_max: u64, memory_bytes_max: usize) -> Self {
        Self { folder, bytes_max, part_rows: part_rows(memory_bytes_max), files: RwLock::default() }
    }

    /// Finds what an earlier process left, and removes what is damaged.
    pub(in crate::dataset) fn load(&self) -> io::Result<()> {
        fs::create_dir_all(&self.folder)?;
        for entry in fs::read_dir(&self.folder)? {
            let path = entry?.path();
            let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default().to_owned();
            if name.starts_with(UNFINISHED) {
                fs::remove_file(&path)?;
            } else if let Some(name) = name.strip_suffix(ENDING) {
                match RowFile::open(&path) {
                    Ok(file) => self.insert(name, file),
                    Err(error) => {
                        tracing::warn!(%error, path = %path.display(), "a row file is not whole, made again");
                        fs::remove_file(&path)?;
                    }
                }
            }
        }
        Ok(())
    }

    /// Removes what is not worth its place any more, and says which of `files`, newest first, is to be made next.
    pub(in crate::dataset) fn tidy(&self, files: impl Iterator<Item = Candidate>) -> Option<Candidate> {
        let (mut kept, mut missing, mut bytes) = (HashSet::new(), None, 0);
        for file in files.take(FILES_MAX) {
            let stem = stem(&file.name);
            let known = self.read().get(stem).map(|known| known.bytes);
            bytes += known.unwrap_or(file.rows.saturating_mul(ROW_BYTES));
            if bytes > self.bytes_max {
                break;
            }
            kept.insert(stem.to_owned());
            if known.is_none() && missing.is_none() {
                missing = Some(file);
            }
        }
        let gone: Vec<_> = self.read().keys().filter(|name| !kept.contains(*name)).cloned().collect();
        gone.iter().for_each(|name| self.forget(name));
        missing
    }

    pub(in crate::dataset) fn writer(&self) -> io::Result<RowFileWriter> {
        RowFileWriter::new(&self.folder, self.part_rows)
    }

    /// Takes in the row file of a data file.
    pub(in crate::dataset) fn finish(&self, name: &str, writer: RowFileWriter) -> io::Result<()> {
        let stem = stem(name);
        let path = self.path(stem);
        writer.finish(&path)?;
        self.insert(stem, RowFile::open(&path)?);
        Ok(())
    }

    /// Whether a data file has a row file.
    pub(in crate::dataset) fn has(&self, name: &str) -> bool {
        self.read().contains_key(stem(name))
    }

    /// A look-up in the row files of these data files; of all of them that have one, up to the first that has none.
    pub(in crate::dataset) fn walk(&self, wanted: Wanted, files: &[(String, Place)]) -> Walk {
        let known = self.read();
        let files = files.iter().map_while(|(name, end)| Some((Arc::clone(known.get(stem(name))?), *end)));
        Walk::new(wanted, files.collect::<VecDeque<_>>())
    }

    /// Removes the row file that a walk failed in.
    pub(in crate::dataset) fn give_up(&self, walk: &Walk, error: &io::Error) {
        let Some(path) = walk.file().map(|file| file.path()) else { return };
        // It may have been removed meanwhile, as too old or as compacted.
        if error.kind() != io::ErrorKind::NotFound {
            tracing::warn!(%error, path = %path.display(), "a row file cannot be read, made again");
        }
        if let Some(stem) = path.file_stem().and_then(|stem| stem.to_str()) {
            self.forget(stem);
        }
    }

    fn forget(&self, stem: &str) {
        let gone = self.files.write().unwrap_or_else(PoisonError::into_inner).remove(stem);
        if let Some(file) = gone
            && let Err(error) = fs::remove_file(file.path())
            && error.kind() != io::ErrorKind::NotFound
        {
            tracing::warn!(%error, path = %file.path().display(), "a row file cannot be removed");
        }
    }

    fn insert(&self, stem: &str, file: RowFile) {
        self.files.write().unwrap_or_else(PoisonError::into_inner).insert(stem.to_owned(), Arc::new(file));
    }

    fn read(&self) -> std::sync::RwLockReadGuard<'_, HashMap<String, Arc<RowFile>>> {
        self.files.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn path(&self, stem: &str) -> PathBuf {
        self.folder.join(format!("{stem}{ENDING}"))
    }
}

/// Of a data file's name, what names its content.
fn stem(name: &str) -> &str {
    Path::new(name).file_stem().and_then(|stem| stem.to_str()).unwrap_or(name)
}
