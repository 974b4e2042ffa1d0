//! The ledgers of an experiment: all in memory, and sound to begin with, for a fault that is found in a ledger which was
//! bad before proves nothing.

use std::sync::Arc;

use orrery_actors::ledger::integrity::{Violation, check};
use orrery_actors::ledger::{Network, ParseError, ParsedLedger};
use orrery_actors::source::{LedgerSource, RawLedger, SourceError};
use rayon::prelude::*;
use thiserror::Error;

use crate::faults::BoundFields;

/// Most bytes of XDR in one experiment: they are all held in memory, and as much again in copies while it runs.
pub(crate) const LEDGERS_BYTES_MAX: usize = 1 << 30;

/// A ledger whose hashes all hold.
#[derive(Clone, Debug)]
pub struct LoadedLedger {
    /// Where it comes from.
    pub file: Arc<str>,
    /// Its number.
    pub sequence: u32,
    /// One `LedgerCloseMeta`.
    pub xdr: Vec<u8>,
    /// Which bytes a hash binds.
    pub fields: BoundFields,
}

/// Why an experiment cannot begin.
#[derive(Debug, Error)]
pub enum LoadError {
    /// The ledgers cannot be read.
    #[error(transparent)]
    Source(#[from] SourceError),
    /// There are none.
    #[error("no ledger to change; widen --from and --to")]
    NoLedgers,
    /// More than memory should hold.
    #[error(
        "the ledgers have more than {LEDGERS_BYTES_MAX} bytes, and all are held in memory; narrow them with --from and --to"
    )]
    TooMany,
    /// Its structure is broken.
    #[error("{file}: ledger {ledger}: {error}")]
    NotALedger {
        /// Where it comes from.
        file: Arc<str>,
        /// As its header says.
        ledger: u32,
        /// What is wrong.
        error: ParseError,
    },
    /// Its hashes do not hold before anything was changed.
    #[error(
        "{file}: ledger {ledger}: {violation}; the ledger is not sound to begin with, so a change that is found in it \
         proves nothing: check --network or --passphrase, or leave it out"
    )]
    Unsound {
        /// Where it comes from.
        file: Arc<str>,
        /// As its header says.
        ledger: u32,
        /// The first thing that does not hold.
        violation: Violation,
    },
}

/// Reads all of `source` and proves each ledger.
///
/// # Errors
///
/// The first ledger that cannot be read or does not hold.
pub fn load(source: &mut dyn LedgerSource, network: &Network) -> Result<Vec<LoadedLedger>, LoadError> {
    let mut raw = Vec::new();
    let mut bytes = 0_usize;
    while let Some(ledger) = source.next_ledger() {
        let ledger = ledger?;
        bytes += ledger.xdr.len();
        if bytes > LEDGERS_BYTES_MAX {
            return Err(LoadError::TooMany);
        }
        raw.push(ledger);
    }
    if raw.is_empty() {
        return Err(LoadError::NoLedgers);
    }
    raw.into_par_iter().map(|ledger| prove(network, ledger)).collect()
}

fn prove(network: &Network, raw: RawLedger) -> Result<LoadedLedger, LoadError> {
    let RawLedger { file, sequence, xdr, .. } = raw;
    let sequence = sequence.0;
    let parsed = match ParsedLedger::read(network, &xdr) {
        Ok(parsed) => parsed,
        Err(error) => return Err(LoadError::NotALedger { file, ledger: sequence, error }),
    };
    if let Some(violation) = check(&parsed).violations.into_iter().next() {
        return Err(LoadError::Unsound { file, ledger: sequence, violation });
    }
    let fields = BoundFields::of(&parsed, &xdr);
    Ok(LoadedLedger { file, sequence, xdr: xdr.to_vec(), fields })
}
