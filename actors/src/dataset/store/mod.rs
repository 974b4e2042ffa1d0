//! The only I/O of a dataset: objects, read with a limit or by ranges, and written if absent.
//!
//! In: paths below the dataset, with `/`, and bytes. Out: what certainly happened, or [`Put::Unknown`]: whoever put then
//! reads back. Reads are tried again within a budget; puts are not, because what to do next depends on what is there.

mod local;
mod remote;
mod retry;
mod self_test;

use std::fmt;
use std::ops::Range;
use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;
use object_store::ObjectStore;
use object_store::memory::InMemory;
use orrery_schemas::Hash32;
use orrery_supervisor::progressed;

use super::DatasetError;
use super::error::StoreError;
use super::url::DatasetUrl;
use crate::metrics::store as metrics;
use local::{LocalFolder, MachineDisk};
use remote::Objects;

pub use local::Disk;
pub use retry::Retry;
pub(super) use self_test::CONTENTS as SELF_TEST_CONTENTS;

/// What came of a put-if-absent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Put {
    /// The object is ours and durable.
    Created,
    /// An object of this name was there; its bytes are untouched and durable.
    Exists,
    /// No answer, or one that does not say: the object may be there, may be ours, may still come.
    Unknown,
}

/// An object in a folder.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listed {
    /// Its name inside the folder.
    pub name: String,
    /// Its size.
    pub bytes: u64,
}

/// What came of replacing a damaged object.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Replaced {
    /// The new bytes are there.
    Done,
    /// What is there is not what was judged, or nothing is: nothing was written, and it wants another look.
    Changed,
}

/// A folder of an object store or of a file system.
#[derive(Clone)]
pub struct Store {
    backend: Backend,
    /// Ends in `/` unless empty.
    base: String,
    retry: Retry,
    /// What tells the dataset apart from every other; `None` if it has no name that outlives the process.
    place: Option<Arc<str>>,
}

#[derive(Clone)]
enum Backend {
    Local(Arc<LocalFolder>),
    Objects(Arc<Objects>),
}

/// Folder of what is not part of the dataset.
const OWN: &str = "_orrery/";

/// Why an attempt failed.
pub(super) enum Failure {
    /// Trying again cannot help.
    Final(StoreError),
    /// It may.
    Passing(String),
}

impl Store {
    /// The store that `url` names. `environment` looks up a variable, as the provider's own tools name it
    /// (`AWS_ACCESS_KEY_ID`, `GOOGLE_APPLICATION_CREDENTIALS`, ...).
    ///
    /// # Errors
    ///
    /// [`DatasetError::Url`] if the settings do not fit together. Nothing is asked of the store yet.
    pub fn connect(
        url: &DatasetUrl,
        environment: &dyn Fn(&str) -> Option<String>,
        retry: Retry,
    ) -> Result<Self, DatasetError> {
        let failure = |error: object_store::Error| DatasetError::Url {
            url: url.to_string(),
            problem: error.to_string(),
        };
        match url {
            DatasetUrl::File(path) => {
                let store = Self::on_disk(path, Arc::new(MachineDisk), retry);
                Ok(Self { place: url.place().map(Into::into), ..store })
            }
            DatasetUrl::Memory => Ok(Self::over(Arc::new(InMemory::new()), "", retry)),
            DatasetUrl::S3(bucket) => {
                let objects = remote::s3(bucket, environment).map_err(failure)?;
                let store = Self::over(objects, &bucket.prefix, retry);
                Ok(Self { place: url.place().map(Into::into), ..store })
            }
            DatasetUrl::Gs(bucket) => {
                let objects = remote::gs(bucket, environment).map_err(failure)?;
                let store = Self::over(objects, &bucket.prefix, retry);
                Ok(Self { place: url.place().map(Into::into), ..store })
            }
        }
    }

    /// A folder on a disk that is at hand.
    pub fn on_disk(folder: &Path, disk: Arc<dyn Disk>, retry: Retry) -> Self {
        let backend = Backend::Local(Arc::new(LocalFolder::new(folder.to_owned(), disk)));
        Self { backend, base: String::new(), retry, place: None }
    }

    /// A folder of an object store that is at hand; `prefix` is empty for the whole store.
    pub fn over(objects: Arc<dyn ObjectStore>, prefix: &str, retry: Retry) -> Self {
        let backend = Backend::Objects(Arc::new(Objects::new(objects)));
        Self { backend, base: String::new(), retry, place: None }.within(prefix)
    }

