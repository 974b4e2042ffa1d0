//! From `stellar-xdr` types to ours.

use orrery_schemas::{Address, Asset};
use stellar_xdr::{
    AccountId, ClaimableBalanceId, Limits, MuxedAccount, PublicKey, ReadXdr, ScAddress, Uint256,
};

use super::error::Fault;
use crate::ledger::cursor::DEPTH_MAX;

/// Decodes a part that the walker has accepted.
pub(super) fn decode<T: ReadXdr>(what: &'static str, bytes: &[u8]) -> Result<T, Fault> {
    // stellar-xdr counts a level for some types that the walker takes in one step, never three for one.
    let limits = Limits { depth: 3 * u32::from(DEPTH_MAX), len: bytes.len() };
    T::from_xdr(bytes, limits).map_err(|error| Fault::Decode { what, reason: error.to_string() })
}

pub(super) fn account(id: &AccountId) -> [u8; 32] {
    let PublicKey::PublicKeyTypeEd25519(Uint256(key)) = &id.0;
    *key
}

pub(super) fn asset(asset: &stellar_xdr::Asset) -> Asset {
    match asset {
        stellar_xdr::Asset::Native => Asset::Native,
        stellar_xdr::Asset::CreditAlphanum4(credit) => {
            Asset::Credit4 { code: credit.asset_code.0, issuer: account(&credit.issuer) }
        }
        stellar_xdr::Asset::CreditAlphanum12(credit) => {
            Asset::Credit12 { code: credit.asset_code.0, issuer: account(&credit.issuer) }
        }
    }
}

/// The account under a possibly multiplexed one, and the multiplexing number.
pub(super) fn muxed_account(account: &MuxedAccount) -> ([u8; 32], Option<u64>) {
    match account {
        MuxedAccount::Ed25519(Uint256(key)) => (*key, None),
        MuxedAccount::MuxedEd25519(muxed) => (muxed.ed25519.0, Some(muxed.id)),
    }
}

pub(super) fn claimable_balance(id: &ClaimableBalanceId) -> [u8; 32] {
    let ClaimableBalanceId::ClaimableBalanceIdTypeV0(hash) = id;
    hash.0
}

pub(super) fn address(address: &ScAddress) -> Address {
    match address {
        ScAddress::Account(id) => Address::Account(account(id)),
        ScAddress::Contract(id) => Address::Contract(id.0.0),
        ScAddress::MuxedAccount(muxed) => Address::MuxedAccount { account: muxed.ed25519.0, id: muxed.id },
        ScAddress::ClaimableBalance(id) => Address::ClaimableBalance(claimable_balance(id)),
        ScAddress::LiquidityPool(id) => Address::LiquidityPool(id.0.0),
        ScAddress::MuxedContract(muxed) => {
            Address::MuxedContract { contract: muxed.contract_id.0.0, id: muxed.id }
        }
    }
}
