//! A connection whose peer proved who it is.

use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio_rustls::TlsStream;
use tokio_rustls::rustls::pki_types::CertificateDer;

use super::places::Place;
use super::prompt::Prompt;
use crate::cluster::NodeName;
use crate::cluster::certificates::{Contents, Protocol, Purpose};

/// A connection after its handshake.
#[derive(Debug)]
pub struct Connection {
    /// Name in the peer's certificate.
    pub peer: NodeName,
    /// What the peer's certificate is for.
    pub purpose: Purpose,
    /// The peer region it is of; `None` for this cluster's own.
    pub region: Option<Arc<str>>,
    /// What it carries.
    pub protocol: Protocol,
    /// The peer's address, which proves nothing.
    pub remote: SocketAddr,
    /// The bytes.
    pub stream: Stream,
}

/// The bytes of one connection. Counts against its listener's limit until it is dropped.
pub struct Stream {
    tls: TlsStream<TcpStream>,
    /// None of a connection that this node dialled.
    place: Option<Place>,
    /// While its peer has said nothing.
    prompt: Option<Prompt>,
}

/// Why a peer that finished its TLS handshake is refused all the same.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Unfit {
    /// It speaks none of our protocols.
    Protocol,
    /// Its certificate is signed by the authority and not of our form.
    Certificate(String),
    /// A control link to or from somebody who is no node.
    NotANode(NodeName),
    /// A control link to or from a peer region's node.
    NotAMember { name: NodeName, region: Arc<str> },
}

impl fmt::Display for Unfit {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Protocol => formatter.write_str("it names no protocol that is spoken here"),
            Self::Certificate(detail) => formatter.write_str(detail),
            Self::NotAMember { name, region } => write!(
                formatter,
                "`{name}` is a node of region `{region}`: it may ask for what regions exchange, over Flight alone"
            ),
            Self::NotANode(name) => {
                write!(formatter, "the certificate of `{name}` is an operator's; issue one for a node")
            }
        }
    }
}

impl Connection {
    /// Reads what the finished handshake says about the peer.
    pub(super) fn of(
        tls: TlsStream<TcpStream>,
        remote: SocketAddr,
        region_of: impl FnOnce(&CertificateDer<'_>) -> Result<Option<Arc<str>>, String>,
    ) -> Result<Self, Unfit> {
        let (_, session) = tls.get_ref();
        let protocol = session.alpn_protocol().and_then(Protocol::of_alpn).ok_or(Unfit::Protocol)?;
        let certificate = session.peer_certificates().and_then(<[_]>::first);
        let certificate =
            certificate.ok_or_else(|| Unfit::Certificate("it has no certificate".to_owned()))?;
        let contents = Contents::read(certificate).map_err(Unfit::Certificate)?;
        let region = region_of(certificate).map_err(Unfit::Certificate)?;
        if let Some(region) = region.clone().filter(|_| protocol == Protocol::Control) {
            return Err(Unfit::NotAMember { name: contents.name, region });
        }
        if protocol == Protocol::Control && contents.purpose != Purpose::Node {
            return Err(Unfit::NotANode(contents.name));
        }
        let stream = Stream { tls, place: None, prompt: None };
        let purpose = if region.is_some() { Purpose::Region } else { contents.purpose };
        Ok(Self { peer: contents.name, purpose, region, protocol, remote, stream })
    }

    /// Holds a place from now on. Links have a deadline of their own for the first words; others have this one.
    pub(super) fn hold(mut self, place: Place, speaks_within: Duration) -> Self {
        self.stream.place = Some(place);
        self.stream.prompt = (self.protocol == Protocol::Flight).then(|| Prompt::new(speaks_within));
        self
    }
}

impl fmt::Debug for Stream {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let has_place = self.place.is_some();
        formatter.debug_struct("Stream").field("has_place", &has_place).finish_non_exhaustive()
    }
}

impl AsyncRead for Stream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if let Some(place) = &mut self.place
            && place.poll_closed(context).is_ready()
        {
            let denied = io::Error::new(io::ErrorKind::PermissionDenied, "the other side's name is denied");
            return Poll::Ready(Err(denied));
        }
        let before = buffer.filled().len();
        let polled = Pin::new(&mut self.tls).poll_read(context, buffer).map_err(told);
        let Some(prompt) = &mut self.prompt else { return polled };
        let polled = prompt.bound(context, polled, buffer.filled().len().saturating_sub(before));
        if prompt.is_over() {
            self.prompt = None;
        }
        polled
    }
}

/// Of a connection that ends in the middle, the library's words are about its own documentation.
fn told(error: io::Error) -> io::Error {
    match error.kind() {
        io::ErrorKind::UnexpectedEof => io::Error::new(
            io::ErrorKind::UnexpectedEof,
            "the other side is gone: its connection ended in the middle",
        ),
        _ => error,
    }
}

impl AsyncWrite for Stream {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.tls).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.tls).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.tls).poll_shutdown(context)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.tls).poll_write_vectored(context, slices)
    }

    fn is_write_vectored(&self) -> bool {
        self.tls.is_write_vectored()
    }
}
