//! Chaos: faults that are done to Orrery on purpose, and judges that say whether it noticed or survived.
//!
//! Nothing imports this crate, and no fault is part of the `orrery` binary.
//!
//! | experiment | the fault | what must hold |
//! |---|---|---|
//! | [`tamper`] | single bytes of ledgers are others | what a hash binds is found out ([`judges::hashes`]); the rest is reported for what it is ([`judges::content`]) |
//! | [`crash`] | SIGKILL at random moments, a node's own state lost or damaged | the dataset is that of an undisturbed node, byte for byte ([`judges::dataset`]) |
//! | [`syscalls`] | SIGKILL at every call that changes a disk, and calls that fail | as above, and nothing is ever torn |
//! | [`disk_full`] | no bytes or no inodes are left | as above, and the node goes on by itself |
//! | [`cluster`] | one of several nodes is killed, paused, cut off or told to stop | as above; the others go on in seconds, and the node takes part again |
//! | [`regions`] | one of several regions is killed with its store, paused, cut off or muted | as above in every region; readers go on in another, without gap or repetition |
//! | [`sim`] | stores, links, disks, clocks and processes that are all simulated, on a seed | invariants I1 to I16 ([`checkers`]) |
//! | [`mod@load`] | more readers than anybody has, some of them slow | every ledger reaches every reader that reads, in time |
//!
//! All but the first and [`sim`] run the `orrery` program as a [`Workload`]. A kill counts if the system says that SIGKILL ended the process;
//! a call that fails, if the tracer replaced its result.
//!
//! Choices come from a seed, which is printed first. A `tamper` report is a function of seed and ledgers; moments of a
//! kill are drawn from the seed, but where a process then is, the machine decides.

mod cli;
mod random;
mod experiment;
mod ledgers;
mod network;
mod process;
mod workload;
pub mod stubs;
pub mod faults;
pub mod judges;
pub mod tamper;
pub mod crash;
pub mod syscalls;
pub mod disk_full;
pub mod cluster;
pub mod regions;
pub mod load;
pub mod history;
pub mod oracle;
pub mod checkers;
pub mod sim;
pub mod run;
mod table;

pub use cli::{Cli, run};
pub use experiment::ExperimentError;
pub use ledgers::{LoadError, LoadedLedger, load};
pub use process::{Ended, Orrery, Running};
pub use random::Random;
pub use workload::{Mode, Target, Workload};
