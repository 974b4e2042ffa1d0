//! The API over what is durable: events, ledgers, assets, exports; and what the node says of itself.
//!
//! Answers come from the dataset's files by page index, statistics and Bloom filters. A page is cut short rather than late:
//! when its time is over it says where to go on.

mod query;
mod answer;
mod limits;
mod events;
mod ledgers;
mod volumes;
mod assets;
mod export;
mod node;
mod actors;
mod operate;
mod regions;
mod schemas;

use std::sync::Arc;

use orrery_actors::dataset::{DatasetError, DatasetErrorClass, DatasetView, Snapshot};
use orrery_schemas::LedgerSequence;
use tokio::sync::Semaphore;

use super::Api;
use super::problem::Problem;
use super::router::Endpoint;
use crate::readiness::Readiness;
use limits::{EXPORTS_MAX, PAGES_MAX};

pub(super) use schemas::{frames, schemas, subscription};

/// What handlers share.
pub(super) struct Rest {
    readiness: Arc<Readiness>,
    volumes: volumes::Volumes,
    kept: answer::Kept,
    looks: node::Looks,
    /// Pages that are being read at once.
    pages: Semaphore,
    exports: Arc<Semaphore>,
}

/// Everything that is served of it.
pub(super) fn endpoints(api: &Arc<Api>, answer_bytes_max: usize) -> Vec<Endpoint> {
    of(api.readiness.clone(), answer_bytes_max)
}

fn of(readiness: Arc<Readiness>, answer_bytes_max: usize) -> Vec<Endpoint> {
    let rest = Arc::new(Rest {
        readiness,
        volumes: volumes::Volumes::default(),
        kept: answer::Kept::new(answer_bytes_max),
        looks: node::Looks::default(),
        pages: Semaphore::new(PAGES_MAX),
        exports: Arc::new(Semaphore::new(EXPORTS_MAX)),
    });
    let groups = [
        events::endpoints(&rest),
        ledgers::endpoints(&rest),
        assets::endpoints(&rest),
        export::endpoints(&rest),
        node::endpoints(&rest),
        actors::endpoints(&rest),
        operate::endpoints(&rest),
        regions::endpoints(&rest),
    ];
    groups.into_iter().flatten().collect()
}

impl Rest {
    /// The dataset as it is now.
    fn dataset(&self) -> Result<(Arc<DatasetView>, Arc<Snapshot>), Problem> {
        let view = self.readiness.reach.dataset();
        let view = view.ok_or_else(|| {
            Problem::unavailable("this node has not opened the dataset yet, or does not reach it", 2)
        })?;
        let snapshot = view.snapshot();
        let snapshot = snapshot.ok_or_else(|| Problem::unavailable("the dataset has no tables yet", 2))?;
        Ok((view, snapshot))
    }

    /// The newest ledger that the feed has given to readers; 0 if there is none yet.
    fn live_tip(&self) -> LedgerSequence {
        self.readiness.feed.tips_now().tip_cursor().ledger
    }
}

/// A dataset that cannot be read.
fn unreadable(error: DatasetError) -> Problem {
    tracing::warn!(%error, "dataset cannot be read for the API");
    match error.class() {
        DatasetErrorClass::Unavailable => Problem::unavailable("the dataset's store does not answer", 5),
        _ => Problem::new(
            warp::http::StatusCode::INTERNAL_SERVER_ERROR,
            "dataset_unreadable",
            "a file of the dataset cannot be read: see the node's log, and `orrery verify`",
        ),
    }
}

/// The table, of a node that will never be there.
#[cfg(test)]
pub(super) fn endpoints_for_tests() -> Vec<Endpoint> {
    of(crate::readiness::tests::of_nobody(), 0)
}
