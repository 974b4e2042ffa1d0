//! Nodes that talk over real sockets, one process each where ractor's registries are the process's.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test says why it fails")]
#![allow(clippy::disallowed_methods, reason = "tests of deadlines between processes measure them")]
#![allow(clippy::print_stdout, reason = "a node of a test speaks on its standard output")]

mod certificates;
mod process;
mod regions;
mod node;
mod bad_peers;
mod links;
mod facts;
mod canaries;
