//! Rows of a data file to a row file, a part after another: one part is in memory.

use std::collections::HashMap;
use std::io::{self, Write};
use std::path::Path;

use orrery_schemas::{Address, TokenTransfer};
use tempfile::NamedTempFile;

use super::layout::{MAGIC, Part, RECORD_BYTES, check, directory_place, hash};
use super::record::{self, Names, Token};
use super::row_file::damaged;
use crate::dataset::scan::Place;
use crate::dataset::slot::sha256;

/// What a file is called until it is whole: leftovers of a process that was killed are known by it.
pub(super) const UNFINISHED: &str = "unfinished-";

/// A row file that is being written.
pub(in crate::dataset) struct RowFileWriter {
    rows_max: u32,
    file: NamedTempFile,
    written: u64,
    parts: Vec<Part>,
    part: Rows,
}

/// Rows of one part.
#[derive(Default)]
struct Rows {
    records: Vec<u8>,
    numbers: HashMap<Address, u32>,
    addresses: Vec<Address>,
    /// An address, and a row that has it.
    sides: Vec<(u32, u32)>,
    token_numbers: HashMap<Token, u32>,
    tokens: Vec<u8>,
    extras: Vec<u8>,
    places: Option<(Place, Place)>,
}

impl RowFileWriter {
    /// A new file in `folder`, without a name, whose parts have at most `rows_max` rows.
    pub(super) fn new(folder: &Path, rows_max: u32) -> io::Result<Self> {
        let file = tempfile::Builder::new().prefix(UNFINISHED).tempfile_in(folder)?;
        Ok(Self { rows_max, file, written: 0, parts: Vec::new(), part: Rows::default() })
    }

    /// Appends rows, in order.
    pub(in crate::dataset) fn append(&mut self, rows: &[TokenTransfer]) -> io::Result<()> {
        for row in rows {
            self.part.append(row).ok_or_else(|| damaged("a number is out of bounds"))?;
            if self.part.records.len() as u64 >= u64::from(self.rows_max) * RECORD_BYTES {
                self.end_part()?;
            }
        }
        Ok(())
    }

    /// Ends a part, if it has rows.
    fn end_part(&mut self) -> io::Result<()> {
        let rows = std::mem::take(&mut self.part);
        let Some((bytes, part)) = rows.finish(self.written) else { return Ok(()) };
        self.file.write_all(&bytes)?;
        self.written += bytes.len() as u64;
        self.parts.push(part);
        Ok(())
    }

    /// Ends the file and gives it its name. It is not written through to the disk: what a fall of the machine leaves of it is
    /// found out by its checks.
    pub(super) fn finish(mut self, path: &Path) -> io::Result<()> {
        self.end_part()?;
        let mut end: Vec<u8> = self.parts.iter().flat_map(|part| part.to_bytes()).collect();
        let parts = u32::try_from(self.parts.len()).map_err(io::Error::other)?;
        end.extend(parts.to_le_bytes());
        end.extend(check(&end));
        end.extend(MAGIC);
        self.file.write_all(&end)?;
        self.file.persist(path).map_err(|error| error.error)?;
        Ok(())
    }
}

impl Rows {
    fn append(&mut self, row: &TokenTransfer) -> Option<()> {
        let number = u32::try_from(self.records.len() as u64 / RECORD_BYTES).ok()?;
        let place = Place { ledger: row.ledger_sequence, event: row.ledger_event_index };
        self.places = Some((self.places.map_or(place, |(first, _)| first), place));
        let from = self.side(row.from.as_ref(), number)?;
        let to = match row.to == row.from {
            true => from,
            false => self.side(row.to.as_ref(), number)?,
        };
        let token = (row.contract_id, row.asset);
        let next = u32::try_from(self.token_numbers.len()).ok()?;
        let token = *self.token_numbers.entry(token).or_insert_with(|| {
            self.tokens.extend(record::token_to_bytes(&token));
            next
        });
        let extra = match &row.to_muxed {
            None => 0,
            Some(extra) => {
                let at = u32::try_from(self.extras.len()).ok()?.checked_add(1)?;
                self.extras.extend(record::extra_to_bytes(extra)?);
                at
            }
        };
        self.records.extend(record::to_bytes(row, Names { token, from, to, extra })?);
        Some(())
    }

    /// The number of an address on one side of a row, from 1; 0 is none.
    fn side(&mut self, address: Option<&Address>, row: u32) -> Option<u32> {
        let Some(address) = address else { return Some(0) };
        let next = u32::try_from(self.addresses.len()).ok()?;
        let number = *self.numbers.entry(*address).or_insert_with(|| {
            self.addresses.push(*address);
            next
        });
        self.sides.push((number, row));
        number.checked_add(1)
    }

    /// The part's bytes, which stand at `offset`; `None` without rows.
    fn finish(mut self, offset: u64) -> Option<(Vec<u8>, Part)> {
        let (first, last) = self.places?;
        let mut bytes = self.records;
        let count = |length: usize| u32::try_from(length).ok();
        let mut part = Part {
            offset,
            rows: count(bytes.len() / RECORD_BYTES as usize)?,
            addresses: count(self.addresses.len())?,
            postings: count(self.sides.len())?,
            tokens: count(self.token_numbers.len())?,
            extras: count(self.extras.len())?,
            first,
            last,
            sha256: [0; 32],
        };
        let index = bytes.len();
        let keys: Vec<_> = self.addresses.iter().map(record::address_to_bytes).collect();
        let mut slots: Vec<(u64, u32)> = keys.iter().map(|key| hash(key)).zip(0..).collect();
        slots.sort_unstable();
        let bits = part.directory_bits();
        let mut slot = 0;
        for place in 0..1_u64 << bits {
            bytes.extend(u32::try_from(slot).ok()?.to_le_bytes());
            let is_here = |(hash, _): &&(u64, u32)| u64::from(directory_place(*hash, bits)) == place;
            slot += slots.get(slot..)?.iter().take_while(is_here).count();
        }
        bytes.extend(part.addresses.to_le_bytes());
        for (hash, number) in slots {
            bytes.extend((hash as u32).to_le_bytes());
            bytes.extend(number.to_le_bytes());
        }
        // Rows of an address stay ascending.
        self.sides.sort_unstable();
        let mut begin = 0_u32;
        for (number, key) in (0_u32..).zip(&keys) {
            let rows = self.sides.get(begin as usize..)?.iter().take_while(|(one, _)| *one == number).count();
            let rows = u32::try_from(rows).ok()?;
            bytes.extend(key);
            bytes.extend(begin.to_le_bytes());
            bytes.extend(rows.to_le_bytes());
            begin += rows;
        }
        bytes.extend(self.sides.iter().flat_map(|(_, row)| row.to_le_bytes()));
        bytes.extend(self.tokens);
        bytes.extend(self.extras);
        part.sha256 = sha256(bytes.get(index..)?).0;
        Some((bytes, part))
    }
}
