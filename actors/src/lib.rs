//! The data path: ledger source -> token-transfer processor -> event sink.
//!
//! [`source`] finds ledgers and hands on their bytes; [`ledger`] reads those bytes and proves them; [`processor`] turns
//! them into rows; [`sink`] takes rows, and [`dataset`] keeps them. [`exchange`] has stages
//! work on other nodes. [`pipeline`] alone knows them all. [`envelope`] is what
//! travels between them as actors, [`flow`] how, [`checkpoint`] what a node remembers, [`metrics`] what it counts.

#![recursion_limit = "256"]

pub mod envelope;
pub mod metrics;
pub mod flow;
pub mod checkpoint;
pub mod source;
pub mod ledger;
pub mod processor;
mod columnar;
pub mod dataset;
pub mod sink;
pub mod feed;
pub mod exchange;
pub mod pipeline;
pub mod coordinator;
pub mod region;
