//! Processes.

use super::{Entry, Way};
use crate::cluster;
use crate::run::doctor::Need;
use crate::run::experiments::Experiment;
use crate::run::faults::actor::{Hangs, Panics};
use crate::run::faults::limits::{Files, Squeeze, Starve};
use crate::run::faults::process::{BadStarts, Kill, Pause, Stop};
use crate::run::simulated::Simulated;
use crate::sim::Protocol;

pub(super) const FAULTS: [Entry; 12] = [
    Entry {
        id: "P1",
        sentence: "A node is killed with SIGKILL at random moments",
        invariants: &["I1", "I2", "I3", "I4", "I5", "I6", "I11"],
        needs: &[],
        ways: &[Way::World(|| Box::new(Kill::default())), Way::Experiment(Experiment::Crash)],
    },
    Entry {
        id: "P2",
        sentence: "A node is killed at every system call that changes a disk, and calls fail",
        invariants: &["I1", "I2", "I3", "I4", "I5", "I6", "I7"],
        needs: &[Need::Trace],
        ways: &[Way::Experiment(Experiment::Syscalls)],
    },
    Entry {
        id: "P3",
        sentence: "A node is killed between the steps of a protocol",
        invariants: &["I1", "I2", "I3", "I4", "I5", "I6", "I7"],
        needs: &[],
        ways: &[
            Way::Simulation(Simulated {
                protocol: Protocol::Pipeline,
                words: &["killed between fetching and writing", "killed before"],
            }),
            Way::Simulation(Simulated { protocol: Protocol::Dataset, words: &[" is killed"] }),
        ],
    },
    Entry {
        id: "P4",
        sentence: "An actor panics, and those who are told of it",
        invariants: &["I12", "I13"],
        needs: &[Need::Preload],
        ways: &[
            Way::World(|| Box::new(Panics::one_by_one())),
            Way::World(|| Box::new(Panics::with_supervisors())),
        ],
    },
    Entry {
        id: "P5",
        sentence: "A node stands still for seconds, and goes on as if nothing had been",
        invariants: &["I5", "I7", "I8", "I9"],
        needs: &[],
        ways: &[
            Way::World(|| Box::new(Pause)),
            Way::Experiment(Experiment::Cluster(&[cluster::Fault::Stop])),
        ],
    },
    Entry {
        id: "P6",
        sentence: "A node gets a twentieth of a processor",
        invariants: &["I10", "I11"],
        needs: &[],
        ways: &[Way::World(|| Box::new(Starve::default()))],
    },
    Entry {
        id: "P7",
        sentence: "A node may have little more memory than it has, and is killed for want of it",
        invariants: &["I6", "I10", "I13"],
        needs: &[],
        ways: &[Way::World(|| Box::new(Squeeze::default()))],
    },
    Entry {
        id: "P8",
        sentence: "A node can open no more files",
        invariants: &["I10", "I11"],
        needs: &[Need::FileLimit],
        ways: &[Way::World(|| Box::new(Files::default()))],
    },
    Entry {
        id: "P9",
        sentence: "A node is told to stop in the middle of work",
        invariants: &["I6", "I9"],
        needs: &[],
        ways: &[
            Way::World(|| Box::new(Stop::default())),
            Way::Experiment(Experiment::Cluster(&[cluster::Fault::Term])),
        ],
    },
    Entry {
        id: "P10",
        sentence: "A node is started again and again with what it cannot run with",
        invariants: &["I13"],
        needs: &[],
        ways: &[Way::World(|| Box::new(BadStarts::default()))],
    },
    Entry {
        id: "P11",
        sentence: "All nodes are killed at once, as by a power failure",
        invariants: &["I6", "I11"],
        needs: &[],
        ways: &[Way::Experiment(Experiment::Cluster(&[cluster::Fault::KillAll]))],
    },
    Entry {
        id: "P12",
        sentence: "An actor hangs for ever",
        invariants: &["I13"],
        needs: &[Need::Preload],
        ways: &[Way::World(|| Box::new(Hangs::default()))],
    },
];
