//! The `ledger_close_meta` batch: one row a ledger, with the bytes of the ledger itself. It travels between nodes and is
//! never at rest.

use std::sync::{Arc, LazyLock};

use arrow::datatypes::SchemaRef;

use crate::column::Data::{Bytes, Hash, Int32, Int64, Time};
use crate::column::{Column, Data, Null, schema};

/// Identity of the batch; see [`crate::SCHEMA_ID_KEY`].
pub const LEDGER_CLOSE_METAS_ID: &str = "orrery.ledger_close_metas";
/// Revision of the batch; see [`crate::SCHEMA_VERSION_KEY`].
pub const LEDGER_CLOSE_METAS_VERSION: u32 = 1;

/// The Arrow schema on the wire. All but the last column repeats what the last one says, for readers that do not know
/// XDR: nothing is proven by it.
pub fn ledger_close_metas_schema() -> SchemaRef {
    static SCHEMA: LazyLock<SchemaRef> =
        LazyLock::new(|| Arc::new(schema(LEDGER_CLOSE_METAS_ID, LEDGER_CLOSE_METAS_VERSION, &COLUMNS)));
    SCHEMA.clone()
}

const COLUMNS: [Column; 6] = [
    column("ledger_sequence", Int64, "ledger", "LedgerHeader.ledgerSeq", "Number of the ledger"),
    column(
        "closed_at",
        Time,
        "microsecond",
        "LedgerHeader.scpValue.closeTime",
        "Consensus close time, whole seconds",
    ),
    column(
        "ledger_hash",
        Hash,
        "SHA-256",
        "LedgerHeaderHistoryEntry.hash",
        "Hash that is claimed for the header",
    ),
    column(
        "previous_ledger_hash",
        Hash,
        "SHA-256",
        "LedgerHeader.previousLedgerHash",
        "Hash of the header before",
    ),
    column(
        "protocol_version",
        Int32,
        "protocol",
        "LedgerHeader.ledgerVersion",
        "Protocol that closed the ledger",
    ),
    column("ledger_close_meta", Bytes, "XDR", "LedgerCloseMeta", "The ledger as it was found"),
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
