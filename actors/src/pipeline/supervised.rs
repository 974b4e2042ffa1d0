//! A pipeline as a supervision tree: sinks, processor, fetcher, all of which start and stop together.
//!
//! ```text
//! <name> (OneForAll)
//! |- sink/token_transfers     starts first, stops last: nobody sends to an absent child
//! |- sink/ledgers
//! |- processor
//! `- fetcher
//! ```
//!
//! A pipeline begins where the output that is furthest behind ends, and asks upwards for what it can take. Whatever fails,
//! all of it restarts from what is durable: a surviving sink would hold rows that a restarted fetcher sends again.

use std::num::NonZeroU32;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures::{FutureExt, StreamExt};
use orrery_schemas::{Hash32, LedgerSequence};
use orrery_supervisor::{
    Backoff, ChildSpec, Clock, EndWhen, ErrorClass, ExitError, Restart, RestartIntensity, SeededRandom,
    Shutdown, StartContext, StartError, Strategy, SupervisorSpec,
};

use super::batch::work_on;
use super::noted::Notes;
use super::places::{Place, Places};
use super::table::{TableOutput, TableSettings};
use super::work::{PipelineSettings, Proof};
use crate::checkpoint::{NodeState, Quarantined, Seen, name_of_task};
use crate::coordinator::Task;
use crate::dataset::{DatasetSettings, Store, TableKind};
use crate::envelope::{EventBatch, LedgerBatch, PoisonLedger, ProcessorMessage, SinkMessage, Worked};
use crate::feed::{Hub, Outlet};
use crate::ledger::Network;
use crate::metrics::PipelineMetrics;
use crate::processor::ttp::Mode;
use crate::processor::{Processor, ProcessorLimits, ProcessorSettings, Tap};
use crate::sink::{OnCheckpoint, Output, Sink, SinkActorSettings};
use crate::source::{
    AtTip, Fetcher, FetcherSettings, LedgerChunk, LedgerStore, Rejected, StreamLimits, StreamStart,
    SystemTimer, ledger_stream,
};

/// Time that a sink may take to end its message when it is asked to stop. A commit takes less unless its store is away, and
/// one that is broken off is only made again.
const SINK_STOPS_WITHIN: Duration = Duration::from_secs(5);

/// Time for the others, who finish one message.
const STOPS_WITHIN: Duration = Duration::from_secs(5);

/// Restarts of one pipeline before it is given up for good: what recurs this often does not go away.
const RESTARTS_MAX: u32 = 10;

/// Period of these.
const RESTARTS_PERIOD: Duration = Duration::from_secs(300);

/// Between restarts of a pipeline, and between attempts to reach its store.
const BACKOFF_FIRST: Duration = Duration::from_millis(20);
const BACKOFF_CAP: Duration = Duration::from_secs(10);

/// Names of the tables' sinks, in the order in which they start.
pub(super) const SINKS: [(&str, TableKind); 2] =
    [("sink/token_transfers", TableKind::TokenTransfers), ("sink/ledgers", TableKind::Ledgers)];

/// What a pipeline may hold at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PipelineLimits {
    /// Batches worked on at the same time: threads.
    pub workers: u32,
    /// Batches sent by the fetcher and not yet handed on by the processor.
    pub fetcher_to_processor: u32,
    /// Batches sent by the processor and not yet taken by a sink.
    pub processor_to_sink: u32,
    /// Bytes of objects fetched ahead, in the fetcher and on the way to the processor.
    pub object_bytes: usize,
}

impl PipelineLimits {
    /// For so many threads: each has a batch in work and one ready, and sinks take short pauses without anyone waiting.
    pub fn for_workers(workers: NonZeroU32) -> Self {
        let workers = workers.get();
        Self {
            workers,
            fetcher_to_processor: workers.saturating_mul(3),
            processor_to_sink: workers.saturating_mul(4),
            object_bytes: 64 << 20,
        }
    }

