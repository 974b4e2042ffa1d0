//! What the sinks promise: whole files or none, equal bytes for equal rows, errors that name the output.

#![allow(clippy::unwrap_used, reason = "this is a test")]

mod rows;

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::Path;
use std::sync::{Arc, Mutex};

use arrow::array::RecordBatch;
use arrow::ipc::reader::{FileReader, StreamReader};
use orrery_actors::sink::{
    self, EventSink, FileColumn, Format, ROW_GROUP_ROWS, SinkError, SinkSettings, Target,
};
use orrery_schemas::{
    LedgerSequence, TokenTransfer, token_transfers_from_batch, token_transfers_schema,
    token_transfers_stored_schema,
};
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use parquet::basic::CompressionCodec;
use parquet::file::metadata::ParquetMetaData;
use tempfile::tempdir;

#[test]
fn every_format_gives_its_rows_back() {
    let folder = tempdir().unwrap();
    let ledgers = [rows::ledger(7, 20_000), rows::ledger(8, 0), rows::ledger(9, 40)];
    for format in Format::ALL {
        let path = folder.path().join(format.as_str());
        let report = write_file(format, &path, FileColumn::Absent, &ledgers);
        assert_eq!(report.rows, 20_040);
        assert_eq!(report.bytes, fs::metadata(&path).unwrap().len());
        assert_eq!(report.ledgers, Some(LedgerSequence(7)..=LedgerSequence(9)));
        let read = match format {
            Format::Jsonl => lines(&path).map(|line| serde_json::from_str(&line).unwrap()).collect(),
            Format::Csv => csv_rows(&path),
            Format::Arrow => arrow_rows(&path),
            Format::Parquet => parquet_rows(&path),
        };
        assert!(read == ledgers.concat(), "{format}: other rows than were written");
    }
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 4, "nothing else may stay in the folder");
}

#[test]
fn equal_rows_give_equal_bytes_however_they_come() {
    let folder = tempdir().unwrap();
    let all = rows::ledger(5, ROW_GROUP_ROWS as u32 + 20_000);
    for format in Format::ALL {
        // Text has neither batches nor groups: a part is enough.
        let all = if matches!(format, Format::Parquet) { &all[..] } else { &all[..40_000] };
        let (once, pieces) = (folder.path().join("once"), folder.path().join("pieces"));
        write_file(format, &once, FileColumn::Absent, &[all.to_vec()]);
        let chunks: Vec<_> = all.chunks(881).map(<[_]>::to_vec).collect();
        write_file(format, &pieces, FileColumn::Absent, &chunks);
        assert!(
            fs::read(&once).unwrap() == fs::read(&pieces).unwrap(),
            "{format}: other bytes for the same rows"
        );
    }
}

#[test]
fn a_parquet_file_has_the_settings_that_its_readers_rely_on() {
    let folder = tempdir().unwrap();
    let path = folder.path().join("events.parquet");
    write_file(Format::Parquet, &path, FileColumn::Absent, &[rows::ledger(5, ROW_GROUP_ROWS as u32 + 1)]);
    let reader = ParquetRecordBatchReaderBuilder::try_new(File::open(&path).unwrap()).unwrap();
    let metadata: &ParquetMetaData = reader.metadata();
    assert_eq!(metadata.file_metadata().created_by(), Some("orrery"));
    assert_eq!(
        metadata.row_groups().iter().map(|group| group.num_rows()).collect::<Vec<_>>(),
        [ROW_GROUP_ROWS as i64, 1]
    );
    for column in metadata.row_group(0).columns() {
        let name = column.column_path().string();
        assert_eq!(column.compression_codec(), CompressionCodec::ZSTD, "{name}");
        assert!(column.column_index_offset().is_some() && column.offset_index_offset().is_some(), "{name}");
        let filtered = ["from", "to", "contract_id"].contains(&name.as_str());
        assert_eq!(column.bloom_filter_offset().is_some(), filtered, "{name}");
    }
    let mut pairs: Vec<_> = metadata.file_metadata().key_value_metadata().unwrap().iter().collect();
    pairs.retain(|pair| pair.key != "ARROW:schema");
    let pairs: Vec<_> =
        pairs.iter().map(|pair| (pair.key.as_str(), pair.value.as_deref().unwrap())).collect();
    assert_eq!(
        pairs,
        [
            ("orrery.network", "test network"),
            ("orrery.row_digest", "setsum-sha256-v1"),
            ("orrery.schema.id", "orrery.token_transfers"),
            ("orrery.schema.version", "1"),
            ("orrery.first_ledger", "5"),
            ("orrery.last_ledger", "5"),
        ]
    );
    assert_eq!(reader.schema().fields(), token_transfers_stored_schema().fields());
}

