//! Contracts: the asset contracts (SAC) with contract holders, and what else an invocation leaves in the ledger.

use std::collections::{BTreeMap, VecDeque};

use orrery_schemas::{Address, Kind, ToMuxed};
use stellar_xdr::{
    ContractDataDurability, ContractDataEntry, ContractEvent, ExtensionPoint, Int128Parts, LedgerKey, ScMap,
    ScNonceKey, ScVal, TtlEntry,
};

use super::{
    assets::{AssetIx, Assets, CREDITS, NATIVE},
    movement::{ContractEmission, Emission, Movement, between, contract_event, out_of, sc_address},
    operation::Executor,
    random::name32,
    store::Ix,
    tokens::{SLEEPERS, Sleeper, TOKENS, Token},
    world::{AccountIx, World},
    xdr::{contract_address, hash_of, i128_value, map, symbol, vector},
};

/// Contracts that hold assets: wallets, pools, vaults.
const WALLETS: usize = 40;
/// Smallest balance at which a holder still pays.
const PAY_MIN: i64 = 100;
/// Ledgers that a nonce lives.
const NONCE_LEDGERS: u32 = 100;

/// Every contract of the network.
#[derive(Clone, Default)]
pub(super) struct Contracts {
    wallets: Vec<[u8; 32]>,
    balances: BTreeMap<(usize, AssetIx), Ix<ContractDataEntry>>,
    pub(super) tokens: Vec<Token>,
    pub(super) sleepers: Vec<Sleeper>,
    /// Spent nonces, oldest first, with the ledger that evicts them.
    nonces: VecDeque<(Ix<ContractDataEntry>, Ix<TtlEntry>, u32)>,
}

/// A holder of an asset as its contract sees it.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Party {
    Account(AccountIx),
    Wallet(usize),
}

impl World {
    pub(super) fn open_contracts(&mut self) {
        self.contracts.wallets = (0..WALLETS).map(|n| name32(self.seed, "wallet", n as u64)).collect();
        for wallet in 0..WALLETS {
            for asset in
                [NATIVE, AssetIx(1 + (wallet as u16 % CREDITS)), AssetIx(1 + (wallet as u16 + 1) % CREDITS)]
            {
                self.change_wallet(wallet, asset, 1_000_000_000_000);
            }
        }
        self.contracts.tokens = (0..TOKENS).map(|number| Token::open(self, number)).collect();
        self.contracts.sleepers = (0..SLEEPERS).map(|number| Sleeper::open(self, number)).collect();
    }

    pub(super) fn contract_lumens(&self) -> i64 {
        let wallets = self.contracts.balances.iter().filter(|((_, asset), _)| *asset == NATIVE);
        wallets.map(|(_, &entry)| balance_amount(&self.store.get(entry).val) as i64).sum()
    }

    fn party_address(&self, party: Party) -> Address {
        match party {
            Party::Account(account) => self.address(account),
            Party::Wallet(wallet) => Address::Contract(self.contracts.wallets[wallet]),
        }
    }

    fn party_spendable(&self, party: Party, asset: AssetIx) -> i64 {
        match party {
            Party::Account(account) => self.spendable(account, asset),
            Party::Wallet(wallet) => {
                let entry = self.contracts.balances.get(&(wallet, asset));
                entry.map_or(0, |&entry| balance_amount(&self.store.get(entry).val) as i64)
            }
        }
    }

    fn change_party(&mut self, party: Party, asset: AssetIx, delta: i64) {
        match party {
            Party::Account(account) => self.add(account, asset, delta),
            Party::Wallet(wallet) => self.change_wallet(wallet, asset, delta),
        }
    }

    fn change_wallet(&mut self, wallet: usize, asset: AssetIx, delta: i64) {
        let facts = self.assets.get(asset);
        match self.contracts.balances.get(&(wallet, asset)) {
            Some(&entry) => {
                let amount = balance_amount(&self.store.get(entry).val) + i128::from(delta);
                self.store.edit(entry).val = balance_value(amount, facts.clawback);
            }
            None => {
                let holder = contract_address(self.contracts.wallets[wallet]);
                let key = vector(vec![symbol("Balance"), ScVal::Address(holder)]);
                let value = balance_value(i128::from(delta), facts.clawback);
                let entry = self.store.create(persistent(facts.contract, key, value), None);
                self.contracts.balances.insert((wallet, asset), entry);
            }
        }
    }

