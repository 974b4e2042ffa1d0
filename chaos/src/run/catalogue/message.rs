//! Messages and actors.

use super::{Entry, Way};
use crate::run::doctor::Need;
use crate::run::faults::messages::Messages;
use crate::run::faults::slow::Flooded;
use crate::run::simulated::Simulated;
use crate::sim::Protocol;

pub(super) const FAULTS: [Entry; 6] = [
    Entry {
        id: "M1",
        sentence: "Messages between nodes are lost, late, twice or in another order",
        invariants: &["I2", "I5"],
        needs: &[],
        ways: &[Way::Simulation(Simulated {
            protocol: Protocol::Cluster,
            words: &["is lost", "comes twice", "comes late, behind later ones"],
        })],
    },
    Entry {
        id: "M2",
        sentence: "A message of an earlier life arrives",
        invariants: &["I8"],
        needs: &[],
        ways: &[Way::Simulation(Simulated {
            protocol: Protocol::Cluster,
            words: &["of an earlier life", "refuses orders of an earlier epoch"],
        })],
    },
    Entry {
        id: "M3",
        sentence: "An actor is slow, and its mailbox is flooded",
        invariants: &["I10"],
        needs: &[Need::Preload],
        ways: &[Way::World(|| Box::new(Flooded::default()))],
    },
    Entry {
        id: "M4",
        sentence: "A ledger makes its processor fail every time",
        invariants: &["I12"],
        needs: &[],
        ways: &[Way::Simulation(Simulated { protocol: Protocol::Pipeline, words: &["parked: "] })],
    },
    Entry {
        id: "M5",
        sentence: "A message is of another version",
        invariants: &["I15"],
        needs: &[],
        ways: &[Way::World(|| Box::new(Messages::of_another_version()))],
    },
    Entry {
        id: "M6",
        sentence: "A batch or its schema is malformed",
        invariants: &["I10", "I12"],
        needs: &[],
        ways: &[Way::World(|| Box::new(Messages::malformed()))],
    },
];
