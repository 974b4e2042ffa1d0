//! What is on its way between nodes stays inside of the written sum while a stage stands still, and nothing is lost by it.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use futures::FutureExt;
use futures::future::BoxFuture;
use orrery_actors::dataset::TableKind;
use orrery_actors::envelope::{
    Demand, EventBatch, LedgerBatch, Position, ProcessorMessage, SinkMessage, SourceMessage,
};
use orrery_actors::exchange::{
    AtTipWire, DatasetWire, ExchangeLimits, FRAME_BYTES_TARGET, Opening, Reach, RemoteFetcher,
    RemoteFetcherSettings, RemoteSink, RemoteSinkSettings, Wanted,
};
use orrery_actors::metrics::PipelineMetrics;
use orrery_actors::sink::{Output, Sink, SinkActorSettings};
use orrery_actors::source::synthetic::{SyntheticLedgers, SyntheticSpec};
use orrery_schemas::{Hash32, Ledger, LedgerSequence, token_transfers_from_batch};
use orrery_supervisor::{ChildSpec, ExitError, Probe};
use ractor::Actor;
use tokio::sync::{mpsc, watch};

use crate::made::FIRST;
use crate::stages::{batch, fetcher, processor};
use crate::wire::{node_at, serve_stages};

/// Longer than anything here takes on a busy machine.
const WITHIN: Duration = Duration::from_secs(60);

/// A window that a few batches fill.
const WINDOW: usize = 20 << 20;

fn limits() -> ExchangeLimits {
    ExchangeLimits::default().with_window(WINDOW).unwrap()
}

async fn next(hears: &mut mpsc::Receiver<ProcessorMessage>) -> ProcessorMessage {
    tokio::time::timeout(WITHIN, hears.recv()).await.expect("nothing came").unwrap()
}

/// Lets everybody have some turns: whatever would still happen by itself has happened then.
async fn settle() {
    for _ in 0..40 {
        let never = std::future::pending::<()>();
        drop(tokio::time::timeout(Duration::from_millis(12), never).await);
    }
}

pub(crate) fn opening(wanted: Wanted) -> Opening {
    Opening {
        pipeline: "main".into(),
        network: "00".repeat(32),
        from: None,
        to: None,
        window_bytes: WINDOW,
        wanted,
    }
}

pub(crate) fn fetch() -> Opening {
    opening(Wanted::Fetch { at_tip: AtTipWire::Fail })
}

