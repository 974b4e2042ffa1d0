//! What a node knows of its region and of the others, as its coordinator told it last.

use std::time::Duration;

use orrery_actors::region::report::RegionReport;
use orrery_actors::region::{PeerState, RegionView, ReplicationState};
use orrery_supervisor::MonotonicTime;
use tokio::sync::watch;

use crate::telemetry;

/// Clones are the same.
#[derive(Clone, Debug)]
pub(crate) struct Regions {
    is_region: bool,
    told: watch::Sender<Told>,
}

/// What was told, and when.
#[derive(Clone, Debug, Default)]
pub(crate) struct Told {
    pub(crate) view: RegionView,
    pub(crate) at: Option<MonotonicTime>,
}

impl Regions {
    /// Of a node that was not told anything; `is_region` says whether there are other regions at all.
    pub(crate) fn new(is_region: bool) -> Self {
        Self { is_region, told: watch::Sender::default() }
    }

    /// Whether this cluster is a region among others.
    pub(crate) const fn is_region(&self) -> bool {
        self.is_region
    }

    /// Takes what the coordinator says.
    pub(crate) fn tell(&self, view: &RegionView, now: MonotonicTime) {
        telemetry::set_regions(view);
        self.told.send_replace(Told { view: view.clone(), at: Some(now) });
    }

    /// What is known, and whenever it changes.
    pub(crate) fn subscribe(&self) -> watch::Receiver<Told> {
        self.told.subscribe()
    }

    /// This region's report, if it is not older.
    pub(crate) fn own_at_most(&self, age: Duration, now: MonotonicTime) -> Option<RegionReport> {
        let told = self.told.borrow();
        let is_fresh = told.at.is_some_and(|at| now.since(at) <= age);
        told.view.own.clone().filter(|_| is_fresh)
    }

    /// What a person should see to.
    pub(crate) fn warnings(&self) -> Vec<String> {
        self.told.borrow().view.peers.iter().filter_map(warning).collect()
    }
}

fn warning(peer: &PeerState) -> Option<String> {
    let (region, detail) = (&peer.region, peer.detail.as_deref().unwrap_or("no more is known"));
    Some(match peer.state {
        ReplicationState::Comparing | ReplicationState::Equal | ReplicationState::Copying => return None,
        ReplicationState::Unheard => format!("region {region} is not heard: {detail}"),
        ReplicationState::OtherLayout | ReplicationState::OtherTables => format!("region {region}: {detail}"),
        ReplicationState::Different => format!("region {region} and this one differ: {detail}"),
        ReplicationState::Untrue => format!("what region {region} says does not hold: {detail}"),
    })
}
