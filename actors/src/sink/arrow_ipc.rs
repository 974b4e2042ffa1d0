//! Arrow IPC: the stream format to a stream, the file format, which readers can seek in, to a file.

use arrow::array::RecordBatch;
use arrow::error::ArrowError;
use arrow::ipc::writer::{FileWriter, StreamWriter};
use orrery_schemas::{TokenTransfer, token_transfers_schema};

use crate::columnar::with_network;
use crate::sink::batches::{Batches, with_file};
use crate::sink::output::{Nature, Output};
use crate::sink::{EventSink, FileColumn, SinkError, SinkReport, Tally};

/// Writes batches as they fill.
pub(super) struct ArrowIpcSink {
    name: String,
    writer: Writer,
    batches: Batches,
    tally: Tally,
}

enum Writer {
    Stream(Box<StreamWriter<Output>>),
    File(Box<FileWriter<Output>>),
}

impl ArrowIpcSink {
    pub(super) fn new(output: Output, file_column: FileColumn, network: &str) -> Result<Self, SinkError> {
        let name = output.name().to_owned();
        let schema = with_network(&with_file(&token_transfers_schema(), file_column), network);
        let writer = match output.nature() {
            Nature::Stream => {
                StreamWriter::try_new(output, &schema).map(|writer| Writer::Stream(Box::new(writer)))
            }
            Nature::File => FileWriter::try_new(output, &schema).map(|writer| Writer::File(Box::new(writer))),
        };
        let writer = writer.map_err(|error| SinkError::encode(&name, error))?;
        Ok(Self { name, writer, batches: Batches::new(file_column), tally: Tally::default() })
    }

    fn write_batch(&mut self, batch: &RecordBatch) -> Result<(), SinkError> {
        let written = match &mut self.writer {
            Writer::Stream(writer) => writer.write(batch),
            Writer::File(writer) => writer.write(batch),
        };
        written.map_err(|error| SinkError::encode(&self.name, error))
    }
}

impl Writer {
    fn into_output(self) -> Result<Output, ArrowError> {
        match self {
            Self::Stream(writer) => writer.into_inner(),
            Self::File(writer) => writer.into_inner(),
        }
    }
}

impl EventSink for ArrowIpcSink {
    fn write(&mut self, file: &str, mut rows: &[TokenTransfer]) -> Result<(), SinkError> {
        self.tally.add(rows);
        while !rows.is_empty() {
            let full = self.batches.fill(file, &mut rows);
            if let Some(batch) = full.map_err(|error| SinkError::rows(&self.name, error))? {
                self.write_batch(&batch)?;
            }
        }
        Ok(())
    }

    fn finish(mut self: Box<Self>) -> Result<SinkReport, SinkError> {
        let last = self.batches.finish();
        if let Some(batch) = last.map_err(|error| SinkError::rows(&self.name, error))? {
            self.write_batch(&batch)?;
        }
        let output = self.writer.into_output().map_err(|error| SinkError::encode(&self.name, error))?;
        Ok(self.tally.report(output.commit()?))
    }
}
