//! A sink that works for a processor on another node: events come, credits and acknowledgements go.

use std::collections::VecDeque;
use std::ops::RangeInclusive;
use std::sync::Arc;

use orrery_schemas::{Ledger, LedgerSequence};
use orrery_supervisor::{ErrorClass, ExitError, Handle};
use tokio::sync::{OwnedSemaphorePermit, watch};

use super::error::ExchangeError;
use super::event_frames;
use super::header_wire::Body;
use super::link::{Arrived, Link, LinkEvent, work_on};
use super::meter::StreamMeter;
use super::node_link::TraceContext;
use super::relay::{Relayed, Stage};
use super::window::ReceiveWindow;
use crate::envelope::{EventBatch, Position, ProcessorMessage, SinkMessage};
use crate::flow::Credits;

/// What is known of a stream of events where they are written.
pub(super) struct ServedSink {
    window: ReceiveWindow,
    meter: StreamMeter,
    traces: TraceContext,
    sink: Option<Handle<SinkMessage>>,
    /// Batches that the other end may send; the first grant says how many the sink takes at a time.
    credits: Credits,
    has_granted: bool,
    /// The ledgers' rows of a part whose events are still to come.
    half: Option<(Vec<Ledger>, OwnedSemaphorePermit)>,
    /// Of the parts that the sink has not taken, oldest first.
    held: VecDeque<[OwnedSemaphorePermit; 2]>,
    due: Option<LedgerSequence>,
    has_ended: bool,
    /// Last ledger that the other end was told to be durable.
    acknowledged: Option<LedgerSequence>,
}

impl ServedSink {
    pub(super) fn new(window: ReceiveWindow, traces: TraceContext, meter: StreamMeter) -> Self {
        Self {
            window,
            meter,
            traces,
            sink: None,
            credits: Credits::default(),
            has_granted: false,
            half: None,
            held: VecDeque::new(),
            due: None,
            has_ended: false,
            acknowledged: None,
        }
    }

    /// The stream, until one of its ends ends. What the sink has made durable is told by `durable`.
    pub(super) async fn run(
        mut self,
        link: &mut Link,
        mut stage: Stage,
        mut durable: watch::Receiver<Option<LedgerSequence>>,
    ) -> Result<(), ExitError> {
        loop {
            tokio::select! {
                bytes = self.window.returned() => link.tell(Body::Credit { bytes })?,
                event = link.next() => match event? {
                    LinkEvent::Arrived(arrived) => self.take(*arrived, link).await?,
                    LinkEvent::Idle => {}
                    LinkEvent::Ended => return Ok(()),
                },
                relayed = stage.relayed.recv() => match relayed {
                    Some(Relayed::Sink(sink)) => self.sink = Some(sink),
                    Some(Relayed::Told(told)) => self.hear(&told, link)?,
                    None => stage.ended().await?,
                },
                Ok(()) = durable.changed() => self.acknowledge(&mut durable, link)?,
                ended = stage.ended.changed() => {
                    drop(ended);
                    stage.ended().await?;
                    return self.finish(link, &mut durable).await;
                }
            }
            self.meter.in_flight(self.window.held());
        }
    }

    /// The sink has ended normally.
    async fn finish(
        &mut self,
        link: &mut Link,
        durable: &mut watch::Receiver<Option<LedgerSequence>>,
    ) -> Result<(), ExitError> {
        if !self.has_ended {
            return Err(ExitError::new(ErrorClass::Internal, "the sink ended before it was told to"));
        }
        self.acknowledge(durable, link)?;
        link.tell(Body::Finished)?;
        link.flush().await;
        Ok(())
    }

    /// Tells the other end what is durable now.
    fn acknowledge(
        &mut self,
        durable: &mut watch::Receiver<Option<LedgerSequence>>,
        link: &mut Link,
    ) -> Result<(), ExitError> {
        let now = *durable.borrow_and_update();
        match now.filter(|_| now > self.acknowledged) {
            Some(ledger) => {
                self.acknowledged = now;
                self.meter.durable(ledger);
                link.tell(Body::Durable { ledger: ledger.0 })
            }
            None => Ok(()),
        }
    }

    /// Of the sink.
    fn hear(&mut self, told: &ProcessorMessage, link: &mut Link) -> Result<(), ExitError> {
        match told {
            ProcessorMessage::SinkReady { position: Position { next, parent }, .. } => {
                let parent = parent.map(|parent| parent.to_string());
                link.tell(Body::Ready { next: next.0, parent })
            }
            ProcessorMessage::SinkGranted { credits, .. } => {
                self.credits.grant(*credits);
                if std::mem::replace(&mut self.has_granted, true) {
                    self.held.drain(..(*credits as usize).min(self.held.len()));
                }
                link.tell(Body::Granted { credits: *credits })
            }
            // Not of a sink.
            ProcessorMessage::SourceIs(_)
            | ProcessorMessage::Ledgers(_)
            | ProcessorMessage::SourceEnded { .. }
            | ProcessorMessage::Worked { .. } => Ok(()),
        }
    }

    /// Of the processor on the other node.
    async fn take(&mut self, arrived: Arrived, link: &mut Link) -> Result<(), ExitError> {
        let Arrived { body, traceparent, message } = arrived;
        let bytes = body.window_bytes();
        let permit = self.window.take(bytes).map_err(|error| link.of(error))?;
        self.meter.received(bytes);
        match body {
            Body::Events { first, last, .. } if self.half.is_none() && !self.has_ended => {
                let range = self.next(first, last).map_err(|error| link.of(error))?;
                let ledgers =
                    work_on(message.is_quick(), move || event_frames::decode_ledgers(&range, message))
                        .await?;
                self.half = Some((ledgers.map_err(|error| link.of(error))?, permit));
                Ok(())
            }
            Body::Rows { .. } => {
                let Some((ledgers, first)) = self.half.take() else {
                    return Err(link.of(ExchangeError::Unexpected { kind: "rows" }));
                };
                let decoded = work_on(message.is_quick(), move || {
                    let rows = event_frames::decode_rows(&ledgers, message)?;
                    Ok::<_, ExchangeError>((ledgers, rows))
                });
                let (ledgers, rows) = decoded.await?.map_err(|error| link.of(error))?;
                self.held.push_back([first, permit]);
                let trace = self.traces.span(traceparent.as_deref());
                self.tell(SinkMessage::Events(Arc::new(EventBatch { ledgers, rows, trace })))
            }
            Body::End if self.half.is_none() && !self.has_ended => {
                self.has_ended = true;
                self.tell(SinkMessage::End)
            }
            body => Err(link.unexpected(&body)),
        }
    }

    /// Counts a part: it must follow the one before, and have a credit.
    fn next(&mut self, first: u32, last: u32) -> Result<RangeInclusive<LedgerSequence>, ExchangeError> {
        let found = LedgerSequence(first);
        if let Some(due) = self.due
            && due != found
        {
            return Err(ExchangeError::Order { due, found });
        }
        if last < first {
            return Err(ExchangeError::Header { problem: format!("events of ledgers {first} to {last}") });
        }
        self.credits.spend().map_err(|_| ExchangeError::Credit("events came without a credit"))?;
        self.due = LedgerSequence(last).next();
        Ok(found..=LedgerSequence(last))
    }

    fn tell(&self, message: SinkMessage) -> Result<(), ExitError> {
        let gone = || ExitError::new(ErrorClass::Unavailable, "the sink has ended");
        self.sink.as_ref().ok_or_else(gone)?.send(message).map_err(|_| gone())
    }
}
