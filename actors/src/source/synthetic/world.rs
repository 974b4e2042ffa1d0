//! The simulated network: who exists, who holds what, and the few rules that keep it consistent.
//!
//! The population is fixed but for accounts that are created and merged again, so memory does not grow with the number
//! of ledgers. Liabilities of offers are not simulated: an offer whose maker cannot pay any more is passed over.

use std::collections::BTreeMap;

use orrery_schemas::Address;
use stellar_xdr::{
    AccountEntry, AccountEntryExt, AccountEntryExtensionV1, AccountEntryExtensionV1Ext,
    AccountEntryExtensionV2, AccountEntryExtensionV2Ext, AccountEntryExtensionV3, AccountFlags,
    ClaimableBalanceEntry, DataEntry, ExtensionPoint, Liabilities, SequenceNumber, Signer, SignerKey,
    SponsorshipDescriptor, String32, Thresholds, TimePoint, TrustLineAsset, TrustLineEntry,
    TrustLineEntryExt, TrustLineEntryV1, TrustLineEntryV1Ext, TrustLineFlags, Uint256,
};

use super::{
    assets::{AssetIx, Assets, CREDITS, ISSUERS, NATIVE},
    contracts::Contracts,
    market::Market,
    random::name32,
    store::{Ix, Store},
    trust::Trial,
    xdr::{account_id, key_of, list, string},
};

/// Accounts that send most transactions: more than a dense ledger has, so that each sends at most one in a ledger.
const USERS: u64 = 2400;
/// Accounts that pay the fees of others' transactions.
const PAYERS: u64 = 12;
/// Accounts that stand behind most offers.
const MAKERS: u64 = 40;
/// Lumens of each account at the start, in stroops: fees and payments of a million ledgers do not use them up.
const START_LUMENS: i64 = 100_000_000_000_000;
/// Credits on each trust line at the start.
const START_CREDITS: i64 = 10_000_000_000_000;
/// What no payment takes from an account: its reserve and room for fees.
const RESERVE: i64 = 1_000_000_000;
/// Of the credits, every fifth is on the same user's lines, which makes pairs (n, n + 5) good markets.
pub(super) const CREDIT_STEP: u16 = 5;

pub(super) type AccountIx = Ix<AccountEntry>;

/// An account that was created by a transaction and waits to be merged.
#[derive(Clone)]
pub(super) struct Transient {
    pub(super) account: AccountIx,
    pub(super) sponsor: Option<AccountIx>,
}

/// A claimable balance that waits to be claimed or clawed back.
#[derive(Clone)]
pub(super) struct Claimable {
    pub(super) entry: Ix<ClaimableBalanceEntry>,
    pub(super) id: [u8; 32],
    pub(super) asset: AssetIx,
    pub(super) claimants: Vec<AccountIx>,
    pub(super) sponsor: AccountIx,
}

/// Everything that exists.
#[derive(Clone)]
pub(super) struct World {
    pub(super) protocol: u32,
    pub(super) store: Store,
    pub(super) assets: Assets,
    pub(super) issuers: Vec<AccountIx>,
    pub(super) users: Vec<AccountIx>,
    pub(super) payers: Vec<AccountIx>,
    pub(super) makers: Vec<AccountIx>,
    /// Accounts with an authorized line of the credit that lasts for ever, by asset; for lumens, all users.
    pub(super) holders: Vec<Vec<AccountIx>>,
    pub(super) trust: BTreeMap<(AccountIx, AssetIx), Ix<TrustLineEntry>>,
    /// Lines that users opened lately and will close again.
    pub(super) loose: Vec<(AccountIx, AssetIx)>,
    /// Pool share lines, by market.
    pub(super) shares: BTreeMap<(AccountIx, usize), Ix<TrustLineEntry>>,
    pub(super) markets: Vec<Market>,
    pub(super) trials: Vec<Trial>,
    pub(super) claimables: Vec<Claimable>,
    pub(super) transients: Vec<Transient>,
    pub(super) data: BTreeMap<AccountIx, Ix<DataEntry>>,
    pub(super) contracts: Contracts,
    pub(super) accounts_made: u64,
    pub(super) offer_id: i64,
    pub(super) total_coins: i64,
    pub(super) fee_pool: i64,
    pub(super) seed: u64,
}

