//! Order books: resting offers, and operations that cross them or rest.

use stellar_xdr::{
    ClaimAtom, ClaimOfferAtom, ClaimOfferAtomV0, CreatePassiveSellOfferOp, LiquidityPoolEntry,
    ManageBuyOfferOp, ManageBuyOfferResult, ManageOfferSuccessResult, ManageOfferSuccessResultOffer,
    ManageSellOfferOp, ManageSellOfferResult, OfferEntry, OfferEntryExt, OperationBody, OperationResultTr,
    Price, Uint256,
};

use super::{
    assets::{AssetIx, Assets, CREDITS, NATIVE},
    operation::{Executor, Performed},
    store::Ix,
    world::{AccountIx, CREDIT_STEP, World},
    xdr::{account_id, list},
};

/// Offers that may rest on one side of a market; the next one is refused and an old one of the book is changed.
const BOOK_MAX: usize = 16;
/// Offers on each side at the start, and the least to which takers may empty it.
const BOOK_MIN: usize = 4;
/// What the last offer of each book sells at the start; its maker fills it up again. No trade ever exhausts it, so a
/// path payment can always be converted.
const DEEP_OFFER: i64 = 1_000_000_000_000_000;
/// Smallest amount that is traded, in 10^-7: after three conversions at any price something is left.
pub(super) const TRADE_MIN: i64 = 100_000;

/// An offer in a book.
#[derive(Clone, Copy)]
pub(super) struct Resting {
    pub(super) offer: Ix<OfferEntry>,
    pub(super) maker: AccountIx,
}

/// Two assets that are traded for each other, in books and in a pool.
#[derive(Clone)]
pub(super) struct Market {
    /// In the order of a pool: the smaller asset first.
    pub(super) assets: [AssetIx; 2],
    /// `books[n]`: offers that sell `assets[n]`, next to be taken first.
    pub(super) books: [Vec<Resting>; 2],
    /// Users that hold both.
    pub(super) takers: Vec<AccountIx>,
    pub(super) pool: Ix<LiquidityPoolEntry>,
    pub(super) pool_id: [u8; 32],
    /// Accounts with a pool share.
    pub(super) members: Vec<AccountIx>,
}

/// An exchange that a taker wants: gives `pay` for what is in the book of side `side`.
#[derive(Clone, Copy)]
pub(super) struct Deal {
    pub(super) market: usize,
    /// Which of the market's assets the taker receives.
    pub(super) side: usize,
    pub(super) pay: i64,
}

/// What came of it.
#[derive(Default)]
pub(super) struct Filled {
    pub(super) atoms: Vec<ClaimAtom>,
    pub(super) paid: i64,
    pub(super) received: i64,
}

impl World {
    /// Lumens against every credit, and each credit against the one five further.
    pub(super) fn open_markets(&mut self) {
        let with_lumens = Assets::credits().map(|asset| (NATIVE, asset));
        let crosses = (1..=CREDITS / 2).map(|n| (AssetIx(n), AssetIx((n - 1 + CREDIT_STEP) % CREDITS + 1)));
        for (first, second) in with_lumens.chain(crosses).collect::<Vec<_>>() {
            let mut assets = [first, second];
            assets.sort_by_key(|&asset| self.assets.get(asset).row);
            let holders = self.holders[usize::from(second.0)].iter().copied();
            let takers = holders.filter(|&who| first == NATIVE || self.trust.contains_key(&(who, first)));
            let takers: Vec<_> = takers.collect();
            let (pool, pool_id) = self.open_pool(assets);
            let books = [Vec::new(), Vec::new()];
            self.markets.push(Market { assets, books, takers, pool, pool_id, members: Vec::new() });
            self.open_members(self.markets.len() - 1);
            for side in 0..2 {
                let deep_maker = self.makers[self.markets.len() % self.makers.len()];
                self.rest(self.markets.len() - 1, side, deep_maker, DEEP_OFFER, 60, 0);
                for number in 0..BOOK_MIN * 2 {
                    let selling = assets[side];
                    // One offer in eight is the issuer's: what it sells is created, what it buys back destroyed.
                    let issuer = self.assets.get(selling).issuer.filter(|_| number == 1);
                    let maker = self.makers[(self.markets.len() * 7 + number) % self.makers.len()];
                    let maker = issuer.filter(|&who| self.can_trade(who, assets)).unwrap_or(maker);
                    let amount = 10_000_000_000 * (1 + number as i64 * 3);
                    self.rest(self.markets.len() - 1, side, maker, amount, 1 + number as i64 * 3, 0);
                }
            }
        }
    }

