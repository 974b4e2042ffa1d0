//! Liquidity pools (CAP-38): constant product, 30 basis points.

use orrery_schemas::Address;
use stellar_xdr::{
    ClaimAtom, ClaimLiquidityAtom, Hash, LiquidityPoolConstantProductParameters, LiquidityPoolDepositOp,
    LiquidityPoolDepositResult, LiquidityPoolEntry, LiquidityPoolEntryBody,
    LiquidityPoolEntryConstantProduct, LiquidityPoolParameters, LiquidityPoolWithdrawOp,
    LiquidityPoolWithdrawResult, OperationBody, OperationResultTr, PoolId, Price, TrustLineAsset,
    TrustLineFlags,
};

use super::{
    assets::{AssetIx, NATIVE},
    market::Deal,
    operation::{Executor, Performed},
    store::Ix,
    world::{AccountIx, World, trust_line},
    xdr::hash_of,
};

/// The only fee there is, in 1/10,000.
const FEE_BP: i64 = 30;
/// Reserve of the first asset at the start, for each unit of the second one's value.
const START_RESERVE: i64 = 1_000_000_000_000;
/// Members of each pool at the start.
const MEMBERS: usize = 6;

impl World {
    /// A pool with fair reserves and no members yet; `assets` in the order of a pool.
    pub(super) fn open_pool(&mut self, assets: [AssetIx; 2]) -> (Ix<LiquidityPoolEntry>, [u8; 32]) {
        let [first, second] = assets.map(|asset| self.assets.get(asset));
        let params = LiquidityPoolConstantProductParameters {
            asset_a: first.xdr.clone(),
            asset_b: second.xdr.clone(),
            fee: FEE_BP as i32,
        };
        let id = hash_of(&LiquidityPoolParameters::LiquidityPoolConstantProduct(params.clone())).0;
        let (reserve_a, reserve_b) = (START_RESERVE * second.value, START_RESERVE * first.value);
        let body = LiquidityPoolEntryBody::LiquidityPoolConstantProduct(LiquidityPoolEntryConstantProduct {
            params,
            reserve_a,
            reserve_b,
            total_pool_shares: (i128::from(reserve_a) * i128::from(reserve_b)).unsigned_abs().isqrt() as i64,
            pool_shares_trust_line_count: 0,
        });
        let entry = LiquidityPoolEntry { liquidity_pool_id: PoolId(Hash(id)), body };
        (self.store.create(entry, None), id)
    }

    /// Gives the shares of a new pool to some of its market's users and to the issuer of a credit in it.
    pub(super) fn open_members(&mut self, market: usize) {
        let Some(issuer) =
            self.markets[market].assets.iter().find_map(|&asset| self.assets.get(asset).issuer)
        else {
            return;
        };
        let users = self.markets[market].takers.iter().copied().take(MEMBERS);
        let with_issuer = self.markets[market].assets.contains(&NATIVE);
        let members: Vec<_> = users.chain(with_issuer.then_some(issuer)).collect();
        let total = self.pool(market).total_pool_shares;
        let count = members.len() as i64;
        for (number, &member) in members.iter().enumerate() {
            let rest = if number == 0 { total % count } else { 0 };
            self.open_share_line(member, market, total / count + rest);
        }
        self.markets[market].members = members;
    }

    pub(super) fn open_share_line(&mut self, who: AccountIx, market: usize, shares: i64) {
        let asset = TrustLineAsset::PoolShare(PoolId(Hash(self.markets[market].pool_id)));
        let flags = TrustLineFlags::AuthorizedFlag as u32;
        let line = self.store.create(trust_line(self.key(who), asset, shares, flags, self.protocol), None);
        self.store.edit(who).num_sub_entries += 2;
        self.pool_mut(market).pool_shares_trust_line_count += 1;
        self.shares.insert((who, market), line);
    }

    pub(super) fn pool(&self, market: usize) -> &LiquidityPoolEntryConstantProduct {
        let LiquidityPoolEntryBody::LiquidityPoolConstantProduct(pool) =
            &self.store.get(self.markets[market].pool).body;
        pool
    }

    pub(super) fn pool_mut(&mut self, market: usize) -> &mut LiquidityPoolEntryConstantProduct {
        let LiquidityPoolEntryBody::LiquidityPoolConstantProduct(pool) =
            &mut self.store.edit(self.markets[market].pool).body;
        pool
    }

    pub(super) fn reserves(&self, market: usize) -> [i64; 2] {
        let pool = self.pool(market);
        [pool.reserve_a, pool.reserve_b]
    }

    fn set_reserves(&mut self, market: usize, reserves: [i64; 2]) {
        let pool = self.pool_mut(market);
        [pool.reserve_a, pool.reserve_b] = reserves;
    }

    /// Adds to (or, negative, takes from) reserves and shares.
    pub(super) fn change_pool(&mut self, market: usize, amounts: [i64; 2], shares: i64) {
        let pool = self.pool_mut(market);
        pool.reserve_a += amounts[0];
        pool.reserve_b += amounts[1];
        pool.total_pool_shares += shares;
    }

