//! Short constructors of XDR values, and hashes of their encoding.

use sha2::{Digest, Sha256};
use stellar_xdr::{
    AccountId, ContractId, Hash, Int128Parts, Limited, Limits, MuxedAccount, MuxedAccountMed25519, PublicKey,
    ScAddress, ScMap, ScMapEntry, ScString, ScSymbol, ScVal, ScVec, StringM, Uint256, VecM, WriteXdr,
};

/// Nesting of a ledger that we build ourselves; far below what decoders allow.
const DEPTH_MAX: u32 = 500;

/// The generator bounds each list far below its XDR maximum, so the conversion cannot fail; if it did, an empty list
/// would break the hash and delta tests.
pub(super) fn list<T, const MAX: u32>(items: Vec<T>) -> VecM<T, MAX> {
    let list = VecM::try_from(items);
    debug_assert!(list.is_ok(), "list longer than {MAX}");
    list.unwrap_or_default()
}

pub(super) fn string<const MAX: u32>(bytes: &[u8]) -> StringM<MAX> {
    StringM::try_from(bytes.to_vec()).unwrap_or_default()
}

/// Appends the encoding of `value`; writing to memory without limits cannot fail.
pub(super) fn encode_into(buffer: &mut Vec<u8>, value: &impl WriteXdr) {
    let limits = Limits { depth: DEPTH_MAX, len: usize::MAX };
    let written = value.write_xdr(&mut Limited::new(buffer, limits));
    debug_assert!(written.is_ok(), "{written:?}");
}

pub(super) fn encode(value: &impl WriteXdr) -> Vec<u8> {
    let mut buffer = Vec::with_capacity(256);
    encode_into(&mut buffer, value);
    buffer
}

pub(super) fn sha256(bytes: &[u8]) -> [u8; 32] {
    Sha256::digest(bytes).into()
}

pub(super) fn hash_of(value: &impl WriteXdr) -> Hash {
    Hash(sha256(&encode(value)))
}

pub(super) fn account_id(key: [u8; 32]) -> AccountId {
    AccountId(PublicKey::PublicKeyTypeEd25519(Uint256(key)))
}

pub(super) fn key_of(id: &AccountId) -> [u8; 32] {
    let AccountId(PublicKey::PublicKeyTypeEd25519(Uint256(key))) = id;
    *key
}

pub(super) fn muxed(key: [u8; 32], id: Option<u64>) -> MuxedAccount {
    match id {
        Some(id) => MuxedAccount::MuxedEd25519(MuxedAccountMed25519 { id, ed25519: Uint256(key) }),
        None => MuxedAccount::Ed25519(Uint256(key)),
    }
}

pub(super) fn symbol(text: &str) -> ScVal {
    ScVal::Symbol(ScSymbol(string(text.as_bytes())))
}

pub(super) fn text(text: &str) -> ScVal {
    ScVal::String(ScString(string(text.as_bytes())))
}

pub(super) fn i128_value(value: i128) -> ScVal {
    ScVal::I128(Int128Parts { hi: (value >> 64) as i64, lo: value as u64 })
}

pub(super) fn contract_address(id: [u8; 32]) -> ScAddress {
    ScAddress::Contract(ContractId(Hash(id)))
}

/// A map as the host sorts it; `entries` must be given in key order.
pub(super) fn map(entries: Vec<(&str, ScVal)>) -> ScVal {
    let entries = entries.into_iter().map(|(key, val)| ScMapEntry { key: symbol(key), val }).collect();
    ScVal::Map(Some(ScMap(list(entries))))
}

pub(super) fn vector(items: Vec<ScVal>) -> ScVal {
    ScVal::Vec(Some(ScVec(list(items))))
}
