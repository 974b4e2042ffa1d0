//! Placement: which node comes first for a piece of work. Weighted rendezvous hashing, in whole numbers alone: every machine computes the same.
//!
//! For a key, every node draws as many tickets as its weight, and the node with the highest ticket comes first. Tickets
//! depend on nothing but key, name and their number. So a node gets its share of the keys; a node that leaves or loses
//! weight only gives keys away, one that joins or gains weight only takes some.
//!
//! The tickets of a node for a key are the numbers of SplitMix64 with the seed of the first 8 bytes, little-endian, of
//! SHA-256(length of key, 8 bytes little-endian | key | name). Changing this moves everything once.

use sha2::{Digest, Sha256};

use crate::cluster::name::NodeName;
use crate::random::SeededRandom;

/// How many tickets a node draws for each key: 1 to [`Weight::MAX`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Weight(u32);

impl Weight {
    /// More tickets would only cost time.
    pub const MAX: u32 = 128;

    /// Loads from here on count as busy, and halve a node's weight.
    pub const BUSY: f32 = 0.6;

    /// Loads from here on count as full, and leave a quarter of a node's weight.
    pub const FULL: f32 = 0.9;

    /// Tickets for every task of its capacity, fewer if it is busy.
    pub fn of(capacity: u32, load: f32) -> Self {
        let tickets = match load {
            load if load >= Self::FULL => 1,
            load if load >= Self::BUSY => 2,
            _ => 4,
        };
        Self(capacity.clamp(1, Self::MAX / 4) * tickets)
    }

    /// In tickets.
    pub const fn tickets(self) -> u32 {
        self.0
    }
}

/// The highest ticket of a node for a key.
fn score(key: &[u8], name: &NodeName, weight: Weight) -> u64 {
    let mut hash = Sha256::new();
    // A `usize` has at most 64 bits.
    hash.update(u64::try_from(key.len()).unwrap_or(u64::MAX).to_le_bytes());
    hash.update(key);
    hash.update(name.as_str());
    let digest: [u8; 32] = hash.finalize().into();
    let seed = digest.first_chunk().copied().map_or(0, u64::from_le_bytes);
    let mut tickets = SeededRandom::new(seed);
    (0..weight.0).map(|_| tickets.draw()).max().unwrap_or(0)
}

/// The candidates in the order in which a key would belong to them, if those before were not there.
pub fn ranking<'a>(
    key: &[u8],
    candidates: impl IntoIterator<Item = (&'a NodeName, Weight)>,
) -> Vec<&'a NodeName> {
    let mut scored: Vec<_> =
        candidates.into_iter().map(|(name, weight)| (score(key, name, weight), name)).collect();
    scored.sort_unstable_by(|left, right| right.cmp(left));
    scored.into_iter().map(|(_, name)| name).collect()
}

#[cfg(test)]
mod tests;
