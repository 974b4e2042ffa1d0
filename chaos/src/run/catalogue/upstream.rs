//! Sources of ledgers.

use super::{Entry, Way};
use crate::run::faults::upstream::Upstream;

pub(super) const FAULTS: [Entry; 11] = [
    Entry {
        id: "U1",
        sentence: "A source answers 429 or 5xx, or not at all",
        invariants: &["I11"],
        needs: &[],
        ways: &[
            Way::World(|| Box::new(Upstream::lake_is_busy())),
            Way::World(|| Box::new(Upstream::rpc_is_busy())),
            Way::World(|| Box::new(Upstream::is_silent())),
        ],
    },
    Entry {
        id: "U2",
        sentence: "A source sends malformed, oversized or deep data",
        invariants: &["I10", "I12"],
        needs: &[],
        ways: &[
            Way::World(|| Box::new(Upstream::sends_garbage())),
            Way::World(|| Box::new(Upstream::sends_an_endless_list())),
            Way::World(|| Box::new(Upstream::nests_deep())),
            Way::World(|| Box::new(Upstream::announces_too_much())),
            Way::World(|| Box::new(Upstream::sends_no_base64())),
            Way::World(|| Box::new(Upstream::sends_no_json())),
        ],
    },
    Entry {
        id: "U3",
        sentence: "Compressed data is cut short, damaged, or a bomb",
        invariants: &["I10", "I12"],
        needs: &[],
        ways: &[
            Way::World(|| Box::new(Upstream::cuts_short())),
            Way::World(|| Box::new(Upstream::damages_frames())),
            Way::World(|| Box::new(Upstream::sends_a_bomb())),
            Way::World(|| Box::new(Upstream::wants_a_huge_window())),
        ],
    },
    Entry {
        id: "U4",
        sentence: "Ledgers are missing, come twice, or in another order",
        invariants: &["I1", "I2"],
        needs: &[],
        ways: &[
            Way::World(|| Box::new(Upstream::has_a_gap())),
            Way::World(|| Box::new(Upstream::skips_ledgers())),
            Way::World(|| Box::new(Upstream::runs_ahead())),
            Way::World(|| Box::new(Upstream::repeats_ledgers())),
        ],
    },
    Entry {
        id: "U5",
        sentence: "A ledger is of a fork",
        invariants: &["I15"],
        needs: &[],
        ways: &[Way::World(|| Box::new(Upstream::forks()))],
    },
    Entry {
        id: "U6",
        sentence: "A ledger's content was changed",
        invariants: &["I15"],
        needs: &[],
        ways: &[Way::World(|| Box::new(Upstream::is_tampered_with()))],
    },
    Entry {
        id: "U7",
        sentence: "A source is of another network, or begins anew",
        invariants: &["I15"],
        needs: &[],
        ways: &[Way::World(|| Box::new(Upstream::begins_anew()))],
    },
    Entry {
        id: "U8",
        sentence: "A ledger is replaced after it was processed",
        invariants: &["I14"],
        needs: &[],
        ways: &[Way::World(|| Box::new(Upstream::is_replaced()))],
    },
    Entry {
        id: "U9",
        sentence: "A source has no new ledgers",
        invariants: &["I14"],
        needs: &[],
        ways: &[Way::World(|| Box::new(Upstream::stalls()))],
    },
    Entry {
        id: "U10",
        sentence: "Sources disagree",
        invariants: &["I15"],
        needs: &[],
        ways: &[Way::World(|| Box::new(Upstream::disagrees()))],
    },
    Entry {
        id: "U11",
        sentence: "A source has dropped the ledgers that are needed",
        invariants: &["I1"],
        needs: &[],
        ways: &[Way::World(|| Box::new(Upstream::forgets()))],
    },
];
