//! The coordinator's lease: which node is to assign work now.
//!
//! A lease is an object `lease/<epoch>` that names its holder. Epochs are numbered from 1 without end; an object is created
//! once and never changed, so that of two nodes that want one epoch the store lets one have it. The newest counts.
//!
//! What comes in are the members, what the store answers, and time. What goes out is whether this node is active, and with
//! which epoch.
//!
//! - **A hint.** A node that was active and has not yet seen a newer epoch still sends assignments; who gets them refuses
//!   those of an epoch older than it knows. Nothing that is written depends on a lease.
//! - **Takeover.** The next epoch is taken when the holder is no longer a member, leaves, or has restarted; or when nothing
//!   is known of it, and nothing has changed for [`LeaseTimings::unknown_after`] on this node's own clock. Candidates wait
//!   for their turn, in the order of rendezvous hashing, so that two seldom race.
//! - **Joining.** A node that was told whom to join takes no lease before it has met somebody: it would take it from nodes that
//!   it cannot see. If they are gone for good, a person starts it without.
//! - **Standing down.** At once when a newer epoch is seen, when the store has not answered for
//!   [`LeaseTimings::blind_max`], and after a pause of this node, until the store has been read again.
//! - **Few requests.** Who knows the newest lease asks for the next one, and lists all of them once in a minute (`looks.rs`).
//!   Who takes over deletes those that are long over.
//! - **Partitions.** Each part thinks that the other's holder is gone, and would take the lease from it for ever. Who sees a
//!   holder deposed that it thought well of waits longer each time.
//!
//! What decides is [`LeaseCore`], simulated with pauses, cuts and a failing store; [`keep`] performs.

mod core;
mod looks;
mod keeper;
mod contest;
mod electorate;
#[cfg(test)]
mod tests;

use std::fmt;
use std::time::Duration;

use futures::future::BoxFuture;
use thiserror::Error;

pub use self::core::{Action, Event, LeaseCore, StandDownReason};
pub use electorate::Electorate;
pub use keeper::{Coordination, keep};

use crate::cluster::name::NodeIdentity;

/// Number of a lease: the first is 1, and whoever takes it over adds 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Epoch(u64);

impl Epoch {
    /// Of the first lease.
    pub const FIRST: Self = Self(1);

    /// `None` for 0, which no lease has.
    pub const fn new(number: u64) -> Option<Self> {
        if number == 0 { None } else { Some(Self(number)) }
    }

    /// As a number.
    pub const fn get(self) -> u64 {
        self.0
    }

    /// Of the lease after this one.
    pub const fn next(self) -> Self {
        Self(self.0.saturating_add(1))
    }
}

impl fmt::Display for Epoch {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(formatter)
    }
}

/// Who may coordinate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lease {
    /// Its number.
    pub epoch: Epoch,
    /// One life of a node.
    pub holder: NodeIdentity,
}

/// What became of a lease that was to be created.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Created {
    /// It is there now, and was not before.
    Created,
    /// There was one of this epoch already.
    Exists,
}

/// The store did not do what it was asked, or it is not known whether it did.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("the store of leases failed: {0}")]
pub struct LeaseStoreError(pub String);

/// Where leases are. Whoever implements it must create atomically (put if absent), must see what was created before
/// (strong consistency), and must never delete the newest.
pub trait LeaseStore: Send + Sync {
    /// Creates `lease/<epoch>`, unless there is one.
    fn create<'a>(&'a self, lease: &'a Lease) -> BoxFuture<'a, Result<Created, LeaseStoreError>>;

    /// The lease with the highest epoch. May cost more the more leases there are.
    fn newest(&self) -> BoxFuture<'_, Result<Option<Lease>, LeaseStoreError>>;

    /// The lease of exactly this epoch. Costs the same however many there are.
    fn get(&self, epoch: Epoch) -> BoxFuture<'_, Result<Option<Lease>, LeaseStoreError>>;

    /// Deletes leases before this epoch, as far as it comes; how many. Those that stay harm nobody.
    fn forget(&self, before: Epoch) -> BoxFuture<'_, Result<usize, LeaseStoreError>>;
}

/// How soon a lease changes hands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LeaseTimings {
    /// Between two looks at the store. Longer leaves a deposed holder active for longer.
    pub read_interval: Duration,
    /// Between a failure of the store and another try.
    pub retry_interval: Duration,
    /// Within it the store answers, or has failed. The performer sees to it.
    pub operation_max: Duration,
    /// A candidate waits for this long for each that ranks before it.
    pub stagger: Duration,
    /// Time in which a node that just met others learns of the rest.
    pub settle: Duration,
    /// Time without a change after which a lease is taken over from a holder of whom nothing is known.
    pub unknown_after: Duration,
    /// A holder that could not read the store for so long stands down: long enough for three lost answers, shorter than
    /// `unknown_after`.
    pub blind_max: Duration,
    /// A node that was not stepped for so long was paused.
    pub pause: Duration,
    /// First wait after a contest; each further contest doubles it.
    pub contest_wait: Duration,
    /// The longest wait after contests.
    pub contest_wait_max: Duration,
    /// Contests are forgotten after this.
    pub contest_memory: Duration,
}

impl Default for LeaseTimings {
    fn default() -> Self {
        Self {
            read_interval: Duration::from_secs(2),
            retry_interval: Duration::from_millis(500),
            operation_max: Duration::from_secs(3),
            stagger: Duration::from_millis(300),
            settle: Duration::from_secs(3),
            unknown_after: Duration::from_secs(30),
            blind_max: Duration::from_secs(15),
            pause: Duration::from_secs(2),
            contest_wait: Duration::from_secs(1),
            contest_wait_max: Duration::from_secs(16),
            contest_memory: Duration::from_secs(120),
        }
    }
}

impl LeaseTimings {
    /// Candidates after this many wait no longer than it.
    pub const RANKS_MAX: u32 = 10;

    /// When all nodes see each other and the store answers, exactly one is active after this time: a read that notices who
    /// is gone, the longest wait, and a lost answer.
    pub fn elected_within(&self) -> Duration {
        let turns = self.stagger * (Self::RANKS_MAX + 1);
        2 * self.read_interval + 3 * self.operation_max + self.settle + turns + self.contest_wait_max
    }
}
