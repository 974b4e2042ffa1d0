//! Rows to Arrow, to JSON lines and to digests, and back: time of a dense pubnet ledger (880 rows).

#![allow(clippy::unwrap_used, reason = "this is a benchmark")]

use divan::Bencher;
use divan::counter::ItemsCount;
use orrery_schemas::{
    Address, Asset, CloseTime, ContractId, Hash32, JsonEvent, Kind, LedgerSequence, OpType, RowDigest,
    ToMuxed, Toid, TokenTransfer, TokenTransferBatchBuilder, token_transfers_from_batch, write_json_line,
};

const ROWS: u32 = 880;
/// Ledgers appended to one batch, as a sink does.
const LEDGERS: u32 = 16;

fn main() {
    divan::main();
}

#[divan::bench]
fn rows_to_batch(bencher: Bencher<'_, '_>) {
    let rows = ledger();
    bencher.counter(ItemsCount::new(ROWS * LEDGERS)).bench(|| {
        let mut builder = TokenTransferBatchBuilder::with_capacity((ROWS * LEDGERS) as usize);
        for _ in 0..LEDGERS {
            builder.append(&rows).unwrap();
        }
        builder.finish().unwrap()
    });
}

#[divan::bench]
fn batch_to_rows(bencher: Bencher<'_, '_>) {
    let mut builder = TokenTransferBatchBuilder::with_capacity(ROWS as usize);
    builder.append(&ledger()).unwrap();
    let batch = builder.finish().unwrap();
    bencher.counter(ItemsCount::new(ROWS)).bench(|| token_transfers_from_batch(&batch).unwrap());
}

#[divan::bench]
fn rows_to_json_lines(bencher: Bencher<'_, '_>) {
    let rows = ledger();
    bencher.counter(ItemsCount::new(ROWS)).with_inputs(Vec::new).bench_local_refs(|lines| {
        for event in &rows {
            write_json_line(lines, JsonEvent { file: None, event }).unwrap();
        }
    });
}

#[divan::bench]
fn digest_of_rows(bencher: Bencher<'_, '_>) {
    let rows = ledger();
    bencher.counter(ItemsCount::new(ROWS)).bench(|| RowDigest::of(&rows));
}

/// A ledger of a usual mix: fees, transfers between accounts, a few pools and memos.
fn ledger() -> Vec<TokenTransfer> {
    (0..ROWS).map(row).collect()
}

fn row(index: u32) -> TokenTransfer {
    let ledger_sequence = LedgerSequence(63_092_993);
    let (tx_index, op_index) = (index / 3 + 1, (!index.is_multiple_of(3)).then_some(index % 3));
    TokenTransfer {
        ledger_sequence,
        closed_at: CloseTime::from_unix_seconds(1_781_828_514).unwrap(),
        tx_hash: Hash32(key(tx_index)),
        tx_index,
        op_index,
        event_index: 0,
        ledger_event_index: index,
        toid: Toid::new(ledger_sequence, tx_index, op_index).unwrap(),
        kind: if op_index.is_some() { Kind::Transfer } else { Kind::Fee },
        op_type: op_index.map(|_| OpType::Payment),
        contract_id: ContractId(key(index % 9)),
        asset: match index % 3 {
            0 | 1 => Some(Asset::Native),
            _ => Some(Asset::Credit4 { code: *b"USDC", issuer: key(7) }),
        },
        from: Some(Address::Account(key(index))),
        to: op_index.map(|_| Address::Account(key(index + 1))),
        amount: i128::from(index) * 1_000_003,
        to_muxed: index.is_multiple_of(10).then_some(ToMuxed::Id(u64::from(index))),
        tx_successful: true,
    }
}

fn key(seed: u32) -> [u8; 32] {
    let mut state = u64::from(seed);
    std::array::from_fn(|_| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 56) as u8
    })
}
