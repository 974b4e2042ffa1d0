//! Clocks.

use super::{Entry, Way};
use crate::run::doctor::Need;
use crate::run::faults::clock::{Expired, Sleeps, WallClock};

pub(super) const FAULTS: [Entry; 5] = [
    Entry {
        id: "C1",
        sentence: "The wall clock jumps by seconds, hours and years",
        invariants: &["I1", "I2", "I3", "I4", "I5", "I6", "I7", "I8"],
        needs: &[Need::FakeTime],
        ways: &[Way::World(|| Box::new(WallClock::jumps()))],
    },
    Entry {
        id: "C2",
        sentence: "A clock runs at half or double speed",
        invariants: &["I8"],
        needs: &[Need::FakeTime],
        ways: &[Way::World(|| Box::new(WallClock::is_fast())), Way::World(|| Box::new(WallClock::is_slow()))],
    },
    Entry {
        id: "C3",
        sentence: "The wall clock jumps to and fro all the time",
        invariants: &["I5"],
        needs: &[Need::FakeTime],
        ways: &[Way::World(|| Box::new(WallClock::strobes()))],
    },
    Entry {
        id: "C4",
        sentence: "The machine sleeps: monotonic time has a gap",
        invariants: &["I11"],
        needs: &[],
        ways: &[Way::World(|| Box::new(Sleeps))],
    },
    Entry {
        id: "C5",
        sentence: "Certificates are expired, or not valid yet",
        invariants: &["I14"],
        needs: &[Need::FakeTime],
        ways: &[Way::World(|| Box::new(Expired::default()))],
    },
];
