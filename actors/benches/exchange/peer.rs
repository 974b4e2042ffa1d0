//! The two processes, each a node as far as the transport goes: mutual TLS, control links, Flight.

use std::io::{BufRead, BufReader, Read, Write};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use futures::FutureExt;
use futures::future::BoxFuture;
use orrery_actors::envelope::{EventBatch, Position};
use orrery_actors::exchange::{
    Accepted, Compression, ExchangeLimits, ExchangeMeter, ExchangeService, ExchangeSettings, FlightHandlers,
    MakeStage, RemoteNode, TraceContext, Wanted, channel_over, tuned_server,
};
use orrery_actors::sink::{Output, Sink, SinkActorSettings};
use orrery_schemas::LedgerSequence;
use orrery_supervisor::cluster::certificates::{Credentials, Protocol, Purpose};
use orrery_supervisor::cluster::control::{Call, ControlPlane, Handler};
use orrery_supervisor::cluster::links::{LinkSettings, Links};
use orrery_supervisor::cluster::transport::{Acceptor, Connection, Limits, Stream, dial};
use orrery_supervisor::cluster::{NodeIdentity, NodeName};
use orrery_supervisor::{
    ChildSpec, ExitError, RestartIntensity, Strategy, SupervisorHandle, SupervisorSpec, SystemClock,
};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::runtime::Handle;
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio_stream::StreamExt;
use tokio_stream::wrappers::ReceiverStream;
use tonic::transport::Server;

use crate::made::{FIRST, LEDGERS};
use crate::stages::fetcher;

/// Tells the same program to be the other process.
pub(crate) const BE_THE_PEER: &str = "--be-the-peer";

/// The process that is measured against.
pub(crate) const PEER: &str = "peer";

/// Who dials as this wants the bytes of all ledgers and nothing else.
const COPIER: &str = "copier";

const DIAL_WITHIN: Duration = Duration::from_secs(5);

fn credentials(name: &str) -> Credentials {
    Credentials::insecure_loopback(&name.parse().unwrap(), Purpose::Node).unwrap()
}

/// Control links of this process, and calls over them.
pub(crate) struct Control {
    pub(crate) plane: ControlPlane,
    _tree: SupervisorHandle,
}

async fn control(
    credentials: Credentials,
    also: impl FnOnce(&Links) -> Option<ChildSpec> + Send + 'static,
) -> Control {
    let clock = Arc::new(SystemClock::new());
    let identity = NodeIdentity { name: credentials.name().clone(), incarnation: 1 };
    let links = Links::new(LinkSettings::new(identity, credentials, clock.clone(), 1));
    let echo: Handler = Arc::new(|call: Call| async move { Ok(call.body) }.boxed());
    let plane = ControlPlane::new(links.clone(), echo);
    let intensity = RestartIntensity::new(3, Duration::from_secs(60)).unwrap();
    let spec = SupervisorSpec::new("cluster", Strategy::OneForOne, intensity)
        .child(plane.child())
        .child(links.child());
    let spec = also(&links).into_iter().fold(spec, SupervisorSpec::child);
    Control { plane, _tree: SupervisorHandle::start(spec, clock, 1, None).await.unwrap() }
}

/// The other process: serves until its standard input ends.
pub(crate) async fn serve(prompt: Handle) {
    let credentials = credentials(PEER);
    let listen = "127.0.0.1:0".parse().unwrap();
    let acceptor = Acceptor::bind(listen, credentials.clone(), Limits::default()).await.unwrap();
    let address = acceptor.local_address();
    let (offers, mut offered) = mpsc::channel::<Connection>(16);
    let (flights, incoming) = mpsc::channel(16);
    let _control = prompt
        .spawn(control(credentials, |links| {
            let links = links.clone();
            Some(acceptor.child(move |connection| match connection.protocol {
                Protocol::Control => links.offer(connection),
                Protocol::Flight => drop(offers.try_send(connection)),
            }))
        }))
        .await
        .unwrap();
    let mut tasks = JoinSet::new();
    tasks.spawn(async move {
        let incoming = ReceiverStream::new(incoming).map(Ok::<_, std::io::Error>);
        // What this end sends is not compressed, so that this stands for all.
        let service = ExchangeService::new(settings(Compression::None), FlightHandlers::default());
        let server = tuned_server(Server::builder()).add_service(service.into_server());
        server.serve_with_incoming(incoming).await.unwrap();
    });
    LEDGERS.len();
    println!("{address}");
    let ended = tokio::task::spawn_blocking(|| std::io::stdin().read_to_end(&mut Vec::new()));
    let route = async {
        while let Some(Connection { peer, stream, .. }) = offered.recv().await {
            match peer.as_str() {
                COPIER => drop(tasks.spawn(give(stream))),
                _ => drop(flights.send(Accepted { peer, stream }).await),
            }
        }
    };
    tokio::select! {
        () = route => {}
        _ = ended => {}
    }
}

