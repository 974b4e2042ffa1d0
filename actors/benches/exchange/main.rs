//! What crossing to another node costs: batches over the exchange between two processes, beside a plain copy of the same
//! bytes over the same transport, in turns; and what a control call beside them takes.
//!
//! `cargo bench --workspace --bench exchange`. Ledgers are objects of one synthetic ledger of about 1 MiB; events are
//! batches of about 1 MiB. The rate counts the bytes of the batches as they are in memory. A share is the median of the
//! shares of single rounds, each of which does everything once: what the machine does besides meets all alike.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::print_stdout,
    missing_docs,
    reason = "this is a benchmark"
)]

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use orrery_actors::dataset::TableKind;
use orrery_actors::envelope::{Demand, LedgerBatch, ProcessorMessage, SinkMessage, SourceMessage};
use orrery_actors::exchange::{
    AtTipWire, Compression, DatasetWire, Opening, Reach, RemoteFetcher, RemoteFetcherSettings, RemoteNode,
    RemoteSink, RemoteSinkSettings, Wanted,
};
use orrery_actors::metrics::PipelineMetrics;
use orrery_schemas::LedgerSequence;
use orrery_supervisor::cluster::control::Request;
use orrery_supervisor::{Clock, Probe, SystemClock};
use ractor::Actor;
use tokio::runtime::{Builder, Handle};

use made::{EVENTS, FIRST, ledger_bytes};
use peer::Peer;
use stages::processor;

mod made;
mod peer;
#[path = "../../tests/support/stages.rs"]
mod stages;

/// Rounds that count.
const ROUNDS: usize = 15;

/// Between two control calls: they are not to make the load themselves.
const CALL_EVERY: Duration = Duration::from_millis(2);

/// Of threads that batches cross on, as `node/src/threads.rs` has it.
const NICENESS: i32 = 10;

const CALL_WITHIN: Duration = Duration::from_secs(5);

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    // `cargo test --benches` only wants to know whether it works.
    let rounds = if arguments.iter().any(|argument| argument == "--bench") { ROUNDS } else { 1 };
    let only = arguments.iter().find(|argument| !argument.starts_with("--")).cloned();
    // As a node has them: calls are answered by threads that have to be prompt, batches cross on others that give way.
    let answering = Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let give_way = || rustix::process::setpriority_process(Some(rustix::thread::gettid()), NICENESS).unwrap();
    let working =
        Builder::new_multi_thread().worker_threads(2).on_thread_start(give_way).enable_all().build().unwrap();
    let prompt = answering.handle().clone();
    match arguments.iter().any(|argument| argument == peer::BE_THE_PEER) {
        true => working.block_on(working.spawn(peer::serve(prompt))).unwrap(),
        false => {
            let only = only.unwrap_or_default();
            let measured = working.spawn(async move { measure(rounds, &only, prompt).await });
            working.block_on(measured).unwrap();
        }
    }
    working.shutdown_background();
    answering.shutdown_background();
}

/// What is measured of which the name has `only` in it.
async fn measure(rounds: usize, only: &str, prompt: Handle) {
    let peer = Peer::start(prompt).await;
    let node = peer.node(Compression::None);
    let count = made::LEDGERS.len();
    assert_eq!(EVENTS.len(), count);
    println!("{count} ledgers of {} bytes on average, {rounds} rounds", ledger_bytes() / count);
    rates(&peer, &node, rounds, only).await;
    for compression in [Compression::Lz4, Compression::Zstd] {
        let name = format!("events, {compression:?}");
        if name.contains(only) {
            let (node, clock) = (peer.node(compression), SystemClock::new());
            let started = clock.now();
            let rate = rate(send_all(node).await, clock.now().since(started));
            println!("{name:<28} {rate:>6.0} MB/s");
        }
    }
    if !"calls".contains(only) {
        return;
    }
    calls(&peer, "nothing", tokio::time::sleep(Duration::from_millis(200 * rounds as u64))).await;
    calls(&peer, "a plain copy", async {
        for _ in 0..rounds {
            peer.copy().await;
        }
    })
    .await;
    calls(&peer, "ledgers", async {
        for _ in 0..rounds {
            fetch_all(node.clone()).await;
        }
    })
    .await;
    calls(&peer, "events", async {
        for _ in 0..rounds {
            send_all(node.clone()).await;
        }
    })
    .await;
}

fn rate(bytes: usize, took: Duration) -> f64 {
    bytes as f64 / took.as_secs_f64() / 1e6
}

