//! Whether a stored file or a foreign batch can be read as one of our tables.

use arrow::datatypes::{DataType, Schema};

use crate::column::{Column, Data, Null, SCHEMA_ID_KEY, SCHEMA_VERSION_KEY};
use crate::{ledgers, token_transfers};

/// How a readable schema compares with the current one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Compatibility {
    /// The same columns in the same order, in the types of memory or of files at rest.
    Same,
    /// Readable, but not the same.
    Readable {
        /// Nullable columns of later revisions, which read as null.
        missing: Vec<&'static str>,
        /// Columns that the table does not have, which are passed over.
        unknown: Vec<String>,
    },
}

/// A schema that cannot be read as the table. Each message names the column and the fix.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SchemaMismatch {
    /// The data says that it is another table.
    #[error("this is the table `{found}`, not `{expected}`: give a file of `{expected}`")]
    OtherTable {
        /// Its identity.
        found: String,
        /// The identity expected.
        expected: &'static str,
    },
    /// Written by a later release.
    #[error(
        "`{id}` is of revision {found:?}, this release reads up to {supported}: read it with a later release"
    )]
    Newer {
        /// The table.
        id: &'static str,
        /// The revision in the metadata, as text.
        found: String,
        /// The latest revision that this release knows.
        supported: u32,
    },
    /// A column is not there.
    #[error("column `{column}` is missing: read all columns of `{id}`, or write the file again")]
    Missing {
        /// The table.
        id: &'static str,
        /// The column.
        column: &'static str,
    },
    /// A column is of another type.
    #[error("column `{column}` is of type {found}: convert it to {expected}")]
    Type {
        /// The column.
        column: &'static str,
        /// Its type.
        found: String,
        /// The type expected.
        expected: String,
    },
}

/// Compares a stored schema with the current one of `token_transfers`.
///
/// # Errors
///
/// [`SchemaMismatch`] if rows cannot be read from it.
pub fn token_transfers_compatibility(stored: &Schema) -> Result<Compatibility, SchemaMismatch> {
    Table {
        id: token_transfers::TOKEN_TRANSFERS_ID,
        version: token_transfers::TOKEN_TRANSFERS_VERSION,
        columns: &token_transfers::COLUMNS,
    }
    .compatibility(stored)
}

/// Compares a stored schema with the current one of `ledgers`.
///
/// # Errors
///
/// [`SchemaMismatch`] if rows cannot be read from it.
pub fn ledgers_compatibility(stored: &Schema) -> Result<Compatibility, SchemaMismatch> {
    Table { id: ledgers::LEDGERS_ID, version: ledgers::LEDGERS_VERSION, columns: &ledgers::COLUMNS }
        .compatibility(stored)
}

/// What a stored schema is compared with.
struct Table<'a> {
    id: &'static str,
    version: u32,
    columns: &'a [Column],
}

impl Table<'_> {
    fn compatibility(&self, stored: &Schema) -> Result<Compatibility, SchemaMismatch> {
        let stored_version = self.stored_version(stored)?;
        let mut missing = Vec::new();
        for column in self.columns {
            match stored.field_with_name(column.name) {
                Ok(field) if reads_as(column.data, field.data_type()) => {}
                Ok(field) => {
                    return Err(SchemaMismatch::Type {
                        column: column.name,
                        found: field.data_type().to_string(),
                        expected: column.data.arrow().to_string(),
                    });
                }
                Err(_) if column.null == Null::Allowed && column.since > stored_version => {
                    missing.push(column.name)
                }
                Err(_) => return Err(SchemaMismatch::Missing { id: self.id, column: column.name }),
            }
        }
        let is_known = |name: &String| self.columns.iter().any(|column| column.name == name);
        let names = || stored.fields().iter().map(|field| field.name());
        if names().eq(self.columns.iter().map(|column| column.name)) {
            return Ok(Compatibility::Same);
        }
        let unknown = names().filter(|name| !is_known(name)).cloned().collect();
        Ok(Compatibility::Readable { missing, unknown })
    }

    /// Engines drop the metadata: what does not state a revision must have every column of the current one.
    fn stored_version(&self, stored: &Schema) -> Result<u32, SchemaMismatch> {
        if let Some(found) = stored.metadata().get(SCHEMA_ID_KEY).filter(|&found| found != self.id) {
            return Err(SchemaMismatch::OtherTable { found: found.clone(), expected: self.id });
        }
        let Some(found) = stored.metadata().get(SCHEMA_VERSION_KEY) else { return Ok(self.version) };
        found.parse().ok().filter(|version| (1..=self.version).contains(version)).ok_or_else(|| {
            SchemaMismatch::Newer { id: self.id, found: found.clone(), supported: self.version }
        })
    }
}

