//! Reading of a row file: which rows an address has, where a place is, and rows by number. Whatever does not fit together is
//! an error: the file is then removed, and its rows are read from the data file.

use std::collections::HashMap;
use std::fs::File;
use std::io;
use std::ops::Range;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use orrery_schemas::{Address, LedgerSequence, TokenTransfer};
use sha2::{Digest, Sha256};

use super::layout::{
    ADDRESS_BYTES, END_BYTES, ENTRY_BYTES, MAGIC, PART_BYTES, PART_ROWS_MAX, Part, RECORD_BYTES, TOKEN_BYTES,
    check, directory_place, hash, u32_at,
};
use super::record::{self, EXTRA_HEAD_BYTES, Token};
use crate::dataset::scan::Place;

/// Rows that are read at once where they stand together.
const RUN_ROWS: usize = 64;

/// Bytes that are read at once where there are many.
const CHUNK_BYTES: u64 = 256 << 10;

/// Most parts of a file: more rows than a slot has.
const PARTS_MAX: u32 = 1 << 16;

/// Longest of what a sender attached: the network's own bound is 28 bytes of text, a contract's is less than this.
const EXTRA_BYTES_MAX: u32 = 64 << 10;

/// A row file that is there. It is opened for each look-up: there may be thousands, and a process may have few open.
#[derive(Debug)]
pub(super) struct RowFile {
    path: PathBuf,
    pub(super) bytes: u64,
    pub(super) parts: Vec<Part>,
}

/// An open row file.
#[derive(Debug)]
pub(super) struct Reader {
    file: File,
    bytes: u64,
    /// Bytes that were read.
    pub(super) read: u64,
}

/// What is named by number in a part, as far as it was read.
#[derive(Debug, Default)]
struct Named {
    addresses: HashMap<u32, Address>,
    tokens: HashMap<u32, Token>,
}

impl RowFile {
    /// The file at `path`, if it is what was written.
    pub(super) fn open(path: &Path) -> io::Result<Self> {
        let mut reader = Reader::open(path)?;
        let bytes = reader.bytes;
        let at = bytes.checked_sub(END_BYTES as u64).ok_or_else(|| damaged("it is too short"))?;
        let end = reader.bytes_at(at..bytes)?;
        let count = u32_at(&end, 0).filter(|count| *count <= PARTS_MAX);
        let (Some(count), true) = (count, end.ends_with(&MAGIC)) else {
            return Err(damaged("it has no end"));
        };
        let list =
            at.checked_sub(u64::from(count) * PART_BYTES as u64).ok_or_else(|| damaged("it is too short"))?;
        let listed = reader.bytes_at(list..at + 4)?;
        if end.get(4..8) != Some(&check(&listed)) {
            return Err(damaged("its list of parts is another"));
        }
        let parts: Option<Vec<Part>> =
            listed.chunks_exact(PART_BYTES).take(count as usize).map(Part::from_bytes).collect();
        let parts = parts.ok_or_else(|| damaged("its list of parts is too short"))?;
        let mut offset = 0;
        for part in &parts {
            if part.offset != offset || part.rows > PART_ROWS_MAX {
                return Err(damaged("its parts do not follow each other"));
            }
            offset = part.end();
            reader.check_index(part)?;
        }
        if offset != list {
            return Err(damaged("its parts do not fill it"));
        }
        Ok(Self { path: path.to_owned(), bytes, parts })
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    pub(super) fn reader(&self) -> io::Result<Reader> {
        let reader = Reader::open(&self.path)?;
        if reader.bytes == self.bytes { Ok(reader) } else { Err(damaged("its length has changed")) }
    }
}

impl Reader {
    fn open(path: &Path) -> io::Result<Self> {
        let file = File::open(path)?;
        let bytes = file.metadata()?.len();
        Ok(Self { file, bytes, read: 0 })
    }

