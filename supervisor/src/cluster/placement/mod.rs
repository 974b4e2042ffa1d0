//! Placement: which node does what. A pure function of the work and of the members.
//!
//! What comes in is a list of work (ranges of ledgers, and the live tail) and the members with roles, capacity and load.
//! What goes out is an [`Assignment`]: for every piece of work the node that owns its pipeline, and which nodes fetch and
//! write for it.
//!
//! - **Stable.** Nodes are ranked by rendezvous hashing (`rendezvous.rs`): when one leaves, its work moves, and what was not
//!   where it ranked first; when one joins, only what moves to it, and the same. The order in which members or work that is
//!   placed at its first choice are listed does not matter.
//! - **Together.** A node with the roles fetcher, processor and sink does all three, and gets work before others do. Where
//!   roles are apart, the best ranked node of each role does its part.
//! - **Balanced.** A node gets at most [`SHARE_PERCENT_MAX`] of its fair share, rounded up, as long as others have room, and
//!   never more tasks than its capacity. What is above goes to the next in rank.
//! - **Load** counts in three classes, so that small changes move nothing. It must not contain the work that is placed
//!   here: a node would look busy because it has work, lose it, and get it back when it is idle.
//!
//! Draining and suspected nodes get nothing. The coordinator decides what becomes of what they had.

mod rendezvous;
mod plan;
#[cfg(test)]
mod tests;

pub use plan::{
    Assignment, Candidate, SHARE_PERCENT_MAX, Task, Unplaced, UnplacedReason, Work, WorkKey, plan,
};
pub use rendezvous::{Weight, owner, ranking};
