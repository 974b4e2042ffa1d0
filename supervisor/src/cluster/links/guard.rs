//! A connection as ractor_cluster gets it: checked for the claimed name, and ended when it is silent or stuck.

#[cfg(test)]
mod tests;

use std::fmt;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use ractor_cluster::{BoxRead, BoxWrite, ClusterBidiStream};
use tokio::io::{AsyncBufRead, AsyncRead, AsyncWrite, BufReader, ReadBuf};
use tokio::sync::mpsc;
use tokio::time::{Sleep, sleep};

use super::claim::{CLAIM_FRAME_BYTES_MAX, Claim, ClaimError, Side};
use crate::cluster::name::NodeName;
use crate::cluster::transport::Connection;

/// ractor_cluster reads a length and then 8 KiB at a time: this many bytes a system call instead.
const READ_BUFFER_BYTES: usize = 64 * 1024;

/// How and why a link ended, for whoever dials it again.
#[derive(Debug)]
pub(super) struct Ended {
    pub(super) peer: NodeName,
    /// `None` if the other side closed it, or ractor_cluster did.
    pub(super) error: Option<String>,
}

/// Ends after this long without a change.
struct Limit {
    after: Duration,
    sleep: Pin<Box<Sleep>>,
    is_running: bool,
}

impl Limit {
    fn new(after: Duration) -> Self {
        Self { after, sleep: Box::pin(sleep(after)), is_running: false }
    }

    /// There was progress.
    fn reset(&mut self) {
        self.is_running = false;
    }

    /// There is nothing; ready when that has lasted too long.
    fn poll(&mut self, context: &mut Context<'_>) -> Poll<()> {
        if !self.is_running {
            self.sleep.set(sleep(self.after));
            self.is_running = true;
        }
        self.sleep.as_mut().poll(context)
    }
}

/// A proven connection for ractor_cluster.
pub(super) struct Guarded {
    connection: Connection,
    side: Side,
    limit: Duration,
    ended: mpsc::Sender<Ended>,
}

impl Guarded {
    pub(super) const fn new(
        connection: Connection,
        side: Side,
        limit: Duration,
        ended: mpsc::Sender<Ended>,
    ) -> Self {
        Self { connection, side, limit, ended }
    }
}

impl ClusterBidiStream for Guarded {
    fn split(self: Box<Self>) -> (BoxRead, BoxWrite) {
        let Connection { peer, stream, .. } = self.connection;
        let (read, write) = tokio::io::split(stream);
        let read = GuardedRead {
            inner: BufReader::with_capacity(READ_BUFFER_BYTES, read),
            idle: Limit::new(self.limit),
            phase: Phase::Claiming { claim: Claim::new(self.side), frame: Vec::new() },
            peer,
            error: None,
            ended: self.ended,
        };
        (Box::new(read), Box::new(GuardedWrite { inner: write, stuck: Limit::new(self.limit) }))
    }

    /// The proven name: what ractor_cluster reports as the address of its session.
    fn peer_label(&self) -> Option<String> {
        Some(self.connection.peer.to_string())
    }
}

enum Phase {
    /// Until the name has come, frames are read whole and looked at before they are handed on.
    Claiming {
        claim: Claim,
        /// With its length of 8 bytes.
        frame: Vec<u8>,
    },
    /// A frame that was looked at; then what follows it.
    Handing { frame: Vec<u8>, given: usize, then: Option<Claim> },
    /// Everything.
    Open,
}

struct GuardedRead<R> {
    inner: BufReader<R>,
    idle: Limit,
    phase: Phase,
    peer: NodeName,
    error: Option<String>,
    ended: mpsc::Sender<Ended>,
}

impl<R: AsyncRead + Unpin> GuardedRead<R> {
    fn fail(&mut self, kind: io::ErrorKind, text: String) -> io::Error {
        self.error = Some(text.clone());
        io::Error::new(kind, text)
    }

    /// Bytes that are there, or the end; an error after too long a silence.
    fn poll_filled(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match Pin::new(&mut self.inner).poll_fill_buf(context) {
            Poll::Ready(Ok(_)) => {
                self.idle.reset();
                Poll::Ready(Ok(()))
            }
            Poll::Ready(Err(error)) => {
                self.error = Some(error.to_string());
                Poll::Ready(Err(error))
            }
            Poll::Pending => {
                ready!(self.idle.poll(context));
                let text = format!("silent for {:?}", self.idle.after);
                Poll::Ready(Err(self.fail(io::ErrorKind::TimedOut, text)))
            }
        }
    }

