//! Operations that move no tokens: options, data, sequence numbers and sponsorship.

use stellar_xdr::{
    BeginSponsoringFutureReservesOp, BeginSponsoringFutureReservesResult, BumpSequenceOp, BumpSequenceResult,
    DataEntry, DataEntryExt, DataValue, EndSponsoringFutureReservesResult, LedgerKey, LedgerKeyAccount,
    ManageDataOp, ManageDataResult, OperationBody, OperationResultTr, RevokeSponsorshipOp,
    RevokeSponsorshipResult, SequenceNumber, SetOptionsOp, SetOptionsResult, String32, String64,
};

use super::{
    operation::{Executor, Performed},
    world::sponsorship_mut,
    xdr::{account_id, muxed, string},
};

/// Accounts that may have a data entry at once.
const DATA_ENTRIES_MAX: usize = 500;

impl Executor<'_> {
    pub(super) fn set_options(&mut self) -> Performed {
        let account = self.someone();
        let source = self.source(account);
        let home_domain = String32(string(format!("d{}.example", self.random.below(1000)).as_bytes()));
        self.world.store.edit(account).home_domain = home_domain.clone();
        let operation = SetOptionsOp {
            inflation_dest: None,
            clear_flags: None,
            set_flags: None,
            master_weight: None,
            low_threshold: None,
            med_threshold: None,
            high_threshold: None,
            home_domain: Some(home_domain),
            signer: None,
        };
        Performed {
            source: source.field,
            body: OperationBody::SetOptions(operation),
            result: OperationResultTr::SetOptions(SetOptionsResult::Success),
        }
    }

    /// Creates, changes or removes the one data entry of an account.
    pub(super) fn manage_data(&mut self) -> Performed {
        let full = self.world.data.len() >= DATA_ENTRIES_MAX;
        let oldest = self.world.data.keys().next().copied().filter(|_| full);
        let account = oldest.unwrap_or(self.tx.source);
        let source = self.source(account);
        let data_name = String64(string(b"synthetic"));
        let mut bytes = [0; 64];
        self.random.fill(&mut bytes);
        let value = DataValue(bytes.to_vec().try_into().unwrap_or_default());
        let existing = self.world.data.get(&account).copied();
        let data_value = match existing {
            Some(entry) if full || self.random.chance(1, 2) => {
                self.world.store.remove(entry);
                self.world.data.remove(&account);
                self.world.store.edit(account).num_sub_entries -= 1;
                None
            }
            Some(entry) => {
                self.world.store.edit(entry).data_value = value.clone();
                Some(value)
            }
            None => {
                let entry = DataEntry {
                    account_id: self.account_id(account),
                    data_name: data_name.clone(),
                    data_value: value.clone(),
                    ext: DataEntryExt::V0,
                };
                self.world.data.insert(account, self.world.store.create(entry, None));
                self.world.store.edit(account).num_sub_entries += 1;
                Some(value)
            }
        };
        Performed {
            source: source.field,
            body: OperationBody::ManageData(ManageDataOp { data_name, data_value }),
            result: OperationResultTr::ManageData(ManageDataResult::Success),
        }
    }

    pub(super) fn bump_sequence(&mut self) -> Performed {
        let account = self.tx.source;
        let source = self.source(account);
        let now = self.world.store.get(account).seq_num.0;
        let bump_to = SequenceNumber(now + self.random.between(-2, 5));
        if bump_to.0 > now {
            self.world.store.edit(account).seq_num = bump_to.clone();
        }
        Performed {
            source: source.field,
            body: OperationBody::BumpSequence(BumpSequenceOp { bump_to }),
            result: OperationResultTr::BumpSequence(BumpSequenceResult::Success),
        }
    }

    /// First of the three operations that create an account on someone else's reserve.
    pub(super) fn begin_sponsoring(&mut self) -> Performed {
        let key = self.world.next_key();
        self.sponsored_key = Some(key);
        let source = self.source(self.tx.source);
        Performed {
            source: source.field,
            body: OperationBody::BeginSponsoringFutureReserves(BeginSponsoringFutureReservesOp {
                sponsored_id: account_id(key),
            }),
            result: OperationResultTr::BeginSponsoringFutureReserves(
                BeginSponsoringFutureReservesResult::Success,
            ),
        }
    }

    /// The second: as the sponsor pays the reserve, the new account may hold nothing at all.
    pub(super) fn create_sponsored_account(&mut self) -> Performed {
        let key = match self.sponsored_key {
            Some(key) => key,
            None => self.world.next_key(),
        };
        let balance = if self.random.chance(1, 2) { 0 } else { 50_000_000 };
        let source = self.source(self.tx.source);
        self.add_account(key, balance, Some(self.tx.source))(source.field)
    }

    /// The third, by the new account itself.
    pub(super) fn end_sponsoring(&mut self) -> Performed {
        let key = self.sponsored_key.take();
        Performed {
            source: key.map(|key| muxed(key, None)),
            body: OperationBody::EndSponsoringFutureReserves,
            result: OperationResultTr::EndSponsoringFutureReserves(
                EndSponsoringFutureReservesResult::Success,
            ),
        }
    }

    /// A sponsor stops paying the reserve of an account that can pay it by now.
    pub(super) fn revoke_sponsorship(&mut self) -> Performed {
        let able = |place: &usize| {
            let transient = &self.world.transients[*place];
            transient.sponsor.is_some() && self.world.store.get(transient.account).balance > 0
        };
        let Some(place) = (0..self.world.transients.len()).find(able) else {
            return self.manage_data();
        };
        let account = self.world.transients[place].account;
        let sponsor = self.world.transients[place].sponsor.take();
        self.change_sponsoring(sponsor, -2);
        self.world.store.set_sponsor(account, None);
        if let Some(counters) = sponsorship_mut(self.world.store.edit(account)) {
            counters.num_sponsored = 0;
        }
        let source = self.source(sponsor.unwrap_or(self.tx.source));
        let key = LedgerKey::Account(LedgerKeyAccount { account_id: self.account_id(account) });
        Performed {
            source: source.field,
            body: OperationBody::RevokeSponsorship(RevokeSponsorshipOp::LedgerEntry(key)),
            result: OperationResultTr::RevokeSponsorship(RevokeSponsorshipResult::Success),
        }
    }
}
