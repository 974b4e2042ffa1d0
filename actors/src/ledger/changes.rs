//! Ledger entry changes, as far as balances go: who held how much before and after.
//!
//! Only the fields that rules compare are read; the rest of an entry is walked over.

use std::collections::BTreeMap;

use orrery_schemas::Asset;

use super::cursor::{Cursor, WalkError};
use super::grammar::{self, Grammar, take};

/// A ledger entry before and after a run of changes, by its key.
pub(crate) type Compacted<K, T> = BTreeMap<K, BeforeAfter<T>>;

/// An entry's value on both sides; `None` where the entry does not exist.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct BeforeAfter<T> {
    pub(crate) before: Option<T>,
    pub(crate) after: Option<T>,
}

/// A claimable balance.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct ClaimableBalance {
    pub(crate) asset: Asset,
    pub(crate) amount: i64,
}

/// A constant-product pool.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Pool {
    pub(crate) asset_a: Asset,
    pub(crate) asset_b: Asset,
    pub(crate) reserve_a: i64,
    pub(crate) reserve_b: i64,
}

/// What happened to an entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ChangeKind {
    Created,
    Updated,
    Removed,
    State,
    Restored,
}

/// One `LedgerEntryChange`.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Change<'a> {
    pub(crate) kind: ChangeKind,
    /// A `LedgerEntryType`.
    pub(crate) entry_type: i32,
    /// What follows the type: of a `LedgerKey` if removed, else of a `LedgerEntryData`.
    pub(crate) body: &'a [u8],
}

/// `LedgerEntryType`: accounts.
const ACCOUNT: i32 = 0;
/// `LedgerEntryType`: trustlines.
const TRUSTLINE: i32 = 1;
/// `LedgerEntryType`: claimable balances.
const CLAIMABLE_BALANCE: i32 = 4;
/// `LedgerEntryType`: liquidity pools.
const LIQUIDITY_POOL: i32 = 5;
/// `LedgerEntryType`: contract data.
pub(crate) const CONTRACT_DATA: i32 = 6;

/// Calls `visit` for each change of a `LedgerEntryChanges`.
pub(crate) fn for_each_change<'a>(
    changes: &'a [u8],
    mut visit: impl FnMut(Change<'a>) -> Result<(), WalkError>,
) -> Result<(), WalkError> {
    let mut cursor = Cursor::new(changes);
    for _ in 0..cursor.length(grammar::ANY)? {
        let kind = match cursor.i32()? {
            0 => ChangeKind::Created,
            1 => ChangeKind::Updated,
            2 => ChangeKind::Removed,
            3 => ChangeKind::State,
            4 => ChangeKind::Restored,
            other => return Err(cursor.unknown("LedgerEntryChange", other)),
        };
        let value = if kind == ChangeKind::Removed {
            take::<grammar::LedgerKey>(&mut cursor)?
        } else {
            cursor.u32()?; // last modified
            let data = take::<grammar::LedgerEntryData>(&mut cursor)?;
            grammar::LedgerEntryExt::skip(&mut cursor)?;
            data
        };
        let mut value_cursor = Cursor::new(value);
        let entry_type = value_cursor.i32()?;
        visit(Change { kind, entry_type, body: &value[value_cursor.position()..] })?;
    }
    Ok(())
}

/// Balances in stroops of the accounts that `changes` touch.
pub(crate) fn account_balances(changes: &[u8]) -> Result<Compacted<[u8; 32], i64>, WalkError> {
    compact(changes, ACCOUNT, account_id, |cursor| Ok((account_id(cursor)?, cursor.i64()?)))
}

/// Claimable balances that `changes` touch, by id.
pub(crate) fn claimable_balances(changes: &[u8]) -> Result<Compacted<[u8; 32], ClaimableBalance>, WalkError> {
    compact(changes, CLAIMABLE_BALANCE, claimable_balance_id, |cursor| {
        let id = claimable_balance_id(cursor)?;
        grammar::Vector::<grammar::Claimant, 10>::skip(cursor)?;
        Ok((id, ClaimableBalance { asset: asset(cursor)?, amount: cursor.i64()? }))
    })
}

