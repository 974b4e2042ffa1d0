//! Disks.

use super::Entry;
use crate::run::doctor::Need;

pub(super) const FAULTS: [Entry; 10] = [
    Entry {
        id: "D1",
        sentence: "A disk is full, in bytes or in inodes",
        invariants: &["I6", "I11"],
        needs: &[Need::Mount],
        ways: &[],
    },
    Entry {
        id: "D2",
        sentence: "Reading or writing a file fails with EIO",
        invariants: &["I6", "I15"],
        needs: &[],
        ways: &[],
    },
    Entry {
        id: "D3",
        sentence: "A flush fails once, and the next one succeeds",
        invariants: &["I6"],
        needs: &[],
        ways: &[],
    },
    Entry { id: "D4", sentence: "A write is short, or torn", invariants: &["I6"], needs: &[], ways: &[] },
    Entry {
        id: "D5",
        sentence: "What was not flushed is lost with power",
        invariants: &["I6"],
        needs: &[],
        ways: &[],
    },
    Entry {
        id: "D6",
        sentence: "A bit flips in a stored file",
        invariants: &["I6", "I15"],
        needs: &[],
        ways: &[],
    },
    Entry {
        id: "D7",
        sentence: "A file is another one's, whole but misplaced",
        invariants: &["I15"],
        needs: &[],
        ways: &[],
    },
    Entry {
        id: "D8",
        sentence: "A disk becomes read-only",
        invariants: &["I15"],
        needs: &[Need::Mount],
        ways: &[],
    },
    Entry {
        id: "D9",
        sentence: "A disk is slow: seconds for a flush",
        invariants: &["I11"],
        needs: &[],
        ways: &[],
    },
    Entry { id: "D10", sentence: "A node's disk is lost", invariants: &["I4"], needs: &[], ways: &[] },
];
