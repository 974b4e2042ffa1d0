//! What a dataset promises: the same bytes from every writer, nothing lost, nothing twice, nothing overwritten.

#![allow(clippy::unwrap_used, clippy::print_stdout, clippy::print_stderr, reason = "this is a test")]

#[path = "../rows/mod.rs"]
mod rows;

mod checkpoints;
mod compaction;
mod damage;
mod kill;
mod made;
mod readers;
mod resume;
mod s3;
mod stores;
