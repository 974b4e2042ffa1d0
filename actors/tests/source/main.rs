//! Reading ledgers: every form, every kind of source, and whatever is wrong with them.

#![allow(clippy::unwrap_used, clippy::panic, clippy::print_stdout, reason = "a test panics and prints")]

#[path = "../support/fixtures.rs"]
mod fixtures;

mod bad_input;
mod forms;
mod inputs;
mod lakes;
mod made;
mod prefetch;
mod reading;
mod real;
mod remote;
mod rpc;
mod servers;
mod streams;
mod stub;
