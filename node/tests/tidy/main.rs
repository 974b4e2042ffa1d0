//! The style guide's rules as tests: who may import what, shapes of files and functions, words, links.
//!
//! Each rule is a function from text to complaints. It runs over the workspace in one test, and in another over examples
//! that break it, so that a rule which finds nothing is known to be able to.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test says why it fails")]

mod workspace;
mod code;
mod paths;
mod imports;
mod manifests;
mod shape;
mod words;
mod links;

/// Fails with all complaints, one a line.
#[track_caller]
fn none(complaints: Vec<String>) {
    assert!(complaints.is_empty(), "{} complaints:\n{}\n", complaints.len(), complaints.join("\n"));
}
