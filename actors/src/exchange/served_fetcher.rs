//! A fetcher that works for a processor on another node: demands come, ledgers go, as far as credits and window reach.

use std::collections::VecDeque;

use futures::FutureExt;
use futures::future::BoxFuture;
use orrery_schemas::LedgerSequence;
use orrery_supervisor::{ErrorClass, ExitError, Handle};

use super::error::ExchangeError;
use super::header_wire::Body;
use super::ipc::Encoder;
use super::ledger_frames::{ChunkFrames, Frame};
use super::limits::{Compression, OBJECTS_AHEAD};
use super::link::{Arrived, Link, LinkEvent, work_on};
use super::meter::StreamMeter;
use super::node_link::TraceContext;
use super::relay::{Relayed, Stage};
use super::window::SendWindow;
use crate::envelope::{Demand, ProcessorMessage, SourceMessage};
use crate::flow::Credits;

/// The frames of an object and the next of them, and what encoded it.
type Split = (ChunkFrames, Encoder, Result<Option<Frame>, ExchangeError>);

/// What is known of a stream of ledgers where they are fetched.
pub(super) struct ServedFetcher {
    window: SendWindow,
    meter: StreamMeter,
    /// `None` while it is at work.
    encoder: Option<Encoder>,
    traces: TraceContext,
    fetcher: Option<Handle<SourceMessage>>,
    /// Came before the fetcher was known.
    unsent: Vec<Demand>,
    run: u64,
    credits: Credits,
    /// Objects of this run that are not begun: [`OBJECTS_AHEAD`] at most, with the one in work.
    objects: VecDeque<ChunkFrames>,
    splitting: Option<BoxFuture<'static, Result<Split, ExitError>>>,
    /// Encoded, and waiting for window and credits.
    ready: Option<(u64, Option<String>, Frame)>,
    /// The fetcher has no more in this run.
    source_ended: bool,
}

impl ServedFetcher {
    pub(super) fn new(
        window_bytes: usize,
        compression: Compression,
        traces: TraceContext,
        meter: StreamMeter,
    ) -> Self {
        Self {
            window: SendWindow::new(window_bytes),
            meter,
            encoder: Some(Encoder::new(compression)),
            traces,
            fetcher: None,
            unsent: Vec::new(),
            run: 0,
            credits: Credits::default(),
            objects: VecDeque::new(),
            splitting: None,
            ready: None,
            source_ended: false,
        }
    }