    /// Marks an authorization as used: a temporary entry that is evicted when it can no longer be valid.
    fn spend_nonce(&mut self, signer: Address, nonce: i64) {
        let live_until_ledger_seq = self.store.sequence + NONCE_LEDGERS;
        let data = ContractDataEntry {
            ext: ExtensionPoint::V0,
            contract: sc_address(signer),
            key: ScVal::LedgerKeyNonce(ScNonceKey { nonce }),
            durability: ContractDataDurability::Temporary,
            val: ScVal::Void,
        };
        let key_hash = hash_of(&LedgerKey::ContractData(data.to_key()));
        let data = self.store.create(data, None);
        let ttl = self.store.create(TtlEntry { key_hash, live_until_ledger_seq }, None);
        self.contracts.nonces.push_back((data, ttl, live_until_ledger_seq));
    }

    /// Evicts the nonces whose time is over; called between ledgers.
    pub(super) fn evict_nonces(&mut self) -> Vec<LedgerKey> {
        let mut evicted = Vec::new();
        while let Some(&(data, ttl, last)) = self.contracts.nonces.front() {
            if last >= self.store.sequence {
                break;
            }
            evicted.extend([self.store.evict(data), self.store.evict(ttl)]);
            self.contracts.nonces.pop_front();
        }
        evicted
    }
}

/// A contract data entry that can be archived but not lost.
pub(super) fn persistent(contract: [u8; 32], key: ScVal, val: ScVal) -> ContractDataEntry {
    let durability = ContractDataDurability::Persistent;
    ContractDataEntry { ext: ExtensionPoint::V0, contract: contract_address(contract), key, durability, val }
}

/// A contract's balance as the asset contract stores it.
fn balance_value(amount: i128, clawback: bool) -> ScVal {
    map(vec![
        ("amount", i128_value(amount)),
        ("authorized", ScVal::Bool(true)),
        ("clawback", ScVal::Bool(clawback)),
    ])
}

fn balance_amount(value: &ScVal) -> i128 {
    match value {
        ScVal::Map(Some(ScMap(entries))) => match entries.first().map(|entry| &entry.val) {
            Some(ScVal::I128(Int128Parts { hi, lo })) => i128::from(*hi) << 64 | i128::from(*lo),
            _ => 0,
        },
        _ => 0,
    }
}

/// An asset contract's call: which function, of which asset, with which arguments.
pub(super) struct Call {
    pub(super) contract: [u8; 32],
    pub(super) function: &'static str,
    pub(super) args: Vec<ScVal>,
}