    /// A folder of this one.
    pub(super) fn within(&self, folder: &str) -> Self {
        let folder = folder.trim_matches('/');
        let base = if folder.is_empty() { self.base.clone() } else { format!("{}{folder}/", self.base) };
        Self { backend: self.backend.clone(), base, retry: self.retry.clone(), place: self.place.clone() }
    }

    /// Where the dataset is, as told apart from every other one; `None` of one that does not outlive the process.
    pub fn place(&self) -> Option<&str> {
        self.place.as_deref()
    }

    /// Name of an object, for a person.
    pub(super) fn name(&self, path: &str) -> String {
        match &self.backend {
            Backend::Local(folder) => format!("{}/{}{path}", folder.root().display(), self.base),
            Backend::Objects(objects) => format!("{objects}/{}{path}", self.base),
        }
    }

    /// Writes `bytes` under `path` unless something is there.
    ///
    /// # Errors
    ///
    /// [`StoreError`] if nothing was written, or it is not durable: it is safe to put the same bytes again, later.
    pub async fn put_create(&self, path: &str, bytes: Bytes) -> Result<Put, StoreError> {
        let full = format!("{}{path}", self.base);
        metrics::requested("create");
        let put = match &self.backend {
            Backend::Local(folder) => folder.create(full, bytes).await,
            Backend::Objects(objects) => objects.create(&full, bytes).await,
        };
        progressed();
        match &put {
            Ok(Put::Unknown) => metrics::failed("create"),
            Ok(Put::Created | Put::Exists) => {}
            Err(error) => metrics::gave_up("create", error),
        }
        put
    }

    /// Writes `bytes` under `path`, in place of whatever is there: for what can be rebuilt, never for slots or rows.
    ///
    /// # Errors
    ///
    /// [`StoreError`] if that was not possible within the budget.
    pub(super) async fn replace(&self, path: &str, bytes: Bytes) -> Result<(), StoreError> {
        let full = format!("{}{path}", self.base);
        let mut attempts = self.retry.attempts("write", self.name(path));
        loop {
            let attempt = match &self.backend {
                Backend::Local(folder) => folder.replace(full.clone(), bytes.clone()).await,
                Backend::Objects(objects) => objects.replace(&full, bytes.clone()).await,
            };
            if let Some(done) = attempts.outcome(attempt).await? {
                return Ok(done);
            }
        }
    }

    /// The bytes of `path`, `None` if nothing is there.
    ///
    /// # Errors
    ///
    /// [`StoreError`]; [`StoreError::TooLarge`] above `bytes_max`, before anything of it is kept.
    pub async fn read(&self, path: &str, bytes_max: u64) -> Result<Option<Bytes>, StoreError> {
        let full = format!("{}{path}", self.base);
        let mut attempts = self.retry.attempts("read", self.name(path));
        loop {
            let attempt = match &self.backend {
                Backend::Local(folder) => folder.read(full.clone(), bytes_max).await,
                Backend::Objects(objects) => objects.read(&full, bytes_max).await,
            };
            if let Some(done) = attempts.outcome(attempt).await? {
                return Ok(done);
            }
        }
    }

    /// Parts of `path` in the order of `ranges`, `None` if nothing is there. What is read is allocated before: the caller
    /// bounds the ranges.
    ///
    /// # Errors
    ///
    /// [`StoreError`]; [`StoreError::CutShort`] if the object ends before a range does.
    pub(super) async fn read_ranges(
        &self,
        path: &str,
        ranges: &[Range<u64>],
    ) -> Result<Option<Vec<Bytes>>, StoreError> {
        let full = format!("{}{path}", self.base);
        let mut attempts = self.retry.attempts("read", self.name(path));
        loop {
            let attempt = match &self.backend {
                Backend::Local(folder) => folder.read_ranges(full.clone(), ranges.to_vec()).await,
                Backend::Objects(objects) => objects.read_ranges(&full, ranges).await,
            };
            if let Some(done) = attempts.outcome(attempt).await? {
                return Ok(done);
            }
        }
    }

    /// The size of `path` in bytes, `None` if nothing is there.
    ///
    /// # Errors
    ///
    /// [`StoreError`].
    pub async fn head(&self, path: &str) -> Result<Option<u64>, StoreError> {
        let full = format!("{}{path}", self.base);
        let mut attempts = self.retry.attempts("look up", self.name(path));
        loop {
            let attempt = match &self.backend {
                Backend::Local(folder) => folder.head(full.clone()).await,
                Backend::Objects(objects) => objects.head(&full).await,
            };
            if let Some(done) = attempts.outcome(attempt).await? {
                return Ok(done);
            }
        }
    }