    /// The stream, until one of its ends ends.
    pub(super) async fn run(mut self, link: &mut Link, mut stage: Stage) -> Result<(), ExitError> {
        loop {
            self.advance(link)?;
            let splitting = async {
                match &mut self.splitting {
                    Some(work) => work.await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                split = splitting => {
                    self.splitting = None;
                    self.split(split?, link)?;
                }
                event = link.next() => match event? {
                    LinkEvent::Arrived(arrived) => self.take(&arrived, link)?,
                    LinkEvent::Idle => {}
                    LinkEvent::Ended => return Ok(()),
                },
                relayed = stage.relayed.recv() => match relayed {
                    Some(Relayed::Told(told)) => self.hear(*told)?,
                    Some(Relayed::Sink(_)) => {}
                    None => stage.ended().await?,
                },
                ended = stage.ended.changed() => {
                    drop(ended);
                    stage.ended().await?;
                    return Err(ExitError::new(ErrorClass::Internal, "the fetcher ended before it was told to"));
                }
            }
            self.meter.in_flight(self.window.spent());
        }
    }

    /// Of the processor on the other node.
    fn take(&mut self, arrived: &Arrived, link: &Link) -> Result<(), ExitError> {
        let demand = match &arrived.body {
            Body::Begin { run, from, avoid, attempt, credits } => {
                (self.run, self.credits, self.source_ended) = (*run, Credits::default(), false);
                self.credits.grant(*credits);
                self.objects.clear();
                self.ready = None;
                let (run, from) = (*run, LedgerSequence(*from));
                Demand::Begin { run, from, avoid: *avoid, attempt: *attempt, credits: OBJECTS_AHEAD }
            }
            Body::Grant { run, credits } => {
                if *run == self.run {
                    self.credits.grant(*credits);
                }
                return Ok(());
            }
            Body::Credit { bytes } => return self.window.grant(*bytes).map_err(|error| link.of(error)),
            body => return Err(link.unexpected(body)),
        };
        self.ask(demand)
    }

    fn ask(&mut self, demand: Demand) -> Result<(), ExitError> {
        let Some(fetcher) = &self.fetcher else {
            self.unsent.push(demand);
            return Ok(());
        };
        let gone = |_| ExitError::new(ErrorClass::Unavailable, "the fetcher has ended");
        fetcher.send(SourceMessage::Demand(demand)).map_err(gone)
    }

    /// Of the fetcher.
    fn hear(&mut self, told: ProcessorMessage) -> Result<(), ExitError> {
        match told {
            ProcessorMessage::SourceIs(fetcher) => {
                self.fetcher = Some(fetcher);
                // Only the last run counts.
                match self.unsent.pop() {
                    Some(demand) => self.ask(demand),
                    None => Ok(()),
                }
            }
            ProcessorMessage::Ledgers(batch) if batch.run == self.run => {
                self.objects.push_back(ChunkFrames::new(batch.run, batch.chunk));
                Ok(())
            }
            ProcessorMessage::SourceEnded { run } => {
                self.source_ended |= run == self.run;
                Ok(())
            }
            // Of an earlier run, or not of a fetcher.
            ProcessorMessage::Ledgers(_)
            | ProcessorMessage::SinkReady { .. }
            | ProcessorMessage::SinkGranted { .. }
            | ProcessorMessage::Worked { .. } => Ok(()),
        }
    }

    /// The next frame of an object is there, or the object is done.
    fn split(&mut self, (frames, encoder, next): Split, link: &Link) -> Result<(), ExitError> {
        self.encoder = Some(encoder);
        let run = frames.run();
        if run != self.run {
            return Ok(());
        }
        match next.map_err(|error| link.of(error))? {
            Some(frame) => {
                self.ready = Some((run, (self.traces.inject)(frames.trace()), frame));
                self.objects.push_front(frames);
                Ok(())
            }
            None => self.ask(Demand::Grant { run, credits: 1 }),
        }
    }

    /// Sends what may be sent, and has the next frame made.
    fn advance(&mut self, link: &mut Link) -> Result<(), ExitError> {
        if let Some((_, traceparent, frame)) = &mut self.ready {
            let bytes = frame.message.bytes;
            if !link.is_idle() || self.credits.left() == 0 || !self.window.try_spend(bytes) {
                return Ok(());
            }
            self.credits.spend().map_err(|_| link.of(ExchangeError::Credit("ledgers without a credit")))?;
            let traceparent = traceparent.take();
            if let Some((_, _, frame)) = self.ready.take() {
                link.send(frame, traceparent)?;
            }
            self.meter.sent(bytes);
        }
        if self.splitting.is_none() {
            if let Some(frames) = self.objects.pop_front() {
                let encoder = self.encoder.take().unwrap_or_default();
                self.splitting = Some(next_frame(frames, encoder));
            } else if std::mem::take(&mut self.source_ended) {
                link.tell(Body::Ended { run: self.run })?;
            }
        }
        Ok(())
    }
}

/// Makes the next frame, on another thread unless that takes longer than the work.
fn next_frame(mut frames: ChunkFrames, mut encoder: Encoder) -> BoxFuture<'static, Result<Split, ExitError>> {
    let is_quick = frames.is_quick() && encoder.only_copies();
    let work = move || {
        let next = frames.next(&mut encoder);
        (frames, encoder, next)
    };
    work_on(is_quick, work).boxed()
}
