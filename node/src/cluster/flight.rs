//! Arrow Flight between nodes, and for operators: a server over the connections that the node's acceptor has proven, and
//! channels to other nodes.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use futures::FutureExt;
use orrery_actors::exchange::{
    Accepted, Connect, Dial, ExchangeService, channel_over, long_haul_channel_over, tuned_server,
};
use orrery_supervisor::cluster::NodeName;
use orrery_supervisor::cluster::certificates::{Credentials, Protocol, Purpose};
use orrery_supervisor::cluster::membership::Members;
use orrery_supervisor::cluster::transport::{Connection, DialError, Stream, dial, dial_region};
use orrery_supervisor::{ChildSpec, ErrorClass, ExitError};
use tokio::sync::{Mutex, mpsc, watch};
use tokio_stream::StreamExt;
use tokio_stream::wrappers::ReceiverStream;
use tonic::transport::{Channel, Server};

/// Connections that wait to be served.
const WAITING_MAX: usize = 64;

/// Time for a connection to another node.
const DIAL_WITHIN: Duration = Duration::from_secs(5);

/// Time for a connection to a peer region, of which another address may answer: three times to and fro around the earth.
const REGION_DIAL_WITHIN: Duration = Duration::from_millis(1500);

/// Who is at the other end; with every request.
#[derive(Clone, Debug)]
pub(crate) struct Peer {
    pub(crate) name: NodeName,
    pub(crate) purpose: Purpose,
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
                    if connections.send(Accepted { peer: Peer { name, purpose }, stream }).await.is_err() {
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

/// A channel to whoever is at `address`: the node `expected`, or any of the cluster. It does not come back when it breaks.
///
/// # Errors
///
/// It cannot be reached, or does not prove who it is.
pub(crate) async fn channel(
    address: String,
    credentials: &Credentials,
    expected: Option<&NodeName>,
) -> Result<Channel, DialError> {
    // Dialled here and not by the channel, which would hide why it failed.
    let connection = dial(&address, credentials, Protocol::Flight, expected, DIAL_WITHIN).await?;
    let name = connection.peer.clone();
    let channel = channel_over(name.as_str(), once(connection)).await;
    channel.map_err(|error| DialError::Unfit { address, detail: error.message })
}

/// As [`channel`], to any node of a peer region.
///
/// # Errors
///
/// As [`channel`].
pub(crate) async fn region_channel(
    address: &str,
    credentials: &Credentials,
    region: &str,
) -> Result<Channel, DialError> {
    let connection = dial_region(address, credentials, region, REGION_DIAL_WITHIN).await?;
    let name = format!("{} of region {region}", connection.peer);
    let channel =
        tokio::time::timeout(REGION_DIAL_WITHIN, long_haul_channel_over(&name, once(connection))).await;
    let address = address.to_owned();
    match channel {
        Ok(channel) => channel.map_err(|error| DialError::Unfit { address, detail: error.message }),
        Err(_) => Err(DialError::TimedOut { address, after: REGION_DIAL_WITHIN }),
    }
}

/// Gives the stream that was dialled, and no other.
fn once(connection: Connection) -> Dial<Stream> {
    let first = std::sync::Mutex::new(Some(connection.stream));
    Arc::new(move || {
        let stream = first.lock().unwrap_or_else(std::sync::PoisonError::into_inner).take();
        let stream = stream.ok_or_else(|| io::Error::from(io::ErrorKind::NotConnected));
        std::future::ready(stream).boxed()
    })
}

/// How stages reach a node, wherever it is when they do.
pub(crate) fn connect(
    members: watch::Receiver<Members>,
    credentials: Credentials,
    name: NodeName,
) -> Connect {
    Arc::new(move || {
        let address = members.borrow().get(&name).map(|member| member.profile.address.to_string());
        let (credentials, name) = (credentials.clone(), name.clone());
        async move {
            let away = |reason: String| ExitError::new(ErrorClass::Unavailable, reason);
            let address = address.ok_or_else(|| away(format!("node {name} is not in the cluster now")))?;
            let channel = channel(address, &credentials, Some(&name)).await;
            channel.map_err(|error| away(error.to_string()).caused_by(error))
        }
        .boxed()
    })
}
