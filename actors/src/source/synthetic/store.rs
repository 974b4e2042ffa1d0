//! Ledger entries and what happened to them: every change of an entry goes through [`Store::edit`], [`Store::create`]
//! or [`Store::remove`], so the entry changes of the meta always tell the truth about the simulated state.

use std::marker::PhantomData;

use stellar_xdr::{
    AccountEntry, AccountId, ClaimableBalanceEntry, ContractDataEntry, DataEntry, LedgerEntry,
    LedgerEntryChange, LedgerEntryChanges, LedgerEntryData, LedgerEntryExt, LedgerEntryExtensionV1,
    LedgerEntryExtensionV1Ext, LedgerKey, LiquidityPoolEntry, OfferEntry, SponsorshipDescriptor,
    TrustLineEntry, TtlEntry,
};

use super::xdr::list;

/// Position of an entry of type `T`; valid until the entry is removed.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Ix<T>(u32, PhantomData<T>);

impl<T> Clone for Ix<T> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<T> Copy for Ix<T> {}

/// One entry, or the place of a removed one.
#[derive(Clone)]
struct Slot<T> {
    value: T,
    live: bool,
    modified: u32,
    sponsor: Option<AccountId>,
}

/// All entries of one type. Places of removed entries are used again, so memory follows the live population.
#[derive(Clone)]
pub(super) struct Arena<T> {
    slots: Vec<Slot<T>>,
    free: Vec<u32>,
    freed_in_scope: Vec<u32>,
}

impl<T> Default for Arena<T> {
    fn default() -> Self {
        Self { slots: Vec::new(), free: Vec::new(), freed_in_scope: Vec::new() }
    }
}

/// A ledger-entry type that the store holds.
pub(super) trait Held: Clone {
    const TYPE: EntryType;
    fn arena(store: &Store) -> &Arena<Self>;
    fn arena_mut(store: &mut Store) -> &mut Arena<Self>;
    fn into_data(self) -> LedgerEntryData;
}

macro_rules! held {
    ($($entry:ident in $field:ident as $variant:ident,)*) => {
        #[derive(Clone, Copy, PartialEq, Eq)]
        pub(super) enum EntryType { $($variant,)* }

        /// Every live ledger entry, and the entries touched since [`Store::take_changes`] was last called.
        #[derive(Clone, Default)]
        pub(super) struct Store {
            /// The ledger being closed; written into each entry that it modifies.
            pub(super) sequence: u32,
            /// Whether changes are of interest; not while the first population is made.
            pub(super) recording: bool,
            touched: Vec<Touched>,
            $($field: Arena<$entry>,)*
        }

        impl Store {
            fn snapshot(&self, entry_type: EntryType, place: u32) -> Option<LedgerEntry> {
                match entry_type { $(EntryType::$variant => self.$field.snapshot(place),)* }
            }

            fn end_scope(&mut self) {
                $(self.$field.free.append(&mut self.$field.freed_in_scope);)*
            }
        }

        $(impl Held for $entry {
            const TYPE: EntryType = EntryType::$variant;
            fn arena(store: &Store) -> &Arena<Self> { &store.$field }
            fn arena_mut(store: &mut Store) -> &mut Arena<Self> { &mut store.$field }
            fn into_data(self) -> LedgerEntryData { LedgerEntryData::$variant(self) }
        })*
    };
}

held! {
    AccountEntry in accounts as Account,
    TrustLineEntry in trust_lines as Trustline,
    OfferEntry in offers as Offer,
    DataEntry in data as Data,
    ClaimableBalanceEntry in claimable_balances as ClaimableBalance,
    LiquidityPoolEntry in liquidity_pools as LiquidityPool,
    ContractDataEntry in contract_data as ContractData,
    TtlEntry in ttls as Ttl,
}

#[derive(Clone)]
struct Touched {
    entry_type: EntryType,
    place: u32,
    /// The entry when the scope began, if it was in the ledger.
    before: Option<LedgerEntry>,
    /// Whether it came out of the archive in this scope.
    restored: bool,
}

impl Store {
    pub(super) fn get<T: Held>(&self, ix: Ix<T>) -> &T {
        &T::arena(self).slots[ix.0 as usize].value
    }

