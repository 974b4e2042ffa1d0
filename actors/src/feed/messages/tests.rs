use arrow::ipc::reader::StreamReader;
use orrery_schemas::{CloseTime, Hash32, Ledger, RowDigest, ledgers_to_batch};

use super::*;

fn ledgers(first: u32, count: u32) -> RecordBatch {
    let ledger = |sequence| Ledger {
        sequence: LedgerSequence(sequence),
        hash: Hash32::ZERO,
        previous_hash: Hash32::ZERO,
        closed_at: CloseTime::MAX,
        protocol_version: 23,
        tx_set_hash: Hash32::ZERO,
        tx_set_result_hash: Hash32::ZERO,
        tx_count: 0,
        successful_tx_count: 0,
        failed_tx_count: 0,
        operation_count: 0,
        event_count: 0,
        total_coins: 0,
        fee_pool: 0,
        base_fee: 0,
        base_reserve: 0,
        max_tx_set_size: 0,
        row_digest: RowDigest::default(),
    };
    ledgers_to_batch(&(first..first + count).map(ledger).collect::<Vec<_>>()).unwrap()
}

/// What a reader makes of messages.
fn read(head: &[u8], messages: &[RowMessage]) -> Vec<RecordBatch> {
    let mut stream = head.to_vec();
    for message in messages {
        stream.extend([0xff; 4]);
        stream.extend((message.header.len() as u32).to_le_bytes());
        stream.extend_from_slice(&message.header);
        stream.extend_from_slice(&message.body);
    }
    StreamReader::try_new(&stream[..], None).unwrap().map(Result::unwrap).collect()
}

#[test]
fn messages_hold_every_row_once_and_the_cursor_behind_it() {
    for (count, expect) in [(1, 1), (100, 1), (20_000, 5)] {
        let rows = ledgers(7, count);
        let mut encoder = RowEncoder::new(TableKind::Ledgers).unwrap();
        let messages = encoder.encode(&rows).unwrap();
        assert_eq!(messages.len(), expect, "{count} rows");
        assert!(messages.iter().all(|message| message.body.len() < 2 * MESSAGE_BYTES));
        let batches = read(encoder.head(), &messages);
        let mut next = 7;
        for (batch, message) in batches.iter().zip(&messages) {
            assert_eq!(*batch, ledgers(next, batch.num_rows() as u32));
            next += batch.num_rows() as u32;
            assert_eq!(message.cursor.unwrap().to_string(), (next - 1).to_string());
        }
        assert_eq!(next, 7 + count);
    }
}

#[test]
fn a_message_may_have_no_rows() {
    let mut encoder = RowEncoder::new(TableKind::TokenTransfers).unwrap();
    let messages = [encoder.nothing().unwrap()];
    assert!(
        messages[0].cursor.is_none()
            && encoder.encode(&read(encoder.head(), &messages)[0]).unwrap().is_empty()
    );
    assert!(encoder.schema().body.is_empty());
    assert!(split(&Bytes::from_static(&[0; 16])).is_none());
    assert!(split(&Bytes::from_static(&[0xff; 16])).is_none());
}
