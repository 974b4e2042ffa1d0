//! What is written is read back as itself, in every form that rows have.

#![allow(clippy::unwrap_used, reason = "this is a test")]

mod arbitrary;

use std::sync::Arc;

use arrow::array::{Array, RecordBatch};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Field, Schema};
use orrery_schemas::{
    Address, Asset, CloseTime, Compatibility, EventId, Hash32, JSON_KEYS, JsonEvent, Ledger, LedgerSequence,
    RowDigest, TokenTransfer, TokenTransferBatchBuilder, ledgers_from_batch, ledgers_schema,
    ledgers_to_batch, token_transfers_compatibility, token_transfers_from_batch, token_transfers_schema,
    token_transfers_stored_schema,
};
use proptest::collection::vec;
use proptest::prelude::*;

use arbitrary::event;

proptest! {
    #[test]
    fn rows_survive_a_batch(ledgers in vec(vec(event(), 0..8), 0..4)) {
        let mut builder = TokenTransferBatchBuilder::with_capacity(4);
        for rows in &ledgers {
            builder.append(rows).unwrap();
        }
        let batch = builder.finish().unwrap();
        prop_assert_eq!(batch.schema(), token_transfers_schema());
        prop_assert_eq!(token_transfers_from_batch(&batch).unwrap(), ledgers.concat());
        prop_assert!(builder.is_empty());
    }

    #[test]
    fn rows_survive_the_types_of_other_engines(rows in vec(event(), 1..8)) {
        let batch = batch(&rows);
        for (text, bytes) in [
            (DataType::Utf8, DataType::Binary),
            (DataType::LargeUtf8, DataType::LargeBinary),
            (DataType::Utf8View, DataType::BinaryView),
        ] {
            let foreign = with_types(&batch, &text, &bytes);
            prop_assert_eq!(token_transfers_from_batch(&foreign).unwrap(), rows.clone());
        }
    }

    #[test]
    fn rows_survive_json(event in event(), file in "\\PC{0,12}") {
        let line = serde_json::to_string(&JsonEvent { file: Some(&file), event: &event }).unwrap();
        prop_assert_eq!(&serde_json::from_str::<TokenTransfer>(&line).unwrap(), &event);

        let object: serde_json::Map<String, serde_json::Value> = serde_json::from_str(&line).unwrap();
        prop_assert_eq!(object["file"].as_str(), Some(file.as_str()));
        prop_assert_eq!(object.len(), 22);
        let plain = serde_json::to_string(&event).unwrap();
        let at: Vec<_> = JSON_KEYS.iter().map(|key| plain.find(&format!("\"{key}\":")).unwrap()).collect();
        prop_assert!(at.is_sorted());
    }

    #[test]
    fn different_rows_have_different_digest_bytes(a in event(), b in event()) {
        let bytes = |event: &TokenTransfer| {
            let mut bytes = Vec::new();
            event.digest_bytes(&mut bytes);
            bytes
        };
        prop_assert_eq!(bytes(&a), bytes(&a.clone()));
        prop_assert_eq!(a == b, bytes(&a) == bytes(&b));
        // Each field counts: a row that differs in one has other bytes.
        let mut c = a.clone();
        c.to_muxed = b.to_muxed.clone();
        prop_assert_eq!(a == c, bytes(&a) == bytes(&c));
        c = TokenTransfer { from: b.from, ..a.clone() };
        prop_assert_eq!(a == c, bytes(&a) == bytes(&c));
        c = TokenTransfer { asset: b.asset, ..a.clone() };
        prop_assert_eq!(a == c, bytes(&a) == bytes(&c));
        c = TokenTransfer { tx_successful: b.tx_successful, ..a.clone() };
        prop_assert_eq!(a == c, bytes(&a) == bytes(&c));
    }

    #[test]
    fn a_digest_does_not_depend_on_order_or_on_parts(rows in vec(event(), 0..12), split in 0_usize..12) {
        let whole = RowDigest::of(&rows);
        let reversed = RowDigest::of(rows.iter().rev());
        let (head, tail) = rows.split_at(split.min(rows.len()));
        let mut parts = RowDigest::of(head);
        parts.add(&RowDigest::of(tail));
        prop_assert_eq!(whole, reversed);
        prop_assert_eq!(whole, parts);
        prop_assert_eq!(RowDigest::from_bytes(whole.to_bytes()), Some(whole));
        prop_assert_eq!(whole.to_string().parse::<RowDigest>().unwrap(), whole);
    }

    #[test]
    fn texts_are_read_as_what_was_written(event in event()) {
        prop_assert_eq!(event.event_id().to_string().parse::<EventId>().unwrap(), event.event_id());
        prop_assert_eq!(event.closed_at.to_string().parse::<CloseTime>().unwrap(), event.closed_at);
        prop_assert_eq!(event.tx_hash.to_string().parse::<Hash32>().unwrap(), event.tx_hash);
        for address in event.from.iter().chain(&event.to) {
            prop_assert_eq!(&address.to_string().parse::<Address>().unwrap(), address);
        }
        if let Some(asset) = event.asset {
            prop_assert_eq!(asset.to_string().parse::<Asset>().unwrap(), asset);
        }
    }

    #[test]
    fn ledgers_survive_a_batch(ledgers in vec(ledger(), 0..8)) {
        let batch = ledgers_to_batch(&ledgers).unwrap();
        prop_assert_eq!(batch.schema(), ledgers_schema());
        prop_assert_eq!(ledgers_from_batch(&batch).unwrap(), ledgers);
    }

    #[test]
    fn no_text_makes_a_parser_panic(text in "\\PC*") {
        let _ = (text.parse::<Address>(), text.parse::<EventId>(), text.parse::<CloseTime>());
        let _ = serde_json::from_str::<TokenTransfer>(&text);
        if let Ok(asset) = text.parse::<Asset>() {
            prop_assert_eq!(asset.to_string(), text);
        }
    }
}

