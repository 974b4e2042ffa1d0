//! Batches of ledgers' rows that are none (M6): each is made of one that a sink takes, and differs from it in one thing.

use arrow_flight::FlightData;
use arrow_flight::encode::FlightDataEncoderBuilder;
use futures::TryStreamExt;
use orrery_schemas::{
    CloseTime, Hash32, Ledger, LedgerSequence, RowDigest, ledgers_schema, ledgers_to_batch,
};

use crate::Random;

/// What is sent in place of a sound batch.
#[derive(Debug)]
pub(super) struct Spoiled {
    /// What is wrong with it; `None` for the sound one.
    pub(super) how: Option<&'static str>,
    pub(super) header: Vec<u8>,
    pub(super) body: Vec<u8>,
}

/// The rows of these ledgers, without events, as a message of Arrow IPC.
pub(super) async fn sound(ledgers: &[LedgerSequence]) -> Result<FlightData, String> {
    let rows: Vec<Ledger> = ledgers.iter().map(|sequence| row(*sequence)).collect();
    let batch = ledgers_to_batch(&rows).map_err(|error| error.to_string())?;
    let batches = futures::stream::once(std::future::ready(Ok(batch)));
    let messages = FlightDataEncoderBuilder::new().with_schema(ledgers_schema()).build(batches);
    let mut messages: Vec<FlightData> = messages.try_collect().await.map_err(|error| error.to_string())?;
    // The first one is the schema, which both ends know.
    messages.pop().filter(|_| messages.len() == 1).ok_or_else(|| "a batch is not one message".to_owned())
}

fn row(sequence: LedgerSequence) -> Ledger {
    let hash = Hash32([7; 32]);
    Ledger {
        sequence,
        hash,
        previous_hash: hash,
        closed_at: CloseTime::MAX,
        protocol_version: 23,
        tx_set_hash: hash,
        tx_set_result_hash: hash,
        tx_count: 0,
        successful_tx_count: 0,
        failed_tx_count: 0,
        operation_count: 0,
        event_count: 0,
        total_coins: 0,
        fee_pool: 0,
        base_fee: 100,
        base_reserve: 5_000_000,
        max_tx_set_size: 100,
        row_digest: RowDigest::default(),
    }
}

/// What a sink that waits for ledger `next` is sent in turn; every eighth time, what it must take. `other` is a sound batch of
/// another schema.
pub(super) async fn in_turn(
    turn: usize,
    next: LedgerSequence,
    other: &FlightData,
    random: &mut Random,
) -> Result<Spoiled, String> {
    let due = sound(&[next]).await?;
    let (mut header, mut body) = (due.data_header.to_vec(), due.data_body.to_vec());
    let behind = LedgerSequence(next.0 + 1);
    let whole = |data: &FlightData| (data.data_header.to_vec(), data.data_body.to_vec());
    let how = match turn % 8 {
        0 => None,
        1 => {
            (header, body) = whole(other);
            Some("schema is another table's")
        }
        2 => {
            header.truncate(random.below(header.len().max(1)));
            Some("header is cut short")
        }
        3 => {
            // Where the table is that all the rest of the header hangs from.
            header.iter_mut().take(4).for_each(|byte| *byte ^= 0xff);
            Some("header points elsewhere")
        }
        4 => {
            header = (0..random.below(4096)).map(|_| random.below(256) as u8).collect();
            Some("header is noise")
        }
        5 => {
            body.truncate(random.below(body.len() / 2));
            Some("body is cut short")
        }
        6 => {
            (header, body) = whole(&sound(&[behind]).await?);
            Some("ledger is another one")
        }
        _ => {
            (header, body) = whole(&sound(&[next, behind]).await?);
            Some("ledgers are more than it says")
        }
    };
    Ok(Spoiled { how, header, body })
}
