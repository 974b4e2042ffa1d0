//! What may be wrong with a stream, and how an error crosses it: as a gRPC status whose metadata names the class, so that
//! the pipeline on the other node parks, restarts or gives up as it would have on this one.
//!
//! One class changes on the way. `Invalid` ends a process, because its settings make no sense; those of another node are no
//! reason to end this one. What another node calls invalid parks the pipeline here: until a person has seen to that node,
//! it would be refused again.

use std::time::Duration;

use orrery_schemas::{BatchError, LedgerSequence};
use orrery_supervisor::{ErrorClass, ExitError};
use thiserror::Error;
use tonic::metadata::MetadataValue;
use tonic::{Code, Status};

use super::header_wire::VERSION;

/// Key of a status's metadata: the class of the error.
const CLASS_KEY: &str = "orrery-class";

/// Most bytes of a message in a status: it travels as a header, which peers and proxies bound.
const MESSAGE_BYTES_MAX: usize = 2048;

/// What is wrong with a stream, or with what it carries.
#[derive(Debug, Error)]
pub enum ExchangeError {
    /// The other end speaks another version.
    #[error(
        "the other node speaks version {found} of the exchange, this one {VERSION}: run the same release on both"
    )]
    Version {
        /// As its first frame says.
        found: u8,
    },
    /// A frame's header is not one.
    #[error("header of a frame: {problem}")]
    Header {
        /// What is wrong with it.
        problem: String,
    },
    /// A frame's batch is not what its header says.
    #[error("{what} in a frame: {problem}")]
    Batch {
        /// Which batch.
        what: &'static str,
        /// What is wrong with it.
        problem: String,
    },
    /// One ledger's part does not fit into a frame.
    #[error("{what} has {bytes} bytes, a frame at most {max}: process it where it is fetched and written")]
    TooLarge {
        /// Ledger or object.
        what: String,
        /// Of it, not compressed.
        bytes: usize,
        /// The limit.
        max: usize,
    },
    /// A frame is missing, doubled, or of another stream.
    #[error("frame {found} came where {expected} is due")]
    Sequence {
        /// The number that is due.
        expected: u64,
        /// As its header says.
        found: u64,
    },
    /// A frame of another life of the pipeline.
    #[error("a frame of epoch {found} came on a stream of epoch {expected}")]
    Epoch {
        /// The stream's.
        expected: u64,
        /// As its header says.
        found: u64,
    },
    /// Ledgers out of order.
    #[error("SRC-1: ledger {found} came where {due} is due")]
    Order {
        /// The ledger that is due.
        due: LedgerSequence,
        /// The first of the frame.
        found: LedgerSequence,
    },
    /// A batch was sent without a credit, or more credits came back than were spent.
    #[error("FLOW-1: {0}")]
    Credit(&'static str),
    /// More bytes were sent than the window had left.
    #[error("FLOW-2: a frame of {bytes} bytes came where {left} were left of the window")]
    Window {
        /// Of the frame, as its header says.
        bytes: usize,
        /// What might have come.
        left: usize,
    },
    /// A frame that the other end never sends at this point.
    #[error("a frame `{kind}` came, which has no place here")]
    Unexpected {
        /// Its kind.
        kind: &'static str,
    },
    /// The other end said nothing, and did not answer.
    #[error("the other node has said nothing for {0:?} and does not answer")]
    Silent(Duration),
    /// Rows that their table cannot hold.
    #[error(transparent)]
    Rows(#[from] BatchError),
}

impl ExchangeError {
    /// What a pipeline does about it. What breaks the rules of the exchange is a bug of one end.
    pub fn class(&self) -> ErrorClass {
        match self {
            Self::TooLarge { .. } => ErrorClass::Data,
            // A release that is being rolled out is soon on both; a node that is silent is out of the cluster soon.
            Self::Version { .. } | Self::Silent(_) => ErrorClass::Unavailable,
            Self::Header { .. }
            | Self::Batch { .. }
            | Self::Sequence { .. }
            | Self::Epoch { .. }
            | Self::Order { .. }
            | Self::Credit(_)
            | Self::Window { .. }
            | Self::Unexpected { .. }
            | Self::Rows(_) => ErrorClass::Internal,
        }
    }
}

impl From<ExchangeError> for ExitError {
    fn from(error: ExchangeError) -> Self {
        Self::new(error.class(), error.to_string())
    }
}

const CLASSES: [(ErrorClass, Code); 6] = [
    (ErrorClass::Unavailable, Code::Unavailable),
    (ErrorClass::Exhausted, Code::DeadlineExceeded),
    (ErrorClass::Invalid, Code::InvalidArgument),
    (ErrorClass::Fenced, Code::Aborted),
    (ErrorClass::Data, Code::DataLoss),
    (ErrorClass::Internal, Code::Internal),
];

/// The status that tells the other end of an error.
pub(super) fn status_of(error: &ExitError) -> Status {
    let code =
        CLASSES.iter().find(|(class, _)| *class == error.class).map_or(Code::Internal, |(_, code)| *code);
    let mut end = error.message.len().min(MESSAGE_BYTES_MAX);
    while !error.message.is_char_boundary(end) {
        end -= 1;
    }
    let mut status = Status::new(code, &error.message[..end]);
    status.metadata_mut().insert(CLASS_KEY, MetadataValue::from_static(error.class.as_str()));
    status
}

/// The error that a status tells of. One without a class is of the transport: the link is gone, or never was.
pub(super) fn error_of(status: &Status, node: &str) -> ExitError {
    let told = status.metadata().get(CLASS_KEY).and_then(|class| class.to_str().ok());
    let class = CLASSES.iter().map(|(class, _)| *class).find(|class| told == Some(class.as_str()));
    let class = class.unwrap_or(match status.code() {
        // A message over the limit, of whichever end.
        Code::OutOfRange => ErrorClass::Data,
        Code::InvalidArgument | Code::Unimplemented => ErrorClass::Invalid,
        _ => ErrorClass::Unavailable,
    });
    ExitError::new(here(class), format!("node {node}: {}", status.message()))
}

/// What a class of another node's error means on this one.
const fn here(class: ErrorClass) -> ErrorClass {
    match class {
        ErrorClass::Invalid => ErrorClass::Data,
        ErrorClass::Unavailable
        | ErrorClass::Exhausted
        | ErrorClass::Fenced
        | ErrorClass::Data
        | ErrorClass::Internal => class,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_keeps_its_class_and_its_words_on_the_way() {
        for (class, _) in CLASSES {
            let error = ExitError::new(class, "ledger 5: the hash – is wrong");
            let told = error_of(&status_of(&error), "b");
            // Another node's settings are no reason to end this one's process.
            let class = if class == ErrorClass::Invalid { ErrorClass::Data } else { class };
            assert_eq!(told, ExitError::new(class, "node b: ledger 5: the hash – is wrong"));
        }
    }

    #[test]
    fn a_long_message_is_cut_between_characters() {
        let error = ExitError::new(ErrorClass::Data, format!("x{}", "é".repeat(5000)));
        assert_eq!(status_of(&error).message().len(), MESSAGE_BYTES_MAX - 1);
    }

    #[test]
    fn a_status_of_the_transport_means_that_the_node_is_away() {
        let check = |code, expect| {
            assert_eq!(error_of(&Status::new(code, "x"), "b"), ExitError::new(expect, "node b: x"));
        };
        check(Code::Unavailable, ErrorClass::Unavailable);
        check(Code::Unknown, ErrorClass::Unavailable);
        check(Code::Cancelled, ErrorClass::Unavailable);
        check(Code::ResourceExhausted, ErrorClass::Unavailable);
        check(Code::OutOfRange, ErrorClass::Data);
        check(Code::Unimplemented, ErrorClass::Data);
    }
}
