//! Where events end: a file or a stream, in one of four formats.
//!
//! In: the rows of one ledger after another, in ledger order, each with the name of the input that the ledger came from.
//! Out: the same rows in the same order; in the file formats the bytes depend on the rows and the settings alone, never
//! on how many rows a call brought, on time or on host.
//! Delivery: a file appears under its name when [`EventSink::finish`] returns, whole and on disk, or not at all: until
//! then it has a temporary name in the same folder, which goes when the sink is dropped. A stream gets what was written.
//! After an error the sink can only be dropped; whoever owns it decides whether to begin anew.

mod arrow_ipc;
mod batches;
mod csv;
mod error;
mod jsonl;
mod output;
mod actor;
mod parquet;

use std::fmt;
use std::ops::RangeInclusive;
use std::path::PathBuf;
use std::str::FromStr;

use orrery_schemas::{LedgerSequence, TokenTransfer};

pub use crate::columnar::ROW_GROUP_ROWS;
pub use actor::{Before, OnCheckpoint, Output, Room, Sink, SinkActorSettings, SinkState};
pub use error::SinkError;
pub use output::Target;

/// Takes rows and makes them durable.
pub trait EventSink: Send {
    /// Writes the rows of a ledger that was read from `file`, the input as the operator named it. The name is written
    /// only where [`FileColumn::First`] asks for it.
    ///
    /// # Errors
    ///
    /// [`SinkError`] if the output does not take the rows.
    fn write(&mut self, file: &str, rows: &[TokenTransfer]) -> Result<(), SinkError>;

    /// Ends the output: a file is on disk under its name when this returns.
    ///
    /// # Errors
    ///
    /// [`SinkError`] if the output does not take the end; a file is then not there.
    fn finish(self: Box<Self>) -> Result<SinkReport, SinkError>;
}

/// What a sink wrote.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SinkReport {
    /// Events.
    pub rows: u64,
    /// Bytes of the output.
    pub bytes: u64,
    /// First and last ledger that had events, if any had.
    pub ledgers: Option<RangeInclusive<LedgerSequence>>,
    /// The file, if the output is one.
    pub path: Option<PathBuf>,
}

/// The form of the output.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// One JSON object a line.
    Jsonl,
    /// A header line, then one line an event, fields and texts as in JSON; null is an empty field.
    Csv,
    /// Arrow IPC: the stream format to a stream, the file format to a file.
    Arrow,
    /// Parquet.
    Parquet,
}

impl Format {
    /// Every format.
    pub const ALL: [Self; 4] = [Self::Jsonl, Self::Csv, Self::Arrow, Self::Parquet];

    /// The name on the command line.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Jsonl => "jsonl",
            Self::Csv => "csv",
            Self::Arrow => "arrow",
            Self::Parquet => "parquet",
        }
    }
}

impl fmt::Display for Format {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl FromStr for Format {
    type Err = SinkError;

    fn from_str(text: &str) -> Result<Self, SinkError> {
        let format = Self::ALL.into_iter().find(|format| format.as_str() == text);
        format.ok_or_else(|| SinkError::UnknownFormat { name: text.to_owned() })
    }
}

/// Whether the name of the input is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FileColumn {
    /// It is not.
    Absent,
    /// As the first column, or key, `file`.
    First,
}

/// What a sink is made from.
pub struct SinkSettings {
    /// The form of the output.
    pub format: Format,
    /// Where it goes.
    pub target: Target,
    /// Whether each row names its input.
    pub file_column: FileColumn,
    /// Passphrase of the network, which Arrow and Parquet carry as metadata.
    pub network_passphrase: String,
}

/// Opens a sink.
///
/// # Errors
///
/// [`SinkError`] if the target cannot be written to.
pub fn open(settings: SinkSettings) -> Result<Box<dyn EventSink>, SinkError> {
    let SinkSettings { format, target, file_column, network_passphrase } = settings;
    let output = output::Output::open(target)?;
    Ok(match format {
        Format::Jsonl => Box::new(jsonl::JsonlSink::new(output, file_column)),
        Format::Csv => Box::new(csv::CsvSink::new(output, file_column)?),
        Format::Arrow => Box::new(arrow_ipc::ArrowIpcSink::new(output, file_column, &network_passphrase)?),
        Format::Parquet => Box::new(parquet::ParquetSink::new(output, file_column, &network_passphrase)?),
    })
}

/// Counts for the report.
#[derive(Default)]
struct Tally {
    rows: u64,
    ledgers: Option<RangeInclusive<LedgerSequence>>,
}

impl Tally {
    fn add(&mut self, rows: &[TokenTransfer]) {
        self.rows += rows.len() as u64;
        for sequence in rows.iter().map(|row| row.ledger_sequence) {
            let (first, last) = match &self.ledgers {
                None => (sequence, sequence),
                Some(ledgers) => (sequence.min(*ledgers.start()), sequence.max(*ledgers.end())),
            };
            self.ledgers = Some(first..=last);
        }
    }

    fn report(self, committed: output::Committed) -> SinkReport {
        SinkReport { rows: self.rows, bytes: committed.bytes, ledgers: self.ledgers, path: committed.path }
    }
}
