//! A growing window over content: the part of it that is in memory.

use std::io::{self, Read};

use bytes::Bytes;

use super::{LEDGER_BYTES_FIRST_FILL, LEDGER_XDR_BYTES_MAX};

/// Unread bytes of content. Memory is touched only as bytes arrive, so that a length in a header costs nothing by itself.
pub(super) struct Window<R> {
    content: R,
    bytes: Held,
    start: usize,
    offset: u64,
    at_end: bool,
}

/// The bytes in memory.
enum Held {
    /// As far as they were read.
    Read(Vec<u8>),
    /// All of the content, which was in memory before: nothing is read or copied.
    Whole(Bytes),
}

impl Held {
    fn as_slice(&self) -> &[u8] {
        match self {
            Self::Read(bytes) => bytes,
            Self::Whole(bytes) => bytes,
        }
    }
}

impl<R: Read> Window<R> {
    pub(super) fn new(content: R) -> Self {
        Self { content, bytes: Held::Read(Vec::new()), start: 0, offset: 0, at_end: false }
    }

    /// Over content that is in memory; of `content` nothing is read.
    pub(super) fn whole(bytes: Bytes, content: R) -> Self {
        Self { content, bytes: Held::Whole(bytes), start: 0, offset: 0, at_end: true }
    }

    pub(super) fn content(&self) -> &R {
        &self.content
    }

    /// Bytes in memory that were not consumed yet.
    pub(super) fn available(&self) -> &[u8] {
        &self.bytes.as_slice()[self.start..]
    }

    /// Position of the first available byte in the content.
    pub(super) fn offset(&self) -> u64 {
        self.offset
    }

    /// Reads until `want` bytes are available. False if the content ends before; reads no byte beyond `want`, so a live
    /// stream is never waited on for what comes after the record.
    pub(super) fn fill(&mut self, want: usize) -> io::Result<bool> {
        while self.available().len() < want && !self.at_end {
            let Held::Read(bytes) = &mut self.bytes else { break };
            bytes.drain(..self.start);
            self.start = 0;
            let have = bytes.len();
            let step = want.min(LEDGER_BYTES_FIRST_FILL.max(have * 2)) - have;
            reserve(bytes, step)?;
            let read = self.content.by_ref().take(step as u64).read_to_end(bytes)?;
            self.at_end = read < step;
        }
        Ok(self.available().len() >= want)
    }

    /// Consumes the first `count` bytes and returns them. Small ones are copied, exactly; a large ledger takes the memory
    /// it lies in, so that it is never held twice. Of content that is in memory they are a part.
    pub(super) fn take(&mut self, count: usize) -> Bytes {
        let count = count.min(self.available().len());
        let (start, end) = (self.start, self.start + count);
        self.offset += count as u64;
        let bytes = match &mut self.bytes {
            Held::Read(bytes) => bytes,
            Held::Whole(bytes) => {
                self.start = end;
                return bytes.slice(start..end);
            }
        };
        if count <= LEDGER_BYTES_FIRST_FILL {
            self.start = end;
            return Bytes::copy_from_slice(&bytes[start..end]);
        }
        let rest = bytes.split_off(end);
        let mut taken = std::mem::replace(bytes, rest);
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
    fn window_over_content_in_memory_copies_none_of_it() {
        let content = Bytes::from((0..100u8).collect::<Vec<_>>());
        let mut window = Window::whole(content.clone(), io::empty());
        assert!(window.fill(4).unwrap() && window.available() == content);
        window.consume(3);
        let taken = window.take(10);
        assert_eq!((taken.as_ptr(), taken.len()), (content[3..].as_ptr(), 10));
        assert_eq!((window.offset(), window.available().len()), (13, 87));
        assert!(window.fill(87).unwrap() && !window.fill(88).unwrap());
        assert_eq!(window.take(1000), content[13..]);
        assert!(!window.fill(1).unwrap());
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
