//! Liquidity pools: deposits, withdrawals, and what a revoked trustline takes out (CAP-38).

use orrery_schemas::{Address, Asset};
use sha2::{Digest, Sha256};
use stellar_xdr::{
    AlphaNum4, AlphaNum12, AssetCode4, AssetCode12, Hash, HashIdPreimage, HashIdPreimageRevokeId, Limits,
    PoolId, PublicKey, SequenceNumber, Uint256, WriteXdr,
};

use super::classic_ops::Operation;
use super::error::Fault;
use super::movement::Movement;
use crate::ledger::changes::{self, Pool};

/// Both reserves grow by what the source pays in.
pub(super) fn deposited(operation: &Operation<'_>) -> Result<Vec<Movement>, Fault> {
    let (pool, flows) = the_changed_pool(operation)?;
    let source = Address::Account(operation.source());
    flows
        .into_iter()
        .map(|(asset, change)| match i64::try_from(change) {
            Ok(amount) if amount > 0 => Ok(operation.classic().moved(asset, source, pool, amount, None)),
            _ => Err(Fault::ReserveChange { operation: operation.op_type.as_str(), asset, change }),
        })
        .collect()
}

/// Both reserves shrink by what the source takes out; rounding may leave one at zero.
pub(super) fn withdrawn(operation: &Operation<'_>) -> Result<Vec<Movement>, Fault> {
    let (pool, flows) = the_changed_pool(operation)?;
    let source = Address::Account(operation.source());
    let attached = operation.source_to_muxed();
    flows
        .into_iter()
        .map(|(asset, change)| match i64::try_from(-change) {
            Ok(amount) if amount >= 0 => {
                Ok(operation.classic().moved(asset, pool, source, amount, attached.clone()))
            }
            _ => Err(Fault::ReserveChange { operation: operation.op_type.as_str(), asset, change }),
        })
        .collect()
}

/// A trustor that loses authorization is withdrawn from its pools: each asset goes to a claimable balance, or is
/// burned where the trustor issues it (rules 3.3, stellar-core's order: asset A, then asset B).
pub(super) fn revoked(operation: &Operation<'_>, trustor: [u8; 32]) -> Result<Vec<Movement>, Fault> {
    let pools = changes::pools(operation.changes)?;
    if pools.is_empty() {
        return Ok(Vec::new());
    }
    let balances = changes::claimable_balances(operation.changes)?;
    let classic = operation.classic();
    let mut movements = Vec::new();
    for (pool_id, pool) in &pools {
        let Some(before) = pool.before else { continue };
        let holder = Address::LiquidityPool(*pool_id);
        let mut legs = Vec::with_capacity(2);
        for (asset, change) in reserve_changes(&before, pool.after.as_ref()) {
            let id = revoke_id(operation, pool_id, &asset)?;
            let created =
                balances.get(&id).filter(|value| value.before.is_none()).and_then(|value| value.after);
            legs.push((asset, change, created.map(|balance| (Address::ClaimableBalance(id), balance))));
        }
        // A share in the pool was paid out if a claimable balance was created for it; what has none was burned.
        let paid_out = legs.iter().any(|(_, _, created)| created.is_some());
        for (asset, change, created) in legs {
            let is_issuer = asset.issuer() == Some(Address::Account(trustor));
            match created {
                Some((to, balance)) => {
                    movements.push(classic.moved(balance.asset, holder, to, balance.amount, None));
                }
                None if change != 0 && (paid_out || is_issuer) => {
                    movements.push(Movement { amount: change.abs(), ..classic.burned(asset, holder, 0) });
                }
                None => {}
            }
        }
    }
    Ok(movements)
}

/// The pool of a deposit or withdrawal with the change of each reserve.
fn the_changed_pool(operation: &Operation<'_>) -> Result<(Address, [(Asset, i128); 2]), Fault> {
    let pools = changes::pools(operation.changes)?;
    match pools.iter().next() {
        Some((id, value)) if pools.len() == 1 => {
            let before = value
                .before
                .or_else(|| value.after.map(|after| Pool { reserve_a: 0, reserve_b: 0, ..after }));
            let flows = before.map(|before| reserve_changes(&before, value.after.as_ref()));
            flows.map(|flows| (Address::LiquidityPool(*id), flows))
        }
        _ => None,
    }
    .ok_or(Fault::EntryChanges {
        operation: operation.op_type.as_str(),
        change: "changed",
        entry: "liquidity pool",
        found: pools.len(),
        expected: 1,
    })
}

/// After less before, for asset A and asset B. A removed pool holds nothing.
fn reserve_changes(before: &Pool, after: Option<&Pool>) -> [(Asset, i128); 2] {
    let (after_a, after_b) = after.map_or((0, 0), |pool| (pool.reserve_a, pool.reserve_b));
    [
        (before.asset_a, i128::from(after_a) - i128::from(before.reserve_a)),
        (before.asset_b, i128::from(after_b) - i128::from(before.reserve_b)),
    ]
}

/// Id of the claimable balance that a revoke would create: it hashes the (inner) transaction's source and sequence
/// number, the 0-based operation index, the pool and the asset.
fn revoke_id(operation: &Operation<'_>, pool_id: &[u8; 32], asset: &Asset) -> Result<[u8; 32], Fault> {
    let account = |key: &[u8; 32]| stellar_xdr::AccountId(PublicKey::PublicKeyTypeEd25519(Uint256(*key)));
    let asset = match asset {
        Asset::Native => stellar_xdr::Asset::Native,
        Asset::Credit4 { code, issuer } => stellar_xdr::Asset::CreditAlphanum4(AlphaNum4 {
            asset_code: AssetCode4(*code),
            issuer: account(issuer),
        }),
        Asset::Credit12 { code, issuer } => stellar_xdr::Asset::CreditAlphanum12(AlphaNum12 {
            asset_code: AssetCode12(*code),
            issuer: account(issuer),
        }),
    };
    let preimage = HashIdPreimage::PoolRevokeOpId(HashIdPreimageRevokeId {
        source_account: account(&operation.transaction.source.account),
        seq_num: SequenceNumber(operation.transaction.sequence_number),
        op_num: u32::try_from(operation.index).unwrap_or(u32::MAX),
        liquidity_pool_id: PoolId(Hash(*pool_id)),
        asset,
    });
    let what = "HashIDPreimage";
    let bytes = preimage
        .to_xdr(Limits { depth: 100, len: 4_096 })
        .map_err(|error| Fault::Decode { what, reason: error.to_string() })?;
    Ok(Sha256::digest(bytes).into())
}
