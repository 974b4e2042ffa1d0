//! Bugs on purpose, for trials of the checkers of `orrery-chaos`: which one is on is chosen at run time, for one thread.
//!
//! Exists only with the feature `seeded-bugs`. Without it [`seeded_bug!`](crate::seeded_bug) is its last argument and
//! nothing else, so that no program that is shipped has a line of this.

use std::cell::Cell;

/// Stands in every program that was built with the feature, and in no other.
pub const MARKER: &str = "orrery: this program was built with seeded bugs";

macro_rules! bugs {
    ($($bug:ident $what:literal $file:literal,)*) => {
        /// A bug that can be switched on.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
        pub enum Bug { $(#[doc = $what] $bug,)* }

        impl Bug {
            /// All.
            pub const ALL: &'static [Self] = &[$(Self::$bug,)*];

            /// What is wrong while it is on.
            pub const fn what(self) -> &'static str {
                match self { $(Self::$bug => $what,)* }
            }

            /// Where it is.
            pub const fn file(self) -> &'static str {
                match self { $(Self::$bug => $file,)* }
            }
        }
    };
}

impl std::fmt::Display for Bug {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{self:?}")
    }
}

impl std::str::FromStr for Bug {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let found = Self::ALL.iter().copied().find(|bug| bug.to_string() == text);
        found.ok_or_else(|| format!("`{text}` is no bug: B1 to B{}", Self::ALL.len()))
    }
}

bugs! {
    B1 "a slot is acknowledged before it is known to be there" "actors/src/dataset/commit.rs",
    B2 "a put that is tried again and finds something is taken for a rival's, and its ledgers are passed over" "actors/src/dataset/commit.rs",
    B3 "a slot that exists is taken for ours without comparing" "actors/src/dataset/commit.rs",
    B4 "slots end one ledger late" "actors/src/dataset/grid.rs",
    B5 "rows are told apart by their transaction alone" "actors/src/dataset/file.rs",
    B6 "a late writer puts its slot behind the others' without looking at them" "actors/src/dataset/commit.rs",
    B7 "slots before a checkpoint are deleted" "actors/src/dataset/restore.rs",
    B8 "a reader that goes on inside a ledger misses one event" "actors/src/feed/frames.rs",
    B9 "after a break the source is asked for the ledger behind the one that is due" "actors/src/processor/core.rs",
    B10 "slots end when the clock says so" "actors/src/dataset/grid.rs",
    B11 "the encoder writes a map in the order of its hashes" "actors/src/dataset/file.rs",
    B12 "what is fetched again is not proven" "actors/src/pipeline/batch.rs",
    B13 "the hash of a header is taken from whoever sent it" "actors/src/ledger/integrity.rs",
    B14 "an error of fsync is passed over" "actors/src/dataset/store/local.rs",
    B15 "the folder is not written through after a link" "actors/src/dataset/store/local.rs",
    B16 "a listing says where the log ends" "actors/src/dataset/table.rs",
    B17 "a reader that is too slow is given what is still there" "actors/src/feed/hub.rs",
    B18 "restarts are counted for ever" "supervisor/src/restart_intensity.rs",
    B19 "a ledger that fails is asked for again for ever" "actors/src/processor/core.rs",
    B20 "a copied file is taken as it came" "actors/src/region/replication/replicator.rs",
    B21 "only an epoch that is two ahead deposes" "supervisor/src/cluster/lease/core.rs",
    B22 "an object that ends inside a zstd frame has come to its end" "actors/src/source/content.rs",
    B23 "ledgers that come again after a fail-over are taken again" "actors/src/feed/ring.rs",
    B24 "a file is named by the hash of another one" "actors/src/dataset/file.rs",
}

thread_local! {
    static ON: Cell<Option<Bug>> = const { Cell::new(None) };
    static TICKS: Cell<u64> = const { Cell::new(0) };
}

/// Whether a bug is on, on this thread.
pub fn is_on(bug: Bug) -> bool {
    // The marker must not be left out as unused.
    ON.get() == Some(bug) && !std::hint::black_box(MARKER).is_empty()
}

/// Switches a bug on for as long as `work` takes, on this thread.
pub fn with<T>(bug: Option<Bug>, work: impl FnOnce() -> T) -> T {
    let before = ON.replace(bug);
    TICKS.set(0);
    let done = work();
    ON.set(before);
    done
}

/// The bug that is on, on this thread.
pub fn active() -> Option<Bug> {
    ON.get()
}

/// Switches a bug on, on this thread, for as long as it lives: for threads that work for another one.
pub fn switch(bug: Option<Bug>) {
    ON.set(bug);
}

/// What bugs take for a clock, or for the seed of a hash: another number each time, the same in every run.
pub fn tick() -> u64 {
    TICKS.set(TICKS.get().wrapping_add(1));
    TICKS.get().wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 32
}
