//! What can go wrong while rows are written.

use std::error::Error;
use std::io::{self, ErrorKind};

use orrery_schemas::BatchError;

/// An output that does not take rows. Each names the output.
#[derive(Debug, thiserror::Error)]
pub enum SinkError {
    /// No such format.
    #[error("unknown format {name:?}: use jsonl, csv, arrow or parquet")]
    UnknownFormat {
        /// The name given.
        name: String,
    },
    /// The disk, or what the user may use of it, is full.
    #[error("{output}: no space is left: free some, or write elsewhere with --out")]
    DiskFull {
        /// The path or the stream.
        output: String,
    },
    /// The reader of a pipe has gone. Nothing is wrong with the rows.
    #[error("{output}: its reader has closed it")]
    Closed {
        /// The stream.
        output: String,
    },
    /// The folder to write to is not there.
    #[error("create {output}: its folder does not exist: create it first")]
    NoFolder {
        /// The path.
        output: String,
    },
    /// Any other refusal of the operating system.
    #[error("{action} {output}: {source}")]
    Io {
        /// What was tried, as a verb.
        action: &'static str,
        /// The path or the stream.
        output: String,
        /// The refusal.
        source: io::Error,
    },
    /// A row that its columns cannot hold.
    #[error("{output}: {source}")]
    Rows {
        /// The path or the stream.
        output: String,
        /// Column, row and value.
        source: Box<BatchError>,
    },
    /// The encoder failed on sound rows, which would be a defect.
    #[error("encode {output}: {source}")]
    Encode {
        /// The path or the stream.
        output: String,
        /// What the encoder says.
        source: Box<dyn Error + Send + Sync>,
    },
}

impl SinkError {
    /// From an error of the operating system.
    pub(super) fn io(action: &'static str, output: &str, source: io::Error) -> Self {
        let output = output.to_owned();
        // An error that carries more than a kind names a temporary file, which means nothing to whoever reads it.
        let source = if source.get_ref().is_some() { io::Error::from(source.kind()) } else { source };
        match source.kind() {
            ErrorKind::StorageFull | ErrorKind::QuotaExceeded | ErrorKind::FileTooLarge => {
                Self::DiskFull { output }
            }
            ErrorKind::BrokenPipe => Self::Closed { output },
            ErrorKind::NotFound => Self::NoFolder { output },
            _ => Self::Io { action, output, source },
        }
    }

    /// From a row that was refused.
    pub(super) fn rows(output: &str, source: BatchError) -> Self {
        Self::Rows { output: output.to_owned(), source: Box::new(source) }
    }

    /// From an encoder's error: the encoders wrap what the operating system said.
    pub(super) fn encode(output: &str, error: impl Error + Send + Sync + 'static) -> Self {
        let mut cause: Option<&(dyn Error + 'static)> = Some(&error);
        while let Some(current) = cause {
            if let Some(io) = current.downcast_ref::<io::Error>() {
                let io = io
                    .raw_os_error()
                    .map_or_else(|| io::Error::from(io.kind()), io::Error::from_raw_os_error);
                return Self::io("write", output, io);
            }
            cause = current.source();
        }
        Self::Encode { output: output.to_owned(), source: Box::new(error) }
    }
}
