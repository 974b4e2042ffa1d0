//! Delta's checkpoints: settings and live files as of one slot, so that nobody has to read the log from its beginning.
//!
//! They are accelerators. Every byte follows from the slots; a checkpoint that is missing or wrong is made anew. Files
//! that a compaction replaced are left out: no reader of a snapshot needs to hear of them.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, AsArray, BooleanArray, Int32Array, Int64Array, ListBuilder, MapArray, MapBuilder,
    MapFieldNames, RecordBatch, StringArray, StringBuilder, StructArray, new_null_array,
};
use arrow::buffer::NullBuffer;
use arrow::datatypes::{DataType, Field, Fields, Int64Type, Schema};
use arrow::error::ArrowError;
use bytes::Bytes;
use orrery_schemas::Hash32;
use parquet::arrow::ArrowWriter;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;

use super::chain::Chain;
use super::slot::{AddFile, MetaData};
use super::slot_wire::{AddWire, FormatWire, LastCheckpointWire, MetaDataWire, TagsWire};
use crate::columnar::{self, BATCH_ROWS};

/// Largest checkpoint that is read: one of a million files has about 200 MB.
pub(super) const CHECKPOINT_BYTES_MAX: u64 = 1 << 30;
/// Path of the hint to the newest checkpoint, below the table.
pub(super) const HINT_PATH: &str = "_delta_log/_last_checkpoint";
/// Largest hint that is read.
pub(super) const HINT_BYTES_MAX: u64 = 64 << 10;

/// Metadata key of the hash of the checkpoint's slot.
const SLOT_SHA256_KEY: &str = "orrery.slot_sha256";
const ROW_DIGEST_TAG: &str = "orrery.row_digest";
const SHA256_TAG: &str = "orrery.sha256";

/// Rows before the files: the protocol and the settings.
const HEAD_ROWS: usize = 2;

/// What a checkpoint says.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Checkpoint {
    pub(super) slot_sha256: Hash32,
    pub(super) metadata: MetaData,
    pub(super) files: Vec<AddFile>,
}

/// Path of the checkpoint of a slot, below the table.
pub(super) fn checkpoint_path(slot: u64) -> String {
    format!("_delta_log/{slot:020}.checkpoint.parquet")
}

/// The hint to the checkpoint of the chain's tip.
pub(super) fn encode_hint(chain: &Chain) -> Bytes {
    let hint = LastCheckpointWire { version: chain.tip.slot, size: (chain.files.len() + HEAD_ROWS) as u64 };
    // Two numbers: there is nothing that JSON could not say.
    serde_json::to_vec(&hint).unwrap_or_default().into()
}

/// The slot that a hint points to.
///
/// # Errors
///
/// What is wrong with it, for a person.
pub fn parse_hint(bytes: &[u8]) -> Result<u64, String> {
    let hint: LastCheckpointWire = serde_json::from_slice(bytes).map_err(|error| error.to_string())?;
    Ok(hint.version)
}

/// The checkpoint of the chain's tip.
pub(super) fn encode(chain: &Chain) -> Result<Bytes, String> {
    let batch = batch_of(&chain.metadata, chain.files.values(), chain.tip.slot_sha256)?;
    let write = || {
        let properties = columnar::properties(&batch.schema())?;
        let mut writer = ArrowWriter::try_new(Vec::new(), batch.schema(), Some(properties))?;
        writer.write(&batch)?;
        writer.into_inner()
    };
    write().map(Bytes::from).map_err(|error| error.to_string())
}

/// The rows of a checkpoint.
fn batch_of<'a>(
    metadata: &MetaData,
    files: impl Iterator<Item = &'a AddFile>,
    slot_sha256: Hash32,
) -> Result<RecordBatch, String> {
    let kind = metadata.configuration.kind;
    let files: Result<Vec<_>, _> = files.map(|file| file.to_wire(kind, false)).collect();
    batch(&metadata.to_wire(), &files?, slot_sha256).map_err(|error| error.to_string())
}

