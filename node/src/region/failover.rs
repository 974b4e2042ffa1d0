//! Whether traffic can be moved to a region now, as this one sees it. Pure.

use orrery_actors::region::report::RegionName;
use orrery_actors::region::traffic::{RegionTraffic, TrafficState};
use orrery_actors::region::{PeerState, RegionView, ReplicationState};
use serde::{Deserialize, Serialize};

/// What an operator asks for.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Move {
    /// Where traffic is to belong; `None` goes back to priorities.
    pub(crate) region: Option<String>,
    /// At once, even if that region is behind.
    #[serde(default)]
    pub(crate) forced: bool,
    /// Why, for people.
    #[serde(default)]
    pub(crate) reason: String,
}

/// A move that can be made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Way {
    pub(crate) to: Option<RegionName>,
    /// Ledgers that are durable where traffic is and not there; `None` if that is not known.
    pub(crate) behind_ledgers: Option<u64>,
}

/// Why it cannot.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Obstacle {
    /// There is no such region.
    Unknown(String),
    /// Waiting does not help.
    Refused(String),
    /// It may.
    NotYet(String),
}

impl std::fmt::Display for Obstacle {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Unknown(why) | Self::Refused(why) | Self::NotYet(why) => f.write_str(why),
        }
    }
}

impl Move {
    /// Whether it can be made.
    ///
    /// # Errors
    ///
    /// What stands in its way, and what to do.
    pub(crate) fn check(&self, view: &RegionView) -> Result<Way, Obstacle> {
        let Some(traffic) = &view.traffic else {
            let why = "no coordinator has said yet where traffic belongs; is there a [region] in the configuration?";
            return Err(Obstacle::NotYet(why.to_owned()));
        };
        let Some(name) = &self.region else { return Ok(Way { to: None, behind_ledgers: None }) };
        let Some(region) = traffic.regions.iter().find(|region| region.region.as_str() == name) else {
            let known: Vec<_> = traffic.regions.iter().map(|region| region.region.as_str()).collect();
            return Err(Obstacle::Unknown(format!("no region `{name}`; there are {}", known.join(", "))));
        };
        match region.state {
            TrafficState::Unheard => {
                return Err(Obstacle::Refused(format!(
                    "{name}: {}: it would not hear of it, and have no traffic; see orrery regions",
                    region.why
                )));
            }
            TrafficState::NotReady => {
                return Err(Obstacle::NotYet(format!("{name} is not ready: see /readyz of its nodes")));
            }
            TrafficState::Stable | TrafficState::Stabilising | TrafficState::Behind => {}
        }
        let is_own = region.region == traffic.region;
        let has = |peer: &&PeerState| traffic.regions.iter().any(|it| it.region == peer.region && it.has);
        let compared: Vec<&PeerState> = match is_own {
            true => view.peers.iter().filter(has).collect(),
            false => view.peers.iter().filter(|peer| peer.region == region.region).collect(),
        };
        let behind_ledgers = behind(&compared, is_own);
        if !self.forced {
            compared.iter().try_for_each(|peer| is_equal(peer))?;
            is_level(region, behind_ledgers)?;
        }
        Ok(Way { to: Some(region.region.clone()), behind_ledgers })
    }
}

/// How far the region is behind that traffic is to go to: this one, or the peer that is compared.
fn behind(compared: &[&PeerState], is_own: bool) -> Option<u64> {
    let lags = compared.iter().map(|peer| peer.lag_ledgers.map(|lag| if is_own { lag } else { -lag }));
    let lags = lags.collect::<Option<Vec<i64>>>()?;
    Some(lags.into_iter().max().map_or(0, |lag| u64::try_from(lag).unwrap_or(0)))
}

/// What both have is equal.
fn is_equal(peer: &PeerState) -> Result<(), Obstacle> {
    use ReplicationState as State;
    let (name, detail) = (&peer.region, peer.detail.as_deref().unwrap_or("see orrery regions"));
    match peer.state {
        State::Equal | State::Copying | State::OtherLayout => Ok(()),
        State::Comparing => Err(Obstacle::NotYet(format!("{name} is being compared"))),
        State::Unheard => Err(Obstacle::NotYet(format!("{name} is not heard: {detail}"))),
        State::OtherTables | State::Different | State::Untrue => Err(Obstacle::Refused(format!(
            "{name} is not equal ({}): {detail}; --forced moves traffic all the same",
            peer.state.as_str()
        ))),
    }
}

