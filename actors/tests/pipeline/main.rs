//! Supervised pipelines: real actors under a real supervisor, over ledgers and stores that behave as a test says.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stderr,
    reason = "this is a test"
)]

#[path = "../support/fixtures.rs"]
mod fixtures;
#[path = "../objects/mod.rs"]
mod objects;
#[path = "../support/stages.rs"]
mod stages;
mod wire;

mod made;

mod determinism;
mod exchange;
mod exchange_flow;
mod exchange_peers;
mod flow;
mod lakes;
mod live;
mod noted;
mod outages;
mod panics;
mod poison;
mod rivals;
