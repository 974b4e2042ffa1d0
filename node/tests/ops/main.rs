//! What `ops/` names is there: metrics, labels, flags, paths, ports, variables. Every alert has a page and a test, every
//! dashboard is made from the contract, and a real Prometheus watches real nodes.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stderr,
    reason = "this is a test"
)]

#[path = "../e2e/process.rs"]
#[allow(dead_code, reason = "a part of it is used here")]
mod process;

mod contract;
mod dashboards;
mod named;
mod probed;
mod query;
mod rules;
mod tools;
mod watched;