fn batch(metadata: &MetaDataWire, files: &[AddWire], slot_sha256: Hash32) -> Result<RecordBatch, ArrowError> {
    let rows = files.len() + HEAD_ROWS;
    let txn = Fields::from(vec![
        Field::new("appId", DataType::Utf8, true),
        Field::new("version", DataType::Int64, true),
        Field::new("lastUpdated", DataType::Int64, true),
    ]);
    let remove = Fields::from(vec![
        Field::new("path", DataType::Utf8, true),
        Field::new("deletionTimestamp", DataType::Int64, true),
        Field::new("dataChange", DataType::Boolean, true),
    ]);
    let columns = [
        ("txn", new_null_array(&DataType::Struct(txn), rows)),
        ("add", add_column(files)?),
        ("remove", new_null_array(&DataType::Struct(remove), rows)),
        ("metaData", metadata_column(metadata, rows)?),
        ("protocol", protocol_column(rows)?),
    ];
    let fields = columns.iter().map(|(name, array)| Field::new(*name, array.data_type().clone(), true));
    let key = HashMap::from([(SLOT_SHA256_KEY.to_owned(), slot_sha256.to_string())]);
    let schema = Schema::new_with_metadata(fields.collect::<Vec<_>>(), key);
    RecordBatch::try_new(Arc::new(schema), columns.into_iter().map(|(_, array)| array).collect())
}

/// A struct that is there in some rows only.
fn column(children: Vec<(&str, ArrayRef)>, is_there: Vec<bool>) -> Result<ArrayRef, ArrowError> {
    let fields = children.iter().map(|(name, array)| Field::new(*name, array.data_type().clone(), true));
    let fields: Fields = fields.collect::<Vec<_>>().into();
    let arrays = children.into_iter().map(|(_, array)| array).collect();
    Ok(Arc::new(StructArray::try_new(fields, arrays, Some(NullBuffer::from(is_there)))?))
}

fn add_column(files: &[AddWire]) -> Result<ArrayRef, ArrowError> {
    let rows = files.len() + HEAD_ROWS;
    let file = |row: usize| row.checked_sub(HEAD_ROWS).and_then(|index| files.get(index));
    let texts = |value: fn(&AddWire) -> &str| -> ArrayRef {
        Arc::new((0..rows).map(|row| file(row).map(value)).collect::<StringArray>())
    };
    let numbers = |value: fn(&AddWire) -> i64| -> ArrayRef {
        Arc::new((0..rows).map(|row| file(row).map(value)).collect::<Int64Array>())
    };
    let no_values = maps((0..rows).map(|row| file(row).map(|_| Vec::new())))?;
    let tags = maps((0..rows).map(|row| {
        file(row).map(|file| {
            let TagsWire { row_digest, sha256 } = &file.tags;
            vec![(ROW_DIGEST_TAG, row_digest.as_str()), (SHA256_TAG, sha256.as_str())]
        })
    }))?;
    let data_change = (0..rows).map(|row| file(row).map(|file| file.data_change)).collect::<BooleanArray>();
    let children = vec![
        ("path", texts(|file| &file.path)),
        ("partitionValues", no_values),
        ("size", numbers(|file| file.size)),
        ("modificationTime", numbers(|file| file.modification_time)),
        ("dataChange", Arc::new(data_change)),
        ("stats", texts(|file| &file.stats)),
        ("tags", tags),
    ];
    column(children, (0..rows).map(|row| row >= HEAD_ROWS).collect())
}

