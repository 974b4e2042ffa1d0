//! Cross-check: the events that stellar-core emitted against those derived from what each transaction did. Most of what
//! derived mode reads is bound by hashes, so it finds emitted events that were changed where deltas cannot: muxed ids,
//! memos, contract claims, order.

use orrery_schemas::{EventId, TokenTransfer};
use thiserror::Error;

use super::error::ProcessError;
use super::{Mode, derive, reconcile};
use crate::ledger::ParsedLedger;

/// The first row that the two modes do not share.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error(
    "cross-check: event {event_id} ({what}) is not the same by stellar-core's events and by what transaction {tx_index} did"
)]
pub struct ModeDifference {
    /// 1-based, apply order.
    pub tx_index: u32,
    /// The event, as one of the two names it.
    pub event_id: EventId,
    /// Its kind.
    pub what: &'static str,
}

/// Compares `rows`, the events of `ledger`, with those of derived mode. Before protocol 8 nothing is compared: there the
/// two reconcile lumens by different rules (rules 3.4).
///
/// # Errors
///
/// The ledger cannot be derived.
pub fn cross_check(
    ledger: &ParsedLedger<'_>,
    rows: &[TokenTransfer],
) -> Result<Option<ModeDifference>, ProcessError> {
    if ledger.protocol_version() <= reconcile::PROTOCOL_MAX {
        return Ok(None);
    }
    let derived = derive(ledger, Mode::Derived)?.rows;
    let at = rows.iter().zip(&derived).position(|(row, derived)| row != derived);
    let at = at.unwrap_or(rows.len().min(derived.len()));
    Ok(rows.get(at).or(derived.get(at)).map(|row| ModeDifference {
        tx_index: row.tx_index,
        event_id: row.event_id(),
        what: row.kind.as_str(),
    }))
}
