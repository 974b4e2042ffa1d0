//! The fetcher: a ledger stream as an actor, which sends only against credits.

use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt;
use futures::future::BoxFuture;
use futures::stream::BoxStream;
use orrery_schemas::LedgerSequence;
use orrery_supervisor::{Backoff, Clock, ErrorClass, ExitError, Handle, MonotonicTime, Probe, SeededRandom};
use ractor::{Actor, ActorProcessingErr, ActorRef};

use super::{LedgerChunk, SourceError, SourceErrorClass, SourceErrorKind, StreamError};
use crate::envelope::{Demand, LedgerBatch, ProcessorMessage, SourceMessage};
use crate::flow::Credits;
use crate::metrics::{Peer, PipelineMetrics};

/// How long it waits for ledgers before it looks whether something else was asked of it: it must stop much faster than a
/// restart of the pipeline may take.
const PATIENCE: Duration = Duration::from_millis(10);

/// The ledgers from one on, in order: until the last one that is wanted, or for ever.
pub type Ledgers = BoxStream<'static, Result<LedgerChunk, StreamError>>;

/// Opens the stream from a ledger on; the number is of the store to be asked last, if any.
pub type OpenLedgers = Arc<
    dyn Fn(LedgerSequence, Option<usize>) -> BoxFuture<'static, Result<Ledgers, ExitError>> + Send + Sync,
>;

/// What a fetcher is made from.
pub struct FetcherSettings {
    /// Where ledgers come from.
    pub open: OpenLedgers,
    /// Where they go.
    pub processor: Handle<ProcessorMessage>,
    /// Counters of this life, for whoever sends to it.
    pub probe: Arc<Probe>,
    /// How long sources that are away are waited for, all of them; for ever if `None`.
    pub patience: Option<Duration>,
    /// Between looks at them.
    pub backoff: Backoff,
    /// Before a ledger that was refused is fetched again; doubles with every refusal. An object that was half written or a
    /// server that was half started is whole after a while.
    pub refetch_after: Duration,
    /// Time.
    pub clock: Arc<dyn Clock>,
    /// Jitter.
    pub random: SeededRandom,
    /// Counts.
    pub metrics: Arc<PipelineMetrics>,
}

/// The actor. In: demands. Out: ledgers in order, each batch against a credit. Ends normally when the processor needs no
/// more; what the stream could not get over ends it with an error.
pub struct Fetcher;

/// What it holds while it runs.
pub struct FetcherState {
    settings: FetcherSettings,
    run: u64,
    ledgers: Option<Ledgers>,
    credits: Credits,
    /// A [`SourceMessage::Pull`] of this run is on its way.
    pulling: bool,
    /// No source gives the ledger that is due.
    outage: Option<Outage>,
}

/// The time since sources went away, or since what they gave was refused.
#[derive(Clone, Copy, Debug)]
struct Outage {
    ledger: LedgerSequence,
    /// The store to be asked last.
    avoid: Option<usize>,
    since: MonotonicTime,
    /// How long they had been tried then.
    tried_for: Duration,
    looks: u32,
    /// `None` once the stream was opened anew.
    look_again: Option<MonotonicTime>,
}

impl Actor for Fetcher {
    type Msg = SourceMessage;
    type State = FetcherState;
    type Arguments = FetcherSettings;

    async fn pre_start(
        &self,
        _: ActorRef<SourceMessage>,
        settings: FetcherSettings,
    ) -> Result<FetcherState, ActorProcessingErr> {
        Ok(FetcherState {
            settings,
            run: 0,
            ledgers: None,
            credits: Credits::default(),
            pulling: false,
            outage: None,
        })
    }

    async fn post_start(
        &self,
        myself: ActorRef<SourceMessage>,
        state: &mut FetcherState,
    ) -> Result<(), ActorProcessingErr> {
        let source = Handle::new(myself, state.settings.probe.clone());
        let told = state.settings.processor.send(ProcessorMessage::SourceIs(source));
        Ok(told.map_err(|_| ExitError::new(ErrorClass::Unavailable, "the processor has ended"))?)
    }

    async fn handle(
        &self,
        myself: ActorRef<SourceMessage>,
        message: SourceMessage,
        state: &mut FetcherState,
    ) -> Result<(), ActorProcessingErr> {
        match message {
            SourceMessage::Demand(Demand::Begin { run, from, avoid, attempt, credits }) => {
                state.run = run;
                state.credits = Credits::default();
                state.credits.grant(credits);
                state.pulling = false;
                state.begin(from, avoid, attempt).await?;
            }
            SourceMessage::Demand(Demand::Grant { run, credits }) if run == state.run => {
                state.credits.grant(credits);
            }
            SourceMessage::Pull(run) if run == state.run => {
                state.pulling = false;
                state.pull().await?;
            }
            SourceMessage::End => myself.stop(None),
            SourceMessage::LinkEnded(error) => return Err(error.into()),
            SourceMessage::Demand(Demand::Grant { .. }) | SourceMessage::Pull(_) => {}
        }
        state.go_on(&myself)
    }
}

