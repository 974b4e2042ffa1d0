//! Faults that are done to one node.

pub(super) mod actor;
pub(super) mod client;
pub(super) mod clock;
pub(super) mod disk;
pub(super) mod hostile;
pub(super) mod limits;
mod malformed;
pub(super) mod messages;
pub(super) mod names;
pub(super) mod peer;
pub(super) mod process;
pub(super) mod shim;
pub(super) mod slow;
pub(super) mod store;
pub(super) mod stored;
pub(super) mod upstream;
