//! Supervised pipelines: real actors under a real supervisor, over ledgers and stores that behave as a test says.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stderr,
    reason = "this is a test"
)]

mod made;
mod objects;
mod wire;

mod determinism;
mod exchange;
mod exchange_flow;
mod exchange_peers;
mod flow;
mod lakes;
mod outages;
mod panics;
mod poison;
mod rivals;
