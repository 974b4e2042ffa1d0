//! How commands fail, and the exit codes that scripts can rely on.

use std::process::ExitCode;

use orrery_actors::sink::SinkError;
use orrery_actors::source::{PrefetchError, SourceError, SourceErrorClass};
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
    /// The output cannot be written: 69.
    #[error(transparent)]
    Sink(SinkError),
    /// Something that is needed cannot be had now: 69.
    #[error("{0}")]
    Unavailable(String),
    /// Nobody reads the output any more: 0, as for any filter in a pipe.
    #[error("the reader of the output has closed it")]
    OutputClosed,
    /// A bug: 70.
    #[error("{0}\nThis is a bug in Orrery: please report it with the command and the ledger.")]
    Bug(String),
    /// Ctrl-C or a termination signal: 130.
    #[error("interrupted")]
    Interrupted,
}

impl Failure {
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
            Self::Sink(_) | Self::Unavailable(_) => 69,
            Self::Bug(_) => 70,
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
