//! What the ledgers contain, by an oracle that shares no code with the server: the simulation that makes them notes every event
//! as it happens. Answers are held against it.

use std::collections::BTreeMap;

use orrery_actors::source::synthetic::{SyntheticLedger, SyntheticLedgers, SyntheticSpec};
use serde::{Deserialize, Serialize};

use crate::workload::FIRST_LEDGER;

/// Addresses that are asked for. More are no other load.
const ADDRESSES_MAX: usize = 200;

/// Events of stored ledgers.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Contents {
    /// Up to the end of each ledger, from the first on.
    up_to: Vec<u64>,
    /// Addresses, each with its events.
    pub(super) addresses: Vec<(String, u64)>,
}

/// Counts ledgers as they are made.
pub(super) struct Oracle {
    ledgers: SyntheticLedgers,
    /// Of the next ledger.
    next: u32,
}

impl Oracle {
    pub(super) fn new(spec: &SyntheticSpec) -> Self {
        Self { ledgers: SyntheticLedgers::new(spec), next: FIRST_LEDGER }
    }

    fn make(&mut self) -> Option<SyntheticLedger> {
        self.next += 1;
        self.ledgers.next()
    }

    /// What stored ledgers contain, the first so many.
    pub(super) fn contents(&mut self, ledgers: u32) -> Contents {
        let (mut contents, mut addresses) = (Contents::default(), BTreeMap::<String, u64>::new());
        let mut sum = 0;
        for ledger in (0..ledgers).map_while(|_| self.make()) {
            sum += ledger.expected.len() as u64;
            contents.up_to.push(sum);
            for event in &ledger.expected {
                let from = event.from.as_ref().map(ToString::to_string);
                let to = event.to.as_ref().map(ToString::to_string).filter(|to| Some(to) != from.as_ref());
                for address in [from, to].into_iter().flatten() {
                    if addresses.len() < ADDRESSES_MAX || addresses.contains_key(&address) {
                        *addresses.entry(address).or_default() += 1;
                    }
                }
            }
        }
        contents.addresses = addresses.into_iter().collect();
        contents
    }

    /// The number of events of a ledger that is ahead.
    pub(super) fn events(&mut self, ledger: u32) -> Option<u64> {
        while self.next < ledger {
            self.make()?;
        }
        (self.next == ledger).then(|| self.make()).flatten().map(|ledger| ledger.expected.len() as u64)
    }
}

impl Contents {
    /// Ledgers.
    pub(super) fn ledgers(&self) -> u32 {
        u32::try_from(self.up_to.len()).unwrap_or(u32::MAX)
    }

    /// The last ledger.
    pub(super) fn last(&self) -> u32 {
        FIRST_LEDGER + self.ledgers().saturating_sub(1)
    }

    /// All events.
    pub(super) fn sum(&self) -> u64 {
        self.up_to.last().copied().unwrap_or(0)
    }

    /// Events of ledgers from `first` to `last`.
    pub(super) fn events(&self, first: u32, last: u32) -> u64 {
        let up_to = |ledger: u32| match ledger.checked_sub(FIRST_LEDGER) {
            Some(index) => self.up_to.get(index as usize).copied().unwrap_or_else(|| self.sum()),
            None => 0,
        };
        up_to(last) - up_to(first.saturating_sub(1).min(last))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ledgers_are_counted_one_by_one_and_in_ranges() {
        let spec = SyntheticSpec::from_query("seed=3&ledgers=40&density=sparse").unwrap();
        let each: Vec<u64> =
            SyntheticLedgers::new(&spec).map(|ledger| ledger.expected.len() as u64).collect();
        let mut oracle = Oracle::new(&spec);
        let contents = oracle.contents(30);
        assert_eq!((contents.ledgers(), contents.last(), contents.sum()), (30, 31, each[..30].iter().sum()));
        for (first, last) in [(2, 2), (2, 31), (5, 5), (30, 31), (7, 20)] {
            let expect: u64 = each[first - 2..=last - 2].iter().sum();
            assert_eq!(contents.events(first as u32, last as u32), expect, "{first} to {last}");
        }
        assert!(contents.addresses.iter().all(|(address, events)| address.len() > 50 && *events > 0));
        // Ledgers that come later, of which some are passed over.
        assert_eq!((oracle.events(32), oracle.events(36)), (Some(each[30]), Some(each[34])));
        assert_eq!((oracle.events(36), oracle.events(99)), (None, None));
    }
}
