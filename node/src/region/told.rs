//! What a node knows of its region and of the others, as its coordinator told it last.

use std::time::Duration;

use orrery_actors::region::report::RegionReport;
use orrery_actors::region::traffic::TrafficView;
use orrery_actors::region::{PeerState, RegionView, ReplicationState};
use orrery_supervisor::MonotonicTime;
use serde_json::{Value, json};
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

    /// Takes what the coordinator says. Whether this region has lost traffic by it: its readers are to go elsewhere.
    pub(crate) fn tell(&self, view: &RegionView, now: MonotonicTime) -> bool {
        telemetry::set_regions(view);
        let has = |view: &RegionView| view.traffic.as_ref().is_some_and(|traffic| traffic.has);
        let before = self.told.send_replace(Told { view: view.clone(), at: Some(now) });
        has(&before.view) && view.traffic.is_some() && !has(view)
    }

    /// Where traffic belongs; `None` before it was told.
    pub(crate) fn traffic(&self) -> Option<TrafficView> {
        self.told.borrow().view.traffic.clone()
    }

    /// Why traffic belongs to another region, if so.
    pub(crate) fn elsewhere(&self) -> Option<String> {
        if !self.is_region {
            return None;
        }
        let Some(traffic) = self.traffic() else {
            return Some("no coordinator has said yet where traffic belongs".to_owned());
        };
        let others = traffic.regions.iter().filter(|region| region.has && region.region != traffic.region);
        let others: Vec<_> = others.map(|region| region.region.as_str()).collect();
        match (traffic.has, others.is_empty()) {
            (true, _) => None,
            (false, false) => Some(format!("traffic belongs to {}", others.join(" and "))),
            (false, true) => Some("no region has traffic yet: this one listens to the others".to_owned()),
        }
    }

    /// The answer of a node that has traffic, with its region's weight and its share among those that have traffic too.
    pub(crate) fn with_share(&self, mut answer: Value) -> Value {
        if let Some(traffic) = self.traffic() {
            let own = traffic.regions.iter().find(|region| region.region == traffic.region);
            answer["region"] = json!(traffic.region);
            answer["weight"] = json!(own.and_then(|region| region.weight));
            answer["share"] = json!(traffic.share(&traffic.region));
        }
        answer
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
        let view = &self.told.borrow().view;
        let traffic = view.traffic.iter().flat_map(|traffic| traffic.concerns.iter().cloned());
        view.peers.iter().filter_map(warning).chain(traffic).collect()
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
