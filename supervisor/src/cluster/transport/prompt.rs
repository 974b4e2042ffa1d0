//! A peer that has proven its name says at once what it wants, or is closed: silence would hold its place for ever.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::time::Sleep;

/// The bytes with which every HTTP/2 client begins: RFC 9113, 3.4.
const PREFACE_BYTES: usize = 24;

/// What a connection is waited for to say; then it is over.
pub(super) struct Prompt {
    bytes_left: usize,
    until: Pin<Box<Sleep>>,
}

impl Prompt {
    /// Waits so long for a client's first bytes of HTTP/2.
    pub(super) fn new(within: Duration) -> Self {
        Self { bytes_left: PREFACE_BYTES, until: Box::pin(tokio::time::sleep(within)) }
    }

    /// Whether it has said it.
    pub(super) const fn is_over(&self) -> bool {
        self.bytes_left == 0
    }

    /// A read gave so many bytes. What has come is read first, however late we are ourselves.
    pub(super) fn bound(
        &mut self,
        context: &mut Context<'_>,
        polled: Poll<io::Result<()>>,
        bytes: usize,
    ) -> Poll<io::Result<()>> {
        self.bytes_left = self.bytes_left.saturating_sub(bytes);
        if polled.is_ready() {
            return polled;
        }
        ready!(self.until.as_mut().poll(context));
        Poll::Ready(Err(io::Error::new(io::ErrorKind::TimedOut, "the other side says nothing")))
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;

    use tokio::io::{AsyncRead, AsyncWriteExt, DuplexStream, ReadBuf, duplex};

    use super::*;

    async fn read(prompt: &mut Prompt, stream: &mut DuplexStream) -> io::Result<usize> {
        let mut bytes = [0; 100];
        poll_fn(|context| {
            let mut buffer = ReadBuf::new(&mut bytes);
            let polled = Pin::new(&mut *stream).poll_read(context, &mut buffer);
            let read = buffer.filled().len();
            prompt.bound(context, polled, read).map_ok(|()| read)
        })
        .await
    }

    #[tokio::test]
    async fn who_says_nothing_or_too_little_is_closed_in_time() {
        for said in [0, 1, 23] {
            let (mut peer, mut stream) = duplex(100);
            let mut prompt = Prompt::new(Duration::ZERO);
            peer.write_all(&vec![b'P'; said]).await.unwrap();
            if said > 0 {
                assert_eq!(read(&mut prompt, &mut stream).await.unwrap(), said);
            }
            assert!(!prompt.is_over());
            let error = read(&mut prompt, &mut stream).await.unwrap_err();
            assert_eq!(error.kind(), io::ErrorKind::TimedOut, "{said}");
        }
    }

    #[tokio::test]
    async fn who_spoke_in_time_is_heard_however_late() {
        let (mut peer, mut stream) = duplex(100);
        let mut prompt = Prompt::new(Duration::ZERO);
        peer.write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n").await.unwrap();
        assert_eq!(read(&mut prompt, &mut stream).await.unwrap(), 24);
        assert!(prompt.is_over());
    }
}
