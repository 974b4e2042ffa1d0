//! The binary end to end: ledgers of every kind of source into datasets, while actors are killed, servers fail and
//! operators interfere.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stderr,
    reason = "this is a test"
)]

#[path = "../../../actors/tests/readers/delta.rs"]
mod delta;
#[path = "../../../actors/tests/support/fixtures.rs"]
mod fixtures;
#[path = "../../../actors/tests/servers/seaweed.rs"]
mod seaweed;
#[path = "../../../actors/tests/source/stub.rs"]
#[allow(dead_code, reason = "a part of it is used here")]
mod stub;

mod cable;
mod process;
mod reader;

mod api;
mod cluster;
mod configuration;
mod dashboard;
mod drill;
mod described;
mod feed;
mod flight;
mod feed_nodes;
mod feed_regions;
mod golden;
mod inspection;
mod interrupts;
mod kills;
mod operators;
mod operators_nodes;
mod profiles;
mod readiness;
mod region_traffic;
mod regions;
mod recovery;
mod routes;
mod rpc;
mod s3;
mod secured;
mod telemetry;
mod traces;
