//! What is almost right: bytes that a parser takes, a few of them changed. Random bytes are refused at the first one.

use proptest::collection::vec;
use proptest::prelude::*;

/// One of these texts with up to six changes: a byte, a run of bytes, a cut, a repetition, a piece of another one.
pub(crate) fn damaged<T: AsRef<[u8]> + Clone + std::fmt::Debug + 'static>(
    texts: Vec<T>,
) -> impl Strategy<Value = Vec<u8>> {
    let count = texts.len();
    let change = (0_u8..6, any::<u16>(), any::<u16>(), any::<u8>());
    (0..count, vec(change, 0..6)).prop_map(move |(index, changes)| {
        let mut bytes = texts[index].as_ref().to_vec();
        for (kind, at, length, byte) in changes {
            let at = usize::from(at) % (bytes.len() + 1);
            let end = (at + usize::from(length) % 9).min(bytes.len());
            match kind {
                0 if at < bytes.len() => bytes[at] = byte,
                0 | 1 => bytes.insert(at, byte),
                2 => drop(bytes.drain(at..end)),
                3 => bytes.truncate(bytes.len().max(1) - 1),
                4 => {
                    let run = bytes[at..end].repeat(1 + usize::from(byte) % 5);
                    bytes.splice(at..at, run);
                }
                _ => {
                    let other = texts[usize::from(byte) % count].as_ref();
                    let from = usize::from(length) % (other.len() + 1);
                    bytes.splice(at.., other[from..].iter().copied());
                }
            }
        }
        bytes
    })
}
