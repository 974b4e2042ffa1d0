//! Where ledgers come from.

pub mod synthetic;