/// About. What is heard is seconds old, and ledgers go on: a region takes traffic by plan only when it has itself all that it
/// heard of others, which is for the traffic core to say.
fn is_level(region: &RegionTraffic, behind_ledgers: Option<u64>) -> Result<(), Obstacle> {
    let name = &region.region;
    match behind_ledgers {
        Some(ledgers) if region.state == TrafficState::Behind => {
            Err(Obstacle::NotYet(format!("{name} is {ledgers} ledgers behind")))
        }
        Some(_) => Ok(()),
        None => Err(Obstacle::NotYet(format!("how far {name} is is not known yet"))),
    }
}

#[cfg(test)]
mod tests {
    use orrery_actors::region::ReplicationMode;
    use orrery_actors::region::traffic::TrafficView;

    use super::*;

    fn name(name: &str) -> RegionName {
        name.parse().unwrap()
    }

    /// Region `eu`, which has traffic, and its peer `us`.
    fn view(state: TrafficState, replica: ReplicationState, lag_ledgers: Option<i64>) -> RegionView {
        let region = |region: &str, has: bool, state| RegionTraffic {
            region: name(region),
            priority: Some(1),
            weight: Some(100),
            has,
            state,
            why: "not heard for 9 s".to_owned(),
        };
        let peer = PeerState {
            region: name("us"),
            mode: ReplicationMode::Recompute,
            state: replica,
            detail: Some("slot 7".to_owned()),
            heard_ms_ago: Some(10),
            report: None,
            lag_ledgers,
            lag_seconds: None,
            equal_slots: Vec::new(),
            bytes_copied: 0,
            differences: 0,
        };
        let traffic = TrafficView {
            region: name("eu"),
            has: true,
            since_seconds: 9,
            decision: None,
            regions: vec![region("eu", true, TrafficState::Stable), region("us", false, state)],
            concerns: Vec::new(),
        };
        RegionView { own: None, peers: vec![peer], traffic: Some(traffic) }
    }

    #[test]
    fn a_planned_move_waits_for_a_region_that_is_equal_and_not_far_behind_and_a_forced_one_does_not() {
        use ReplicationState::{Comparing, Different, Equal, OtherLayout};
        use TrafficState::{Behind, NotReady, Stable, Unheard};
        let check = |state, replica, lag, planned: Result<u64, &str>, forced: Result<Option<u64>, &str>| {
            let view = view(state, replica, lag);
            for (is_forced, expect) in [(false, planned.map(Some)), (true, forced)] {
                let wanted = Move { region: Some("us".to_owned()), forced: is_forced, reason: String::new() };
                let found = wanted.check(&view).map(|way| way.behind_ledgers);
                let found = found.map_err(|why| format!("{why:?}"));
                match expect {
                    Ok(expect) => assert_eq!(found, Ok(expect)),
                    Err(part) => assert!(found.clone().unwrap_err().contains(part), "{found:?}"),
                }
            }
        };
        check(Stable, Equal, Some(0), Ok(0), Ok(Some(0)));
        check(Stable, OtherLayout, Some(3), Ok(0), Ok(Some(0)));
        check(Stable, Equal, Some(-3), Ok(3), Ok(Some(3)));
        check(Behind, Equal, Some(-30), Err("NotYet(\"us is 30 ledgers behind"), Ok(Some(30)));
        check(Stable, Equal, None, Err("NotYet"), Ok(None));
        check(Stable, Comparing, Some(0), Err("NotYet"), Ok(Some(0)));
        check(Stable, Different, Some(0), Err("Refused(\"us is not equal (different): slot 7"), Ok(Some(0)));
        check(NotReady, Equal, Some(0), Err("NotYet"), Err("NotYet"));
        check(Unheard, Equal, Some(0), Err("Refused"), Err("not heard for 9 s"));
    }

    #[test]
    fn what_is_no_region_is_refused_with_those_there_are_and_priorities_are_always_there() {
        let view = view(TrafficState::Stable, ReplicationState::Equal, Some(0));
        let to = |region: Option<&str>| Move { region: region.map(str::to_owned), ..Move::default() };
        assert!(matches!(to(Some("ap")).check(&view), Err(Obstacle::Unknown(why)) if why.contains("eu, us")));
        assert_eq!(to(None).check(&view), Ok(Way { to: None, behind_ledgers: None }));
        // Nobody else has traffic.
        let own = Way { to: Some(name("eu")), behind_ledgers: Some(0) };
        assert_eq!(to(Some("eu")).check(&view), Ok(own));
        assert!(matches!(to(None).check(&RegionView::default()), Err(Obstacle::NotYet(_))));
    }
}