    /// Exchanges with the pool. The taker's holdings are not changed, as in [`World::cross`].
    pub(super) fn swap(&mut self, deal: Deal) -> (Vec<ClaimAtom>, i64) {
        let Deal { market, side, pay } = deal;
        let mut reserves = self.reserves(market);
        let (bp, kept) = (10_000, i128::from(10_000 - FEE_BP));
        let (r_in, r_out) = (i128::from(reserves[1 - side]), i128::from(reserves[side]));
        let received = (kept * r_out * i128::from(pay) / (bp * r_in + kept * i128::from(pay))) as i64;
        reserves[1 - side] += pay;
        reserves[side] -= received;
        self.set_reserves(market, reserves);
        let assets = self.markets[market].assets;
        let atom = ClaimAtom::LiquidityPool(ClaimLiquidityAtom {
            liquidity_pool_id: PoolId(Hash(self.markets[market].pool_id)),
            asset_sold: self.assets.xdr(assets[side]),
            amount_sold: received,
            asset_bought: self.assets.xdr(assets[1 - side]),
            amount_bought: pay,
        });
        (vec![atom], received)
    }

    /// What so many shares are worth now, rounded down.
    pub(super) fn shares_worth(&self, market: usize, shares: i64) -> [i64; 2] {
        let total = i128::from(self.pool(market).total_pool_shares);
        self.reserves(market).map(|reserve| (i128::from(reserve) * i128::from(shares) / total) as i64)
    }

    pub(super) fn pooled_lumens(&self) -> i64 {
        let pools = (0..self.markets.len())
            .flat_map(|market| self.markets[market].assets.into_iter().zip(self.reserves(market)));
        pools.filter(|(asset, _)| *asset == NATIVE).map(|(_, reserve)| reserve).sum()
    }
}

impl Executor<'_> {
    pub(super) fn pool_deposit(&mut self) -> Performed {
        let market = self.random.index(self.world.markets.len());
        let member = self.random.pick(&self.world.markets[market].members);
        let total = self.world.pool(market).total_pool_shares;
        let shares = 1 + self.random.below((total / 100_000).max(1) as u64) as i64;
        self.deposit(market, member, shares)
    }

    /// Buys so many shares; what they cost is rounded up.
    pub(super) fn deposit(&mut self, market: usize, member: AccountIx, shares: i64) -> Performed {
        let assets = self.world.markets[market].assets;
        let total = i128::from(self.world.pool(market).total_pool_shares);
        let cost = |reserve: i64| (i128::from(reserve) * i128::from(shares)).div_euclid(total) as i64 + 1;
        let amounts = self.world.reserves(market).map(cost);
        let affordable = (0..2).all(|n| self.world.spendable(member, assets[n]) >= amounts[n]);
        let Some(&line) = self.world.shares.get(&(member, market)).filter(|_| affordable) else {
            return self.payment();
        };
        let source = self.source(member);
        self.world.change_pool(market, amounts, shares);
        self.world.store.edit(line).balance += shares;
        let (from, pool) = (self.address(member), Address::LiquidityPool(self.world.markets[market].pool_id));
        for (asset, amount) in assets.into_iter().zip(amounts) {
            self.world.add(member, asset, -amount);
            self.moved(asset, from, pool, amount);
        }
        let operation = LiquidityPoolDepositOp {
            liquidity_pool_id: PoolId(Hash(self.world.markets[market].pool_id)),
            max_amount_a: amounts[0] + self.random.between(0, 1000),
            max_amount_b: amounts[1] + self.random.between(0, 1000),
            min_price: Price { n: 1, d: 1_000_000 },
            max_price: Price { n: 1_000_000, d: 1 },
        };
        Performed {
            source: source.field,
            body: OperationBody::LiquidityPoolDeposit(operation),
            result: OperationResultTr::LiquidityPoolDeposit(LiquidityPoolDepositResult::Success),
        }
    }

    pub(super) fn pool_withdraw(&mut self) -> Performed {
        let market = self.random.index(self.world.markets.len());
        let member = self.random.pick(&self.world.markets[market].members);
        let Some(&line) = self.world.shares.get(&(member, market)) else { return self.payment() };
        let held = self.world.store.get(line).balance;
        // A single share is worth less than the smallest unit of one of the assets.
        let few = self.random.chance(1, 8);
        let wanted = if few { 1 } else { 1 + self.random.below(10_000_000_000) as i64 };
        if held < 8 {
            return self.deposit(market, member, 1_000_000);
        }
        let amount = wanted.min(held / 4);
        let amounts = self.world.shares_worth(market, amount);
        let assets = self.world.markets[market].assets;
        let source = self.source(member);
        self.world.change_pool(market, amounts.map(|amount| -amount), -amount);
        self.world.store.edit(line).balance -= amount;
        let (to, pool) = (self.address(member), Address::LiquidityPool(self.world.markets[market].pool_id));
        let label = self.label(source.mux);
        for (asset, amount) in assets.into_iter().zip(amounts) {
            self.world.add(member, asset, amount);
            self.moved_with_label(asset, pool, to, amount, label.clone());
        }
        let operation = LiquidityPoolWithdrawOp {
            liquidity_pool_id: PoolId(Hash(self.world.markets[market].pool_id)),
            amount,
            min_amount_a: 0,
            min_amount_b: 0,
        };
        Performed {
            source: source.field,
            body: OperationBody::LiquidityPoolWithdraw(operation),
            result: OperationResultTr::LiquidityPoolWithdraw(LiquidityPoolWithdrawResult::Success),
        }
    }
}
