//! Entry changes tell one consistent story over all ledgers.

use std::collections::BTreeMap;

use stellar_xdr::*;

use super::{ledgers, parts::Parts};

/// What the ledger holds as far as changes have told.
#[derive(Default)]
struct Replay {
    /// `None`: known to be absent.
    entries: BTreeMap<LedgerKey, Option<LedgerEntry>>,
    sequence: u32,
}

impl Replay {
    fn apply(&mut self, changes: &[LedgerEntryChange]) {
        let mut announced: Option<LedgerKey> = None;
        for change in changes {
            match change {
                LedgerEntryChange::State(entry) => {
                    let key = entry.to_key();
                    if let Some(known) = self.entries.get(&key) {
                        assert_eq!(known.as_ref(), Some(entry));
                    }
                    announced = Some(key);
                }
                LedgerEntryChange::Updated(entry) => {
                    assert_eq!(announced.take(), Some(entry.to_key()), "an update follows its state");
                    self.store(entry);
                }
                LedgerEntryChange::Removed(key) => {
                    assert_eq!(announced.take().as_ref(), Some(key), "a removal follows its state");
                    self.entries.insert(key.clone(), None);
                }
                LedgerEntryChange::Created(entry) | LedgerEntryChange::Restored(entry) => {
                    let known = self.entries.get(&entry.to_key());
                    assert!(known.is_none_or(Option::is_none), "created over an existing entry");
                    self.store(entry);
                }
            }
        }
        assert_eq!(announced, None, "a state without its change");
    }

    fn store(&mut self, entry: &LedgerEntry) {
        assert_eq!(entry.last_modified_ledger_seq, self.sequence);
        check_entry(entry);
        self.entries.insert(entry.to_key(), Some(entry.clone()));
    }
}

fn check_entry(entry: &LedgerEntry) {
    match &entry.data {
        LedgerEntryData::Account(account) => assert!(account.balance >= 0, "{account:?}"),
        LedgerEntryData::Trustline(line) => assert!(line.balance >= 0, "{line:?}"),
        LedgerEntryData::Offer(offer) => assert!(offer.amount > 0, "{offer:?}"),
        LedgerEntryData::ClaimableBalance(balance) => assert!(balance.amount > 0, "{balance:?}"),
        LedgerEntryData::LiquidityPool(pool) => {
            let LiquidityPoolEntryBody::LiquidityPoolConstantProduct(pool) = &pool.body;
            assert!(pool.reserve_a > 0 && pool.reserve_b > 0 && pool.total_pool_shares > 0, "{pool:?}");
        }
        _ => {}
    }
}

fn check(query: &str) {
    let mut replay = Replay::default();
    for ledger in ledgers(query) {
        let parts = Parts::of(&ledger.meta);
        for key in &parts.evicted {
            replay.entries.insert(key.clone(), None);
        }
        replay.sequence = parts.header.header.ledger_seq;
        for tx in &parts.transactions {
            replay.apply(&tx.changes.fee);
        }
        for tx in &parts.transactions {
            replay.apply(&tx.changes.before);
            for changes in &tx.changes.operations {
                replay.apply(changes);
            }
            replay.apply(&tx.changes.after);
        }
        for tx in &parts.transactions {
            replay.apply(&tx.changes.post);
        }
    }
    let live = replay.entries.values().flatten().count();
    assert!(live < 60_000, "{query}: {live} entries");
}

#[test]
fn entry_changes_follow_from_one_another() {
    for protocol in [5, 11, 13, 17, 19, 22, 23, 27] {
        check(&format!("ledgers=12&protocol={protocol}&events=none"));
    }
    check("ledgers=80&seed=3");
}

#[test]
fn lumens_are_neither_lost_nor_made() {
    let lumens = super::deltas::contract_of(&Asset::Native);
    for protocol in [7, 11, 14, 18, 22, 26] {
        let (mut coins, mut known) = (None, 0i128);
        for ledger in ledgers(&format!("ledgers=20&protocol={protocol}&events=none")) {
            let parts = Parts::of(&ledger.meta);
            let header = &parts.header.header;
            let mut change = 0;
            for tx in &parts.transactions {
                for (holder, delta) in super::deltas::entry_deltas(tx) {
                    if holder.1 == lumens {
                        change += delta;
                    }
                }
            }
            known += change;
            // What accounts lost is in the fee pool, but for the lumens that inflation made.
            let outside = i128::from(header.total_coins) - i128::from(header.fee_pool);
            let start = *coins.get_or_insert(outside - change);
            assert_eq!(outside, start + known, "protocol {protocol}, ledger {}", header.ledger_seq);
        }
    }
}
