//! Whether a ledger's structure or hashes give a change away (integrity levels V1 and V3 to V5).

use orrery_actors::ledger::integrity::check;
use orrery_actors::ledger::{Network, ParsedLedger};

/// What became of a change of a bound byte.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// The bytes are no ledger any more.
    FoundByStructure,
    /// A hash does not hold any more.
    FoundByHashes,
    /// Nobody noticed.
    Missed,
}

/// Judges a changed ledger.
pub fn judge(network: &Network, changed: &[u8]) -> Verdict {
    match ParsedLedger::read(network, changed) {
        Err(_) => Verdict::FoundByStructure,
        Ok(parsed) if !check(&parsed).violations.is_empty() => Verdict::FoundByHashes,
        Ok(_) => Verdict::Missed,
    }
}
