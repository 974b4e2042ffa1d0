//! Looking into running nodes, from outside: asks a cluster through one of its nodes, or the node on this machine.
//!
//! In: JSON of `cluster/inspection.rs` or `status.rs`. Out: a [`Snapshot`], measured against an earlier one, which commands
//! print and `top` draws. Whatever a node says is made plain before anything else sees it: no control character of a remote
//! text reaches a terminal.

mod target;
mod operator;
mod plain;
mod regions;
mod snapshot;
mod rows;
mod columns;
mod drawing;
mod lines;
pub(crate) mod top;

pub(crate) use columns::{Columns, bytes, number, seconds};
pub(crate) use drawing::{draw_tree, remarks, restarts, roles};
pub(crate) use lines::{LogLine, Tail};
pub(crate) use rows::{Row, rows, sort};
pub(crate) use snapshot::{Snapshot, listed};
pub(crate) use target::{Cluster, Target};
