//! What crossing to another node costs: batches over the exchange, beside a plain copy of the same bytes, both over TLS
//! on loopback.
//!
//! `cargo bench -p orrery-actors --bench exchange`. Ledgers are objects of one synthetic ledger of about 1 MiB; events are
//! batches of about 1 MiB. The rate counts the bytes of the batches as they are in memory; set beside `copy`, it is the
//! share of a plain TLS copy that is left.

#![allow(clippy::unwrap_used, clippy::panic, missing_docs, reason = "this is a benchmark")]

use std::io;
use std::pin::Pin;
use std::sync::{Arc, LazyLock};
use std::task::{Context, Poll};

use bytes::Bytes;
use divan::Bencher;
use divan::counter::BytesCount;
use futures::future::BoxFuture;
use futures::{FutureExt, StreamExt};
use orrery_actors::dataset::TableKind;
use orrery_actors::envelope::{
    Demand, EventBatch, LedgerBatch, Position, ProcessorMessage, SinkMessage, SourceMessage,
};
use orrery_actors::exchange::{
    AtTipWire, Compression, DatasetWire, ExchangeLimits, ExchangeMeter, ExchangeService, ExchangeSettings,
    FlightHandlers, MakeStage, Opening, Reach, RemoteFetcher, RemoteFetcherSettings, RemoteNode, RemoteSink,
    RemoteSinkSettings, TraceContext, Wanted, channel_over, tuned_server,
};
use orrery_actors::metrics::PipelineMetrics;
use orrery_actors::sink::{Output, Sink, SinkActorSettings};
use orrery_actors::source::synthetic::{SyntheticLedgers, SyntheticSpec};
use orrery_actors::source::{FetchedObject, Fetcher, FetcherSettings, LedgerChunk};
use orrery_schemas::{
    CloseTime, Hash32, Ledger, LedgerSequence, RowDigest, TokenTransfer, TokenTransferBatchBuilder,
};
use orrery_supervisor::{Backoff, ChildSpec, ExitError, Handle, Probe, SeededRandom, SystemClock};
use ractor::{Actor, ActorProcessingErr, ActorRef};
use rcgen::{CertificateParams, KeyPair};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::Runtime;
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio_rustls::rustls::pki_types::{PrivatePkcs8KeyDer, ServerName};
use tokio_rustls::rustls::{ClientConfig, RootCertStore, ServerConfig};
use tokio_rustls::{TlsAcceptor, TlsConnector, server::TlsStream};
use tonic::transport::Server;
use tonic::transport::server::Connected;

/// Batches of one measurement.
const BATCHES: usize = 64;
const FIRST: u32 = 2;

fn main() {
    divan::main();
}

static RUNTIME: LazyLock<Runtime> = LazyLock::new(|| {
    tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap()
});

/// Synthetic ledgers: their bytes, and their rows.
static LEDGERS: LazyLock<Vec<(Bytes, Vec<TokenTransfer>)>> = LazyLock::new(|| {
    let spec = SyntheticSpec::from_query(&format!("ledgers={BATCHES}&density=pubnet")).unwrap();
    SyntheticLedgers::new(&spec).map(|ledger| (ledger.to_xdr().into(), ledger.expected)).collect()
});

/// Batches of events of three ledgers each.
static EVENTS: LazyLock<Vec<Arc<EventBatch>>> = LazyLock::new(|| {
    (FIRST..).step_by(3).zip(LEDGERS.chunks_exact(3)).map(|(first, part)| batch(first, part)).collect()
});

fn batch(first: u32, ledgers: &[(Bytes, Vec<TokenTransfer>)]) -> Arc<EventBatch> {
    let mut rows = TokenTransferBatchBuilder::with_capacity(1024);
    let row = |(sequence, (_, events)): (u32, &(Bytes, Vec<TokenTransfer>))| {
        rows.append(events).unwrap();
        Ledger {
            sequence: LedgerSequence(sequence),
            hash: Hash32::ZERO,
            previous_hash: Hash32::ZERO,
            closed_at: CloseTime::from_unix_seconds(1).unwrap(),
            protocol_version: 23,
            tx_set_hash: Hash32::ZERO,
            tx_set_result_hash: Hash32::ZERO,
            tx_count: 0,
            successful_tx_count: 0,
            failed_tx_count: 0,
            operation_count: 0,
            event_count: events.len() as u32,
            total_coins: 0,
            fee_pool: 0,
            base_fee: 0,
            base_reserve: 0,
            max_tx_set_size: 0,
            row_digest: RowDigest::default(),
        }
    };
    let ledgers = (first..).zip(ledgers).map(row).collect();
    Arc::new(EventBatch { ledgers, rows: rows.finish().unwrap(), trace: tracing::Span::none() })
}

