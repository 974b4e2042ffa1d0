//! Path payments: a payment that is converted on its way, by offers and pools.

use orrery_schemas::Address;
use stellar_xdr::{
    Asset, ClaimAtom, OperationBody, OperationResultTr, PathPaymentStrictReceiveOp,
    PathPaymentStrictReceiveResult, PathPaymentStrictReceiveResultSuccess, PathPaymentStrictSendOp,
    PathPaymentStrictSendResult, PathPaymentStrictSendResultSuccess, SimplePaymentResult,
};

use super::{
    assets::{AssetIx, CREDITS, NATIVE},
    market::{Deal, TRADE_MIN},
    operation::{Executor, Performed},
    world::{AccountIx, World},
    xdr::{key_of, list, muxed},
};

/// A path payment that took place.
struct Sent {
    assets: Vec<AssetIx>,
    from: AccountIx,
    to: AccountIx,
    sent: i64,
    delivered: i64,
    atoms: Vec<ClaimAtom>,
}

impl Executor<'_> {
    /// `strict_send`: the sent amount is exact, else the delivered one.
    pub(super) fn path_payment(&mut self, strict_send: bool) -> Performed {
        let Sent { assets, from, to, sent, delivered, atoms } = self.send_along_path();
        let source = self.source(from);
        let mux = self.mux_id();
        let (sender, receiver) = (self.address(from), self.address(to));
        let dest = assets[assets.len() - 1];
        self.atoms_moved(from, &atoms);
        let label = self.label(mux);
        self.moved_with_label(dest, sender, receiver, delivered, label);
        let path: Vec<Asset> =
            assets.iter().skip(1).rev().skip(1).rev().map(|&asset| self.asset(asset)).collect();
        let destination = muxed(self.world.key(to), mux);
        let (send_asset, dest_asset) = (self.asset(assets[0]), self.asset(dest));
        let last = SimplePaymentResult {
            destination: self.account_id(to),
            asset: dest_asset.clone(),
            amount: delivered,
        };
        let (offers, path) = (list(atoms), list(path));
        let (body, result) = if strict_send {
            let send_amount = sent;
            let dest_min = delivered - self.random.between(0, delivered / 100);
            let op =
                PathPaymentStrictSendOp { send_asset, send_amount, destination, dest_asset, dest_min, path };
            let success = PathPaymentStrictSendResultSuccess { offers, last };
            let result = PathPaymentStrictSendResult::Success(success);
            (OperationBody::PathPaymentStrictSend(op), OperationResultTr::PathPaymentStrictSend(result))
        } else {
            let send_max = sent + self.random.between(0, sent / 100);
            let dest_amount = delivered;
            let op = PathPaymentStrictReceiveOp {
                send_asset,
                send_max,
                destination,
                dest_asset,
                dest_amount,
                path,
            };
            let success = PathPaymentStrictReceiveResultSuccess { offers, last };
            let result = PathPaymentStrictReceiveResult::Success(success);
            (OperationBody::PathPaymentStrictReceive(op), OperationResultTr::PathPaymentStrictReceive(result))
        };
        Performed { source: source.field, body, result }
    }

    fn send_along_path(&mut self) -> Sent {
        let assets = self.path();
        let (first, last) = (assets[0], assets[assets.len() - 1]);
        let from = self.holder_or_issuer(first);
        let to = if first == last && assets.len() > 1 { from } else { self.holder_or_issuer(last) };
        let sent_max = (self.world.spendable(from, first) / 8).max(1);
        let sent = (TRADE_MIN + self.random.amount(i64::MAX)).min(sent_max);
        let mut atoms = Vec::new();
        let mut amount = sent;
        self.world.add(from, first, -sent);
        for hop in assets.windows(2) {
            let (mut claimed, received) = self.convert(from, hop[0], hop[1], amount);
            atoms.append(&mut claimed);
            amount = received;
        }
        self.world.add(to, last, amount);
        Sent { assets, from, to, sent, delivered: amount, atoms }
    }

    /// One to four assets, each traded for the next.
    fn path(&mut self) -> Vec<AssetIx> {
        let mut credit = || AssetIx(1 + self.random.below(u64::from(CREDITS)) as u16);
        let (one, other) = (credit(), credit());
        match self.random.below(20) {
            0 => vec![one],
            1..5 => vec![NATIVE, one],
            5..9 => vec![one, NATIVE],
            9..12 => vec![NATIVE, one, NATIVE],
            12..14 => {
                let market = &self.world.markets[self.random.index(self.world.markets.len())];
                vec![market.assets[0], market.assets[1]]
            }
            14..16 => {
                let market = &self.world.markets[usize::from(CREDITS) + self.random.index(12)];
                vec![NATIVE, market.assets[0], market.assets[1], NATIVE]
            }
            _ if one == other => vec![one, NATIVE],
            _ => vec![one, NATIVE, other],
        }
    }

    fn holder_or_issuer(&mut self, asset: AssetIx) -> AccountIx {
        let Some(issuer) = self.world.assets.get(asset).issuer else { return self.tx.source };
        let holder = self.random.pick(&self.world.holders[usize::from(asset.0)]);
        let poor = self.world.spendable(holder, asset) < TRADE_MIN * 16;
        if poor || self.random.chance(1, 10) { issuer } else { holder }
    }

    /// Converts an amount in the market of two assets: by one offer if it can do it, else by the pool or,
    /// before there were pools, by as many offers as it takes.
    fn convert(
        &mut self,
        sender: AccountIx,
        pay: AssetIx,
        receive: AssetIx,
        amount: i64,
    ) -> (Vec<ClaimAtom>, i64) {
        let Some((market, side)) = self.world.market_of(pay, receive) else { return (Vec::new(), amount) };
        let deal = Deal { market, side, pay: amount };
        let pools = self.world.protocol >= 18;
        let by_pool = pools && self.random.chance(1, 2);
        if !by_pool && self.world.depth(deal, sender) {
            let filled = self.world.cross(deal, sender, u64::MAX);
            return (filled.atoms, filled.received);
        }
        if pools {
            return self.world.swap(deal);
        }
        let filled = self.world.cross(deal, sender, u64::MAX);
        (filled.atoms, filled.received)
    }
}

