//! An order-independent digest of a set of rows: equality of two tables, or of one table before and after
//! compaction, is one comparison.
//!
//! The digest is a sum of row hashes (the "setsum" construction): SHA-256 of a row's canonical bytes is read as eight
//! little-endian 32-bit columns, each added modulo the largest prime below 2^32. It finds accidents, not attackers.

use std::fmt;
use std::str::FromStr;

use sha2::{Digest, Sha256};

use crate::{Hash32, ParseError, TokenTransfer};

/// Modulus of each column: the largest prime below 2^32.
const PRIME: u64 = 4_294_967_291;

/// Sum over rows; the sum of no rows is zero. 32 bytes, hexadecimal in text.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct RowDigest([u32; 8]);

impl RowDigest {
    /// Name of the algorithm, as table metadata states it: this sum over [`TokenTransfer::digest_bytes`].
    pub const ALGORITHM: &'static str = "setsum-sha256-v1";

    /// The digest of `rows`, in any order.
    pub fn of<'a>(rows: impl IntoIterator<Item = &'a TokenTransfer>) -> Self {
        let mut digest = Self::default();
        let mut bytes = Vec::new();
        for row in rows {
            bytes.clear();
            row.digest_bytes(&mut bytes);
            digest.add_row(&bytes);
        }
        digest
    }

    /// From [`RowDigest::to_bytes`]. `None` if a column is not below the modulus: no sum gives such bytes.
    pub fn from_bytes(bytes: [u8; 32]) -> Option<Self> {
        let mut columns = [0; 8];
        for (column, chunk) in columns.iter_mut().zip(bytes.chunks_exact(4)) {
            let value = chunk.iter().rev().fold(0u32, |value, &byte| value << 8 | u32::from(byte));
            *column = Some(value).filter(|&value| u64::from(value) < PRIME)?;
        }
        Some(Self(columns))
    }

    /// Adds one row, given as its canonical bytes.
    pub fn add_row(&mut self, row: &[u8]) {
        let hash = Sha256::digest(row);
        for (column, bytes) in self.0.iter_mut().zip(hash.chunks_exact(4)) {
            let addend = bytes.iter().rev().fold(0u64, |sum, &byte| sum << 8 | u64::from(byte));
            *column = add(*column, addend);
        }
    }

    /// Adds all rows of `other`.
    pub fn add(&mut self, other: &Self) {
        for (column, &addend) in self.0.iter_mut().zip(&other.0) {
            *column = add(*column, u64::from(addend));
        }
    }

    /// The eight columns, little-endian.
    pub fn to_bytes(self) -> [u8; 32] {
        let mut bytes = [0; 32];
        for (chunk, column) in bytes.chunks_exact_mut(4).zip(self.0) {
            chunk.copy_from_slice(&column.to_le_bytes());
        }
        bytes
    }
}

fn add(column: u32, addend: u64) -> u32 {
    ((u64::from(column) + addend) % PRIME) as u32
}

impl fmt::Display for RowDigest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(Hash32(self.to_bytes()).encode_hex(&mut [0; 64]))
    }
}

impl FromStr for RowDigest {
    type Err = ParseError;

    fn from_str(text: &str) -> Result<Self, ParseError> {
        let Hash32(bytes) = text.parse()?;
        Self::from_bytes(bytes)
            .ok_or_else(|| ParseError::new(text, "a row digest: a column reaches the modulus"))
    }
}
