//! Made-up ledgers in every form, and made-up damage.

#![allow(dead_code, reason = "each test binary uses a part")]

use std::io::{self, Read, Write};

use stellar_xdr::{
    ContractCodeEntry, ContractDataDurability, ContractDataEntry, ContractId, Hash, LedgerCloseMeta,
    LedgerCloseMetaV0, LedgerCloseMetaV1, LedgerCloseMetaV2, LedgerEntry, LedgerEntryChange,
    LedgerEntryChanges, LedgerEntryData, LedgerUpgrade, Limits, ScAddress, ScVal, UpgradeEntryMeta, WriteXdr,
};

/// Found in a ledger of [`deep`] and replaced by nested values.
const MARKER: ScVal = ScVal::U64(0xFEED_F00D_DEAD_BEEF);

/// XDR of ledger `sequence` with one opaque field of `padding` bytes; the version follows the sequence.
pub(crate) fn ledger(sequence: u32, padding: usize) -> Vec<u8> {
    let code = vec![7; padding].try_into().unwrap();
    holding(sequence, LedgerEntryData::ContractCode(ContractCodeEntry { code, ..Default::default() }))
}

/// XDR of ledger `sequence` with a value nested `levels` deep.
pub(crate) fn deep(sequence: u32, levels: usize) -> Vec<u8> {
    let xdr = holding(
        sequence,
        LedgerEntryData::ContractData(ContractDataEntry {
            contract: ScAddress::Contract(ContractId(Hash([1; 32]))),
            durability: ContractDataDurability::Persistent,
            key: ScVal::Void,
            val: MARKER,
            ext: Default::default(),
        }),
    );
    let marker = MARKER.to_xdr(Limits::none()).unwrap();
    let at = xdr.windows(marker.len()).position(|window| window == marker).unwrap();
    // A vector: discriminant 16, present, one element.
    let level = [0, 0, 0, 16, 0, 0, 0, 1, 0, 0, 0, 1];
    [&xdr[..at], &level.repeat(levels), &xdr[at..]].concat()
}

fn holding(sequence: u32, data: LedgerEntryData) -> Vec<u8> {
    let entry = LedgerEntry { last_modified_ledger_seq: sequence, data, ext: Default::default() };
    let changes = LedgerEntryChanges(vec![LedgerEntryChange::Created(entry)].try_into().unwrap());
    let upgrade = LedgerUpgrade::Version(26);
    let upgrades = vec![UpgradeEntryMeta { upgrade, changes }].try_into().unwrap();
    let mut meta = match sequence % 3 {
        0 => LedgerCloseMeta::V0(LedgerCloseMetaV0 { upgrades_processing: upgrades, ..Default::default() }),
        1 => LedgerCloseMeta::V1(LedgerCloseMetaV1 { upgrades_processing: upgrades, ..Default::default() }),
        _ => LedgerCloseMeta::V2(LedgerCloseMetaV2 { upgrades_processing: upgrades, ..Default::default() }),
    };
    let entry = match &mut meta {
        LedgerCloseMeta::V0(meta) => &mut meta.ledger_header,
        LedgerCloseMeta::V1(meta) => &mut meta.ledger_header,
        LedgerCloseMeta::V2(meta) => &mut meta.ledger_header,
    };
    entry.hash = Hash([0xAB; 32]);
    entry.header.ledger_seq = sequence;
    meta.to_xdr(Limits::none()).unwrap()
}

/// Ledgers `first..=last` of differing sizes.
pub(crate) fn ledgers(first: u32, last: u32) -> Vec<Vec<u8>> {
    (first..=last).map(|sequence| ledger(sequence, sequence as usize % 7 * 100)).collect()
}

/// A `LedgerCloseMetaBatch` with this header.
pub(crate) fn batch(first: u32, last: u32, count: u32, ledgers: &[Vec<u8>]) -> Vec<u8> {
    let header = [first, last, count].map(u32::to_be_bytes).concat();
    [header, ledgers.concat()].concat()
}

/// A framed stream, one fragment a record.
pub(crate) fn framed(ledgers: &[Vec<u8>]) -> Vec<u8> {
    ledgers.iter().flat_map(|xdr| [header(xdr.len(), true), xdr.clone()].concat()).collect()
}

