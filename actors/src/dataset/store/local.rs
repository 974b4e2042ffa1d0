//! A folder of a file system. An object is written under a temporary name, written through to the disk, hard-linked to
//! its name, which fails if the name is taken, and then its folder is written through: whatever is found under a name is
//! whole, at any moment of a kill.
//!
//! Temporary files are in `_orrery/parts` and locked while they are written. A killed process leaves some behind; nobody
//! reads them, and the next start removes those that nobody has locked.

use std::collections::BTreeSet;
use std::fs::{self, File, Permissions};
use std::io::{self, Read, Write};
use std::ops::Range;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use orrery_schemas::Hash32;
use orrery_supervisor::seeded_bug;
use sha2::{Digest, Sha256};
use tempfile::NamedTempFile;

use super::{Failure, Listed, Put, Replaced};
use crate::dataset::error::StoreError;

/// Where temporary files are, below the dataset.
const PARTS: &str = "_orrery/parts";

/// A sweep may take a temporary file in the moment between its creation and its lock.
const SWEPT_MAX: u32 = 5;

pub(super) struct LocalFolder {
    root: PathBuf,
    disk: Arc<dyn Disk>,
    /// Folders whose names this process has written through: a few.
    durable: Mutex<BTreeSet<PathBuf>>,
}

/// What makes written bytes and names outlive a loss of power. The machine's own, or a simulated one that loses what was not
/// written through.
pub trait Disk: Send + Sync {
    /// Writes the content of a file through.
    ///
    /// # Errors
    ///
    /// The disk fails; what the file holds after a loss of power is then unknown, also if a later attempt succeeds.
    fn sync_file(&self, file: &File) -> io::Result<()>;

    /// Writes the names in a folder through.
    ///
    /// # Errors
    ///
    /// As of [`Self::sync_file`].
    fn sync_folder(&self, folder: &Path) -> io::Result<()>;
}

/// The machine's.
pub(super) struct MachineDisk;

impl Disk for MachineDisk {
    fn sync_file(&self, file: &File) -> io::Result<()> {
        file.sync_all()
    }

    fn sync_folder(&self, folder: &Path) -> io::Result<()> {
        File::open(folder)?.sync_all()
    }
}

impl LocalFolder {
    pub(super) fn new(root: PathBuf, disk: Arc<dyn Disk>) -> Self {
        Self { root, disk, durable: Mutex::default() }
    }

    pub(super) fn root(&self) -> &Path {
        &self.root
    }

    /// An object as errors name it: with its folder, for a relative name does not say which disk is full.
    fn name(&self, path: &str) -> String {
        self.root.join(path).display().to_string()
    }

    pub(super) async fn create(self: &Arc<Self>, path: String, bytes: Bytes) -> Result<Put, StoreError> {
        let this = Arc::clone(self);
        let name = self.name(&path);
        blocking("write", name, move || this.link(&path, &bytes)).await.map_err(into_store_error)
    }

    pub(super) async fn replace(self: &Arc<Self>, path: String, bytes: Bytes) -> Result<(), Failure> {
        let this = Arc::clone(self);
        let name = self.name(&path);
        blocking("write", name, move || {
            let target = this.root.join(&path);
            this.make_folders(folder(&target))?;
            this.part(&bytes)?.persist(&target).map_err(|error| error.error)?;
            this.sync_folder(folder(&target))
        })
        .await
    }

    pub(super) async fn read(
        self: &Arc<Self>,
        path: String,
        bytes_max: u64,
    ) -> Result<Option<Bytes>, Failure> {
        let this = Arc::clone(self);
        let name = self.name(&path);
        let read = blocking("read", name, move || {
            let Some(mut file) = found(File::open(this.root.join(&path)))? else { return Ok(None) };
            let bytes = file.metadata()?.len();
            if bytes > bytes_max {
                return Ok(Some(Err(StoreError::TooLarge { path, bytes, bytes_max })));
            }
            let mut content = Vec::with_capacity(usize::try_from(bytes).unwrap_or(0));
            (&mut file).take(bytes_max).read_to_end(&mut content)?;
            Ok(Some(Ok(Bytes::from(content))))
        });
        read.await?.transpose().map_err(Failure::Final)
    }

