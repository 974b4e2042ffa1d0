//! One end of a stream: numbers what it sends, checks what it is sent, and asks after a peer that is silent.
//!
//! Nothing here waits for room while it could receive: what is to be sent waits in a queue, so that two ends whose windows
//! of HTTP/2 are full go on hearing each other.

use std::collections::VecDeque;
use std::panic::AssertUnwindSafe;
use std::time::Duration;

use arrow_flight::FlightData;
use bytes::Bytes;
use futures::future::BoxFuture;
use futures::stream::BoxStream;
use futures::{FutureExt, StreamExt};
use orrery_supervisor::{ErrorClass, ExitError};
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::{Interval, MissedTickBehavior};
use tonic::Status;

use super::error::{ExchangeError, error_of};
use super::header_wire::{Body, Header};
use super::ipc::Message;
use super::ledger_frames::Frame;
use super::limits::{ExchangeLimits, FRAME_BYTES_MAX};

/// Frames that may wait. Batches wait only one at a time, so that more means a peer that sends and does not read.
const QUEUE_MAX: usize = 4096;

/// What comes in.
pub(super) type Incoming = BoxStream<'static, Result<FlightData, Status>>;

/// What goes out.
pub(super) type Outgoing = mpsc::Sender<Result<FlightData, Status>>;

/// One end of a stream.
pub(super) struct Link {
    /// The other end, in messages.
    node: String,
    /// `None` until the other end has opened the stream.
    epoch: Option<u64>,
    incoming: Incoming,
    outgoing: Outgoing,
    queue: VecDeque<FlightData>,
    sent: u64,
    received: u64,
    tick: Interval,
    liveness: Liveness,
}

/// A frame that came, and is in order.
#[derive(Debug)]
pub(super) struct Arrived {
    pub(super) body: Body,
    pub(super) traceparent: Option<String>,
    pub(super) message: Message,
}

/// What happened to a stream.
#[derive(Debug)]
pub(super) enum LinkEvent {
    /// A frame came.
    Arrived(Box<Arrived>),
    /// All that was queued has gone: there is room for a batch.
    Idle,
    /// The other end has ended the stream.
    Ended,
}

impl Link {
    /// An end whose first frames are still to come and to go.
    pub(super) fn new(
        node: String,
        epoch: Option<u64>,
        incoming: Incoming,
        outgoing: Outgoing,
        limits: &ExchangeLimits,
    ) -> Self {
        let mut tick = tokio::time::interval(limits.ask_after.max(Duration::from_millis(1)));
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        tick.reset();
        let liveness = Liveness::new(limits);
        Self { node, epoch, incoming, outgoing, queue: VecDeque::new(), sent: 0, received: 0, tick, liveness }
    }

    /// Name of the other end.
    pub(super) fn node(&self) -> &str {
        &self.node
    }

    /// Names the other end, once it has said who it is.
    pub(super) fn rename(&mut self, node: String) {
        self.node = node;
    }

    /// Queues a frame without a batch.
    pub(super) fn tell(&mut self, body: Body) -> Result<(), ExitError> {
        self.queue_frame(body, None, Bytes::new(), Bytes::new())
    }

    /// Queues a frame with a batch.
    pub(super) fn send(&mut self, frame: Frame, traceparent: Option<String>) -> Result<(), ExitError> {
        self.queue_frame(frame.body, traceparent, frame.message.header, frame.message.body)
    }

    fn queue_frame(
        &mut self,
        body: Body,
        traceparent: Option<String>,
        data_header: Bytes,
        data_body: Bytes,
    ) -> Result<(), ExitError> {
        if self.queue.len() >= QUEUE_MAX {
            let reason = format!("node {} does not read what it is sent", self.node);
            return Err(ExitError::new(ErrorClass::Unavailable, reason));
        }
        self.sent += 1;
        let header = Header { epoch: self.epoch.unwrap_or_default(), sequence: self.sent, traceparent, body };
        let app_metadata = header.encode()?;
        self.queue.push_back(FlightData { flight_descriptor: None, data_header, app_metadata, data_body });
        Ok(())
    }

    /// Whether all that was queued has gone.
    pub(super) fn is_idle(&self) -> bool {
        self.queue.is_empty()
    }

    /// Sends what waits, until something happens that is for the caller. May be dropped and called again.
    ///
    /// # Errors
    ///
    /// What the other end or the transport says, or what is wrong with the frame.
    pub(super) async fn next(&mut self) -> Result<LinkEvent, ExitError> {
        loop {
            let waits = !self.queue.is_empty();
            let (outgoing, queue) = (&self.outgoing, &mut self.queue);
            let send = async move {
                match outgoing.reserve().await {
                    Ok(room) => {
                        if let Some(frame) = queue.pop_front() {
                            room.send(Ok(frame));
                        }
                    }
                    // Why is told by what comes in.
                    Err(_) => queue.clear(),
                }
            };
            tokio::select! {
                () = send, if waits => if self.queue.is_empty() {
                    return Ok(LinkEvent::Idle);
                },
                frame = self.incoming.next() => match frame {
                    None => return Ok(LinkEvent::Ended),
                    Some(Err(status)) => return Err(error_of(&status, &self.node)),
                    Some(Ok(frame)) => if let Some(arrived) = self.arrived(frame)? {
                        return Ok(LinkEvent::Arrived(Box::new(arrived)));
                    },
                },
                _ = self.tick.tick() => match self.liveness.tick() {
                    Pulse::Heard => {}
                    Pulse::Ask => self.tell(Body::Ping)?,
                    Pulse::Gone(silent) => return Err(self.of(ExchangeError::Silent(silent))),
                },
            }
        }
    }

