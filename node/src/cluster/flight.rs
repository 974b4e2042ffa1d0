//! Arrow Flight between nodes, and for operators: a server over the connections that the node's acceptor has proven, and
//! channels to other nodes.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use futures::FutureExt;
use hyper_util::rt::TokioIo;
use orrery_actors::exchange::{Connect, ExchangeService, tuned_endpoint, tuned_server};
use orrery_supervisor::cluster::NodeName;
use orrery_supervisor::cluster::certificates::{Credentials, Protocol, Purpose};
use orrery_supervisor::cluster::transport::{Connection, DialError, Stream, dial};
use orrery_supervisor::{ChildSpec, ErrorClass, ExitError};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::sync::{Mutex, mpsc};
use tokio_stream::StreamExt;
use tokio_stream::wrappers::ReceiverStream;
use tonic::transport::server::Connected;
use tonic::transport::{Channel, Endpoint, Server};

/// Connections that wait to be served.
const WAITING_MAX: usize = 64;

/// Time for a connection to another node.
const DIAL_WITHIN: Duration = Duration::from_secs(5);

/// Who is at the other end; with every request.
#[derive(Clone, Debug)]
pub(crate) struct Peer {
    pub(crate) name: NodeName,
    pub(crate) purpose: Purpose,
}

/// A connection as the server takes it.
struct Proven {
    peer: Peer,
    stream: Stream,
}

/// Where proven connections go.
#[derive(Clone)]
pub(crate) struct Offers(mpsc::Sender<Connection>);

impl Offers {
    /// Never waits: what cannot be taken now is closed, and dialled again.
    pub(crate) fn offer(&self, connection: Connection) {
        if let Err(error) = self.0.try_send(connection) {
            tracing::warn!(%error, "flight connection closed");
        }
    }
}

/// The server's child, and where its connections go.
pub(crate) fn server(service: ExchangeService) -> (ChildSpec, Offers) {
    let (offers, offered) = mpsc::channel(WAITING_MAX);
    let offered = Arc::new(Mutex::new(offered));
    let child = ChildSpec::task("flight", move |_| {
        let (service, offered) = (service.clone(), offered.clone());
        Ok(Box::pin(async move {
            // One life of the server at a time.
            let mut offered = offered.lock().await;
            let (connections, incoming) = mpsc::channel(1);
            let pass = async {
                while let Some(connection) = offered.recv().await {
                    let Connection { peer: name, purpose, stream, .. } = connection;
                    if connections.send(Proven { peer: Peer { name, purpose }, stream }).await.is_err() {
                        return;
                    }
                }
            };
            let incoming = ReceiverStream::new(incoming).map(Ok::<_, io::Error>);
            let server = tuned_server(Server::builder()).add_service(service.into_server());
            tokio::select! {
                () = pass => Ok(()),
                ended = server.serve_with_incoming(incoming) => {
                    let why = ended.err().map_or_else(|| "it ended".to_owned(), |error| error.to_string());
                    Err(ExitError::new(ErrorClass::Internal, format!("flight server: {why}")))
                }
            }
        }))
    });
    (child, Offers(offers))
}

/// A channel to whoever is at `address`: the node `expected`, or any of the cluster.
///
/// # Errors
///
/// It cannot be reached, or does not prove who it is.
pub(crate) async fn channel(
    address: String,
    credentials: Credentials,
    expected: Option<NodeName>,
) -> Result<Channel, DialError> {
    // Dialled here and not by the channel, which would hide why it failed.
    let connection = dial(&address, &credentials, Protocol::Flight, expected.as_ref(), DIAL_WITHIN).await?;
    let mut first = Some(connection.stream);
    let connector = tower::service_fn(move |_| {
        let stream = first.take().map(TokioIo::new);
        async move { stream.ok_or_else(|| io::Error::from(io::ErrorKind::NotConnected)) }
    });
    // Only a name: the connector decides where it leads.
    let endpoint = tuned_endpoint(Endpoint::from_static("http://node"));
    endpoint
        .connect_with_connector(connector)
        .await
        .map_err(|error| DialError::Unfit { address, detail: error.to_string() })
}

/// How stages reach a node.
pub(crate) fn connect(address: String, credentials: Credentials, name: NodeName) -> Connect {
    Arc::new(move || {
        let (address, credentials, name) = (address.clone(), credentials.clone(), name.clone());
        async move {
            let channel = channel(address, credentials, Some(name)).await;
            channel
                .map_err(|error| ExitError::new(ErrorClass::Unavailable, error.to_string()).caused_by(error))
        }
        .boxed()
    })
}

impl Connected for Proven {
    type ConnectInfo = Peer;

    fn connect_info(&self) -> Peer {
        self.peer.clone()
    }
}

impl AsyncRead for Proven {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(context, buffer)
    }
}

impl AsyncWrite for Proven {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}
