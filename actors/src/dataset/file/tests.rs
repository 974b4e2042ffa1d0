use super::*;
use orrery_schemas::{Address, Asset, ContractId, Kind, Toid};

fn row(ledger: u32, index: u32) -> TokenTransfer {
    let ledger_sequence = LedgerSequence(ledger);
    TokenTransfer {
        ledger_sequence,
        closed_at: CloseTime::from_unix_seconds(u64::from(ledger)).unwrap(),
        tx_hash: sha256(&index.to_be_bytes()),
        tx_index: index + 1,
        op_index: None,
        event_index: 0,
        ledger_event_index: index,
        toid: Toid::new(ledger_sequence, index + 1, None).unwrap(),
        kind: Kind::Fee,
        op_type: None,
        contract_id: ContractId([7; 32]),
        asset: Some(Asset::Native),
        from: Some(Address::Account([(index % 200) as u8; 32])),
        to: None,
        amount: i128::from(index),
        to_muxed: None,
        tx_successful: true,
    }
}

fn encoder(first: u32, last: u32) -> SlotFileEncoder {
    SlotFileEncoder::new(TableKind::TokenTransfers, "n", LedgerSequence(first)..=LedgerSequence(last))
        .unwrap()
}

#[test]
fn equal_rows_give_equal_bytes_however_they_come() {
    // More than a batch, so that batches are cut anew.
    let rows: Vec<_> = (0..BATCH_ROWS as u32 + 500).map(|index| row(7, index)).collect();
    let mut once = encoder(5, 9);
    once.append_rows(&rows).unwrap();
    let once = once.finish().unwrap().unwrap();
    for size in [1, 7, 1000, BATCH_ROWS - 1, BATCH_ROWS] {
        let mut many = encoder(5, 9);
        for part in rows.chunks(size) {
            many.append_rows(part).unwrap();
        }
        assert!(many.finish().unwrap().unwrap().bytes == once.bytes, "batches of {size}");
    }
    // As they are at rest: what compaction appends.
    let mut again = encoder(5, 9);
    let mut append =
        |batch: &RecordBatch, _: &[Ledger]| again.append_batch(batch).map_err(|error| error.to_string());
    let range = LedgerSequence(5)..=LedgerSequence(9);
    let content = read_content(TableKind::TokenTransfers, once.bytes.clone(), &range, &mut append).unwrap();
    assert_eq!(content, FileContent { rows: rows.len() as u64, digest: RowDigest::of(&rows) });
    assert!(again.finish().unwrap().unwrap().bytes == once.bytes);
    assert_eq!(once.ledgers, LedgerSequence(7)..=LedgerSequence(7));
    assert!(once.path().starts_with("data/5-9-"));
}

#[test]
fn rows_out_of_order_or_of_other_slots_are_refused() {
    let check = |rows: &[TokenTransfer], fragment: &str| {
        let mut encoder = encoder(5, 9);
        let error =
            rows.iter().try_for_each(|row| encoder.append_rows(std::slice::from_ref(row))).unwrap_err();
        assert!(error.to_string().contains(fragment), "{error}");
        assert!(error.to_string().contains("rows of ledgers 5..=9"), "{error}");
    };
    check(&[row(4, 0)], "a row of ledger 4 is not of this slot");
    check(&[row(10, 0)], "a row of ledger 10 is not of this slot");
    check(&[row(7, 0), row(6, 0)], "ledger 6 event 0 comes after ledger 7 event 0");
    check(&[row(7, 1), row(7, 1)], "ledger 7 event 1 comes after ledger 7 event 1");
    check(&[row(7, 0), TokenTransfer { closed_at: row(6, 0).closed_at, ..row(8, 0) }], "comes after");
}

#[test]
fn a_slot_without_rows_has_no_file_and_ledgers_are_complete() {
    assert!(encoder(5, 9).finish().unwrap().is_none());
    let range = LedgerSequence(5)..=LedgerSequence(9);
    let error = SlotFileEncoder::new(TableKind::Ledgers, "n", range).unwrap().finish().unwrap_err();
    assert!(error.to_string().contains("0 ledgers of 5 came"), "{error}");
}

#[test]
fn a_file_has_what_engines_skip_by_and_says_what_it_is() {
    let mut encoder = encoder(5, 9);
    encoder.append_rows(&[row(6, 0), row(8, 0)]).unwrap();
    let file = encoder.finish().unwrap().unwrap();
    let reader = ParquetRecordBatchReaderBuilder::try_new(file.bytes).unwrap();
    let metadata = reader.metadata();
    assert_eq!(metadata.file_metadata().created_by(), Some("orrery"));
    let keys = metadata.file_metadata().key_value_metadata().unwrap();
    let value = |key: &str| keys.iter().find(|pair| pair.key == key).and_then(|pair| pair.value.as_deref());
    assert_eq!(value("orrery.network"), Some("n"));
    assert_eq!((value("orrery.first_ledger"), value("orrery.last_ledger")), (Some("5"), Some("9")));
    assert_eq!(value("orrery.schema.id"), Some("orrery.token_transfers"));
    let names: Vec<_> =
        keys.iter().map(|pair| pair.key.as_str()).filter(|key| *key != "ARROW:schema").collect();
    assert!(names.is_sorted(), "{names:?}");
    for column in metadata.row_group(0).columns() {
        let name = column.column_path().string();
        assert!(column.column_index_offset().is_some(), "{name}");
        let has_filter = ["from", "to", "contract_id"].contains(&name.as_str());
        assert_eq!(column.bloom_filter_offset().is_some(), has_filter, "{name}");
    }
}
