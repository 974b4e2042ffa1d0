//! The processor as an actor: carries out what its core decides, and has the work done by threads.

use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use orrery_schemas::LedgerSequence;
use orrery_supervisor::{ErrorClass, ExitError, Handle, Probe};
use ractor::{Actor, ActorProcessingErr, ActorRef};

use super::core::{Action, Core, Event, ProcessorLimits};
use crate::envelope::{
    Demand, EventBatch, LedgerBatch, PoisonLedger, ProcessorMessage, SinkMessage, SourceMessage, Worked,
};
use crate::metrics::{Content, PipelineMetrics};

/// Turns ledgers into events: pure and blocking, called by several threads at once.
pub type Work = Arc<dyn Fn(&LedgerBatch) -> Worked<EventBatch> + Send + Sync>;

/// Keeps the evidence of a ledger that could not be processed. The number is of attempts.
pub type Quarantine = Arc<dyn Fn(&PoisonLedger, u32) -> Result<(), ExitError> + Send + Sync>;

/// Sees every batch on its way to the sinks, and must not wait for anything.
pub type Tap = Arc<dyn Fn(&EventBatch) + Send + Sync>;

/// What a processor is made from.
#[derive(Clone)]
pub struct ProcessorSettings {
    /// Bounds.
    pub limits: ProcessorLimits,
    /// What is done with ledgers.
    pub work: Work,
    /// What is done with poison ones.
    pub quarantine: Quarantine,
    /// Those that get every batch, in this order.
    pub sinks: Vec<Handle<SinkMessage>>,
    /// Who reads along.
    pub tap: Option<Tap>,
    /// Counters of this life, for whoever sends to it.
    pub probe: Arc<Probe>,
    /// Counts.
    pub metrics: Arc<PipelineMetrics>,
}

/// The actor. In: ledgers from the source, positions and credits from the sinks. Out: demands to the source, events to
/// every sink, in order and gap-free. A ledger that fails alike three times is quarantined, and the pipeline parks.
pub struct Processor;

/// What it holds while it runs.
pub struct ProcessorState {
    settings: ProcessorSettings,
    core: Core<LedgerBatch, EventBatch>,
    source: Option<Handle<SourceMessage>>,
    /// Asked for before the source was known.
    unsent: Vec<Demand>,
    /// Batches that came and were not sent: as many as there are credits.
    in_flight: VecDeque<InFlight>,
}

/// What is known of a batch in work.
struct InFlight {
    run: u64,
    last: LedgerSequence,
    bytes: usize,
}

impl Actor for Processor {
    type Msg = ProcessorMessage;
    type State = ProcessorState;
    type Arguments = ProcessorSettings;

    async fn pre_start(
        &self,
        _: ActorRef<ProcessorMessage>,
        settings: ProcessorSettings,
    ) -> Result<ProcessorState, ActorProcessingErr> {
        let core = Core::new(settings.limits, settings.sinks.len());
        Ok(ProcessorState { settings, core, source: None, unsent: Vec::new(), in_flight: VecDeque::new() })
    }

    /// The sinks are there: they open, and say where they stand.
    async fn post_start(
        &self,
        myself: ActorRef<ProcessorMessage>,
        state: &mut ProcessorState,
    ) -> Result<(), ActorProcessingErr> {
        let processor = Handle::new(myself, state.settings.probe.clone());
        for (sink, handle) in state.settings.sinks.iter().enumerate() {
            let open = SinkMessage::Open { processor: processor.clone(), sink };
            handle.send(open).map_err(|_| gone("a sink"))?;
        }
        Ok(())
    }

    async fn handle(
        &self,
        myself: ActorRef<ProcessorMessage>,
        message: ProcessorMessage,
        state: &mut ProcessorState,
    ) -> Result<(), ActorProcessingErr> {
        let event = match message {
            ProcessorMessage::SourceIs(source) => {
                for demand in state.unsent.drain(..) {
                    source.send(SourceMessage::Demand(demand)).map_err(|_| gone("the source"))?;
                }
                state.source = Some(source);
                return Ok(());
            }
            ProcessorMessage::SinkReady { sink, position } => Event::SinkReady { sink, position },
            ProcessorMessage::SinkGranted { sink, credits } => Event::SinkGranted { sink, credits },
            ProcessorMessage::Ledgers(batch) => {
                state.arrived(&batch);
                Event::Arrived { run: batch.run, work: batch }
            }
            ProcessorMessage::SourceEnded { run } => Event::SourceEnded { run },
            ProcessorMessage::Worked { run, ticket, worked } => Event::Done { run, ticket, worked: *worked },
        };
        let actions = state
            .core
            .step(event)
            .map_err(|error| ExitError::new(ErrorClass::Internal, error.to_string()))?;
        actions.into_iter().try_for_each(|action| state.perform(action, &myself))?;
        let bytes = state.in_flight.iter().map(|batch| batch.bytes).sum();
        state.settings.metrics.in_flight(state.core.in_flight(), bytes);
        state.settings.metrics.waits_for_credits(state.core.waits_for_credits());
        Ok(())
    }
}

