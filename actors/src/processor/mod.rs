//! Processors turn one ledger into rows. They are pure functions of (network, ledger): no clock, no state between
//! ledgers, so any node at any time makes the same rows, and ledgers can be processed in parallel.

mod actor;
pub mod core;
pub mod ttp;

pub use self::core::{ATTEMPTS_MAX, ProcessorLimits};
pub use actor::{Processor, ProcessorSettings, ProcessorState, Quarantine, Tap, Work};