    fn can_trade(&self, who: AccountIx, assets: [AssetIx; 2]) -> bool {
        assets.iter().all(|&asset| self.can_hold(who, asset))
    }

    /// What one unit of the sold asset costs in the other, `spread` thousandths above the fair price.
    pub(super) fn price(&self, market: usize, side: usize, spread: i64) -> Price {
        let assets = self.markets[market].assets;
        let (selling, buying) = (self.assets.get(assets[side]), self.assets.get(assets[1 - side]));
        Price { n: (selling.value * (1000 + spread)) as i32, d: (buying.value * 1000) as i32 }
    }

    /// A new offer, the last of its book but for the deep one.
    pub(super) fn rest(
        &mut self,
        market: usize,
        side: usize,
        maker: AccountIx,
        amount: i64,
        spread: i64,
        flags: u32,
    ) -> OfferEntry {
        self.offer_id += 1;
        let assets = self.markets[market].assets;
        let entry = OfferEntry {
            seller_id: account_id(self.key(maker)),
            offer_id: self.offer_id,
            selling: self.assets.xdr(assets[side]),
            buying: self.assets.xdr(assets[1 - side]),
            amount,
            price: self.price(market, side, spread),
            flags,
            ext: OfferEntryExt::V0,
        };
        let offer = self.store.create(entry.clone(), None);
        self.store.edit(maker).num_sub_entries += 1;
        let book = &mut self.markets[market].books[side];
        book.insert(book.len().saturating_sub(1), Resting { offer, maker });
        entry
    }

    /// Takes an offer out of its book and out of the ledger.
    pub(super) fn withdraw_offer(&mut self, market: usize, side: usize, place: usize) {
        let Resting { offer, maker } = self.markets[market].books[side].remove(place);
        self.store.remove(offer);
        self.store.edit(maker).num_sub_entries -= 1;
    }

    /// Lets a taker's payment meet offers, at most `atoms_max` of them. The taker's own holdings are not changed:
    /// what passes through a path never reaches the sender's trust lines.
    pub(super) fn cross(&mut self, deal: Deal, taker: AccountIx, atoms_max: u64) -> Filled {
        let Deal { market, side, pay } = deal;
        let assets = self.markets[market].assets;
        let mut filled = Filled::default();
        let mut place = 0;
        while filled.paid < pay && (filled.atoms.len() as u64) < atoms_max {
            let Some(&Resting { offer, maker }) = self.markets[market].books[side].get(place) else { break };
            let entry = self.store.get(offer);
            let (n, d) = (i128::from(entry.price.n), i128::from(entry.price.d));
            let cost_of_all = ((i128::from(entry.amount) * n + d - 1) / d) as i64;
            let whole = cost_of_all <= pay - filled.paid;
            let bought = if whole { cost_of_all } else { pay - filled.paid };
            let sold = if whole { entry.amount } else { (i128::from(bought) * d / n) as i64 };
            let thin = whole && self.markets[market].books[side].len() <= BOOK_MIN;
            if maker == taker || thin || sold == 0 || self.spendable(maker, assets[side]) < sold {
                place += 1;
                continue;
            }
            filled.atoms.push(self.atom(offer, sold, bought));
            filled.paid += bought;
            filled.received += sold;
            if whole {
                self.withdraw_offer(market, side, place);
            } else {
                self.store.edit(offer).amount -= sold;
            }
            self.add(maker, assets[side], -sold);
            self.add(maker, assets[1 - side], bought);
        }
        filled
    }

