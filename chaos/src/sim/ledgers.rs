//! The ledgers of simulated runs: made and processed once, as nothing of them depends on a run's seed.

use bytes::Bytes;
use orrery_actors::ledger::Network;
use orrery_actors::processor::ttp::{Mode, process};
use orrery_actors::source::synthetic::{Density, NETWORK_PASSPHRASE, SyntheticLedgers, SyntheticSpec};
use orrery_schemas::{Ledger, LedgerSequence, TokenTransfer};

use super::SimError;
use crate::oracle::{ExpectedLedger, expect};

/// The first ledger of every synthetic network.
pub(super) const FIRST: u32 = 2;

/// How many ledgers there are.
pub(super) const COUNT: u32 = 40;

/// One ledger: its bytes, what the product makes of them, and what it must make of them.
#[derive(Clone, Debug)]
pub(super) struct MadeLedger {
    /// One `LedgerCloseMeta`.
    pub(super) xdr: Bytes,
    /// By the product.
    pub(super) ledger: Ledger,
    /// By the product.
    pub(super) rows: Vec<TokenTransfer>,
    /// By the oracle.
    pub(super) expected: ExpectedLedger,
}

/// Consecutive ledgers of one network.
#[derive(Clone, Debug)]
pub(super) struct Ledgers(Vec<MadeLedger>);

impl Ledgers {
    /// Makes those of a seed.
    ///
    /// # Errors
    ///
    /// [`SimError::Ledgers`] if the product cannot process one.
    pub(super) fn make(seed: u64) -> Result<Self, SimError> {
        let spec =
            SyntheticSpec { seed, ledgers: COUNT, density: Density::Sparse, ..SyntheticSpec::default() };
        let network = Network::new(NETWORK_PASSPHRASE);
        let made = SyntheticLedgers::new(&spec).zip(FIRST..).map(|(made, number)| {
            let problem =
                |error: &dyn std::fmt::Display| SimError::Ledgers(format!("ledger {number}: {error}"));
            let expected = expect(number, &made).map_err(|error| problem(&error))?;
            let xdr = Bytes::from(made.to_xdr());
            let events = process(&network, Mode::Auto, &xdr).map_err(|error| problem(&error))?;
            Ok(MadeLedger { xdr, ledger: events.ledger, rows: events.rows, expected })
        });
        made.collect::<Result<_, _>>().map(Self)
    }

    /// A ledger, if there is one of this number.
    pub(super) fn get(&self, ledger: LedgerSequence) -> Option<&MadeLedger> {
        self.0.get(ledger.0.checked_sub(FIRST)? as usize)
    }

    /// Those from one to another.
    pub(super) fn range(
        &self,
        first: LedgerSequence,
        last: LedgerSequence,
    ) -> impl Iterator<Item = &MadeLedger> {
        (first.0..=last.0).filter_map(|ledger| self.get(LedgerSequence(ledger)))
    }
}