impl Executor<'_> {
    /// One or more movements through asset contracts.
    pub(super) fn call_asset(&mut self) -> Call {
        let asset = if self.random.chance(1, 3) {
            NATIVE
        } else {
            AssetIx(1 + self.random.below(u64::from(CREDITS)) as u16)
        };
        let issuer = self.world.assets.get(asset).issuer.map(Party::Account);
        let (from, to) = (self.party(asset), self.party(asset));
        let poor = self.world.party_spendable(from, asset) < PAY_MIN;
        match (self.random.below(16), issuer) {
            (0, Some(issuer)) => self.sac_transfer(asset, issuer, to),
            (1, Some(issuer)) if !poor => self.sac_transfer(asset, from, issuer),
            (2 | 3, Some(_)) => self.sac_mint(asset, to),
            (_, Some(_)) if poor => self.sac_mint(asset, to),
            (4, Some(_)) => self.sac_burn(asset, from),
            (5 | 6, Some(_)) if self.world.assets.get(asset).clawback => self.sac_clawback(asset, from),
            (7, Some(_)) => self.sac_set_authorized(asset, from),
            (8, _) => self.sac_approve(asset, from, to),
            (10..13, _) => self.route(from, asset),
            (_, None) if poor => self.sac_transfer(asset, Party::Account(self.tx.source), to),
            _ => self.sac_transfer(asset, from, to),
        }
    }

    /// An account that holds the asset, or a wallet.
    fn party(&mut self, asset: AssetIx) -> Party {
        if self.random.chance(1, 2) {
            return Party::Wallet(self.random.index(WALLETS));
        }
        match asset {
            NATIVE => Party::Account(self.tx.source),
            _ => Party::Account(self.random.pick(&self.world.holders[usize::from(asset.0)])),
        }
    }

    fn sac_amount(&mut self, from: Party, asset: AssetIx) -> i64 {
        let limit = self.world.party_spendable(from, asset) / 4;
        self.random.amount(limit)
    }

    /// An account other than the source has signed for itself.
    fn authorize(&mut self, party: Party) {
        if let Party::Account(account) = party
            && account != self.tx.source
        {
            let nonce = (self.random.next() >> 1) as i64;
            let signer = self.world.address(account);
            self.world.spend_nonce(signer, nonce);
        }
    }

    fn sac_transfer(&mut self, asset: AssetIx, from: Party, to: Party) -> Call {
        let amount = self.sac_amount(from, asset);
        let mux =
            if matches!(to, Party::Account(_)) && self.world.protocol >= 23 { self.mux_id() } else { None };
        self.authorize(from);
        self.sac_move(asset, from, to, amount, mux);
        let (payer, payee) = (self.world.party_address(from), self.world.party_address(to));
        let payee = match (payee, mux) {
            (Address::Account(account), Some(id)) => Address::MuxedAccount { account, id },
            (payee, _) => payee,
        };
        self.sac_call(asset, "transfer", &[payer, payee], amount)
    }

    /// Moves tokens and emits what the asset contract emits: before protocol 23 always a transfer.
    fn sac_move(&mut self, asset: AssetIx, from: Party, to: Party, amount: i64, mux: Option<u64>) {
        self.world.change_party(from, asset, -amount);
        self.world.change_party(to, asset, amount);
        let (payer, payee) = (self.world.party_address(from), self.world.party_address(to));
        let movement =
            between(&self.world.assets, asset, payer, payee, amount).labelled(mux.map(ToMuxed::Id));
        let old_topics = vec![symbol("transfer"), address_value(payer), address_value(payee)];
        self.emit(asset, old_topics, movement);
    }

    /// Emits a movement in the form of the protocol; `old_topics` are those before protocol 23, less the asset.
    fn emit(&mut self, asset: AssetIx, old_topics: Vec<ScVal>, movement: Movement) {
        let backfilled = movement.event(&self.world.assets);
        let emitted = match self.world.protocol {
            ..23 => sac_event(&self.world.assets, asset, old_topics, i128_value(movement.amount)),
            _ => backfilled.clone(),
        };
        self.emit_event(ContractEmission { emitted, backfilled, movement: Some(movement) });
    }

    fn sac_mint(&mut self, asset: AssetIx, to: Party) -> Call {
        let amount = self.random.amount(i64::MAX);
        let Some(admin) = self.world.assets.get(asset).issuer else { return self.sac_approve(asset, to, to) };
        self.authorize(Party::Account(admin));
        self.world.change_party(to, asset, amount);
        let (admin, receiver) = (self.address(admin), self.world.party_address(to));
        let movement = between(&self.world.assets, asset, admin, receiver, amount);
        self.emit(asset, vec![symbol("mint"), address_value(admin), address_value(receiver)], movement);
        self.sac_call(asset, "mint", &[receiver], amount)
    }

    fn sac_burn(&mut self, asset: AssetIx, from: Party) -> Call {
        self.destroy(asset, from, Kind::Burn)
    }

    fn sac_clawback(&mut self, asset: AssetIx, from: Party) -> Call {
        self.destroy(asset, from, Kind::Clawback)
    }

    fn destroy(&mut self, asset: AssetIx, from: Party, kind: Kind) -> Call {
        let amount = self.sac_amount(from, asset);
        let issuer = self.world.assets.get(asset).issuer.unwrap_or(self.tx.source);
        self.authorize(if kind == Kind::Burn { from } else { Party::Account(issuer) });
        self.world.change_party(from, asset, -amount);
        let holder = self.world.party_address(from);
        let admin = (kind == Kind::Clawback).then(|| self.address(issuer));
        let movement = out_of(&self.world.assets, kind, asset, holder, amount);
        let mut old_topics = vec![symbol(kind.as_str())];
        old_topics.extend(admin.into_iter().chain([holder]).map(address_value));
        self.emit(asset, old_topics, movement);
        self.sac_call(asset, kind.as_str(), &[holder], amount)
    }

    /// An exchange by a router: the trader pays one asset into a wallet and receives another out of it.
    fn route(&mut self, trader: Party, asset: AssetIx) -> Call {
        let pool = Party::Wallet(self.random.index(WALLETS));
        let asset = if self.world.party_spendable(trader, asset) < PAY_MIN { NATIVE } else { asset };
        let trader = if asset == NATIVE { Party::Account(self.tx.source) } else { trader };
        let amount = self.sac_amount(trader, asset);
        self.authorize(trader);
        self.sac_move(asset, trader, pool, amount, None);
        let other = if asset == NATIVE { AssetIx(1) } else { NATIVE };
        let back = self.sac_amount(pool, other);
        let able = match trader {
            Party::Account(account) => self.world.can_hold(account, other),
            Party::Wallet(_) => true,
        };
        if able && self.world.party_spendable(pool, other) >= PAY_MIN {
            self.sac_move(other, pool, trader, back, None);
        }
        let router = name32(self.world.seed, "router", 0);
        let pair = self.world.party_address(pool);
        let topics = vec![symbol("SoroswapPair"), symbol("swap"), address_value(pair)];
        let data =
            map(vec![("amount_in", i128_value(amount.into())), ("amount_out", i128_value(back.into()))]);
        self.emit_ignored(contract_event(router, topics, data));
        let payer = self.world.party_address(trader);
        Call {
            contract: router,
            function: "swap",
            args: vec![address_value(payer), i128_value(amount.into())],
        }
    }

    fn sac_approve(&mut self, asset: AssetIx, from: Party, to: Party) -> Call {
        let (owner, spender) = (self.world.party_address(from), self.world.party_address(to));
        let topics = vec![symbol("approve"), address_value(owner), address_value(spender)];
        let data = vector(vec![i128_value(1_000_000), ScVal::U32(self.world.store.sequence + 1000)]);
        let event = sac_event(&self.world.assets, asset, topics, data);
        self.emit_ignored(event);
        self.sac_call(asset, "approve", &[owner, spender], 1_000_000)
    }

    fn sac_set_authorized(&mut self, asset: AssetIx, holder: Party) -> Call {
        let holder = self.world.party_address(holder);
        let admin = self.world.assets.get(asset).issuer_key.map(Address::Account);
        let topics = |admin: Option<Address>| {
            let addresses = admin.into_iter().chain([holder]).map(address_value);
            [symbol("set_authorized")].into_iter().chain(addresses).collect::<Vec<_>>()
        };
        let event = |admin| sac_event(&self.world.assets, asset, topics(admin), ScVal::Bool(true));
        let backfilled = event(None);
        let emitted = if self.world.protocol < 23 { event(admin) } else { backfilled.clone() };
        self.emit_event(ContractEmission { emitted, backfilled, movement: None });
        let contract = self.world.assets.get(asset).contract;
        Call { contract, function: "set_authorized", args: vec![address_value(holder), ScVal::Bool(true)] }
    }

    pub(super) fn emit_event(&mut self, event: ContractEmission) {
        self.emitted.push(Emission::Contract(Box::new(event)));
    }

    /// An event that no token-transfer processor may take for a movement.
    pub(super) fn emit_ignored(&mut self, event: ContractEvent) {
        self.emit_event(ContractEmission { emitted: event.clone(), backfilled: event, movement: None });
    }

    fn sac_call(&self, asset: AssetIx, function: &'static str, holders: &[Address], amount: i64) -> Call {
        let mut args: Vec<_> = holders.iter().copied().map(address_value).collect();
        args.push(i128_value(amount.into()));
        Call { contract: self.world.assets.get(asset).contract, function, args }
    }
}

/// An event of an asset contract: its last topic names the asset.
fn sac_event(assets: &Assets, asset: AssetIx, mut topics: Vec<ScVal>, data: ScVal) -> ContractEvent {
    let facts = assets.get(asset);
    topics.push(facts.sep11_value());
    contract_event(facts.contract, topics, data)
}

pub(super) fn address_value(address: Address) -> ScVal {
    ScVal::Address(sc_address(address))
}
