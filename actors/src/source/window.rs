//! A growing window over content: the part of it that is in memory.

use std::io::{self, Read};

use super::LEDGER_BYTES_FIRST_FILL;

/// Unread bytes of content. Grows only as bytes arrive, so that a length in a header allocates nothing by itself.
pub(super) struct Window<R> {
    content: R,
    bytes: Vec<u8>,
    start: usize,
    offset: u64,
    at_end: bool,
}

impl<R: Read> Window<R> {
    pub(super) fn new(content: R) -> Self {
        Self { content, bytes: Vec::new(), start: 0, offset: 0, at_end: false }
    }

    pub(super) fn content(&self) -> &R {
        &self.content
    }

    /// Bytes in memory that were not consumed yet.
    pub(super) fn available(&self) -> &[u8] {
        &self.bytes[self.start..]
    }

    /// Position of the first available byte in the content.
    pub(super) fn offset(&self) -> u64 {
        self.offset
    }

    /// Nothing left, in memory or in the content; reads to learn it.
    pub(super) fn is_exhausted(&mut self) -> io::Result<bool> {
        Ok(!self.fill(1)?)
    }

    /// Reads until `want` bytes are available. False if the content ends before; reads no byte beyond `want`, so a live
    /// stream is never waited on for what comes after the record.
    pub(super) fn fill(&mut self, want: usize) -> io::Result<bool> {
        while self.available().len() < want && !self.at_end {
            self.bytes.drain(..self.start);
            self.start = 0;
            let have = self.bytes.len();
            let step = want.min(LEDGER_BYTES_FIRST_FILL.max(have * 2)) - have;
            self.bytes.try_reserve_exact(step).map_err(|_| io::ErrorKind::OutOfMemory)?;
            let read = self.content.by_ref().take(step as u64).read_to_end(&mut self.bytes)?;
            self.at_end = read < step;
        }
        Ok(self.available().len() >= want)
    }

    /// Marks `count` available bytes as read.
    pub(super) fn consume(&mut self, count: usize) {
        let count = count.min(self.available().len());
        self.start += count;
        self.offset += count as u64;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn window_reads_no_further_than_it_was_asked_to() {
        let mut window = Window::new(io::Cursor::new((0..100u8).collect::<Vec<_>>()));
        assert!(window.fill(4).unwrap());
        assert_eq!(window.available(), [0, 1, 2, 3]);
        window.consume(3);
        assert!(window.fill(2).unwrap());
        assert_eq!((window.offset(), window.available()), (3, [3, 4].as_slice()));
        assert!(!window.fill(98).unwrap());
        assert_eq!(window.available().len(), 97);
        window.consume(97);
        assert!(window.is_exhausted().unwrap());
        assert_eq!(window.offset(), 100);
    }
}
