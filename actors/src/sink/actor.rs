//! A sink as an actor: takes batches against credits and makes them durable.

use std::sync::Arc;

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
        Ok(SinkState { settings, upstream: None, next: None })
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
                if let Some(batch) = state.due(batch)? {
                    let checkpoint = state.settings.output.write(batch).await?;
                    state.report(checkpoint);
                }
                state.tell(|sink| ProcessorMessage::SinkGranted { sink, credits: 1 })
            }
            SinkMessage::End => {
                let checkpoint = state.settings.output.finish().await?;
                state.report(checkpoint);
                myself.stop(None);
                Ok(())
            }
            SinkMessage::LinkEnded(outcome) => Ok(outcome?),
        }
    }
}

impl SinkState {
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
