//! The XDR grammar of a ledger, as much of it as is needed to find where each value ends.
//!
//! Why not decode everything with `stellar-xdr`: a decoded ledger takes several times the memory of its bytes, and
//! damaged bytes can make it take far more. A walk validates the same structure, allocates nothing, and says where
//! each part lies, so that hashes are taken over the ledger's own bytes and only what a rule needs is decoded.
//!
//! The definitions follow `stellar-xdr`'s, one line each; `tests/grammar.rs` holds both to the same verdict and the
//! same length on real ledgers and on damaged ones.

mod contract;
mod entries;
mod ledger;
mod scp;
mod transaction;

pub(crate) use contract::*;
pub(crate) use entries::*;
pub(crate) use ledger::*;
pub(crate) use scp::*;
pub(crate) use transaction::*;

use super::cursor::{Cursor, WalkError};

/// An XDR type whose values can be skipped.
pub(crate) trait Grammar {
    /// The size in bytes where every value of the type has the same size and any bytes are a value.
    const FIXED: Option<usize>;

    /// Consumes one value.
    fn skip(cursor: &mut Cursor<'_>) -> Result<(), WalkError>;
}

/// Consumes one `T` and returns its bytes.
pub(crate) fn take<'a, T: Grammar>(cursor: &mut Cursor<'a>) -> Result<&'a [u8], WalkError> {
    cursor.span(T::skip)
}

/// Consumes one `SCVal` and returns its bytes.
pub(crate) fn take_value<'a>(cursor: &mut Cursor<'a>) -> Result<&'a [u8], WalkError> {
    take::<SCVal>(cursor)
}

/// No length limit in the definition: the input's own limit holds.
pub(crate) const ANY: u32 = u32::MAX;

macro_rules! fixed {
    ($($name:ident $size:literal),*) => {$(
        pub(crate) enum $name {}
        impl Grammar for $name {
            const FIXED: Option<usize> = Some($size);
            #[inline]
            fn skip(cursor: &mut Cursor<'_>) -> Result<(), WalkError> {
                cursor.take($size).map(drop)
            }
        }
    )*};
}

fixed!(Void 0, I32 4, U32 4, I64 8, U64 8, Opaque4 4, Opaque12 12, Opaque32 32, Opaque128 128);

pub(crate) enum Bool {}
impl Grammar for Bool {
    const FIXED: Option<usize> = None;
    #[inline]
    fn skip(cursor: &mut Cursor<'_>) -> Result<(), WalkError> {
        cursor.bool().map(drop)
    }
}

/// Opaque bytes or a string of at most `MAX` bytes.
pub(crate) struct Bytes<const MAX: u32>;
impl<const MAX: u32> Grammar for Bytes<MAX> {
    const FIXED: Option<usize> = None;
    #[inline]
    fn skip(cursor: &mut Cursor<'_>) -> Result<(), WalkError> {
        cursor.var_opaque(MAX).map(drop)
    }
}

/// An optional value (`T*` in XDR).
pub(crate) struct Optional<T>(std::marker::PhantomData<T>);
impl<T: Grammar> Grammar for Optional<T> {
    const FIXED: Option<usize> = None;
    #[inline]
    fn skip(cursor: &mut Cursor<'_>) -> Result<(), WalkError> {
        if cursor.bool()? { cursor.nested(T::skip) } else { Ok(()) }
    }
}

/// A variable-length array of at most `MAX` elements.
pub(crate) struct Vector<T, const MAX: u32>(std::marker::PhantomData<T>);
impl<T: Grammar, const MAX: u32> Grammar for Vector<T, MAX> {
    const FIXED: Option<usize> = None;
    #[inline]
    fn skip(cursor: &mut Cursor<'_>) -> Result<(), WalkError> {
        let length = cursor.length(MAX)?;
        match T::FIXED {
            // A product that overflows is longer than any input: `take` refuses it.
            Some(size) => cursor.take(length.saturating_mul(size)).map(drop),
            None => cursor.nested(|cursor| (0..length).try_for_each(|_| T::skip(cursor))),
        }
    }
}

/// The size of a structure with fields of these sizes.
const fn sum_of_fixed(fields: &[Option<usize>]) -> Option<usize> {
    let (mut sum, mut next) = (0, 0);
    while next < fields.len() {
        match fields[next] {
            Some(size) => sum += size,
            None => return None,
        }
        next += 1;
    }
    Some(sum)
}

/// Declares types in a notation close to XDR's own: fields and arms in wire order.
macro_rules! xdr {
    () => {};
    (type $name:ident = $of:ty; $($rest:tt)*) => {
        pub(crate) type $name = $of;
        xdr! { $($rest)* }
    };
    (enum $name:ident { $values:pat } $($rest:tt)*) => {
        pub(crate) enum $name {}
        impl Grammar for $name {
            const FIXED: Option<usize> = None;
            #[inline]
            fn skip(cursor: &mut Cursor<'_>) -> Result<(), WalkError> {
                match cursor.i32()? {
                    $values => Ok(()),
                    value => Err(cursor.unknown(stringify!($name), value)),
                }
            }
        }
        xdr! { $($rest)* }
    };
    (struct $name:ident { $($field:ident: $of:ty),* $(,)? } $($rest:tt)*) => {
        pub(crate) enum $name {}
        impl Grammar for $name {
            const FIXED: Option<usize> = sum_of_fixed(&[$(<$of as Grammar>::FIXED),*]);
            fn skip(cursor: &mut Cursor<'_>) -> Result<(), WalkError> {
                match Self::FIXED {
                    Some(size) => cursor.take(size).map(drop),
                    None => cursor.nested(|cursor| {
                        $(<$of as Grammar>::skip(cursor)?;)*
                        Ok(())
                    }),
                }
            }
        }
        xdr! { $($rest)* }
    };
    (union $name:ident { $($case:pat => $of:ty),* $(,)? } $($rest:tt)*) => {
        pub(crate) enum $name {}
        impl Grammar for $name {
            const FIXED: Option<usize> = None;
            fn skip(cursor: &mut Cursor<'_>) -> Result<(), WalkError> {
                cursor.nested(|cursor| match cursor.i32()? {
                    $($case => <$of as Grammar>::skip(cursor),)*
                    value => Err(cursor.unknown(stringify!($name), value)),
                })
            }
        }
        xdr! { $($rest)* }
    };
}
use xdr;
