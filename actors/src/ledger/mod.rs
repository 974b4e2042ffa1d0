//! One ledger as bytes: where its parts lie, and what its hashes prove.

pub mod cursor;
mod extent;
mod grammar;
mod view;

pub use extent::{LedgerExtent, measure_ledger_close_meta, peek_sequence};
