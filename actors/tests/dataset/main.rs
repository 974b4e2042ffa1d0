//! What a dataset promises: the same bytes from every writer, nothing lost, nothing twice, nothing overwritten.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "this is a test"
)]

#[path = "../objects/mod.rs"]
#[allow(dead_code, reason = "a part of it is used here")]
mod objects;
#[path = "../readers/delta.rs"]
mod delta;
#[path = "../rows/mod.rs"]
mod rows;
#[path = "../servers/seaweed.rs"]
#[allow(dead_code, reason = "a part of it is used here")]
mod seaweed;

mod checkpoints;
mod compaction;
mod copies;
mod damage;
mod epochs;
mod feed;
mod kill;
mod made;
mod readers;
mod resume;
mod scan;
mod scrub;
mod s3;
mod stores;
