//! JSON lines: one object an event.

use std::io::Write;

use orrery_schemas::{JsonEvent, TokenTransfer, write_json_line};

use crate::sink::output::Output;
use crate::sink::{EventSink, FileColumn, SinkError, SinkReport, Tally};

/// Writes a ledger's lines at once and hands them to a stream's reader.
pub(super) struct JsonlSink {
    output: Output,
    file_column: FileColumn,
    lines: Vec<u8>,
    tally: Tally,
}

impl JsonlSink {
    pub(super) fn new(output: Output, file_column: FileColumn) -> Self {
        Self { output, file_column, lines: Vec::new(), tally: Tally::default() }
    }
}

impl EventSink for JsonlSink {
    fn write(&mut self, file: &str, rows: &[TokenTransfer]) -> Result<(), SinkError> {
        let file = (self.file_column == FileColumn::First).then_some(file);
        self.lines.clear();
        for event in rows {
            write_json_line(&mut self.lines, JsonEvent { file, event })
                .map_err(|error| SinkError::encode(self.output.name(), error))?;
        }
        let written = self.output.write_all(&self.lines).and_then(|()| self.output.deliver());
        written.map_err(|error| SinkError::io("write", self.output.name(), error))?;
        self.tally.add(rows);
        Ok(())
    }

    fn finish(self: Box<Self>) -> Result<SinkReport, SinkError> {
        Ok(self.tally.report(self.output.commit()?))
    }
}