/// A plain copy: all bytes, in pieces of a batch.
async fn give(mut stream: Stream) {
    for xdr in LEDGERS.iter() {
        stream.write_all(xdr).await.unwrap();
    }
    stream.shutdown().await.unwrap();
}

fn settings(compression: Compression) -> ExchangeSettings {
    let make_stage: MakeStage = Arc::new(|opening, _, on_checkpoint| {
        Ok(match opening.wanted {
            Wanted::Fetch { .. } => fetcher(FIRST, LEDGERS.clone()),
            Wanted::Sink { .. } => ChildSpec::worker("sink", move |_| {
                let output = Box::new(Taker);
                Ok((Sink, SinkActorSettings { output, credits: 8, on_checkpoint: on_checkpoint.clone() }))
            }),
        })
    });
    ExchangeSettings {
        make_stage,
        limits: limits(compression),
        streams_max: 4,
        traces: TraceContext::none(),
        meter: Arc::new(ExchangeMeter::default()),
        clock: Arc::new(SystemClock::new()),
        seed: 1,
    }
}

fn limits(compression: Compression) -> ExchangeLimits {
    let mut limits = ExchangeLimits::default();
    limits.compression = compression;
    limits
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

/// The other process, as this one reaches it.
pub(crate) struct Peer {
    process: Child,
    address: String,
    pub(crate) control: Control,
    /// Threads for what is not to wait for batches.
    pub(crate) prompt: Handle,
}

impl Peer {
    /// Starts it, and waits until it is linked.
    pub(crate) async fn start(prompt: Handle) -> Self {
        let program = std::env::current_exe().unwrap();
        let mut command = Command::new(program);
        let command = command.arg(BE_THE_PEER).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut process = command.spawn().unwrap();
        let mut address = String::new();
        BufReader::new(process.stdout.take().unwrap()).read_line(&mut address).unwrap();
        let address = address.trim().to_owned();
        let control = prompt.spawn(control(credentials("bench"), |_| None)).await.unwrap();
        control.plane.links().want([(peer_name(), address.clone())].into());
        while !control.plane.peers().contains_key(&peer_name()) {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        Self { process, address, control, prompt }
    }

    /// It, as a place for stages. What is sent to it is compressed.
    pub(crate) fn node(&self, compression: Compression) -> Arc<RemoteNode> {
        let (address, credentials) = (self.address.clone(), credentials("bench"));
        Arc::new(RemoteNode {
            name: PEER.to_owned(),
            connect: Arc::new(move || {
                let (address, credentials) = (address.clone(), credentials.clone());
                async move {
                    let dialled = move || {
                        let (address, credentials) = (address.clone(), credentials.clone());
                        async move { Ok(connect(&address, &credentials).await) }.boxed()
                    };
                    channel_over(PEER, Arc::new(dialled)).await
                }
                .boxed()
            }),
            limits: limits(compression),
            traces: TraceContext::none(),
            meter: Arc::new(ExchangeMeter::default()),
        })
    }

    /// Copies all ledgers from there, and counts their bytes.
    pub(crate) async fn copy(&self) -> usize {
        let mut stream = connect(&self.address, &credentials(COPIER)).await;
        let (mut buffer, mut count) = (vec![0; 256 << 10], 0);
        loop {
            match stream.read(&mut buffer).await.unwrap() {
                0 => return count,
                read => count += read,
            }
        }
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        if let Some(mut stdin) = self.process.stdin.take() {
            let _ = stdin.flush();
        }
        let _ = self.process.wait();
    }
}

pub(crate) fn peer_name() -> NodeName {
    PEER.parse().unwrap()
}

async fn connect(address: &str, credentials: &Credentials) -> Stream {
    let peer = peer_name();
    dial(address, credentials, Protocol::Flight, Some(&peer), DIAL_WITHIN).await.unwrap().stream
}
