//! A row as 100 bytes: numbers as they are, and by number what repeats in a part.

use orrery_schemas::{
    Address, Asset, CloseTime, ContractId, Hash32, Kind, LedgerSequence, OpType, ToMuxed, Toid, TokenTransfer,
};

use super::layout::{ADDRESS_BYTES, RECORD_BYTES, TOKEN_BYTES, check, u32_at};

/// An operation type that is none.
const NO_OP_TYPE: u8 = u8::MAX;

/// What a row names by number. Addresses and extras count from 1: 0 is none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Names {
    pub(super) token: u32,
    pub(super) from: u32,
    pub(super) to: u32,
    pub(super) extra: u32,
}

/// The token of an event: who emitted it, and which classic asset it is.
pub(super) type Token = (ContractId, Option<Asset>);

/// A row's bytes; `None` if a number of it is out of bounds, which the table's own columns do not allow.
pub(super) fn to_bytes(row: &TokenTransfer, names: Names) -> Option<Vec<u8>> {
    let op_index = match row.op_index {
        None => 0,
        Some(index) => index.checked_add(1)?,
    };
    let mut bytes = Vec::with_capacity(RECORD_BYTES as usize);
    bytes.extend(row.ledger_sequence.0.to_le_bytes());
    bytes.extend(row.ledger_event_index.to_le_bytes());
    bytes.extend(row.closed_at.unix_micros().to_le_bytes());
    for number in [row.tx_index, op_index, row.event_index] {
        bytes.extend(number.to_le_bytes());
    }
    let op_type = row.op_type.map_or(NO_OP_TYPE, |op_type| op_type as u8);
    bytes.extend([row.kind as u8, op_type, u8::from(row.tx_successful), 0]);
    for number in [names.token, names.from, names.to, names.extra] {
        bytes.extend(number.to_le_bytes());
    }
    bytes.extend(row.amount.to_le_bytes());
    bytes.extend(row.tx_hash.0);
    bytes.extend(check(&bytes));
    Some(bytes)
}

/// What a row names by number; `None` if its bytes are not those that were written.
pub(super) fn names(bytes: &[u8]) -> Option<Names> {
    let (content, found) = bytes.split_at_checked(RECORD_BYTES as usize - 4)?;
    let number = |at| u32_at(bytes, at);
    let names = Names { token: number(32)?, from: number(36)?, to: number(40)?, extra: number(44)? };
    (found == check(content)).then_some(names)
}

/// The row, with what it names.
pub(super) fn from_bytes(
    bytes: &[u8],
    token: Token,
    from: Option<Address>,
    to: Option<Address>,
    to_muxed: Option<ToMuxed>,
) -> Option<TokenTransfer> {
    let number = |at| u32_at(bytes, at);
    let ledger_sequence = LedgerSequence(number(0)?);
    let (tx_index, op_index) = (number(16)?, number(20)?.checked_sub(1));
    let [kind, op_type, tx_successful, _] = bytes.get(28..32)?.try_into().ok()?;
    Some(TokenTransfer {
        ledger_sequence,
        closed_at: CloseTime::from_unix_micros(i64::from_le_bytes(bytes.get(8..16)?.try_into().ok()?))?,
        tx_hash: Hash32(bytes.get(64..96)?.try_into().ok()?),
        tx_index,
        op_index,
        event_index: number(24)?,
        ledger_event_index: number(4)?,
        toid: Toid::new(ledger_sequence, tx_index, op_index)?,
        kind: Kind::ALL.get(usize::from(kind)).copied()?,
        op_type: match op_type {
            NO_OP_TYPE => None,
            op_type => Some(*OpType::ALL.get(usize::from(op_type))?),
        },
        contract_id: token.0,
        asset: token.1,
        from,
        to,
        amount: i128::from_le_bytes(bytes.get(48..64)?.try_into().ok()?),
        to_muxed,
        tx_successful: tx_successful == 1,
    })
}

