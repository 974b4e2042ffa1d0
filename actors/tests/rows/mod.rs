//! Rows of every shape, the same ones every time.

use orrery_schemas::{
    Address, Asset, CloseTime, ContractId, Hash32, Kind, LedgerSequence, OpType, ToMuxed, Toid, TokenTransfer,
};

/// The rows of one ledger.
pub(crate) fn ledger(sequence: u32, count: u32) -> Vec<TokenTransfer> {
    (0..count).map(|index| row(sequence, index)).collect()
}

fn row(sequence: u32, index: u32) -> TokenTransfer {
    let ledger_sequence = LedgerSequence(sequence);
    let (tx_index, op_index) = (index / 3 + 1, (!index.is_multiple_of(3)).then_some(index % 3));
    let pick = |count: u32| (index.wrapping_mul(2_654_435_761) ^ sequence) % count;
    TokenTransfer {
        ledger_sequence,
        closed_at: CloseTime::from_unix_seconds(1_725_274_219 + u64::from(sequence) * 5).unwrap(),
        tx_hash: Hash32(key(tx_index, sequence)),
        tx_index,
        op_index,
        event_index: 0,
        ledger_event_index: index,
        toid: Toid::new(ledger_sequence, tx_index, op_index).unwrap(),
        kind: Kind::ALL[index as usize % 5],
        op_type: op_index.map(|_| OpType::ALL[index as usize % OpType::ALL.len()]),
        contract_id: ContractId(key(pick(7), 1)),
        asset: asset(index),
        from: address(index),
        to: address(index / 2),
        amount: amount(index),
        to_muxed: to_muxed(index),
        tx_successful: !index.is_multiple_of(4),
    }
}

/// Bytes that look like no others and compress as badly as real keys do.
fn key(a: u32, b: u32) -> [u8; 32] {
    let mut state = u64::from(a) << 32 | u64::from(b);
    std::array::from_fn(|_| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 56) as u8
    })
}

fn asset(index: u32) -> Option<Asset> {
    match index % 5 {
        0 => None,
        1 | 2 => Some(Asset::Native),
        3 => Some(Asset::Credit4 { code: *b"USD\0", issuer: key(3, 3) }),
        // A code with a quotation mark, which every text format has to escape.
        _ => Some(Asset::Credit12 { code: *b"QUOTE\"D\0\0\0\0\0", issuer: key(4, 4) }),
    }
}

fn address(index: u32) -> Option<Address> {
    let id = u64::MAX - u64::from(index);
    match index % 7 {
        0 => None,
        1 => Some(Address::Account(key(index % 900, 5))),
        2 => Some(Address::Contract(key(index % 90, 6))),
        3 => Some(Address::MuxedAccount { account: key(index % 9, 7), id }),
        4 => Some(Address::ClaimableBalance(key(index, 8))),
        5 => Some(Address::LiquidityPool(key(index % 9, 9))),
        _ => Some(Address::MuxedContract { contract: key(index % 9, 10), id }),
    }
}

fn amount(index: u32) -> i128 {
    let digits_38 = 10_i128.pow(38) - 1;
    match index % 11 {
        0 => digits_38,
        1 => -digits_38,
        2 => digits_38 + 1,
        3 => i128::MIN,
        4 => i128::MAX,
        5 => 0,
        _ => i128::from(index) * 10_000_019 - 77,
    }
}

fn to_muxed(index: u32) -> Option<ToMuxed> {
    match index % 6 {
        0 => Some(ToMuxed::Id(u64::MAX - u64::from(index))),
        1 => Some(ToMuxed::Text(vec![b'm', 0xff, 0x00, b'"', (index % 251) as u8])),
        2 => Some(ToMuxed::Hash(Hash32(key(index, 11)))),
        _ => None,
    }
}
