//! How commands fail, and the exit codes that scripts can rely on.

use std::process::ExitCode;

use orrery_actors::checkpoint::StateError;
use orrery_actors::dataset::{DatasetError, DatasetErrorClass};
use orrery_actors::sink::SinkError;
use orrery_actors::source::{PrefetchError, SourceError, SourceErrorClass};
use orrery_supervisor::{ErrorClass, ExitError};
use thiserror::Error;

/// Why a command ended without doing what it was asked.
#[derive(Debug, Error)]
pub(crate) enum Failure {
    /// A check found something: 1.
    #[error("{0}")]
    CheckFailed(String),
    /// The command line makes no sense: 2.
    #[error("{0}")]
    Usage(String),
    /// A ledger cannot be processed: 65.
    #[error("{0}")]
    BadLedger(String),
    /// Ledgers cannot be read: 2, 65 or 69.
    #[error(transparent)]
    Source(#[from] SourceError),
    /// The configuration makes no sense: 78.
    #[error("{0}")]
    Configuration(String),
    /// A dataset cannot be used: 65, 69, 70 or 78.
    #[error(transparent)]
    Dataset(#[from] DatasetError),
    /// The node's own state cannot be had: 69.
    #[error(transparent)]
    State(#[from] StateError),
    /// The supervision tree gave up: by the class of its error.
    #[error("{0}")]
    Tree(#[from] ExitError),
    /// A pipeline stopped at data that cannot be right, or that is not there: 65.
    #[error("pipeline {pipeline} is parked: {reason}\n{fix}")]
    Parked {
        /// Its name.
        pipeline: String,
        /// Why.
        reason: String,
        /// What makes it go on.
        fix: String,
    },
    /// The output cannot be written: 69.
    #[error(transparent)]
    Sink(SinkError),
    /// Something that is needed cannot be had now: 69.
    #[error("{0}")]
    Unavailable(String),
    /// It cannot be done yet, and may later: 75.
    #[error("{0}")]
    TryAgain(String),
    /// Nobody reads the output any more: 0, as for any filter in a pipe.
    #[error("the reader of the output has closed it")]
    OutputClosed,
    /// Something has not come as far as something else: 75.
    #[error("{0}")]
    Behind(String),
    /// A bug: 70.
    #[error("{0}\nThis is a bug in Orrery: please report it with the command and the ledger.")]
    Bug(String),
    /// Ctrl-C or a termination signal: 130.
    #[error("interrupted")]
    Interrupted,
}

impl Failure {
    /// Whether it may pass by itself: something outside is away.
    pub(crate) fn is_passing(&self) -> bool {
        match self {
            Self::Source(error) => error.kind.is_transient(),
            Self::Dataset(error) => error.class() == DatasetErrorClass::Unavailable,
            _ => false,
        }
    }

    /// The process's exit code.
    pub(crate) fn exit_code(&self) -> ExitCode {
        ExitCode::from(match self {
            Self::OutputClosed => 0,
            Self::CheckFailed(_) => 1,
            Self::Usage(_) => 2,
            Self::BadLedger(_) => 65,
            Self::Source(error) => match error.class() {
                SourceErrorClass::Usage => 2,
                SourceErrorClass::Data => 65,
                SourceErrorClass::Unavailable => 69,
            },
            Self::Dataset(error) => match error.class() {
                DatasetErrorClass::Usage => 78,
                DatasetErrorClass::Data => 65,
                DatasetErrorClass::Unavailable => 69,
                DatasetErrorClass::Bug => 70,
            },
            Self::Tree(error) => match error.class {
                ErrorClass::Unavailable | ErrorClass::Exhausted => 69,
                ErrorClass::Invalid => 78,
                ErrorClass::Fenced => 75,
                ErrorClass::Data => 65,
                ErrorClass::Internal => 70,
            },
            Self::Parked { .. } => 65,
            Self::Sink(_) | Self::Unavailable(_) | Self::State(_) => 69,
            Self::Behind(_) => 75,
            Self::Bug(_) => 70,
            Self::TryAgain(_) => 75,
            Self::Configuration(_) => 78,
            Self::Interrupted => 130,
        })
    }
}

impl From<SinkError> for Failure {
    fn from(error: SinkError) -> Self {
        match error {
            SinkError::Closed { .. } => Self::OutputClosed,
            SinkError::UnknownFormat { .. } => Self::Usage(error.to_string()),
            other => Self::Sink(other),
        }
    }
}

impl From<PrefetchError> for Failure {
    fn from(error: PrefetchError) -> Self {
        match error {
            PrefetchError::Source(error) => Self::Source(error),
            PrefetchError::Cancelled => Self::Interrupted,
            PrefetchError::Panicked { .. } | PrefetchError::ReaderPanicked(_) => Self::Bug(error.to_string()),
            PrefetchError::Thread(_) => Self::Usage(format!("{error}: use fewer --workers")),
        }
    }
}

impl From<std::io::Error> for Failure {
    fn from(error: std::io::Error) -> Self {
        match error.kind() {
            std::io::ErrorKind::BrokenPipe => Self::OutputClosed,
            _ => {
                Self::Sink(SinkError::Io { action: "write", output: "standard output".into(), source: error })
            }
        }
    }
}