fn metadata_column(metadata: &MetaDataWire, rows: usize) -> Result<ArrayRef, ArrowError> {
    let is_there: Vec<bool> = (0..rows).map(|row| row == 1).collect();
    let text = |value: Option<&str>| -> ArrayRef {
        Arc::new((0..rows).map(|row| value.filter(|_| row == 1)).collect::<StringArray>())
    };
    let map = |pairs: &BTreeMap<String, String>| {
        maps((0..rows).map(|row| {
            (row == 1).then(|| pairs.iter().map(|(key, value)| (key.as_str(), value.as_str())).collect())
        }))
    };
    let mut partitions =
        ListBuilder::new(StringBuilder::new()).with_field(Field::new("element", DataType::Utf8, true));
    is_there.iter().for_each(|is_there| partitions.append(*is_there));
    let format = vec![
        ("provider", text(Some(&metadata.format.provider))),
        ("options", map(&metadata.format.options)?),
    ];
    let children = vec![
        ("id", text(Some(&metadata.id))),
        ("name", text(Some(&metadata.name))),
        ("description", text(None)),
        ("format", column(format, is_there.clone())?),
        ("schemaString", text(Some(&metadata.schema_string))),
        ("partitionColumns", Arc::new(partitions.finish())),
        ("createdTime", new_null_array(&DataType::Int64, rows)),
        ("configuration", map(&metadata.configuration)?),
    ];
    column(children, is_there)
}

fn protocol_column(rows: usize) -> Result<ArrayRef, ArrowError> {
    let number = |value: i32| -> ArrayRef {
        Arc::new((0..rows).map(|row| (row == 0).then_some(value)).collect::<Int32Array>())
    };
    let children = vec![("minReaderVersion", number(1)), ("minWriterVersion", number(2))];
    column(children, (0..rows).map(|row| row == 0).collect())
}

fn maps<'a>(rows: impl Iterator<Item = Option<Vec<(&'a str, &'a str)>>>) -> Result<ArrayRef, ArrowError> {
    let names =
        MapFieldNames { entry: "key_value".to_owned(), key: "key".to_owned(), value: "value".to_owned() };
    let mut builder = MapBuilder::new(Some(names), StringBuilder::new(), StringBuilder::new());
    for row in rows {
        for (key, value) in row.iter().flatten() {
            builder.keys().append_value(key);
            builder.values().append_value(value);
        }
        builder.append(row.is_some())?;
    }
    Ok(Arc::new(builder.finish()))
}

/// What a checkpoint says. The error is for a person and does not name the object.
pub(super) fn parse(bytes: Bytes) -> Result<Checkpoint, String> {
    // Our reader begins at the end of a file and would not see this; others begin here.
    if !bytes.starts_with(b"PAR1") {
        return Err("it does not begin as a Parquet file".to_owned());
    }
    let builder = ParquetRecordBatchReaderBuilder::try_new(bytes).map_err(|error| error.to_string())?;
    let keys = builder.metadata().file_metadata().key_value_metadata();
    let slot_sha256 = keys.into_iter().flatten().find(|pair| pair.key == SLOT_SHA256_KEY);
    let slot_sha256 =
        slot_sha256.and_then(|pair| pair.value.as_ref()).ok_or("it does not name its slot's hash")?;
    let slot_sha256 = slot_sha256.parse().map_err(|error| format!("{error}"))?;
    let reader = builder.with_batch_size(BATCH_ROWS).build().map_err(|error| error.to_string())?;
    let (metadata, files) = read_rows(reader)?;
    Ok(Checkpoint { slot_sha256, metadata, files })
}

/// Reads the rows of a checkpoint and makes them again, without the file around them: how columns are told from what
/// they should be, for whoever has no file.
///
/// # Errors
///
/// What is wrong with them, for a person.
pub fn reread_checkpoint_rows(rows: &RecordBatch) -> Result<RecordBatch, String> {
    let (metadata, files) = read_rows([Ok(rows.clone())])?;
    batch_of(&metadata, files.iter(), Hash32::ZERO)
}

fn read_rows(
    batches: impl IntoIterator<Item = Result<RecordBatch, ArrowError>>,
) -> Result<(MetaData, Vec<AddFile>), String> {
    let (mut metadata, mut files) = (None, Vec::new());
    for batch in batches {
        let batch = batch.map_err(|error| error.to_string())?;
        read_files(&batch, &mut files)?;
        if let Some(found) = read_metadata(&batch)?
            && metadata.replace(found).is_some()
        {
            return Err("it has two metaData".to_owned());
        }
    }
    Ok((metadata.ok_or("it has no metaData")?, files))
}