impl World {
    /// The market of two assets, and the side on which the second is sold.
    pub(super) fn market_of(&self, pay: AssetIx, receive: AssetIx) -> Option<(usize, usize)> {
        self.markets.iter().enumerate().find_map(|(number, market)| match market.assets {
            [first, second] if first == pay && second == receive => Some((number, 1)),
            [first, second] if first == receive && second == pay => Some((number, 0)),
            _ => None,
        })
    }

    /// Whether the first offer of the book that can be taken is enough for the whole deal.
    fn depth(&self, deal: Deal, taker: AccountIx) -> bool {
        let Deal { market, side, pay } = deal;
        let asset = self.markets[market].assets[side];
        let able = self.markets[market].books[side].iter().find(|resting| resting.maker != taker);
        able.is_some_and(|resting| {
            let entry = self.store.get(resting.offer);
            let cost = i128::from(entry.amount) * i128::from(entry.price.n) / i128::from(entry.price.d);
            cost > i128::from(pay) && self.spendable(resting.maker, asset) >= entry.amount
        })
    }

    fn asset_ix(&self, asset: &Asset) -> AssetIx {
        let all = (0..=CREDITS).map(AssetIx);
        all.into_iter().find(|&ix| self.assets.get(ix).xdr == *asset).unwrap_or(NATIVE)
    }
}

/// Who stood on the other side of a claim, what it sold and what it bought.
pub(super) fn sides(world: &World, atom: &ClaimAtom) -> (Address, (AssetIx, i64), (AssetIx, i64)) {
    let ix = |asset: &Asset| world.asset_ix(asset);
    match atom {
        ClaimAtom::V0(atom) => (
            Address::Account(atom.seller_ed25519.0),
            (ix(&atom.asset_sold), atom.amount_sold),
            (ix(&atom.asset_bought), atom.amount_bought),
        ),
        ClaimAtom::OrderBook(atom) => (
            Address::Account(key_of(&atom.seller_id)),
            (ix(&atom.asset_sold), atom.amount_sold),
            (ix(&atom.asset_bought), atom.amount_bought),
        ),
        ClaimAtom::LiquidityPool(atom) => (
            Address::LiquidityPool(atom.liquidity_pool_id.0.0),
            (ix(&atom.asset_sold), atom.amount_sold),
            (ix(&atom.asset_bought), atom.amount_bought),
        ),
    }
}
