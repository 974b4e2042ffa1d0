//! Names, types and versions of Orrery's data at rest and on the wire.
//!
//! Nothing here knows where ledgers come from or where rows go.

mod address;
mod asset;
mod batch_error;
mod canonical;
mod column;
mod cursor;
mod event_filter;
mod ids;
mod json;
mod ledger;
mod ledger_batch;
mod ledger_close_metas;
mod ledgers;
mod parse_error;
mod row_digest;
mod row_parts;
mod stored_column;
mod strkey_memo;
mod token_transfer;
mod token_transfer_batch;
mod token_transfer_reader;
mod token_transfers;
mod version;
mod volumes;

pub use address::{Address, ContractId};
pub use asset::{Asset, AssetCode};
pub use batch_error::BatchError;
pub use column::{ROW_DIGEST_KEY, SCHEMA_ID_KEY, SCHEMA_VERSION_KEY, describe_schema};
pub use cursor::Cursor;
pub use event_filter::{EventFilter, FILTER_VALUES_MAX, FilterError};
pub use ids::{CloseTime, EventId, Hash32, LedgerSequence, Toid};
pub use json::{JSON_KEYS, JsonEvent, write_json_line};
pub use ledger::Ledger;
pub use ledger_batch::{ledgers_from_batch, ledgers_to_batch};
pub use ledger_close_metas::{LEDGER_CLOSE_METAS_ID, LEDGER_CLOSE_METAS_VERSION, ledger_close_metas_schema};
pub use ledgers::{LEDGERS_ID, LEDGERS_VERSION, ledgers_schema};
pub use parse_error::ParseError;
pub use row_digest::RowDigest;
pub use row_parts::{ColumnError, ValueError};
pub use token_transfer::{Kind, OpType, ToMuxed, TokenTransfer};
pub use token_transfer_batch::{BATCH_ROWS_MAX, TokenTransferBatchBuilder};
pub use token_transfer_reader::token_transfers_from_batch;
pub use token_transfers::{
    TOKEN_TRANSFERS_ID, TOKEN_TRANSFERS_VERSION, token_transfers_schema, token_transfers_stored_schema,
};
pub use version::{Compatibility, SchemaMismatch, ledgers_compatibility, token_transfers_compatibility};
pub use volumes::{KindVolume, Token, Volume, Volumes};
