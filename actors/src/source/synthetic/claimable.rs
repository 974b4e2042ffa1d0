//! Claimable balances: created, claimed, clawed back; and clawback from accounts.

use orrery_schemas::{Address, Kind};
use stellar_xdr::{
    AccountId, ClaimClaimableBalanceOp, ClaimClaimableBalanceResult, ClaimPredicate, ClaimableBalanceEntry,
    ClaimableBalanceEntryExt, ClaimableBalanceEntryExtensionV1, ClaimableBalanceEntryExtensionV1Ext,
    ClaimableBalanceFlags, ClaimableBalanceId, Claimant, ClaimantV0, ClawbackClaimableBalanceOp,
    ClawbackClaimableBalanceResult, ClawbackOp, ClawbackResult, CreateClaimableBalanceOp,
    CreateClaimableBalanceResult, Hash, HashIdPreimage, HashIdPreimageOperationId, OperationBody,
    OperationResultTr, SequenceNumber,
};

use super::{
    assets::{AssetIx, Assets, CREDITS, NATIVE},
    operation::{Executor, Performed},
    world::{AccountIx, Claimable},
    xdr::{account_id, hash_of, list, muxed},
};

/// Balances that may wait at once; the next operation claims one instead of creating another.
const CLAIMABLES_MAX: usize = 2000;
/// How many waiting balances are looked at for one that fits.
const TRIES: usize = 8;

/// A claimable balance to be opened.
pub(super) struct Opening {
    pub(super) id: [u8; 32],
    pub(super) asset: AssetIx,
    pub(super) amount: i64,
    pub(super) claimants: Vec<AccountIx>,
    pub(super) predicates: Vec<ClaimPredicate>,
    pub(super) sponsor: AccountIx,
}