    /// The objects of a folder, not of folders in it, in the order of their names. Never needed for correctness.
    ///
    /// # Errors
    ///
    /// [`StoreError`].
    pub async fn list(&self, folder: &str) -> Result<Vec<Listed>, StoreError> {
        let full = format!("{}{folder}", self.base);
        let mut attempts = self.retry.attempts("list", self.name(folder));
        let mut listed = loop {
            let attempt = match &self.backend {
                Backend::Local(local) => local.list(full.clone()).await,
                Backend::Objects(objects) => objects.list(&full).await,
            };
            if let Some(listed) = attempts.outcome(attempt).await? {
                break listed;
            }
        };
        listed.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(listed)
    }

    /// All objects below a folder, by their paths in it, in order. Never needed for correctness.
    ///
    /// # Errors
    ///
    /// [`StoreError`].
    pub(super) async fn walk(&self, folder: &str) -> Result<Vec<Listed>, StoreError> {
        let full = format!("{}{folder}", self.base);
        let mut attempts = self.retry.attempts("list", self.name(folder));
        let mut listed = loop {
            let attempt = match &self.backend {
                Backend::Local(local) => local.walk(full.clone()).await,
                Backend::Objects(objects) => objects.walk(full.trim_end_matches('/')).await,
            };
            if let Some(listed) = attempts.outcome(attempt).await? {
                break listed;
            }
        };
        listed.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(listed)
    }

    /// Writes `bytes` in place of an object whose SHA-256 is `damaged`: for repair, after what is there was kept elsewhere.
    /// Whoever reads meanwhile sees the one or the other. Nothing is written if the object has changed.
    ///
    /// # Errors
    ///
    /// [`StoreError`] if that was not possible within the budget.
    pub(super) async fn replace_damaged(
        &self,
        path: &str,
        bytes: Bytes,
        damaged: Hash32,
    ) -> Result<Replaced, StoreError> {
        let full = format!("{}{path}", self.base);
        let mut attempts = self.retry.attempts("replace", self.name(path));
        loop {
            let attempt = match &self.backend {
                Backend::Local(folder) => folder.replace_damaged(full.clone(), bytes.clone(), damaged).await,
                Backend::Objects(objects) => objects.replace_damaged(&full, bytes.clone(), damaged).await,
            };
            if let Some(done) = attempts.outcome(attempt).await? {
                return Ok(done);
            }
        }
    }

    /// Deletes an object of `_orrery/`, which no reader of the dataset looks at: nothing else may ever be deleted. That it is
    /// not there is no error.
    ///
    /// # Errors
    ///
    /// [`StoreError`]; also if `path` is elsewhere.
    pub async fn remove_own(&self, path: &str) -> Result<(), StoreError> {
        if !path.starts_with(OWN) {
            return Err(StoreError::Refused {
                action: "delete",
                path: self.name(path),
                reason: "it is part of the dataset".to_owned(),
                fix: "only what is in _orrery/ may be deleted",
            });
        }
        let full = format!("{}{path}", self.base);
        let mut attempts = self.retry.attempts("delete", self.name(path));
        loop {
            let attempt = match &self.backend {
                Backend::Local(folder) => folder.remove(full.clone()).await,
                Backend::Objects(objects) => objects.remove(&full).await,
            };
            if let Some(done) = attempts.outcome(attempt).await? {
                return Ok(done);
            }
        }
    }

    #[cfg(feature = "seeded-bugs")]
    pub(super) async fn remove_slot(&self, path: &str) -> Result<(), StoreError> {
        let full = format!("{}{path}", self.base);
        let removed = match &self.backend {
            Backend::Local(folder) => folder.remove(full).await,
            Backend::Objects(objects) => objects.remove(&full).await,
        };
        match removed {
            Err(Failure::Final(error)) => Err(error),
            _ => Ok(()),
        }
    }

    /// Proves that the store honours put-if-absent, and removes what killed processes left behind.
    ///
    /// # Errors
    ///
    /// [`StoreError::IgnoresPutIfAbsent`], or that the store cannot be written to.
    pub async fn self_test(&self) -> Result<(), StoreError> {
        if let Backend::Local(folder) = &self.backend {
            folder.sweep().await;
        }
        self_test::run(self).await
    }

    /// Waits before attempt `attempt`, counted from 1.
    pub(super) async fn pause(&self, attempt: u32) {
        self.retry.pause(attempt).await;
    }

    /// How often anything is tried.
    pub(super) fn attempts_max(&self) -> u32 {
        self.retry.attempts_max()
    }
}

impl fmt::Debug for Store {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Store({})", self.name(""))
    }
}