/// A framed stream whose records come in fragments of `size` bytes.
pub(crate) fn fragmented(ledgers: &[Vec<u8>], size: usize) -> Vec<u8> {
    let mut stream = Vec::new();
    for xdr in ledgers {
        let count = xdr.chunks(size).count();
        for (index, fragment) in xdr.chunks(size).enumerate() {
            stream.extend(header(fragment.len(), index + 1 == count));
            stream.extend(fragment);
        }
    }
    stream
}

/// A record header.
pub(crate) fn header(length: usize, is_last: bool) -> Vec<u8> {
    (u32::try_from(length).unwrap() | u32::from(is_last) << 31).to_be_bytes().to_vec()
}

/// One zstd frame with a checksum.
pub(crate) fn zstd(content: &[u8]) -> Vec<u8> {
    let mut encoder = zstd::Encoder::new(Vec::new(), 1).unwrap();
    encoder.include_checksum(true).unwrap();
    encoder.write_all(content).unwrap();
    encoder.finish().unwrap()
}

/// A skippable frame.
pub(crate) fn skippable(length: u32) -> Vec<u8> {
    [0x184D_2A53u32.to_le_bytes(), length.to_le_bytes()]
        .concat()
        .into_iter()
        .chain(vec![9; length as usize])
        .collect()
}

/// Largest block of a zstd frame.
const BLOCK: usize = 128 << 10;

/// Header of a zstd block; kind 0 holds `size` bytes as they are, kind 1 one byte that counts `size` times.
fn block_header(is_last: bool, kind: u32, size: usize) -> Vec<u8> {
    let header = u32::from(is_last) | kind << 1 | u32::try_from(size).unwrap() << 3;
    header.to_le_bytes()[..3].to_vec()
}

/// Header of a zstd frame with a window of `1 << window_log` bytes, without checksum and content size.
fn frame_header(window_log: u8) -> Vec<u8> {
    vec![0x28, 0xB5, 0x2F, 0xFD, 0x00, (window_log - 10) << 3]
}

/// A zstd frame without end: `prefix`, then the same byte for ever, neither made smaller.
pub(crate) fn zstd_of_raw_blocks(prefix: &[u8], byte: u8, window_log: u8) -> impl Read + Send + use<> {
    let head = [frame_header(window_log), block_header(false, 0, prefix.len()), prefix.to_vec()].concat();
    let block = [block_header(false, 0, BLOCK), vec![byte; BLOCK]].concat();
    io::Cursor::new(head).chain(Repeat::new(block))
}

/// A zstd frame, written by hand, of `prefix` and `zeros` zero bytes: four bytes for each 128 KiB of them.
pub(crate) fn zstd_of_zeros(prefix: &[u8], zeros: u64) -> Vec<u8> {
    let mut frame = frame_header(17);
    for chunk in prefix.chunks(BLOCK) {
        frame.extend(block_header(false, 0, chunk.len()));
        frame.extend(chunk);
    }
    for _ in 0..zeros / BLOCK as u64 {
        frame.extend(block_header(false, 1, BLOCK));
        frame.push(0);
    }
    frame.extend(block_header(true, 1, (zeros % BLOCK as u64) as usize));
    frame.push(0);
    frame
}

/// A zstd frame that asks for a window of `1 << log` bytes and holds nothing.
pub(crate) fn zstd_with_window(log: u8) -> Vec<u8> {
    [frame_header(log), block_header(true, 0, 0)].concat()
}

/// Gives at most `step` bytes at a time, and is interrupted before each.
pub(crate) struct Dribble<R> {
    inner: R,
    step: usize,
    interrupted: bool,
}

impl<R> Dribble<R> {
    pub(crate) fn new(inner: R, step: usize) -> Self {
        Self { inner, step, interrupted: false }
    }
}

impl<R: Read> Read for Dribble<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.interrupted = !self.interrupted;
        if self.interrupted {
            return Err(io::ErrorKind::Interrupted.into());
        }
        let step = self.step.min(buffer.len());
        self.inner.read(&mut buffer[..step])
    }
}

/// The same bytes over and over, without end.
pub(crate) struct Repeat {
    pattern: Vec<u8>,
    at: usize,
}

impl Repeat {
    pub(crate) fn new(pattern: Vec<u8>) -> Self {
        Self { pattern, at: 0 }
    }
}

impl Read for Repeat {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let rest = &self.pattern[self.at..];
        let count = rest.len().min(buffer.len());
        buffer[..count].copy_from_slice(&rest[..count]);
        self.at = (self.at + count) % self.pattern.len();
        Ok(count)
    }
}
