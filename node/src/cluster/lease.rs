//! Where coordinators' leases are: `_orrery/leases/<epoch>.json` in the dataset, created once and never changed.

use std::sync::Arc;

use futures::FutureExt;
use futures::future::{BoxFuture, try_join_all};
use orrery_actors::dataset::{Put, Store};
use orrery_supervisor::ChildSpec;
use orrery_supervisor::Clock;
use orrery_supervisor::cluster::NodeIdentity;
use orrery_supervisor::cluster::lease::{
    Coordination, Created, Epoch, Lease, LeaseStore, LeaseStoreError, LeaseTimings, keep,
};
use orrery_supervisor::cluster::membership::Members;
use serde::{Deserialize, Serialize};
use tokio::sync::watch;

/// Folder in the dataset.
const FOLDER: &str = "_orrery/leases/";

/// A lease has some dozen bytes.
const LEASE_BYTES_MAX: u64 = 4096;

/// Old leases that are deleted at a time.
const DELETIONS_MAX: usize = 8;

/// Leases of a dataset's coordinators.
struct DatasetLeases(Store);

/// What is in a lease's object.
#[derive(Debug, Serialize, Deserialize)]
struct Stored {
    holder: String,
}

impl LeaseStore for DatasetLeases {
    fn create<'a>(&'a self, lease: &'a Lease) -> BoxFuture<'a, Result<Created, LeaseStoreError>> {
        async move {
            let stored = Stored { holder: lease.holder.to_string() };
            let bytes = serde_json::to_vec(&stored).map_err(failed)?;
            match self.0.put_create(&path(lease.epoch), bytes.into()).await.map_err(failed)? {
                Put::Created => Ok(Created::Created),
                Put::Exists => Ok(Created::Exists),
                Put::Unknown => Err(LeaseStoreError("no clear answer".to_owned())),
            }
        }
        .boxed()
    }

    fn newest(&self) -> BoxFuture<'_, Result<Option<Lease>, LeaseStoreError>> {
        async move {
            let listed = self.0.list(FOLDER).await.map_err(failed)?;
            let epochs = listed.iter().filter_map(|object| epoch(&object.name));
            let Some(epoch) = epochs.max() else { return Ok(None) };
            let lease = self.get(epoch).await?;
            lease.map(Some).ok_or_else(|| LeaseStoreError(format!("lease {epoch} is listed and not there")))
        }
        .boxed()
    }

    fn get(&self, epoch: Epoch) -> BoxFuture<'_, Result<Option<Lease>, LeaseStoreError>> {
        async move {
            let bytes = self.0.read(&path(epoch), LEASE_BYTES_MAX).await.map_err(failed)?;
            let Some(bytes) = bytes else { return Ok(None) };
            let stored: Stored = serde_json::from_slice(&bytes).map_err(failed)?;
            let holder: NodeIdentity = stored.holder.parse().map_err(failed)?;
            Ok(Some(Lease { epoch, holder }))
        }
        .boxed()
    }

    fn forget(&self, before: Epoch) -> BoxFuture<'_, Result<usize, LeaseStoreError>> {
        async move {
            let listed = self.0.list(FOLDER).await.map_err(failed)?;
            let epochs = listed.iter().filter_map(|object| epoch(&object.name));
            let old: Vec<String> = epochs.filter(|epoch| *epoch < before).map(path).collect();
            for some in old.chunks(DELETIONS_MAX) {
                try_join_all(some.iter().map(|path| self.0.remove_own(path))).await.map_err(failed)?;
            }
            Ok(old.len())
        }
        .boxed()
    }
}

/// Who holds the lease of an epoch; `None` if nobody has taken it.
pub(super) async fn holder(dataset: &Store, epoch: Epoch) -> Result<Option<String>, LeaseStoreError> {
    let lease = DatasetLeases(dataset.clone()).get(epoch).await?;
    Ok(lease.map(|lease| lease.holder.to_string()))
}

fn failed(error: impl std::fmt::Display) -> LeaseStoreError {
    LeaseStoreError(error.to_string())
}

/// Where the lease of an epoch is.
pub(super) fn path(epoch: Epoch) -> String {
    format!("{FOLDER}{:020}.json", epoch.get())
}

fn epoch(name: &str) -> Option<Epoch> {
    let name = name.rsplit('/').next().unwrap_or(name);
    name.strip_suffix(".json")?.parse().ok().and_then(Epoch::new)
}

/// The child that takes part in the contest for the lease; who holds it is told to `coordination`.
pub(super) fn child(
    me: NodeIdentity,
    store: Store,
    members: watch::Receiver<Members>,
    clock: Arc<dyn Clock>,
    coordination: watch::Sender<Coordination>,
) -> ChildSpec {
    ChildSpec::task("lease", move |_| {
        let (me, members, clock) = (me.clone(), members.clone(), clock.clone());
        let (store, coordination) = (Arc::new(DatasetLeases(store.clone())), coordination.clone());
        Ok(Box::pin(async move {
            keep(me, LeaseTimings::default(), store, members, clock, coordination).await;
            // The membership has ended, and so does the node: that is no failure of this child.
            std::future::pending().await
        }))
    })
}

#[cfg(test)]
mod tests {
    use orrery_actors::dataset::{DatasetUrl, Retry};

    use super::*;

    #[test]
    fn names_of_leases_are_their_epochs() {
        let check =
            |name: &str, expect: Option<u64>| assert_eq!(epoch(name).map(Epoch::get), expect, "{name}");
        let seven = Epoch::new(7).unwrap();
        check(&path(seven), Some(7));
        check("00000000000000000007.json", Some(7));
        check("00000000000000000000.json", None);
        check("x.json", None);
        check("00000000000000000007", None);
    }

    #[tokio::test]
    async fn leases_are_created_once_found_and_deleted_up_to_an_epoch() {
        let store = Store::connect(&DatasetUrl::Memory, &|_| None, Retry::new(1).unwrap()).unwrap();
        let leases = DatasetLeases(store);
        let number = |number| Epoch::new(number).unwrap();
        let lease = |epoch, holder: &str| Lease { epoch: number(epoch), holder: holder.parse().unwrap() };
        assert_eq!(leases.newest().await, Ok(None));
        for epoch in 1..=12 {
            assert_eq!(leases.create(&lease(epoch, "a.1")).await, Ok(Created::Created));
        }
        assert_eq!(leases.create(&lease(12, "b.1")).await, Ok(Created::Exists));
        assert_eq!(leases.newest().await, Ok(Some(lease(12, "a.1"))));
        assert_eq!(leases.get(number(13)).await, Ok(None));
        assert_eq!(leases.forget(number(11)).await, Ok(10));
        assert_eq!(leases.forget(number(11)).await, Ok(0));
        assert_eq!(leases.get(number(10)).await, Ok(None));
        assert_eq!(leases.get(number(11)).await, Ok(Some(lease(11, "a.1"))));
        assert_eq!(leases.newest().await, Ok(Some(lease(12, "a.1"))));
    }
}
