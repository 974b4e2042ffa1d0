//! What the threads of a processor do with a batch: read its ledgers, prove each, derive its events, and stop at the first
//! that fails. Strict, unlike the reading commands: what is not proven is not passed on.

use orrery_schemas::{Ledger, LedgerSequence, TokenTransferBatchBuilder};
use orrery_supervisor::seeded_bug;

use super::work::{PipelineSettings, ProcessedLedger, work};
use crate::envelope::{EventBatch, LedgerBatch, Span, Worked};
use crate::ledger::integrity::{ChainLink, check_link};

/// Rows that a builder has room for from the start: a dense ledger's.
const ROWS_USUAL: usize = 1024;

/// Works on all ledgers of a batch, up to the first that fails. Blocking work.
pub fn work_on(settings: &PipelineSettings, batch: &LedgerBatch) -> Worked<EventBatch> {
    let chunk = &batch.chunk;
    let origin = chunk.origin();
    let mut events = Events::new();
    seeded_bug!(B12, events.is_trusted = batch.run > 1, ());
    let mut fault = None;
    let mut due = *chunk.range.start();
    for raw in chunk.ledgers() {
        let step = raw.map_err(|error| error.to_string()).and_then(|raw| events.add(work(settings, &raw)));
        if let Err(reason) = step {
            fault = Some((due, reason));
            break;
        }
        due = due.next().unwrap_or(due);
    }
    match events.finish(batch) {
        Ok(batch) => Worked { origin, batch, fault },
        Err(reason) => Worked { origin, batch: None, fault: Some((*chunk.range.start(), reason)) },
    }
}

/// The events of the ledgers so far.
struct Events {
    ledgers: Vec<Ledger>,
    rows: TokenTransferBatchBuilder,
    first: Option<ChainLink>,
    last: Option<ChainLink>,
    #[cfg(feature = "seeded-bugs")]
    is_trusted: bool,
}

impl Events {
    fn new() -> Self {
        let rows = TokenTransferBatchBuilder::with_capacity(ROWS_USUAL);
        Self {
            ledgers: Vec::new(),
            rows,
            first: None,
            last: None,
            #[cfg(feature = "seeded-bugs")]
            is_trusted: false,
        }
    }

    /// Adds a ledger, or says why not.
    fn add(&mut self, ledger: ProcessedLedger) -> Result<(), String> {
        let link = ledger.integrity.as_ref().map(|integrity| integrity.link);
        let break_in_chain =
            self.last.zip(link).and_then(|(last, link)| check_link(&last, &link).into_iter().next());
        if let Some(violation) = break_in_chain {
            return Err(violation.to_string());
        }
        let problem = ledger.problems().next();
        if let Some(problem) = seeded_bug!(B12, problem.filter(|_| !self.is_trusted), problem) {
            return Err(problem);
        }
        let events = ledger.events.map_err(|error| error.to_string())?;
        self.rows.append(&events.rows).map_err(|error| error.to_string())?;
        self.ledgers.push(events.ledger);
        self.last = link;
        self.first = self.first.or(link);
        Ok(())
    }

    fn finish(mut self, batch: &LedgerBatch) -> Result<Option<(Span, EventBatch)>, String> {
        let (Some(first), Some(last)) = (self.first, self.last) else { return Ok(None) };
        let rows = self.rows.finish().map_err(|error| error.to_string())?;
        let span = Span {
            first: LedgerSequence(first.sequence),
            parent: first.previous_hash,
            last: LedgerSequence(last.sequence),
            hash: last.hash,
        };
        Ok(Some((span, EventBatch { ledgers: self.ledgers, rows, trace: batch.trace.clone() })))
    }
}
