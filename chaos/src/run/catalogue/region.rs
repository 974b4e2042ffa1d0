//! Regions, and who coordinates.

use super::{Entry, Way};
use crate::cluster;
use crate::regions;
use crate::run::doctor::Need;
use crate::run::experiments::Experiment;
use crate::run::simulated::Simulated;
use crate::sim::Protocol;

pub(super) const FAULTS: [Entry; 8] = [
    Entry {
        id: "R1",
        sentence: "A region is lost with its store",
        invariants: &["I6", "I9"],
        needs: &[Need::Namespaces],
        ways: &[Way::Experiment(Experiment::Regions(&[regions::Fault::Kill, regions::Fault::Empty]))],
    },
    Entry {
        id: "R2",
        sentence: "Two sides of a split both go on",
        invariants: &["I7", "I8"],
        needs: &[Need::Namespaces, Need::Nft],
        ways: &[Way::Experiment(Experiment::Regions(&[regions::Fault::Split, regions::Fault::Stop]))],
    },
    Entry {
        id: "R3",
        sentence: "A region is paused in the middle of a write, and goes on late",
        invariants: &["I7", "I8"],
        needs: &[Need::Namespaces],
        ways: &[Way::Experiment(Experiment::Regions(&[regions::Fault::Pause]))],
    },
    Entry {
        id: "R4",
        sentence: "A region comes back with an earlier state, or another one",
        invariants: &["I4", "I5"],
        needs: &[Need::Namespaces],
        ways: &[Way::Experiment(Experiment::Regions(&[regions::Fault::Old, regions::Fault::Differ]))],
    },
    Entry {
        id: "R5",
        sentence: "Whoever coordinates is lost, or what it keeps",
        invariants: &["I11"],
        needs: &[],
        ways: &[
            Way::Experiment(Experiment::Coordinator(&[
                cluster::Fault::Stop,
                cluster::Fault::Term,
                cluster::Fault::Kill,
            ])),
            Way::Simulation(Simulated {
                protocol: Protocol::Cluster,
                words: &["may not reach the store of leases", " Activate", " StandDown"],
            }),
        ],
    },
    Entry {
        id: "R6",
        sentence: "Nodes are restarted one after another, and replaced by other versions",
        invariants: &["I1", "I2", "I3", "I4", "I5", "I6", "I7", "I8", "I9"],
        needs: &[],
        ways: &[
            Way::Experiment(Experiment::Cluster(&[
                cluster::Fault::Term,
                cluster::Fault::Term,
                cluster::Fault::Term,
            ])),
            Way::Experiment(Experiment::Cluster(&[
                cluster::Fault::Replace,
                cluster::Fault::Replace,
                cluster::Fault::Replace,
            ])),
        ],
    },
    Entry {
        id: "R7",
        sentence: "Traffic is moved while regions are parted",
        invariants: &["I8"],
        needs: &[Need::Namespaces, Need::Nft],
        ways: &[Way::Experiment(Experiment::Regions(&[regions::Fault::Parted]))],
    },
    Entry {
        id: "R8",
        sentence: "The link between regions is down for long",
        invariants: &["I4", "I11"],
        needs: &[Need::Namespaces, Need::Nft],
        ways: &[Way::Experiment(Experiment::Regions(&[regions::Fault::Cut]))],
    },
];
