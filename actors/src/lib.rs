//! The data path: ledgers come in, token-transfer events go out.

pub mod ledger;
pub mod source;
