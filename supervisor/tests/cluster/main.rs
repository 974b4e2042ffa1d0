//! Nodes that talk over real sockets, one process each where ractor's registries are the process's.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test says why it fails")]

mod certificates;
mod process;
mod node;
mod bad_peers;
mod links;
mod facts;