/// Both ends' keys.
struct Keys {
    acceptor: TlsAcceptor,
    connector: TlsConnector,
}

static KEYS: LazyLock<Keys> = LazyLock::new(|| {
    let key = KeyPair::generate().unwrap();
    let certificate = CertificateParams::new(["localhost".to_owned()]).unwrap().self_signed(&key).unwrap();
    let mut roots = RootCertStore::empty();
    roots.add(certificate.der().clone()).unwrap();
    let key = PrivatePkcs8KeyDer::from(key.serialize_der()).into();
    let mut server = ServerConfig::builder()
        .with_no_client_auth()
        .with_single_cert(vec![certificate.der().clone()], key)
        .unwrap();
    let mut client = ClientConfig::builder().with_root_certificates(roots).with_no_client_auth();
    server.alpn_protocols = vec![b"h2".to_vec()];
    client.alpn_protocols = vec![b"h2".to_vec()];
    Keys { acceptor: TlsAcceptor::from(Arc::new(server)), connector: TlsConnector::from(Arc::new(client)) }
});

async fn dial(to: std::net::SocketAddr) -> io::Result<tokio_rustls::client::TlsStream<TcpStream>> {
    let stream = TcpStream::connect(to).await?;
    stream.set_nodelay(true)?;
    KEYS.connector.connect(ServerName::try_from("localhost").unwrap(), stream).await
}

/// Sends the same bytes in pieces of a batch, and reads them all.
#[divan::bench(sample_count = 10)]
fn copy(bencher: Bencher) {
    let total: usize = LEDGERS.iter().map(|(xdr, _)| xdr.len()).sum();
    bencher.counter(BytesCount::new(total)).bench_local(|| {
        RUNTIME.block_on(async {
            let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
            let address = listener.local_addr().unwrap();
            let mut sends = JoinSet::new();
            sends.spawn(async move {
                let (stream, _) = listener.accept().await.unwrap();
                let mut stream = KEYS.acceptor.accept(stream).await.unwrap();
                for (xdr, _) in LEDGERS.iter() {
                    stream.write_all(xdr).await.unwrap();
                }
                stream.shutdown().await.unwrap();
            });
            let (mut stream, mut buffer, mut count) = (dial(address).await.unwrap(), vec![0; 256 << 10], 0);
            loop {
                match stream.read(&mut buffer).await.unwrap() {
                    0 => break,
                    read => count += read,
                }
            }
            assert_eq!(count, total);
        });
    });
}

/// A server's end of TLS, as tonic wants it.
struct Accepted(TlsStream<TcpStream>);

impl Connected for Accepted {
    type ConnectInfo = ();

    fn connect_info(&self) {}
}

impl AsyncRead for Accepted {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_read(context, buffer)
    }
}

impl AsyncWrite for Accepted {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.0).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_shutdown(context)
    }
}

/// A node that serves `make_stage`, and the other end's view of it.
async fn node(make_stage: MakeStage, compression: Compression) -> (Arc<RemoteNode>, JoinSet<()>) {
    let mut limits = ExchangeLimits::default();
    limits.compression = compression;
    let settings = ExchangeSettings {
        make_stage,
        limits,
        streams_max: 4,
        traces: TraceContext::none(),
        meter: Arc::new(ExchangeMeter::default()),
        clock: Arc::new(SystemClock::new()),
        seed: 1,
    };
    let service = ExchangeService::new(settings, FlightHandlers::default()).into_server();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let incoming = futures::stream::unfold(listener, |listener| async {
        let (stream, _) = listener.accept().await.unwrap();
        stream.set_nodelay(true).unwrap();
        let stream = KEYS.acceptor.accept(stream).await.map(Accepted);
        Some((stream, listener))
    });
    let mut server = JoinSet::new();
    server.spawn(async move {
        tuned_server(Server::builder()).add_service(service).serve_with_incoming(incoming).await.unwrap();
    });
    let node = RemoteNode {
        name: "b".to_owned(),
        connect: Arc::new(move || {
            async move { channel_over("b", Arc::new(move || dial(address).boxed())).await }.boxed()
        }),
        limits,
        traces: TraceContext::none(),
        meter: Arc::new(ExchangeMeter::default()),
    };
    (Arc::new(node), server)
}

