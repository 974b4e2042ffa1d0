//! How much of each token moved: events and amounts by kind, exact whatever their sum is.

use std::cmp::Ordering;
use std::collections::BTreeMap;
use std::fmt;

use arrow::array::RecordBatch;

use crate::stored_column::StoredColumns;
use crate::{BatchError, TOKEN_TRANSFERS_ID};

/// A sum of amounts. 192 bits hold as many of 128 as there can be rows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Volume {
    /// Two's complement: the upper 64 bits, and the lower 128.
    high: i64,
    low: u128,
}

/// Events of one kind of one token.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct KindVolume {
    /// How many.
    pub count: u64,
    /// Sum of their amounts.
    pub volume: Volume,
}

/// A token: its contract, and its asset if it is one's contract.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Token {
    /// Strkey C.
    pub contract_id: String,
    /// SEP-11.
    pub asset: Option<String>,
}

/// What was added up.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Volumes {
    tokens: BTreeMap<Token, BTreeMap<String, KindVolume>>,
}

impl Volume {
    /// Adds an amount.
    pub fn add(&mut self, amount: i128) {
        self.add_volume(&Self { high: if amount < 0 { -1 } else { 0 }, low: amount.cast_unsigned() });
    }

    /// Adds another sum.
    pub fn add_volume(&mut self, other: &Self) {
        let (low, carry) = self.low.overflowing_add(other.low);
        self.low = low;
        self.high = self.high.wrapping_add(other.high).wrapping_add(i64::from(carry));
    }
}

impl fmt::Display for Volume {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let narrow = self.low.cast_signed();
        if self.high == if narrow < 0 { -1 } else { 0 } {
            return narrow.fmt(f);
        }
        let (mut high, mut low) = (self.high.cast_unsigned(), self.low);
        let is_negative = self.high < 0;
        if is_negative {
            let (negated, carry) = (!low).overflowing_add(1);
            (high, low) = ((!high).wrapping_add(u64::from(carry)), negated);
        }
        // Digits from the lowest, nineteen at a time: ten to the nineteenth fits 64 bits, so that each step fits 128.
        const BASE: u128 = 10_u128.pow(19);
        let mut limbs = [u128::from(high), low >> 64, low & u128::from(u64::MAX)];
        let mut groups = Vec::new();
        while limbs.iter().any(|limb| *limb != 0) {
            let mut rest = 0;
            for limb in &mut limbs {
                let value = rest << 64 | *limb;
                (*limb, rest) = (value / BASE, value % BASE);
            }
            groups.push(rest);
        }
        let mut text = groups.pop().unwrap_or(0).to_string();
        groups.iter().rev().for_each(|group| text.push_str(&format!("{group:019}")));
        f.pad_integral(!is_negative, "", &text)
    }
}

impl Volumes {
    /// Columns that [`Self::add`] looks at.
    pub const COLUMNS: [&'static str; 4] = ["contract_id", "asset", "kind", "amount_text"];

    /// Adds the rows of a batch of `token_transfers`.
    ///
    /// # Errors
    ///
    /// [`BatchError`] if a column is not as it is stored.
    pub fn add(&mut self, batch: &RecordBatch) -> Result<(), BatchError> {
        let columns = StoredColumns { table: TOKEN_TRANSFERS_ID, batch };
        let (contracts, assets) = (columns.texts("contract_id")?, columns.texts("asset")?);
        let (kinds, amounts) = (columns.texts("kind")?, columns.texts("amount_text")?);
        for row in 0..batch.num_rows() {
            let token = Token {
                contract_id: contracts.required(row)?.to_owned(),
                asset: assets.optional(row).map(str::to_owned),
            };
            let amount = amounts.required(row)?;
            let amount =
                amount.parse::<i128>().map_err(|_| BatchError::Null { row, column: "amount_text" })?;
            let kinds_of = self.tokens.entry(token).or_default();
            let kind = kinds.required(row)?;
            let sum = match kinds_of.get_mut(kind) {
                Some(sum) => sum,
                None => kinds_of.entry(kind.to_owned()).or_default(),
            };
            sum.count += 1;
            sum.volume.add(amount);
        }
        Ok(())
    }

    /// Adds other sums.
    pub fn merge(&mut self, other: &Self) {
        for (token, kinds) in &other.tokens {
            let sums = self.tokens.entry(token.clone()).or_default();
            for (kind, more) in kinds {
                let sum = sums.entry(kind.clone()).or_default();
                sum.count += more.count;
                sum.volume.add_volume(&more.volume);
            }
        }
    }

    /// Tokens with their sums by kind, those with most events first.
    pub fn by_events(&self) -> Vec<(&Token, &BTreeMap<String, KindVolume>)> {
        let mut tokens: Vec<_> = self.tokens.iter().collect();
        let count = |kinds: &BTreeMap<String, KindVolume>| kinds.values().map(|sum| sum.count).sum::<u64>();
        tokens.sort_by(|(a, of_a), (b, of_b)| match count(of_b).cmp(&count(of_a)) {
            Ordering::Equal => a.cmp(b),
            other => other,
        });
        tokens
    }

    /// Tokens that are in it.
    pub fn tokens(&self) -> usize {
        self.tokens.len()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn sums_that_no_integer_holds_are_exact() {
        let check = |amounts: &[i128], expect: &str| {
            let mut volume = Volume::default();
            amounts.iter().for_each(|amount| volume.add(*amount));
            assert_eq!(volume.to_string(), expect);
        };
        check(&[], "0");
        check(&[-7, 3], "-4");
        check(&[i128::MAX], "170141183460469231731687303715884105727");
        check(&[i128::MAX, 1], "170141183460469231731687303715884105728");
        check(&[i128::MIN, -1], "-170141183460469231731687303715884105729");
        check(&[i128::MIN, i128::MIN], "-340282366920938463463374607431768211456");
        check(&[i128::MAX; 3], "510423550381407695195061911147652317181");
        check(&[i128::MAX, i128::MAX, i128::MIN, i128::MIN], "-2");
        // Groups of digits that begin with zeros.
        check(&[10_i128.pow(38); 10], "1000000000000000000000000000000000000000");
    }

    proptest! {
        #[test]
        fn sums_of_sums_are_sums(amounts in proptest::collection::vec(any::<i128>(), 0..40), cut in 0_usize..40) {
            let sum = |amounts: &[i128]| {
                let mut volume = Volume::default();
                amounts.iter().for_each(|amount| volume.add(*amount));
                volume
            };
            let (left, right) = amounts.split_at(cut.min(amounts.len()));
            let mut both = sum(left);
            both.add_volume(&sum(right));
            prop_assert_eq!(both, sum(&amounts));
            // The lowest nineteen digits, by other means.
            const BASE: i128 = 10_i128.pow(19);
            let expect = amounts.iter().fold(0, |sum, amount| (sum + amount % BASE) % BASE);
            let text = both.to_string();
            let lowest: i128 = text[text.len().saturating_sub(19)..].trim_start_matches('-').parse().unwrap();
            let lowest = if text.starts_with('-') { -lowest } else { lowest };
            prop_assert_eq!((lowest - expect) % BASE, 0);
        }
    }
}
