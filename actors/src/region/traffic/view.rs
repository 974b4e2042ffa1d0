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
