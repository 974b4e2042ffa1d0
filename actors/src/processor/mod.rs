//! Processors turn one ledger into rows. They are pure functions of (network, ledger): no clock, no state between
//! ledgers, so any node at any time makes the same rows, and ledgers can be processed in parallel.

mod actor;
mod core;
pub mod ttp;

pub use actor::{Processor, ProcessorSettings, ProcessorState, Quarantine, Tap, Work};
pub use core::{ATTEMPTS_MAX, ProcessorLimits};