impl Executor<'_> {
    pub(super) fn create_claimable_balance(&mut self) -> Performed {
        if self.world.claimables.len() >= CLAIMABLES_MAX {
            return self.claim_claimable_balance();
        }
        let (asset, from) = self.claimable_source();
        let amount = self.random.amount(self.world.spendable(from, asset) / 4).max(1);
        let mut claimants: Vec<AccountIx> = Vec::new();
        for _ in 0..1 + self.random.below(3) {
            let claimant = self.random.pick(&self.world.holders[usize::from(asset.0)]);
            if !claimants.contains(&claimant) {
                claimants.push(claimant);
            }
        }
        if let Some(issuer) = self.world.assets.get(asset).issuer.filter(|_| self.random.chance(1, 10)) {
            claimants.push(issuer);
        }
        let predicates: Vec<_> = claimants.iter().map(|_| self.predicate()).collect();
        let xdr_claimants = self.claimants(&claimants, &predicates);
        let id = hash_of(&HashIdPreimage::OpId(HashIdPreimageOperationId {
            source_account: account_id(self.tx.source_key),
            seq_num: SequenceNumber(self.tx.sequence_number),
            op_num: self.op_number,
        }));
        let source = self.source(from);
        self.world.add(from, asset, -amount);
        self.open_claimable(Opening { id: id.0, asset, amount, claimants, predicates, sponsor: from });
        let payer = self.address(from);
        self.moved(asset, payer, Address::ClaimableBalance(id.0), amount);
        let id = ClaimableBalanceId::ClaimableBalanceIdTypeV0(id);
        let operation =
            CreateClaimableBalanceOp { asset: self.asset(asset), amount, claimants: list(xdr_claimants) };
        Performed {
            source: source.field,
            body: OperationBody::CreateClaimableBalance(operation),
            result: OperationResultTr::CreateClaimableBalance(CreateClaimableBalanceResult::Success(id)),
        }
    }

    fn claimable_source(&mut self) -> (AssetIx, AccountIx) {
        let asset = AssetIx(1 + self.random.below(u64::from(CREDITS)) as u16);
        let holder = self.random.pick(&self.world.holders[usize::from(asset.0)]);
        let issuer = self.world.assets.get(asset).issuer.unwrap_or(holder);
        match self.random.below(10) {
            0..3 => (NATIVE, self.tx.source),
            3 => (asset, issuer),
            _ if self.world.spendable(holder, asset) < 100 => (asset, issuer),
            _ => (asset, holder),
        }
    }

    fn predicate(&mut self) -> ClaimPredicate {
        let future = self.tx.close_time as i64 + 1_000_000;
        match self.random.below(4) {
            0 => ClaimPredicate::BeforeAbsoluteTime(future),
            1 => ClaimPredicate::Not(Some(Box::new(ClaimPredicate::BeforeAbsoluteTime(1)))),
            _ => ClaimPredicate::Unconditional,
        }
    }

    fn claimants(&self, accounts: &[AccountIx], predicates: &[ClaimPredicate]) -> Vec<Claimant> {
        let claimant = |(&account, predicate): (&AccountIx, &ClaimPredicate)| {
            let destination = self.account_id(account);
            Claimant::ClaimantTypeV0(ClaimantV0 { destination, predicate: predicate.clone() })
        };
        accounts.iter().zip(predicates).map(claimant).collect()
    }

    /// Adds the entry; its sponsor pays one reserve for each claimant.
    pub(super) fn open_claimable(&mut self, opening: Opening) {
        let Opening { id, asset, amount, claimants, predicates, sponsor } = opening;
        let ext = match self.world.assets.get(asset).clawback {
            false => ClaimableBalanceEntryExt::V0,
            true => ClaimableBalanceEntryExt::V1(ClaimableBalanceEntryExtensionV1 {
                ext: ClaimableBalanceEntryExtensionV1Ext::V0,
                flags: ClaimableBalanceFlags::ClaimableBalanceClawbackEnabledFlag as u32,
            }),
        };
        let entry = ClaimableBalanceEntry {
            balance_id: balance_id(id),
            claimants: list(self.claimants(&claimants, &predicates)),
            asset: self.asset(asset),
            amount,
            ext,
        };
        let sponsor_id: AccountId = self.account_id(sponsor);
        let entry = self.world.store.create(entry, Some(sponsor_id));
        self.change_sponsoring(Some(sponsor), claimants.len() as i32);
        self.world.claimables.push(Claimable { entry, id, asset, claimants, sponsor });
    }

    /// Takes a waiting balance that `fits` out of the ledger; returns it with its amount.
    fn close_claimable(&mut self, fits: impl Fn(&Self, &Claimable) -> bool) -> Option<(Claimable, i64)> {
        for _ in 0..TRIES.min(self.world.claimables.len()) {
            let place = self.random.index(self.world.claimables.len());
            if fits(self, &self.world.claimables[place]) {
                let claimable = self.world.claimables.swap_remove(place);
                let amount = self.world.store.get(claimable.entry).amount;
                self.world.store.remove(claimable.entry);
                self.change_sponsoring(Some(claimable.sponsor), -(claimable.claimants.len() as i32));
                return Some((claimable, amount));
            }
        }
        None
    }

    pub(super) fn claim_claimable_balance(&mut self) -> Performed {
        let able = |executor: &Self, claimable: &Claimable| {
            claimable.claimants.iter().all(|&claimant| executor.world.can_hold(claimant, claimable.asset))
        };
        let Some((claimable, amount)) = self.close_claimable(able) else {
            return self.payment();
        };
        let claimant = self.random.pick(&claimable.claimants);
        let source = self.source(claimant);
        self.world.add(claimant, claimable.asset, amount);
        let label = self.label(source.mux);
        let payee = self.address(claimant);
        self.moved_with_label(claimable.asset, Address::ClaimableBalance(claimable.id), payee, amount, label);
        Performed {
            source: source.field,
            body: OperationBody::ClaimClaimableBalance(ClaimClaimableBalanceOp {
                balance_id: balance_id(claimable.id),
            }),
            result: OperationResultTr::ClaimClaimableBalance(ClaimClaimableBalanceResult::Success),
        }
    }

    pub(super) fn clawback_claimable_balance(&mut self) -> Performed {
        let flagged =
            |executor: &Self, claimable: &Claimable| executor.world.assets.get(claimable.asset).clawback;
        let Some((claimable, amount)) = self.close_claimable(flagged) else {
            return self.clawback();
        };
        let issuer = self.world.assets.get(claimable.asset).issuer.unwrap_or(self.tx.source);
        let source = self.source(issuer);
        self.removed(Kind::Clawback, claimable.asset, Address::ClaimableBalance(claimable.id), amount);
        Performed {
            source: source.field,
            body: OperationBody::ClawbackClaimableBalance(ClawbackClaimableBalanceOp {
                balance_id: balance_id(claimable.id),
            }),
            result: OperationResultTr::ClawbackClaimableBalance(ClawbackClaimableBalanceResult::Success),
        }
    }

    pub(super) fn clawback(&mut self) -> Performed {
        let able: Vec<AssetIx> = Assets::credits().filter(|&a| self.world.assets.get(a).clawback).collect();
        let asset = self.random.pick(&able);
        let holder = self.random.pick(&self.world.holders[usize::from(asset.0)]);
        let held = self.world.spendable(holder, asset);
        if held < 100 {
            return self.payment();
        }
        let issuer = self.world.assets.get(asset).issuer.unwrap_or(holder);
        let amount = self.random.amount(held / 4);
        let source = self.source(issuer);
        self.world.add(holder, asset, -amount);
        let from = self.address(holder);
        self.removed(Kind::Clawback, asset, from, amount);
        let mux = self.mux_id();
        let operation =
            ClawbackOp { asset: self.asset(asset), from: muxed(self.world.key(holder), mux), amount };
        Performed {
            source: source.field,
            body: OperationBody::Clawback(operation),
            result: OperationResultTr::Clawback(ClawbackResult::Success),
        }
    }
}

fn balance_id(id: [u8; 32]) -> ClaimableBalanceId {
    ClaimableBalanceId::ClaimableBalanceIdTypeV0(Hash(id))
}
