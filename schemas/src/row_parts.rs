//! From the separate columns of an event, as a batch or a JSON object holds them, to the row: every check of what a
//! column may say, alone and beside the others.

use crate::{
    Address, Asset, CloseTime, ContractId, EventId, Hash32, Kind, LedgerSequence, OpType, ParseError,
    ToMuxed, Toid, TokenTransfer,
};

/// The columns, typed but unchecked.
pub(crate) struct RowParts<'a> {
    pub(crate) ledger_sequence: i64,
    pub(crate) closed_at: CloseTime,
    pub(crate) tx_hash: Hash32,
    pub(crate) tx_index: i32,
    pub(crate) op_index: Option<i32>,
    pub(crate) event_index: i32,
    pub(crate) ledger_event_index: i32,
    pub(crate) event_id: &'a str,
    pub(crate) kind: &'a str,
    pub(crate) op_type: Option<&'a str>,
    pub(crate) contract_id: &'a str,
    pub(crate) asset: Option<&'a str>,
    pub(crate) asset_code: Option<&'a str>,
    pub(crate) asset_issuer: Option<&'a str>,
    pub(crate) from: Option<&'a str>,
    pub(crate) to: Option<&'a str>,
    pub(crate) amount_text: &'a str,
    pub(crate) to_muxed_id: Option<u64>,
    pub(crate) to_memo_text: Option<&'a [u8]>,
    pub(crate) to_memo_hash: Option<Hash32>,
    pub(crate) tx_successful: bool,
}

/// A value that its column may not hold.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("column `{column}`: {problem}")]
pub struct ColumnError {
    /// The column, or JSON key.
    pub column: &'static str,
    /// What is wrong with the value.
    pub problem: ValueError,
}

/// What can be wrong with a value.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ValueError {
    /// Not the text form of the column's type.
    #[error(transparent)]
    Text(#[from] ParseError),
    /// A number outside the column's range.
    #[error("{value} is not in {min} to {max}")]
    OutOfRange {
        /// The number.
        value: i128,
        /// Least value.
        min: i128,
        /// Greatest value.
        max: i128,
    },
    /// Bytes of another length than the column's.
    #[error("{found} bytes, not {expected}")]
    Length {
        /// Bytes found.
        found: usize,
        /// Bytes expected.
        expected: usize,
    },
    /// Not a close time.
    #[error("{micros} us since 1970 is no close time: ledgers close at whole seconds from 1970 to 9999")]
    CloseTime {
        /// The column's value.
        micros: i64,
    },
    /// Not a sum that rows can have.
    #[error("{found} is no row digest: a column reaches the modulus")]
    Digest {
        /// The bytes.
        found: Hash32,
    },
    /// A column that follows from others says something else.
    #[error("{found} contradicts the other columns, from which {expected} follows")]
    Contradiction {
        /// What the column says.
        found: String,
        /// What it should say.
        expected: String,
    },
    /// More than one of `to_muxed_id`, `to_memo_text` and `to_memo_hash` is set.
    #[error("at most one of to_muxed_id, to_memo_text and to_memo_hash may be set")]
    SecondMuxed,
}

