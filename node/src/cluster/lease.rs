//! Where coordinators' leases are: `_orrery/leases/<epoch>.json` in the dataset, created once and never changed.

use std::sync::Arc;

use futures::FutureExt;
use futures::future::BoxFuture;
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
            let holder = holder(&self.0, epoch).await?;
            let holder =
                holder.ok_or_else(|| LeaseStoreError(format!("lease {epoch} is listed and not there")))?;
            Ok(Some(Lease { epoch, holder: holder.parse().map_err(failed)? }))
        }
        .boxed()
    }
}

/// Who holds the lease of an epoch, as written; `None` if nobody has taken it.
pub(super) async fn holder(dataset: &Store, epoch: Epoch) -> Result<Option<String>, LeaseStoreError> {
    let Some(bytes) = dataset.read(&path(epoch), LEASE_BYTES_MAX).await.map_err(failed)? else {
        return Ok(None);
    };
    let stored: Stored = serde_json::from_slice(&bytes).map_err(failed)?;
    Ok(Some(stored.holder))
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
            Ok(())
        }))
    })
}

#[cfg(test)]
mod tests {
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
}
