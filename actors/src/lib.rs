//! The data path: ledger source -> token-transfer processor -> event sink.
//!
//! [`source`] finds ledgers and hands on their bytes; [`ledger`] reads those bytes and proves them; [`processor`] turns
//! them into rows; [`sink`] makes rows durable. [`pipeline`] alone knows them
//! all.

#![recursion_limit = "256"]

pub mod source;
pub mod ledger;
pub mod processor;
mod columnar;
pub mod dataset;
pub mod sink;
pub mod pipeline;
