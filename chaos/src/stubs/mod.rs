//! Servers that a node depends on, made to fail: an object store ([`s3`]), and a lake and a Stellar RPC server over the same
//! ledgers ([`source`]), and a name server ([`names`]).
//!
//! Each listens on a port of 127.0.0.1 that the system chooses, does what a sound server does, and can be told at any moment to
//! do otherwise. Each counts what it did wrong: these counts are the witnesses of a fault. Dropped, it is gone.

mod http;
mod zstd_frame;
mod lake;
mod rpc;
pub mod made;
pub mod names;
pub mod s3;
pub mod source;
pub mod spoil;
