//! What keeps this region's tables equal to a peer region's, or finds that they are not.
//!
//! ```text
//!                  reports, slots, files                     put if absent
//! PeerRegion <--------------------------- Replicator -------------------> dataset
//!                                          |      ^
//!                                   inputs v      | actions
//!                                     ReplicationCore (a TableCore for each table)
//! ```
//!
//! A table's log is a hash chain, so that equal slots are equal before, too. The newest slot that both have is compared; if it
//! differs, the first one that does is found by halving, and both are looked at: the same rows compacted elsewhere are another
//! layout, anything else is for a person, and parks whoever has not most regions on its side. What is copied is a slot with its file, in order, each checked by its hash.

mod message;
mod core;
mod layout;
mod peer;
mod standing;
mod replicator;
mod majority;

pub use majority::Verdict;
pub use peer::{PeerError, PeerRegion};
pub use replicator::{Alarm, Replicator, ReplicatorSettings};
pub use standing::Standing;