    /// What stands in a range, which lies in the file: nothing is allocated for a number that makes no sense.
    fn bytes_at(&mut self, range: Range<u64>) -> io::Result<Vec<u8>> {
        let length = range.end.checked_sub(range.start).filter(|_| range.end <= self.bytes);
        let length = length.ok_or_else(|| damaged("it points outside of itself"))?;
        let mut bytes = vec![0; usize::try_from(length).map_err(io::Error::other)?];
        self.file.read_exact_at(&mut bytes, range.start)?;
        self.read += length;
        Ok(bytes)
    }

    fn check_index(&mut self, part: &Part) -> io::Result<()> {
        let mut digest = Sha256::new();
        let mut at = part.directory();
        while at < part.end() {
            let chunk = self.bytes_at(at..(at + CHUNK_BYTES).min(part.end()))?;
            at += chunk.len() as u64;
            digest.update(chunk);
        }
        let is_same = digest.finalize().as_slice() == part.sha256;
        is_same.then_some(()).ok_or_else(|| damaged("its index is another"))
    }

    /// The rows of an address, ascending.
    pub(super) fn rows_of(&mut self, part: &Part, address: &Address) -> io::Result<Vec<u32>> {
        let key = record::address_to_bytes(address);
        let hash = hash(&key);
        let at = part.directory() + 4 * u64::from(directory_place(hash, part.directory_bits()));
        let ends = self.bytes_at(at..at + 8)?;
        let (Some(begin), Some(end)) = (u32_at(&ends, 0), u32_at(&ends, 4)) else { return Ok(Vec::new()) };
        if begin > end || end > part.addresses {
            return Err(damaged("its directory is not ascending"));
        }
        let slots = self.bytes_at(part.slots() + 8 * u64::from(begin)..part.slots() + 8 * u64::from(end))?;
        for slot in slots.chunks_exact(8).filter(|slot| u32_at(slot, 0) == Some(hash as u32)) {
            let entry = self.entry(part, u32_at(slot, 4).unwrap_or(u32::MAX))?;
            if !entry.starts_with(&key) {
                continue;
            }
            let (first, count) = (u32_at(&entry, ADDRESS_BYTES), u32_at(&entry, ADDRESS_BYTES + 4));
            let range = first.zip(count).and_then(|(first, count)| Some(first..first.checked_add(count)?));
            let range = range.filter(|range| range.end <= part.postings);
            let Some(range) = range else { return Err(damaged("an address has rows that are not there")) };
            let at = |number: u32| part.postings() + 4 * u64::from(number);
            let rows = self.bytes_at(at(range.start)..at(range.end))?;
            return Ok(rows.chunks_exact(4).filter_map(|row| u32_at(row, 0)).collect());
        }
        Ok(Vec::new())
    }

    fn entry(&mut self, part: &Part, number: u32) -> io::Result<Vec<u8>> {
        if number >= part.addresses {
            return Err(damaged("an address is not there"));
        }
        let at = part.entries() + ENTRY_BYTES * u64::from(number);
        self.bytes_at(at..at + ENTRY_BYTES)
    }

    /// The place of a row.
    fn place(&mut self, part: &Part, row: u32) -> io::Result<Place> {
        let at = record_at(part, row)?;
        let bytes = self.bytes_at(at..at + 8)?;
        match (u32_at(&bytes, 0), u32_at(&bytes, 4)) {
            (Some(ledger), Some(event)) => Ok(Place { ledger: LedgerSequence(ledger), event }),
            _ => Err(damaged("it is too short")),
        }
    }

    /// How many of `count` rows, ascending, stand before a place; or, with `or_at`, not behind it. `row` says their numbers.
    pub(super) fn before(
        &mut self,
        part: &Part,
        count: usize,
        row: impl Fn(usize) -> u32,
        place: Place,
        or_at: bool,
    ) -> io::Result<usize> {
        let (mut low, mut high) = (0, count);
        while low < high {
            let middle = low + (high - low) / 2;
            let found = self.place(part, row(middle))?;
            if found < place || or_at && found == place { low = middle + 1 } else { high = middle }
        }
        Ok(low)
    }

