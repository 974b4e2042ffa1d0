//! Readers.

use super::{Entry, Way};
use crate::run::faults::client::{Asks, Crowd, Hostile};

pub(super) const FAULTS: [Entry; 5] = [
    Entry {
        id: "W1",
        sentence: "Many readers never read",
        invariants: &["I10"],
        needs: &[],
        ways: &[Way::World(|| Box::new(Crowd::never_reads()))],
    },
    Entry {
        id: "W2",
        sentence: "A thousand readers connect at once",
        invariants: &["I10"],
        needs: &[],
        ways: &[Way::World(|| Box::new(Crowd::comes_at_once()))],
    },
    Entry {
        id: "W3",
        sentence: "Readers break the protocol",
        invariants: &["I10"],
        needs: &[],
        ways: &[Way::World(|| Box::new(Hostile::default()))],
    },
    Entry {
        id: "W4",
        sentence: "Readers go on from where nothing is",
        invariants: &["I9"],
        needs: &[],
        ways: &[Way::World(|| Box::new(Asks::from_nowhere()))],
    },
    Entry {
        id: "W5",
        sentence: "Readers ask for what is expensive",
        invariants: &["I10"],
        needs: &[],
        ways: &[Way::World(|| Box::new(Asks::too_much()))],
    },
];
