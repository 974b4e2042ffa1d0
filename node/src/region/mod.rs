//! Other regions: the settings, the links to them, and what keeps this region equal to them.

mod settings;
mod told;
mod link;
mod serve;
mod replication;

pub(crate) use replication::Replication;
pub(crate) use serve::RegionService;
pub(crate) use settings::RegionSettings;
pub(crate) use told::Regions;
