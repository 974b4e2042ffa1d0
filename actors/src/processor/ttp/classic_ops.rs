//! Derived mode: the movements of a successful classic operation, read from its body, its result and its entry
//! changes (rules 3.2). Path payments and offers move through the operation's source, one claim atom after another.

use orrery_schemas::{Address, OpType, ToMuxed};
use stellar_xdr::{
    AccountMergeResult, ClaimAtom, CreateClaimableBalanceResult, InflationResult, ManageBuyOfferResult,
    ManageSellOfferResult, OperationBody, OperationResult, OperationResultTr, PathPaymentStrictReceiveResult,
    PathPaymentStrictSendResult, Uint256,
};

use super::error::Fault;
use super::movement::{Classic, Movement, to_muxed};
use super::{pools, xdr};
use crate::ledger::{Memo, MuxedAccount, Network, OperationParts, TransactionParts, changes};

/// Everything an operation's rule may read.
#[derive(Clone, Copy)]
pub(super) struct Operation<'a> {
    pub(super) network: &'a Network,
    pub(super) transaction: &'a TransactionParts<'a>,
    pub(super) parts: &'a OperationParts<'a>,
    /// 0-based.
    pub(super) index: usize,
    pub(super) op_type: OpType,
    pub(super) result: &'a OperationResult,
    /// `LedgerEntryChanges`.
    pub(super) changes: &'a [u8],
}

impl<'a> Operation<'a> {
    /// The account that the operation runs for.
    pub(super) fn source(&self) -> [u8; 32] {
        self.muxed_source().account
    }

    /// What tells the source, where it is the receiver, who it received for.
    pub(super) fn source_to_muxed(&self) -> Option<ToMuxed> {
        to_muxed(self.muxed_source().id, self.transaction.memo)
    }

    fn muxed_source(&self) -> MuxedAccount {
        self.parts.source.unwrap_or(self.transaction.source)
    }

    pub(super) fn classic(&self) -> Classic<'a> {
        Classic { network: self.network }
    }

    fn memo(&self) -> Memo<'a> {
        self.transaction.memo
    }

    fn failed(&self) -> Fault {
        Fault::FailedOperation { operation: self.op_type.as_str() }
    }
}

/// The movements of one operation, in canonical order; none for kinds that move no tokens.
pub(super) fn movements(operation: &Operation<'_>) -> Result<Vec<Movement>, Fault> {
    if !moves_tokens(operation.op_type) {
        return Ok(Vec::new());
    }
    let OperationResult::OpInner(result) = operation.result else { return Err(operation.failed()) };
    let body: OperationBody = xdr::decode("OperationBody", operation.parts.body)?;
    let source = Address::Account(operation.source());
    let classic = operation.classic();
    match (&body, result) {
        (OperationBody::CreateAccount(op), OperationResultTr::CreateAccount(_)) => {
            let to = Address::Account(xdr::account(&op.destination));
            let attached = to_muxed(None, operation.memo());
            Ok(vec![classic.moved(orrery_schemas::Asset::Native, source, to, op.starting_balance, attached)])
        }
        (OperationBody::Payment(op), OperationResultTr::Payment(_)) => {
            Ok(vec![paid(operation, &op.asset, &op.destination, op.amount)])
        }
        (OperationBody::AccountMerge(to), OperationResultTr::AccountMerge(result)) => Ok(match result {
            AccountMergeResult::Success(balance) => {
                vec![paid(operation, &stellar_xdr::Asset::Native, to, *balance)]
            }
            _ => Vec::new(),
        }),
        (OperationBody::PathPaymentStrictSend(op), OperationResultTr::PathPaymentStrictSend(result)) => {
            let PathPaymentStrictSendResult::Success(success) = result else {
                return Err(operation.failed());
            };
            let mut movements = claimed(operation, &success.offers);
            movements.push(paid(operation, &op.dest_asset, &op.destination, success.last.amount));
            Ok(movements)
        }
        (
            OperationBody::PathPaymentStrictReceive(op),
            OperationResultTr::PathPaymentStrictReceive(PathPaymentStrictReceiveResult::Success(success)),
        ) => {
            let mut movements = claimed(operation, &success.offers);
            movements.push(paid(operation, &op.dest_asset, &op.destination, op.dest_amount));
            Ok(movements)
        }
        (
            _,
            OperationResultTr::ManageSellOffer(ManageSellOfferResult::Success(success))
            | OperationResultTr::CreatePassiveSellOffer(ManageSellOfferResult::Success(success))
            | OperationResultTr::ManageBuyOffer(ManageBuyOfferResult::Success(success)),
        ) => Ok(claimed(operation, &success.offers_claimed)),
        (
            OperationBody::CreateClaimableBalance(_)
            | OperationBody::ClaimClaimableBalance(_)
            | OperationBody::ClawbackClaimableBalance(_),
            _,
        ) => through_claimable_balance(operation, &body, result),
        (OperationBody::Clawback(op), _) => {
            let (from, _) = xdr::muxed_account(&op.from);
            Ok(vec![classic.clawed_back(xdr::asset(&op.asset), Address::Account(from), op.amount)])
        }
        (OperationBody::AllowTrust(op), _) => pools::revoked(operation, xdr::account(&op.trustor)),
        (OperationBody::SetTrustLineFlags(op), _) => pools::revoked(operation, xdr::account(&op.trustor)),
        (OperationBody::LiquidityPoolDeposit(_), _) => pools::deposited(operation),
        (OperationBody::LiquidityPoolWithdraw(_), _) => pools::withdrawn(operation),
        (OperationBody::Inflation, OperationResultTr::Inflation(InflationResult::Success(payouts))) => {
            let native = orrery_schemas::Asset::Native;
            let to = |id| Address::Account(xdr::account(id));
            Ok(payouts.iter().map(|p| classic.minted(native, to(&p.destination), p.amount)).collect())
        }
        _ => Err(operation.failed()),
    }
}

