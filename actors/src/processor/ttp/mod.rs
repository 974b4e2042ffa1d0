//! The token-transfer processor: one ledger in, its events out.
//!
//! In: the bytes of one `LedgerCloseMeta`, of any protocol, and the network. Out: the rows of the ledger in canonical
//! order, and its row of the ledgers table. A ledger is processed whole or not at all.
//!
//! Events come from stellar-core where a transaction's meta has them (*unified*, CAP-67), else from its operations,
//! results and entry changes (*derived*); both give the same rows. Order inside a ledger:
//!
//! | protocol | order |
//! |---|---|
//! | to 22 | fees of all transactions; then of each transaction its operations' events and its refund |
//! | from 23 | fees of all transactions; operations' events of all; refunds of all |

mod classic_ops;
mod contract_events;
mod cross_check;
mod deltas;
mod error;
mod fees;
mod movement;
mod order;
mod pools;
mod reconcile;
mod transaction;
mod xdr;

use orrery_schemas::{CloseTime, Hash32, Ledger, LedgerSequence, RowDigest, TokenTransfer};
use sha2::{Digest, Sha256};

pub use cross_check::{ModeDifference, cross_check};
pub use deltas::{DeltaMismatch, check_deltas};
pub use error::{Fault, ProcessError};

use crate::ledger::{Network, ParsedLedger};

/// Where events are read from.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Mode {
    /// Chosen per transaction: unified where its meta has a fee event, else derived.
    #[default]
    Auto,
    /// From operations, results and entry changes, also where stellar-core emitted events.
    Derived,
    /// From stellar-core's events alone; a transaction without them is an error.
    Unified,
}

/// A ledger with its events.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LedgerEvents {
    /// The row of the ledgers table.
    pub ledger: Ledger,
    /// The rows of the events, in canonical order.
    pub rows: Vec<TokenTransfer>,
}

/// Processes the bytes of exactly one `LedgerCloseMeta`, without checking its hashes.
///
/// # Errors
///
/// Names ledger, transaction and operation, and what is wrong there. Damaged bytes are an error, never a panic.
pub fn process(network: &Network, mode: Mode, xdr: &[u8]) -> Result<LedgerEvents, ProcessError> {
    derive(&ParsedLedger::read(network, xdr)?, mode)
}

/// The events of a ledger.
///
/// # Errors
///
/// As [`process`].
pub fn derive(ledger: &ParsedLedger<'_>, mode: Mode) -> Result<LedgerEvents, ProcessError> {
    events(ledger, mode)
        .map_err(|error| ProcessError { ledger_sequence: Some(ledger.header.ledger_seq), ..error })
}

fn events(parsed: &ParsedLedger<'_>, mode: Mode) -> Result<LedgerEvents, ProcessError> {
    let ParsedLedger { network, view, header, envelopes, .. } = parsed;
    let context = transaction::Context { network, protocol: header.ledger_version, mode };
    let mut transactions = Vec::with_capacity(view.transactions.len());
    for (tx_index, transaction) in view.transactions.iter().enumerate() {
        let hash = transaction.hash();
        let envelope =
            envelopes.get(&hash).ok_or_else(|| Fault::UnknownTransaction(Hash32(hash)).at(tx_index, None))?;
        transactions.push((hash, context.events(tx_index, envelope, transaction)?));
    }
    let close_time = header.scp_value.close_time.0;
    let closed_at = CloseTime::from_unix_seconds(close_time).ok_or(Fault::CloseTime(close_time))?;
    let ledger_sequence = LedgerSequence(header.ledger_seq);
    let operation_count = transactions.iter().map(|(_, events)| events.operations.len()).sum::<usize>();
    let successful_tx_count = transactions.iter().filter(|(_, events)| events.successful).count();
    let tx_count = transactions.len();
    let rows = order::rows(ledger_sequence, closed_at, header.ledger_version, transactions)?;
    let count = |number: usize| u32::try_from(number).unwrap_or(u32::MAX);
    let ledger = Ledger {
        sequence: ledger_sequence,
        hash: Hash32(Sha256::digest(view.header).into()),
        previous_hash: Hash32(header.previous_ledger_hash.0),
        closed_at,
        protocol_version: header.ledger_version,
        tx_set_hash: Hash32(header.scp_value.tx_set_hash.0),
        tx_set_result_hash: Hash32(header.tx_set_result_hash.0),
        tx_count: count(tx_count),
        successful_tx_count: count(successful_tx_count),
        failed_tx_count: count(tx_count - successful_tx_count),
        operation_count: count(operation_count),
        event_count: count(rows.len()),
        total_coins: header.total_coins,
        fee_pool: header.fee_pool,
        base_fee: header.base_fee,
        base_reserve: header.base_reserve,
        max_tx_set_size: header.max_tx_set_size,
        row_digest: RowDigest::of(&rows),
    };
    Ok(LedgerEvents { ledger, rows })
}
