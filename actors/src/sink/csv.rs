//! Comma-separated values: a header line, then the fields and texts of the JSON form. Null is an empty field, and so is
//! an empty text memo: of the four formats this one alone cannot tell the two apart.

use csv::{Writer, WriterBuilder};
use orrery_schemas::{JSON_KEYS, JsonEvent, TokenTransfer};

use crate::sink::output::Output;
use crate::sink::{EventSink, FileColumn, SinkError, SinkReport, Tally};

/// Writes a ledger's lines and hands them to a stream's reader.
pub(super) struct CsvSink {
    lines: Writer<Vec<u8>>,
    output: Output,
    file_column: FileColumn,
    tally: Tally,
}

impl CsvSink {
    pub(super) fn new(output: Output, file_column: FileColumn) -> Result<Self, SinkError> {
        let lines = WriterBuilder::new().has_headers(false).from_writer(Vec::new());
        let mut sink = Self { lines, output, file_column, tally: Tally::default() };
        let file = (file_column == FileColumn::First).then_some("file");
        let header = sink.lines.write_record(file.into_iter().chain(JSON_KEYS));
        header.map_err(|error| SinkError::encode(sink.output.name(), error))?;
        Ok(sink)
    }

    /// Moves the lines made so far to the output.
    fn deliver(&mut self) -> Result<(), SinkError> {
        use std::io::Write;
        let fresh = WriterBuilder::new().has_headers(false).from_writer(Vec::new());
        let lines = std::mem::replace(&mut self.lines, fresh).into_inner();
        let lines = lines.map_err(|error| SinkError::encode(self.output.name(), error))?;
        let written = self.output.write_all(&lines).and_then(|()| self.output.deliver());
        written.map_err(|error| SinkError::io("write", self.output.name(), error))
    }
}

impl EventSink for CsvSink {
    fn write(&mut self, file: &str, rows: &[TokenTransfer]) -> Result<(), SinkError> {
        let file = (self.file_column == FileColumn::First).then_some(file);
        for event in rows {
            let line = self.lines.serialize(JsonEvent { file, event });
            line.map_err(|error| SinkError::encode(self.output.name(), error))?;
        }
        self.deliver()?;
        self.tally.add(rows);
        Ok(())
    }

    fn finish(mut self: Box<Self>) -> Result<SinkReport, SinkError> {
        // Without rows the header is still to be written.
        self.deliver()?;
        Ok(self.tally.report(self.output.commit()?))
    }
}
