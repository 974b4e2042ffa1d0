//! Rows as JSON, and what must hold for every row however it was made.

use orrery_schemas::{
    JsonEvent, RowDigest, TokenTransfer, TokenTransferBatchBuilder, token_transfers_from_batch,
    write_json_line,
};

/// Checks `input` as the JSON of an event.
pub fn check(input: &[u8]) {
    match serde_json::from_slice::<TokenTransfer>(input) {
        Ok(row) => check_row(&row),
        Err(error) => drop(error.to_string()),
    }
}

/// A row survives every form that it can take.
pub(super) fn check_row(row: &TokenTransfer) {
    for file in [None, Some("a \"name\"")] {
        let mut line = Vec::new();
        write_json_line(&mut line, JsonEvent { file, event: row }).expect("write a row");
        let read: TokenTransfer = serde_json::from_slice(&line).expect("read what was written");
        assert_eq!(read, *row);
    }
    check_batch(std::slice::from_ref(row));
}

/// Rows survive a batch.
pub(super) fn check_batch(rows: &[TokenTransfer]) {
    let mut builder = TokenTransferBatchBuilder::with_capacity(rows.len());
    builder.append(rows).expect("append rows");
    let batch = builder.finish().expect("finish the batch");
    let read = token_transfers_from_batch(&batch).expect("read what was written");
    assert_eq!(read, rows);
    assert_eq!(RowDigest::of(&read), RowDigest::of(rows));
}
