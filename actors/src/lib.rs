//! The data path: ledger source, token-transfer processor, event sinks.

pub mod source;
