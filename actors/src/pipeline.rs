//! Source -> proof -> processor in one process: ledgers are worked on in parallel and come out in order.
//!
//! What a caller does with them decides what is strict: a ledger comes out with everything that was found, violations
//! and faults included, and the caller keeps or refuses it.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use orrery_schemas::LedgerSequence;

use crate::ledger::integrity::{self, ChainLink, Integrity, Violation};
use crate::ledger::{Network, ParsedLedger};
use crate::processor::ttp::{self, DeltaMismatch, LedgerEvents, Mode, ModeDifference, ProcessError};
use crate::source::{LedgerSource, Prefetch, PrefetchError, PrefetchLimits, RawLedger};

/// Bytes of XDR read ahead. Two dense ledgers of every worker fit; more would only cost memory.
const XDR_BYTES_IN_FLIGHT_MAX: usize = 64 << 20;

/// Ledgers in flight for each worker: one in work, one ready, two waiting for an earlier one.
const LEDGERS_IN_FLIGHT_PER_WORKER: usize = 4;

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

/// Ledgers in the order of their source.
pub struct Pipeline {
    ledgers: Prefetch<(u32, ProcessedLedger)>,
    last: Option<(u32, ChainLink)>,
}

impl Pipeline {
    /// Starts the threads. `cancel`, once true, ends the pipeline with [`PrefetchError::Cancelled`].
    ///
    /// # Errors
    ///
    /// The system gives no threads.
    pub fn start(
        source: Box<dyn LedgerSource>,
        settings: PipelineSettings,
        cancel: Arc<AtomicBool>,
    ) -> Result<Self, PrefetchError> {
        let limits = PrefetchLimits {
            workers: settings.workers,
            ledgers_in_flight_max: settings.workers.saturating_mul(LEDGERS_IN_FLIGHT_PER_WORKER),
            xdr_bytes_in_flight_max: XDR_BYTES_IN_FLIGHT_MAX,
        };
        let ledgers = Prefetch::start(source, limits, cancel, move |raw| (raw.chain, work(&settings, &raw)))?;
        Ok(Self { ledgers, last: None })
    }

    /// V0 and V2 take two ledgers, so they wait for the order.
    fn check_link(&mut self, chain: u32, ledger: &mut ProcessedLedger) {
        let Some(integrity) = &mut ledger.integrity else { return };
        if let Some((last_chain, last)) = &self.last
            && *last_chain == chain
        {
            integrity.violations.extend(integrity::check_link(last, &integrity.link));
        }
        self.last = Some((chain, integrity.link));
    }
}

impl Iterator for Pipeline {
    type Item = Result<ProcessedLedger, PrefetchError>;

    fn next(&mut self) -> Option<Self::Item> {
        Some(self.ledgers.next()?.map(|(chain, mut ledger)| {
            self.check_link(chain, &mut ledger);
            ledger
        }))
    }
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

fn work(settings: &PipelineSettings, raw: &RawLedger) -> ProcessedLedger {
    let mut integrity = None;
    let mut mismatches = Vec::new();
    let mut difference = None;
    let events =
        ParsedLedger::read(&settings.network, &raw.xdr).map_err(ProcessError::from).and_then(|parsed| {
            if settings.proof >= Proof::Hashes {
                integrity = Some(integrity::check(&parsed));
            }
            let events = ttp::derive(&parsed, settings.mode)?;
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
