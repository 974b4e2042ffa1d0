//! Chitchat's datagrams, sealed.
//!
//! Chitchat keeps the wire form of its messages to itself: outside of its crate only its own socket can write and read
//! them. So that socket stands on loopback, beside an inner one of ours. What chitchat sends to a node goes from its socket
//! to the inner one, is sealed, and leaves by the outer socket; what arrives there is opened, goes from the inner socket to
//! chitchat's, and is read by it. One datagram at a time is on its way between the two.
//!
//! Other programs of this machine can send to chitchat's loopback socket: what is not from the inner socket is dropped.

use std::io::{self, ErrorKind};
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::{Context, anyhow};
use async_trait::async_trait;
use chitchat::ChitchatEnvelope;
use chitchat::transport::{RecvOutcome, SendOutcome, Socket, Transport};
use tokio::net::UdpSocket;
use tokio::time::timeout;

use super::counts::GossipCounts;
use super::datagram::{Envelope, Refusal};

/// The most that UDP over IPv4 carries.
const DATAGRAM_BYTES_MAX: usize = 65_507;

/// Loopback delivers within the call that sends. What has not come by then was no gossip, or the loopback is full.
const RELAY_TIME_MAX: Duration = Duration::from_millis(50);

/// Gives chitchat the one socket that was bound before, since its address is part of what chitchat tells.
pub(super) struct SealedTransport {
    parts: Mutex<Option<(UdpSocket, Envelope)>>,
    own_address: SocketAddr,
    counts: Arc<GossipCounts>,
}

struct SealedSocket {
    outer: UdpSocket,
    /// Where others send to; a former life of this node may have had it too, and is gone.
    own_address: SocketAddr,
    envelope: Envelope,
    counts: Arc<GossipCounts>,
    inner: UdpSocket,
    inner_address: SocketAddr,
    codec: chitchat::transport::UdpSocket,
    buffer: Box<[u8; DATAGRAM_BYTES_MAX]>,
    /// Whose payload is on its way to chitchat's socket.
    relayed_from: Option<SocketAddr>,
}

impl SealedTransport {
    pub(super) fn new(
        outer: UdpSocket,
        own_address: SocketAddr,
        envelope: Envelope,
        counts: Arc<GossipCounts>,
    ) -> Self {
        Self { parts: Mutex::new(Some((outer, envelope))), own_address, counts }
    }
}

#[async_trait]
impl Transport for SealedTransport {
    async fn open(&self, _listen: SocketAddr) -> anyhow::Result<Box<dyn Socket>> {
        let parts = self.parts.lock().unwrap_or_else(PoisonError::into_inner).take();
        let (outer, envelope) = parts.ok_or_else(|| anyhow!("the socket is in use already"))?;
        let loopback = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
        let codec = chitchat::transport::UdpSocket::open(loopback).await?;
        let inner = UdpSocket::bind(loopback).await.context("bind the inner socket on loopback")?;
        inner.connect(codec.local_addr()?).await.context("connect the inner socket")?;
        Ok(Box::new(SealedSocket {
            outer,
            own_address: self.own_address,
            envelope,
            counts: Arc::clone(&self.counts),
            inner_address: inner.local_addr()?,
            inner,
            codec,
            buffer: Box::new([0; DATAGRAM_BYTES_MAX]),
            relayed_from: None,
        }))
    }
}

impl SealedSocket {
    /// What chitchat's socket makes of a message.
    async fn encode(&mut self, envelope: ChitchatEnvelope) -> anyhow::Result<usize> {
        // A former message that came too late would stand before this one.
        while self.inner.try_recv(&mut self.buffer[..]).is_ok() {}
        self.codec.send(self.inner_address, envelope).await?;
        Ok(timeout(RELAY_TIME_MAX, self.inner.recv(&mut self.buffer[..])).await??)
    }

    /// Waits for a datagram that may be opened, and relays what it holds to chitchat's socket.
    async fn receive(&mut self) -> io::Result<()> {
        let (length, from) = match self.outer.recv_from(&mut self.buffer[..]).await {
            Ok(received) => received,
            Err(error) if is_transient(&error) => return Ok(()),
            Err(error) => return Err(error),
        };
        match self.envelope.open(&self.buffer[..length]) {
            Ok(payload) => {
                self.inner.send(payload).await?;
                self.relayed_from = Some(from);
            }
            Err(refusal) => self.counts.refuse(refusal, from),
        }
        Ok(())
    }

    /// What chitchat's socket reads; `None` if it is from elsewhere, or could not be read in time.
    async fn decode(&mut self, from: SocketAddr) -> anyhow::Result<Option<RecvOutcome>> {
        let Ok(outcome) = timeout(RELAY_TIME_MAX, self.codec.recv()).await else {
            self.relayed_from = None;
            self.counts.refuse(Refusal::Payload, from);
            return Ok(None);
        };
        let outcome = outcome?;
        if outcome.from_addr != self.inner_address {
            self.counts.refuse(Refusal::Tag, outcome.from_addr);
            return Ok(None);
        }
        self.relayed_from = None;
        Ok(Some(RecvOutcome { from_addr: from, ..outcome }))
    }
}

/// Peers that are not there, or a full queue: the next datagram may well arrive.
fn is_transient(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        ErrorKind::ConnectionRefused
            | ErrorKind::ConnectionReset
            | ErrorKind::HostUnreachable
            | ErrorKind::Interrupted
            | ErrorKind::NetworkDown
            | ErrorKind::NetworkUnreachable
            | ErrorKind::OutOfMemory
    )
}

#[async_trait]
impl Socket for SealedSocket {
    fn local_addr(&self) -> anyhow::Result<SocketAddr> {
        self.outer.local_addr().context("ask for the address of the gossip's socket")
    }

    /// A node that cannot be reached is no error: chitchat would log each try.
    async fn send(&mut self, to: SocketAddr, envelope: ChitchatEnvelope) -> anyhow::Result<SendOutcome> {
        if to == self.own_address {
            return Ok(SendOutcome { num_bytes_sent: 0 });
        }
        let length = match self.encode(envelope).await {
            Ok(length) => length,
            Err(error) => {
                self.counts.could_not_send(to, &error);
                return Ok(SendOutcome { num_bytes_sent: 0 });
            }
        };
        let datagram = self.envelope.seal(&self.buffer[..length]);
        let num_bytes_sent = match self.outer.send_to(&datagram, to).await {
            Ok(sent) => sent,
            Err(error) => {
                self.counts.could_not_send(to, &error);
                0
            }
        };
        Ok(SendOutcome { num_bytes_sent })
    }

    /// May be dropped at any await: at worst a datagram is lost.
    async fn recv(&mut self) -> anyhow::Result<RecvOutcome> {
        loop {
            match self.relayed_from {
                None => self.receive().await.context("receive datagrams of the gossip")?,
                Some(from) => {
                    if let Some(outcome) = self.decode(from).await? {
                        return Ok(outcome);
                    }
                }
            }
        }
    }
}
