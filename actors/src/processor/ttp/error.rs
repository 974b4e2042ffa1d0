//! Why a ledger has no events, and where in it.

use std::fmt;

use orrery_schemas::{Asset, Hash32};
use thiserror::Error;

use crate::ledger::ParseError;
use crate::ledger::cursor::WalkError;

/// A ledger that cannot be turned into events. Nothing of it is returned: its bytes are the evidence.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub struct ProcessError {
    /// The ledger, once its header has been read.
    pub ledger_sequence: Option<u32>,
    /// 1-based, apply order.
    pub tx_index: Option<u32>,
    /// 1-based.
    pub op_index: Option<u32>,
    /// What is wrong.
    #[source]
    pub fault: Fault,
}

/// `ledger 7, transaction 2, operation 1: ...`
impl fmt::Display for ProcessError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.ledger_sequence {
            Some(sequence) => write!(f, "ledger {sequence}")?,
            None => f.write_str("ledger of unknown number")?,
        }
        if let Some(index) = self.tx_index {
            write!(f, ", transaction {index}")?;
        }
        if let Some(index) = self.op_index {
            write!(f, ", operation {index}")?;
        }
        write!(f, ": {}", self.fault)
    }
}

/// What a rule found instead of what the protocol promises.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum Fault {
    /// The bytes are not a ledger.
    #[error(transparent)]
    Parse(#[from] ParseError),
    /// A part is not the XDR that its place demands.
    #[error("cannot decode {what}: {reason}")]
    Decode {
        /// The XDR type.
        what: &'static str,
        /// The decoder's words.
        reason: String,
    },
    /// A result names a transaction that the set does not hold.
    #[error("no transaction with hash {0} in the transaction set: is the network passphrase the ledger's?")]
    UnknownTransaction(Hash32),
    /// Operations of envelope, result and meta do not match in number.
    #[error("the transaction has {operations} operations, but its {part} has {found}")]
    OperationCount {
        /// In the envelope.
        operations: usize,
        /// `result` or `meta`.
        part: &'static str,
        /// In that part.
        found: usize,
    },
    /// The meta was written by a stellar-core that recorded too little.
    #[error(
        "transaction meta version {version} of protocol {protocol} is not supported: export the ledger again with a current stellar-core"
    )]
    UnsupportedMeta {
        /// Of the `TransactionMeta`.
        version: i32,
        /// Of the header.
        protocol: u32,
    },
    /// A successful transaction holds an operation that was not successful.
    #[error("the transaction is successful, but its {operation} operation is not")]
    FailedOperation {
        /// The operation's name.
        operation: &'static str,
    },
    /// An operation changed another number of entries than its kind does.
    #[error("{operation} {change} {found} {entry} entries, expected {expected}")]
    EntryChanges {
        /// The operation's name.
        operation: &'static str,
        /// `removed`, `changed`.
        change: &'static str,
        /// The kind of entry.
        entry: &'static str,
        /// How many there are.
        found: usize,
        /// How many there must be.
        expected: usize,
    },
    /// A pool's reserve moved against the operation.
    #[error("{operation} moved the pool's reserve of {asset} by {change}")]
    ReserveChange {
        /// The operation's name.
        operation: &'static str,
        /// Of the reserve.
        asset: Asset,
        /// After less before.
        change: i128,
    },
    /// A fee event is malformed.
    #[error("malformed fee event: {0}")]
    FeeEvent(&'static str),
    /// A transaction has no fee event, or more than a fee and a refund.
    #[error("{0} fee events, expected a fee and at most one refund")]
    FeeEventCount(usize),
    /// Unified mode was asked for and the meta holds no events.
    #[error("the transaction's meta has no unified events (CAP-0067): use mode auto or derived")]
    NoUnifiedEvents,
    /// The close time lies past the year 9999.
    #[error("close time {0} is past the year 9999")]
    CloseTime(u64),
    /// A position that SEP-35 cannot name.
    #[error("the position does not fit a TOID (SEP-35)")]
    Toid,
}

impl Fault {
    /// The error for this fault at a place inside a ledger.
    pub(super) fn at(self, tx_index: usize, op_index: Option<usize>) -> ProcessError {
        let one_based = |index: usize| u32::try_from(index + 1).unwrap_or(u32::MAX);
        ProcessError {
            ledger_sequence: None,
            tx_index: Some(one_based(tx_index)),
            op_index: op_index.map(one_based),
            fault: self,
        }
    }
}

impl From<Fault> for ProcessError {
    fn from(fault: Fault) -> Self {
        Self { ledger_sequence: None, tx_index: None, op_index: None, fault }
    }
}

impl From<WalkError> for Fault {
    fn from(error: WalkError) -> Self {
        Self::Parse(error.into())
    }
}

impl From<ParseError> for ProcessError {
    fn from(error: ParseError) -> Self {
        Fault::from(error).into()
    }
}