    /// Most batches that have left the fetcher and are not yet taken by every sink: a sink that stands still stops the
    /// fetcher at exactly this many. Each has the ledgers of one object, or one ledger of an answer.
    pub const fn batches_in_flight_max(&self) -> u32 {
        self.fetcher_to_processor // sent by the fetcher, not yet handed on by the processor
            + self.processor_to_sink // handed on, not yet taken by the slowest sink; the one it writes is among them
    }
}

/// Everything that a pipeline is made from.
#[derive(Clone)]
pub struct SupervisedPipeline {
    /// Its name in the tree, in labels and in commands.
    pub name: String,
    /// What tells it from others of that name, where several share its work: its name in the tree then.
    pub task: Option<String>,
    /// Where ledgers come from, in order of preference.
    pub stores: Vec<Arc<dyn LedgerStore>>,
    /// The ledgers' network.
    pub network: Network,
    /// Where events are read from.
    pub mode: Mode,
    /// How far ledgers are proven.
    pub proof: Proof,
    /// Where the dataset is.
    pub dataset: Store,
    /// What it is, or becomes.
    pub settings: DatasetSettings,
    /// The first ledger, at which a slot begins, where others work on those before it; `None` begins where the dataset ends.
    pub from: Option<LedgerSequence>,
    /// The last ledger; `None` follows the sources for ever.
    pub to: Option<LedgerSequence>,
    /// What to do about ledgers that no source has yet.
    pub at_tip: AtTip,
    /// How long a store or source that is away is waited for; for ever if `None`.
    pub patience: Option<Duration>,
    /// Before a ledger that was refused is fetched again; doubles with every refusal.
    pub refetch_after: Duration,
    /// How long a stage may work on a message, or a thread for it, without getting on: it hangs then, and all stages begin anew.
    /// Waiting for a store or a source is getting on. `None` lets it.
    pub hangs_after: Option<Duration>,
    /// Bounds.
    pub limits: PipelineLimits,
    /// What the node keeps, if it keeps anything.
    pub state: Option<NodeState>,
    /// Where readers of the live feed get what it processes.
    pub feed: Option<Arc<Hub>>,
    /// Where readers at other nodes get it, if it is of the live tail.
    pub outlet: Option<Arc<Outlet>>,
    /// Counts.
    pub metrics: Arc<PipelineMetrics>,
    /// Where its stages work.
    pub places: Places,
    /// Time.
    pub clock: Arc<dyn Clock>,
    /// Seed of all jitter.
    pub seed: u64,
}

/// Settings of supervision that cannot be had: a bug of the constants above.
fn invalid(error: impl std::fmt::Display) -> ExitError {
    ExitError::new(ErrorClass::Internal, error.to_string())
}

impl SupervisedPipeline {
    /// The same on a dataset that is there, whatever it is.
    #[must_use]
    pub fn of_existing(self) -> Self {
        let settings = self.settings.of_existing();
        Self { settings, ..self }
    }

    /// The same on the ledgers of a task, of a dataset that is there.
    #[must_use]
    pub fn for_task(self, task: &Task, places: Places) -> Self {
        let (from, to) = (Some(task.from()), task.to());
        // A span is given out when its ledgers are there; if they are not yet in the source that is asked, they will be.
        let (id, at_tip) = (task.id.to_string(), AtTip::Wait);
        let metrics = self.metrics.part(&id);
        Self { task: Some(id), from, to, at_tip, places, metrics, ..self.of_existing() }
    }

