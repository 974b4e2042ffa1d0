//! The files as other people's readers see them: pyarrow, DuckDB, polars and deltalake, through `readers/read_back.py`.
//!
//! `ORRERY_PYTHON` names the interpreter (`python3` without it). Where it lacks pyarrow or duckdb the test says that it
//! skipped, and fails where `ORRERY_REQUIRE_READERS=1`; `ORRERY_REQUIRE_READERS=all` requires polars and deltalake too.

#![allow(clippy::unwrap_used, clippy::print_stderr, reason = "this is a test")]

#[path = "readers/python.rs"]
mod python;
mod rows;

use std::env;
use std::path::Path;
use std::process::Command;

use orrery_actors::sink::{self, FileColumn, Format, SinkSettings, Target};
use tempfile::tempdir;

#[test]
fn other_readers_see_the_types_of_the_schema_and_the_same_rows() {
    let Some(python) = python::python("pyarrow, duckdb") else { return };
    let folder = tempdir().unwrap();
    write(Format::Jsonl, Target::File(folder.path().join("events.jsonl")));
    write(Format::Parquet, Target::File(folder.path().join("events.parquet")));
    write(Format::Arrow, Target::File(folder.path().join("events.arrow")));
    let stream = std::fs::File::create(folder.path().join("events.arrows")).unwrap();
    write(Format::Arrow, Target::Stream { writer: Box::new(stream), name: "stream".to_owned() });

    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/readers/read_back.py");
    let mut command = Command::new(&python);
    command.arg(script).arg(folder.path());
    if env::var("ORRERY_REQUIRE_READERS").is_ok_and(|required| required == "all") {
        command.arg("--require-all");
    }
    let output = command.output().unwrap();
    python::check_agreement(&output, "agreed: pyarrow, duckdb");
}

/// More than one batch, so that dictionaries are repeated in the Arrow files.
fn write(format: Format, target: Target) {
    let network_passphrase = "test network".to_owned();
    let settings = SinkSettings { format, target, file_column: FileColumn::Absent, network_passphrase };
    let mut sink = sink::open(settings).unwrap();
    for sequence in 100..120 {
        sink.write("x", &rows::ledger(sequence, 1_000)).unwrap();
    }
    sink.finish().unwrap();
}
