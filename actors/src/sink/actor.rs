//! A sink as an actor: takes batches against credits and makes them durable.
//!
//! An output may have to wait for others before it takes more. The actor waits for that between messages and never inside
//! of one, so that it can be stopped at any time.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use futures::FutureExt;
use futures::future::BoxFuture;
use orrery_schemas::LedgerSequence;
use orrery_supervisor::{ErrorClass, ExitError, Handle};
use ractor::{Actor, ActorProcessingErr, ActorRef};

use crate::envelope::{EventBatch, Position, ProcessorMessage, SinkMessage};

/// Where events become durable: a table, or whatever else takes them in order.
pub trait Output: Send + 'static {
    /// Opens it; called once, first. Gives the first ledger that it does not have.
    ///
    /// # Errors
    ///
    /// It cannot be opened, or is not what the settings say.
    fn open(&mut self) -> BoxFuture<'_, Result<Position, ExitError>>;

    /// Whether it can go on now; asked before each batch, and before the end. An output that never waits has nothing to say.
    ///
    /// # Errors
    ///
    /// As of [`Self::write`].
    fn room(&mut self, _: Before) -> BoxFuture<'_, Result<Room, ExitError>> {
        std::future::ready(Ok(Room::default())).boxed()
    }

    /// Takes the ledgers that follow those it has. Durable are those up to the checkpoint that it gives.
    ///
    /// # Errors
    ///
    /// They cannot be taken; the output is then only dropped.
    fn write(&mut self, batch: Arc<EventBatch>) -> BoxFuture<'_, Result<Option<LedgerSequence>, ExitError>>;

    /// Makes durable what it has taken; called once, last.
    ///
    /// # Errors
    ///
    /// As of [`Self::write`].
    fn finish(&mut self) -> BoxFuture<'_, Result<Option<LedgerSequence>, ExitError>>;
}

/// What an output is to do next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Before {
    /// [`Output::write`].
    Batch,
    /// [`Output::finish`].
    End,
}

/// Whether an output can go on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Room {
    /// It cannot: ask again after this long.
    pub again_after: Option<Duration>,
    /// Durable up to here, if that is news.
    pub checkpoint: Option<LedgerSequence>,
}

/// Told whenever a checkpoint moved: every ledger up to it is durable in this output.
pub type OnCheckpoint = Arc<dyn Fn(LedgerSequence) + Send + Sync>;

/// What a sink is made from.
pub struct SinkActorSettings {
    /// Where events go.
    pub output: Box<dyn Output>,
    /// Batches that the processor may have sent and that the output has not taken.
    pub credits: u32,
    /// Told of checkpoints.
    pub on_checkpoint: OnCheckpoint,
}

/// The actor. In: batches in order, each against a credit. Out: a credit for each batch taken. Ends normally when the
/// last batch is durable.
pub struct Sink;

/// What it holds while it runs.
pub struct SinkState {
    settings: SinkActorSettings,
    upstream: Option<(Handle<ProcessorMessage>, usize)>,
    /// The ledger that is due.
    next: Option<LedgerSequence>,
    /// Not taken yet: no more than were sent against credits.
    waiting: VecDeque<Arc<EventBatch>>,
    /// No more will come.
    has_ended: bool,
    /// A message to go on is on its way.
    goes_on: bool,
}

impl Actor for Sink {
    type Msg = SinkMessage;
    type State = SinkState;
    type Arguments = SinkActorSettings;

    async fn pre_start(
        &self,
        _: ActorRef<SinkMessage>,
        settings: SinkActorSettings,
    ) -> Result<SinkState, ActorProcessingErr> {
        let waiting = VecDeque::new();
        Ok(SinkState { settings, upstream: None, next: None, waiting, has_ended: false, goes_on: false })
    }

    async fn handle(
        &self,
        myself: ActorRef<SinkMessage>,
        message: SinkMessage,
        state: &mut SinkState,
    ) -> Result<(), ActorProcessingErr> {
        match message {
            SinkMessage::Open { processor, sink } => {
                let position = state.settings.output.open().await?;
                state.next = Some(position.next);
                state.upstream = Some((processor, sink));
                state.tell(|sink| ProcessorMessage::SinkReady { sink, position })?;
                let credits = state.settings.credits;
                state.tell(|sink| ProcessorMessage::SinkGranted { sink, credits })
            }
            SinkMessage::Events(batch) => {
                state.waiting.push_back(batch);
                state.step(&myself).await
            }
            SinkMessage::End => {
                state.has_ended = true;
                state.step(&myself).await
            }
            SinkMessage::GoOn => {
                state.goes_on = false;
                state.step(&myself).await
            }
            SinkMessage::LinkEnded(outcome) => Ok(outcome?),
        }
    }
}

impl SinkState {
    /// Takes a batch, or ends, if the output can go on; if not, or if more waits, sends itself a message.
    async fn step(&mut self, myself: &ActorRef<SinkMessage>) -> Result<(), ActorProcessingErr> {
        let before = match (self.waiting.is_empty(), self.has_ended) {
            _ if self.goes_on => return Ok(()),
            (true, false) => return Ok(()),
            (true, true) => Before::End,
            (false, _) => Before::Batch,
        };
        let Room { again_after, checkpoint } = self.settings.output.room(before).await?;
        self.report(checkpoint);
        if let Some(after) = again_after {
            self.goes_on = true;
            myself.send_after(after, || SinkMessage::GoOn);
            return Ok(());
        }
        let Some(batch) = self.waiting.pop_front() else {
            let checkpoint = self.settings.output.finish().await?;
            self.report(checkpoint);
            myself.stop(None);
            return Ok(());
        };
        if let Some(batch) = self.due(batch)? {
            let checkpoint = self.settings.output.write(batch).await?;
            self.report(checkpoint);
        }
        self.tell(|sink| ProcessorMessage::SinkGranted { sink, credits: 1 })?;
        if self.has_ended || !self.waiting.is_empty() {
            self.goes_on = true;
            myself.send_message(SinkMessage::GoOn)?;
        }
        Ok(())
    }

    /// The part of a batch that the output does not have yet. Other sinks of the pipeline may be further behind, so that
    /// a batch may lie before it; never beyond.
    fn due(&mut self, batch: Arc<EventBatch>) -> Result<Option<Arc<EventBatch>>, ExitError> {
        let (Some(next), Some(range)) = (self.next, batch.range()) else {
            return Err(ExitError::new(ErrorClass::Internal, "a batch came before the output was open"));
        };
        if *range.start() > next {
            let reason = format!("SRC-1: ledger {} came where {next} is due", range.start());
            return Err(ExitError::new(ErrorClass::Internal, reason));
        }
        if *range.end() < next {
            return Ok(None);
        }
        self.next = range.end().next();
        Ok(Some(match *range.start() == next {
            true => batch,
            false => Arc::new(batch.within(&(next..=*range.end()))),
        }))
    }

    fn report(&self, checkpoint: Option<LedgerSequence>) {
        if let Some(checkpoint) = checkpoint {
            (self.settings.on_checkpoint)(checkpoint);
        }
    }

    fn tell(&self, message: impl FnOnce(usize) -> ProcessorMessage) -> Result<(), ActorProcessingErr> {
        let Some((processor, sink)) = &self.upstream else { return Ok(()) };
        // After the last batch the processor may have ended.
        let _ = processor.send(message(*sink));
        Ok(())
    }
}
