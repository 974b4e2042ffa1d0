//! Key: `<pipeline>`, or `<pipeline>/<task>`, as text. Value: `{"reason": "..."}`, or `{"reason": null}` of one that runs.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{all, get, put, written};
use crate::checkpoint::StateError;

/// The node's pipelines, and those that were parked and not resumed: a restarted node leaves them parked.
#[derive(Clone, Debug)]
pub struct Parked(sled::Tree);

#[derive(Serialize, Deserialize)]
struct Stored {
    reason: Option<String>,
}

impl Parked {
    pub(crate) const fn new(tree: sled::Tree) -> Self {
        Self(tree)
    }

    /// Notes that the node has `pipeline`, and none of another name but for those that are parked.
    ///
    /// # Errors
    ///
    /// [`StateError`] of the disk.
    pub fn know(&self, pipeline: &str) -> Result<(), StateError> {
        let all = all::<Stored>(&self.0)?;
        if all.iter().all(|(key, _)| key != pipeline.as_bytes()) {
            put(&self.0, pipeline.as_bytes(), &Stored { reason: None })?;
        }
        let others =
            all.into_iter().filter(|(key, stored)| key != pipeline.as_bytes() && stored.reason.is_none());
        for (key, _) in others {
            self.0.remove(key).map_err(written)?;
        }
        self.0.flush().map(drop).map_err(written)
    }

    /// Notes that `pipeline` is parked.
    ///
    /// # Errors
    ///
    /// [`StateError`] of the disk.
    pub fn park(&self, pipeline: &str, reason: &str) -> Result<(), StateError> {
        put(&self.0, pipeline.as_bytes(), &Stored { reason: Some(reason.to_owned()) })?;
        self.0.flush().map(drop).map_err(written)
    }

    /// Notes that it is not; says whether it was.
    ///
    /// # Errors
    ///
    /// [`StateError`] of the disk.
    pub fn resume(&self, pipeline: &str) -> Result<bool, StateError> {
        if self.reason(pipeline)?.is_none() {
            return Ok(false);
        }
        put(&self.0, pipeline.as_bytes(), &Stored { reason: None })?;
        self.0.flush().map_err(written)?;
        Ok(true)
    }

    /// Why `pipeline` is parked, if it is.
    ///
    /// # Errors
    ///
    /// [`StateError`] of the disk.
    pub fn reason(&self, pipeline: &str) -> Result<Option<String>, StateError> {
        Ok(get::<Stored>(&self.0, pipeline.as_bytes())?.and_then(|stored| stored.reason))
    }

    /// As [`Self::resume`], with all tasks of the pipeline.
    ///
    /// # Errors
    ///
    /// [`StateError`] of the disk.
    pub fn resume_all(&self, pipeline: &str) -> Result<bool, StateError> {
        let is_meant = |name: &String| *name == pipeline || task_of(name, pipeline).is_some();
        let names: Vec<_> = self.reasons()?.into_keys().filter(is_meant).collect();
        for name in &names {
            self.resume(name)?;
        }
        Ok(!names.is_empty())
    }

    /// Names of what is parked, pipelines and tasks, each with its reason.
    ///
    /// # Errors
    ///
    /// [`StateError`] of the disk.
    pub fn reasons(&self) -> Result<BTreeMap<String, String>, StateError> {
        let parked = |(key, stored): (sled::IVec, Stored)| {
            stored.reason.map(|reason| (String::from_utf8_lossy(&key).into_owned(), reason))
        };
        Ok(all::<Stored>(&self.0)?.into_iter().filter_map(parked).collect())
    }

    /// Names of the node's pipelines, as of its last run.
    ///
    /// # Errors
    ///
    /// [`StateError`] of the disk.
    pub fn pipelines(&self) -> Result<Vec<String>, StateError> {
        let named = |(key, _): (sled::IVec, Stored)| String::from_utf8_lossy(&key).into_owned();
        let names = all::<Stored>(&self.0)?.into_iter().map(named);
        Ok(names.filter(|name| !name.contains('/')).collect())
    }
}

/// As what a task of a pipeline is parked.
pub fn name_of_task(pipeline: &str, task: &str) -> String {
    format!("{pipeline}/{task}")
}

/// The task of `pipeline` that is parked as `name`, if it is one.
pub fn task_of<'a>(name: &'a str, pipeline: &str) -> Option<&'a str> {
    name.strip_prefix(pipeline)?.strip_prefix('/')
}
