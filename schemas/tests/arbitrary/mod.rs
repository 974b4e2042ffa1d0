//! Any row that a ledger can have.

use orrery_schemas::{
    Address, Asset, CloseTime, ContractId, Hash32, Kind, LedgerSequence, OpType, ToMuxed, Toid, TokenTransfer,
};
use proptest::option;
use proptest::prelude::*;
use proptest::sample::select;

/// Events with every kind of address, asset and memo, extreme numbers among them.
pub(crate) fn event() -> impl Strategy<Value = TokenTransfer> {
    (position(), what(), parties(), amount(), to_muxed(), any::<bool>()).prop_map(
        |(position, (kind, op_type, contract, asset), (from, to), amount, to_muxed, tx_successful)| {
            let (ledger, closed_at, tx_hash, tx_index, op_index, event_index, ledger_event_index) = position;
            let ledger_sequence = LedgerSequence(ledger);
            TokenTransfer {
                ledger_sequence,
                closed_at: CloseTime::from_unix_seconds(closed_at).unwrap(),
                tx_hash: Hash32(tx_hash),
                tx_index,
                op_index,
                event_index,
                ledger_event_index,
                toid: Toid::new(ledger_sequence, tx_index, op_index).unwrap(),
                kind,
                op_type,
                contract_id: ContractId(contract),
                asset,
                from,
                to,
                amount,
                to_muxed,
                tx_successful,
            }
        },
    )
}

type Position = (u32, u64, [u8; 32], u32, Option<u32>, u32, u32);

fn position() -> impl Strategy<Value = Position> {
    let last = i32::MAX as u32;
    (
        edges(0, last),
        0..=253_402_300_799_u64,
        any::<[u8; 32]>(),
        edges(0, Toid::TX_INDEX_MAX),
        option::of(edges(1, Toid::OP_INDEX_MAX)),
        edges(0, last),
        edges(0, last),
    )
}

/// A range, its ends often.
fn edges(min: u32, max: u32) -> impl Strategy<Value = u32> {
    prop_oneof![1 => Just(min), 1 => Just(max), 4 => min..=max]
}

fn what() -> impl Strategy<Value = (Kind, Option<OpType>, [u8; 32], Option<Asset>)> {
    (select(&Kind::ALL[..]), option::of(select(OpType::ALL)), any::<[u8; 32]>(), option::of(asset()))
}

fn parties() -> impl Strategy<Value = (Option<Address>, Option<Address>)> {
    (option::of(address()), option::of(address()))
}

fn address() -> impl Strategy<Value = Address> {
    (any::<[u8; 32]>(), any::<u64>(), 0..6).prop_map(|(key, id, kind)| match kind {
        0 => Address::Account(key),
        1 => Address::Contract(key),
        2 => Address::MuxedAccount { account: key, id },
        3 => Address::ClaimableBalance(key),
        4 => Address::LiquidityPool(key),
        _ => Address::MuxedContract { contract: key, id },
    })
}

/// Codes of letters mostly; of any bytes sometimes, since nothing but the network's own rules forbids them. The last
/// byte is not zero and the short kind is used where it can be, as the network requires.
fn asset() -> impl Strategy<Value = Asset> {
    let byte = prop_oneof![3 => b'A'..=b'Z', 1 => any::<u8>()];
    let code = (proptest::collection::vec(byte, 0..12), 1..=u8::MAX);
    let credit = (code, any::<[u8; 32]>()).prop_map(|((mut bytes, last), issuer)| {
        bytes.push(last);
        if bytes.len() <= 4 {
            let mut code = [0; 4];
            code[..bytes.len()].copy_from_slice(&bytes);
            Asset::Credit4 { code, issuer }
        } else {
            let mut code = [0; 12];
            code[..bytes.len()].copy_from_slice(&bytes);
            Asset::Credit12 { code, issuer }
        }
    });
    prop_oneof![1 => Just(Asset::Native), 3 => credit]
}

fn amount() -> impl Strategy<Value = i128> {
    let digits_38 = 10_i128.pow(38) - 1;
    let edge =
        select(vec![0, 1, -1, digits_38, -digits_38, digits_38 + 1, -digits_38 - 1, i128::MAX, i128::MIN]);
    prop_oneof![2 => edge, 2 => any::<i128>(), 4 => any::<i64>().prop_map(i128::from)]
}

fn to_muxed() -> impl Strategy<Value = Option<ToMuxed>> {
    let text = proptest::collection::vec(any::<u8>(), 0..40).prop_map(ToMuxed::Text);
    option::of(prop_oneof![
        any::<u64>().prop_map(ToMuxed::Id),
        Just(ToMuxed::Id(u64::MAX)),
        text,
        any::<[u8; 32]>().prop_map(|hash| ToMuxed::Hash(Hash32(hash))),
    ])
}
