//! One closed ledger: the row of the `ledgers` table.

use crate::{CloseTime, Hash32, LedgerSequence, RowDigest};

/// Header facts of a ledger and the sums over its transactions and events.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ledger {
    /// Number of the ledger.
    pub sequence: LedgerSequence,
    /// SHA-256 of the header's XDR.
    pub hash: Hash32,
    /// Hash of the ledger before.
    pub previous_hash: Hash32,
    /// Consensus close time.
    pub closed_at: CloseTime,
    /// Protocol version that closed the ledger.
    pub protocol_version: u32,
    /// Hash of the transaction set that was agreed on.
    pub tx_set_hash: Hash32,
    /// Hash of the results of its transactions.
    pub tx_set_result_hash: Hash32,
    /// Transactions applied, failed ones included.
    pub tx_count: u32,
    /// Of these, successful.
    pub successful_tx_count: u32,
    /// Of these, failed.
    pub failed_tx_count: u32,
    /// Operations of the successful transactions.
    pub operation_count: u32,
    /// Rows of this ledger in `token_transfers`.
    pub event_count: u32,
    /// Lumens that exist, in stroops.
    pub total_coins: i64,
    /// Lumens in the fee pool, in stroops.
    pub fee_pool: i64,
    /// Base fee per operation, in stroops.
    pub base_fee: u32,
    /// Base reserve, in stroops.
    pub base_reserve: u32,
    /// Most operations (before protocol 11: transactions) a set may hold.
    pub max_tx_set_size: u32,
    /// Order-independent sum over the rows of this ledger in `token_transfers`.
    pub row_digest: RowDigest,
}
