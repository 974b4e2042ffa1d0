//! Names, types and versions of Orrery's data at rest and on the wire.
//!
//! Nothing here knows where ledgers come from or where rows go.

mod address;
mod asset;
mod ids;
mod ledger;
mod row_digest;
mod token_transfer;

pub use address::{Address, ContractId};
pub use asset::{Asset, AssetCode};
pub use ids::{CloseTime, EventId, Hash32, LedgerSequence, Toid};
pub use ledger::Ledger;
pub use row_digest::RowDigest;
pub use token_transfer::{Kind, OpType, ToMuxed, TokenTransfer};
