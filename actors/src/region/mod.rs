//! Regions: clusters with a store each that keep the same dataset. What one says of itself, and how another is kept equal.
//!
//! Nothing across regions is needed for safety. What is exchanged is evidence (equal or not), bytes (copies) and hints (where
//! traffic belongs): every region decides from what it hears, by the same pure functions.

pub mod report;
pub mod ticket;
pub mod traffic;

mod mode;
mod state;
pub mod replication;

pub use mode::ReplicationMode;
pub use state::{PeerState, RegionView, ReplicationState};
