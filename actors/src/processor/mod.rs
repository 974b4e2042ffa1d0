//! Processors turn one ledger into rows. They are pure functions of (network, ledger): no clock, no state between
//! ledgers, so any node at any time makes the same rows, and ledgers can be processed in parallel.

pub mod ttp;
