//! Which events a reader wants: the filter of the feed, of the API and of commands. Keys are joined by "and", the values of
//! a key by "or"; a key that is not given asks nothing.

use std::collections::BTreeSet;
use std::fmt::Display;
use std::str::FromStr;

use arrow::array::{BooleanArray, RecordBatch};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::stored_column::StoredColumns;
use crate::{Address, Asset, BatchError, ContractId, Kind, OpType, ParseError, TOKEN_TRANSFERS_ID};

/// Most values of all keys together: what one reader asks costs the node time for every event.
pub const FILTER_VALUES_MAX: usize = 1_000;

/// Which events are wanted; the default is all. Equal filters are equal values, in whatever order they were written.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct EventFilter {
    kinds: BTreeSet<Kind>,
    op_types: BTreeSet<OpType>,
    // As text, because rows have text.
    assets: BTreeSet<String>,
    accounts: BTreeSet<String>,
    contracts: BTreeSet<String>,
    min_amount: Option<i128>,
}

/// Why a filter is none.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FilterError {
    /// No such key.
    #[error("filter has no key {0:?}: give kind, op_type, asset, account, contract or min_amount")]
    Key(String),
    /// A value of a key is not what it should be.
    #[error("filter.{key}: {problem}")]
    Value {
        /// The key.
        key: &'static str,
        /// What is wrong with it.
        problem: ParseError,
    },
    /// A key that may be given once.
    #[error("filter.{0} is given twice: give it once")]
    Twice(&'static str),
    /// A list that nothing can match.
    #[error("filter.{0} is empty, so that no event matches: name values, or leave the key out")]
    Empty(&'static str),
    /// More than a node takes.
    #[error("filter has over {FILTER_VALUES_MAX} values: ask for less, or filter what arrives")]
    TooMany,
}

/// Its keys.
const KEYS: [&str; 6] = ["kind", "op_type", "asset", "account", "contract", "min_amount"];

impl EventFilter {
    /// The key of this name, if a filter has it.
    pub fn key(name: &str) -> Option<&'static str> {
        KEYS.into_iter().find(|key| *key == name)
    }

    /// Adds a value to a key, or several with commas between them, as in a URL's query or on a command line.
    ///
    /// # Errors
    ///
    /// [`FilterError`].
    pub fn add(&mut self, key: &str, values: &str) -> Result<(), FilterError> {
        let Some(key) = Self::key(key) else { return Err(FilterError::Key(key.chars().take(40).collect())) };
        if values.is_empty() {
            return Err(FilterError::Empty(key));
        }
        for value in values.split(',') {
            match key {
                "kind" => drop(self.kinds.insert(parsed(key, value)?)),
                "op_type" => drop(self.op_types.insert(parsed(key, value)?)),
                "asset" => drop(self.assets.insert(canonical::<Asset>(key, value)?)),
                "account" => drop(self.accounts.insert(canonical::<Address>(key, value)?)),
                "contract" => drop(self.contracts.insert(canonical::<ContractId>(key, value)?)),
                _ if self.min_amount.is_some() => return Err(FilterError::Twice("min_amount")),
                _ => self.min_amount = Some(amount(value)?),
            }
            if self.values() > FILTER_VALUES_MAX {
                return Err(FilterError::TooMany);
            }
        }
        Ok(())
    }

    fn values(&self) -> usize {
        let texts = self.assets.len() + self.accounts.len() + self.contracts.len();
        self.kinds.len() + self.op_types.len() + texts + usize::from(self.min_amount.is_some())
    }

    /// Whether every event matches.
    pub fn is_all(&self) -> bool {
        self.values() == 0
    }

    /// Wanted assets, in SEP-11 form; empty if all are.
    pub fn assets(&self) -> &BTreeSet<String> {
        &self.assets
    }

    /// Wanted addresses, either side of the event; empty if all are.
    pub fn accounts(&self) -> &BTreeSet<String> {
        &self.accounts
    }

    /// Wanted contracts; empty if all are.
    pub fn contracts(&self) -> &BTreeSet<String> {
        &self.contracts
    }

    /// Names of the columns that it looks at.
    pub fn columns(&self) -> Vec<&'static str> {
        let of = |wanted: bool, columns: &[&'static str]| if wanted { columns.to_vec() } else { Vec::new() };
        [
            of(!self.kinds.is_empty(), &["kind"]),
            of(!self.op_types.is_empty(), &["op_type"]),
            of(!self.assets.is_empty(), &["asset"]),
            of(!self.accounts.is_empty(), &["from", "to"]),
            of(!self.contracts.is_empty(), &["contract_id"]),
            of(self.min_amount.is_some(), &["amount_text"]),
        ]
        .concat()
    }

    /// Which rows of a batch of `token_transfers` match. Columns of [`Self::columns`] are enough.
    ///
    /// # Errors
    ///
    /// [`BatchError`] if a column is not as it is stored.
    pub fn matches(&self, batch: &RecordBatch) -> Result<BooleanArray, BatchError> {
        let columns = StoredColumns { table: TOKEN_TRANSFERS_ID, batch };
        let rows = batch.num_rows();
        let mut is_wanted = vec![true; rows];
        let mut keep = |column: &'static str, test: &dyn Fn(&str) -> bool| -> Result<(), BatchError> {
            let passes = columns.texts(column)?.tested(rows, test);
            is_wanted.iter_mut().zip(passes).for_each(|(is_wanted, passes)| *is_wanted &= passes);
            Ok(())
        };
        if !self.kinds.is_empty() {
            keep("kind", &|kind| self.kinds.iter().any(|wanted| wanted.as_str() == kind))?;
        }
        if !self.op_types.is_empty() {
            keep("op_type", &|op_type| self.op_types.iter().any(|wanted| wanted.as_str() == op_type))?;
        }
        if !self.assets.is_empty() {
            keep("asset", &|asset| self.assets.contains(asset))?;
        }
        if !self.contracts.is_empty() {
            keep("contract_id", &|contract| self.contracts.contains(contract))?;
        }
        if let Some(min) = self.min_amount {
            keep("amount_text", &|amount| amount.parse::<i128>().is_ok_and(|amount| amount >= min))?;
        }
        if !self.accounts.is_empty() {
            let (from, to) = (columns.texts("from")?, columns.texts("to")?);
            let is_one = |address: &str| self.accounts.contains(address);
            let sides = from.tested(rows, &is_one).into_iter().zip(to.tested(rows, &is_one));
            is_wanted.iter_mut().zip(sides).for_each(|(is_wanted, (from, to))| *is_wanted &= from || to);
        }
        Ok(BooleanArray::from(is_wanted))
    }
}

