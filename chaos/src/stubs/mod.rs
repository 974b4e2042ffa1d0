//! Servers that a node depends on, made to fail: an object store, a lake over HTTP, and a Stellar RPC server.
//!
//! Each listens on a port of 127.0.0.1 that the system chooses, does what a sound server does, and can be told at any moment to
//! do otherwise. Each counts what it did wrong: these counts are the witnesses of a fault. Dropped, it is gone.

mod http;
pub mod s3;
