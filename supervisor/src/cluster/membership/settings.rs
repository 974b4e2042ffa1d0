//! How a node takes part in the gossip.

use std::net::SocketAddr;
use std::time::Duration;

use super::error::MembershipError;
use super::members::Profile;
use crate::cluster::{ClusterName, DeniedNames, NodeIdentity};

/// Seeds that are asked at most; each is a name that is looked up again and again.
pub const SEEDS_MAX: usize = 32;

/// What a node needs to be a member.
#[derive(Clone)]
pub struct MembershipSettings {
    /// Name and life. The life must be later than any former one of this name.
    pub identity: NodeIdentity,
    /// Datagrams of other clusters are ignored.
    pub cluster: ClusterName,
    /// What the others are told.
    pub profile: Profile,
    /// Where datagrams arrive (UDP). Port 0 takes a free one.
    pub listen: SocketAddr,
    /// Where others send their datagrams. Port 0 stands for the one that was bound.
    pub advertise: SocketAddr,
    /// `HOST:PORT` of datagrams of nodes that may be there already; looked up again for as long as nobody is found.
    pub seeds: Vec<String>,
    /// Authenticates datagrams; the same on all nodes of the cluster.
    pub gossip_key: [u8; 32],
    /// Who is no member, whatever the others say; this node's own name does nothing here.
    pub denied: DeniedNames,
    /// How often, and how soon.
    pub timings: Timings,
}

/// How often is gossiped, and how soon silence means something.
///
/// A node is suspected at most `suspect_after_max` + 2 `gossip_interval` + `look_interval` after its end: its last
/// heartbeat may reach this node by a third one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timings {
    /// Between two rounds of gossip. Shorter costs datagrams (four a round and peer); longer leaves fewer heartbeats within
    /// the time of suspicion, so that a single lost datagram counts.
    pub gossip_interval: Duration,
    /// Between two looks at what gossip knows.
    pub look_interval: Duration,
    /// The most of a gap between two looks that counts as silence of the others.
    pub gap_max: Duration,
    /// Nobody is suspected sooner, however regular the heartbeats were.
    pub suspect_after_min: Duration,
    /// Nobody is suspected later, however irregular the heartbeats were.
    pub suspect_after_max: Duration,
    /// Silence after which a node is no longer a member.
    pub out_after: Duration,
    /// Time for which a node that is out is still looked for, at the address that it had.
    pub forget_after: Duration,
    /// Between two calls to the seeds while this node knows nobody.
    pub seed_interval_alone: Duration,
    /// Between two calls to the seeds otherwise: they join parts of a cluster that have forgotten each other.
    pub seed_interval: Duration,
}

impl Default for Timings {
    /// Suspected within 2 s, out within 3 s, also while others want the processors: see `examples/detection.rs`, which on a
    /// machine with two of them and a load average of 15 found at most 1.42 s and 2.42 s, and no false alarm.
    fn default() -> Self {
        Self {
            gossip_interval: Duration::from_millis(200),
            look_interval: Duration::from_millis(100),
            gap_max: Duration::from_millis(300),
            suspect_after_min: Duration::from_millis(800),
            suspect_after_max: Duration::from_millis(1100),
            out_after: Duration::from_millis(2100),
            forget_after: Duration::from_secs(300),
            seed_interval_alone: Duration::from_millis(500),
            seed_interval: Duration::from_secs(15),
        }
    }
}

impl Timings {
    /// # Errors
    ///
    /// No time is zero, and they follow each other.
    pub(super) fn check(&self) -> Result<(), MembershipError> {
        let ascending = [
            ("look_interval", self.look_interval),
            ("suspect_after_min", self.suspect_after_min),
            ("suspect_after_max", self.suspect_after_max),
            ("out_after", self.out_after),
            ("forget_after", self.forget_after),
        ];
        if let Some(pair) = ascending.windows(2).find(|pair| pair[0].1 > pair[1].1) {
            return Err(MembershipError::Timings { first: pair[0].0, then: pair[1].0 });
        }
        let positive = [
            ("look_interval", self.look_interval),
            ("gossip_interval", self.gossip_interval),
            ("gap_max", self.gap_max),
            ("seed_interval_alone", self.seed_interval_alone),
            ("seed_interval", self.seed_interval),
        ];
        match positive.iter().find(|(_, time)| time.is_zero()) {
            Some((name, _)) => Err(MembershipError::Timings { first: "0", then: name }),
            None => Ok(()),
        }
    }
}

impl MembershipSettings {
    /// # Errors
    ///
    /// Names the setting that cannot work.
    pub(super) fn check(&self) -> Result<(), MembershipError> {
        self.timings.check()?;
        if self.seeds.len() > SEEDS_MAX {
            return Err(MembershipError::Seeds { count: self.seeds.len() });
        }
        let unreachable = self.advertise.ip().is_unspecified();
        if unreachable { Err(MembershipError::Advertise { address: self.advertise }) } else { Ok(()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn timings_that_contradict_each_other_are_refused() {
        let check = |change: fn(&mut Timings), expect: &str| {
            let mut timings = Timings::default();
            change(&mut timings);
            let found = timings.check().err().map(|error| error.to_string()).unwrap_or_default();
            assert!(if expect.is_empty() { found.is_empty() } else { found.contains(expect) }, "{found}");
        };
        check(|_| {}, "");
        check(
            |timings| timings.out_after = Duration::ZERO,
            "suspect_after_max must not be longer than out_after",
        );
        check(|timings| timings.gossip_interval = Duration::ZERO, "gossip_interval");
        check(|timings| timings.gap_max = Duration::ZERO, "gap_max");
    }
}
