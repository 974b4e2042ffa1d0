//! What a change does that no hash gives away: found by contradiction inside the ledger, silent in the rows, or without
//! effect on them.

use orrery_actors::ledger::integrity::check;
use orrery_actors::ledger::{Network, ParsedLedger};
use orrery_actors::processor::ttp::{LedgerEvents, Mode, ProcessError, check_deltas, derive};

/// What became of a change of an unbound byte.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// The bytes are no ledger any more.
    FoundByStructure,
    /// A hash does not hold any more.
    FoundByHashes,
    /// Events cannot be derived any more.
    FoundByDerivation,
    /// Events and ledger entry changes contradict each other.
    FoundByDeltas,
    /// Nobody noticed, and the rows are others: what trust in the source is needed for.
    SilentRowsDiffer,
    /// Nobody noticed, and the rows are the same.
    SilentRowsEqual,
}

/// Judges a changed ledger, whose events were `original` before.
pub fn judge(network: &Network, original: &LedgerEvents, changed: &[u8]) -> Verdict {
    let Ok(parsed) = ParsedLedger::read(network, changed) else { return Verdict::FoundByStructure };
    if !check(&parsed).violations.is_empty() {
        return Verdict::FoundByHashes;
    }
    let Ok((events, contradicted)) = events(&parsed) else { return Verdict::FoundByDerivation };
    if contradicted {
        return Verdict::FoundByDeltas;
    }
    match events == *original {
        true => Verdict::SilentRowsEqual,
        false => Verdict::SilentRowsDiffer,
    }
}

/// The events of an unchanged ledger.
///
/// # Errors
///
/// As [`derive()`].
pub fn original(network: &Network, xdr: &[u8]) -> Result<LedgerEvents, ProcessError> {
    derive(&ParsedLedger::read(network, xdr)?, Mode::Auto)
}

/// Events, and whether the deltas contradict them.
fn events(parsed: &ParsedLedger<'_>) -> Result<(LedgerEvents, bool), ProcessError> {
    let events = derive(parsed, Mode::Auto)?;
    let contradicted = !check_deltas(parsed, &events.rows)?.is_empty();
    Ok((events, contradicted))
}
