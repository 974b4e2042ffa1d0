//! The only source of chance of synthetic ledgers: SplitMix64 (Steele, Lea and Flood, "Fast splittable pseudorandom
//! number generators", 2014). It is nine lines, integer only and fixed for ever, so a spec gives the same bytes with
//! every compiler, platform and dependency version.

use sha2::{Digest, Sha256};

/// A stream of numbers that depends on its seed alone.
#[derive(Clone)]
pub(super) struct Random {
    state: u64,
}

impl Random {
    pub(super) fn new(seed: u64) -> Self {
        Self { state: seed }
    }

    pub(super) fn next(&mut self) -> u64 {
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.state;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A number in `0..bound`; 0 if `bound` is 0. The bias of multiply-and-shift is below 2^-40 for our bounds.
    pub(super) fn below(&mut self, bound: u64) -> u64 {
        ((u128::from(self.next()) * u128::from(bound)) >> 64) as u64
    }

    /// A position in a list of `length` elements.
    pub(super) fn index(&mut self, length: usize) -> usize {
        self.below(length as u64) as usize
    }

    /// An element of a list that is never empty.
    pub(super) fn pick<T: Copy>(&mut self, items: &[T]) -> T {
        items[self.index(items.len())]
    }

    /// A number in `low..=high`.
    pub(super) fn between(&mut self, low: i64, high: i64) -> i64 {
        low + self.below((high - low + 1).max(0) as u64) as i64
    }

    /// An amount of 10^-7 units whose digits, not whose value, are spread evenly, as amounts are on a network.
    pub(super) fn amount(&mut self, max: i64) -> i64 {
        let digits = 1 + self.below(10) as u32;
        (1 + self.below(10u64.pow(digits)) as i64).min(max.max(1))
    }

    /// True in `parts` of `whole` cases.
    pub(super) fn chance(&mut self, parts: u64, whole: u64) -> bool {
        self.below(whole) < parts
    }

    pub(super) fn bytes32(&mut self) -> [u8; 32] {
        let mut bytes = [0; 32];
        self.fill(&mut bytes);
        bytes
    }

    pub(super) fn fill(&mut self, bytes: &mut [u8]) {
        for chunk in bytes.chunks_mut(8) {
            let word = self.next().to_le_bytes();
            chunk.copy_from_slice(&word[..chunk.len()]);
        }
    }
}

/// A 32-byte name (account key, wasm hash, ...) that belongs to (seed, domain, number) for ever.
pub(super) fn name32(seed: u64, domain: &str, number: u64) -> [u8; 32] {
    let mut hash = Sha256::new();
    hash.update(b"orrery synthetic ");
    hash.update(domain.as_bytes());
    hash.update(seed.to_be_bytes());
    hash.update(number.to_be_bytes());
    hash.finalize().into()
}
