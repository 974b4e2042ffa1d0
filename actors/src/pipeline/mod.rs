//! Source -> proof -> processor -> sinks, joined: the only place that knows all of them.
//!
//! [`Pipeline`] gives ledgers to a caller, for commands that read once; [`supervised`] is the same work as a tree of actors
//! that writes a dataset and heals itself.

mod work;
mod blocking;
mod batch;
mod made_anew;
mod noted;
mod table;
pub mod supervised;
mod places;

pub use batch::work_on;
pub use blocking::Pipeline;
pub use made_anew::LedgerFiles;
pub use places::{Place, Places};
pub use work::{PipelineSettings, ProcessedLedger, Proof};
