//! Sources of ledgers.

use super::Entry;

pub(super) const FAULTS: [Entry; 11] = [
    Entry {
        id: "U1",
        sentence: "A source answers 429 or 5xx, or not at all",
        invariants: &["I11"],
        needs: &[],
        ways: &[],
    },
    Entry {
        id: "U2",
        sentence: "A source sends malformed, oversized or deep data",
        invariants: &["I10", "I12"],
        needs: &[],
        ways: &[],
    },
    Entry {
        id: "U3",
        sentence: "Compressed data is cut short, damaged, or a bomb",
        invariants: &["I10", "I12"],
        needs: &[],
        ways: &[],
    },
    Entry {
        id: "U4",
        sentence: "Ledgers are missing, come twice, or in another order",
        invariants: &["I1", "I2"],
        needs: &[],
        ways: &[],
    },
    Entry { id: "U5", sentence: "A ledger is of a fork", invariants: &["I15"], needs: &[], ways: &[] },
    Entry {
        id: "U6",
        sentence: "A ledger's content was changed",
        invariants: &["I15"],
        needs: &[],
        ways: &[],
    },
    Entry {
        id: "U7",
        sentence: "A source is of another network, or begins anew",
        invariants: &["I15"],
        needs: &[],
        ways: &[],
    },
    Entry {
        id: "U8",
        sentence: "A ledger is replaced after it was processed",
        invariants: &["I14"],
        needs: &[],
        ways: &[],
    },
    Entry { id: "U9", sentence: "A source has no new ledgers", invariants: &["I14"], needs: &[], ways: &[] },
    Entry { id: "U10", sentence: "Sources disagree", invariants: &["I15"], needs: &[], ways: &[] },
    Entry {
        id: "U11",
        sentence: "A source has dropped the ledgers that are needed",
        invariants: &["I1"],
        needs: &[],
        ways: &[],
    },
];