/// Pools that `changes` touch, by id.
pub(crate) fn pools(changes: &[u8]) -> Result<Compacted<[u8; 32], Pool>, WalkError> {
    compact(
        changes,
        LIQUIDITY_POOL,
        |cursor| cursor.take_32(),
        |cursor| {
            let id = cursor.take_32()?;
            match cursor.i32()? {
                0 => {}
                other => return Err(cursor.unknown("LiquidityPoolType", other)),
            }
            let (asset_a, asset_b) = (asset(cursor)?, asset(cursor)?);
            cursor.i32()?; // fee in basis points
            Ok((id, Pool { asset_a, asset_b, reserve_a: cursor.i64()?, reserve_b: cursor.i64()? }))
        },
    )
}

/// Balances of the trustlines that `changes` touch, by (holder, asset). Shares of pools are not assets.
pub(crate) fn trustline_balances(changes: &[u8]) -> Result<Compacted<([u8; 32], Asset), i64>, WalkError> {
    let key = |cursor: &mut Cursor<'_>| Ok((account_id(cursor)?, trustline_asset(cursor)?));
    let all = compact(changes, TRUSTLINE, key, |cursor| Ok((key(cursor)?, cursor.i64()?)))?;
    Ok(all.into_iter().filter_map(|((holder, asset), value)| Some(((holder, asset?), value))).collect())
}

/// Folds the changes of one entry type into what was before the first and after the last.
fn compact<K: Ord, T>(
    changes: &[u8],
    entry_type: i32,
    key: impl Fn(&mut Cursor<'_>) -> Result<K, WalkError>,
    entry: impl Fn(&mut Cursor<'_>) -> Result<(K, T), WalkError>,
) -> Result<Compacted<K, T>, WalkError>
where
    T: Copy,
{
    let mut compacted = Compacted::new();
    for_each_change(changes, |change| {
        if change.entry_type != entry_type {
            return Ok(());
        }
        let mut cursor = Cursor::new(change.body);
        if change.kind == ChangeKind::Removed {
            let key = key(&mut cursor)?;
            compacted.entry(key).or_insert(BeforeAfter { before: None, after: None }).after = None;
            return Ok(());
        }
        let (key, value) = entry(&mut cursor)?;
        let existed = matches!(change.kind, ChangeKind::State | ChangeKind::Restored);
        let before = existed.then_some(value);
        compacted.entry(key).or_insert(BeforeAfter { before, after: None }).after = Some(value);
        Ok(())
    })?;
    Ok(compacted)
}

fn account_id(cursor: &mut Cursor<'_>) -> Result<[u8; 32], WalkError> {
    match cursor.i32()? {
        0 => cursor.take_32(),
        other => Err(cursor.unknown("PublicKeyType", other)),
    }
}

fn claimable_balance_id(cursor: &mut Cursor<'_>) -> Result<[u8; 32], WalkError> {
    match cursor.i32()? {
        0 => cursor.take_32(),
        other => Err(cursor.unknown("ClaimableBalanceIDType", other)),
    }
}

fn asset(cursor: &mut Cursor<'_>) -> Result<Asset, WalkError> {
    match cursor.i32()? {
        0 => Ok(Asset::Native),
        1 => Ok(Asset::Credit4 { code: cursor.take_array()?, issuer: account_id(cursor)? }),
        2 => Ok(Asset::Credit12 { code: cursor.take_array()?, issuer: account_id(cursor)? }),
        other => Err(cursor.unknown("AssetType", other)),
    }
}

/// `None` for a pool share.
fn trustline_asset(cursor: &mut Cursor<'_>) -> Result<Option<Asset>, WalkError> {
    const POOL_SHARE: [u8; 4] = [0, 0, 0, 3];
    let mut ahead = *cursor;
    if ahead.take_array()? == POOL_SHARE {
        cursor.take(4 + 32)?;
        return Ok(None);
    }
    asset(cursor).map(Some)
}
