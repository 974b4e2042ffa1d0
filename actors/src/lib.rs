//! The data path: ledger source -> token-transfer processor -> event sinks.

#![recursion_limit = "256"]

pub mod ledger;
pub mod processor;
pub mod source;