fn parsed<T: FromStr<Err = ParseError>>(key: &'static str, value: &str) -> Result<T, FilterError> {
    value.parse().map_err(|problem| FilterError::Value { key, problem })
}

/// The text that rows have for it.
fn canonical<T: FromStr<Err = ParseError> + Display>(
    key: &'static str,
    value: &str,
) -> Result<String, FilterError> {
    parsed::<T>(key, value).map(|value| value.to_string())
}

fn amount(value: &str) -> Result<i128, FilterError> {
    value.parse().map_err(|_| FilterError::Value {
        key: "min_amount",
        problem: ParseError::new(value, "an amount: an integer in the token's smallest unit, as text"),
    })
}

/// As readers write it.
#[derive(Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Form {
    #[serde(skip_serializing_if = "Option::is_none")]
    kind: Option<Vec<String>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    op_type: Option<Vec<String>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    asset: Option<Vec<String>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    account: Option<Vec<String>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    contract: Option<Vec<String>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    min_amount: Option<String>,
}

impl Serialize for EventFilter {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        fn list<T>(values: &BTreeSet<T>, text: impl Fn(&T) -> &str) -> Option<Vec<String>> {
            (!values.is_empty()).then(|| values.iter().map(|value| text(value).to_owned()).collect())
        }
        Form {
            kind: list(&self.kinds, |kind| kind.as_str()),
            op_type: list(&self.op_types, |op_type| op_type.as_str()),
            asset: list(&self.assets, String::as_str),
            account: list(&self.accounts, String::as_str),
            contract: list(&self.contracts, String::as_str),
            min_amount: self.min_amount.map(|amount| amount.to_string()),
        }
        .serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for EventFilter {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let form = Form::deserialize(deserializer)?;
        let mut filter = Self::default();
        let lists = [form.kind, form.op_type, form.asset, form.account, form.contract];
        for (key, list) in
            KEYS.into_iter().zip(lists.into_iter().chain([form.min_amount.map(|one| vec![one])]))
        {
            let Some(list) = list else { continue };
            if list.is_empty() {
                return Err(serde::de::Error::custom(FilterError::Empty(key)));
            }
            for value in list {
                filter.add(key, &value).map_err(serde::de::Error::custom)?;
            }
        }
        Ok(filter)
    }
}

#[cfg(test)]
mod tests;
