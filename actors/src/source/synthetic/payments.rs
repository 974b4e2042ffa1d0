//! Lumens and credits given from one account to another.

use orrery_schemas::{Address, Kind};
use stellar_xdr::{
    AccountMergeResult, CreateAccountOp, CreateAccountResult, InflationPayout, InflationResult,
    OperationBody, OperationResultTr, PaymentOp, PaymentResult,
};

use super::{
    assets::{AssetIx, CREDITS, NATIVE},
    movement::{Emission, Movement},
    operation::{Executor, Performed},
    world::{AccountIx, Transient, account, sponsorship_mut},
    xdr::{account_id, key_of, list, muxed},
};

/// Accounts that may exist beside the fixed population; the next operation merges one instead of creating another.
const TRANSIENTS_MAX: usize = 400;

/// Who pays whom: asset, payer, payee.
struct Parties {
    asset: AssetIx,
    from: AccountIx,
    to: AccountIx,
}

impl Executor<'_> {
    pub(super) fn payment(&mut self) -> Performed {
        let Parties { asset, from, to } = self.parties();
        let amount = self.random.amount(self.world.spendable(from, asset) / 4).max(1);
        let source = self.source(from);
        let mux = self.mux_id();
        self.world.add(from, asset, -amount);
        self.world.add(to, asset, amount);
        let (payer, payee) = (self.address(from), self.address(to));
        let label = self.label(mux);
        self.moved_with_label(asset, payer, payee, amount, label);
        self.miscount(from);
        let destination = muxed(self.world.key(to), mux);
        Performed {
            source: source.field,
            body: OperationBody::Payment(PaymentOp { destination, asset: self.asset(asset), amount }),
            result: OperationResultTr::Payment(PaymentResult::Success),
        }
    }

    /// Before protocol 8, faults of the network made or destroyed lumens of a payment's source now and then. What no
    /// transfer explains is a mint before all else that happened, or a burn after it.
    fn miscount(&mut self, source: AccountIx) {
        if self.world.protocol >= 8 || !self.random.chance(1, 20) {
            return;
        }
        let change = self.random.between(1, 1_000_000) * self.random.pick(&[1, -1]);
        self.world.add(source, NATIVE, change);
        self.world.total_coins += change;
        let holder = self.address(source);
        if change > 0 {
            let minted = self.minted(holder, change);
            self.emitted.insert(0, minted);
        } else {
            self.removed(Kind::Burn, NATIVE, holder, -change);
        }
    }

    /// Lumens that appear from nowhere.
    fn minted(&self, to: Address, amount: i64) -> Emission {
        let contract = self.world.assets.get(NATIVE).contract;
        let (kind, asset, amount) = (Kind::Mint, Some(NATIVE), i128::from(amount));
        Emission::Classic(Movement {
            kind,
            contract,
            asset,
            from: None,
            to: Some(to),
            amount,
            to_muxed: None,
        })
    }

    fn parties(&mut self) -> Parties {
        let asset = AssetIx(1 + self.random.below(u64::from(CREDITS)) as u16);
        let from = self.random.pick(&self.world.holders[usize::from(asset.0)]);
        let to = self.random.pick(&self.world.holders[usize::from(asset.0)]);
        let issuer = self.world.assets.get(asset).issuer.unwrap_or(from);
        match self.random.below(100) {
            0..40 => {
                let to = self.random.pick(&self.world.users);
                Parties { asset: NATIVE, from: self.tx.source, to }
            }
            40..50 => Parties { asset, from: issuer, to },
            50..58 => Parties { asset, from, to: issuer },
            58..60 => Parties { asset, from: issuer, to: issuer },
            60..63 => Parties { asset, from, to: from },
            _ if self.world.spendable(from, asset) < 100 => Parties { asset, from: issuer, to },
            _ => Parties { asset, from, to },
        }
    }

    pub(super) fn create_account(&mut self) -> Performed {
        if self.world.transients.len() >= TRANSIENTS_MAX {
            return self.account_merge();
        }
        let key = self.world.next_key();
        let balance = 20_000_000 + self.random.amount(i64::MAX);
        let source = self.source(self.tx.source);
        self.add_account(key, balance, None)(source.field)
    }

    /// Gives a new account its balance; returns what completes the operation with its source.
    pub(super) fn add_account(
        &mut self,
        key: [u8; 32],
        balance: i64,
        sponsor: Option<AccountIx>,
    ) -> impl FnOnce(Option<stellar_xdr::MuxedAccount>) -> Performed + use<> {
        let mut entry = account(key, balance, self.world.protocol, 1);
        entry.seq_num.0 = i64::from(self.world.store.sequence) << 32;
        if let (Some(counters), Some(_)) = (sponsorship_mut(&mut entry), sponsor) {
            counters.num_sponsored = 2;
        }
        let sponsor_id = sponsor.map(|sponsor| self.account_id(sponsor));
        self.world.add(self.tx.source, NATIVE, -balance);
        let new = self.world.store.create(entry, sponsor_id);
        self.change_sponsoring(sponsor, 2);
        self.world.transients.push(Transient { account: new, sponsor });
        let payer = self.address(self.tx.source);
        let label = self.label(None);
        self.moved_with_label(NATIVE, payer, Address::Account(key), balance, label);
        let operation = CreateAccountOp { destination: account_id(key), starting_balance: balance };
        |source| Performed {
            source,
            body: OperationBody::CreateAccount(operation),
            result: OperationResultTr::CreateAccount(CreateAccountResult::Success),
        }
    }

    pub(super) fn account_merge(&mut self) -> Performed {
        if self.world.transients.is_empty() {
            return self.create_account();
        }
        let place = self.random.index(self.world.transients.len());
        let Transient { account: merged, sponsor } = self.world.transients.swap_remove(place);
        let to = self.random.pick(&self.world.users);
        let balance = self.world.store.get(merged).balance;
        let source = self.source(merged);
        let mux = self.mux_id();
        let (payer, payee) = (self.address(merged), self.address(to));
        self.world.add(to, NATIVE, balance);
        self.change_sponsoring(sponsor, -2);
        self.world.store.remove(merged);
        let label = self.label(mux);
        self.moved_with_label(NATIVE, payer, payee, balance, label);
        Performed {
            source: source.field,
            body: OperationBody::AccountMerge(muxed(self.world.key(to), mux)),
            result: OperationResultTr::AccountMerge(AccountMergeResult::Success(balance)),
        }
    }

    /// Changes how many entries an account sponsors.
    pub(super) fn change_sponsoring(&mut self, sponsor: Option<AccountIx>, change: i32) {
        if let Some(sponsor) = sponsor
            && let Some(counters) = sponsorship_mut(self.world.store.edit(sponsor))
        {
            counters.num_sponsoring = counters.num_sponsoring.saturating_add_signed(change);
        }
    }

    /// Until protocol 11 anyone could have the network pay out new lumens to the accounts with most votes.
    pub(super) fn inflation(&mut self) -> Performed {
        let source = self.source(self.tx.source);
        let mut payouts = Vec::new();
        for _ in 0..self.random.below(4) {
            let winner = self.random.pick(&self.world.users);
            let amount = self.random.amount(i64::MAX);
            self.world.add(winner, NATIVE, amount);
            self.world.total_coins += amount;
            payouts.push((winner, amount));
        }
        for &(winner, amount) in &payouts {
            let minted = self.minted(self.address(winner), amount);
            self.emitted.push(minted);
        }
        let payouts = payouts.into_iter().map(|(winner, amount)| InflationPayout {
            destination: account_id(key_of(&self.world.store.get(winner).account_id)),
            amount,
        });
        Performed {
            source: source.field,
            body: OperationBody::Inflation,
            result: OperationResultTr::Inflation(InflationResult::Success(list(payouts.collect()))),
        }
    }
}
