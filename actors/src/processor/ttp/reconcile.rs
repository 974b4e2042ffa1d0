//! Before protocol 8, some operations made or lost lumens by bugs of the time. Their events say so (rules 3.4, as
//! the Stellar project's own processor does it): what the source's balance changed beyond the operation's events is
//! minted before them or burned after them.

use orrery_schemas::{Address, Asset};

use super::classic_ops::Operation;
use super::error::Fault;
use super::movement::Movement;
use crate::ledger::changes::account_balances;

/// Last protocol that needs it.
pub(super) const PROTOCOL_MAX: u32 = 7;

/// Adds the mint or burn that makes the movements of one operation account for the source's lumens.
pub(super) fn reconcile(operation: &Operation<'_>, movements: &mut Vec<Movement>) -> Result<(), Fault> {
    let source = operation.source();
    let balances = account_balances(operation.changes)?;
    let changed = balances
        .get(&source)
        .map_or(0, |value| i128::from(value.after.unwrap_or(0)) - i128::from(value.before.unwrap_or(0)));
    let holder = Address::Account(source);
    let moved: i128 = movements
        .iter()
        .filter(|movement| movement.asset == Some(Asset::Native))
        .map(|movement| {
            let received = if movement.to == Some(holder) { movement.amount } else { 0 };
            let sent = if movement.from == Some(holder) { movement.amount } else { 0 };
            received - sent
        })
        .sum();
    let classic = operation.classic();
    let missing = changed - moved;
    if missing > 0 {
        movements.insert(0, Movement { amount: missing, ..classic.minted(Asset::Native, holder, 0) });
    } else if missing < 0 {
        movements.push(Movement { amount: -missing, ..classic.burned(Asset::Native, holder, 0) });
    }
    Ok(())
}
