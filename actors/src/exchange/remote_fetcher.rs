//! The fetcher of a pipeline whose real one runs on another node: demands go there, ledgers come back.

use std::sync::Arc;

use futures::FutureExt;
use orrery_schemas::LedgerSequence;
use orrery_supervisor::{ErrorClass, ExitError, Handle, Probe};
use ractor::{Actor, ActorProcessingErr, ActorRef};
use tokio::sync::mpsc;

use super::error::ExchangeError;
use super::header_wire::{Body, Opening, OriginWire};
use super::ledger_frames::{self, Received};
use super::link::{Arrived, Link, LinkEvent, LinkTask, work_on};
use super::meter::StreamMeter;
use super::node_link::{Reach, RemoteNode};
use super::window::ReceiveWindow;
use crate::envelope::{Demand, LedgerBatch, ProcessorMessage, SourceMessage};
use crate::flow::Credits;
use crate::metrics::PipelineMetrics;
use crate::source::LedgerChunk;

/// Demands that may wait for the stream. More only make the actor wait, which has nothing else to do.
const DEMANDS_WAITING: usize = 16;

/// What a remote fetcher is made from.
#[derive(Clone)]
pub struct RemoteFetcherSettings {
    /// Where the real one is.
    pub node: Arc<RemoteNode>,
    /// What it is to fetch.
    pub opening: Opening,
    /// Incarnation of the pipeline.
    pub epoch: u64,
    /// How long the node is waited for.
    pub reach: Reach,
    /// Where ledgers go.
    pub processor: Handle<ProcessorMessage>,
    /// Counters of this life, for whoever sends to it.
    pub probe: Arc<Probe>,
    /// Counts.
    pub metrics: Arc<PipelineMetrics>,
}

/// The actor. In: demands. Out: ledgers in order, each batch against a credit and inside of the window. Ends normally when
/// the processor needs no more, and with the error that the other node or the link to it gives.
pub struct RemoteFetcher;

/// What it holds while it runs.
pub struct RemoteFetcherState {
    settings: RemoteFetcherSettings,
    demands: mpsc::Sender<Demand>,
    link: Option<LinkTask>,
    /// Until the task that takes them begins.
    waiting: Option<mpsc::Receiver<Demand>>,
}

impl Actor for RemoteFetcher {
    type Msg = SourceMessage;
    type State = RemoteFetcherState;
    type Arguments = RemoteFetcherSettings;

    async fn pre_start(
        &self,
        _: ActorRef<SourceMessage>,
        settings: RemoteFetcherSettings,
    ) -> Result<RemoteFetcherState, ActorProcessingErr> {
        let (demands, waiting) = mpsc::channel(DEMANDS_WAITING);
        Ok(RemoteFetcherState { settings, demands, link: None, waiting: Some(waiting) })
    }

    async fn post_start(
        &self,
        myself: ActorRef<SourceMessage>,
        state: &mut RemoteFetcherState,
    ) -> Result<(), ActorProcessingErr> {
        let source = Handle::new(myself.clone(), state.settings.probe.clone());
        let told = state.settings.processor.send(ProcessorMessage::SourceIs(source));
        told.map_err(|_| gone())?;
        if let Some(demands) = state.waiting.take() {
            let work = fetch(state.settings.clone(), demands).boxed();
            state.link = Some(LinkTask::start(work, move |outcome| {
                // Nobody waits for the reason if the actor has ended.
                let _ = outcome.map_err(|error| myself.send_message(SourceMessage::LinkEnded(error)));
                std::future::ready(()).boxed()
            }));
        }
        Ok(())
    }

    async fn handle(
        &self,
        myself: ActorRef<SourceMessage>,
        message: SourceMessage,
        state: &mut RemoteFetcherState,
    ) -> Result<(), ActorProcessingErr> {
        match message {
            // Without a task to take it the reason is on its way to this mailbox.
            SourceMessage::Demand(demand) => drop(state.demands.send(demand).await),
            SourceMessage::End => myself.stop(None),
            SourceMessage::LinkEnded(error) => return Err(error.into()),
            SourceMessage::Pull(_) => {}
        }
        Ok(())
    }

    async fn post_stop(
        &self,
        _: ActorRef<SourceMessage>,
        state: &mut RemoteFetcherState,
    ) -> Result<(), ActorProcessingErr> {
        state.link = None;
        Ok(())
    }
}

fn gone() -> ExitError {
    ExitError::new(ErrorClass::Unavailable, "the processor of the pipeline has ended")
}

/// The stream, from its opening to its end.
async fn fetch(settings: RemoteFetcherSettings, demands: mpsc::Receiver<Demand>) -> Result<(), ExitError> {
    let link = settings.node.open(settings.epoch, &settings.opening, &settings.reach).await?;
    converse(settings, link, demands).await
}

