//! Stages that are not there, as those who talk with them see them: a processor's mailbox, a fetcher of given ledgers, and
//! batches of given rows.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures::future::BoxFuture;
use futures::{FutureExt, StreamExt};
use orrery_actors::envelope::{EventBatch, ProcessorMessage};
use orrery_actors::metrics::PipelineMetrics;
use orrery_actors::source::{FetchedObject, Fetcher, FetcherSettings, LedgerChunk, Ledgers};
use orrery_schemas::{LedgerSequence, TokenTransfer};
use orrery_supervisor::{Backoff, ChildSpec, ExitError, Handle, Probe, SeededRandom, SystemClock};
use ractor::{Actor, ActorProcessingErr, ActorRef};
use tokio::sync::mpsc;

#[path = "rows.rs"]
mod rows;

/// Messages that nobody has looked at.
const UNHEARD_MAX: usize = 1024;

/// Stands in for a processor: hands on what it is told.
struct Ear;

impl Actor for Ear {
    type Msg = ProcessorMessage;
    type State = mpsc::Sender<ProcessorMessage>;
    type Arguments = mpsc::Sender<ProcessorMessage>;

    async fn pre_start(
        &self,
        _: ActorRef<ProcessorMessage>,
        told: mpsc::Sender<ProcessorMessage>,
    ) -> Result<mpsc::Sender<ProcessorMessage>, ActorProcessingErr> {
        Ok(told)
    }

    async fn handle(
        &self,
        _: ActorRef<ProcessorMessage>,
        message: ProcessorMessage,
        told: &mut mpsc::Sender<ProcessorMessage>,
    ) -> Result<(), ActorProcessingErr> {
        // Whoever listened may have heard enough.
        let _ = told.send(message).await;
        Ok(())
    }
}

/// A processor's mailbox.
pub(crate) async fn processor() -> (Handle<ProcessorMessage>, mpsc::Receiver<ProcessorMessage>) {
    let (told, hears) = mpsc::channel(UNHEARD_MAX);
    let (actor, _) = Actor::spawn(None, Ear, told).await.unwrap();
    (Handle::new(actor, Arc::new(Probe::default())), hears)
}

/// A fetcher that gives these ledgers, one object each; `first` is the first one's number.
pub(crate) fn fetcher(first: u32, ledgers: Arc<Vec<Bytes>>) -> ChildSpec {
    ChildSpec::worker("fetcher", move |context| {
        let ledgers = ledgers.clone();
        let open = Arc::new(move |from: LedgerSequence, _| {
            let ledgers = ledgers.clone();
            async move {
                let chunks = (from.0..first + ledgers.len() as u32).map(move |ledger| {
                    let bytes = ledgers[(ledger - first) as usize].clone();
                    let range = LedgerSequence(ledger)..=LedgerSequence(ledger);
                    let file = format!("{ledger}").into();
                    let object = FetchedObject { file, named: range.clone(), range, bytes };
                    Ok(LedgerChunk::new(object, 0, "lake".into(), None))
                });
                Ok(futures::stream::iter(chunks).boxed())
            }
            .boxed() as BoxFuture<'static, Result<Ledgers, ExitError>>
        });
        let settings = FetcherSettings {
            open,
            processor: context.sibling("processor")?,
            probe: context.probe().clone(),
            patience: None,
            backoff: Backoff::DEFAULT,
            refetch_after: Duration::ZERO,
            clock: Arc::new(SystemClock::new()),
            random: SeededRandom::new(1),
            metrics: Arc::new(PipelineMetrics::new("served")),
        };
        Ok((Fetcher, settings))
    })
}

/// A batch of these rows, which are of the ledgers from `first` on.
pub(crate) fn batch(first: u32, events: &[impl AsRef<[TokenTransfer]>]) -> EventBatch {
    let (ledgers, rows) = rows::of_ledgers(first, events);
    EventBatch { ledgers, rows, trace: tracing::Span::none() }
}