    fn atom(&self, offer: Ix<OfferEntry>, amount_sold: i64, amount_bought: i64) -> ClaimAtom {
        let OfferEntry { seller_id, offer_id, selling, buying, .. } = self.store.get(offer).clone();
        let (asset_sold, asset_bought) = (selling, buying);
        if self.protocol < 18 {
            let seller_ed25519 = Uint256(super::xdr::key_of(&seller_id));
            return ClaimAtom::V0(ClaimOfferAtomV0 {
                seller_ed25519,
                offer_id,
                asset_sold,
                amount_sold,
                asset_bought,
                amount_bought,
            });
        }
        ClaimAtom::OrderBook(ClaimOfferAtom {
            seller_id,
            offer_id,
            asset_sold,
            amount_sold,
            asset_bought,
            amount_bought,
        })
    }
}

/// A trade as the three offer operations see it.
struct Trade {
    taker: AccountIx,
    deal: Deal,
    filled: Filled,
    price: Price,
    offer: ManageOfferSuccessResultOffer,
    /// What the taker offered in all, and the id of the offer that it changed.
    offered: i64,
    offer_id: i64,
}

impl Executor<'_> {
    pub(super) fn sell_offer(&mut self) -> Performed {
        let trade = if self.random.chance(1, 8) { self.change_offer() } else { self.trade(0) };
        let (selling, buying) = self.trade_assets(&trade);
        let source = self.source(trade.taker);
        let Trade { price, offered: amount, offer_id, filled, offer, .. } = trade;
        Performed {
            source: source.field,
            body: OperationBody::ManageSellOffer(ManageSellOfferOp {
                selling,
                buying,
                amount,
                price,
                offer_id,
            }),
            result: OperationResultTr::ManageSellOffer(ManageSellOfferResult::Success(
                ManageOfferSuccessResult { offers_claimed: list(filled.atoms), offer },
            )),
        }
    }

    pub(super) fn buy_offer(&mut self) -> Performed {
        let trade = self.trade(0);
        let (selling, buying) = self.trade_assets(&trade);
        let source = self.source(trade.taker);
        let Trade { price, offered, offer_id, filled, offer, .. } = trade;
        let buy_amount = filled.received.max(offered);
        let price = Price { n: price.d, d: price.n };
        let operation = ManageBuyOfferOp { selling, buying, buy_amount, price, offer_id };
        Performed {
            source: source.field,
            body: OperationBody::ManageBuyOffer(operation),
            result: OperationResultTr::ManageBuyOffer(ManageBuyOfferResult::Success(
                ManageOfferSuccessResult { offers_claimed: list(filled.atoms), offer },
            )),
        }
    }

    pub(super) fn passive_offer(&mut self) -> Performed {
        let trade = self.trade(1);
        let (selling, buying) = self.trade_assets(&trade);
        let source = self.source(trade.taker);
        let Trade { price, offered: amount, filled, offer, .. } = trade;
        let operation = CreatePassiveSellOfferOp { selling, buying, amount, price };
        let success = ManageOfferSuccessResult { offers_claimed: list(filled.atoms), offer };
        Performed {
            source: source.field,
            body: OperationBody::CreatePassiveSellOffer(operation),
            result: OperationResultTr::CreatePassiveSellOffer(ManageSellOfferResult::Success(success)),
        }
    }

    fn trade_assets(&self, trade: &Trade) -> (stellar_xdr::Asset, stellar_xdr::Asset) {
        let assets = self.world.markets[trade.deal.market].assets;
        (self.asset(assets[1 - trade.deal.side]), self.asset(assets[trade.deal.side]))
    }

    /// A taker's trade: crosses none to four offers, and rests what is left if the book has room.
    fn trade(&mut self, flags: u32) -> Trade {
        let market = self.random.index(self.world.markets.len());
        let side = self.random.index(2);
        let assets = self.world.markets[market].assets;
        let taker = self.taker(market);
        let pay_max = (self.world.spendable(taker, assets[1 - side]) / 8).max(1);
        let pay = (TRADE_MIN + self.random.amount(i64::MAX) * 20).min(pay_max);
        let deal = Deal { market, side, pay };
        let crossed = self.random.below(10);
        let atoms_max = [0, 0, 0, 0, 1, 1, 1, 2, 3, 4][crossed as usize];
        let filled = self.world.cross(deal, taker, atoms_max);
        self.world.add(taker, assets[1 - side], -filled.paid);
        self.world.add(taker, assets[side], filled.received);
        self.atoms_moved(taker, &filled.atoms);
        let rest = pay - filled.paid;
        let room = self.world.markets[market].books[1 - side].len() < BOOK_MAX;
        let offer = if rest > 0 && room && self.random.chance(3, 4) {
            let spread = self.random.between(1, 30);
            let offer = self.world.rest(market, 1 - side, taker, rest, spread, flags);
            ManageOfferSuccessResultOffer::Created(offer)
        } else {
            ManageOfferSuccessResultOffer::Deleted
        };
        let offered =
            if matches!(offer, ManageOfferSuccessResultOffer::Created(_)) { pay } else { filled.paid.max(1) };
        let price = self.world.price(market, 1 - side, 0);
        Trade { taker, deal, filled, price, offer, offered, offer_id: 0 }
    }

    /// Who trades: mostly a user that holds both assets, now and then the issuer of one of them.
    fn taker(&mut self, market: usize) -> AccountIx {
        let assets = self.world.markets[market].assets;
        let issuer = assets.iter().find_map(|&asset| self.world.assets.get(asset).issuer);
        let issuer = issuer.filter(|&who| self.world.can_trade(who, assets));
        match issuer {
            Some(issuer) if self.random.chance(1, 16) => issuer,
            _ => self.random.pick(&self.world.markets[market].takers),
        }
    }

    /// The owner of a resting offer changes its amount or takes it back.
    fn change_offer(&mut self) -> Trade {
        let market = self.random.index(self.world.markets.len());
        let side = self.random.index(2);
        let place = self.random.index(self.world.markets[market].books[side].len());
        let Some(&Resting { offer, maker }) = self.world.markets[market].books[side].get(place) else {
            return self.trade(0);
        };
        let OfferEntry { offer_id, amount, price, .. } = self.world.store.get(offer).clone();
        let book_length = self.world.markets[market].books[side].len();
        let (offered, result) = if book_length > BOOK_MIN && place + 1 < book_length {
            self.world.withdraw_offer(market, side, place);
            (0, ManageOfferSuccessResultOffer::Deleted)
        } else {
            let deep = place + 1 == book_length;
            let amount = if deep { DEEP_OFFER } else { (amount + TRADE_MIN * 1000).min(1_000_000_000_000) };
            self.world.store.edit(offer).amount = amount;
            (amount, ManageOfferSuccessResultOffer::Updated(self.world.store.get(offer).clone()))
        };
        let deal = Deal { market, side: 1 - side, pay: 0 };
        Trade { taker: maker, deal, filled: Filled::default(), price, offer: result, offered, offer_id }
    }

    /// Records both halves of each claim, in core's order: the taker pays, then receives.
    pub(super) fn atoms_moved(&mut self, taker: AccountIx, atoms: &[ClaimAtom]) {
        let taker = self.address(taker);
        for atom in atoms {
            let (other, sold, bought) = super::paths::sides(self.world, atom);
            self.moved(bought.0, taker, other, bought.1);
            self.moved(sold.0, other, taker, sold.1);
        }
    }
}
