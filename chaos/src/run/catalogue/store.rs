//! Object stores.

use super::Entry;

pub(super) const FAULTS: [Entry; 12] = [
    Entry {
        id: "O1",
        sentence: "A store answers 500, 502, 503 or 429",
        invariants: &["I11"],
        needs: &[],
        ways: &[],
    },
    Entry {
        id: "O2",
        sentence: "A request to a store times out and is not done",
        invariants: &["I1", "I7"],
        needs: &[],
        ways: &[],
    },
    Entry {
        id: "O3",
        sentence: "A request to a store is done, and its answer is lost",
        invariants: &["I2", "I7"],
        needs: &[],
        ways: &[],
    },
    Entry {
        id: "O4",
        sentence: "A store answers 409 where 412 is meant",
        invariants: &["I2", "I7"],
        needs: &[],
        ways: &[],
    },
    Entry {
        id: "O5",
        sentence: "A request to a store is done minutes after its sender gave up",
        invariants: &["I7"],
        needs: &[],
        ways: &[],
    },
    Entry {
        id: "O6",
        sentence: "A store lists too little, or what was",
        invariants: &["I1", "I2"],
        needs: &[],
        ways: &[],
    },
    Entry {
        id: "O7",
        sentence: "A store's answer is cut short, or is other bytes",
        invariants: &["I15"],
        needs: &[],
        ways: &[],
    },
    Entry {
        id: "O8",
        sentence: "A stored object rots silently",
        invariants: &["I15"],
        needs: &[],
        ways: &[],
    },
    Entry {
        id: "O9",
        sentence: "An upload in parts is abandoned, or completed twice",
        invariants: &["I1", "I2"],
        needs: &[],
        ways: &[],
    },
    Entry {
        id: "O10",
        sentence: "Credentials expire in the middle of work",
        invariants: &["I14"],
        needs: &[],
        ways: &[],
    },
    Entry {
        id: "O11",
        sentence: "A store ignores that an object must be absent",
        invariants: &["I7", "I15"],
        needs: &[],
        ways: &[],
    },
    Entry {
        id: "O12",
        sentence: "Somebody else deletes or overwrites objects",
        invariants: &["I6", "I14"],
        needs: &[],
        ways: &[],
    },
];
