//! Nodes that serve stages on loopback, and a wire to them that breaks when a test says.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use futures::FutureExt;
use orrery_actors::exchange::{
    Connect, Dial, ExchangeLimits, ExchangeMeter, ExchangeService, ExchangeSettings, FlightHandlers,
    MakeStage, RemoteNode, TraceContext, channel_over, tuned_server,
};
use orrery_actors::pipeline::supervised::SupervisedPipeline;
use orrery_supervisor::SystemClock;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tonic::transport::Server;
use tonic::transport::server::TcpIncoming;

/// A node that serves stages until it is dropped.
pub(crate) struct Serving {
    pub(crate) address: SocketAddr,
    pub(crate) meter: Arc<ExchangeMeter>,
    pub(crate) _task: JoinSet<()>,
}

pub(crate) const STREAMS_MAX: usize = 4;

/// Serves the stages of a pipeline.
pub(crate) async fn serve(pipeline: SupervisedPipeline, limits: ExchangeLimits) -> Serving {
    let make = move |opening: &_, _: &_, durable| pipeline.stage(opening, durable);
    serve_stages(Arc::new(make), limits).await
}

/// Serves what `make_stage` makes.
pub(crate) async fn serve_stages(make_stage: MakeStage, limits: ExchangeLimits) -> Serving {
    let meter = Arc::new(ExchangeMeter::default());
    let settings = ExchangeSettings {
        make_stage,
        limits,
        streams_max: STREAMS_MAX,
        traces: TraceContext::none(),
        meter: meter.clone(),
        clock: Arc::new(SystemClock::new()),
        seed: 1,
    };
    let service = ExchangeService::new(settings, FlightHandlers::default()).into_server();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let server = tuned_server(Server::builder()).add_service(service);
    let mut task = JoinSet::new();
    task.spawn(async move { server.serve_with_incoming(TcpIncoming::from(listener)).await.unwrap() });
    Serving { address, meter, _task: task }
}

/// Connects anew every time.
pub(crate) fn connect_to(address: SocketAddr) -> Connect {
    Arc::new(move || {
        let dial: Dial<TcpStream> = Arc::new(move || TcpStream::connect(address).boxed());
        channel_over("b", dial).boxed()
    })
}

/// The node at `address`, as another one sees it.
pub(crate) fn node_at(address: SocketAddr, limits: ExchangeLimits) -> Arc<RemoteNode> {
    Arc::new(RemoteNode {
        name: "b".to_owned(),
        connect: connect_to(address),
        limits,
        traces: TraceContext::none(),
        meter: Arc::new(ExchangeMeter::default()),
    })
}

/// A wire that breaks after as many bytes as it is told: connection after connection, and then no more.
pub(crate) struct Wire {
    pub(crate) address: SocketAddr,
    cuts: Arc<AtomicUsize>,
    _task: JoinSet<()>,
}

impl Wire {
    /// To `to`. The n-th connection breaks after `budgets[n]` bytes, those after the last never.
    pub(crate) async fn new(to: SocketAddr, budgets: Vec<usize>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let cuts = Arc::new(AtomicUsize::new(0));
        let (mut task, counted) = (JoinSet::new(), cuts.clone());
        task.spawn(async move {
            let (mut wires, mut budgets) = (JoinSet::new(), budgets.into_iter());
            while let Ok((near, _)) = listener.accept().await {
                let (budget, cuts) = (budgets.next(), counted.clone());
                wires.spawn(async move {
                    let far = TcpStream::connect(to).await.unwrap();
                    if carry(near, far, budget).await {
                        cuts.fetch_add(1, Ordering::Relaxed);
                    }
                });
            }
        });
        Self { address, cuts, _task: task }
    }

    /// Connections that were cut.
    pub(crate) fn cuts(&self) -> usize {
        self.cuts.load(Ordering::Relaxed)
    }
}

/// Carries bytes both ways until an end closes; whether it was cut before.
async fn carry(mut near: TcpStream, mut far: TcpStream, budget: Option<usize>) -> bool {
    let mut left = budget.unwrap_or(usize::MAX);
    let (mut up, mut down) = (vec![0; 16 << 10], vec![0; 16 << 10]);
    loop {
        let (count, is_up) = tokio::select! {
            count = near.read(&mut up) => (count.unwrap_or(0), true),
            count = far.read(&mut down) => (count.unwrap_or(0), false),
        };
        if count == 0 {
            return false;
        }
        if count > left {
            return true;
        }
        left -= count;
        let written = match is_up {
            true => far.write_all(&up[..count]).await,
            false => near.write_all(&down[..count]).await,
        };
        if written.is_err() {
            return false;
        }
    }
}
