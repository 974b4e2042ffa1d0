//! A sink of a pipeline whose real one runs on another node: events go there, credits and acknowledgements come back.

use std::collections::VecDeque;
use std::ops::RangeInclusive;
use std::sync::Arc;

use futures::FutureExt;
use futures::future::BoxFuture;
use orrery_schemas::{Hash32, LedgerSequence};
use orrery_supervisor::{ExitError, Handle};
use ractor::{Actor, ActorProcessingErr, ActorRef};
use tokio::sync::mpsc;

use super::error::ExchangeError;
use super::event_frames::{self, PartEncoder};
use super::header_wire::{Body, Opening, hash};
use super::ledger_frames::Frame;
use super::link::{Link, LinkEvent, LinkTask, work_on};
use super::meter::StreamMeter;
use super::node_link::{Reach, RemoteNode};
use super::part_credits::PartCredits;
use super::remote_fetcher::ended;
use super::window::SendWindow;
use crate::envelope::{EventBatch, Position, ProcessorMessage, SinkMessage};
use crate::sink::OnCheckpoint;

/// Messages that may wait for the stream, which takes them at once: batches wait behind it, bounded by their credits.
const MESSAGES_WAITING: usize = 16;

/// What a remote sink is made from.
#[derive(Clone)]
pub struct RemoteSinkSettings {
    /// Where the real one is.
    pub node: Arc<RemoteNode>,
    /// What it is to write.
    pub opening: Opening,
    /// Incarnation of the pipeline.
    pub epoch: u64,
    /// How long the node is waited for.
    pub reach: Reach,
    /// Told of checkpoints that the other node acknowledged.
    pub on_checkpoint: OnCheckpoint,
}

/// The actor. In: batches in order, each against a credit. Out: a credit for each batch that the real sink took. Ends
/// normally when the last batch is durable there, and with the error that the other node or the link to it gives.
pub struct RemoteSink;

/// What it holds while it runs.
pub struct RemoteSinkState {
    settings: RemoteSinkSettings,
    messages: mpsc::Sender<Told>,
    link: Option<LinkTask>,
    /// Until the task that takes them begins.
    waiting: Option<mpsc::Receiver<Told>>,
}

/// By the processor.
enum Told {
    Events(Arc<EventBatch>),
    End,
}

impl Actor for RemoteSink {
    type Msg = SinkMessage;
    type State = RemoteSinkState;
    type Arguments = RemoteSinkSettings;

    async fn pre_start(
        &self,
        _: ActorRef<SinkMessage>,
        settings: RemoteSinkSettings,
    ) -> Result<RemoteSinkState, ActorProcessingErr> {
        let (messages, waiting) = mpsc::channel(MESSAGES_WAITING);
        Ok(RemoteSinkState { settings, messages, link: None, waiting: Some(waiting) })
    }

    async fn handle(
        &self,
        myself: ActorRef<SinkMessage>,
        message: SinkMessage,
        state: &mut RemoteSinkState,
    ) -> Result<(), ActorProcessingErr> {
        match message {
            SinkMessage::Open { processor, sink } => {
                let Some(waiting) = state.waiting.take() else { return Ok(()) };
                let hub = Hub::new(state.settings.clone(), Upstream { processor, sink });
                state.link = Some(LinkTask::start(hub.run(waiting).boxed(), move |outcome| {
                    // Nobody waits for the reason if the actor has ended.
                    let _ = myself.send_message(SinkMessage::LinkEnded(outcome));
                    std::future::ready(()).boxed()
                }));
            }
            // Without a task to take them the reason is on its way to this mailbox.
            SinkMessage::Events(batch) => drop(state.messages.send(Told::Events(batch)).await),
            SinkMessage::End => drop(state.messages.send(Told::End).await),
            // The real one waits, where it is.
            SinkMessage::GoOn => {}
            SinkMessage::LinkEnded(outcome) => {
                outcome?;
                myself.stop(None);
            }
        }
        Ok(())
    }

    async fn post_stop(
        &self,
        _: ActorRef<SinkMessage>,
        state: &mut RemoteSinkState,
    ) -> Result<(), ActorProcessingErr> {
        state.link = None;
        Ok(())
    }
}

/// The processor, and this sink's number there.
struct Upstream {
    processor: Handle<ProcessorMessage>,
    sink: usize,
}

impl Upstream {
    fn tell(&self, message: impl FnOnce(usize) -> ProcessorMessage) {
        // After the last batch the processor may have ended.
        let _ = self.processor.send(message(self.sink));
    }
}

/// The frames of one part, or why there are none, and what encoded it.
type Encoded = (PartEncoder, Result<[Frame; 2], ExchangeError>);

/// What is known of a stream of events where they come from.
struct Hub {
    settings: RemoteSinkSettings,
    upstream: Upstream,
    window: SendWindow,
    credits: PartCredits,
    meter: StreamMeter,
    /// Sent by the processor and not begun.
    waiting: VecDeque<Arc<EventBatch>>,
    /// The batch in work, and its parts that are not encoded.
    current: Option<(Arc<EventBatch>, VecDeque<RangeInclusive<LedgerSequence>>)>,
    encoding: Option<BoxFuture<'static, Result<Encoded, ExitError>>>,
    /// `None` while it is at work.
    encoder: Option<PartEncoder>,
    /// Encoded, and waiting for window and credits.
    ready: Option<[Frame; 2]>,
    /// No more will come.
    end: End,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    NotYet,
    /// When all that waits is sent.
    Due,
    /// The other end has been told.
    Told,
}

