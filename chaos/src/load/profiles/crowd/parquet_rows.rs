//! The number of rows that a Parquet file says it has, read from its last bytes without a library of the server's. Pure.
//!
//! A file ends with its metadata, their length and `PAR1`. The metadata are a Thrift struct in the compact form, of which field
//! 3 is the number of rows.

/// Metadata are no deeper than this.
const DEPTH_MAX: u32 = 16;

/// Rows of the file that these are the bytes of.
pub(super) fn rows(file: &[u8]) -> Option<u64> {
    let (rest, magic) = file.split_at_checked(file.len().checked_sub(4)?)?;
    let (rest, length) = rest.split_at_checked(rest.len().checked_sub(4)?)?;
    let length = usize::try_from(u32::from_le_bytes(length.try_into().ok()?)).ok()?;
    let metadata = rest.get(rest.len().checked_sub(length)?..)?;
    let mut fields = Thrift { bytes: metadata };
    if magic != b"PAR1" || !file.starts_with(b"PAR1") {
        return None;
    }
    let mut id = 0;
    loop {
        let kind = fields.field(&mut id)?;
        if (id, kind) == (3, I64) {
            return u64::try_from(fields.zigzag()?).ok();
        }
        fields.skip(kind, 0)?;
    }
}

const I64: u8 = 6;

/// Values in Thrift's compact form.
struct Thrift<'a> {
    bytes: &'a [u8],
}

impl Thrift<'_> {
    fn byte(&mut self) -> Option<u8> {
        let (byte, rest) = self.bytes.split_first()?;
        self.bytes = rest;
        Some(*byte)
    }

    fn varint(&mut self) -> Option<u64> {
        let mut value = 0;
        for shift in (0..64).step_by(7) {
            let byte = self.byte()?;
            value |= u64::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                return Some(value);
            }
        }
        None
    }

    fn zigzag(&mut self) -> Option<i64> {
        let value = self.varint()?;
        i64::try_from(value >> 1).ok().map(|half| if value & 1 == 0 { half } else { -half - 1 })
    }

    fn pass(&mut self, count: u64) -> Option<()> {
        self.bytes = self.bytes.get(usize::try_from(count).ok()?..)?;
        Some(())
    }

    /// The kind of the next field, whose number is then `id`; `None` at the end of the struct.
    fn field(&mut self, id: &mut i64) -> Option<u8> {
        let head = self.byte()?;
        if head == 0 {
            return None;
        }
        *id = if head >> 4 == 0 { self.zigzag()? } else { *id + i64::from(head >> 4) };
        Some(head & 0x0f)
    }

    fn skip(&mut self, kind: u8, depth: u32) -> Option<()> {
        if depth > DEPTH_MAX {
            return None;
        }
        match kind {
            1 | 2 => Some(()),
            3 => self.pass(1),
            4..=6 => self.varint().map(drop),
            7 => self.pass(8),
            8 => {
                let length = self.varint()?;
                self.pass(length)
            }
            9 | 10 => {
                let head = self.byte()?;
                let count = if head >> 4 == 15 { self.varint()? } else { u64::from(head >> 4) };
                // A boolean in a list has a byte of its own.
                let kind = if matches!(head & 0x0f, 1 | 2) { 3 } else { head & 0x0f };
                (0..count).try_for_each(|_| self.skip(kind, depth + 1))
            }
            12 => {
                let mut id = 0;
                while let Some(head) = self.bytes.first() {
                    if *head == 0 {
                        return self.pass(1);
                    }
                    let kind = self.field(&mut id)?;
                    self.skip(kind, depth + 1)?;
                }
                None
            }
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_are_found_behind_the_schema() {
        // Version 2; a schema of two structs, of a name each; 300 rows.
        let metadata =
            [0x15, 4, 0x19, 0x2c, 0x48, 1, b'a', 0, 0x15, 2, 0x38, 2, b'b', b'c', 0, 0x16, 0xd8, 0x04, 0];
        let mut file = b"PAR1 pages".to_vec();
        file.extend(metadata);
        file.extend((metadata.len() as u32).to_le_bytes());
        file.extend(b"PAR1");
        assert_eq!(rows(&file), Some(300));
        for cut in 0..file.len() {
            assert_eq!(rows(&file[..cut]), None, "{cut}");
            // What is damaged is nothing, or another number, and never a panic.
            let mut damaged = file.clone();
            damaged[cut] ^= 0xff;
            let _ = rows(&damaged);
        }
    }
}