    pub(super) async fn read_ranges(
        self: &Arc<Self>,
        path: String,
        ranges: Vec<Range<u64>>,
    ) -> Result<Option<Vec<Bytes>>, Failure> {
        let this = Arc::clone(self);
        let name = self.name(&path);
        let read = blocking("read", name.clone(), move || {
            let Some(file) = found(File::open(this.root.join(&path)))? else { return Ok(None) };
            let bytes = file.metadata()?.len();
            let end = ranges.iter().map(|range| range.end).max().unwrap_or(0);
            if end > bytes {
                return Ok(Some(Err(StoreError::CutShort { path: name, bytes, end })));
            }
            let mut parts = Vec::with_capacity(ranges.len());
            for range in ranges {
                let length = usize::try_from(range.end.saturating_sub(range.start)).unwrap_or(0);
                let mut part = vec![0; length];
                file.read_exact_at(&mut part, range.start)?;
                parts.push(Bytes::from(part));
            }
            Ok(Some(Ok(parts)))
        });
        read.await?.transpose().map_err(Failure::Final)
    }

    pub(super) async fn head(self: &Arc<Self>, path: String) -> Result<Option<u64>, Failure> {
        let this = Arc::clone(self);
        let name = self.name(&path);
        blocking("look up", name, move || {
            Ok(found(fs::metadata(this.root.join(&path)))?
                .filter(|file| file.is_file())
                .map(|file| file.len()))
        })
        .await
    }

    pub(super) async fn list(self: &Arc<Self>, path: String) -> Result<Vec<Listed>, Failure> {
        let this = Arc::clone(self);
        let name = self.name(&path);
        blocking("list", name, move || {
            let Some(entries) = found(fs::read_dir(this.root.join(&path)))? else { return Ok(Vec::new()) };
            let mut listed = Vec::new();
            for entry in entries {
                let entry = entry?;
                let Some(metadata) = found(entry.metadata())? else { continue };
                if metadata.is_file() {
                    let name = entry.file_name().to_string_lossy().into_owned();
                    listed.push(Listed { name, bytes: metadata.len() });
                }
            }
            Ok(listed)
        })
        .await
    }

    pub(super) async fn walk(self: &Arc<Self>, path: String) -> Result<Vec<Listed>, Failure> {
        let this = Arc::clone(self);
        let name = self.name(&path);
        blocking("list", name, move || {
            let top = this.root.join(&path);
            let (mut listed, mut folders) = (Vec::new(), vec![top.clone()]);
            while let Some(folder) = folders.pop() {
                let Some(entries) = found(fs::read_dir(&folder))? else { continue };
                for entry in entries {
                    let entry = entry?;
                    let Some(metadata) = found(entry.metadata())? else { continue };
                    if metadata.is_dir() {
                        folders.push(entry.path());
                    } else if let Ok(below) = entry.path().strip_prefix(&top) {
                        let name = below.to_string_lossy().into_owned();
                        listed.push(Listed { name, bytes: metadata.len() });
                    }
                }
            }
            Ok(listed)
        })
        .await
    }

    /// The new bytes are written beside and renamed, so that there is no moment without an object.
    pub(super) async fn replace_damaged(
        self: &Arc<Self>,
        path: String,
        bytes: Bytes,
        damaged: Hash32,
    ) -> Result<Replaced, Failure> {
        let this = Arc::clone(self);
        let name = self.name(&path);
        blocking("replace", name, move || {
            let target = this.root.join(&path);
            let part = this.part(&bytes)?;
            let Some(mut file) = found(File::open(&target))? else { return Ok(Replaced::Changed) };
            let mut hasher = Sha256::new();
            io::copy(&mut file, &mut hasher)?;
            if Hash32(hasher.finalize().into()) != damaged {
                return Ok(Replaced::Changed);
            }
            part.persist(&target).map_err(|error| error.error)?;
            this.sync_folder(folder(&target)).map(|()| Replaced::Done)
        })
        .await
    }

    pub(super) async fn remove(self: &Arc<Self>, path: String) -> Result<(), Failure> {
        let this = Arc::clone(self);
        let name = self.name(&path);
        blocking("delete", name, move || found(fs::remove_file(this.root.join(&path))).map(|_| ())).await
    }

