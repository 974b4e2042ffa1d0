//! One byte of one ledger becomes another: what a failing disk, a bad cable or a forger does at the least.

use crate::{LoadedLedger, Random};

/// A change of one byte.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FlipByte {
    /// Index of the ledger among those loaded.
    pub ledger: usize,
    /// Which byte of its XDR.
    pub at: usize,
    /// Bits that change: never 0.
    pub mask: u8,
}

impl FlipByte {
    /// A byte that a hash binds: evenly over the ledgers, then over the kinds of field that the ledger has, then over the
    /// bytes of that kind. Small fields, such as the header, are so hit as often as large ones.
    ///
    /// `None` without ledgers.
    pub fn bound(random: &mut Random, ledgers: &[LoadedLedger]) -> Option<Self> {
        let ledger = random.below(ledgers.len());
        let fields = ledgers.get(ledger)?.fields.by_kind();
        let (_, ranges) = fields.get(random.below(fields.len()))?;
        let at = ranges.byte(random.below(ranges.byte_count()))?;
        Some(Self { ledger, at, mask: mask(random) })
    }

    /// A byte that no hash binds: evenly over the ledgers that have any, then over those bytes.
    ///
    /// `None` if all bytes are bound.
    pub fn unbound(random: &mut Random, ledgers: &[LoadedLedger]) -> Option<Self> {
        let candidates: Vec<_> = ledgers
            .iter()
            .enumerate()
            .map(|(ledger, loaded)| (ledger, loaded.fields.unbound()))
            .filter(|(_, ranges)| ranges.byte_count() > 0)
            .collect();
        let (ledger, ranges) = candidates.get(random.below(candidates.len()))?;
        let at = ranges.byte(random.below(ranges.byte_count()))?;
        Some(Self { ledger: *ledger, at, mask: mask(random) })
    }

    /// The ledger's bytes with the change.
    pub fn changed(&self, xdr: &[u8]) -> Vec<u8> {
        let mut changed = xdr.to_vec();
        if let Some(byte) = changed.get_mut(self.at) {
            *byte ^= self.mask;
        }
        changed
    }
}

fn mask(random: &mut Random) -> u8 {
    u8::try_from(1 + random.below(255)).unwrap_or(u8::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_mask_changes_the_byte() {
        let mut random = Random::new(1);
        let masks: std::collections::BTreeSet<u8> = (0..10_000).map(|_| mask(&mut random)).collect();
        assert_eq!(masks.len(), 255);
        assert!(!masks.contains(&0));
    }

    #[test]
    fn change_touches_one_byte_and_is_its_own_inverse() {
        let xdr = [1, 2, 3, 4];
        let flip = FlipByte { ledger: 0, at: 2, mask: 0xff };
        assert_eq!(flip.changed(&xdr), [1, 2, 0xfc, 4]);
        assert_eq!(flip.changed(&flip.changed(&xdr)), xdr);
    }

    #[test]
    fn nothing_to_harm_gives_no_fault() {
        assert_eq!(FlipByte::bound(&mut Random::new(1), &[]), None);
        assert_eq!(FlipByte::unbound(&mut Random::new(1), &[]), None);
    }
}
