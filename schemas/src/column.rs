//! A table's columns as data: the one place where name, type, nullability, unit and source of each are written.

use std::collections::HashMap;
use std::fmt::Write;

use arrow::datatypes::{DataType, Field, Schema, TimeUnit};

use crate::RowDigest;

/// Key of schema metadata: the table's identity, such as `orrery.token_transfers`. A breaking change gets a new one.
pub const SCHEMA_ID_KEY: &str = "orrery.schema.id";
/// Key of schema metadata: the revision, a whole number. A revision only adds nullable columns.
pub const SCHEMA_VERSION_KEY: &str = "orrery.schema.version";
/// Key of schema metadata: the algorithm of [`RowDigest`].
pub const ROW_DIGEST_KEY: &str = "orrery.row_digest";

/// One column of a table.
pub(crate) struct Column {
    pub(crate) name: &'static str,
    pub(crate) data: Data,
    pub(crate) null: Null,
    /// What one counts, or the text form.
    pub(crate) unit: &'static str,
    /// The rule, CAP, SEP or header field that the value comes from.
    pub(crate) source: &'static str,
    pub(crate) description: &'static str,
    /// The revision that added the column.
    pub(crate) since: u32,
}

/// Whether a column may hold nulls.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Null {
    Never,
    Allowed,
}

/// The types in use. Each has a name in Delta Lake (no unsigned integers), and pyarrow, DuckDB, polars and deltalake
/// read each back.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Data {
    Bool,
    Int32,
    Int64,
    /// A whole number of this many decimal digits.
    Decimal(u8),
    /// Microseconds, UTC.
    Time,
    Text,
    /// Text of a few known values: a dictionary in memory, plain text at rest.
    Word,
    Hash,
    Bytes,
}

impl Data {
    pub(crate) fn arrow(self) -> DataType {
        match self {
            Self::Bool => DataType::Boolean,
            Self::Int32 => DataType::Int32,
            Self::Int64 => DataType::Int64,
            Self::Decimal(digits) => DataType::Decimal128(digits, 0),
            Self::Time => DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into())),
            Self::Text => DataType::Utf8,
            Self::Word => DataType::Dictionary(Box::new(DataType::Int8), Box::new(DataType::Utf8)),
            Self::Hash => DataType::FixedSizeBinary(32),
            Self::Bytes => DataType::Binary,
        }
    }
}

/// The Arrow schema of a table, with metadata for each column and for the whole.
pub(crate) fn schema(id: &str, version: u32, columns: &[Column]) -> Schema {
    let fields: Vec<Field> = columns.iter().map(field).collect();
    let metadata = HashMap::from([
        (SCHEMA_ID_KEY.to_owned(), id.to_owned()),
        (SCHEMA_VERSION_KEY.to_owned(), version.to_string()),
        (ROW_DIGEST_KEY.to_owned(), RowDigest::ALGORITHM.to_owned()),
    ]);
    Schema::new_with_metadata(fields, metadata)
}

fn field(column: &Column) -> Field {
    let metadata = HashMap::from([
        ("description".to_owned(), column.description.to_owned()),
        ("unit".to_owned(), column.unit.to_owned()),
        ("source".to_owned(), column.source.to_owned()),
        ("since".to_owned(), column.since.to_string()),
    ]);
    Field::new(column.name, column.data.arrow(), column.null == Null::Allowed).with_metadata(metadata)
}

/// A schema as text, one line a column, in a stable order: for review and for comparison.
pub fn describe_schema(schema: &Schema) -> String {
    let mut text = String::new();
    let mut metadata: Vec<_> = schema.metadata().iter().collect();
    metadata.sort();
    for (key, value) in metadata {
        // Writing to a String cannot fail.
        let _ = writeln!(text, "{key} = {value}");
    }
    for field in schema.fields() {
        let null = if field.is_nullable() { "nullable" } else { "required" };
        let _ = write!(text, "{}: {} {null}", field.name(), field.data_type());
        let mut metadata: Vec<_> = field.metadata().iter().collect();
        metadata.sort();
        for (key, value) in metadata {
            let _ = write!(text, "; {key}={value}");
        }
        text.push('\n');
    }
    text
}