/// Whether a column of type `found` holds the same values: engines have several types for one kind of text or bytes.
fn reads_as(data: Data, found: &DataType) -> bool {
    match data {
        Data::Text | Data::Word => match found {
            DataType::Dictionary(_, values) => is_text(values),
            found => is_text(found),
        },
        Data::Bytes => is_bytes(found),
        Data::Hash => is_bytes(found) || *found == DataType::FixedSizeBinary(32),
        Data::Time => match (found, data.arrow()) {
            (DataType::Timestamp(found, Some(zone)), DataType::Timestamp(expected, _)) => {
                *found == expected && ["UTC", "+00:00", "Z"].contains(&zone.as_ref())
            }
            _ => false,
        },
        Data::Bool | Data::Int32 | Data::Int64 | Data::Decimal(_) => *found == data.arrow(),
    }
}

fn is_text(found: &DataType) -> bool {
    matches!(found, DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View)
}

fn is_bytes(found: &DataType) -> bool {
    matches!(found, DataType::Binary | DataType::LargeBinary | DataType::BinaryView)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::column::schema;

    const fn column(name: &'static str, null: Null, since: u32) -> Column {
        Column { name, data: Data::Int64, null, unit: "", source: "", description: "", since }
    }

    /// A table at revision 2, which added `c`.
    const COLUMNS: [Column; 3] =
        [column("a", Null::Never, 1), column("b", Null::Allowed, 1), column("c", Null::Allowed, 2)];
    const TABLE: Table<'static> = Table { id: "t", version: 2, columns: &COLUMNS };

    fn check(version: u32, columns: &[Column], expect: Result<Compatibility, &str>) {
        let found = TABLE.compatibility(&schema("t", version, columns));
        assert_eq!(found.map_err(|error| error.to_string()), expect.map_err(str::to_owned));
    }

    #[test]
    fn an_earlier_revision_reads_as_null_where_columns_were_added() {
        let readable = |missing, unknown: &[&str]| {
            Ok(Compatibility::Readable {
                missing,
                unknown: unknown.iter().map(|&name| name.to_owned()).collect(),
            })
        };
        let [a, b, c] = COLUMNS;
        check(2, &[a, b, c], Ok(Compatibility::Same));
        let [a, b, c] = COLUMNS;
        check(2, &[b, a, c], readable(vec![], &[]));
        let [a, b, _] = COLUMNS;
        check(1, &[a, b], readable(vec!["c"], &[]));
        let [a, b, _] = COLUMNS;
        check(1, &[a, b, column("file", Null::Never, 1)], readable(vec!["c"], &["file"]));
        let [a, b, _] = COLUMNS;
        check(2, &[a, b], Err("column `c` is missing: read all columns of `t`, or write the file again"));
        let [a, _, c] = COLUMNS;
        check(1, &[a, c], Err("column `b` is missing: read all columns of `t`, or write the file again"));
        let [a, b, c] = COLUMNS;
        check(
            3,
            &[a, b, c],
            Err("`t` is of revision \"3\", this release reads up to 2: read it with a later release"),
        );
    }
}