    /// The tree. It ends by itself, normally, when every ledger up to `to` is durable.
    ///
    /// # Errors
    ///
    /// The constants of this file contradict each other.
    pub fn spec(self) -> Result<SupervisorSpec, ExitError> {
        let intensity = RestartIntensity::new(RESTARTS_MAX, RESTARTS_PERIOD).map_err(invalid)?;
        let backoff = backoff()?;
        let pipeline = Arc::new(self);
        let id = pipeline.task.clone().unwrap_or_else(|| pipeline.name.clone());
        let mut spec = SupervisorSpec::new(id, Strategy::OneForAll, intensity).end_when(EndWhen::AllEnded);
        for (id, kind) in SINKS {
            spec = spec.child(match &pipeline.places.sinks {
                Place::Here => pipeline.sink_child(id, kind, backoff, Arc::new(|_| ())),
                Place::Node(node) => {
                    let (pipeline, node) = (pipeline.clone(), node.clone());
                    let child =
                        ChildSpec::worker(id, move |context| pipeline.remote_sink(kind, &node, context));
                    tuned(child, STOPS_WITHIN, backoff)
                }
            });
        }
        let processor = pipeline.clone();
        let child = ChildSpec::worker("processor", move |context| processor.processor(context));
        spec = spec.child(pipeline.watched(tuned(child, STOPS_WITHIN, backoff)));
        Ok(spec.child(match &pipeline.places.fetcher {
            Place::Here => pipeline.fetcher_child(backoff),
            Place::Node(node) => {
                let (pipeline, node) = (pipeline.clone(), node.clone());
                let child =
                    ChildSpec::worker("fetcher", move |context| pipeline.remote_fetcher(&node, context));
                tuned(child, STOPS_WITHIN, backoff)
            }
        }))
    }

    /// The fetcher, which finds its processor beside it.
    pub(super) fn fetcher_child(self: &Arc<Self>, backoff: Backoff) -> ChildSpec {
        let pipeline = self.clone();
        let child = ChildSpec::worker("fetcher", move |context| pipeline.fetcher(backoff, context));
        self.watched(tuned(child, STOPS_WITHIN, backoff))
    }

    /// The sink of a table.
    pub(super) fn sink_child(
        self: &Arc<Self>,
        id: &str,
        kind: TableKind,
        backoff: Backoff,
        on_durable: OnCheckpoint,
    ) -> ChildSpec {
        let pipeline = self.clone();
        let child = ChildSpec::worker(id, move |context| {
            pipeline.refuse_if_parked()?;
            pipeline.sink(kind, backoff, context, on_durable.clone())
        });
        self.watched(tuned(child, SINK_STOPS_WITHIN, backoff))
    }

    /// A stage that works here: one that hangs is found out. Those of other nodes are watched there.
    fn watched(&self, child: ChildSpec) -> ChildSpec {
        match self.hangs_after {
            Some(limit) => child.stall_after(limit),
            None => child,
        }
    }

    fn sink(
        &self,
        kind: TableKind,
        backoff: Backoff,
        context: &StartContext,
        on_durable: OnCheckpoint,
    ) -> Result<(Sink, SinkActorSettings), StartError> {
        let state = self.state.as_ref();
        let notes = state.and_then(|state| Notes::new(state, &self.name, &self.dataset));
        let settings = TableSettings {
            pipeline: self.name.clone(),
            store: self.dataset.clone(),
            kind,
            dataset: self.settings.clone(),
            from: self.from,
            to: self.to,
            patience: self.patience,
            backoff,
            clock: self.clock.clone(),
            metrics: self.metrics.clone(),
            notes: notes.clone(),
        };
        let random = self.random(context.incarnation(), kind.as_str());
        let output: Box<dyn Output> = Box::new(TableOutput::new(settings, random));
        let on_checkpoint = Arc::new(move |ledger| {
            if let Some(notes) = &notes {
                notes.committed(ledger);
            }
            on_durable(ledger);
        });
        Ok((Sink, SinkActorSettings { output, credits: self.limits.processor_to_sink, on_checkpoint }))
    }

    /// What was parked stays so, whoever starts it, until it is resumed.
    pub(super) fn refuse_if_parked(&self) -> Result<(), ExitError> {
        let Some(state) = &self.state else { return Ok(()) };
        for name in [self.name.clone(), self.parked_name()] {
            match state.parked.reason(&name) {
                Ok(None) => {}
                Ok(Some(reason)) => return Err(ExitError::new(ErrorClass::Data, reason)),
                Err(error) => tracing::warn!(%error, "cannot tell whether the pipeline is parked, it starts"),
            }
        }
        Ok(())
    }

