//! Other regions: the settings, the links to them, and what keeps this region equal to them.

mod settings;

pub(crate) use settings::{PeerSettings, RegionSettings};
