//! The data path: ledgers in, token-transfer events out.

pub mod sink;
