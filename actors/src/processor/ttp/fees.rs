//! What a transaction pays the network: one fee, and for contract calls perhaps a refund (rules 3.6).

use orrery_schemas::Address;

use super::contract_events;
use super::error::Fault;
use super::movement::{Classic, Movement};
use crate::ledger::changes::account_balances;
use crate::ledger::{Envelope, Network, TransactionView, for_each_transaction_event};

/// The fee events of one transaction.
pub(super) struct Fees {
    /// Taken before all transactions.
    pub(super) charge: Movement,
    /// A negative fee: paid back after the transaction (to protocol 22) or after all of them.
    pub(super) refund: Option<Movement>,
}

/// Fees from the result and the changes of the payer's balance. `fee_charged` is the result's, in stroops.
pub(super) fn derived(
    network: &Network,
    envelope: &Envelope<'_>,
    transaction: &TransactionView<'_>,
    fee_charged: i64,
) -> Result<Fees, Fault> {
    let classic = Classic { network };
    let payer = Address::Account(envelope.fee_source);
    if !envelope.transaction.is_soroban {
        return Ok(Fees { charge: classic.fee(payer, fee_charged), refund: None });
    }
    // The result's fee is net of the refund; the balances tell the two apart.
    let gain = |changes| balance_change(changes, &envelope.fee_source);
    let charged = -gain(transaction.fee_changes)?;
    let refunded = gain(transaction.meta.changes_after)? + gain(transaction.post_fee_changes)?;
    let fee = |amount: i128| Movement { amount, ..classic.fee(payer, 0) };
    Ok(Fees { charge: fee(charged), refund: (refunded > 0).then(|| fee(-refunded)) })
}

fn balance_change(changes: &[u8], account: &[u8; 32]) -> Result<i128, Fault> {
    let balances = account_balances(changes)?;
    let change = balances
        .get(account)
        .map_or(0, |value| i128::from(value.after.unwrap_or(0)) - i128::from(value.before.unwrap_or(0)));
    Ok(change)
}

/// Fees as stellar-core emitted them. `None`: the meta holds no fee event, so it holds no unified events at all.
pub(super) fn emitted(network: &Network, events: &[u8]) -> Result<Option<Fees>, Fault> {
    const BEFORE_ALL_TXS: i32 = 0;
    let mut charge = None;
    let mut refund = None;
    let mut count = 0;
    for_each_transaction_event(events, |stage, event| {
        let Some((payer, amount)) = contract_events::fee(network, &event)? else { return Ok(()) };
        let movement = Movement { amount, ..Classic { network }.fee(payer, 0) };
        count += 1;
        if stage == BEFORE_ALL_TXS {
            charge = Some(movement)
        } else {
            refund = Some(movement)
        }
        Ok::<_, Fault>(())
    })?;
    match (charge, refund, count) {
        (None, None, _) => Ok(None),
        (Some(charge), refund, 1 | 2) if count == 1 + usize::from(refund.is_some()) => {
            Ok(Some(Fees { charge, refund }))
        }
        _ => Err(Fault::FeeEventCount(count)),
    }
}
