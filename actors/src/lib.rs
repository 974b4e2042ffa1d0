//! The data path: ledger source -> token-transfer processor -> event sink.
//!
//! [`source`] finds ledgers and hands on their bytes; [`ledger`] reads those bytes and proves them; [`processor`] turns
//! them into rows; [`sink`] makes rows durable. [`dataset`] is where the rows of a whole history stay: tables that many
//! writers continue and every engine reads. [`pipeline`] alone knows the stages.

#![recursion_limit = "256"]

pub mod source;
pub mod ledger;
pub mod processor;
mod columnar;
pub mod dataset;
pub mod sink;
pub mod pipeline;
