//! Ledgers for whoever asks for one after another: read ahead and worked on in parallel, without actors.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use super::work::{PipelineSettings, ProcessedLedger, work};
use crate::ledger::integrity::{self, ChainLink};
use crate::source::{LedgerSource, Prefetch, PrefetchError, PrefetchLimits};

/// Bytes of XDR read ahead. Two dense ledgers of every worker fit; more would only cost memory.
const XDR_BYTES_IN_FLIGHT_MAX: usize = 64 << 20;

/// Ledgers in flight for each worker: one in work, one ready, two waiting for an earlier one.
const LEDGERS_IN_FLIGHT_PER_WORKER: usize = 4;

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
