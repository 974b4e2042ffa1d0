//! The `ledgers` table: one row a ledger, also for a ledger without events.

use std::sync::{Arc, LazyLock};

use arrow::datatypes::SchemaRef;

use crate::column::Data::{Hash, Int32, Int64, Time};
use crate::column::{Column, Data, Null, schema};

/// Identity of the table; see [`crate::SCHEMA_ID_KEY`].
pub const LEDGERS_ID: &str = "orrery.ledgers";
/// Revision of the table; see [`crate::SCHEMA_VERSION_KEY`].
pub const LEDGERS_VERSION: u32 = 1;

/// The Arrow schema in memory, on the wire and at rest.
pub fn ledgers_schema() -> SchemaRef {
    static SCHEMA: LazyLock<SchemaRef> =
        LazyLock::new(|| Arc::new(schema(LEDGERS_ID, LEDGERS_VERSION, &COLUMNS)));
    SCHEMA.clone()
}

/// Counts are 32 bits wide; what validators may vote to any unsigned 32-bit value is 64 bits wide.
pub(crate) const COLUMNS: [Column; 18] = [
    column("sequence", Int64, "ledger", "LedgerHeader.ledgerSeq", "Number of the ledger"),
    column("hash", Hash, "SHA-256", "LedgerHeaderHistoryEntry.hash", "Hash of the header"),
    column("previous_hash", Hash, "SHA-256", "LedgerHeader.previousLedgerHash", "Hash of the header before"),
    column(
        "closed_at",
        Time,
        "microsecond",
        "LedgerHeader.scpValue.closeTime",
        "Consensus close time, whole seconds",
    ),
    column(
        "protocol_version",
        Int32,
        "protocol",
        "LedgerHeader.ledgerVersion",
        "Protocol that closed the ledger",
    ),
    column(
        "tx_set_hash",
        Hash,
        "SHA-256",
        "LedgerHeader.scpValue.txSetHash",
        "Hash of the transaction set agreed on",
    ),
    column(
        "tx_set_result_hash",
        Hash,
        "SHA-256",
        "LedgerHeader.txSetResultHash",
        "Hash of the transactions' results",
    ),
    column(
        "tx_count",
        Int32,
        "transaction",
        "LedgerCloseMeta.txProcessing",
        "Transactions applied, failed ones included",
    ),
    column(
        "successful_tx_count",
        Int32,
        "transaction",
        "TransactionResult.result.code",
        "Of these, successful",
    ),
    column("failed_tx_count", Int32, "transaction", "TransactionResult.result.code", "Of these, failed"),
    column(
        "operation_count",
        Int32,
        "operation",
        "Transaction.operations",
        "Operations of successful transactions",
    ),
    column("event_count", Int32, "row", "token_transfers", "Rows of the ledger in token_transfers"),
    column("total_coins", Int64, "stroop", "LedgerHeader.totalCoins", "Lumens that exist"),
    column("fee_pool", Int64, "stroop", "LedgerHeader.feePool", "Lumens in the fee pool"),
    column("base_fee", Int64, "stroop", "LedgerHeader.baseFee", "Base fee of an operation"),
    column("base_reserve", Int64, "stroop", "LedgerHeader.baseReserve", "Base reserve of an entry"),
    column(
        "max_tx_set_size",
        Int64,
        "operation",
        "LedgerHeader.maxTxSetSize",
        "Most operations of a set (before protocol 11: transactions)",
    ),
    column(
        "row_digest",
        Hash,
        "setsum-sha256-v1",
        "token_transfers",
        "Sum over the rows of the ledger in token_transfers",
    ),
];

const fn column(
    name: &'static str,
    data: Data,
    unit: &'static str,
    source: &'static str,
    description: &'static str,
) -> Column {
    Column { name, data, null: Null::Never, unit, source, description, since: 1 }
}
