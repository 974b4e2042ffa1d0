//! Processes.

use super::{Entry, Way};
use crate::run::doctor::Need;
use crate::run::experiments::Experiment;
use crate::run::faults::process::{Kill, Pause, Stop};

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
        sentence: "A node is killed before and after every step of a protocol",
        invariants: &["I1", "I2", "I3", "I4", "I5", "I6", "I7"],
        needs: &[],
        ways: &[],
    },
    Entry {
        id: "P4",
        sentence: "An actor, or a supervisor, panics",
        invariants: &["I12", "I13"],
        needs: &[],
        ways: &[],
    },
    Entry {
        id: "P5",
        sentence: "A node stands still for seconds, and goes on as if nothing had been",
        invariants: &["I5", "I7", "I8", "I9"],
        needs: &[],
        ways: &[Way::World(|| Box::new(Pause))],
    },
    Entry {
        id: "P6",
        sentence: "A node gets a twentieth of a processor",
        invariants: &["I10", "I11"],
        needs: &[],
        ways: &[],
    },
    Entry {
        id: "P7",
        sentence: "A node may have little more memory than it has, and is killed for want of it",
        invariants: &["I6", "I10", "I13"],
        needs: &[],
        ways: &[],
    },
    Entry {
        id: "P8",
        sentence: "A node can open no more files",
        invariants: &["I10", "I11"],
        needs: &[Need::FileLimit],
        ways: &[],
    },
    Entry {
        id: "P9",
        sentence: "A node is told to stop in the middle of work",
        invariants: &["I6", "I9"],
        needs: &[],
        ways: &[Way::World(|| Box::new(Stop::default()))],
    },
    Entry {
        id: "P10",
        sentence: "A node is started again and again with what it cannot run with",
        invariants: &["I13"],
        needs: &[],
        ways: &[],
    },
    Entry {
        id: "P11",
        sentence: "All nodes are killed at once, as by a power failure",
        invariants: &["I6", "I11"],
        needs: &[],
        ways: &[],
    },
    Entry { id: "P12", sentence: "An actor hangs", invariants: &["I13", "I14"], needs: &[], ways: &[] },
];
