//! What all nodes of a region are told of traffic, and show.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::region::report::{Decision, RegionName};

/// Where traffic belongs, as this region sees it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TrafficView {
    /// This region.
    pub region: RegionName,
    /// Whether this region has traffic.
    pub has: bool,
    /// For how long that is so.
    pub since_seconds: u64,
    /// What a person decided last, if anybody did.
    pub decision: Option<Decision>,
    /// This region, then its peers in the order of the configuration.
    pub regions: Vec<RegionTraffic>,
    /// What is not as it should be, for people.
    pub concerns: Vec<String>,
}

impl TrafficView {
    /// The share of traffic that belongs to a region, from 0 to 1: of those that have traffic each has as much as its weight.
    pub fn share(&self, region: &RegionName) -> f64 {
        let weight = |region: &RegionTraffic| f64::from(region.weight.unwrap_or(1).max(1));
        let serving =
            || self.regions.iter().filter(|region| region.has && region.state != TrafficState::Unheard);
        let all: f64 = serving().map(weight).sum();
        serving().find(|it| it.region == *region).map_or(0.0, |it| weight(it) / all)
    }
}

/// How one region is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RegionTraffic {
    /// Which.
    pub region: RegionName,
    /// As it says; `None` before it was heard.
    pub priority: Option<u32>,
    /// Share among those of one priority, as it says.
    pub weight: Option<u32>,
    /// Whether it has traffic, as it said last.
    pub has: bool,
    /// How it is.
    pub state: TrafficState,
    /// Why it is so, in words; empty for what is well.
    pub why: String,
}

/// Whether a region may have traffic.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TrafficState {
    /// It may, and has been well for long enough.
    Stable,
    /// It is well, and not for long.
    Stabilising,
    /// Its ledgers are behind those of others.
    Behind,
    /// It says that it is not ready.
    NotReady,
    /// Nothing was heard of it for too long.
    Unheard,
}

impl TrafficState {
    /// For labels: a word that stays the same.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Stable => "stable",
            Self::Stabilising => "stabilising",
            Self::Behind => "behind",
            Self::NotReady => "not_ready",
            Self::Unheard => "unheard",
        }
    }

    /// Whether it may have traffic at all.
    pub const fn is_healthy(self) -> bool {
        matches!(self, Self::Stable | Self::Stabilising)
    }
}

impl fmt::Display for TrafficState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn regions_that_have_traffic_share_it_by_their_weights() {
        let region = |name: &str, weight, has, state| RegionTraffic {
            region: name.parse().unwrap(),
            priority: Some(1),
            weight,
            has,
            state,
            why: String::new(),
        };
        let check = |regions: &[(&str, Option<u32>, bool, TrafficState)], expect: &[f64]| {
            let regions: Vec<_> = regions.iter().map(|it| region(it.0, it.1, it.2, it.3)).collect();
            let names: Vec<_> = regions.iter().map(|region| region.region.clone()).collect();
            let view = TrafficView {
                region: names[0].clone(),
                has: true,
                since_seconds: 0,
                decision: None,
                regions,
                concerns: Vec::new(),
            };
            assert_eq!(names.iter().map(|name| view.share(name)).collect::<Vec<_>>(), expect);
        };
        let stable = TrafficState::Stable;
        check(&[("eu", Some(100), true, stable), ("us", Some(300), true, stable)], &[0.25, 0.75]);
        check(&[("eu", Some(100), true, stable), ("us", Some(300), false, stable)], &[1.0, 0.0]);
        check(
            &[("eu", Some(100), true, stable), ("us", Some(300), true, TrafficState::Unheard)],
            &[1.0, 0.0],
        );
        check(&[("eu", Some(100), false, stable), ("us", None, false, stable)], &[0.0, 0.0]);
        check(&[("eu", None, true, stable), ("us", Some(0), true, stable)], &[0.5, 0.5]);
    }
}