/// Into a claimable balance, out of it, or destroyed in it.
fn through_claimable_balance(
    operation: &Operation<'_>,
    body: &OperationBody,
    result: &OperationResultTr,
) -> Result<Vec<Movement>, Fault> {
    let source = Address::Account(operation.source());
    let classic = operation.classic();
    match (body, result) {
        (
            OperationBody::CreateClaimableBalance(op),
            OperationResultTr::CreateClaimableBalance(CreateClaimableBalanceResult::Success(id)),
        ) => {
            let to = Address::ClaimableBalance(xdr::claimable_balance(id));
            Ok(vec![classic.moved(xdr::asset(&op.asset), source, to, op.amount, None)])
        }
        (OperationBody::ClaimClaimableBalance(op), _) => {
            let id = xdr::claimable_balance(&op.balance_id);
            let balance = removed_claimable_balance(operation, &id)?;
            let from = Address::ClaimableBalance(id);
            let attached = operation.source_to_muxed();
            Ok(vec![classic.moved(balance.asset, from, source, balance.amount, attached)])
        }
        (OperationBody::ClawbackClaimableBalance(op), _) => {
            let id = xdr::claimable_balance(&op.balance_id);
            let from = Address::ClaimableBalance(id);
            let balance = removed_claimable_balance(operation, &id)?;
            Ok(vec![classic.clawed_back(balance.asset, from, balance.amount)])
        }
        _ => Err(operation.failed()),
    }
}

/// Whether the kind has a rule; the others change settings only, or are contract calls.
pub(super) fn moves_tokens(op_type: OpType) -> bool {
    match op_type {
        OpType::CreateAccount
        | OpType::Payment
        | OpType::PathPaymentStrictReceive
        | OpType::ManageSellOffer
        | OpType::CreatePassiveSellOffer
        | OpType::AllowTrust
        | OpType::AccountMerge
        | OpType::Inflation
        | OpType::ManageBuyOffer
        | OpType::PathPaymentStrictSend
        | OpType::CreateClaimableBalance
        | OpType::ClaimClaimableBalance
        | OpType::Clawback
        | OpType::ClawbackClaimableBalance
        | OpType::SetTrustLineFlags
        | OpType::LiquidityPoolDeposit
        | OpType::LiquidityPoolWithdraw => true,
        OpType::SetOptions
        | OpType::ChangeTrust
        | OpType::ManageData
        | OpType::BumpSequence
        | OpType::BeginSponsoringFutureReserves
        | OpType::EndSponsoringFutureReserves
        | OpType::RevokeSponsorship
        | OpType::InvokeHostFunction
        | OpType::ExtendFootprintTtl
        | OpType::RestoreFootprint => false,
    }
}

/// The operation's source pays an account.
fn paid(
    operation: &Operation<'_>,
    asset: &stellar_xdr::Asset,
    to: &stellar_xdr::MuxedAccount,
    amount: i64,
) -> Movement {
    let (to, mux_id) = xdr::muxed_account(to);
    let source = Address::Account(operation.source());
    let attached = to_muxed(mux_id, operation.memo());
    operation.classic().moved(xdr::asset(asset), source, Address::Account(to), amount, attached)
}

/// Two movements a claim atom, in stellar-core's order: what the source gives, then what the seller gives.
fn claimed(operation: &Operation<'_>, atoms: &[ClaimAtom]) -> Vec<Movement> {
    let source = Address::Account(operation.source());
    let classic = operation.classic();
    let pair = |atom: &ClaimAtom| {
        let (seller, sold, amount_sold, bought, amount_bought) = match atom {
            ClaimAtom::V0(a) => {
                let Uint256(seller) = a.seller_ed25519;
                (Address::Account(seller), &a.asset_sold, a.amount_sold, &a.asset_bought, a.amount_bought)
            }
            ClaimAtom::OrderBook(a) => {
                let seller = Address::Account(xdr::account(&a.seller_id));
                (seller, &a.asset_sold, a.amount_sold, &a.asset_bought, a.amount_bought)
            }
            ClaimAtom::LiquidityPool(a) => {
                let pool = Address::LiquidityPool(a.liquidity_pool_id.0.0);
                (pool, &a.asset_sold, a.amount_sold, &a.asset_bought, a.amount_bought)
            }
        };
        [
            classic.moved(xdr::asset(bought), source, seller, amount_bought, None),
            classic.moved(xdr::asset(sold), seller, source, amount_sold, None),
        ]
    };
    atoms.iter().flat_map(pair).collect()
}

/// The one claimable balance that a claim or a clawback removes: the one that it names.
fn removed_claimable_balance(
    operation: &Operation<'_>,
    id: &[u8; 32],
) -> Result<changes::ClaimableBalance, Fault> {
    let balances = changes::claimable_balances(operation.changes)?;
    let removed = balances.iter().filter(|(_, value)| value.after.is_none());
    let mut removed = removed.filter_map(|(id, value)| Some((id, value.before?)));
    match (removed.next(), removed.count()) {
        (Some((removed_id, balance)), 0) if removed_id == id => Ok(balance),
        (first, more) => Err(Fault::EntryChanges {
            operation: operation.op_type.as_str(),
            change: "removed",
            entry: "claimable balance of its own",
            found: usize::from(first.is_some_and(|(removed_id, _)| removed_id == id)) + more,
            expected: 1,
        }),
    }
}