    /// Removes temporary files that nobody writes. What cannot be removed stays: it harms nobody.
    pub(super) async fn sweep(self: &Arc<Self>) {
        let this = Arc::clone(self);
        let swept = blocking("remove parts of", self.name(PARTS), move || {
            let Some(entries) = found(fs::read_dir(this.root.join(PARTS)))? else { return Ok(()) };
            for path in entries.filter_map(Result::ok).map(|entry| entry.path()) {
                if File::open(&path).is_ok_and(|file| file.try_lock().is_ok()) {
                    fs::remove_file(&path)?;
                }
            }
            Ok(())
        });
        if let Err(Failure::Passing(reason)) = swept.await {
            tracing::debug!(reason, "temporary files stay");
        }
    }

    /// Links `bytes` to `path`. After an error the link may be there, and not durable: putting again finds it and writes
    /// it through.
    fn link(&self, path: &str, bytes: &[u8]) -> io::Result<Put> {
        let target = self.root.join(path);
        self.make_folders(folder(&target))?;
        let mut swept = 0;
        loop {
            let part = self.part(bytes)?;
            return match fs::hard_link(part.path(), &target) {
                Ok(()) => seeded_bug!(B15, Ok(()), self.sync_folder(folder(&target))).map(|()| Put::Created),
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                    // Whoever wrote it may have been killed before it was durable.
                    self.sync_file(&File::open(&target)?)?;
                    seeded_bug!(B15, Ok(()), self.sync_folder(folder(&target))).map(|()| Put::Exists)
                }
                Err(error) if error.kind() == io::ErrorKind::NotFound && swept < SWEPT_MAX => {
                    swept += 1;
                    continue;
                }
                Err(error) => Err(error),
            };
        }
    }

    /// A temporary file with this content, durable but for its name.
    fn part(&self, bytes: &[u8]) -> io::Result<NamedTempFile> {
        let folder = self.root.join(PARTS);
        self.make_folders(&folder)?;
        let permissions: Permissions = std::os::unix::fs::PermissionsExt::from_mode(0o666);
        let mut part =
            tempfile::Builder::new().suffix(".part").permissions(permissions).tempfile_in(&folder)?;
        // A file system without locks has no sweep either.
        let _ = part.as_file().try_lock();
        part.write_all(bytes)?;
        self.sync_file(part.as_file())?;
        Ok(part)
    }

    fn sync_file(&self, file: &File) -> io::Result<()> {
        seeded_bug!(B14, self.disk.sync_file(file).or(Ok(())), self.disk.sync_file(file))
    }

    fn sync_folder(&self, folder: &Path) -> io::Result<()> {
        self.disk.sync_folder(folder)
    }

    /// Creates a folder and those above it, each durable before what it holds. That it is there does not say that it is
    /// durable: whoever created it may have failed or been killed before it was.
    fn make_folders(&self, folder: &Path) -> io::Result<()> {
        let is_ours = folder.starts_with(&self.root);
        let was_there = folder.is_dir();
        if was_there && (!is_ours || self.durable(|folders| folders.contains(folder))) {
            return Ok(());
        }
        let parent = folder.parent().filter(|parent| !parent.as_os_str().is_empty());
        if let Some(parent) = parent {
            self.make_folders(parent)?;
        }
        match fs::create_dir(folder) {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
            _ => {}
        }
        match self.sync_folder(parent.unwrap_or(Path::new("."))) {
            // Somebody with other rights has made the dataset's folder, and has seen to it.
            Err(error) if was_there && error.kind() == io::ErrorKind::PermissionDenied => {}
            synced => synced?,
        }
        self.durable(|folders| folders.insert(folder.to_owned()));
        Ok(())
    }

    fn durable<T>(&self, work: impl FnOnce(&mut BTreeSet<PathBuf>) -> T) -> T {
        work(&mut self.durable.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

fn folder(path: &Path) -> &Path {
    path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

fn found<T>(result: io::Result<T>) -> io::Result<Option<T>> {
    match result {
        Ok(value) => Ok(Some(value)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

/// Runs what waits for a disk beside the runtime's threads.
async fn blocking<T: Send + 'static>(
    action: &'static str,
    path: String,
    work: impl FnOnce() -> io::Result<T> + Send + 'static,
) -> Result<T, Failure> {
    match tokio::task::spawn_blocking(work).await {
        Ok(Ok(value)) => Ok(value),
        Ok(Err(error)) => Err(Failure::Final(StoreError::io(action, &path, &error))),
        Err(error) => Err(Failure::Passing(error.to_string())),
    }
}

fn into_store_error(failure: Failure) -> StoreError {
    match failure {
        Failure::Final(error) => error,
        Failure::Passing(reason) => {
            StoreError::Unavailable { action: "write", path: String::new(), reason, attempts: 1 }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn first_bytes_stay_and_no_temporary_file_does() {
        let home = tempfile::tempdir().unwrap();
        let local = Arc::new(LocalFolder::new(home.path().join("a/b"), Arc::new(MachineDisk)));
        let create = |bytes: &'static str| local.create("x/y.json".to_owned(), Bytes::from(bytes));
        assert_eq!(create("one").await.unwrap(), Put::Created);
        assert_eq!(create("two").await.unwrap(), Put::Exists);
        assert_eq!(fs::read(home.path().join("a/b/x/y.json")).unwrap(), b"one");
        assert_eq!(fs::read_dir(home.path().join("a/b").join(PARTS)).unwrap().count(), 0);
    }

    #[tokio::test]
    async fn a_sweep_removes_what_was_left_and_spares_what_is_written() {
        let home = tempfile::tempdir().unwrap();
        let local = Arc::new(LocalFolder::new(home.path().to_owned(), Arc::new(MachineDisk)));
        let parts = home.path().join(PARTS);
        fs::create_dir_all(&parts).unwrap();
        fs::write(parts.join("left.part"), "half").unwrap();
        let written = local.part(b"whole").unwrap();
        local.sweep().await;
        let names: Vec<_> = fs::read_dir(&parts).unwrap().map(|entry| entry.unwrap().path()).collect();
        assert_eq!(names, [written.path().to_owned()]);
    }

    #[tokio::test]
    async fn a_damaged_file_is_replaced_only_while_it_is_the_one_that_was_judged() {
        let home = tempfile::tempdir().unwrap();
        let local = Arc::new(LocalFolder::new(home.path().to_owned(), Arc::new(MachineDisk)));
        fs::create_dir(home.path().join("x")).unwrap();
        let path = home.path().join("x/y");
        let hash = |bytes: &[u8]| Hash32(Sha256::digest(bytes).into());
        let replace = |damaged| local.replace_damaged("x/y".to_owned(), Bytes::from("new"), hash(damaged));
        assert!(matches!(replace(b"old").await, Ok(Replaced::Changed)));
        assert!(!path.exists());
        fs::write(&path, "old").unwrap();
        assert!(matches!(replace(b"other").await, Ok(Replaced::Changed)));
        assert_eq!(fs::read(&path).unwrap(), b"old");
        assert!(matches!(replace(b"old").await, Ok(Replaced::Done)));
        assert_eq!(fs::read(&path).unwrap(), b"new");
        assert_eq!(fs::read_dir(home.path().join(PARTS)).unwrap().count(), 0);
        let Ok(names) = local.walk(String::new()).await else { panic!("it cannot be listed") };
        assert_eq!(names, [Listed { name: "x/y".to_owned(), bytes: 3 }]);
    }

    #[tokio::test]
    async fn a_file_above_the_limit_is_not_read() {
        let home = tempfile::tempdir().unwrap();
        let local = Arc::new(LocalFolder::new(home.path().to_owned(), Arc::new(MachineDisk)));
        fs::write(home.path().join("big"), [0; 11]).unwrap();
        let read = local.read("big".to_owned(), 10).await;
        assert!(matches!(read, Err(Failure::Final(StoreError::TooLarge { bytes: 11, bytes_max: 10, .. }))));
        assert!(matches!(local.read("none".to_owned(), 10).await, Ok(None)));
    }

    #[tokio::test]
    async fn a_folder_that_cannot_be_made_is_an_error_that_names_it() {
        let home = tempfile::tempdir().unwrap();
        fs::write(home.path().join("file"), "").unwrap();
        let local = Arc::new(LocalFolder::new(home.path().join("file"), Arc::new(MachineDisk)));
        let error = local.create("x".to_owned(), Bytes::new()).await.unwrap_err();
        assert!(matches!(error, StoreError::Refused { .. }), "{error}");
        let file = home.path().join("file");
        assert!(error.to_string().contains(&file.display().to_string()), "{error}");
    }
}