    /// As what it is parked if it cannot go on: others that share its work can.
    fn parked_name(&self) -> String {
        self.task.as_ref().map_or_else(|| self.name.clone(), |task| name_of_task(&self.name, task))
    }

    /// Jitter that begins elsewhere for every task, actor and life: what fails together must not come back together.
    pub(super) fn seed_of(&self, incarnation: u64, actor: &str) -> u64 {
        let task = self.task.as_deref().unwrap_or_default();
        mixed(self.seed ^ incarnation.rotate_left(32), &[&self.name, task, actor])
    }

    fn random(&self, incarnation: u64, actor: &str) -> SeededRandom {
        SeededRandom::new(self.seed_of(incarnation, actor))
    }

    fn processor(
        self: &Arc<Self>,
        context: &StartContext,
    ) -> Result<(Processor, ProcessorSettings), StartError> {
        let sinks =
            SINKS.iter().map(|(id, _)| context.sibling::<SinkMessage>(id)).collect::<Result<_, _>>()?;
        let settings = PipelineSettings {
            network: self.network.clone(),
            mode: self.mode,
            proof: self.proof,
            workers: self.limits.workers as usize,
        };
        let (metrics, worker, pipeline) = (self.metrics.clone(), self.clone(), self.clone());
        let settings = ProcessorSettings {
            limits: ProcessorLimits {
                workers: self.limits.workers,
                source_credits: self.limits.fetcher_to_processor,
            },
            work: Arc::new(move |batch| worker.work(&settings, batch)),
            quarantine: Arc::new(move |poison, attempts| pipeline.quarantine(poison, attempts)),
            sinks,
            tap: self.tap(),
            probe: context.probe().clone(),
            metrics,
        };
        Ok((Processor, settings))
    }

    /// Who gets what is derived, beside the sinks. A range of old ledgers nobody at another node waits for.
    fn tap(&self) -> Option<Tap> {
        let (hub, outlet) = (self.feed.clone(), self.outlet.clone().filter(|_| self.to.is_none()));
        let is_used = hub.is_some() || outlet.is_some();
        is_used.then(|| {
            Arc::new(move |batch: &EventBatch| {
                if let Some(hub) = &hub {
                    hub.offer(batch);
                }
                if let Some(outlet) = &outlet {
                    outlet.offer(batch);
                }
            }) as Tap
        })
    }

    /// Keeps the evidence and notes that the pipeline is parked, so that a restarted node leaves it so.
    fn quarantine(&self, poison: &PoisonLedger, attempts: u32) -> Result<(), ExitError> {
        let source = poison.origin.lake.as_ref();
        let (ledger, file, reason) = (poison.ledger.0, poison.origin.file.as_ref(), poison.what());
        tracing::error!(ledger, source, file, %reason, attempts, "poison ledger, the pipeline is parked");
        let Some(state) = &self.state else { return Ok(()) };
        let entry = Quarantined {
            ledger,
            pipeline: self.parked_name(),
            dataset: self.dataset.place().unwrap_or_default().to_owned(),
            source: source.to_owned(),
            file: file.to_owned(),
            reason,
            attempts,
            object_bytes: poison.origin.bytes.len(),
        };
        let kept = state.quarantine.keep(&entry, &poison.origin.bytes);
        kept.and_then(|()| state.parked.park(&self.parked_name(), &poison.to_string()))
            .map_err(|error| ExitError::new(ErrorClass::Unavailable, error.to_string()))
    }

