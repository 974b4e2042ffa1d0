//! Key: `<pipeline>` as text. Value: `{"reason": "..."}`.

use serde::{Deserialize, Serialize};

use super::{all, get, put, written};
use crate::checkpoint::StateError;

/// Pipelines that were parked and not resumed: a restarted node leaves them parked.
#[derive(Clone, Debug)]
pub struct Parked(sled::Tree);

#[derive(Serialize, Deserialize)]
struct Stored {
    reason: String,
}

impl Parked {
    pub(crate) const fn new(tree: sled::Tree) -> Self {
        Self(tree)
    }

    /// Notes that `pipeline` is parked.
    ///
    /// # Errors
    ///
    /// [`StateError`] of the disk.
    pub fn park(&self, pipeline: &str, reason: &str) -> Result<(), StateError> {
        put(&self.0, pipeline.as_bytes(), &Stored { reason: reason.to_owned() })?;
        self.0.flush().map(drop).map_err(written)
    }

    /// Notes that it is not; says whether it was.
    ///
    /// # Errors
    ///
    /// [`StateError`] of the disk.
    pub fn resume(&self, pipeline: &str) -> Result<bool, StateError> {
        let was = self.0.remove(pipeline).map_err(written)?.is_some();
        self.0.flush().map_err(written)?;
        Ok(was)
    }

    /// Why `pipeline` is parked, if it is.
    ///
    /// # Errors
    ///
    /// [`StateError`] of the disk.
    pub fn reason(&self, pipeline: &str) -> Result<Option<String>, StateError> {
        Ok(get::<Stored>(&self.0, pipeline.as_bytes())?.map(|stored| stored.reason))
    }

    /// All of them, with the reasons.
    ///
    /// # Errors
    ///
    /// [`StateError`] of the disk.
    pub fn list(&self) -> Result<Vec<(String, String)>, StateError> {
        let named =
            |(key, stored): (sled::IVec, Stored)| (String::from_utf8_lossy(&key).into_owned(), stored.reason);
        Ok(all::<Stored>(&self.0)?.into_iter().map(named).collect())
    }
}
