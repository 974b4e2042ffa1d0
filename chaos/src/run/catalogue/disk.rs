//! Disks.

use super::{Entry, Way};
use crate::run::doctor::Need;
use crate::run::experiments::Experiment;
use crate::run::faults::disk::{Fails, Full, Lost, ReadOnly};
use crate::run::faults::stored::Stored;
use crate::run::simulated::Simulated;
use crate::sim::Protocol;

pub(super) const FAULTS: [Entry; 10] = [
    Entry {
        id: "D1",
        sentence: "A disk is full, in bytes or in inodes",
        invariants: &["I6", "I11"],
        needs: &[Need::Mount],
        ways: &[
            Way::World(|| Box::new(Full::of_bytes())),
            Way::World(|| Box::new(Full::of_inodes())),
            Way::Experiment(Experiment::DiskFull),
        ],
    },
    Entry {
        id: "D2",
        sentence: "Reading or writing a file fails with EIO",
        invariants: &["I6", "I15"],
        needs: &[Need::Preload],
        ways: &[Way::World(|| Box::new(Fails::reads())), Way::World(|| Box::new(Fails::writes()))],
    },
    Entry {
        id: "D3",
        sentence: "A flush fails once, and the next one succeeds",
        invariants: &["I6"],
        needs: &[Need::Preload],
        ways: &[Way::World(|| Box::new(Fails::one_flush()))],
    },
    Entry {
        id: "D4",
        sentence: "A write is short, or torn",
        invariants: &["I6"],
        needs: &[Need::Preload],
        ways: &[
            Way::World(|| Box::new(Fails::writes_short())),
            Way::World(|| Box::new(Fails::writes_torn())),
        ],
    },
    Entry {
        id: "D5",
        sentence: "What was not flushed is lost with power",
        invariants: &["I6"],
        needs: &[],
        ways: &[Way::Simulation(Simulated { protocol: Protocol::Disk, words: &["the power is lost"] })],
    },
    Entry {
        id: "D6",
        sentence: "A bit flips in a stored file",
        invariants: &["I6", "I15"],
        needs: &[],
        ways: &[Way::World(|| Box::new(Stored::rots_on_disk()))],
    },
    Entry {
        id: "D7",
        sentence: "A file is another one's, whole but misplaced",
        invariants: &["I15"],
        needs: &[],
        ways: &[Way::World(|| Box::new(Stored::is_misplaced()))],
    },
    Entry {
        id: "D8",
        sentence: "A disk becomes read-only",
        invariants: &["I15"],
        needs: &[Need::Mount],
        ways: &[Way::World(|| Box::new(ReadOnly::default()))],
    },
    Entry {
        id: "D9",
        sentence: "A disk is slow: seconds for a flush",
        invariants: &["I11"],
        needs: &[Need::Preload],
        ways: &[Way::World(|| Box::new(Fails::flushes_slowly()))],
    },
    Entry {
        id: "D10",
        sentence: "A node's disk is lost",
        invariants: &["I4"],
        needs: &[],
        ways: &[Way::World(|| Box::new(Lost::default()))],
    },
];