    /// These rows, which are ascending.
    pub(super) fn events(&mut self, part: &Part, rows: &[u32]) -> io::Result<Vec<TokenTransfer>> {
        let mut named = Named::default();
        let mut events = Vec::with_capacity(rows.len());
        let mut rest = rows;
        while let Some(&first) = rest.first() {
            let follows = |(row, number): &(&u32, u32)| **row == *number;
            let run = rest.iter().zip(first..).take(RUN_ROWS).take_while(follows).count();
            let (now, later) = rest.split_at(run);
            rest = later;
            let at = record_at(part, first)?;
            record_at(part, now.last().copied().unwrap_or(first))?;
            let bytes = self.bytes_at(at..at + RECORD_BYTES * now.len() as u64)?;
            for record in bytes.chunks_exact(RECORD_BYTES as usize) {
                events.push(self.event(part, record, &mut named)?);
            }
        }
        Ok(events)
    }

    fn event(&mut self, part: &Part, bytes: &[u8], named: &mut Named) -> io::Result<TokenTransfer> {
        let names = record::names(bytes).ok_or_else(|| damaged("a row is another"))?;
        let token = match named.tokens.get(&names.token) {
            Some(token) => *token,
            None => {
                let token = self.token(part, names.token)?;
                *named.tokens.entry(names.token).or_insert(token)
            }
        };
        let from = self.address(part, names.from, named)?;
        let to = self.address(part, names.to, named)?;
        let extra = match names.extra.checked_sub(1) {
            None => None,
            Some(at) => Some(self.extra(part, at)?),
        };
        record::from_bytes(bytes, token, from, to, extra).ok_or_else(|| damaged("a row makes no sense"))
    }

    fn address(&mut self, part: &Part, number: u32, named: &mut Named) -> io::Result<Option<Address>> {
        let Some(number) = number.checked_sub(1) else { return Ok(None) };
        if let Some(address) = named.addresses.get(&number) {
            return Ok(Some(*address));
        }
        let address = record::address_from_bytes(&self.entry(part, number)?);
        let address = address.ok_or_else(|| damaged("an address makes no sense"))?;
        named.addresses.insert(number, address);
        Ok(Some(address))
    }

    fn token(&mut self, part: &Part, number: u32) -> io::Result<Token> {
        if number >= part.tokens {
            return Err(damaged("a token is not there"));
        }
        let at = part.tokens() + TOKEN_BYTES as u64 * u64::from(number);
        let token = record::token_from_bytes(&self.bytes_at(at..at + TOKEN_BYTES as u64)?);
        token.ok_or_else(|| damaged("a token makes no sense"))
    }

    fn extra(&mut self, part: &Part, at: u32) -> io::Result<orrery_schemas::ToMuxed> {
        let Range { start, end } = part.extras();
        let at = start + u64::from(at);
        let content = at + EXTRA_HEAD_BYTES as u64;
        let outside = || damaged("what was attached is not there");
        let head = self.bytes_at(Some(at..content).filter(|range| range.end <= end).ok_or_else(outside)?)?;
        let length = u32_at(&head, 1).filter(|length| *length <= EXTRA_BYTES_MAX).ok_or_else(outside)?;
        let range = content..content + u64::from(length);
        let bytes = self.bytes_at(Some(range).filter(|range| range.end <= end).ok_or_else(outside)?)?;
        let kind = head.first().copied().unwrap_or(u8::MAX);
        record::extra_from_bytes(kind, &bytes).ok_or_else(|| damaged("what was attached makes no sense"))
    }
}

fn record_at(part: &Part, row: u32) -> io::Result<u64> {
    match row < part.rows {
        true => Ok(part.offset + RECORD_BYTES * u64::from(row)),
        false => Err(damaged("a row is not there")),
    }
}

/// What was read is not what was written.
pub(super) fn damaged(problem: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, problem)
}