impl RowParts<'_> {
    /// The row, if every column is what it should be.
    pub(crate) fn into_row(self) -> Result<TokenTransfer, ColumnError> {
        let ledger_sequence = ledger_sequence(self.ledger_sequence)?;
        let tx_index = number("tx_index", i64::from(self.tx_index), 0, Toid::TX_INDEX_MAX)?;
        let op_index = match self.op_index {
            None => None,
            Some(index) => Some(number("op_index", i64::from(index), 1, Toid::OP_INDEX_MAX)?),
        };
        let toid = toid(ledger_sequence, tx_index, op_index)?;
        let event_index = number("event_index", i64::from(self.event_index), 0, i32::MAX as u32)?;
        let ledger_event_index = i64::from(self.ledger_event_index);
        let asset = self.asset.map(|text| parse::<Asset>("asset", text)).transpose()?;
        let row = TokenTransfer {
            ledger_sequence,
            closed_at: self.closed_at,
            tx_hash: self.tx_hash,
            tx_index,
            op_index,
            event_index,
            ledger_event_index: number("ledger_event_index", ledger_event_index, 0, i32::MAX as u32)?,
            toid,
            kind: parse::<Kind>("kind", self.kind)?,
            op_type: self.op_type.map(|text| parse::<OpType>("op_type", text)).transpose()?,
            contract_id: parse::<ContractId>("contract_id", self.contract_id)?,
            asset,
            from: self.from.map(|text| parse::<Address>("from", text)).transpose()?,
            to: self.to.map(|text| parse::<Address>("to", text)).transpose()?,
            amount: amount(self.amount_text)?,
            to_muxed: self.to_muxed()?,
            tx_successful: self.tx_successful,
        };
        self.check_derived(&row)?;
        Ok(row)
    }

    fn to_muxed(&self) -> Result<Option<ToMuxed>, ColumnError> {
        match (self.to_muxed_id, self.to_memo_text, self.to_memo_hash) {
            (None, None, None) => Ok(None),
            (Some(id), None, None) => Ok(Some(ToMuxed::Id(id))),
            (None, Some(text), None) => Ok(Some(ToMuxed::Text(text.to_vec()))),
            (None, None, Some(hash)) => Ok(Some(ToMuxed::Hash(hash))),
            _ => Err(ColumnError { column: "to_memo_text", problem: ValueError::SecondMuxed }),
        }
    }

    /// Columns that follow from others must agree with them: a table that was edited by hand is not read as truth.
    fn check_derived(&self, row: &TokenTransfer) -> Result<(), ColumnError> {
        let id = parse::<EventId>("event_id", self.event_id)?;
        if id != row.event_id() {
            return Err(contradiction("event_id", self.event_id, row.event_id().to_string()));
        }
        let code = row.asset.as_ref().and_then(Asset::code).map(|code| code.to_string());
        if self.asset_code != code.as_deref() {
            return Err(contradiction("asset_code", text(self.asset_code), text(code.as_deref()).to_owned()));
        }
        let issuer = row.asset.as_ref().and_then(Asset::issuer).map(|issuer| issuer.strkey().to_string());
        let issuer = issuer.as_ref().map(|issuer| issuer.as_str());
        if self.asset_issuer != issuer {
            return Err(contradiction("asset_issuer", text(self.asset_issuer), text(issuer).to_owned()));
        }
        Ok(())
    }
}

/// A ledger's number, if SEP-35 can name it.
pub(crate) fn ledger_sequence(value: i64) -> Result<LedgerSequence, ColumnError> {
    number("ledger_sequence", value, 0, i32::MAX as u32).map(LedgerSequence)
}

/// A number between `min` and `max`.
pub(crate) fn number(column: &'static str, value: i64, min: u32, max: u32) -> Result<u32, ColumnError> {
    u32::try_from(value).ok().filter(|value| (min..=max).contains(value)).ok_or_else(|| {
        let problem = ValueError::OutOfRange { value: value.into(), min: min.into(), max: max.into() };
        ColumnError { column, problem }
    })
}

/// The position as SEP-35 writes it; the numbers were checked, so only a later change of limits can fail here.
fn toid(ledger: LedgerSequence, tx_index: u32, op_index: Option<u32>) -> Result<Toid, ColumnError> {
    Toid::new(ledger, tx_index, op_index).ok_or_else(|| {
        let problem = ValueError::OutOfRange { value: ledger.0.into(), min: 0, max: i32::MAX.into() };
        ColumnError { column: "ledger_sequence", problem }
    })
}

fn amount(digits: &str) -> Result<i128, ColumnError> {
    let canonical = |amount: &i128| itoa::Buffer::new().format(*amount) == digits;
    digits.parse().ok().filter(canonical).ok_or_else(|| {
        let problem = ParseError::new(digits, "a whole number of 128 bits in its shortest form").into();
        ColumnError { column: "amount_text", problem }
    })
}

fn parse<T: std::str::FromStr<Err = ParseError>>(column: &'static str, text: &str) -> Result<T, ColumnError> {
    text.parse().map_err(|problem: ParseError| ColumnError { column, problem: problem.into() })
}

pub(crate) fn contradiction(column: &'static str, found: &str, expected: String) -> ColumnError {
    ColumnError {
        column,
        problem: ValueError::Contradiction { found: found.chars().take(128).collect(), expected },
    }
}

fn text(value: Option<&str>) -> &str {
    value.unwrap_or("null")
}