#[test]
fn batches_share_their_dictionaries() {
    let mut builder = TokenTransferBatchBuilder::with_capacity(0);
    let (first, second) = (builder.finish().unwrap(), builder.finish().unwrap());
    let words = |batch: &RecordBatch| batch.column(8).to_data().child_data()[0].buffers()[1].as_ptr();
    assert_eq!(words(&first), words(&second));
}

fn ledger() -> impl Strategy<Value = Ledger> {
    let hashes = (any::<[u8; 32]>(), any::<[u8; 32]>(), any::<[u8; 32]>(), any::<[u8; 32]>());
    let count = 0..=i32::MAX as u32;
    let counts = (count.clone(), count.clone(), count.clone(), count.clone(), count.clone(), count);
    let fees = (any::<i64>(), any::<i64>(), any::<u32>(), any::<u32>(), any::<u32>());
    (any::<u32>(), 0..=253_402_300_799_u64, hashes, counts, fees, vec(event(), 0..3)).prop_map(
        |(sequence, closed_at, hashes, counts, fees, rows)| Ledger {
            sequence: LedgerSequence(sequence),
            hash: Hash32(hashes.0),
            previous_hash: Hash32(hashes.1),
            closed_at: CloseTime::from_unix_seconds(closed_at).unwrap(),
            protocol_version: counts.0,
            tx_set_hash: Hash32(hashes.2),
            tx_set_result_hash: Hash32(hashes.3),
            tx_count: counts.1,
            successful_tx_count: counts.2,
            failed_tx_count: counts.3,
            operation_count: counts.4,
            event_count: counts.5,
            total_coins: fees.0,
            fee_pool: fees.1,
            base_fee: fees.2,
            base_reserve: fees.3,
            max_tx_set_size: fees.4,
            row_digest: RowDigest::of(&rows),
        },
    )
}

fn batch(rows: &[TokenTransfer]) -> RecordBatch {
    let mut builder = TokenTransferBatchBuilder::with_capacity(rows.len());
    builder.append(rows).unwrap();
    builder.finish().unwrap()
}

/// The batch as an engine gives it that has one type for all text and one for all bytes.
fn with_types(batch: &RecordBatch, text: &DataType, bytes: &DataType) -> RecordBatch {
    let columns = batch.columns().iter().map(|column| match column.data_type() {
        DataType::Utf8 | DataType::Dictionary(..) => cast(column, text).unwrap(),
        DataType::Binary | DataType::FixedSizeBinary(_) => {
            cast(&cast(column, &DataType::Binary).unwrap(), bytes).unwrap()
        }
        _ => Arc::clone(column),
    });
    let columns: Vec<_> = columns.collect();
    let fields = batch
        .schema()
        .fields()
        .iter()
        .zip(&columns)
        .map(|(field, column)| Field::new(field.name(), column.data_type().clone(), field.is_nullable()))
        .collect::<Vec<_>>();
    RecordBatch::try_new(Arc::new(Schema::new(fields)), columns).unwrap()
}

#[test]
fn a_stored_schema_is_the_same_table() {
    for schema in [token_transfers_schema(), token_transfers_stored_schema()] {
        assert_eq!(token_transfers_compatibility(&schema).unwrap(), Compatibility::Same);
    }
}
