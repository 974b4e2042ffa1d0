//! Trust lines: opened and closed, authorized and revoked; a revoked line takes its owner's pool shares apart (CAP-38).

use orrery_schemas::{Address, Kind};
use stellar_xdr::{
    AllowTrustOp, AllowTrustResult, ChangeTrustAsset, ChangeTrustOp, ChangeTrustResult, ClaimPredicate, Hash,
    HashIdPreimage, HashIdPreimageRevokeId, LiquidityPoolConstantProductParameters, LiquidityPoolParameters,
    OperationBody, OperationResultTr, PoolId, SequenceNumber, SetTrustLineFlagsOp, SetTrustLineFlagsResult,
    TrustLineFlags,
};

use super::{
    assets::{AssetIx, CREDITS, NATIVE},
    claimable::Opening,
    movement::Emission,
    operation::{Executor, Performed},
    random::name32,
    world::{AccountIx, World, account},
    xdr::{account_id, hash_of},
};

/// Ordinary accounts that are authorized and revoked in turn.
const TRIALS: usize = 16;
/// Issuers that are so on the line of someone else's credit, while they share in a pool of their own.
const ISSUER_TRIALS: usize = 4;
/// What each of them holds of each asset at the start.
const TRIAL_CREDITS: i64 = 1_000_000_000_000_000;
/// Lines that users may have opened lately; the next operation closes one instead.
const LOOSE_MAX: usize = 300;

/// An account whose line of `asset` is authorized, used in pools and revoked, again and again.
#[derive(Clone)]
pub(super) struct Trial {
    pub(super) account: AccountIx,
    asset: AssetIx,
    /// Pools that it may join, all with `asset`, in the order of their ids: the order in which a revoke takes them.
    markets: Vec<usize>,
    authorized: bool,
}

impl World {
    pub(super) fn open_trials(&mut self) {
        let crosses = usize::from(CREDITS);
        for number in 0..TRIALS {
            let key = name32(self.seed, "trial", number as u64);
            let entry = account(key, TRIAL_CREDITS, self.protocol, number as u64);
            let trial = self.store.create(entry, None);
            let cross = crosses + number % 12;
            let asset = self.cross_assets(cross).0;
            let with_lumens = usize::from(asset.0) - 1;
            let markets = match number % 3 {
                0 => vec![with_lumens],
                1 => vec![cross],
                _ => vec![with_lumens, cross],
            };
            self.open_trial(trial, asset, markets);
        }
        for number in 0..ISSUER_TRIALS {
            let cross = crosses + 5 + number;
            let (cheap, dear) = self.cross_assets(cross);
            // A single share is worth something of the cheaper asset only: once that is the revoked one, once not.
            let (asset, other) = if number % 2 == 0 { (cheap, dear) } else { (dear, cheap) };
            if let Some(issuer) = self.assets.get(other).issuer {
                self.open_trial(issuer, asset, vec![cross]);
            }
        }
    }

    /// Of a market of two credits, the one with the smaller number and the other.
    fn cross_assets(&self, market: usize) -> (AssetIx, AssetIx) {
        let [first, second] = self.markets[market].assets;
        (first.min(second), first.max(second))
    }

    fn open_trial(&mut self, account: AccountIx, asset: AssetIx, mut markets: Vec<usize>) {
        markets.sort_by_key(|&market| self.markets[market].pool_id);
        let assets = markets.iter().flat_map(|&market| self.markets[market].assets).collect::<Vec<_>>();
        for held in assets {
            if held != NATIVE && !self.is_issuer(account, held) && !self.trust.contains_key(&(account, held))
            {
                self.open_line(account, held, TRIAL_CREDITS);
            }
        }
        self.trials.push(Trial { account, asset, markets, authorized: true });
    }
}

