//! Regions as `orrery regions --output json` and `GET /v1/regions` show them.

use orrery_actors::region::PeerState;
use orrery_actors::region::report::RegionReport;
use orrery_actors::region::traffic::RegionTraffic;
use orrery_supervisor::MonotonicTime;
use serde_json::{Value, json};

use super::told::Regions;

impl Regions {
    /// This region first, then its peers in the order of the configuration.
    pub(crate) fn shown(&self, now: MonotonicTime) -> Value {
        let told = self.subscribe().borrow().clone();
        let view = &told.view;
        let traffic = view.traffic.as_ref();
        let regions = traffic.map(|traffic| traffic.regions.as_slice()).unwrap_or_default();
        let rows = regions.iter().map(|region| {
            let peer = view.peers.iter().find(|peer| peer.region == region.region);
            let is_own = traffic.is_some_and(|traffic| traffic.region == region.region);
            let report = if is_own { view.own.as_ref() } else { peer.and_then(|peer| peer.report.as_ref()) };
            let share = traffic.map_or(0.0, |traffic| traffic.share(&region.region));
            row(region, share, is_own, peer, report)
        });
        json!({
            "region": traffic.map(|traffic| &traffic.region),
            "traffic": traffic.is_some_and(|traffic| traffic.has),
            "traffic_since_seconds": traffic.map(|traffic| traffic.since_seconds),
            "decision": traffic.and_then(|traffic| traffic.decision.as_ref()),
            "concerns": traffic.map(|traffic| traffic.concerns.clone()).unwrap_or_default(),
            "only_here_ledgers": view.only_here_ledgers(),
            "told_seconds_ago": told.at.map(|at| now.since(at).as_secs()),
            "regions": rows.collect::<Vec<_>>(),
        })
    }
}

fn row(
    region: &RegionTraffic,
    share: f64,
    is_own: bool,
    peer: Option<&PeerState>,
    report: Option<&RegionReport>,
) -> Value {
    let durable = report.and_then(|report| report.durable);
    json!({
        "region": region.region,
        "own": is_own,
        "traffic": region.has,
        "priority": region.priority,
        "weight": region.weight,
        "share": share,
        "state": region.state.as_str(),
        "why": region.why,
        "ready": report.map(|report| report.ready),
        "reasons": report.map(|report| report.reasons.clone()).unwrap_or_default(),
        "version": report.map(|report| report.version.as_str()),
        "tip": durable.map(|durable| durable.ledger),
        "tip_closed_at": durable.map(|durable| durable.closed_at.to_string()),
        // What this region lacks of the other; less than nothing if the other one is behind.
        "lag_ledgers": peer.map(|peer| peer.lag_ledgers),
        "lag_seconds": peer.map(|peer| peer.lag_seconds),
        "replica": peer.map(|peer| peer.state.as_str()),
        "detail": peer.and_then(|peer| peer.detail.as_deref()),
        "mode": peer.map(|peer| peer.mode.as_str()),
        "heard_ms_ago": peer.map(|peer| peer.heard_ms_ago),
        "hears": report.map(|report| report.heard.clone()).unwrap_or_default(),
        "equal_slots": peer.map(|peer| peer.equal_slots.clone()),
        "bytes_copied": peer.map(|peer| peer.bytes_copied),
        "differences": peer.map(|peer| peer.differences),
    })
}