    /// Sends what waits, without looking at what comes. The end of a stream.
    pub(super) async fn flush(&mut self) {
        while let Some(frame) = self.queue.pop_front() {
            if self.outgoing.send(Ok(frame)).await.is_err() {
                return;
            }
        }
    }

    /// Checks a frame. `None` if it was for this file alone.
    fn arrived(&mut self, frame: FlightData) -> Result<Option<Arrived>, ExitError> {
        self.liveness.heard();
        let Header { epoch, sequence, traceparent, body } =
            Header::decode(&frame.app_metadata).map_err(|error| self.of(error))?;
        self.received += 1;
        if sequence != self.received {
            return Err(self.of(ExchangeError::Sequence { expected: self.received, found: sequence }));
        }
        let expected = *self.epoch.get_or_insert(epoch);
        if epoch != expected {
            return Err(self.of(ExchangeError::Epoch { expected, found: epoch }));
        }
        let bytes = body.window_bytes();
        if bytes > FRAME_BYTES_MAX || frame.data_body.len() > bytes {
            let what = format!("a frame `{}`", body.kind());
            let bytes = bytes.max(frame.data_body.len());
            return Err(self.of(ExchangeError::TooLarge { what, bytes, max: FRAME_BYTES_MAX }));
        }
        match body {
            Body::Ping => self.tell(Body::Pong)?,
            Body::Pong => {}
            body => {
                let message = Message { header: frame.data_header, body: frame.data_body, bytes };
                return Ok(Some(Arrived { body, traceparent, message }));
            }
        }
        Ok(None)
    }

    /// An error of this stream, with the name of the other end.
    pub(super) fn of(&self, error: ExchangeError) -> ExitError {
        ExitError::new(error.class(), format!("node {}: {error}", self.node))
    }

    /// A frame that has no place.
    pub(super) fn unexpected(&self, body: &Body) -> ExitError {
        self.of(ExchangeError::Unexpected { kind: body.kind() })
    }
}

/// How long the other end has been silent, in ticks.
#[derive(Clone, Copy, Debug)]
struct Liveness {
    silent: u32,
    silent_max: u32,
    limit: Duration,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Pulse {
    Heard,
    Ask,
    Gone(Duration),
}

impl Liveness {
    fn new(limits: &ExchangeLimits) -> Self {
        let ticks = limits.silent_max.as_nanos().div_ceil(limits.ask_after.as_nanos().max(1));
        Self {
            silent: 0,
            silent_max: u32::try_from(ticks).unwrap_or(u32::MAX).max(2),
            limit: limits.silent_max,
        }
    }

    fn heard(&mut self) {
        self.silent = 0;
    }

    fn tick(&mut self) -> Pulse {
        self.silent += 1;
        match self.silent {
            // Something came since the tick before.
            1 => Pulse::Heard,
            silent if silent > self.silent_max => Pulse::Gone(self.limit),
            _ => Pulse::Ask,
        }
    }
}

/// A stream's end at work, beside the actor or the response that owns it; dropping it ends the work.
pub(super) struct LinkTask {
    _task: JoinSet<()>,
}

impl LinkTask {
    /// Does `work`, and then tells what came of it. A panic of it is an error like others.
    pub(super) fn start(
        work: BoxFuture<'static, Result<(), ExitError>>,
        ended: impl FnOnce(Result<(), ExitError>) -> BoxFuture<'static, ()> + Send + 'static,
    ) -> Self {
        let mut task = JoinSet::new();
        task.spawn(async move {
            let outcome = AssertUnwindSafe(work).catch_unwind().await;
            let panicked = || ExitError::new(ErrorClass::Internal, "the exchange with another node panicked");
            ended(outcome.unwrap_or_else(|_| Err(panicked()))).await;
        });
        Self { _task: task }
    }
}

/// Does work on a frame: off the runtime's own threads, or at once where to go there takes longer than the work.
pub(super) async fn work_on<T: Send + 'static>(
    is_quick: bool,
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, ExitError> {
    if is_quick {
        return Ok(work());
    }
    let done = tokio::task::spawn_blocking(work).await;
    done.map_err(|error| ExitError::new(ErrorClass::Internal, format!("work on a frame ended: {error}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_silent_peer_is_asked_and_then_given_up() {
        let mut limits = ExchangeLimits::default();
        (limits.ask_after, limits.silent_max) = (Duration::from_secs(3), Duration::from_secs(12));
        let mut liveness = Liveness::new(&limits);
        let gone = Pulse::Gone(Duration::from_secs(12));
        let pulses: Vec<_> = (0..5).map(|_| liveness.tick()).collect();
        assert_eq!(pulses, [Pulse::Heard, Pulse::Ask, Pulse::Ask, Pulse::Ask, gone]);
        liveness.heard();
        assert_eq!(liveness.tick(), Pulse::Heard);
    }
}