impl ProcessorState {
    /// Notes what came. A new run begins without what was left of the one before.
    fn arrived(&mut self, batch: &LedgerBatch) {
        let chunk = &batch.chunk;
        if self.in_flight.back().is_some_and(|before| before.run != batch.run) {
            self.in_flight.clear();
        }
        let last = *chunk.range.end();
        self.in_flight.push_back(InFlight { run: batch.run, last, bytes: chunk.bytes.len() });
    }

    fn perform(
        &mut self,
        action: Action<LedgerBatch, EventBatch>,
        myself: &ActorRef<ProcessorMessage>,
    ) -> Result<(), ActorProcessingErr> {
        match action {
            Action::Ask(demand) => {
                if let (Demand::Begin { attempt: attempt @ 1.., .. }, Some(refused)) =
                    (&demand, self.core.refused())
                {
                    self.settings.metrics.refused();
                    tracing::warn!(%refused, source = refused.origin.source, attempt, "ledger refused, fetching it again");
                }
                match &self.source {
                    Some(source) => {
                        source.send(SourceMessage::Demand(demand)).map_err(|_| gone("the source"))?
                    }
                    None => self.unsent.push(demand),
                }
            }
            Action::Work { run, ticket, work } => self.start_work(run, ticket, work, myself.clone()),
            Action::Send(batch) => {
                if let Some(range) = batch.range() {
                    let events = batch.rows.num_rows() as u64;
                    self.settings.metrics.sent(batch.ledgers.len() as u64, events, *range.end());
                    self.settings.metrics.sent_what(&Content::of(&batch));
                    while self.in_flight.front().is_some_and(|batch| batch.last <= *range.end()) {
                        self.in_flight.pop_front();
                    }
                }
                if let Some(tap) = &self.settings.tap {
                    tap(&batch);
                }
                let batch = Arc::new(batch);
                for sink in &self.settings.sinks {
                    sink.send(SinkMessage::Events(batch.clone())).map_err(|_| gone("a sink"))?;
                }
            }
            Action::End => {
                for sink in &self.settings.sinks {
                    sink.send(SinkMessage::End).map_err(|_| gone("a sink"))?;
                }
                if let Some(source) = &self.source {
                    source.send(SourceMessage::End).map_err(|_| gone("the source"))?;
                }
                myself.stop(None);
            }
            Action::Park { poison, attempts } => {
                self.settings.metrics.refused();
                self.settings.metrics.quarantined();
                (self.settings.quarantine)(&poison, attempts)?;
                return Err(ExitError::new(ErrorClass::Data, poison.to_string()).into());
            }
        }
        Ok(())
    }

    /// On a thread of the runtime's pool for blocking work, which is the core's `workers` at most.
    fn start_work(&self, run: u64, ticket: u64, batch: LedgerBatch, myself: ActorRef<ProcessorMessage>) {
        let work = self.settings.work.clone();
        self.settings.probe.expects();
        tokio::task::spawn_blocking(move || {
            let worked = catch_unwind(AssertUnwindSafe(|| batch.trace.in_scope(|| work(&batch))));
            let worked = Box::new(worked.unwrap_or_else(|panic| panicked(&batch, panic.as_ref())));
            // Nobody waits for the result if the processor has ended.
            let _ = myself.send_message(ProcessorMessage::Worked { run, ticket, worked });
        });
    }
}

/// Work that panicked is a bug, and the ledger is poison all the same.
fn panicked(batch: &LedgerBatch, panic: &(dyn std::any::Any + Send)) -> Worked<EventBatch> {
    let text = panic.downcast_ref::<&str>().copied();
    let text = text.or_else(|| panic.downcast_ref::<String>().map(String::as_str)).unwrap_or("no text");
    let chunk = &batch.chunk;
    Worked {
        origin: chunk.origin(),
        batch: None,
        fault: Some((*chunk.range.start(), format!("the work on it panicked: {text}"))),
    }
}

fn gone(who: &str) -> ExitError {
    ExitError::new(ErrorClass::Unavailable, format!("{who} of the pipeline has ended"))
}
