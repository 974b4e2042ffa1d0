//! Which ledgers of a source are wanted.

use std::str::FromStr;

use orrery_schemas::LedgerSequence;

/// One end of a range as the operator names it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LedgerBound {
    /// This ledger.
    Number(LedgerSequence),
    /// The newest ledger there is.
    Latest,
    /// The first ledger that has close meta.
    Genesis,
}

impl LedgerBound {
    /// Ledger 1 is made, not closed, so that no close meta of it exists: a network's data begins at 2.
    pub const FIRST_CLOSED: LedgerSequence = LedgerSequence(2);
}

impl FromStr for LedgerBound {
    type Err = String;

    /// `latest`, `genesis` or a number from 1.
    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "latest" => Ok(Self::Latest),
            "genesis" => Ok(Self::Genesis),
            number => match number.parse() {
                Ok(sequence) if sequence > 0 => Ok(Self::Number(LedgerSequence(sequence))),
                _ => Err(format!("`{number}` is no ledger; give a number from 1, `latest` or `genesis`")),
            },
        }
    }
}

/// An inclusive range; an end that is not given is the source's own.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LedgerRange {
    /// First ledger wanted.
    pub from: Option<LedgerBound>,
    /// Last ledger wanted.
    pub to: Option<LedgerBound>,
}

/// A range over files, which are read in their own order: ledgers outside are left out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct LedgerFilter {
    from: LedgerSequence,
    to: LedgerSequence,
}

impl LedgerFilter {
    /// The filter for files. An error says why the range makes no sense for them.
    pub(super) fn new(range: LedgerRange) -> Result<Self, String> {
        let from = match range.from {
            None | Some(LedgerBound::Genesis) => LedgerSequence(0),
            Some(LedgerBound::Number(sequence)) => sequence,
            Some(LedgerBound::Latest) => {
                return Err("--from latest needs a lake: files have no newest ledger; give a number".into());
            }
        };
        let to = match range.to {
            None | Some(LedgerBound::Latest) => LedgerSequence(u32::MAX),
            Some(LedgerBound::Genesis) => LedgerBound::FIRST_CLOSED,
            Some(LedgerBound::Number(sequence)) => sequence,
        };
        non_empty(from, to)?;
        Ok(Self { from, to })
    }

    pub(super) fn contains(&self, sequence: LedgerSequence) -> bool {
        (self.from..=self.to).contains(&sequence)
    }
}

pub(super) fn non_empty(from: LedgerSequence, to: LedgerSequence) -> Result<(), String> {
    match from <= to {
        true => Ok(()),
        false => Err(format!("the range from {from} to {to} is empty; --from must not be after --to")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(from: &str, to: &str, sequence: u32, expect: Result<bool, &str>) {
        let bound = |text: &str| (!text.is_empty()).then(|| text.parse().unwrap());
        let filter = LedgerFilter::new(LedgerRange { from: bound(from), to: bound(to) });
        match (filter, expect) {
            (Ok(filter), Ok(expect)) => assert_eq!(filter.contains(LedgerSequence(sequence)), expect),
            (Err(reason), Err(fragment)) => assert!(reason.contains(fragment), "{reason}"),
            (filter, expect) => panic!("{filter:?}, expected {expect:?}"),
        }
    }

    #[test]
    fn range_over_files_keeps_the_ledgers_inside_it() {
        check("", "", 7, Ok(true));
        check("7", "7", 7, Ok(true));
        check("8", "", 7, Ok(false));
        check("", "6", 7, Ok(false));
        check("genesis", "latest", 7, Ok(true));
        check("", "genesis", 2, Ok(true));
        check("", "genesis", 3, Ok(false));
        check("8", "7", 7, Err("from 8 to 7 is empty"));
        check("latest", "", 7, Err("needs a lake"));
    }

    #[test]
    fn bound_that_is_no_ledger_is_refused() {
        for text in ["0", "-1", "4294967296", "tip", ""] {
            assert!(text.parse::<LedgerBound>().unwrap_err().contains("give a number from 1"));
        }
    }
}
