//! Object stores.

use super::{Entry, Way};
use crate::run::faults::store::{IgnoresConditions, ListsTooLittle, Misbehaves, Uploads};
use crate::run::faults::stored::Stored;

pub(super) const FAULTS: [Entry; 12] = [
    Entry {
        id: "O1",
        sentence: "A store answers 500, 502, 503 or 429",
        invariants: &["I11"],
        needs: &[],
        ways: &[
            Way::World(|| Box::new(Misbehaves::throttles())),
            Way::World(|| Box::new(Misbehaves::is_down())),
        ],
    },
    Entry {
        id: "O2",
        sentence: "A request to a store times out and is not done",
        invariants: &["I1", "I7"],
        needs: &[],
        ways: &[Way::World(|| Box::new(Misbehaves::times_out()))],
    },
    Entry {
        id: "O3",
        sentence: "A request to a store is done, and its answer is lost",
        invariants: &["I2", "I7"],
        needs: &[],
        ways: &[Way::World(|| Box::new(Misbehaves::loses_answers()))],
    },
    Entry {
        id: "O4",
        sentence: "A store answers 409 where 412 is meant",
        invariants: &["I2", "I7"],
        needs: &[],
        ways: &[Way::World(|| Box::new(Misbehaves::conflicts()))],
    },
    Entry {
        id: "O5",
        sentence: "A request to a store is done minutes after its sender gave up",
        invariants: &["I7"],
        needs: &[],
        ways: &[Way::World(|| Box::new(Misbehaves::applies_late()))],
    },
    Entry {
        id: "O6",
        sentence: "A store lists too little, or what was",
        invariants: &["I1", "I2"],
        needs: &[],
        ways: &[Way::World(|| Box::new(ListsTooLittle::default()))],
    },
    Entry {
        id: "O7",
        sentence: "A store's answer is cut short, or is other bytes",
        invariants: &["I15"],
        needs: &[],
        ways: &[Way::World(|| Box::new(Misbehaves::gives_bad_bodies()))],
    },
    Entry {
        id: "O8",
        sentence: "A stored object rots silently",
        invariants: &["I15"],
        needs: &[],
        ways: &[Way::World(|| Box::new(Stored::rots_in_store()))],
    },
    Entry {
        id: "O9",
        sentence: "An upload in parts is abandoned, or completed twice",
        invariants: &["I1", "I2"],
        needs: &[],
        ways: &[Way::World(|| Box::new(Uploads::default()))],
    },
    Entry {
        id: "O10",
        sentence: "Credentials expire in the middle of work",
        invariants: &["I14"],
        needs: &[],
        ways: &[Way::World(|| Box::new(Misbehaves::denies()))],
    },
    Entry {
        id: "O11",
        sentence: "A store ignores that an object must be absent",
        invariants: &["I7", "I15"],
        needs: &[],
        ways: &[Way::World(|| Box::new(IgnoresConditions::default()))],
    },
    Entry {
        id: "O12",
        sentence: "Somebody else deletes or overwrites objects",
        invariants: &["I6", "I14"],
        needs: &[],
        ways: &[
            Way::World(|| Box::new(Stored::has_intruder())),
            Way::World(|| Box::new(Stored::has_intruder_in_log())),
        ],
    },
];
