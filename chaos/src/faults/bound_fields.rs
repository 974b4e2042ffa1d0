//! Which bytes of a ledger are bound by which hash.

use std::ops::Range;

use orrery_actors::ledger::ParsedLedger;
use orrery_actors::ledger::integrity::bound_ranges;
use serde::Serialize;
use sha2::{Digest, Sha256};

/// What a bound byte belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum BoundField {
    /// The header and its hash (V1).
    Header,
    /// The transactions, bound by the header (V3).
    TransactionSet,
    /// Their results, bound by the header (V4).
    Results,
    /// Return values and events of contract calls, bound by their results (V5).
    ContractCalls,
}

impl BoundField {
    /// All kinds, in the order in which the hashes bind them.
    pub const ALL: [Self; 4] = [Self::Header, Self::TransactionSet, Self::Results, Self::ContractCalls];

    /// In words.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Header => "header",
            Self::TransactionSet => "transaction set",
            Self::Results => "results",
            Self::ContractCalls => "contract calls",
        }
    }
}

/// Some of a ledger's bytes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ByteRanges {
    ranges: Vec<Range<usize>>,
}

impl ByteRanges {
    /// How many bytes.
    pub fn byte_count(&self) -> usize {
        self.ranges.iter().map(Range::len).sum()
    }

    /// Where byte number `index` of them lies in the ledger.
    pub fn byte(&self, mut index: usize) -> Option<usize> {
        for range in &self.ranges {
            if index < range.len() {
                return Some(range.start + index);
            }
            index -= range.len();
        }
        None
    }

    fn contains(&self, at: usize) -> bool {
        self.ranges.iter().any(|range| range.contains(&at))
    }
}

/// The bound bytes of one ledger by kind, and the rest.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BoundFields {
    kinds: Vec<(BoundField, ByteRanges)>,
    unbound: ByteRanges,
}

impl BoundFields {
    /// Of a sound ledger, whose bytes are `xdr`.
    pub fn of(ledger: &ParsedLedger<'_>, xdr: &[u8]) -> Self {
        Self::classify(&bound_ranges(ledger), xdr)
    }

    /// `ranges` come as the hashes bind them: claimed hash, header, transaction set, and of each transaction its result,
    /// followed by the return value and the events where the result binds them. Whether it does is seen from the bytes
    /// alone: then the result holds the hash of what follows.
    pub(crate) fn classify(ranges: &[Range<usize>], xdr: &[u8]) -> Self {
        let mut kinds = BoundField::ALL.map(|kind| (kind, ByteRanges::default()));
        let mut add =
            |kind: BoundField, range: &Range<usize>| kinds[kind as usize].1.ranges.push(range.clone());
        let (fixed, mut rest) = ranges.split_at(ranges.len().min(3));
        for (kind, range) in
            [BoundField::Header, BoundField::Header, BoundField::TransactionSet].into_iter().zip(fixed)
        {
            add(kind, range);
        }
        while let Some((result, behind)) = rest.split_first() {
            add(BoundField::Results, result);
            let bound = [2, 1].into_iter().find(|count| binds(result, behind, *count, xdr)).unwrap_or(0);
            let (call, next) = behind.split_at(bound);
            call.iter().for_each(|range| add(BoundField::ContractCalls, range));
            rest = next;
        }
        let unbound = complement(ranges, xdr.len());
        Self { kinds: kinds.into_iter().filter(|(_, ranges)| ranges.byte_count() > 0).collect(), unbound }
    }

    /// The kinds of field that the ledger has, none of them empty.
    pub fn by_kind(&self) -> &[(BoundField, ByteRanges)] {
        &self.kinds
    }

    /// The kind of field that byte `at` belongs to, if a hash binds it.
    pub fn kind_of(&self, at: usize) -> Option<BoundField> {
        self.kinds.iter().find(|(_, ranges)| ranges.contains(at)).map(|(kind, _)| *kind)
    }

    /// Bytes that no hash binds.
    pub fn unbound(&self) -> &ByteRanges {
        &self.unbound
    }
}

/// True if `result` holds the hash of the next `count` ranges.
fn binds(result: &Range<usize>, behind: &[Range<usize>], count: usize, xdr: &[u8]) -> bool {
    let (Some(result), Some(bound)) = (xdr.get(result.clone()), behind.get(..count)) else { return false };
    let mut hash = Sha256::new();
    bound.iter().filter_map(|range| xdr.get(range.clone())).for_each(|part| hash.update(part));
    let hash: [u8; 32] = hash.finalize().into();
    result.windows(hash.len()).any(|window| window == hash)
}

/// What lies between and around `ranges` in a ledger of `len` bytes.
fn complement(ranges: &[Range<usize>], len: usize) -> ByteRanges {
    let mut sorted = ranges.to_vec();
    sorted.sort_unstable_by_key(|range| range.start);
    let mut unbound = Vec::new();
    let mut at = 0;
    for range in sorted {
        if at < range.start {
            unbound.push(at..range.start);
        }
        at = at.max(range.end);
    }
    if at < len {
        unbound.push(at..len);
    }
    ByteRanges { ranges: unbound }
}

#[cfg(test)]
mod tests {
    use std::slice;

    use super::*;

    /// Claimed hash 0..2, header 2..4, set 5..8; a result of 40 bytes that binds what lies behind it; a plain result.
    fn ledger(bound_ranges: &[Range<usize>]) -> Vec<u8> {
        let mut xdr: Vec<u8> = (0..200).map(|byte| byte as u8).collect();
        let mut hash = Sha256::new();
        bound_ranges.iter().for_each(|range| hash.update(&xdr[range.clone()]));
        xdr[14..46].copy_from_slice(&hash.finalize());
        xdr
    }

    fn check(call: &[Range<usize>]) {
        let (fixed, result, plain) = ([0..2, 2..4, 5..8], 10..50, 150..190);
        let ranges = [&fixed[..], slice::from_ref(&result), call, slice::from_ref(&plain)].concat();
        let fields = BoundFields::classify(&ranges, &ledger(call));
        let of = |kind: BoundField| {
            fields.by_kind().iter().find(|(found, _)| *found == kind).map(|(_, found)| found.ranges.clone())
        };
        assert_eq!(of(BoundField::Header).unwrap(), fixed[..2]);
        assert_eq!(of(BoundField::TransactionSet).unwrap(), fixed[2..]);
        assert_eq!(of(BoundField::Results).unwrap(), [result, plain]);
        assert_eq!(of(BoundField::ContractCalls).unwrap_or_default(), call);
    }

    #[test]
    fn call_is_told_from_the_next_result_by_the_hash_that_binds_it() {
        check(&[]);
        check(slice::from_ref(&(60..64)));
        check(&[100..120, 60..64]);
    }

    #[test]
    fn bytes_are_either_of_one_kind_or_unbound() {
        let call = [100..120, 60..64];
        let ranges = [&[0..2, 2..4, 5..8, 10..50][..], &call].concat();
        let fields = BoundFields::classify(&ranges, &ledger(&call));
        for at in 0..200 {
            assert_eq!(fields.kind_of(at).is_none(), fields.unbound().contains(at), "byte {at}");
        }
        assert_eq!(fields.unbound().ranges, [4..5, 8..10, 50..60, 64..100, 120..200]);
        assert_eq!(fields.unbound().byte_count(), 200 - 7 - 40 - 24);
        assert_eq!(fields.unbound().byte(0), Some(4));
        assert_eq!(fields.unbound().byte(3), Some(50));
        assert_eq!(fields.unbound().byte(129), None);
    }
}
