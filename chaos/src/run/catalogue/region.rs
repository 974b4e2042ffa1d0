//! Regions, and who coordinates.

use super::Entry;
use crate::run::doctor::Need;

pub(super) const FAULTS: [Entry; 8] = [
    Entry {
        id: "R1",
        sentence: "A region is lost with its store",
        invariants: &["I6", "I9"],
        needs: &[Need::Namespaces],
        ways: &[],
    },
    Entry {
        id: "R2",
        sentence: "Two sides of a split both go on",
        invariants: &["I7", "I8"],
        needs: &[Need::Namespaces, Need::Nft],
        ways: &[],
    },
    Entry {
        id: "R3",
        sentence: "A region is paused in the middle of a write, and goes on late",
        invariants: &["I7", "I8"],
        needs: &[Need::Namespaces],
        ways: &[],
    },
    Entry {
        id: "R4",
        sentence: "A region comes back with an earlier state, or another one",
        invariants: &["I4", "I5"],
        needs: &[Need::Namespaces],
        ways: &[],
    },
    Entry {
        id: "R5",
        sentence: "Whoever coordinates is lost, or what it keeps",
        invariants: &["I11"],
        needs: &[],
        ways: &[],
    },
    Entry {
        id: "R6",
        sentence: "Nodes are restarted one after another, and replaced by other versions",
        invariants: &["I1", "I2", "I3", "I4", "I5", "I6", "I7", "I8", "I9"],
        needs: &[],
        ways: &[],
    },
    Entry {
        id: "R7",
        sentence: "Traffic is moved while regions are parted",
        invariants: &["I8"],
        needs: &[Need::Namespaces, Need::Nft],
        ways: &[],
    },
    Entry {
        id: "R8",
        sentence: "The link between regions is down for long",
        invariants: &["I4", "I11"],
        needs: &[Need::Namespaces, Need::Nft],
        ways: &[],
    },
];