impl Hub {
    fn new(settings: RemoteSinkSettings, upstream: Upstream) -> Self {
        Self {
            window: SendWindow::new(settings.opening.window_bytes),
            meter: StreamMeter::new(settings.node.meter.clone()),
            encoder: Some(PartEncoder::new(settings.node.limits.compression)),
            settings,
            upstream,
            credits: PartCredits::default(),
            waiting: VecDeque::new(),
            current: None,
            encoding: None,
            ready: None,
            end: End::NotYet,
        }
    }

    /// The stream, from its opening to its end.
    async fn run(mut self, mut messages: mpsc::Receiver<Told>) -> Result<(), ExitError> {
        let settings = &self.settings;
        let mut link = settings.node.open(settings.epoch, &settings.opening, &settings.reach).await?;
        loop {
            self.advance(&mut link)?;
            tokio::select! {
                told = messages.recv() => match told {
                    Some(Told::Events(batch)) => self.waiting.push_back(batch),
                    Some(Told::End) => self.end = End::Due,
                    // The actor has ended, and this task with it.
                    None => return Ok(()),
                },
                encoded = async { match &mut self.encoding { Some(work) => work.await, None => std::future::pending().await } } => {
                    self.encoding = None;
                    let (encoder, frames) = encoded?;
                    self.encoder = Some(encoder);
                    self.ready = Some(frames.map_err(|error| link.of(error))?);
                },
                event = link.next() => match event? {
                    LinkEvent::Arrived(arrived) if arrived.body == Body::Finished && self.end == End::Told => {
                        return Ok(());
                    }
                    LinkEvent::Arrived(arrived) => self.take(&arrived.body, &link)?,
                    LinkEvent::Idle => {}
                    LinkEvent::Ended => return Err(ended(&link)),
                },
            }
            self.meter.in_flight(self.window.spent());
        }
    }

    /// Sends what may be sent, and has the next part encoded.
    fn advance(&mut self, link: &mut Link) -> Result<(), ExitError> {
        if let Some([ledgers, rows]) = &self.ready {
            let bytes = ledgers.message.bytes + rows.message.bytes;
            if link.is_idle() && self.credits.left() > 0 && self.window.try_spend(bytes) {
                self.credits.spend().map_err(|error| link.of(error))?;
                let traceparent = self.current.as_ref().and_then(|(batch, _)| self.trace(batch));
                for frame in self.ready.take().into_iter().flatten() {
                    link.send(frame, traceparent.clone())?;
                }
                self.meter.sent(bytes);
            }
        }
        if self.ready.is_some() || self.encoding.is_some() {
            return Ok(());
        }
        if self.current.as_ref().is_none_or(|(_, parts)| parts.is_empty()) {
            self.current = None;
            if let Some(batch) = self.waiting.pop_front() {
                let parts: VecDeque<_> = event_frames::parts(&batch).map_err(|error| link.of(error))?.into();
                self.credits.begin(parts.len() as u32);
                self.current = Some((batch, parts));
            }
        }
        if let Some((batch, parts)) = &mut self.current
            && let Some(range) = parts.pop_front()
        {
            let (part, mut encoder) = (batch.within(&range), self.encoder.take().unwrap_or_default());
            let work = work_on(encoder.is_quick(&part), move || {
                let frames = event_frames::encode(&part, &mut encoder);
                (encoder, frames)
            });
            self.encoding = Some(work.boxed());
        } else if self.end == End::Due && self.waiting.is_empty() {
            self.end = End::Told;
            link.tell(Body::End)?;
        }
        Ok(())
    }

    fn trace(&self, batch: &EventBatch) -> Option<String> {
        (self.settings.node.traces.inject)(&batch.trace)
    }

    fn take(&mut self, body: &Body, link: &Link) -> Result<(), ExitError> {
        match body {
            Body::Ready { next, parent } => {
                let parent = parent.as_deref().map(hash).transpose().map_err(|error| link.of(error))?;
                let position = Position { next: LedgerSequence(*next), parent: parent.map(Hash32) };
                self.upstream.tell(|sink| ProcessorMessage::SinkReady { sink, position });
            }
            Body::Granted { credits } => {
                let credits = self.credits.grant(*credits).map_err(|error| link.of(error))?;
                if credits > 0 {
                    self.upstream.tell(|sink| ProcessorMessage::SinkGranted { sink, credits });
                }
            }
            Body::Credit { bytes } => self.window.grant(*bytes).map_err(|error| link.of(error))?,
            Body::Durable { ledger } => {
                self.meter.durable(LedgerSequence(*ledger));
                (self.settings.on_checkpoint)(LedgerSequence(*ledger));
            }
            body => return Err(link.unexpected(body)),
        }
        Ok(())
    }
}
