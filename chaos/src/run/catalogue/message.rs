//! Messages and actors.

use super::{Entry, Way};
use crate::run::simulated::Simulated;
use crate::sim::Protocol;

pub(super) const FAULTS: [Entry; 6] = [
    Entry {
        id: "M1",
        sentence: "Messages between nodes are lost, late, twice or in another order",
        invariants: &["I2", "I5"],
        needs: &[],
        ways: &[Way::Simulation(Simulated { protocol: Protocol::Cluster, words: "is lost" })],
    },
    Entry {
        id: "M2",
        sentence: "A message of an earlier life arrives",
        invariants: &["I8"],
        needs: &[],
        ways: &[Way::Simulation(Simulated { protocol: Protocol::Cluster, words: ": fault 0" })],
    },
    Entry {
        id: "M3",
        sentence: "An actor is slow, and its mailbox is flooded",
        invariants: &["I10"],
        needs: &[],
        ways: &[],
    },
    Entry {
        id: "M4",
        sentence: "A ledger makes its processor fail every time",
        invariants: &["I12"],
        needs: &[],
        ways: &[Way::Simulation(Simulated { protocol: Protocol::Pipeline, words: "parked: " })],
    },
    Entry {
        id: "M5",
        sentence: "A message is of another version",
        invariants: &["I15"],
        needs: &[],
        ways: &[],
    },
    Entry {
        id: "M6",
        sentence: "A batch or its schema is malformed",
        invariants: &["I10", "I12"],
        needs: &[],
        ways: &[],
    },
];