#[test]
fn the_file_column_stands_first_where_it_is_asked_for() {
    let folder = tempdir().unwrap();
    let ledger = rows::ledger(7, 2);
    let path = |format: Format| folder.path().join(format.as_str());
    for format in Format::ALL {
        write_file(format, &path(format), FileColumn::First, std::slice::from_ref(&ledger));
    }
    for line in lines(&path(Format::Jsonl)) {
        assert!(line.starts_with(r#"{"file":"in,put.xdr","ledger_sequence":7,"#), "{line}");
    }
    let csv: Vec<_> = lines(&path(Format::Csv)).collect();
    assert!(csv[0].starts_with("file,ledger_sequence,closed_at,"), "{}", csv[0]);
    assert!(csv[1].starts_with("\"in,put.xdr\",7,2024-09-02T10:50:54Z,"), "{}", csv[1]);
    let batch = &arrow_batches(&path(Format::Arrow))[0];
    assert_eq!(batch.schema().field(0).name(), "file");
    assert_eq!(batch.num_columns(), 23);
    assert_eq!(arrow_rows(&path(Format::Arrow)), ledger);
    assert_eq!(parquet_rows(&path(Format::Parquet)), ledger);
}

#[test]
fn an_output_without_events_is_a_valid_one() {
    let folder = tempdir().unwrap();
    let write = |format: Format| {
        let path = folder.path().join(format.as_str());
        assert_eq!(write_file(format, &path, FileColumn::Absent, &[]).ledgers, None);
        path
    };
    assert_eq!(fs::read(write(Format::Jsonl)).unwrap(), b"");
    let header = "ledger_sequence,closed_at,tx_hash,tx_index,op_index,event_index,ledger_event_index,event_id,kind,op_type,\
                  contract_id,asset,asset_code,asset_issuer,from,to,amount,to_muxed_id,to_memo_text,to_memo_hash,tx_successful";
    assert_eq!(lines(&write(Format::Csv)).collect::<Vec<_>>(), [header]);
    assert!(arrow_rows(&write(Format::Arrow)).is_empty());
    assert!(parquet_rows(&write(Format::Parquet)).is_empty());
}

#[test]
fn a_file_appears_whole_or_not_at_all() {
    for format in Format::ALL {
        let folder = tempdir().unwrap();
        let path = folder.path().join("out");
        fs::write(&path, "before").unwrap();

        let mut sink = open(format, Target::File(path.clone()));
        sink.write("x", &rows::ledger(7, 20_000)).unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), "before", "{format}");
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 2, "{format}: one temporary file");
        drop(sink);
        assert_eq!(fs::read_to_string(&path).unwrap(), "before", "{format}");
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1, "{format}: the temporary file must go");

        write_file(format, &path, FileColumn::Absent, &[rows::ledger(7, 3)]);
        assert_ne!(fs::read(&path).unwrap(), b"before", "{format}");
    }
}

#[test]
fn a_symbolic_link_stays_one() {
    let folder = tempdir().unwrap();
    let (target, link) = (folder.path().join("target"), folder.path().join("link"));
    fs::write(&target, "before").unwrap();
    std::os::unix::fs::symlink(&target, &link).unwrap();
    write_file(Format::Jsonl, &link, FileColumn::Absent, &[]);
    assert!(fs::symlink_metadata(&link).unwrap().is_symlink());
    assert_eq!(fs::read(&target).unwrap(), b"");
}

#[test]
fn a_new_file_is_as_readable_as_any_other() {
    use std::os::unix::fs::PermissionsExt;
    let folder = tempdir().unwrap();
    let (ours, plain) = (folder.path().join("ours"), folder.path().join("plain"));
    write_file(Format::Jsonl, &ours, FileColumn::Absent, &[]);
    fs::write(&plain, "").unwrap();
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode();
    assert_eq!(mode(&ours), mode(&plain));
}

#[test]
fn a_full_disk_is_an_error_with_the_path() {
    for format in Format::ALL {
        let error = write_to(Target::File("/dev/full".into()), format).unwrap_err();
        assert!(
            matches!(&error, SinkError::DiskFull { output } if output == "/dev/full"),
            "{format}: {error:?}"
        );
        assert_eq!(
            error.to_string(),
            "/dev/full: no space is left: free some, or write elsewhere with --out"
        );
    }
}

#[test]
fn a_closed_pipe_is_an_error_with_the_name() {
    for format in Format::ALL {
        let (reader, writer) = io::pipe().unwrap();
        drop(reader);
        let target = Target::Stream { writer: Box::new(writer), name: "standard output".to_owned() };
        let error = write_to(target, format).unwrap_err();
        assert!(
            matches!(&error, SinkError::Closed { output } if output == "standard output"),
            "{format}: {error:?}"
        );
    }
}

