//! The two tables of a dataset.

use std::fmt;

use arrow::datatypes::{DataType, SchemaRef};
use orrery_schemas::{
    LEDGERS_ID, LEDGERS_VERSION, RowDigest, TOKEN_TRANSFERS_ID, TOKEN_TRANSFERS_VERSION, ledgers_schema,
    token_transfers_stored_schema,
};

use super::ledger_digest::LEDGERS_DIGEST_ALGORITHM;

/// A table.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum TableKind {
    /// One row an event.
    TokenTransfers,
    /// One row a ledger.
    Ledgers,
}

impl TableKind {
    /// Every table.
    pub const ALL: [Self; 2] = [Self::TokenTransfers, Self::Ledgers];

    /// Its folder in the dataset, and its name.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::TokenTransfers => "token_transfers",
            Self::Ledgers => "ledgers",
        }
    }

    /// The Arrow schema of its files.
    pub fn schema(self) -> SchemaRef {
        match self {
            Self::TokenTransfers => token_transfers_stored_schema(),
            Self::Ledgers => ledgers_schema(),
        }
    }

    /// Identity of the schema.
    pub(super) fn schema_id(self) -> &'static str {
        match self {
            Self::TokenTransfers => TOKEN_TRANSFERS_ID,
            Self::Ledgers => LEDGERS_ID,
        }
    }

    /// Revision of the schema that this program writes.
    pub fn schema_version(self) -> u32 {
        match self {
            Self::TokenTransfers => TOKEN_TRANSFERS_VERSION,
            Self::Ledgers => LEDGERS_VERSION,
        }
    }

    /// How rows are hashed for the digest.
    pub(super) fn digest_algorithm(self) -> &'static str {
        match self {
            Self::TokenTransfers => RowDigest::ALGORITHM,
            Self::Ledgers => LEDGERS_DIGEST_ALGORITHM,
        }
    }

    /// The column that names the ledger.
    pub(super) fn ledger_column(self) -> &'static str {
        match self {
            Self::TokenTransfers => "ledger_sequence",
            Self::Ledgers => "sequence",
        }
    }

    /// The schema in Delta's words. Column descriptions are left out: better wording must not change a table.
    pub(super) fn delta_schema(self) -> String {
        let schema = self.schema();
        let fields = schema.fields().iter().map(|field| DeltaField {
            name: field.name().clone(),
            r#type: delta_type(field.data_type()),
            nullable: field.is_nullable(),
            metadata: NoMetadata {},
        });
        let schema = DeltaStruct { r#type: "struct", fields: fields.collect() };
        // Plain texts and booleans: there is nothing that JSON could not say.
        serde_json::to_string(&schema).unwrap_or_default()
    }
}

impl fmt::Display for TableKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

#[derive(serde::Serialize)]
struct DeltaStruct {
    r#type: &'static str,
    fields: Vec<DeltaField>,
}

#[derive(serde::Serialize)]
struct DeltaField {
    name: String,
    r#type: String,
    nullable: bool,
    metadata: NoMetadata,
}

#[derive(serde::Serialize)]
struct NoMetadata {}

/// Types of our columns alone; a test holds every column against this list.
fn delta_type(data_type: &DataType) -> String {
    match data_type {
        DataType::Int64 => "long".to_owned(),
        DataType::Int32 => "integer".to_owned(),
        DataType::Utf8 => "string".to_owned(),
        DataType::Boolean => "boolean".to_owned(),
        DataType::Binary | DataType::FixedSizeBinary(_) => "binary".to_owned(),
        DataType::Timestamp(..) => "timestamp".to_owned(),
        DataType::Decimal128(precision, scale) => format!("decimal({precision},{scale})"),
        other => format!("unknown: {other}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_column_has_a_type_in_delta() {
        for kind in TableKind::ALL {
            let schema = kind.delta_schema();
            assert!(!schema.contains("unknown"), "{schema}");
            for field in kind.schema().fields() {
                assert!(schema.contains(&format!("{{\"name\":\"{}\",\"type\":", field.name())), "{schema}");
            }
        }
        assert!(
            TableKind::TokenTransfers.delta_schema().contains(
                "{\"name\":\"amount\",\"type\":\"decimal(38,0)\",\"nullable\":true,\"metadata\":{}}"
            )
        );
    }
}