fn dense(ledgers: u32) -> SyntheticLedgers {
    SyntheticLedgers::new(&SyntheticSpec::from_query(&format!("ledgers={ledgers}&density=pubnet")).unwrap())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ledgers_on_their_way_stay_inside_of_the_window() {
    const LEDGERS: u32 = 36;
    let ledgers: Arc<Vec<Bytes>> = Arc::new(dense(LEDGERS).map(|ledger| ledger.to_xdr().into()).collect());
    let total: usize = ledgers.iter().map(Bytes::len).sum();
    assert!(total > WINDOW + 2 * FRAME_BYTES_TARGET, "{total} bytes fill no window");
    let given = ledgers.clone();
    let serving = serve_stages(Arc::new(move |_, _, _| Ok(fetcher(FIRST, given.clone()))), limits()).await;
    let node = node_at(serving.address, limits());
    let (processor, mut hears) = processor().await;
    let settings = RemoteFetcherSettings {
        node: node.clone(),
        opening: fetch(),
        epoch: 1,
        reach: Reach::once(),
        processor,
        probe: Arc::new(Probe::default()),
        metrics: Arc::new(PipelineMetrics::new("main")),
    };
    let (actor, ended) = Actor::spawn(None, RemoteFetcher, settings).await.unwrap();
    assert!(matches!(next(&mut hears).await, ProcessorMessage::SourceIs(_)));
    let begin =
        Demand::Begin { run: 1, from: LedgerSequence(FIRST), avoid: None, attempt: 0, credits: LEDGERS };
    actor.send_message(SourceMessage::Demand(begin)).unwrap();

    // Whoever has the bytes of a batch holds the window, even if the batch itself is gone.
    let mut held = Vec::new();
    while let Ok(Some(message)) = tokio::time::timeout(Duration::from_secs(2), hears.recv()).await {
        let ProcessorMessage::Ledgers(LedgerBatch { chunk, .. }) = message else { panic!("{message:?}") };
        held.push(chunk.bytes.clone());
    }
    let bytes: usize = held.iter().map(Bytes::len).sum();
    let (here, there) = (node.meter.counts(), serving.meter.counts());
    assert!(bytes > WINDOW / 2 && bytes <= WINDOW, "{bytes} bytes came");
    assert!(here.in_flight_bytes >= bytes && here.in_flight_bytes_max <= WINDOW, "{here:?}");
    assert!(there.in_flight_bytes_max <= WINDOW, "{there:?}");

    let mut came = held.split_off(0).into_iter().map(|bytes| bytes.to_vec()).collect::<Vec<_>>();
    while came.len() < LEDGERS as usize {
        match next(&mut hears).await {
            ProcessorMessage::Ledgers(LedgerBatch { chunk, .. }) => came.push(chunk.bytes.to_vec()),
            message => panic!("{message:?}"),
        }
    }
    assert!(
        came.iter().zip(ledgers.iter()).all(|(came, ledger)| came == ledger),
        "ledgers changed on the way"
    );
    assert!(matches!(next(&mut hears).await, ProcessorMessage::SourceEnded { run: 1 }));
    assert!(node.meter.counts().in_flight_bytes_max <= WINDOW);
    actor.send_message(SourceMessage::End).unwrap();
    tokio::time::timeout(WITHIN, ended).await.unwrap().unwrap();
}

/// Takes batches while its gate is open.
struct Gated {
    gate: watch::Receiver<bool>,
    taken: Arc<Mutex<Vec<Arc<EventBatch>>>>,
}

impl Output for Gated {
    fn open(&mut self) -> BoxFuture<'_, Result<Position, ExitError>> {
        async { Ok(Position { next: LedgerSequence(FIRST), parent: Some(Hash32([7; 32])) }) }.boxed()
    }

    fn write(&mut self, batch: Arc<EventBatch>) -> BoxFuture<'_, Result<Option<LedgerSequence>, ExitError>> {
        async move {
            self.gate.wait_for(|open| *open).await.unwrap();
            let last = *batch.range().unwrap().end();
            self.taken.lock().unwrap().push(batch);
            Ok(Some(last))
        }
        .boxed()
    }

    fn finish(&mut self) -> BoxFuture<'_, Result<Option<LedgerSequence>, ExitError>> {
        async { Ok(None) }.boxed()
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn events_on_their_way_stay_inside_of_the_window() {
    const CREDITS: u32 = 64;
    let events: Vec<_> = dense(96).map(|ledger| ledger.expected).collect();
    // Of many ledgers, so that each is sent in several parts.
    let parts = (FIRST..).step_by(32).zip(events.chunks(32));
    let batches: Vec<_> = parts.map(|(first, part)| Arc::new(batch(first, part))).collect();
    let (gate, is_open) = watch::channel(false);
    let taken = Arc::new(Mutex::new(Vec::new()));
    let (takes, durable) = (taken.clone(), Arc::new(Mutex::new(Vec::new())));
    let make = move |_: &_, _: &_, on_checkpoint: orrery_actors::sink::OnCheckpoint| {
        let (gate, taken) = (is_open.clone(), takes.clone());
        Ok(ChildSpec::worker("sink", move |_| {
            let output = Box::new(Gated { gate: gate.clone(), taken: taken.clone() });
            Ok((Sink, SinkActorSettings { output, credits: CREDITS, on_checkpoint: on_checkpoint.clone() }))
        }))
    };
    let serving = serve_stages(Arc::new(make), limits()).await;
    let node = node_at(serving.address, limits());
    let (processor, mut hears) = processor().await;
    let noted = durable.clone();
    let settings = RemoteSinkSettings {
        node: node.clone(),
        opening: opening(Wanted::Sink { table: TableKind::Ledgers.into(), dataset: DatasetWire::default() }),
        epoch: 1,
        reach: Reach::once(),
        on_checkpoint: Arc::new(move |ledger| noted.lock().unwrap().push(ledger.0)),
    };
    let (actor, ended) = Actor::spawn(None, RemoteSink, settings).await.unwrap();
    actor.send_message(SinkMessage::Open { processor, sink: 3 }).unwrap();
    let ProcessorMessage::SinkReady { sink: 3, position } = next(&mut hears).await else { panic!() };
    assert_eq!(position, Position { next: LedgerSequence(FIRST), parent: Some(Hash32([7; 32])) });
    assert!(matches!(next(&mut hears).await, ProcessorMessage::SinkGranted { sink: 3, credits: CREDITS }));
    batches.iter().for_each(|batch| actor.send_message(SinkMessage::Events(batch.clone())).unwrap());
    actor.send_message(SinkMessage::End).unwrap();

    settle().await;
    let (here, there) = (node.meter.counts(), serving.meter.counts());
    assert!(here.in_flight_bytes > WINDOW / 2 && here.in_flight_bytes_max <= WINDOW, "{here:?}");
    assert!(there.in_flight_bytes > WINDOW / 2 && there.in_flight_bytes_max <= WINDOW, "{there:?}");
    assert!(hears.try_recv().is_err() && taken.lock().unwrap().is_empty());

    gate.send_replace(true);
    tokio::time::timeout(WITHIN, ended).await.expect("it goes on and on").unwrap();
    let mut credits = 0;
    while let Ok(ProcessorMessage::SinkGranted { sink: 3, credits: more }) = hears.try_recv() {
        credits += more;
    }
    // The sink may end before its last credit has crossed, which nobody needs then.
    assert!((batches.len() - 1..=batches.len()).contains(&(credits as usize)), "{credits} batches came back");
    assert_eq!(durable.lock().unwrap().last(), Some(&(FIRST + 95)));
    assert!(node.meter.counts().in_flight_bytes_max <= WINDOW);
    let taken = taken.lock().unwrap();
    assert!(taken.len() > 2 * batches.len(), "no batch was split");
    let ledgers = |batches: &[Arc<EventBatch>]| -> Vec<Ledger> {
        batches.iter().flat_map(|batch| batch.ledgers.clone()).collect()
    };
    assert_eq!(ledgers(&taken), ledgers(&batches));
    let rows = taken.iter().flat_map(|batch| token_transfers_from_batch(&batch.rows).unwrap());
    assert!(rows.eq(events.into_iter().flatten()), "events changed on the way");
}
