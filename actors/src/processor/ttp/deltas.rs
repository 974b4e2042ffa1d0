//! Event-delta verification (rules 3.10): what the events of a transaction say was moved equals what its entry
//! changes say. No hash binds either side; a difference is a bug here or damage there.

use std::collections::HashMap;

use orrery_schemas::{Address, Asset, Hash32, Kind, TokenTransfer};
use thiserror::Error;

use super::error::ProcessError;
use crate::ledger::changes::{Compacted, account_balances, claimable_balances, pools, trustline_balances};
use crate::ledger::contract_balances::contract_balances;
use crate::ledger::{Network, ParsedLedger, TransactionView};

/// A holder whose balance of an asset changed by another amount than the transaction's events say.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error(
    "transaction {tx_index} ({tx_hash}): {holder} holds {by_entries:+} {asset} by entry changes, {by_events:+} by events"
)]
pub struct DeltaMismatch {
    /// 1-based, apply order.
    pub tx_index: u32,
    /// Hash of the transaction.
    pub tx_hash: Hash32,
    /// Who holds it.
    pub holder: Address,
    /// What is held.
    pub asset: Asset,
    /// Change of the balance, smallest unit.
    pub by_entries: i128,
    /// Change that the events add up to.
    pub by_events: i128,
}

/// Change of each balance; zero where a holder gained and lost alike.
type Deltas = HashMap<(Address, Asset), i128>;

/// Compares `rows`, the events of `ledger`, with its entry changes. Returns the differences, in transaction order.
///
/// Events without a proven asset are claims of their contract and have no entry to compare with. A contract's balance
/// is compared where its asset is named by some event of the ledger: the entry alone does not name it.
///
/// # Errors
///
/// Entry changes that cannot be read.
pub fn check_deltas(
    ledger: &ParsedLedger<'_>,
    rows: &[TokenTransfer],
) -> Result<Vec<DeltaMismatch>, ProcessError> {
    let mut by_events: Vec<Deltas> = vec![Deltas::new(); ledger.view.transactions.len()];
    for row in rows {
        if let (Some(asset), Some(deltas)) = (row.asset, by_events.get_mut(row.tx_index as usize - 1)) {
            add_event(deltas, row, asset);
        }
    }
    // An issuer has no balance of its own asset.
    for deltas in &mut by_events {
        deltas.retain(|(holder, asset), _| asset.issuer() != Some(*holder));
    }
    let asset_contracts = asset_contracts(ledger.network, rows);
    let mut mismatches = Vec::new();
    for (index, (transaction, by_events)) in ledger.view.transactions.iter().zip(by_events).enumerate() {
        let ignore_operations = ignores_operations(ledger.header.ledger_version, transaction);
        let by_entries = entry_deltas(transaction, &asset_contracts, ignore_operations)
            .map_err(|error| super::Fault::from(error).at(index, None))?;
        let first = mismatches.len();
        for key in by_events.keys().chain(by_entries.keys().filter(|key| !by_events.contains_key(*key))) {
            let by_entries = by_entries.get(key).copied().unwrap_or(0);
            let by_events = by_events.get(key).copied().unwrap_or(0);
            if by_entries != by_events {
                mismatches.push(DeltaMismatch {
                    tx_index: u32::try_from(index + 1).unwrap_or(u32::MAX),
                    tx_hash: Hash32(transaction.hash()),
                    holder: key.0,
                    asset: key.1,
                    by_entries,
                    by_events,
                });
            }
        }
        mismatches[first..].sort_by_key(|mismatch| (mismatch.holder, mismatch.asset));
    }
    Ok(mismatches)
}

fn add_event(deltas: &mut Deltas, row: &TokenTransfer, asset: Asset) {
    // What contracts claim can be near the ends of i128: sums wrap, and equal sums stay equal.
    if let Some(from) = row.from {
        let delta = deltas.entry((from, asset)).or_default();
        *delta = delta.wrapping_sub(row.amount);
    }
    if let (Some(to), Kind::Transfer | Kind::Mint) = (row.to, row.kind) {
        let delta = deltas.entry((to, asset)).or_default();
        *delta = delta.wrapping_add(row.amount);
    }
}

fn asset_contracts(network: &Network, rows: &[TokenTransfer]) -> HashMap<[u8; 32], Asset> {
    let mut contracts: HashMap<_, _> =
        rows.iter().filter_map(|row| Some((row.contract_id.0, row.asset?))).collect();
    contracts.insert(network.asset_contract(&Asset::Native).0, Asset::Native);
    contracts
}

/// Before protocol 13, the meta of a transaction that ended in an internal error shows changes that were undone.
fn ignores_operations(protocol: u32, transaction: &TransactionView<'_>) -> bool {
    const TX_INTERNAL_ERROR: [u8; 4] = (-11_i32).to_be_bytes();
    protocol <= 12 && transaction.result_pair.get(40..44) == Some(&TX_INTERNAL_ERROR[..])
}

fn entry_deltas(
    transaction: &TransactionView<'_>,
    asset_contracts: &HashMap<[u8; 32], Asset>,
    ignore_operations: bool,
) -> Result<Deltas, crate::ledger::cursor::WalkError> {
    let meta = &transaction.meta;
    let operations = meta.operations.iter().map(|operation| operation.changes);
    let all = [transaction.fee_changes, meta.changes_before]
        .into_iter()
        .chain(operations.filter(|_| !ignore_operations))
        .chain([meta.changes_after, transaction.post_fee_changes]);
    let mut deltas = Deltas::new();
    for changes in all {
        add_entries(&mut deltas, account_balances(changes)?, |id| {
            Some((Address::Account(id), Asset::Native))
        });
        add_entries(&mut deltas, trustline_balances(changes)?, |(holder, asset)| {
            Some((Address::Account(holder), asset))
        });
        add_entries(&mut deltas, contract_balances(changes)?, |(contract, holder)| {
            Some((Address::Contract(holder), *asset_contracts.get(&contract)?))
        });
        for (id, value) in claimable_balances(changes)? {
            for (balance, sign) in [(value.before, -1), (value.after, 1)] {
                let Some(balance) = balance else { continue };
                let key = (Address::ClaimableBalance(id), balance.asset);
                *deltas.entry(key).or_default() += sign * i128::from(balance.amount);
            }
        }
        for (id, value) in pools(changes)? {
            for (pool, sign) in [(value.before, -1), (value.after, 1)] {
                let Some(pool) = pool else { continue };
                let holder = Address::LiquidityPool(id);
                *deltas.entry((holder, pool.asset_a)).or_default() += sign * i128::from(pool.reserve_a);
                *deltas.entry((holder, pool.asset_b)).or_default() += sign * i128::from(pool.reserve_b);
            }
        }
    }
    Ok(deltas)
}

fn add_entries<K: Ord, T: Into<i128>>(
    deltas: &mut Deltas,
    balances: Compacted<K, T>,
    place: impl Fn(K) -> Option<(Address, Asset)>,
) {
    for (key, value) in balances {
        let Some(place) = place(key) else { continue };
        let before = value.before.map_or(0, Into::into);
        let after = value.after.map_or(0, Into::into);
        let delta = deltas.entry(place).or_default();
        *delta = delta.wrapping_add(after.wrapping_sub(before));
    }
}