impl World {
    /// The world as ledger 1 left it.
    pub(super) fn genesis(seed: u64, protocol: u32, network_id: [u8; 32]) -> Self {
        let mut store = Store::default();
        store.sequence = 1;
        let mut named = |domain: &str, count: u64| -> Vec<(AccountIx, [u8; 32])> {
            (0..count)
                .map(|number| {
                    let key = name32(seed, domain, number);
                    let entry = account(key, START_LUMENS, protocol, number);
                    (store.create(entry, None), key)
                })
                .collect()
        };
        let issuers = named("issuer", u64::from(ISSUERS));
        let users = named("user", USERS);
        let payers = named("payer", PAYERS);
        let makers = named("maker", MAKERS);
        let assets = Assets::new(&issuers, network_id, protocol);
        let ix = |accounts: &[(AccountIx, [u8; 32])]| accounts.iter().map(|&(ix, _)| ix).collect::<Vec<_>>();
        let mut world = Self {
            protocol,
            store,
            assets,
            issuers: ix(&issuers),
            users: ix(&users),
            payers: ix(&payers),
            makers: ix(&makers),
            holders: vec![Vec::new(); usize::from(CREDITS) + 1],
            trust: BTreeMap::new(),
            loose: Vec::new(),
            shares: BTreeMap::new(),
            markets: Vec::new(),
            trials: Vec::new(),
            claimables: Vec::new(),
            transients: Vec::new(),
            data: BTreeMap::new(),
            contracts: Contracts::default(),
            accounts_made: 0,
            offer_id: 0,
            total_coins: 0,
            fee_pool: 0,
            seed,
        };
        for maker in world.makers.clone() {
            world.store.edit(maker).balance = START_LUMENS * 100;
        }
        world.set_issuer_flags();
        world.open_lines();
        world.open_markets();
        world.open_trials();
        world.open_contracts();
        world.store.recording = true;
        world.total_coins = world.lumens_held();
        world
    }

    fn set_issuer_flags(&mut self) {
        for (number, &issuer) in self.issuers.iter().enumerate() {
            let mut flags = AccountFlags::RequiredFlag as u32 | AccountFlags::RevocableFlag as u32;
            if self.assets.get(AssetIx(number as u16 + 1)).clawback {
                flags |= AccountFlags::ClawbackEnabledFlag as u32;
            }
            self.store.edit(issuer).flags = flags;
        }
    }

    fn open_lines(&mut self) {
        self.holders[0] = self.users.clone();
        for (number, user) in self.users.clone().into_iter().enumerate() {
            for step in 0..4 {
                let asset = AssetIx((number as u16 + step * CREDIT_STEP) % CREDITS + 1);
                self.open_line(user, asset, START_CREDITS);
                self.holders[usize::from(asset.0)].push(user);
            }
        }
        for maker in self.makers.clone() {
            for asset in Assets::credits() {
                self.open_line(maker, asset, START_CREDITS * 1000);
            }
        }
    }

    /// A new authorized trust line.
    pub(super) fn open_line(&mut self, who: AccountIx, asset: AssetIx, balance: i64) -> Ix<TrustLineEntry> {
        let facts = self.assets.get(asset);
        let mut flags = TrustLineFlags::AuthorizedFlag as u32;
        if facts.clawback {
            flags |= TrustLineFlags::TrustlineClawbackEnabledFlag as u32;
        }
        let entry = trust_line(self.key(who), facts.trust_line_asset(), balance, flags, self.protocol);
        let line = self.store.create(entry, None);
        self.store.edit(who).num_sub_entries += 1;
        self.trust.insert((who, asset), line);
        line
    }

    pub(super) fn key(&self, who: AccountIx) -> [u8; 32] {
        key_of(&self.store.get(who).account_id)
    }

    pub(super) fn address(&self, who: AccountIx) -> Address {
        Address::Account(self.key(who))
    }

    pub(super) fn is_issuer(&self, who: AccountIx, asset: AssetIx) -> bool {
        self.assets.get(asset).issuer == Some(who)
    }

    /// What the account can give away of an asset now.
    pub(super) fn spendable(&self, who: AccountIx, asset: AssetIx) -> i64 {
        if self.is_issuer(who, asset) {
            START_CREDITS
        } else if asset == NATIVE {
            (self.store.get(who).balance - RESERVE).max(0)
        } else {
            self.trust.get(&(who, asset)).map_or(0, |&line| self.store.get(line).balance)
        }
    }

