//! Faults that are done to one node.

pub(super) mod process;
