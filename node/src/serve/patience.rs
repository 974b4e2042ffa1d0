//! A connection whose other end has to take what it is sent: one that takes nothing for too long is an error, so that it
//! cannot hold memory and a place for ever.
//!
//! Who is given up can still be told why: there is [`Room`] for last words.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use socket2::SockRef;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::time::Sleep;
use tokio_rustls::server::TlsStream;

/// Bytes that the system is to hold of last words, and of what is on its way before them. What it holds for a reader that
/// takes nothing is a small part of it: the rest is room.
const LAST_BYTES: usize = 1 << 20;

/// How long the system tries to bring them to the other end when the connection is nobody's any more. A reader that takes
/// nothing for longer finds its connection cut off.
const LAST_WITHIN: Duration = Duration::from_secs(120);

/// Asks for room to write in, where the other end takes nothing: once, for the last words of a connection.
#[derive(Clone, Debug, Default)]
pub(crate) struct Room(Arc<AtomicBool>);

impl Room {
    /// There is some at the next write.
    pub(crate) fn ask(&self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// What is sent over a socket of the system.
pub(crate) trait OverTcp {
    /// The socket.
    fn socket(&self) -> &TcpStream;
}

impl OverTcp for TcpStream {
    fn socket(&self) -> &TcpStream {
        self
    }
}

impl OverTcp for TlsStream<TcpStream> {
    fn socket(&self) -> &TcpStream {
        self.get_ref().0
    }
}

/// Has the system take more than it would, and give it up if nobody takes it.
fn make_room(socket: &TcpStream) -> io::Result<()> {
    let socket = SockRef::from(socket);
    if socket.send_buffer_size()? < LAST_BYTES {
        socket.set_send_buffer_size(LAST_BYTES)?;
    }
    #[cfg(target_os = "linux")]
    {
        socket.set_tcp_user_timeout(Some(LAST_WITHIN))?;
        socket.set_tcp_notsent_lowat(u32::MAX)?;
    }
    Ok(())
}

/// A connection with a limit on how long a write may wait.
#[derive(Debug)]
pub(crate) struct Patient<S> {
    inner: S,
    take_within: Duration,
    /// Only while a write waits: most connections never have one.
    waits: Option<Pin<Box<Sleep>>>,
    room: Room,
}

impl<S: OverTcp> Patient<S> {
    /// Ends with an error when a write has waited for so long.
    pub(crate) fn new(inner: S, take_within: Duration, room: Room) -> Self {
        Self { inner, take_within, waits: None, room }
    }

    /// Makes the room that was asked for: the system tells then that more can be written.
    fn make_room(&mut self) {
        if self.room.0.swap(false, Ordering::Relaxed) {
            self.waits = None;
            if let Err(error) = make_room(self.inner.socket()) {
                tracing::debug!(%error, "there is no room for last words");
            }
        }
    }

    fn bound<T>(&mut self, cx: &mut Context<'_>, polled: Poll<io::Result<T>>) -> Poll<io::Result<T>> {
        if polled.is_ready() {
            self.waits = None;
            return polled;
        }
        let take_within = self.take_within;
        let waits = self.waits.get_or_insert_with(|| Box::pin(tokio::time::sleep(take_within)));
        ready!(waits.as_mut().poll(cx));
        Poll::Ready(Err(io::Error::new(io::ErrorKind::TimedOut, "the other end takes nothing")))
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Patient<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_read(cx, buffer)
    }
}

impl<S: AsyncWrite + OverTcp + Unpin> AsyncWrite for Patient<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.make_room();
        let polled = Pin::new(&mut self.inner).poll_write(cx, bytes);
        self.bound(cx, polled)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        parts: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.make_room();
        let polled = Pin::new(&mut self.inner).poll_write_vectored(cx, parts);
        self.bound(cx, polled)
    }

    fn is_write_vectored(&self) -> bool {
        self.inner.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let polled = Pin::new(&mut self.inner).poll_flush(cx);
        self.bound(cx, polled)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let polled = Pin::new(&mut self.inner).poll_shutdown(cx);
        self.bound(cx, polled)
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpListener;

    use super::*;

    /// Two ends of a connection, of which the first one is the server's: bounded as a listener does.
    pub(crate) async fn pair() -> (TcpStream, TcpStream) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let connected = TcpStream::connect(listener.local_addr().unwrap());
        let (client, accepted) = tokio::join!(connected, listener.accept());
        let (server, _) = accepted.unwrap();
        super::super::listener::bound_unsent(&server);
        (server, client.unwrap())
    }

    /// Writes as long as there is room; the bytes that were taken.
    async fn fill(near: &mut Patient<TcpStream>) -> usize {
        let mut taken = 0;
        let part = [7; 16 << 10];
        while let Poll::Ready(written) =
            std::future::poll_fn(|cx| Poll::Ready(Pin::new(&mut *near).poll_write(cx, &part))).await
        {
            taken += written.unwrap();
        }
        taken
    }

    #[tokio::test]
    async fn a_write_that_nobody_takes_ends() {
        let (server, _client) = pair().await;
        let mut near = Patient::new(server, Duration::ZERO, Room::default());
        let error = near.write_all(&vec![0; 64 << 20]).await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
    }

    #[tokio::test]
    async fn a_write_that_is_taken_in_time_is_whole() {
        let (server, mut client) = pair().await;
        let mut near = Patient::new(server, Duration::from_secs(600), Room::default());
        let (mut taken, sent) = (Vec::new(), vec![7; 9 << 20]);
        let written = async {
            near.write_all(&sent).await.unwrap();
            near.shutdown().await.unwrap();
        };
        tokio::join!(written, async { client.read_to_end(&mut taken).await.unwrap() });
        assert!(taken == sent, "{}", taken.len());
    }

    #[tokio::test]
    async fn there_is_room_for_last_words_when_nothing_is_taken_any_more() {
        let (server, mut client) = pair().await;
        let room = Room::default();
        let mut near = Patient::new(server, Duration::from_secs(600), room.clone());
        let mut filled = fill(&mut near).await;
        // The other end's system takes some more by and by.
        while let Ok(Ok(())) = tokio::time::timeout(Duration::from_millis(200), near.inner.writable()).await {
            filled += fill(&mut near).await;
        }
        room.ask();
        near.write_all(b"last words").await.unwrap();
        drop(near);
        let mut taken = Vec::new();
        client.read_to_end(&mut taken).await.unwrap();
        assert_eq!(taken.len(), filled + 10);
        assert!(taken.ends_with(b"last words"));
    }
}
