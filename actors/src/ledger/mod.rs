//! One ledger as bytes: where its parts lie, and what its hashes prove.

pub(crate) mod changes;
pub(crate) mod contract_balances;
mod contract_call;
pub mod cursor;
mod envelope;
mod events;
mod extent;
mod grammar;
pub mod integrity;
mod network;
mod outcome;
mod parsed;
mod view;

pub(crate) use envelope::{Envelope, Memo, MuxedAccount, OperationParts, TransactionParts};
pub(crate) use events::{EventView, for_each_event, for_each_transaction_event};
pub use extent::{HeaderSummary, LedgerExtent, measure_ledger_close_meta, peek_header, peek_sequence};
pub(crate) use grammar::take_value;
pub use network::Network;
pub(crate) use outcome::Outcome;
pub use parsed::{ParseError, ParsedLedger};
pub(crate) use view::TransactionView;