impl FetcherState {
    /// Opens the stream: at once, or later if what it gave was refused.
    async fn begin(
        &mut self,
        from: LedgerSequence,
        avoid: Option<usize>,
        attempt: u32,
    ) -> Result<(), ExitError> {
        let Some(doublings) = attempt.checked_sub(1) else {
            self.outage = None;
            self.ledgers = Some((self.settings.open)(from, avoid).await?);
            return Ok(());
        };
        let now = self.settings.clock.now();
        let pause = self.settings.refetch_after.saturating_mul(1 << doublings.min(5));
        let look_again = Some(now.after(pause));
        self.ledgers = Some(futures::stream::empty().boxed());
        let outage =
            Outage { ledger: from, avoid, since: now, tried_for: Duration::ZERO, looks: 0, look_again };
        self.outage = Some(outage);
        Ok(())
    }

    /// Waits for ledgers a little, and sends what came.
    async fn pull(&mut self) -> Result<(), ActorProcessingErr> {
        if !self.outage_is_over().await? {
            return Ok(());
        }
        let Some(ledgers) = &mut self.ledgers else { return Ok(()) };
        let Ok(next) = tokio::time::timeout(PATIENCE, ledgers.next()).await else { return Ok(()) };
        let run = self.run;
        let message = match next {
            Some(Ok(chunk)) => {
                self.outage = None;
                self.credits
                    .spend()
                    .map_err(|error| ExitError::new(ErrorClass::Internal, error.to_string()))?;
                let (first, last) = (chunk.range.start().0, chunk.range.end().0);
                let ledgers = u64::from(last - first) + 1;
                self.settings.metrics.received(ledgers, chunk.bytes.len() as u64, *chunk.range.end());
                let trace = chunk.trace.clone();
                ProcessorMessage::Ledgers(LedgerBatch { run, chunk, trace })
            }
            Some(Err(error)) => return Ok(self.failed(error)?),
            None => {
                self.ledgers = None;
                ProcessorMessage::SourceEnded { run }
            }
        };
        let sent = self.settings.processor.send(message);
        sent.map_err(|_| ExitError::new(ErrorClass::Unavailable, "the processor of the pipeline has ended"))?;
        Ok(())
    }

    /// Every source was tried. Those that are away may come back; whatever else is wrong does not mend itself.
    fn failed(&mut self, error: StreamError) -> Result<(), ExitError> {
        let (now, ledger) = (self.settings.clock.now(), error.ledger);
        let away = error.tried.iter().any(|tried| self.may_pass(&tried.error.kind));
        let elapsed = error.tried.iter().map(|tried| tried.elapsed).max().unwrap_or_default();
        let text = error.to_string();
        let class = SourceError::from(error).class();
        let Outage { since, tried_for, looks, .. } = self.outage.unwrap_or(Outage {
            ledger,
            avoid: None,
            since: now,
            tried_for: elapsed,
            looks: 0,
            look_again: None,
        });
        let waited = now.since(since).saturating_add(tried_for);
        let spent = self.settings.patience.is_some_and(|patience| waited >= patience);
        if !away || spent {
            let class = match class {
                SourceErrorClass::Usage => ErrorClass::Invalid,
                SourceErrorClass::Unavailable if away => ErrorClass::Exhausted,
                // A gap, or an access that is denied: nothing may follow until a person has seen to it.
                SourceErrorClass::Unavailable | SourceErrorClass::Data => ErrorClass::Data,
            };
            return Err(ExitError::new(class, text));
        }
        let before = since.since(MonotonicTime::ORIGIN).saturating_sub(tried_for);
        self.settings.metrics.away(Peer::Sources, MonotonicTime::ORIGIN.after(before));
        let delay = self.settings.backoff.delay(looks + 1, &mut || self.settings.random.draw());
        tracing::warn!(error = text, looks, ?delay, "no source gives the ledger that is due, looking again");
        let look_again = Some(now.after(delay));
        self.outage = Some(Outage { ledger, avoid: None, since, tried_for, looks: looks + 1, look_again });
        Ok(())
    }

    /// Whether a failure may end by itself. Who has no limit to their patience waits for a refused access too: tokens and
    /// servers are renewed while a node runs.
    fn may_pass(&self, kind: &SourceErrorKind) -> bool {
        let refused = matches!(kind, SourceErrorKind::Denied(_) | SourceErrorKind::Refused(_));
        kind.is_transient() || refused && self.settings.patience.is_none()
    }

    /// Whether there is a stream to look at; opens it anew when the time has come.
    async fn outage_is_over(&mut self) -> Result<bool, ExitError> {
        let Some(outage @ Outage { look_again: Some(look_again), .. }) = self.outage else {
            return Ok(true);
        };
        let left = look_again.since(self.settings.clock.now());
        if !left.is_zero() {
            tokio::time::sleep(left.min(PATIENCE)).await;
            return Ok(false);
        }
        self.ledgers = Some((self.settings.open)(outage.ledger, outage.avoid).await?);
        self.outage = Some(Outage { look_again: None, ..outage });
        Ok(true)
    }

    /// Pulls on if there is a credit and a stream.
    fn go_on(&mut self, myself: &ActorRef<SourceMessage>) -> Result<(), ActorProcessingErr> {
        if self.ledgers.is_some() && self.credits.left() > 0 && !self.pulling {
            self.pulling = true;
            myself.send_message(SourceMessage::Pull(self.run))?;
        }
        Ok(())
    }
}