/// A plain copy, ledgers and events in turns.
async fn rates(peer: &Peer, node: &Arc<RemoteNode>, rounds: usize, only: &str) {
    let clock = SystemClock::new();
    let kinds = ["plain copy", "ledgers", "events"];
    let mut rates = kinds.map(|_| Vec::new());
    // The first round warms up.
    for round in 0..=rounds {
        for (kind, name) in kinds.iter().enumerate().filter(|(_, name)| name.contains(only)) {
            let started = clock.now();
            let bytes = match kind {
                0 => peer.copy().await,
                1 => fetch_all(node.clone()).await,
                _ => send_all(node.clone()).await,
            };
            assert!(kind == 2 || bytes == ledger_bytes(), "{name}: {bytes} bytes came");
            if round > 0 {
                rates[kind].push(rate(bytes, clock.now().since(started)));
            }
        }
    }
    for (name, of_kind) in kinds.iter().zip(&rates).filter(|(_, rates)| !rates.is_empty()) {
        let shares: Vec<f64> = rates[0].iter().zip(of_kind).map(|(copy, rate)| rate / copy).collect();
        let share = if shares.is_empty() { f64::NAN } else { median(shares) };
        println!("{name:<28} {:>6.0} MB/s  {share:.2} of the copy", median(of_kind.clone()));
    }
}

/// Calls the peer over the control link, from a task of its own, for as long as `beside` takes; tells how long answers took.
async fn calls(peer: &Peer, name: &str, beside: impl Future<Output = ()>) {
    let (plane, to) = (peer.control.plane.clone(), peer::peer_name());
    let (answered, mut answers) = tokio::sync::mpsc::channel(1 << 16);
    let mut caller = tokio::task::JoinSet::new();
    caller.spawn_on(
        async move {
            let clock = SystemClock::new();
            loop {
                let asked = clock.now();
                let request = Request::new("echo", Bytes::from_static(b"12345678"));
                plane.call(&to, request, CALL_WITHIN).await.unwrap();
                let _ = answered.try_send(clock.now().since(asked).as_secs_f64() * 1e3);
                tokio::time::sleep(CALL_EVERY).await;
            }
        },
        &peer.prompt,
    );
    beside.await;
    drop(caller);
    let mut took: Vec<f64> = std::iter::from_fn(|| answers.try_recv().ok()).collect();
    took.sort_by(f64::total_cmp);
    let at = |share: f64| took.get((took.len() as f64 * share) as usize).copied().unwrap_or(f64::NAN);
    let (p50, p99, max) = (at(0.5), at(0.99), took.last().copied().unwrap_or(f64::NAN));
    let name = format!("call beside {name}");
    println!("{name:<28} p50 {p50:.2} ms  p99 {p99:.2} ms  max {max:.2} ms  of {}", took.len());
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

fn opening(node: &RemoteNode, wanted: Wanted) -> Opening {
    let window_bytes = node.limits.window_bytes();
    Opening { pipeline: "bench".into(), network: String::new(), from: None, to: None, window_bytes, wanted }
}

/// Fetches all ledgers from there, and counts their bytes.
async fn fetch_all(node: Arc<RemoteNode>) -> usize {
    let (processor, mut hears) = processor().await;
    let settings = RemoteFetcherSettings {
        opening: opening(&node, Wanted::Fetch { at_tip: AtTipWire::Fail }),
        node,
        epoch: 1,
        reach: Reach::once(),
        processor,
        probe: Arc::new(Probe::default()),
        metrics: Arc::new(PipelineMetrics::new("bench")),
    };
    let (actor, ended) = Actor::spawn(None, RemoteFetcher, settings).await.unwrap();
    let demand = |demand| actor.send_message(SourceMessage::Demand(demand)).unwrap();
    demand(Demand::Begin { run: 1, from: LedgerSequence(FIRST), avoid: None, attempt: 0, credits: 12 });
    let mut bytes = 0;
    loop {
        match hears.recv().await.unwrap() {
            ProcessorMessage::Ledgers(LedgerBatch { chunk, .. }) => {
                bytes += chunk.bytes.len();
                demand(Demand::Grant { run: 1, credits: 1 });
            }
            ProcessorMessage::SourceEnded { .. } => break,
            ProcessorMessage::SourceIs(_) => {}
            other => panic!("{other:?}"),
        }
    }
    actor.send_message(SourceMessage::End).unwrap();
    ended.await.unwrap();
    bytes
}

/// Sends all events there, and counts their bytes.
async fn send_all(node: Arc<RemoteNode>) -> usize {
    let before = node.meter.counts().sent_bytes;
    let (processor, mut hears) = processor().await;
    let wanted = Wanted::Sink { table: TableKind::Ledgers.into(), dataset: DatasetWire::default() };
    let settings = RemoteSinkSettings {
        opening: opening(&node, wanted),
        node: node.clone(),
        epoch: 1,
        reach: Reach::once(),
        on_checkpoint: Arc::new(|_| ()),
    };
    let (actor, ended) = Actor::spawn(None, RemoteSink, settings).await.unwrap();
    actor.send_message(SinkMessage::Open { processor, sink: 0 }).unwrap();
    let (mut credits, mut left) = (0, EVENTS.iter());
    loop {
        while credits > 0
            && let Some(batch) = left.next()
        {
            credits -= 1;
            actor.send_message(SinkMessage::Events(batch.clone())).unwrap();
        }
        if left.len() == 0 {
            break;
        }
        if let ProcessorMessage::SinkGranted { credits: more, .. } = hears.recv().await.unwrap() {
            credits += more;
        }
    }
    actor.send_message(SinkMessage::End).unwrap();
    ended.await.unwrap();
    (node.meter.counts().sent_bytes - before) as usize
}
