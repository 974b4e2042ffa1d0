//! One file a command: reads its arguments, does its work, says what it did.

pub(crate) mod asked;
pub(crate) mod audit;
pub(crate) mod backfill;
pub(crate) mod certs;
pub(crate) mod compact;
pub(crate) mod completions;
pub(crate) mod config;
pub(crate) mod demo;
pub(crate) mod drain;
pub(crate) mod events;
pub(crate) mod failover;
pub(crate) mod inspect;
pub(crate) mod logs;
pub(crate) mod pipelines;
pub(crate) mod quarantine;
pub(crate) mod regions;
pub(crate) mod restarts;
pub(crate) mod run;
pub(crate) mod synth;
pub(crate) mod tail;
pub(crate) mod token;
pub(crate) mod top;
pub(crate) mod tree;
pub(crate) mod verify;
pub(crate) mod verify_dataset;
pub(crate) mod version;