impl Executor<'_> {
    pub(super) fn allow_trust(&mut self) -> Performed {
        let number = self.random.index(self.world.trials.len());
        if let Some(other) = self.advance_trial(number) {
            return other;
        }
        let authorize = !self.world.trials[number].authorized;
        let Trial { account, asset, .. } = self.world.trials[number];
        let source = self.set_authorized(number, authorize);
        let operation = AllowTrustOp {
            trustor: self.account_id(account),
            asset: self.world.assets.get(asset).allow_trust_code(),
            authorize: u32::from(authorize),
        };
        Performed {
            source,
            body: OperationBody::AllowTrust(operation),
            result: OperationResultTr::AllowTrust(AllowTrustResult::Success),
        }
    }

    pub(super) fn set_trust_line_flags(&mut self) -> Performed {
        let number = self.random.index(self.world.trials.len());
        if let Some(other) = self.advance_trial(number) {
            return other;
        }
        let authorize = !self.world.trials[number].authorized;
        let Trial { account, asset, .. } = self.world.trials[number];
        let source = self.set_authorized(number, authorize);
        let flag = TrustLineFlags::AuthorizedFlag as u32;
        let (set_flags, clear_flags) = if authorize { (flag, 0) } else { (0, flag) };
        let trustor = self.account_id(account);
        let operation = SetTrustLineFlagsOp { trustor, asset: self.asset(asset), clear_flags, set_flags };
        Performed {
            source,
            body: OperationBody::SetTrustLineFlags(operation),
            result: OperationResultTr::SetTrustLineFlags(SetTrustLineFlagsResult::Success),
        }
    }

    /// On the way to a revoke that has something to take apart: joins a pool, then pays into it.
    fn advance_trial(&mut self, number: usize) -> Option<Performed> {
        let trial = &self.world.trials[number];
        if !trial.authorized || self.world.protocol < 18 || self.random.chance(1, 8) {
            return None;
        }
        let account = trial.account;
        let markets = trial.markets.clone();
        let missing = markets.iter().find(|&&market| !self.world.shares.contains_key(&(account, market)));
        if let Some(&market) = missing {
            return Some(self.open_shares(account, market));
        }
        let empty = markets.into_iter().find(|&market| {
            let line = self.world.shares.get(&(account, market));
            line.is_some_and(|&line| self.world.store.get(line).balance == 0)
        });
        // One share is worth nothing of one of the assets; some hundred thousand are worth something of both.
        let shares = if self.random.chance(1, 3) { 1 } else { self.random.between(100_000, 10_000_000) };
        empty.map(|market| self.deposit(market, account, shares))
    }

    fn open_shares(&mut self, account: AccountIx, market: usize) -> Performed {
        let source = self.source(account);
        self.world.open_share_line(account, market, 0);
        let [asset_a, asset_b] = self.world.markets[market].assets.map(|asset| self.asset(asset));
        let params = LiquidityPoolConstantProductParameters { asset_a, asset_b, fee: 30 };
        let line = ChangeTrustAsset::PoolShare(LiquidityPoolParameters::LiquidityPoolConstantProduct(params));
        Performed {
            source: source.field,
            body: OperationBody::ChangeTrust(ChangeTrustOp { line, limit: i64::MAX }),
            result: OperationResultTr::ChangeTrust(ChangeTrustResult::Success),
        }
    }

    /// What both operations do; returns the operation's source field, the issuer.
    fn set_authorized(&mut self, number: usize, authorized: bool) -> Option<stellar_xdr::MuxedAccount> {
        let Trial { account, asset, .. } = self.world.trials[number];
        let issuer = self.world.assets.get(asset).issuer.unwrap_or(self.tx.source);
        let source = self.source(issuer);
        if let Some(&line) = self.world.trust.get(&(account, asset)) {
            let flag = TrustLineFlags::AuthorizedFlag as u32;
            let flags = &mut self.world.store.edit(line).flags;
            *flags = if authorized { *flags | flag } else { *flags & !flag };
        }
        if !authorized {
            for market in self.world.trials[number].markets.clone() {
                self.take_apart(account, market);
            }
        }
        self.world.trials[number].authorized = authorized;
        let trustor = self.world.key(account);
        self.emitted.push(Emission::SetAuthorized { asset, trustor, authorized });
        source.field
    }

    /// Redeems a revoked account's pool shares into claimable balances, or into nothing where it issues the asset.
    fn take_apart(&mut self, account: AccountIx, market: usize) {
        let Some(line) = self.world.shares.remove(&(account, market)) else { return };
        let shares = self.world.store.get(line).balance;
        self.world.store.remove(line);
        self.world.store.edit(account).num_sub_entries -= 2;
        self.world.pool_mut(market).pool_shares_trust_line_count -= 1;
        if shares == 0 {
            return;
        }
        let amounts = self.world.shares_worth(market, shares);
        self.world.change_pool(market, amounts.map(|amount| -amount), -shares);
        let pool_id = self.world.markets[market].pool_id;
        let pool = Address::LiquidityPool(pool_id);
        for (asset, amount) in self.world.markets[market].assets.into_iter().zip(amounts) {
            if amount == 0 {
                continue;
            }
            if self.world.is_issuer(account, asset) {
                self.removed(Kind::Burn, asset, pool, amount);
                continue;
            }
            let id = self.revoke_id(pool_id, asset);
            let (claimants, predicates) = (vec![account], vec![ClaimPredicate::Unconditional]);
            self.open_claimable(Opening { id, asset, amount, claimants, predicates, sponsor: account });
            self.moved(asset, pool, Address::ClaimableBalance(id), amount);
        }
    }

    fn revoke_id(&self, pool_id: [u8; 32], asset: AssetIx) -> [u8; 32] {
        hash_of(&HashIdPreimage::PoolRevokeOpId(HashIdPreimageRevokeId {
            source_account: account_id(self.tx.source_key),
            seq_num: SequenceNumber(self.tx.sequence_number),
            op_num: self.op_number,
            liquidity_pool_id: PoolId(Hash(pool_id)),
            asset: self.asset(asset),
        }))
        .0
    }

    /// A user opens a line of a credit new to it, or closes one that was never used.
    pub(super) fn change_trust(&mut self) -> Performed {
        let user = self.tx.source;
        let asset = AssetIx(1 + self.random.below(u64::from(CREDITS)) as u16);
        let full = self.world.loose.len() >= LOOSE_MAX;
        let (account, asset, limit) = if full || self.world.trust.contains_key(&(user, asset)) {
            let place = self.random.index(self.world.loose.len());
            if self.world.loose.is_empty() {
                return self.set_options();
            }
            let (account, asset) = self.world.loose.swap_remove(place);
            if let Some(line) = self.world.trust.get(&(account, asset)).copied() {
                if self.world.store.get(line).balance != 0 {
                    // Somebody was paid in it after all: such a line cannot be closed, and stays.
                    return self.set_options();
                }
                self.world.trust.remove(&(account, asset));
                self.world.store.remove(line);
                self.world.store.edit(account).num_sub_entries -= 1;
            }
            (account, asset, 0)
        } else {
            self.world.open_line(user, asset, 0);
            self.world.loose.push((user, asset));
            (user, asset, i64::MAX)
        };
        let source = self.source(account);
        let line = self.world.assets.get(asset).change_trust_asset();
        Performed {
            source: source.field,
            body: OperationBody::ChangeTrust(ChangeTrustOp { line, limit }),
            result: OperationResultTr::ChangeTrust(ChangeTrustResult::Success),
        }
    }
}