    /// The entry, to be changed: it appears in the next changes even if nothing in it differs, as in stellar-core.
    pub(super) fn edit<T: Held>(&mut self, ix: Ix<T>) -> &mut T {
        self.touch(T::TYPE, ix.0);
        let sequence = self.sequence;
        let slot = &mut T::arena_mut(self).slots[ix.0 as usize];
        slot.modified = sequence;
        &mut slot.value
    }

    pub(super) fn create<T: Held>(&mut self, value: T, sponsor: Option<AccountId>) -> Ix<T> {
        self.insert(value, sponsor, false)
    }

    /// Brings an archived entry back (protocol 23).
    pub(super) fn restore<T: Held>(&mut self, value: T) -> Ix<T> {
        self.insert(value, None, true)
    }

    fn insert<T: Held>(&mut self, value: T, sponsor: Option<AccountId>, restored: bool) -> Ix<T> {
        let slot = Slot { value, live: true, modified: self.sequence, sponsor };
        let arena = T::arena_mut(self);
        let place = match arena.free.pop() {
            Some(place) => {
                arena.slots[place as usize] = slot;
                place
            }
            None => {
                arena.slots.push(slot);
                arena.slots.len() as u32 - 1
            }
        };
        if self.recording {
            self.touched.push(Touched { entry_type: T::TYPE, place, before: None, restored });
        }
        Ix(place, PhantomData)
    }

    pub(super) fn remove<T: Held>(&mut self, ix: Ix<T>) {
        self.touch(T::TYPE, ix.0);
        let arena = T::arena_mut(self);
        arena.slots[ix.0 as usize].live = false;
        // Not free before the changes are taken: a new entry in the same place would be mistaken for this one.
        arena.freed_in_scope.push(ix.0);
    }

    /// Takes an expired entry out of the ledger. This is no change of any transaction, only a key in the meta.
    pub(super) fn evict<T: Held>(&mut self, ix: Ix<T>) -> LedgerKey {
        let arena = T::arena_mut(self);
        let slot = &mut arena.slots[ix.0 as usize];
        slot.live = false;
        let key = slot.value.clone().into_data().to_key();
        arena.free.push(ix.0);
        key
    }

    pub(super) fn set_sponsor<T: Held>(&mut self, ix: Ix<T>, sponsor: Option<AccountId>) {
        self.edit(ix);
        T::arena_mut(self).slots[ix.0 as usize].sponsor = sponsor;
    }

    /// The changes since the last call, in the order in which entries were first touched: STATE and UPDATED, CREATED,
    /// or STATE and REMOVED of each.
    pub(super) fn take_changes(&mut self) -> LedgerEntryChanges {
        let touched = std::mem::take(&mut self.touched);
        let mut changes = Vec::with_capacity(touched.len() * 2);
        for Touched { entry_type, place, before, restored } in touched {
            match (before, self.snapshot(entry_type, place)) {
                (None, None) => {}
                (None, Some(after)) if restored => changes.push(LedgerEntryChange::Restored(after)),
                (None, Some(after)) => changes.push(LedgerEntryChange::Created(after)),
                (Some(before), Some(after)) => {
                    changes.extend([LedgerEntryChange::State(before), LedgerEntryChange::Updated(after)]);
                }
                (Some(before), None) => {
                    let key = before.to_key();
                    changes.extend([LedgerEntryChange::State(before), LedgerEntryChange::Removed(key)]);
                }
            }
        }
        self.end_scope();
        LedgerEntryChanges(list(changes))
    }

    fn touch(&mut self, entry_type: EntryType, place: u32) {
        // An operation touches at most some dozens of entries, so a scan is cheaper than a map.
        if !self.recording
            || self.touched.iter().any(|touched| touched.place == place && touched.entry_type == entry_type)
        {
            return;
        }
        let before = self.snapshot(entry_type, place);
        self.touched.push(Touched { entry_type, place, before, restored: false });
    }
}

impl<T: Held> Arena<T> {
    fn snapshot(&self, place: u32) -> Option<LedgerEntry> {
        let slot = &self.slots[place as usize];
        slot.live.then(|| LedgerEntry {
            last_modified_ledger_seq: slot.modified,
            data: slot.value.clone().into_data(),
            ext: match &slot.sponsor {
                None => LedgerEntryExt::V0,
                Some(sponsor) => LedgerEntryExt::V1(LedgerEntryExtensionV1 {
                    sponsoring_id: SponsorshipDescriptor(Some(sponsor.clone())),
                    ext: LedgerEntryExtensionV1Ext::V0,
                }),
            },
        })
    }
}
