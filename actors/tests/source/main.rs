//! Reading ledgers: every form, every kind of source, and whatever is wrong with them.

#![allow(clippy::unwrap_used, clippy::panic, clippy::print_stdout, reason = "a test panics and prints")]

mod bad_input;
mod fixtures;
mod forms;
mod inputs;
mod lakes;
mod made;
mod prefetch;
mod remote;
mod servers;
mod stub;