async fn converse(
    settings: RemoteFetcherSettings,
    mut link: Link,
    mut demands: mpsc::Receiver<Demand>,
) -> Result<(), ExitError> {
    let mut hub = Hub::new(settings)?;
    loop {
        tokio::select! {
            demand = demands.recv() => match demand {
                Some(demand) => hub.ask(demand, &mut link)?,
                // The actor has ended, and this task with it.
                None => return Ok(()),
            },
            bytes = hub.window.returned() => link.tell(Body::Credit { bytes })?,
            event = link.next() => match event? {
                LinkEvent::Arrived(arrived) => hub.take(*arrived, &mut link).await?,
                LinkEvent::Idle => {}
                LinkEvent::Ended => return Err(ended(&link)),
            },
        }
        hub.meter.in_flight(hub.window.held());
    }
}

/// The other end went without a word.
pub(super) fn ended(link: &Link) -> ExitError {
    ExitError::new(ErrorClass::Unavailable, format!("node {} ended the stream", link.node()))
}

/// What is known of a stream of ledgers where they arrive.
struct Hub {
    settings: RemoteFetcherSettings,
    window: ReceiveWindow,
    meter: StreamMeter,
    run: u64,
    credits: Credits,
    /// The ledger that comes next in this run.
    due: Option<LedgerSequence>,
}

impl Hub {
    fn new(settings: RemoteFetcherSettings) -> Result<Self, ExitError> {
        let bytes = settings.opening.window_bytes;
        let window = ReceiveWindow::new(bytes);
        let refuse =
            || ExitError::new(ErrorClass::Invalid, format!("a window of {bytes} bytes between nodes"));
        let meter = StreamMeter::new(settings.node.meter.clone());
        let window = window.ok_or_else(refuse)?;
        Ok(Self { settings, window, meter, run: 0, credits: Credits::default(), due: None })
    }

    fn ask(&mut self, demand: Demand, link: &mut Link) -> Result<(), ExitError> {
        link.tell(match demand {
            Demand::Begin { run, from, avoid, attempt, credits } => {
                (self.run, self.due, self.credits) = (run, Some(from), Credits::default());
                self.credits.grant(credits);
                Body::Begin { run, from: from.0, avoid, attempt, credits }
            }
            Demand::Grant { run, credits } => {
                if run == self.run {
                    self.credits.grant(credits);
                }
                Body::Grant { run, credits }
            }
        })
    }

    async fn take(&mut self, arrived: Arrived, link: &mut Link) -> Result<(), ExitError> {
        let Arrived { body, traceparent, message } = arrived;
        let permit = self.window.take(body.window_bytes()).map_err(|error| link.of(error))?;
        self.meter.received(body.window_bytes());
        let bytes = body.window_bytes();
        let (run, first, last, origin, named) = match body {
            Body::Ledgers { run, first, last, origin, .. } => (run, first, last, origin, None),
            Body::Object { run, first, last, named, origin, .. } => (run, first, last, origin, Some(named)),
            Body::Ended { run } => {
                let ended = ProcessorMessage::SourceEnded { run };
                return self.settings.processor.send(ended).map_err(|_| gone());
            }
            body => return Err(link.unexpected(&body)),
        };
        if run != self.run {
            // Sent before the other end heard of the new run.
            return Ok(());
        }
        let range = self.next(first, last, &origin).map_err(|error| link.of(error))?;
        let received = Received { range: range.clone(), bytes, origin };
        let is_packed = message.is_compressed();
        let chunk = move || match named {
            None => ledger_frames::ledgers(received, message, permit),
            Some((from, to)) => {
                ledger_frames::object(received, LedgerSequence(from)..=LedgerSequence(to), message, permit)
            }
        };
        // What is not compressed stays where it lies: that takes less than to have another thread do it.
        let chunk: Result<LedgerChunk, _> = work_on(!is_packed, chunk).await?;
        let chunk = chunk.map_err(|error| link.of(error))?;
        let trace = self.settings.node.traces.span(traceparent.as_deref());
        let count = u64::from(last - first) + 1;
        self.settings.metrics.received(count, chunk.bytes.len() as u64, LedgerSequence(last));
        let chunk = chunk.traced(trace.clone());
        let batch = ProcessorMessage::Ledgers(LedgerBatch { run, chunk, trace });
        self.settings.processor.send(batch).map_err(|_| gone())
    }

    /// Counts a batch: it must be the one that is due, and have a credit.
    fn next(
        &mut self,
        first: u32,
        last: u32,
        origin: &OriginWire,
    ) -> Result<std::ops::RangeInclusive<LedgerSequence>, ExchangeError> {
        let found = LedgerSequence(first);
        let due = self.due.ok_or(ExchangeError::Unexpected { kind: "ledgers" })?;
        if found != due {
            return Err(ExchangeError::Order { due, found });
        }
        if last < first {
            let problem = format!("ledgers {first} to {last} of {}", origin.file);
            return Err(ExchangeError::Header { problem });
        }
        self.credits.spend().map_err(|_| ExchangeError::Credit("ledgers came without a credit"))?;
        self.due = LedgerSequence(last).next();
        Ok(found..=LedgerSequence(last))
    }
}

#[cfg(test)]
mod tests;
