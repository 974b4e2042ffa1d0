//! What is done with one ledger: proof, then events. Pure, and the same wherever ledgers come from.
//!
//! A ledger comes out with everything that was found, violations and faults included; whoever asked keeps or refuses it.

use std::sync::Arc;

use orrery_schemas::LedgerSequence;

use tracing::info_span;

use crate::ledger::integrity::{self, Integrity, Violation};
use crate::ledger::{Network, ParsedLedger};
use crate::processor::ttp::{self, DeltaMismatch, LedgerEvents, Mode, ModeDifference, ProcessError};
use crate::source::RawLedger;

/// What is done with each ledger.
#[derive(Clone, Debug)]
pub struct PipelineSettings {
    /// The ledgers' network.
    pub network: Network,
    /// Where events are read from.
    pub mode: Mode,
    /// How far ledgers are proven.
    pub proof: Proof,
    /// Threads that work on ledgers; one more reads them.
    pub workers: usize,
}

/// How far a ledger is proven.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Proof {
    /// Not at all.
    Nothing,
    /// Levels V0 to V5; where V5 cannot bind the events of a contract call, their deltas instead.
    Hashes,
    /// And that the events' deltas equal the entry changes', and stellar-core's events the derived ones.
    Everything,
}

/// A ledger with everything that was found out about it.
#[derive(Debug)]
pub struct ProcessedLedger {
    /// The input, as given or as its key inside a lake or directory.
    pub file: Arc<str>,
    /// Where the ledger begins in the decompressed content of `file`.
    pub offset: u64,
    /// Its number.
    pub sequence: LedgerSequence,
    /// Size of its XDR.
    pub xdr_bytes: usize,
    /// What its hashes prove; `None` if that was not asked for.
    pub integrity: Option<Integrity>,
    /// Its events, or why it has none.
    pub events: Result<LedgerEvents, ProcessError>,
    /// Where events and entry changes differ; empty if that was not asked for and not needed.
    pub mismatches: Vec<DeltaMismatch>,
    /// Where stellar-core's events differ from the derived ones; `None` if they do not, or that was not asked for.
    pub difference: Option<ModeDifference>,
}

impl ProcessedLedger {
    /// What the hashes contradict.
    pub fn violations(&self) -> &[Violation] {
        self.integrity.as_ref().map_or(&[], |integrity| &integrity.violations)
    }

    /// What hashes and deltas contradict, for a person.
    pub fn contradictions(&self) -> impl Iterator<Item = String> {
        let violations = self.violations().iter().map(ToString::to_string);
        let mismatches = self.mismatches.iter().map(|mismatch| format!("deltas: {mismatch}"));
        violations.chain(mismatches).chain(self.difference.iter().map(ToString::to_string))
    }

    /// All that is wrong with the ledger, for a person: contradictions, and why it has no events.
    pub fn problems(&self) -> impl Iterator<Item = String> {
        let fault = self.events.as_ref().err().map(|error| format!("events: {}", error.fault));
        self.contradictions().chain(fault)
    }
}

/// Proves one ledger and derives its events.
pub(super) fn work(settings: &PipelineSettings, raw: &RawLedger) -> ProcessedLedger {
    let mut integrity = None;
    let mut mismatches = Vec::new();
    let mut difference = None;
    let events = info_span!("decode")
        .in_scope(|| ParsedLedger::read(&settings.network, &raw.xdr))
        .map_err(ProcessError::from)
        .and_then(|parsed| {
            if settings.proof >= Proof::Hashes {
                integrity = Some(info_span!("prove").in_scope(|| integrity::check(&parsed)));
            }
            let events = info_span!("derive").in_scope(|| ttp::derive(&parsed, settings.mode))?;
            // Where no hash binds the events of a call, their deltas stand in.
            let unbound = integrity.as_ref().is_some_and(Integrity::has_unbound_calls);
            if settings.proof >= Proof::Everything || unbound {
                mismatches = ttp::check_deltas(&parsed, &events.rows)?;
            }
            if settings.proof >= Proof::Everything {
                difference = ttp::cross_check(&parsed, &events.rows)?;
            }
            Ok(events)
        });
    ProcessedLedger {
        file: raw.file.clone(),
        offset: raw.offset,
        sequence: raw.sequence,
        xdr_bytes: raw.xdr.len(),
        integrity,
        events,
        mismatches,
        difference,
    }
}
