//! What a dataset must hold: the ledgers of the synthetic network one after another, by another way than the product's.
//!
//! No actors, no tasks, no Arrow, no Parquet: the simulation behind the ledgers recorded its events as they happened, a ledger's
//! place in the chain is read off its bytes, and what an event says is its text.

use std::ops::RangeInclusive;

use orrery_actors::source::synthetic::SyntheticLedger;
use orrery_schemas::TokenTransfer;
use sha2::{Digest, Sha256};

/// A ledger as it must be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ExpectedLedger {
    /// Its number.
    pub ledger: u32,
    /// SHA-256 of its header, in hexadecimal.
    pub hash: String,
    /// The hash of the ledger before, as its header says.
    pub previous: String,
    /// Its events in order, as [`event_text`] gives them.
    pub events: Vec<String>,
}

/// Why bytes are no ledger of the synthetic network.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the ledger's bytes end inside of its header")]
pub struct NoHeader;

/// What must become of a ledger.
///
/// # Errors
///
/// [`NoHeader`] if its bytes are too few.
pub fn expect(ledger: u32, made: &SyntheticLedger) -> Result<ExpectedLedger, NoHeader> {
    let (hash, previous) = place(&made.to_xdr()).ok_or(NoHeader)?;
    Ok(ExpectedLedger { ledger, hash, previous, events: made.expected.iter().map(event_text).collect() })
}

/// What identifies an event and all that it says: its id, and 16 digits of the SHA-256 of its text.
pub fn event_text(event: &TokenTransfer) -> String {
    format!("{}#{}", event.event_id(), digits(format!("{event:?}").as_bytes(), 8))
}

/// The ledgers of each slot of a table that begins at `first`, whose slots end before multiples of `width`.
pub fn slots(first: u32, last: u32, width: u32) -> Vec<RangeInclusive<u32>> {
    let mut slots = Vec::new();
    let mut next = first;
    for ledger in first..=last {
        if (ledger + 1) % width == 0 || ledger == last {
            slots.push(next..=ledger);
            next = ledger + 1;
        }
    }
    slots
}

/// Hash of a header and of the one before. A `LedgerCloseMeta` is a version, from 1 on an extension, then the hash, the
/// protocol version and the hash of the ledger before.
fn place(xdr: &[u8]) -> Option<(String, String)> {
    let number = |offset: usize| Some(u32::from_be_bytes(xdr.get(offset..offset + 4)?.try_into().ok()?));
    let at = match number(0)? {
        0 => 4,
        _ if number(4)? == 0 => 8,
        // The extension's version, an extension point, a fee.
        _ => 4 + 4 + 4 + 8,
    };
    let header = at + 32;
    Some((hex(xdr.get(at..header)?), hex(xdr.get(header + 4..header + 36)?)))
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn digits(bytes: &[u8], count: usize) -> String {
    Sha256::digest(bytes).iter().take(count).map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use orrery_actors::source::synthetic::{Density, SyntheticLedgers, SyntheticSpec};

    use super::*;

    #[test]
    fn slots_end_before_multiples_of_their_width() {
        let check = |first, last, width, expect: &[(u32, u32)]| {
            let found: Vec<_> = slots(first, last, width).iter().map(|it| (*it.start(), *it.end())).collect();
            assert_eq!(found, expect, "{first} {last} {width}");
        };
        check(2, 9, 4, &[(2, 3), (4, 7), (8, 9)]);
        check(2, 7, 4, &[(2, 3), (4, 7)]);
        check(4, 4, 1, &[(4, 4)]);
        check(3, 2, 4, &[]);
    }

    #[test]
    fn places_are_those_of_a_chain() {
        let spec = SyntheticSpec { ledgers: 5, density: Density::Sparse, ..SyntheticSpec::default() };
        let found: Vec<_> = SyntheticLedgers::new(&spec)
            .zip(2..)
            .map(|(made, ledger)| expect(ledger, &made).unwrap())
            .collect();
        assert!(found.windows(2).all(|pair| pair[1].previous == pair[0].hash), "{found:?}");
        assert!(found.iter().any(|ledger| !ledger.events.is_empty()));
    }
}
