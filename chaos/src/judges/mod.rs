//! Judges: what became of a fault. In: the network and the bytes as the fault left them, or the dataset that a disturbed
//! node wrote. Out: a verdict.

pub mod content;
pub mod dataset;
pub mod hashes;
pub mod log;