/// The columns of a struct.
struct Parts<'a>(&'a StructArray);

impl<'a> Parts<'a> {
    fn of(batch: &'a RecordBatch, name: &str) -> Result<Self, String> {
        let found = batch.column_by_name(name).and_then(|column| column.as_struct_opt());
        found.map(Self).ok_or_else(|| format!("it has no struct `{name}`"))
    }

    fn child(&self, name: &str) -> Result<&'a ArrayRef, String> {
        self.0.column_by_name(name).ok_or_else(|| format!("it has no column `{name}`"))
    }

    fn text(&self, name: &str, row: usize) -> Result<String, String> {
        let found = self.child(name)?.as_string_opt::<i32>().filter(|texts| texts.is_valid(row));
        found.map(|texts| texts.value(row).to_owned()).ok_or_else(|| format!("it has no text in `{name}`"))
    }

    fn number(&self, name: &str, row: usize) -> Result<i64, String> {
        let found = self.child(name)?.as_primitive_opt::<Int64Type>().filter(|numbers| numbers.is_valid(row));
        found.map(|numbers| numbers.value(row)).ok_or_else(|| format!("it has no number in `{name}`"))
    }

    fn map(&self, name: &str, row: usize) -> Result<BTreeMap<String, String>, String> {
        let maps: Option<&MapArray> = self.child(name)?.as_map_opt().filter(|maps| maps.is_valid(row));
        let entries = maps.map(|maps| maps.value(row)).ok_or_else(|| format!("it has no map in `{name}`"))?;
        let texts = |index: usize| {
            let column = entries.columns().get(index).and_then(|column| column.as_string_opt::<i32>());
            column.ok_or_else(|| format!("the map `{name}` has no texts"))
        };
        let (keys, values) = (texts(0)?, texts(1)?);
        let text = |texts: &StringArray, row| texts.is_valid(row).then(|| texts.value(row).to_owned());
        let pairs = (0..entries.len()).map(|row| text(keys, row).zip(text(values, row)));
        pairs.collect::<Option<_>>().ok_or_else(|| format!("the map `{name}` has nulls"))
    }
}

fn read_files(batch: &RecordBatch, files: &mut Vec<AddFile>) -> Result<(), String> {
    let parts = Parts::of(batch, "add")?;
    for row in (0..batch.num_rows()).filter(|row| parts.0.is_valid(*row)) {
        let tags = parts.map("tags", row)?;
        let tag = |key: &str| tags.get(key).cloned().ok_or_else(|| format!("a file has no tag {key}"));
        let wire = AddWire {
            path: parts.text("path", row)?,
            partition_values: BTreeMap::new(),
            size: parts.number("size", row)?,
            modification_time: parts.number("modificationTime", row)?,
            data_change: false,
            stats: parts.text("stats", row)?,
            tags: TagsWire { row_digest: tag(ROW_DIGEST_TAG)?, sha256: tag(SHA256_TAG)? },
        };
        files.push(AddFile::from_wire(&wire)?);
    }
    Ok(())
}

fn read_metadata(batch: &RecordBatch) -> Result<Option<MetaData>, String> {
    let parts = Parts::of(batch, "metaData")?;
    let Some(row) = (0..batch.num_rows()).find(|row| parts.0.is_valid(*row)) else { return Ok(None) };
    let wire = MetaDataWire {
        id: parts.text("id", row)?,
        name: parts.text("name", row)?,
        format: FormatWire { provider: "parquet".to_owned(), options: BTreeMap::new() },
        schema_string: parts.text("schemaString", row)?,
        partition_columns: Vec::new(),
        configuration: parts.map("configuration", row)?,
    };
    MetaData::from_wire(&wire).map(Some)
}
