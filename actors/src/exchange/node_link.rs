//! How a node reaches another one for a stage of a pipeline.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use arrow_flight::FlightData;
use arrow_flight::flight_service_client::FlightServiceClient;
use futures::StreamExt;
use futures::future::BoxFuture;
use orrery_supervisor::{Backoff, Clock, ErrorClass, ExitError, SeededRandom, SystemClock};
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::Status;
use tonic::transport::Channel;
use tracing::Span;

use super::error::error_of;
use super::header_wire::{Body, Opening};
use super::limits::{ExchangeLimits, MESSAGE_BYTES_MAX, OUTGOING_FRAMES};
use super::link::Link;
use super::meter::ExchangeMeter;

/// Gives a connection to the node, new or shared: whoever makes it has proven who the other end is.
pub type Connect = Arc<dyn Fn() -> BoxFuture<'static, Result<Channel, ExitError>> + Send + Sync>;

/// Gives the W3C `traceparent` of a span; `None` if it is not recorded.
pub type Inject = Arc<dyn Fn(&Span) -> Option<String> + Send + Sync>;

/// Gives a span that continues a `traceparent`.
pub type Extract = Arc<dyn Fn(&str) -> Span + Send + Sync>;

/// How trace context crosses: W3C `traceparent` of a span, and a span that goes on from one.
#[derive(Clone)]
pub struct TraceContext {
    /// The header of a span; `None` if it is not recorded.
    pub inject: Inject,
    /// A span that continues the header.
    pub extract: Extract,
}

impl TraceContext {
    /// Without traces.
    pub fn none() -> Self {
        Self { inject: Arc::new(|_| None), extract: Arc::new(|_| Span::none()) }
    }

    /// The span of a frame.
    pub(super) fn span(&self, traceparent: Option<&str>) -> Span {
        traceparent.map_or_else(Span::none, |header| (self.extract)(header))
    }
}

/// Another node, as a place for stages.
#[derive(Clone)]
pub struct RemoteNode {
    /// Its name, in messages.
    pub name: String,
    /// How it is reached.
    pub connect: Connect,
    /// Bounds of each stream.
    pub limits: ExchangeLimits,
    /// Trace context of batches.
    pub traces: TraceContext,
    /// Counts over all streams to it.
    pub meter: Arc<ExchangeMeter>,
}

impl fmt::Debug for RemoteNode {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("RemoteNode").field("name", &self.name).finish_non_exhaustive()
    }
}

/// How long a node that does not answer is waited for, before there is a stream. One that goes when there was ends the
/// stage: the pipeline begins anew from what is durable.
#[derive(Clone)]
pub struct Reach {
    /// In all; for ever if `None`.
    pub patience: Option<Duration>,
    /// Between attempts.
    pub backoff: Backoff,
    /// Time.
    pub clock: Arc<dyn Clock>,
    /// Seed of the jitter.
    pub seed: u64,
}

impl Reach {
    /// One attempt.
    pub fn once() -> Self {
        let clock = Arc::new(SystemClock::new());
        Self { patience: Some(Duration::ZERO), backoff: Backoff::DEFAULT, clock, seed: 0 }
    }
}

impl RemoteNode {
    /// Opens a stream for one life of a stage, as soon as the node is there.
    pub(super) async fn open(&self, epoch: u64, opening: &Opening, reach: &Reach) -> Result<Link, ExitError> {
        let (since, mut random, mut attempts) = (reach.clock.now(), SeededRandom::new(reach.seed), 0);
        loop {
            let error = match self.try_open(epoch, opening.clone()).await {
                Err(error) if error.class == ErrorClass::Unavailable => error,
                opened => return opened,
            };
            let waited = reach.clock.now().since(since);
            if reach.patience.is_some_and(|patience| waited >= patience) {
                return Err(ExitError::new(ErrorClass::Exhausted, error.message));
            }
            attempts += 1;
            let delay = reach.backoff.delay(attempts, &mut || random.draw());
            tracing::warn!(
                error = error.message,
                node = self.name,
                attempts,
                ?delay,
                "a node is away, trying again"
            );
            tokio::time::sleep(delay).await;
        }
    }

    async fn try_open(&self, epoch: u64, opening: Opening) -> Result<Link, ExitError> {
        let limit = self.limits.open_within;
        let late = |_| {
            ExitError::new(
                ErrorClass::Unavailable,
                format!("node {} did not answer within {limit:?}", self.name),
            )
        };
        let channel = tokio::time::timeout(limit, (self.connect)()).await.map_err(late)??;
        let mut client = FlightServiceClient::new(channel)
            .max_decoding_message_size(MESSAGE_BYTES_MAX)
            .max_encoding_message_size(MESSAGE_BYTES_MAX);
        let (outgoing, requests) = mpsc::channel::<Result<FlightData, Status>>(OUTGOING_FRAMES);
        let requests = ReceiverStream::new(requests).filter_map(|frame| std::future::ready(frame.ok()));
        let answer = tokio::time::timeout(limit, client.do_exchange(requests)).await.map_err(late)?;
        let incoming = answer.map_err(|status| error_of(&status, &self.name))?.into_inner();
        let mut link = Link::new(self.name.clone(), Some(epoch), incoming.boxed(), outgoing, &self.limits);
        link.tell(Body::Open(opening))?;
        Ok(link)
    }
}
