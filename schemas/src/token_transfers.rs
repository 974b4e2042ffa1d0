//! The `token_transfers` table: one row an event.

use std::sync::{Arc, LazyLock};

use arrow::datatypes::{Schema, SchemaRef};

use crate::column::Data::{Bool, Bytes, Decimal, Hash, Int32, Int64, Text, Time, Word};
use crate::column::Null::{Allowed, Never};
use crate::column::{Column, Data, Null, schema};

/// Identity of the table; see [`crate::SCHEMA_ID_KEY`].
pub const TOKEN_TRANSFERS_ID: &str = "orrery.token_transfers";
/// Revision of the table; see [`crate::SCHEMA_VERSION_KEY`].
pub const TOKEN_TRANSFERS_VERSION: u32 = 1;

/// The Arrow schema in memory and on the wire.
pub fn token_transfers_schema() -> SchemaRef {
    static SCHEMA: LazyLock<SchemaRef> =
        LazyLock::new(|| Arc::new(schema(TOKEN_TRANSFERS_ID, TOKEN_TRANSFERS_VERSION, &COLUMNS)));
    SCHEMA.clone()
}

/// The Arrow schema of a file at rest: `kind` and `op_type` are text, so that no reader takes the dictionary for a
/// type of its own (a categorical, an enumeration); the file format compresses them as a dictionary anyway.
pub fn token_transfers_stored_schema() -> SchemaRef {
    static SCHEMA: LazyLock<SchemaRef> = LazyLock::new(|| {
        let schema = token_transfers_schema();
        let fields = schema.fields().iter().zip(&COLUMNS).map(|(field, column)| match column.data {
            Word => Arc::new(field.as_ref().clone().with_data_type(Text.arrow())),
            _ => Arc::clone(field),
        });
        Arc::new(Schema::new_with_metadata(fields.collect::<Vec<_>>(), schema.metadata().clone()))
    });
    SCHEMA.clone()
}

/// Positions in [`COLUMNS`] are those of the builder's columns.
pub(crate) const COLUMNS: [Column; 22] = [
    column("ledger_sequence", Int64, Never, "ledger", "LedgerHeader.ledgerSeq", "Number of the ledger"),
    column(
        "closed_at",
        Time,
        Never,
        "microsecond",
        "LedgerHeader.scpValue.closeTime",
        "Consensus close time, whole seconds",
    ),
    column(
        "tx_hash",
        Hash,
        Never,
        "SHA-256",
        "TransactionResultPair.transactionHash",
        "Transaction, the outer one of a fee bump",
    ),
    column(
        "tx_index",
        Int32,
        Never,
        "position from 1",
        "LedgerCloseMeta.txProcessing",
        "Place of the transaction in apply order",
    ),
    column(
        "op_index",
        Int32,
        Allowed,
        "position from 1",
        "Transaction.operations",
        "Place of the operation; null for fees",
    ),
    column(
        "event_index",
        Int32,
        Never,
        "position from 0",
        "token-transfer rules, decision 6",
        "Place inside (transaction, operation) or inside the fees of the transaction",
    ),
    column(
        "ledger_event_index",
        Int32,
        Never,
        "position from 0",
        "token-transfer rules 3.7",
        "Place in the ledger, dense, in canonical order",
    ),
    column("event_id", Text, Never, "{toid:019}-{event_index:010}", "SEP-35", "Stable name of the event"),
    column("kind", Word, Never, "word", "CAP-67", "transfer, mint, burn, clawback or fee"),
    column("op_type", Word, Allowed, "word", "Operation.body", "Type of the operation; null for fees"),
    column(
        "contract_id",
        Text,
        Never,
        "strkey C",
        "CAP-67, CAP-46-6",
        "Contract that emitted the event, or the asset's contract",
    ),
    column(
        "asset",
        Text,
        Allowed,
        "SEP-11",
        "token-transfer rules 3.5",
        "native or CODE:ISSUER; null: a token not proven to be an asset's contract",
    ),
    column("asset_code", Text, Allowed, "SEP-11", "asset", "Code of the asset; null for native"),
    column("asset_issuer", Text, Allowed, "strkey G", "asset", "Issuer of the asset; null for native"),
    column(
        "from",
        Text,
        Allowed,
        "strkey G, C, B, L, M",
        "CAP-67, SEP-23",
        "Who lost the tokens; null for mints",
    ),
    column(
        "to",
        Text,
        Allowed,
        "strkey G, C, B, L, M",
        "CAP-67, SEP-23",
        "Who received the tokens; null for burns, clawbacks and fees",
    ),
    column(
        "amount",
        Decimal(38),
        Allowed,
        "smallest unit of the token",
        "CAP-67",
        "Raw integer; null if it needs 39 digits",
    ),
    column("amount_text", Text, Never, "smallest unit of the token", "CAP-67", "Raw integer, exact always"),
    column(
        "to_muxed_id",
        Decimal(20),
        Allowed,
        "unsigned 64-bit number",
        "CAP-67, SEP-23",
        "Multiplexing number or id memo for the receiver",
    ),
    column(
        "to_memo_text",
        Bytes,
        Allowed,
        "byte",
        "CAP-67, Memo.text",
        "Text memo for the receiver, raw bytes",
    ),
    column(
        "to_memo_hash",
        Hash,
        Allowed,
        "byte",
        "CAP-67, Memo.hash, Memo.retHash",
        "Hash or return memo for the receiver",
    ),
    column(
        "tx_successful",
        Bool,
        Never,
        "boolean",
        "TransactionResult.result.code",
        "Whether the transaction succeeded; fees are paid either way",
    ),
];

const fn column(
    name: &'static str,
    data: Data,
    null: Null,
    unit: &'static str,
    source: &'static str,
    description: &'static str,
) -> Column {
    Column { name, data, null, unit, source, description, since: 1 }
}
