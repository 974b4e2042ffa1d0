//! Whether whoever tells a node what to do works on the node's own dataset.
//!
//! Two machines may each have a folder of one name, or a bucket of another service: their coordinators would share out work
//! of one and have it written to the other. A coordinator has put its lease into its dataset, so a node that finds it in
//! its own knows that both are one.

use std::collections::BTreeMap;
use std::time::Duration;

use orrery_actors::dataset::Store;
use orrery_supervisor::cluster::lease::Epoch;
use tokio::sync::Mutex;

use super::lease::{self, path};
use super::message::Assignment;

/// A store that does not answer sooner is asked again with the next assignment.
const ANSWER_WITHIN: Duration = Duration::from_secs(1);

/// Coordinators that are remembered: more than one at a time is rare already.
const KNOWN_MAX: usize = 16;

/// Looks up leases.
pub(super) struct SameDataset {
    dataset: Store,
    /// What was found of a coordinator, by its epoch and identity: why it is not listened to, if so.
    known: Mutex<BTreeMap<(u64, String), Option<String>>>,
}

impl SameDataset {
    /// For a node of this dataset.
    pub(super) fn new(dataset: Store) -> Self {
        Self { dataset, known: Mutex::default() }
    }

    /// Why an assignment is not for this node; `None` if it is.
    ///
    /// # Errors
    ///
    /// It cannot be told now.
    pub(super) async fn refuses(&self, assignment: &Assignment) -> Result<Option<String>, String> {
        let found = self.differs(assignment.epoch, &assignment.coordinator).await?;
        if let Some(reason) = &found {
            tracing::debug!(coordinator = assignment.coordinator, reason, "assignment refused");
        }
        Ok(found)
    }

    /// Why whoever has this lease works on another dataset; `None` if it is this one.
    ///
    /// # Errors
    ///
    /// It cannot be told now.
    pub(super) async fn differs(&self, epoch: u64, coordinator: &str) -> Result<Option<String>, String> {
        let mut known = self.known.lock().await;
        let key = (epoch, coordinator.to_owned());
        if let Some(found) = known.get(&key) {
            return Ok(found.clone());
        }
        let Some(epoch) = Epoch::new(epoch) else { return Err("no lease has epoch 0".to_owned()) };
        let read = tokio::time::timeout(ANSWER_WITHIN, lease::holder(&self.dataset, epoch)).await;
        let holder = match read {
            Ok(Ok(holder)) => holder,
            Ok(Err(error)) => return Err(error.to_string()),
            Err(_) => return Err(format!("the dataset did not answer in {} s", ANSWER_WITHIN.as_secs())),
        };
        let found = self.judge(coordinator, epoch, holder.as_deref());
        if let Some(reason) = &found {
            tracing::error!(coordinator, reason, "the coordinator of another dataset is not heard");
        }
        if known.len() >= KNOWN_MAX {
            known.clear();
        }
        known.insert(key, found.clone());
        Ok(found)
    }

    fn judge(&self, coordinator: &str, epoch: Epoch, holder: Option<&str>) -> Option<String> {
        if holder == Some(coordinator) {
            return None;
        }
        let lease = path(epoch);
        let found = holder.map_or_else(
            || "is not there".to_owned(),
            |holder| format!("is {holder}'s, not {coordinator}'s"),
        );
        Some(format!(
            "the coordinator {coordinator} writes to another dataset than this node's {}: {lease} {found}; give every node of \
             a cluster the same dataset, one that all of them reach",
            self.dataset.place().unwrap_or("memory")
        ))
    }
}

#[cfg(test)]
mod tests {
    use orrery_actors::dataset::{DatasetUrl, Retry};

    use super::*;

    fn assignment(epoch: u64, coordinator: &str) -> Assignment {
        let (network, tasks) = (String::new(), Vec::new());
        let coordinator = coordinator.to_owned();
        Assignment { epoch, coordinator, network, tasks, next: None, to: None, is_complete: false }
    }

    #[tokio::test]
    async fn only_who_has_put_its_lease_into_our_dataset_is_listened_to() {
        let folder = tempfile::tempdir().unwrap();
        let url: DatasetUrl = format!("file://{}", folder.path().display()).parse().unwrap();
        let store = Store::connect(&url, &|_| None, Retry::new(1).unwrap()).unwrap();
        let lease = br#"{"holder":"a.7"}"#.to_vec();
        store.put_create(&path(Epoch::new(3).unwrap()), lease.into()).await.unwrap();
        let same = SameDataset::new(store);
        assert_eq!(same.refuses(&assignment(3, "a.7")).await, Ok(None));
        let check = async |epoch, coordinator, expect: &str| {
            let refused = same.refuses(&assignment(epoch, coordinator)).await.unwrap().unwrap();
            assert!(refused.contains(expect), "{refused}");
            assert_eq!(same.refuses(&assignment(epoch, coordinator)).await, Ok(Some(refused)));
        };
        check(3, "b.9", "is a.7's, not b.9's").await;
        check(4, "a.7", "is not there").await;
        assert!(same.refuses(&assignment(0, "a.7")).await.is_err());
    }
}
