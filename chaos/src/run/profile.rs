//! How much is done: which faults, how often, for how long.

use std::time::Duration;

use clap::ValueEnum;

use super::catalogue::{Entry, Way};

/// A choice of faults.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Profile {
    /// Some faults that need no rights, in two minutes
    Smoke,
    /// Every fault once, in 20 to 40 minutes
    Standard,
    /// Every fault many times, for hours
    Brutal,
    /// What happens to regions, and to whoever coordinates
    RegionLoss,
    /// Faults to one node again and again, for hours
    Soak,
}

/// Faults of `smoke`: of each class some that every machine allows.
const SMOKE: [&str; 7] = ["P1", "P5", "P8", "P10", "O1", "U1", "W4"];

impl Profile {
    /// Its name on the command line.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Smoke => "smoke",
            Self::Standard => "standard",
            Self::Brutal => "brutal",
            Self::RegionLoss => "region-loss",
            Self::Soak => "soak",
        }
    }

    /// Whether a fault belongs to it.
    pub fn has(self, entry: &Entry) -> bool {
        match self {
            Self::Smoke => SMOKE.contains(&entry.id),
            Self::Standard | Self::Brutal => true,
            Self::RegionLoss => entry.class() == "regions",
            Self::Soak => entry.ways.iter().any(|way| matches!(way, Way::World(_))),
        }
    }

    /// Whether a fault is done in this way too: some are done in more than one, and experiments take longer than two minutes.
    pub const fn does(self, way: &Way) -> bool {
        !matches!((self, way), (Self::Smoke, Way::Experiment(_) | Way::Simulation(_)))
    }

    /// How often each fault is done to a world, each time with another seed.
    pub const fn times(self) -> u32 {
        match self {
            Self::Smoke | Self::Standard | Self::RegionLoss => 1,
            Self::Brutal => 5,
            Self::Soak => 100,
        }
    }

    /// Kills of a `crash`.
    pub(super) const fn kills(self) -> u32 {
        match self {
            Self::Smoke => 5,
            Self::Brutal => 1000,
            _ => 40,
        }
    }

    /// Points of each call of a `syscalls`; all if `None`.
    pub(super) const fn points(self) -> Option<usize> {
        match self {
            Self::Brutal => None,
            Self::Smoke => Some(1),
            _ => Some(4),
        }
    }

    /// Seeds of a simulation.
    pub(super) const fn seeds(self) -> u64 {
        match self {
            Self::Smoke => 2,
            Self::Brutal => 200,
            _ => 20,
        }
    }

    /// Rounds of an experiment with so many kinds of faults.
    pub(super) fn rounds(self, kinds: usize) -> u32 {
        let kinds = u32::try_from(kinds).unwrap_or(u32::MAX);
        match self {
            Self::Brutal => kinds.saturating_mul(5),
            _ => kinds.max(1),
        }
    }

    /// How long a region is away; as the experiment draws it if `None`.
    pub(super) const fn outage(self) -> Option<Duration> {
        match self {
            Self::RegionLoss => Some(Duration::from_secs(60)),
            _ => None,
        }
    }
}
