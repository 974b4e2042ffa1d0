//! Chaos: faults that are done to Orrery on purpose, and judges that say whether it noticed or survived.
//!
//! Nothing imports this crate, and no fault is part of the `orrery` binary.
//!
//! Here so far is one experiment, [`tamper`]: single bytes of ledgers are changed at random, and whatever a ledger's
//! hashes bind must be found out ([`judges::hashes`]); what they do not bind is reported for what it is
//! ([`judges::content`]).
//!
//! A run is a function of its seed and its ledgers: the same command gives the same report. The seed is printed first.

mod cli;
mod random;
mod experiment;
mod ledgers;
mod process;
mod workload;
pub mod faults;
pub mod judges;
pub mod tamper;
pub mod crash;
pub mod syscalls;
pub mod disk_full;
mod table;

pub use cli::{Cli, run};
pub use experiment::ExperimentError;
pub use ledgers::{LoadError, LoadedLedger, load};
pub use process::{Ended, Orrery, Running};
pub use random::Random;
pub use workload::{Mode, Target, Workload};
