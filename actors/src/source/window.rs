//! A growing window over content: the part of it that is in memory.

use std::io::{self, Read};

use bytes::Bytes;

use super::{LEDGER_BYTES_FIRST_FILL, LEDGER_XDR_BYTES_MAX};

/// Unread bytes of content. Memory is touched only as bytes arrive, so that a length in a header costs nothing by itself.
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

    /// Reads until `want` bytes are available. False if the content ends before; reads no byte beyond `want`, so a live
    /// stream is never waited on for what comes after the record.
    pub(super) fn fill(&mut self, want: usize) -> io::Result<bool> {
        while self.available().len() < want && !self.at_end {
            self.bytes.drain(..self.start);
            self.start = 0;
            let have = self.bytes.len();
            let step = want.min(LEDGER_BYTES_FIRST_FILL.max(have * 2)) - have;
            reserve(&mut self.bytes, step)?;
            let read = self.content.by_ref().take(step as u64).read_to_end(&mut self.bytes)?;
            self.at_end = read < step;
        }
        Ok(self.available().len() >= want)
    }

    /// Consumes the first `count` bytes and returns them. Small ones are copied, exactly; a large ledger takes the memory
    /// it lies in, so that it is never held twice.
    pub(super) fn take(&mut self, count: usize) -> Bytes {
        let count = count.min(self.available().len());
        let (start, end) = (self.start, self.start + count);
        self.offset += count as u64;
        if count <= LEDGER_BYTES_FIRST_FILL {
            self.start = end;
            return Bytes::copy_from_slice(&self.bytes[start..end]);
        }
        let rest = self.bytes.split_off(end);
        let mut taken = std::mem::replace(&mut self.bytes, rest);
        self.start = 0;
        taken.shrink_to_fit();
        Bytes::from(taken).slice(start..)
    }

    /// Marks `count` available bytes as read.
    pub(super) fn consume(&mut self, count: usize) {
        let count = count.min(self.available().len());
        self.start += count;
        self.offset += count as u64;
    }
}

/// Makes room for `more` bytes. Past the first fill it asks once for all that a ledger may have: growing in steps would
/// leave the steps behind in the allocator, and address space costs nothing until it is written.
pub(super) fn reserve(bytes: &mut Vec<u8>, more: usize) -> io::Result<()> {
    let needed = bytes.len() + more;
    if needed <= bytes.capacity() {
        return Ok(());
    }
    let capacity = match needed <= LEDGER_BYTES_FIRST_FILL {
        true => needed,
        // One byte more, to see whether content goes on after the largest ledger.
        false => needed.max(LEDGER_XDR_BYTES_MAX + 1),
    };
    let reserved = bytes.try_reserve_exact(capacity - bytes.len());
    reserved.map_err(|_| io::ErrorKind::OutOfMemory.into())
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
        assert!(!window.fill(1).unwrap());
        assert_eq!(window.offset(), 100);
    }

    #[test]
    fn window_gives_small_and_large_pieces_and_keeps_the_rest() {
        let large = LEDGER_BYTES_FIRST_FILL + 1;
        let content: Vec<u8> = (0..large + 10).map(|at| (at % 251) as u8).collect();
        let mut window = Window::new(io::Cursor::new(content.clone()));
        assert!(window.fill(large + 7).unwrap());
        assert_eq!(window.take(3), content[..3]);
        assert_eq!(window.take(large), content[3..large + 3]);
        assert_eq!((window.offset(), window.available()), (large as u64 + 3, &content[large + 3..large + 7]));
        assert!(!window.fill(100).unwrap());
        assert_eq!(window.take(100), content[large + 3..]);
        assert!(!window.fill(1).unwrap());
    }
}
