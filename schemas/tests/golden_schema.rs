//! The schemas as text, reviewed like the API that they are. `ORRERY_UPDATE_GOLDEN=1` writes the files anew.

#![allow(clippy::unwrap_used, reason = "this is a test")]

use std::path::PathBuf;

use arrow::datatypes::Schema;
use orrery_schemas::{
    describe_schema, ledger_close_metas_schema, ledgers_schema, token_transfers_schema,
    token_transfers_stored_schema,
};

#[test]
fn schemas_are_those_that_were_reviewed() {
    check("token_transfers", &token_transfers_schema());
    check("token_transfers_stored", &token_transfers_stored_schema());
    check("ledgers", &ledgers_schema());
    check("ledger_close_metas", &ledger_close_metas_schema());
}

fn check(name: &str, schema: &Schema) {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join(format!("tests/golden/{name}.schema.txt"));
    let text = describe_schema(schema);
    if std::env::var_os("ORRERY_UPDATE_GOLDEN").is_some() {
        std::fs::write(&path, text).unwrap();
        return;
    }
    let golden = std::fs::read_to_string(&path).unwrap_or_default();
    assert_eq!(text, golden, "{name} is not what was reviewed: a change of schema is a change of API");
}
