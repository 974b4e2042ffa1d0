//! Judges: what became of a fault. In: the network and the bytes as the fault left them. Out: a verdict.

pub mod content;
pub mod hashes;
