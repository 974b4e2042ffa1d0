//! A read position in the XDR bytes of a ledger that knows how deep it is. It allocates nothing.

use thiserror::Error;

/// Deepest nesting of structures, unions, arrays and optionals that is followed.
///
/// Ledgers of protocol 27 need 1,500 (CAP-0071). Each level costs a stack frame: the threads that read ledgers have
/// stacks proven for this depth.
pub const DEPTH_MAX: u16 = 1_500;

/// Why bytes are not the XDR they should be, and where.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("{kind} at byte {offset}")]
pub struct WalkError {
    /// Offset from the start of the walked bytes.
    pub offset: usize,
    /// What is wrong there.
    pub kind: WalkErrorKind,
}

/// What is wrong with the bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum WalkErrorKind {
    /// The bytes end inside a value: more input could complete it.
    #[error("the XDR ends in the middle of a value")]
    UnexpectedEnd,
    /// Nested deeper than [`DEPTH_MAX`].
    #[error("the XDR nests deeper than {DEPTH_MAX} levels")]
    TooDeep,
    /// A number that the named type does not have: an unknown protocol, or damage.
    #[error("{value} is not a {of}")]
    UnknownVariant {
        /// The XDR type.
        of: &'static str,
        /// The number that was read.
        value: i32,
    },
    /// A length over the type's maximum.
    #[error("length {length} is over the limit of {max}")]
    TooLong {
        /// The length that was read.
        length: u32,
        /// The XDR definition's maximum.
        max: u32,
    },
    /// Padding that is not zero.
    #[error("the padding is not zero")]
    Padding,
}

/// A position in borrowed bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cursor<'a> {
    bytes: &'a [u8],
    position: usize,
    depth: u16,
}

impl<'a> Cursor<'a> {
    /// Starts at the first byte.
    pub fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, position: 0, depth: 0 }
    }

    /// Bytes consumed so far.
    pub fn position(&self) -> usize {
        self.position
    }

    /// Whether every byte has been consumed.
    pub fn is_at_end(&self) -> bool {
        self.position == self.bytes.len()
    }

    /// Consumes `length` bytes.
    #[inline]
    pub fn take(&mut self, length: usize) -> Result<&'a [u8], WalkError> {
        match self.bytes[self.position..].get(..length) {
            Some(taken) => {
                self.position += length;
                Ok(taken)
            }
            None => Err(WalkError { offset: self.bytes.len(), kind: WalkErrorKind::UnexpectedEnd }),
        }
    }

    /// Consumes a 32-byte value.
    #[inline]
    pub fn take_32(&mut self) -> Result<[u8; 32], WalkError> {
        self.take_array()
    }

    /// Consumes an array of a fixed number of bytes, a multiple of four.
    #[inline]
    pub fn take_array<const N: usize>(&mut self) -> Result<[u8; N], WalkError> {
        let mut array = [0; N];
        array.copy_from_slice(self.take(N)?);
        Ok(array)
    }

    /// Consumes an unsigned 32-bit number.
    #[inline]
    pub fn u32(&mut self) -> Result<u32, WalkError> {
        Ok(u32::from_be_bytes(self.take_array()?))
    }

    /// Consumes a signed 32-bit number, which is also how discriminants are written.
    #[inline]
    pub fn i32(&mut self) -> Result<i32, WalkError> {
        Ok(i32::from_be_bytes(self.take_array()?))
    }

    /// Consumes an unsigned 64-bit number.
    #[inline]
    pub fn u64(&mut self) -> Result<u64, WalkError> {
        Ok(u64::from_be_bytes(self.take_array()?))
    }

    /// Consumes a signed 64-bit number.
    #[inline]
    pub fn i64(&mut self) -> Result<i64, WalkError> {
        Ok(i64::from_be_bytes(self.take_array()?))
    }

    /// Consumes a Boolean or the flag of an optional.
    #[inline]
    pub fn bool(&mut self) -> Result<bool, WalkError> {
        match self.i32()? {
            0 => Ok(false),
            1 => Ok(true),
            value => Err(self.unknown("bool", value)),
        }
    }

    /// Consumes a length and checks it against the type's maximum.
    #[inline]
    pub fn length(&mut self, max: u32) -> Result<usize, WalkError> {
        let length = self.u32()?;
        if length > max {
            let kind = WalkErrorKind::TooLong { length, max };
            return Err(WalkError { offset: self.position - 4, kind });
        }
        Ok(length as usize)
    }

    /// Consumes opaque bytes of variable length with their padding; returns them without it.
    #[inline]
    pub fn var_opaque(&mut self, max: u32) -> Result<&'a [u8], WalkError> {
        let length = self.length(max)?;
        let bytes = self.take(length)?;
        let padding = self.take(length.wrapping_neg() & 3)?;
        if padding.iter().any(|&byte| byte != 0) {
            return Err(WalkError { offset: self.position - padding.len(), kind: WalkErrorKind::Padding });
        }
        Ok(bytes)
    }

    /// The error for a discriminant that was just consumed and that `of` does not have.
    #[cold]
    pub fn unknown(&self, of: &'static str, value: i32) -> WalkError {
        WalkError { offset: self.position - 4, kind: WalkErrorKind::UnknownVariant { of, value } }
    }

    /// The error for one element more than `max`.
    #[cold]
    pub(crate) fn too_many(&self, max: u32) -> WalkError {
        let kind = WalkErrorKind::TooLong { length: max.saturating_add(1), max };
        WalkError { offset: self.position, kind }
    }

    /// Runs `inner` one level deeper.
    #[inline]
    pub(crate) fn nested(
        &mut self,
        inner: impl FnOnce(&mut Self) -> Result<(), WalkError>,
    ) -> Result<(), WalkError> {
        if self.depth == DEPTH_MAX {
            return Err(WalkError { offset: self.position, kind: WalkErrorKind::TooDeep });
        }
        self.depth += 1;
        inner(self)?;
        self.depth -= 1;
        Ok(())
    }

    /// The bytes that `walk` consumes.
    pub(crate) fn span(
        &mut self,
        walk: impl FnOnce(&mut Self) -> Result<(), WalkError>,
    ) -> Result<&'a [u8], WalkError> {
        let start = self.position;
        walk(self)?;
        Ok(&self.bytes[start..self.position])
    }
}
