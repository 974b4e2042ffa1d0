//! Networks between nodes, regions and readers.

use super::{Entry, Way};
use crate::cluster;
use crate::regions;
use crate::run::doctor::Need;
use crate::run::experiments::Experiment;
use crate::run::faults::hostile::Dawdlers;
use crate::run::faults::names::Names;

pub(super) const FAULTS: [Entry; 12] = [
    Entry {
        id: "N1",
        sentence: "Nodes are parted from each other, both ways",
        invariants: &["I7", "I8", "I11"],
        needs: &[Need::Namespaces, Need::Nft],
        ways: &[
            Way::Experiment(Experiment::Cluster(&[cluster::Fault::Cut])),
            Way::Experiment(Experiment::Regions(&[regions::Fault::Split])),
        ],
    },
    Entry {
        id: "N2",
        sentence: "Nodes are parted one way only",
        invariants: &["I7", "I8"],
        needs: &[Need::Namespaces, Need::Nft],
        ways: &[
            Way::Experiment(Experiment::Cluster(&[cluster::Fault::OneWay])),
            Way::Experiment(Experiment::Regions(&[
                regions::Fault::Mute,
                regions::Fault::Deaf,
                regions::Fault::OneWay,
            ])),
        ],
    },
    Entry {
        id: "N3",
        sentence: "What is sent to a node vanishes, or is refused",
        invariants: &["I11"],
        needs: &[Need::Namespaces, Need::Nft],
        ways: &[Way::Experiment(Experiment::Cluster(&[cluster::Fault::Cut, cluster::Fault::Refuse]))],
    },
    Entry {
        id: "N4",
        sentence: "Packets are lost, some or many",
        invariants: &["I1", "I9"],
        needs: &[Need::Namespaces, Need::Nft],
        ways: &[Way::Experiment(Experiment::Cluster(&[cluster::Fault::Lose]))],
    },
    Entry {
        id: "N5",
        sentence: "Packets are late, in another order, twice or damaged",
        invariants: &["I1", "I9"],
        needs: &[Need::Namespaces, Need::Queue],
        ways: &[Way::Experiment(Experiment::Cluster(&[cluster::Fault::Mangle]))],
    },
    Entry {
        id: "N6",
        sentence: "A link has 16 kbit a second, less than it needs",
        invariants: &["I10"],
        needs: &[Need::Namespaces, Need::Tbf],
        ways: &[Way::Experiment(Experiment::Cluster(&[cluster::Fault::Narrow]))],
    },
    Entry {
        id: "N7",
        sentence: "A link comes and goes",
        invariants: &["I11"],
        needs: &[Need::Namespaces, Need::Nft],
        ways: &[Way::Experiment(Experiment::Regions(&[regions::Fault::Flap]))],
    },
    Entry {
        id: "N8",
        sentence: "Links are clogged one by one, and freed in another order",
        invariants: &["I11"],
        needs: &[Need::Namespaces, Need::Nft],
        ways: &[Way::Experiment(Experiment::Cluster(&[cluster::Fault::Clog]))],
    },
    Entry {
        id: "N9",
        sentence: "All connections are reset, again and again",
        invariants: &["I9"],
        needs: &[Need::Namespaces, Need::KillSockets],
        ways: &[Way::Experiment(Experiment::Cluster(&[cluster::Fault::Reset]))],
    },
    Entry {
        id: "N10",
        sentence: "Connections are half open, half closed, or dawdle",
        invariants: &["I10"],
        needs: &[],
        ways: &[Way::World(|| Box::new(Dawdlers::default()))],
    },
    Entry {
        id: "N11",
        sentence: "Names cannot be looked up, lead elsewhere, or late",
        invariants: &["I11"],
        needs: &[Need::Mount],
        ways: &[Way::World(|| Box::new(Names::default()))],
    },
    Entry {
        id: "N12",
        sentence: "Long packets vanish",
        invariants: &["I11"],
        needs: &[Need::Namespaces, Need::Nft],
        ways: &[Way::Experiment(Experiment::Regions(&[regions::Fault::DropLong]))],
    },
];
