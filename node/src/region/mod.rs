//! Other regions: the settings, the links to them, what keeps this region equal to them, and where traffic belongs.

mod decisions;
mod failover;
mod link;
mod replication;
mod serve;
mod settings;
mod shown;
mod told;
mod traffic;

pub(crate) use failover::{Move, Obstacle};
pub(crate) use replication::Replication;
pub(crate) use serve::RegionService;
pub(crate) use settings::RegionSettings;
pub(crate) use told::Regions;
pub(crate) use traffic::{TrafficDesk, Wanted};
