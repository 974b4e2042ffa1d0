//! Opening a connection.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use thiserror::Error;
use tokio::net::TcpStream;
use tokio_rustls::rustls::pki_types::ServerName;
use tokio_rustls::rustls::{self, CertificateError, ClientConfig};
use tokio_rustls::{TlsConnector, TlsStream};

use super::connection::Connection;
use super::socket;
use crate::cluster::NodeName;
use crate::cluster::certificates::{Credentials, Protocol};

/// The most addresses of one host name that are tried.
const ADDRESSES_MAX: usize = 8;

/// Stands for a server whose name is not known; its certificate is not compared with it, and it is not sent.
const NO_NAME: &str = "unknown";

/// Why there is no connection. Names the address that was dialled.
#[derive(Debug, Error)]
pub enum DialError {
    /// The host name has no address.
    #[error("{address}: no such host: {source}; give HOST:PORT")]
    Resolve {
        /// As given.
        address: String,
        /// Why.
        source: io::Error,
    },
    /// Credentials that anybody can make stay on this machine.
    #[error(
        "{address}: --insecure-loopback is for loopback addresses alone; use certificates: orrery certs init"
    )]
    Insecure {
        /// As given.
        address: String,
    },
    /// Nobody listens there, or it cannot be reached.
    #[error("{address}: cannot connect: {source}")]
    Connect {
        /// As given.
        address: String,
        /// Why.
        source: io::Error,
    },
    /// Whoever listens there did not finish in time.
    #[error("{address}: no connection within {after:?}")]
    TimedOut {
        /// As given.
        address: String,
        /// The deadline.
        after: Duration,
    },
    /// Another node listens there.
    #[error("{address}: expected node `{expected}`, but its certificate is another's; is the address right?")]
    WrongPeer {
        /// As given.
        address: String,
        /// Whom it should have been.
        expected: NodeName,
    },
    /// The handshake failed: mostly certificates of another cluster, or that ran out.
    #[error("{address}: TLS failed: {source}; are both certificates valid, and of one authority?")]
    Tls {
        /// As given.
        address: String,
        /// Why.
        source: io::Error,
    },
    /// The handshake worked, with somebody who cannot be talked to.
    #[error("{address}: {detail}")]
    Unfit {
        /// As given.
        address: String,
        /// Why not.
        detail: String,
    },
}

impl DialError {
    /// For labels: a word in lower case that stays the same.
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::Resolve { .. } => "resolve",
            Self::Insecure { .. } => "insecure",
            Self::Connect { .. } => "connect",
            Self::TimedOut { .. } => "timed_out",
            Self::WrongPeer { .. } => "wrong_peer",
            Self::Tls { .. } => "tls",
            Self::Unfit { .. } => "unfit",
        }
    }
}

/// Connects to `HOST:PORT` within the deadline. The server must prove to be `expected`; if that is not known yet, any
/// node of the cluster will do, and [`Connection::peer`] says which it is.
///
/// TLS 1.3 finishes here before the server has judged our certificate: a refusal shows at the first read.
///
/// # Errors
///
/// Says which step failed.
pub async fn dial(
    address: &str,
    credentials: &Credentials,
    protocol: Protocol,
    expected: Option<&NodeName>,
    deadline: Duration,
) -> Result<Connection, DialError> {
    let config = credentials.client_config(protocol, expected.is_some());
    within(address, deadline, dial_unlimited(address, credentials, config, expected)).await
}

/// Connects over Flight to `HOST:PORT` within the deadline: any node of a peer region, by its authority's certificate; of this
/// cluster's own authority if the region has none.
///
/// # Errors
///
/// Says which step failed.
pub async fn dial_region(
    address: &str,
    credentials: &Credentials,
    region: &str,
    deadline: Duration,
) -> Result<Connection, DialError> {
    let config = credentials.region_config(region);
    let config = config.unwrap_or_else(|| credentials.client_config(Protocol::Flight, false));
    within(address, deadline, dial_unlimited(address, credentials, config, None)).await
}

async fn within(
    address: &str,
    deadline: Duration,
    dialled: impl Future<Output = Result<Connection, DialError>>,
) -> Result<Connection, DialError> {
    match tokio::time::timeout(deadline, dialled).await {
        Ok(result) => result,
        Err(_) => Err(DialError::TimedOut { address: address.to_owned(), after: deadline }),
    }
}

async fn dial_unlimited(
    address: &str,
    credentials: &Credentials,
    config: Arc<ClientConfig>,
    expected: Option<&NodeName>,
) -> Result<Connection, DialError> {
    let address = || address.to_owned();
    let (tcp, remote) = connect(&address(), credentials.is_insecure()).await?;
    socket::configure(&tcp).map_err(|source| DialError::Connect { address: address(), source })?;
    let unfit = |detail: String| DialError::Unfit { address: address(), detail };
    let server = match expected {
        Some(name) => name.server_name().map_err(|error| unfit(error.to_string()))?,
        None => ServerName::try_from(NO_NAME).map_err(|error| unfit(error.to_string()))?,
    };
    let connector = TlsConnector::from(config);
    let tls = connector.connect(server, tcp).await.map_err(|source| match expected {
        Some(expected) if is_wrong_name(&source) => {
            DialError::WrongPeer { address: address(), expected: expected.clone() }
        }
        _ => DialError::Tls { address: address(), source },
    })?;
    let connection = Connection::of(TlsStream::Client(tls), remote, |_| Ok(None))
        .map_err(|error| unfit(error.to_string()))?;
    // The verifier compared them already; the two read the certificate each in its own way.
    match expected {
        Some(expected) if *expected != connection.peer => {
            Err(DialError::WrongPeer { address: address(), expected: expected.clone() })
        }
        _ => Ok(connection),
    }
}

async fn connect(address: &str, is_insecure: bool) -> Result<(TcpStream, SocketAddr), DialError> {
    let resolve = |source| DialError::Resolve { address: address.to_owned(), source };
    let addresses = tokio::net::lookup_host(address).await.map_err(resolve)?;
    let addresses: Vec<_> = addresses.take(ADDRESSES_MAX).collect();
    if is_insecure && addresses.iter().any(|address| !address.ip().is_loopback()) {
        return Err(DialError::Insecure { address: address.to_owned() });
    }
    let mut failed = io::Error::new(io::ErrorKind::NotFound, "the name has no address");
    for remote in addresses {
        match TcpStream::connect(remote).await {
            Ok(stream) => return Ok((stream, remote)),
            Err(error) => failed = error,
        }
    }
    Err(DialError::Connect { address: address.to_owned(), source: failed })
}

fn is_wrong_name(error: &io::Error) -> bool {
    let error = error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>());
    matches!(
        error,
        Some(rustls::Error::InvalidCertificate(
            CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. }
        ))
    )
}
