//! Deterministic simulation: the product's own cores, dataset, feed and replication on one thread, with simulated time,
//! network, stores and disks, and faults on a seed.
//!
//! In: a seed. Out: a history, what contradicts an invariant, and the hash of a trace of everything that happened: the same
//! seed gives the same hash. A scenario is its seed; topology, workload and schedule are drawn from it, and stand in the
//! first lines of the trace.

mod world;
mod fibers;
mod ledgers;
mod store;
mod mail;
mod dataset;
mod pipeline;
mod replication;
mod feed;
mod cluster;
mod disk;
mod hostile_store;
mod supervision;

use std::sync::Arc;

use clap::ValueEnum;
use serde::Serialize;

use crate::checkers::{self, Finding};
use crate::history::Entry;
use ledgers::Ledgers;
use world::World;

/// Why a simulation cannot run.
#[derive(Debug, thiserror::Error)]
pub enum SimError {
    /// The product cannot process made-up ledgers.
    #[error("the ledgers of the simulation: {0}")]
    Ledgers(String),
    /// The machine gives no threads.
    #[error("a thread for the simulation: {0}")]
    Threads(#[from] std::io::Error),
}

/// A part of the product that is simulated.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub enum Protocol {
    /// Writers of datasets.
    Dataset,
    /// One pipeline: proof, credits, poison, restarts, the end.
    Pipeline,
    /// A region that copies from another one.
    Replication,
    /// Readers of the feed.
    Feed,
    /// Nodes that find out who is there, who coordinates, and who does what.
    Cluster,
    /// A dataset's folder on a disk that loses power.
    Disk,
    /// Restarts and giving up.
    Supervision,
    /// Stores that do not keep their word.
    HostileStore,
}

impl Protocol {
    /// All.
    pub const ALL: [Self; 8] = [
        Self::Dataset,
        Self::Pipeline,
        Self::Replication,
        Self::Feed,
        Self::Cluster,
        Self::Disk,
        Self::Supervision,
        Self::HostileStore,
    ];

    /// Its name.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Dataset => "dataset",
            Self::Pipeline => "pipeline",
            Self::Replication => "replication",
            Self::Feed => "feed",
            Self::Cluster => "cluster",
            Self::Disk => "disk",
            Self::Supervision => "supervision",
            Self::HostileStore => "hostile-store",
        }
    }
}

/// What came of a seed and a protocol.
#[derive(Clone, Debug)]
pub struct Run {
    /// The seed.
    pub seed: u64,
    /// The protocol.
    pub protocol: Protocol,
    /// SHA-256 of the trace.
    pub trace_hash: String,
    /// Lines of the trace.
    pub trace_lines: u64,
    /// Simulated time, in microseconds.
    pub simulated_us: u64,
    /// What happened.
    pub history: Vec<Entry>,
    /// What contradicts an invariant.
    pub findings: Vec<Finding>,
    /// The trace, if it was asked for.
    pub trace: Vec<String>,
}

/// What does not depend on seeds.
pub struct Simulation {
    networks: Vec<Arc<Ledgers>>,
}

/// Networks whose ledgers are made once; seeds take turns.
const NETWORKS: u64 = 3;

impl Simulation {
    /// Makes the ledgers.
    ///
    /// # Errors
    ///
    /// [`SimError::Ledgers`].
    pub fn new() -> Result<Self, SimError> {
        let networks = (1..=NETWORKS).map(|seed| Ledgers::make(seed).map(Arc::new));
        Ok(Self { networks: networks.collect::<Result<_, _>>()? })
    }

    /// Runs one protocol on one seed.
    ///
    /// # Errors
    ///
    /// [`SimError`]; findings are no error.
    pub fn run(&self, seed: u64, protocol: Protocol, keep_trace: bool) -> Result<Run, SimError> {
        let world = World::new(seed ^ (protocol as u64) << 56, keep_trace);
        world.trace(format_args!("seed {seed} {}", protocol.as_str()));
        let place = usize::try_from(seed % NETWORKS).unwrap_or(0);
        let Some(ledgers) = self.networks.get(place) else {
            return Err(SimError::Ledgers("none were made".to_owned()));
        };
        match protocol {
            Protocol::Dataset => dataset::run(&world, ledgers)?,
            Protocol::Pipeline => pipeline::run(&world, ledgers)?,
            Protocol::Replication => replication::run(&world, ledgers)?,
            Protocol::Feed => feed::run(&world, ledgers)?,
            Protocol::Cluster => cluster::run(&world)?,
            Protocol::Disk => disk::run(&world)?,
            Protocol::Supervision => supervision::run(&world)?,
            Protocol::HostileStore => hostile_store::run(&world, ledgers)?,
        }
        let history = world.history();
        let (trace_hash, trace_lines) = world.trace_hash();
        Ok(Run {
            seed,
            protocol,
            trace_hash,
            trace_lines,
            simulated_us: world.now(),
            findings: checkers::check(&history),
            history,
            trace: world.lines(),
        })
    }
}
