//! Whether whoever tells a node what to do works on the node's own dataset.
//!
//! Two machines may each have a folder of one name, or a bucket of another service: their coordinators would share out work
//! of one and have it written to the other. A coordinator has put its lease into its dataset, so a node that finds it in
//! its own knows that both are one.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use orrery_actors::dataset::Store;
use orrery_supervisor::cluster::lease::Epoch;
use orrery_supervisor::{Clock, MonotonicTime};
use tokio::sync::Mutex;

use super::lease::{self, path};
use super::message::Assignment;

/// A store that does not answer sooner is asked again with the next assignment.
const ANSWER_WITHIN: Duration = Duration::from_secs(1);

/// For so long a coordinator of another dataset is taken for one: its lease may come with a store that lags behind, or with a
/// disk that is mounted later.
const DIFFERS_FOR: Duration = Duration::from_secs(5);

/// Coordinators that are remembered: more than one at a time is rare already.
const KNOWN_MAX: usize = 16;

/// Looks up leases.
pub(super) struct SameDataset {
    dataset: Store,
    clock: Arc<dyn Clock>,
    /// What was found of a coordinator, by its epoch and identity.
    known: Mutex<BTreeMap<(u64, String), Found>>,
}

#[derive(Clone, Debug)]
struct Found {
    /// Why it is not listened to, if so. Whose lease was found once is not asked after again: leases do not change.
    reason: Option<String>,
    at: MonotonicTime,
}

impl SameDataset {
    /// For a node of this dataset.
    pub(super) fn new(dataset: Store, clock: Arc<dyn Clock>) -> Self {
        Self { dataset, clock, known: Mutex::default() }
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
        let before = known.get(&key);
        let now = self.clock.now();
        if let Some(found) = before
            && (found.reason.is_none() || now.since(found.at) < DIFFERS_FOR)
        {
            return Ok(found.reason.clone());
        }
        let Some(epoch) = Epoch::new(epoch) else { return Err("no lease has epoch 0".to_owned()) };
        let read = tokio::time::timeout(ANSWER_WITHIN, lease::holder(&self.dataset, epoch)).await;
        let holder = match read {
            Ok(Ok(holder)) => holder,
            Ok(Err(error)) => return Err(error.to_string()),
            Err(_) => return Err(format!("the dataset did not answer in {} s", ANSWER_WITHIN.as_secs())),
        };
        let found = self.judge(coordinator, epoch, holder.as_deref());
        match (&found, before.and_then(|before| before.reason.as_ref())) {
            (Some(reason), said) if Some(reason) != said => {
                tracing::error!(coordinator, reason, "the coordinator of another dataset is not heard");
            }
            (None, Some(_)) => {
                tracing::info!(coordinator, "the coordinator's lease is in this node's dataset now")
            }
            (Some(_) | None, _) => {}
        }
        if known.len() >= KNOWN_MAX {
            known.clear();
        }
        known.insert(key, Found { reason: found.clone(), at: now });
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
        let (next, to) = (None, None);
        Assignment {
            epoch,
            coordinator,
            network,
            tasks,
            next,
            to,
            is_complete: false,
            is_outvoted: false,
            regions: None,
        }
    }

    /// Goes when it is told to.
    #[derive(Default)]
    struct Told(std::sync::Mutex<Duration>);

    impl Clock for Told {
        fn now(&self) -> MonotonicTime {
            MonotonicTime::ORIGIN.after(*self.0.lock().unwrap())
        }
    }

    #[tokio::test]
    async fn only_who_has_put_its_lease_into_our_dataset_is_listened_to() {
        let folder = tempfile::tempdir().unwrap();
        let url: DatasetUrl = format!("file://{}", folder.path().display()).parse().unwrap();
        let store = Store::connect(&url, &|_| None, Retry::new(1).unwrap()).unwrap();
        let lease = |holder: &str| format!(r#"{{"holder":"{holder}"}}"#).into_bytes();
        store.put_create(&path(Epoch::new(3).unwrap()), lease("a.7").into()).await.unwrap();
        let clock = Arc::new(Told::default());
        let same = SameDataset::new(store.clone(), clock.clone());
        assert_eq!(same.refuses(&assignment(3, "a.7")).await, Ok(None));
        let check = async |epoch, coordinator, expect: &str| {
            let refused = same.refuses(&assignment(epoch, coordinator)).await.unwrap().unwrap();
            assert!(refused.contains(expect), "{refused}");
        };
        check(3, "b.9", "is a.7's, not b.9's").await;
        check(4, "a.7", "is not there").await;
        assert!(same.refuses(&assignment(0, "a.7")).await.is_err());
        // A lease that comes later is found, if not at once.
        store.put_create(&path(Epoch::new(4).unwrap()), lease("a.7").into()).await.unwrap();
        check(4, "a.7", "is not there").await;
        *clock.0.lock().unwrap() = DIFFERS_FOR;
        assert_eq!(same.refuses(&assignment(4, "a.7")).await, Ok(None));
        check(3, "b.9", "is a.7's, not b.9's").await;
    }
}
