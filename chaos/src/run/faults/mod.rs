//! Faults that are done to one node.

pub(super) mod hostile;
pub(super) mod limits;
pub(super) mod process;