    /// Takes one frame of the handshake in, as it comes; true when it is whole.
    fn poll_frame(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        loop {
            let Phase::Claiming { frame, .. } = &self.phase else { return Poll::Ready(Ok(())) };
            let wanted = match frame.first_chunk::<8>() {
                None => 8,
                Some(length) => {
                    let length = u64::from_be_bytes(*length);
                    match usize::try_from(length).ok().filter(|length| *length <= CLAIM_FRAME_BYTES_MAX) {
                        Some(length) => 8 + length,
                        None => return Poll::Ready(Err(self.refuse(&ClaimError::TooLong(length)))),
                    }
                }
            };
            if frame.len() == wanted && wanted > 8 {
                return Poll::Ready(self.judge());
            }
            if wanted == 8 && frame.len() == 8 {
                return Poll::Ready(Err(self.refuse(&ClaimError::NotAHandshake)));
            }
            ready!(self.poll_filled(context))?;
            let available = self.inner.buffer();
            if available.is_empty() {
                let text = "closed within its handshake".to_owned();
                return Poll::Ready(Err(self.fail(io::ErrorKind::UnexpectedEof, text)));
            }
            let Phase::Claiming { frame, .. } = &mut self.phase else { return Poll::Ready(Ok(())) };
            let taken = available.len().min(wanted - frame.len());
            frame.extend_from_slice(&available[..taken]);
            Pin::new(&mut self.inner).consume(taken);
        }
    }

    /// Looks at a whole frame of the handshake.
    fn judge(&mut self) -> io::Result<()> {
        let Phase::Claiming { claim, frame } = &mut self.phase else { return Ok(()) };
        let looked_at = claim.frame(frame.get(8..).unwrap_or_default());
        match looked_at {
            Err(error) => Err(self.refuse(&error)),
            Ok(Some(identity)) if identity.name != self.peer => {
                let text =
                    format!("its certificate is of `{}`, but it claims to be `{}`", self.peer, identity.name);
                Err(self.fail(io::ErrorKind::PermissionDenied, text))
            }
            Ok(claimed) => {
                let then = claimed.is_none().then_some(*claim);
                let frame = std::mem::take(frame);
                self.phase = Phase::Handing { frame, given: 0, then };
                Ok(())
            }
        }
    }

    fn refuse(&mut self, error: &ClaimError) -> io::Error {
        self.fail(io::ErrorKind::InvalidData, error.to_string())
    }
}

impl<R: AsyncRead + Unpin> AsyncRead for GuardedRead<R> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = &mut *self;
        if matches!(this.phase, Phase::Claiming { .. }) {
            ready!(this.poll_frame(context))?;
        }
        if let Phase::Handing { frame, given, then } = &mut this.phase {
            let rest = frame.get(*given..).unwrap_or_default();
            let count = rest.len().min(buffer.remaining());
            buffer.put_slice(&rest[..count]);
            *given += count;
            if *given == frame.len() {
                this.phase = match then.take() {
                    Some(claim) => Phase::Claiming { claim, frame: Vec::new() },
                    None => Phase::Open,
                };
            }
            return Poll::Ready(Ok(()));
        }
        ready!(this.poll_filled(context))?;
        let available = this.inner.buffer();
        let count = available.len().min(buffer.remaining());
        buffer.put_slice(&available[..count]);
        Pin::new(&mut this.inner).consume(count);
        Poll::Ready(Ok(()))
    }
}

impl<R> Drop for GuardedRead<R> {
    fn drop(&mut self) {
        // Told to wake the keeper; it looks at what is anyway, so that a full channel loses nothing but the reason.
        let _ = self.ended.try_send(Ended { peer: self.peer.clone(), error: self.error.take() });
    }
}

impl<R> fmt::Debug for GuardedRead<R> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("GuardedRead").field("peer", &self.peer).finish_non_exhaustive()
    }
}

struct GuardedWrite<W> {
    inner: W,
    stuck: Limit,
}

impl<W: AsyncWrite + Unpin> GuardedWrite<W> {
    /// What `polled` says, or an error if it has said nothing for too long: a peer that pings and reads nothing would
    /// let ractor_cluster's queue grow for ever.
    fn limited<T>(&mut self, polled: Poll<io::Result<T>>, context: &mut Context<'_>) -> Poll<io::Result<T>> {
        if polled.is_ready() {
            self.stuck.reset();
            return polled;
        }
        ready!(self.stuck.poll(context));
        let text = format!("took no bytes for {:?}", self.stuck.after);
        Poll::Ready(Err(io::Error::new(io::ErrorKind::TimedOut, text)))
    }
}

impl<W: AsyncWrite + Unpin> AsyncWrite for GuardedWrite<W> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let polled = Pin::new(&mut self.inner).poll_write(context, bytes);
        self.limited(polled, context)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let polled = Pin::new(&mut self.inner).poll_flush(context);
        self.limited(polled, context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let polled = Pin::new(&mut self.inner).poll_shutdown(context);
        self.limited(polled, context)
    }
}