fn opening(node: &RemoteNode, wanted: Wanted) -> Opening {
    let window_bytes = node.limits.window_bytes();
    Opening { pipeline: "bench".into(), network: String::new(), from: None, to: None, window_bytes, wanted }
}

/// Hands on what a processor is told.
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
        let _ = told.send(message).await;
        Ok(())
    }
}

async fn processor() -> (Handle<ProcessorMessage>, mpsc::Receiver<ProcessorMessage>) {
    let (told, hears) = mpsc::channel(1024);
    let (actor, _) = Actor::spawn(None, Ear, told).await.unwrap();
    (Handle::new(actor, Arc::new(Probe::default())), hears)
}

fn fetcher() -> ChildSpec {
    ChildSpec::worker("fetcher", |context| {
        let open = Arc::new(|_, _| {
            let chunks = (FIRST..).map(LedgerSequence).zip(LEDGERS.iter()).map(|(ledger, (xdr, _))| {
                let range = ledger..=ledger;
                let object =
                    FetchedObject { file: "object".into(), named: range.clone(), range, bytes: xdr.clone() };
                Ok(LedgerChunk::new(object, 0, "lake".into(), None))
            });
            std::future::ready(Ok(futures::stream::iter(chunks).boxed())).boxed()
                as BoxFuture<'static, Result<orrery_actors::source::Ledgers, ExitError>>
        });
        let settings = FetcherSettings {
            open,
            processor: context.sibling("processor")?,
            probe: context.probe().clone(),
            patience: None,
            backoff: Backoff::DEFAULT,
            refetch_after: std::time::Duration::ZERO,
            clock: Arc::new(SystemClock::new()),
            random: SeededRandom::new(1),
            metrics: Arc::new(PipelineMetrics::new("bench")),
        };
        Ok((Fetcher, settings))
    })
}

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

#[divan::bench(args = [Compression::None, Compression::Lz4, Compression::Zstd], sample_count = 10)]
fn ledgers(bencher: Bencher, compression: Compression) {
    let total: usize = LEDGERS.iter().map(|(xdr, _)| xdr.len()).sum();
    let (node, _server) = RUNTIME.block_on(node(Arc::new(|_, _, _| Ok(fetcher())), compression));
    bencher.counter(BytesCount::new(total)).bench_local(|| {
        let bytes = RUNTIME.block_on(fetch_all(node.clone()));
        assert_eq!(bytes, total);
    });
}

/// Takes whatever comes.
struct Taker;

impl Output for Taker {
    fn open(&mut self) -> BoxFuture<'_, Result<Position, ExitError>> {
        std::future::ready(Ok(Position { next: LedgerSequence(FIRST), parent: None })).boxed()
    }

    fn write(&mut self, batch: Arc<EventBatch>) -> BoxFuture<'_, Result<Option<LedgerSequence>, ExitError>> {
        std::future::ready(Ok(batch.range().map(|range| *range.end()))).boxed()
    }

    fn finish(&mut self) -> BoxFuture<'_, Result<Option<LedgerSequence>, ExitError>> {
        std::future::ready(Ok(None)).boxed()
    }
}

async fn send_all(node: Arc<RemoteNode>) -> u64 {
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
    node.meter.counts().sent_bytes - before
}

#[divan::bench(args = [Compression::None, Compression::Lz4, Compression::Zstd], sample_count = 10)]
fn events(bencher: Bencher, compression: Compression) {
    let make: MakeStage = Arc::new(|_, _, on_checkpoint| {
        Ok(ChildSpec::worker("sink", move |_| {
            let output = Box::new(Taker);
            Ok((Sink, SinkActorSettings { output, credits: 8, on_checkpoint: on_checkpoint.clone() }))
        }))
    });
    let (node, _server) = RUNTIME.block_on(node(make, compression));
    let total = RUNTIME.block_on(send_all(node.clone()));
    bencher.counter(BytesCount::new(total)).bench_local(|| {
        assert_eq!(RUNTIME.block_on(send_all(node.clone())), total);
    });
}
