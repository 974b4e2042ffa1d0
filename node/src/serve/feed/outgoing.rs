//! A WebSocket frame on its way out: a head of its own and parts that others may share, none of which is copied.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use tokio::io::AsyncWrite;

use super::wire::{Head, Opcode, close_payload};

/// A whole message.
#[derive(Clone, Debug)]
pub(super) struct Outgoing {
    head: Head,
    parts: [Bytes; 2],
    /// A small frame that goes with it, in the same write: for thousands of readers each write counts.
    trailer: Bytes,
    /// Bytes that the other end's kernel, or ours, has taken.
    sent: usize,
}

impl Outgoing {
    /// Of a payload in two parts.
    pub(super) fn new(opcode: Opcode, first: impl Into<Bytes>, second: impl Into<Bytes>) -> Self {
        let parts = [first.into(), second.into()];
        let head = Head::new(opcode, parts.iter().map(Bytes::len).sum(), None);
        Self { head, parts, trailer: Bytes::new(), sent: 0 }
    }

    pub(super) fn text(text: String) -> Self {
        Self::new(Opcode::Text, text, Bytes::new())
    }

    /// The same, and a text behind it.
    pub(super) fn followed_by(self, text: &str) -> Self {
        let head = Head::new(Opcode::Text, text.len(), None);
        Self { trailer: [head.as_bytes(), text.as_bytes()].concat().into(), ..self }
    }

    pub(super) fn close(code: u16, reason: &str) -> Self {
        Self::new(Opcode::Close, close_payload(code, reason), Bytes::new())
    }

    /// Writes what is left of it.
    pub(super) fn poll_write<W: AsyncWrite + Unpin>(
        &mut self,
        io: &mut W,
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<()>> {
        loop {
            let all = [self.head.as_bytes(), &self.parts[0], &self.parts[1], &self.trailer];
            let mut skip = self.sent;
            let left = all.map(|part| {
                let from = skip.min(part.len());
                skip -= from;
                IoSlice::new(&part[from..])
            });
            if left.iter().all(|part| part.is_empty()) {
                return Pin::new(io).poll_flush(cx);
            }
            // Where a part is empty a writer that takes only the first one must not be given it.
            let first = left.iter().position(|part| !part.is_empty()).unwrap_or(0);
            let written = ready!(Pin::new(&mut *io).poll_write_vectored(cx, &left[first..]))?;
            if written == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            self.sent += written;
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::AsyncReadExt;

    use super::*;

    #[tokio::test]
    async fn all_parts_are_written_however_little_is_taken_at_once() {
        for window in [1, 2, 3, 64] {
            let (mut near, mut far) = tokio::io::duplex(window);
            let write = async {
                let mut frame = Outgoing::new(Opcode::Text, "{\"id\":", "1}").followed_by("{}");
                std::future::poll_fn(|cx| frame.poll_write(&mut near, cx)).await.unwrap();
                drop(near);
            };
            let mut found = Vec::new();
            let (_, read) = tokio::join!(write, far.read_to_end(&mut found));
            read.unwrap();
            assert_eq!(found, b"\x81\x08{\"id\":1}\x81\x02{}");
        }
    }
}