    fn fetcher(
        self: &Arc<Self>,
        backoff: Backoff,
        context: &StartContext,
    ) -> Result<(Fetcher, FetcherSettings), StartError> {
        let processor = context.sibling::<ProcessorMessage>("processor")?;
        let (pipeline, incarnation) = (self.clone(), context.incarnation());
        let runs = Mutex::new(0_u64);
        let open = Arc::new(move |from, avoid| {
            let mut runs = runs.lock().unwrap_or_else(PoisonError::into_inner);
            *runs += 1;
            let random = pipeline.random(incarnation, &format!("stream/{runs}"));
            let pipeline = pipeline.clone();
            async move { pipeline.ledgers(from, avoid, random) }.boxed()
        });
        let settings = FetcherSettings {
            open,
            processor,
            probe: context.probe().clone(),
            patience: self.patience,
            backoff,
            refetch_after: self.refetch_after,
            clock: self.clock.clone(),
            random: self.random(incarnation, "fetcher"),
            metrics: self.metrics.clone(),
        };
        Ok((Fetcher, settings))
    }

    fn ledgers(
        self: Arc<Self>,
        from: LedgerSequence,
        avoid: Option<usize>,
        mut random: SeededRandom,
    ) -> Result<crate::source::Ledgers, ExitError> {
        if self.to.is_some_and(|to| from > to) {
            return Ok(futures::stream::empty().boxed());
        }
        let limits = StreamLimits::new(self.limits.object_bytes).map_err(invalid)?;
        // With one source there is no other to ask: the same object may come whole the next time.
        let avoid = avoid.filter(|_| self.stores.len() > 1);
        let rejected = avoid.map(|source| Rejected { ledger: from, source }).into_iter().collect();
        let start = StreamStart { from, to: self.to, at_tip: self.at_tip, rejected };
        let timer = Arc::new(SystemTimer::default());
        let ledgers = ledger_stream(self.stores.clone(), start, limits, timer, move || random.draw());
        Ok(ledgers.boxed())
    }

    fn work(&self, settings: &PipelineSettings, batch: &LedgerBatch) -> Worked<EventBatch> {
        let span = tracing::info_span!("process", pipeline = self.name);
        let worked = span.in_scope(|| work_on(settings, batch));
        // What was refused was not processed: that it comes differently the next time is what is hoped for.
        if worked.fault.is_none() {
            self.remember(&batch.chunk);
        }
        worked
    }

    /// An object that was processed before and has changed since is an alarm: its ledgers are proven again anyway.
    fn remember(&self, chunk: &LedgerChunk) {
        let Some(state) = &self.state else { return };
        let fingerprint = Hash32(chunk.fingerprint().0);
        let seen = state.objects.remember(chunk.lake(), *chunk.range.start(), fingerprint);
        match state.writes.note("fingerprint of an object", seen) {
            None | Some(Seen::New | Seen::Same) => {}
            Some(Seen::Changed(before)) => {
                self.metrics.object_changed();
                let (file, source) = (chunk.file.as_ref(), chunk.lake().as_ref());
                tracing::error!(file, source, %before, now = %fingerprint, "an object changed after it was processed");
            }
        }
    }
}

/// Between restarts of a pipeline, and between attempts to reach what it needs.
pub(super) fn backoff() -> Result<Backoff, ExitError> {
    Backoff::new(BACKOFF_FIRST, BACKOFF_CAP).map_err(invalid)
}

fn tuned(child: ChildSpec, stops_within: Duration, backoff: Backoff) -> ChildSpec {
    child.restart(Restart::Transient).shutdown(Shutdown::Within(stops_within)).backoff(Some(backoff))
}

/// A seed that depends on all of these names.
fn mixed(seed: u64, names: &[&str]) -> u64 {
    let bytes = names.iter().flat_map(|name| name.bytes().chain([0]));
    bytes.fold(seed, |state, byte| (state ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn every_task_and_stage_draws_its_own_jitter() {
        let seed = |task, stage| SeededRandom::new(mixed(1, &["main", task, stage])).draw();
        let tasks = ["until-63", "until-127", "until-1023", "tail", ""];
        let stages = ["fetcher", "ledgers", "token_transfers"];
        let seeds = tasks.iter().flat_map(|task| stages.iter().map(|stage| seed(task, stage)));
        assert_eq!(seeds.collect::<BTreeSet<_>>().len(), tasks.len() * stages.len());
        assert_ne!(mixed(1, &["a", "bc"]), mixed(1, &["ab", "c"]));
    }
}
