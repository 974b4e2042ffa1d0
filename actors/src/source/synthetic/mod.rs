//! Synthetic ledgers: a small simulated network whose ledgers are as a real one's, and whose token-transfer events are
//! known because the simulation records them as they happen.
//!
//! In: a [`SyntheticSpec`]. Out: ledgers 2 to N + 1, contiguous and hash-chained, each a `LedgerCloseMeta` with the rows
//! that a processor must make of it. Bytes depend on the spec alone. Every operation of the token-transfer rules occurs,
//! and what moves tokens also moves entries, so that hashes (V0 to V5) and event deltas hold. One exception is
//! stellar-core's own: before protocol 23 core rewrites old contract events when it backfills unified events, after
//! their hash was made, so V5 cannot hold for such calls in `events=unified`.
//!
//! It serves the demo, load runs and tests. Memory is bounded by the fixed population of `world`, not by the number
//! of ledgers. What is not simulated: signatures (random bytes), the bucket list, offers' liabilities, upgrades, SCP.

mod spec;

mod close;
mod plan;
mod transaction;

mod operation;

mod claimable;
mod failures;
mod invocation;
mod market;
mod paths;
mod payments;
mod pools;
mod settings;
mod trust;

mod contracts;
mod tokens;

mod assets;
mod store;
mod world;

mod meta;
mod movement;
mod rows;
mod tx_set;

mod random;
mod xdr;

#[cfg(test)]
mod tests;

use std::iter::FusedIterator;

use orrery_schemas::TokenTransfer;
use stellar_xdr::LedgerCloseMeta;

pub use spec::{
    Density, EventsMode, LEDGERS_MAX, PROTOCOL_MAX, PROTOCOL_MIN, Rate, SpecError, SyntheticSpec,
};

use close::Closer;

/// Passphrase of the synthetic network; its SHA-256 is the network id in every transaction hash and contract id.
pub const NETWORK_PASSPHRASE: &str = "Orrery synthetic network ; October 2025";

/// A closed ledger and what is in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SyntheticLedger {
    /// The ledger as stellar-core would hand it out.
    pub meta: LedgerCloseMeta,
    /// Its token-transfer events, in canonical order.
    pub expected: Vec<TokenTransfer>,
}

impl SyntheticLedger {
    /// The XDR of the ledger.
    pub fn to_xdr(&self) -> Vec<u8> {
        xdr::encode(&self.meta)
    }
}

/// The ledgers of a spec, one after another. A clone goes on by itself, with the same ledgers.
#[derive(Clone)]
pub struct SyntheticLedgers {
    closer: Closer,
    left: u32,
}

impl SyntheticLedgers {
    /// Populates the network; the first ledger is 2.
    pub fn new(spec: &SyntheticSpec) -> Self {
        let network_id = xdr::sha256(NETWORK_PASSPHRASE.as_bytes());
        Self { closer: Closer::new(spec, network_id), left: spec.ledgers }
    }
}

impl Iterator for SyntheticLedgers {
    type Item = SyntheticLedger;

    fn next(&mut self) -> Option<SyntheticLedger> {
        self.left = self.left.checked_sub(1)?;
        Some(self.closer.close_next())
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (self.left as usize, Some(self.left as usize))
    }
}

impl ExactSizeIterator for SyntheticLedgers {}

impl FusedIterator for SyntheticLedgers {}