    /// Whether the account may receive the asset: it has an authorized line, or needs none.
    pub(super) fn can_hold(&self, who: AccountIx, asset: AssetIx) -> bool {
        let authorized = |line: &Ix<TrustLineEntry>| self.store.get(*line).flags & 1 == 1;
        asset == NATIVE || self.is_issuer(who, asset) || self.trust.get(&(who, asset)).is_some_and(authorized)
    }

    /// Changes what an account holds; an issuer's own credits are not a holding.
    pub(super) fn add(&mut self, who: AccountIx, asset: AssetIx, delta: i64) {
        if asset == NATIVE {
            self.store.edit(who).balance += delta;
        } else if let Some(&line) = self.trust.get(&(who, asset)) {
            self.store.edit(line).balance += delta;
        } else {
            debug_assert!(self.is_issuer(who, asset), "no line to hold the credit");
        }
    }

    /// A key for an account that does not exist yet.
    pub(super) fn next_key(&mut self) -> [u8; 32] {
        self.accounts_made += 1;
        name32(self.seed, "transient", self.accounts_made)
    }

    fn lumens_held(&self) -> i64 {
        let accounts = [&self.issuers, &self.users, &self.payers, &self.makers];
        let trials = self.trials.iter().filter(|trial| !self.issuers.contains(&trial.account));
        let held: i64 = accounts.into_iter().flatten().map(|&ix| self.store.get(ix).balance).sum();
        let tried: i64 = trials.map(|trial| self.store.get(trial.account).balance).sum();
        held + tried + self.pooled_lumens() + self.contract_lumens()
    }
}

/// An account as its protocol wrote it; every third has a second signer, as custodial accounts do.
pub(super) fn account(key: [u8; 32], balance: i64, protocol: u32, number: u64) -> AccountEntry {
    let signers = match number % 3 {
        0 => vec![Signer { key: SignerKey::Ed25519(Uint256(name32(number, "signer", 0))), weight: 1 }],
        _ => Vec::new(),
    };
    AccountEntry {
        account_id: account_id(key),
        balance,
        seq_num: SequenceNumber((1 << 32) + number as i64),
        num_sub_entries: signers.len() as u32,
        inflation_dest: None,
        flags: 0,
        home_domain: String32(string(b"")),
        thresholds: Thresholds([1, 0, 0, 0]),
        ext: account_ext(protocol, signers.len()),
        signers: list(signers),
    }
}

fn account_ext(protocol: u32, signers: usize) -> AccountEntryExt {
    if protocol < 10 {
        return AccountEntryExt::V0;
    }
    let v3 = AccountEntryExtensionV3 { ext: ExtensionPoint::V0, seq_ledger: 0, seq_time: TimePoint(0) };
    let v2 = AccountEntryExtensionV2 {
        num_sponsored: 0,
        num_sponsoring: 0,
        signer_sponsoring_i_ds: list(vec![SponsorshipDescriptor(None); signers]),
        ext: if protocol < 19 { AccountEntryExtensionV2Ext::V0 } else { AccountEntryExtensionV2Ext::V3(v3) },
    };
    AccountEntryExt::V1(AccountEntryExtensionV1 {
        liabilities: Liabilities { buying: 0, selling: 0 },
        ext: if protocol < 14 { AccountEntryExtensionV1Ext::V0 } else { AccountEntryExtensionV1Ext::V2(v2) },
    })
}

/// The sponsorship counters, where the protocol has them.
pub(super) fn sponsorship_mut(entry: &mut AccountEntry) -> Option<&mut AccountEntryExtensionV2> {
    match &mut entry.ext {
        AccountEntryExt::V1(AccountEntryExtensionV1 { ext: AccountEntryExtensionV1Ext::V2(v2), .. }) => {
            Some(v2)
        }
        _ => None,
    }
}

pub(super) fn trust_line(
    key: [u8; 32],
    asset: TrustLineAsset,
    balance: i64,
    flags: u32,
    protocol: u32,
) -> TrustLineEntry {
    let v1 =
        TrustLineEntryV1 { liabilities: Liabilities { buying: 0, selling: 0 }, ext: TrustLineEntryV1Ext::V0 };
    TrustLineEntry {
        account_id: account_id(key),
        asset,
        balance,
        limit: i64::MAX,
        flags,
        ext: if protocol < 10 { TrustLineEntryExt::V0 } else { TrustLineEntryExt::V1(v1) },
    }
}