/// An address's bytes: kind, multiplexing number, key.
pub(super) fn address_to_bytes(address: &Address) -> [u8; ADDRESS_BYTES] {
    let (kind, number, key) = match *address {
        Address::Account(key) => (0, 0, key),
        Address::Contract(key) => (1, 0, key),
        Address::MuxedAccount { account, id } => (2, id, account),
        Address::ClaimableBalance(key) => (3, 0, key),
        Address::LiquidityPool(key) => (4, 0, key),
        Address::MuxedContract { contract, id } => (5, id, contract),
    };
    let mut bytes = [0; ADDRESS_BYTES];
    bytes[0] = kind;
    bytes[4..12].copy_from_slice(&number.to_le_bytes());
    bytes[12..].copy_from_slice(&key);
    bytes
}

/// The address of these bytes.
pub(super) fn address_from_bytes(bytes: &[u8]) -> Option<Address> {
    let id = u64::from_le_bytes(bytes.get(4..12)?.try_into().ok()?);
    let key = bytes.get(12..ADDRESS_BYTES)?.try_into().ok()?;
    Some(match bytes.first()? {
        0 => Address::Account(key),
        1 => Address::Contract(key),
        2 => Address::MuxedAccount { account: key, id },
        3 => Address::ClaimableBalance(key),
        4 => Address::LiquidityPool(key),
        5 => Address::MuxedContract { contract: key, id },
        _ => return None,
    })
}

/// A token's bytes: contract, kind of asset, code, issuer.
pub(super) fn token_to_bytes((contract, asset): &Token) -> [u8; TOKEN_BYTES] {
    let mut bytes = [0; TOKEN_BYTES];
    bytes[..32].copy_from_slice(&contract.0);
    match asset {
        None => {}
        Some(Asset::Native) => bytes[32] = 1,
        Some(Asset::Credit4 { code, issuer }) => {
            bytes[32] = 2;
            bytes[33..37].copy_from_slice(code);
            bytes[45..77].copy_from_slice(issuer);
        }
        Some(Asset::Credit12 { code, issuer }) => {
            bytes[32] = 3;
            bytes[33..45].copy_from_slice(code);
            bytes[45..77].copy_from_slice(issuer);
        }
    }
    bytes
}

/// The token of these bytes.
pub(super) fn token_from_bytes(bytes: &[u8]) -> Option<Token> {
    let contract = ContractId(bytes.get(..32)?.try_into().ok()?);
    let issuer = bytes.get(45..77)?.try_into().ok()?;
    let asset = match bytes.get(32)? {
        0 => None,
        1 => Some(Asset::Native),
        2 => Some(Asset::Credit4 { code: bytes.get(33..37)?.try_into().ok()?, issuer }),
        3 => Some(Asset::Credit12 { code: bytes.get(33..45)?.try_into().ok()?, issuer }),
        _ => return None,
    };
    Some((contract, asset))
}

/// Bytes of what a sender attached: kind, length, content.
pub(super) fn extra_to_bytes(extra: &ToMuxed) -> Option<Vec<u8>> {
    let id;
    let (kind, content) = match extra {
        ToMuxed::Id(number) => {
            id = number.to_le_bytes();
            (0, id.as_slice())
        }
        ToMuxed::Text(text) => (1, text.as_slice()),
        ToMuxed::Hash(hash) => (2, hash.0.as_slice()),
    };
    let mut bytes = vec![kind];
    bytes.extend(u32::try_from(content.len()).ok()?.to_le_bytes());
    bytes.extend(content);
    Some(bytes)
}

/// Kind and length, in front of the content.
pub(super) const EXTRA_HEAD_BYTES: usize = 5;

/// What a sender attached.
pub(super) fn extra_from_bytes(kind: u8, content: &[u8]) -> Option<ToMuxed> {
    Some(match kind {
        0 => ToMuxed::Id(u64::from_le_bytes(content.try_into().ok()?)),
        1 => ToMuxed::Text(content.to_vec()),
        2 => ToMuxed::Hash(Hash32(content.try_into().ok()?)),
        _ => return None,
    })
}
