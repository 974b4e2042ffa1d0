//! Where traffic belongs, as one region sees it. Pure.
//!
//! In: how this region is and what it heard of the others. Out: whether this region has traffic, and why. Every region decides
//! for itself alone, by the same rules; that two have traffic for a while costs work and nothing else.
//!
//! - A region is healthy that is heard, ready and not behind the best that is heard. It is stable once it has been so for
//!   `stable` without a break.
//! - While somebody healthy has traffic, only who is stable takes it, and only who is better than whoever has it: the lowest
//!   priority, or where a person decided. While nobody has, the best of those that are healthy takes it at once.
//! - Who has traffic gives it up when a stable region that is better says that it has it, never before; and not within `stable`
//!   of having taken it, but for a new decision: so there is at most one change back and forth in that time.
//! - Who begins, or was stopped for a while, listens first and changes nothing.

mod core;
mod decisions;
mod view;

pub use core::{TrafficCore, TrafficInput, TrafficPeer, TrafficSettings};
pub use decisions::{newer, next_generation};
pub use view::{RegionTraffic, TrafficState, TrafficView};