#[test]
fn a_target_that_cannot_be_is_an_error_with_the_path() {
    let folder = tempdir().unwrap();
    let check = |path: &Path, message: &str| {
        let error = write_to(Target::File(path.to_owned()), Format::Jsonl).unwrap_err();
        assert_eq!(error.to_string(), message.replace("PATH", &path.display().to_string()));
    };
    check(folder.path(), "open PATH: is a directory");
    check(&folder.path().join("none/out"), "create PATH: its folder does not exist: create it first");
    let message = "unknown format \"xml\": use jsonl, csv, arrow or parquet";
    assert_eq!("xml".parse::<Format>().unwrap_err().to_string(), message);
}

#[test]
fn a_stream_gets_each_ledger_at_once_and_arrow_in_the_stream_format() {
    let lines = Shared::default();
    let mut sink = open(Format::Jsonl, lines.target());
    sink.write("x", &rows::ledger(7, 2)).unwrap();
    assert_eq!(lines.bytes().iter().filter(|&&byte| byte == b'\n').count(), 2);

    let stream = Shared::default();
    let mut sink = open(Format::Arrow, stream.target());
    sink.write("x", &rows::ledger(7, 20_000)).unwrap();
    assert_eq!(sink.finish().unwrap().bytes, stream.bytes().len() as u64);
    let reader = StreamReader::try_new(io::Cursor::new(stream.bytes()), None).unwrap();
    assert_eq!(reader.schema().fields(), token_transfers_schema().fields());
    let read: Vec<_> =
        reader.flat_map(|batch| token_transfers_from_batch(&batch.unwrap()).unwrap()).collect();
    assert!(read == rows::ledger(7, 20_000));
}

fn open(format: Format, target: Target) -> Box<dyn EventSink> {
    sink::open(settings(format, target, FileColumn::Absent)).unwrap()
}

fn settings(format: Format, target: Target, file_column: FileColumn) -> SinkSettings {
    SinkSettings { format, target, file_column, network_passphrase: "test network".to_owned() }
}

fn write_file(
    format: Format,
    path: &Path,
    file_column: FileColumn,
    ledgers: &[Vec<TokenTransfer>],
) -> sink::SinkReport {
    let mut sink = sink::open(settings(format, Target::File(path.to_owned()), file_column)).unwrap();
    for rows in ledgers {
        sink.write("in,put.xdr", rows).unwrap();
    }
    let report = sink.finish().unwrap();
    assert_eq!(
        report.path.as_deref().map(|path| path.file_name()),
        path.canonicalize().ok().as_deref().map(|path| path.file_name())
    );
    report
}

/// More than any buffer between sink and operating system holds, so that an error comes before or at the end.
fn write_to(target: Target, format: Format) -> Result<sink::SinkReport, SinkError> {
    let mut sink = sink::open(settings(format, target, FileColumn::Absent))?;
    for sequence in 1..4 {
        sink.write("x", &rows::ledger(sequence, 1_000))?;
    }
    sink.finish()
}

fn lines(path: &Path) -> impl Iterator<Item = String> {
    fs::read_to_string(path).unwrap().lines().map(str::to_owned).collect::<Vec<_>>().into_iter()
}

/// Through the JSON form: CSV has the same fields and texts, an empty field for null and no types.
fn csv_rows(path: &Path) -> Vec<TokenTransfer> {
    let mut reader = csv::Reader::from_path(path).unwrap();
    let names = reader.headers().unwrap().clone();
    let object = |record: csv::StringRecord| {
        let fields = names.iter().zip(&record).map(|(name, field)| {
            let bare = name.ends_with("index") || ["ledger_sequence", "tx_successful"].contains(&name);
            let value = match field {
                "" => serde_json::Value::Null,
                field if bare => serde_json::from_str(field).unwrap(),
                field => field.into(),
            };
            (name.to_owned(), value)
        });
        serde_json::from_value(serde_json::Value::Object(fields.collect())).unwrap()
    };
    reader.records().map(|record| object(record.unwrap())).collect()
}

fn arrow_batches(path: &Path) -> Vec<RecordBatch> {
    FileReader::try_new(File::open(path).unwrap(), None).unwrap().map(Result::unwrap).collect()
}

fn arrow_rows(path: &Path) -> Vec<TokenTransfer> {
    arrow_batches(path).iter().flat_map(|batch| token_transfers_from_batch(batch).unwrap()).collect()
}

fn parquet_rows(path: &Path) -> Vec<TokenTransfer> {
    let reader =
        ParquetRecordBatchReaderBuilder::try_new(File::open(path).unwrap()).unwrap().build().unwrap();
    reader.flat_map(|batch| token_transfers_from_batch(&batch.unwrap()).unwrap()).collect()
}

/// A stream whose bytes the test sees.
#[derive(Clone, Default)]
struct Shared(Arc<Mutex<Vec<u8>>>);

impl Shared {
    fn target(&self) -> Target {
        Target::Stream { writer: Box::new(self.clone()), name: "standard output".to_owned() }
    }

    fn bytes(&self) -> Vec<u8> {
        self.0.lock().unwrap().clone()
    }
}

impl Write for Shared {
    fn write(&mut self, buffer: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().write(buffer)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
