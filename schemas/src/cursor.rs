//! A reader's place in the events of a network. It names ledgers and not rows of a store, so that it means the same on every
//! node, after every restart and in every region.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::{LedgerSequence, ParseError};

/// Behind a ledger, as `53312000`, or behind an event in it, as `53312000:17`: what was seen last.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Cursor {
    /// The ledger.
    pub ledger: LedgerSequence,
    /// The event's `ledger_event_index`; `None` is behind all of the ledger.
    pub event: Option<u32>,
}

impl Cursor {
    /// Behind all of a ledger.
    pub fn behind(ledger: LedgerSequence) -> Self {
        Self { ledger, event: None }
    }

    /// Where reading goes on: a ledger, and the `ledger_event_index` of the first event in it that was not seen. `None`
    /// behind the last ledger that a number can name.
    pub fn next(self) -> Option<(LedgerSequence, u32)> {
        match self.event.and_then(|event| event.checked_add(1)) {
            Some(event) => Some((self.ledger, event)),
            None => Some((self.ledger.next()?, 0)),
        }
    }
}

/// As places are: an event of a ledger stands before the end of that ledger.
impl Ord for Cursor {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        let key = |cursor: &Self| (cursor.ledger, cursor.event.is_none(), cursor.event);
        key(self).cmp(&key(other))
    }
}

impl PartialOrd for Cursor {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl fmt::Display for Cursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.event {
            Some(event) => write!(f, "{}:{event}", self.ledger),
            None => write!(f, "{}", self.ledger),
        }
    }
}

impl FromStr for Cursor {
    type Err = ParseError;

    fn from_str(text: &str) -> Result<Self, ParseError> {
        let number = |text: &str| {
            let is_plain = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
            is_plain.then(|| text.parse::<u32>().ok()).flatten()
        };
        let (ledger, event) = match text.split_once(':') {
            Some((ledger, event)) => (number(ledger), number(event).map(Some)),
            None => (number(text), Some(None)),
        };
        match (ledger, event) {
            (Some(ledger), Some(event)) => Ok(Self { ledger: LedgerSequence(ledger), event }),
            _ => {
                Err(ParseError::new(text, "a cursor: a ledger as 53312000, or an event in it as 53312000:17"))
            }
        }
    }
}

impl Serialize for Cursor {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Cursor {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_cursor_is_a_ledger_or_an_event_in_it() {
        let check = |text: &str, next: Option<(u32, u32)>| {
            let cursor: Cursor = text.parse().unwrap();
            assert_eq!(cursor.to_string(), text);
            assert_eq!(cursor.next(), next.map(|(ledger, event)| (LedgerSequence(ledger), event)), "{text}");
        };
        check("0", Some((1, 0)));
        check("53312000", Some((53_312_001, 0)));
        check("53312000:17", Some((53_312_000, 18)));
        check("7:4294967295", Some((8, 0)));
        check("4294967295", None);
    }

    #[test]
    fn whatever_else_is_refused() {
        for text in ["", ":", "1:", ":1", "-1", "+1", "1:+1", " 1", "1 ", "1:2:3", "4294967296", "latest"] {
            let error = text.parse::<Cursor>().unwrap_err().to_string();
            assert!(error.ends_with("or an event in it as 53312000:17"), "{error}");
        }
    }

    proptest! {
        #[test]
        fn cursors_stand_in_the_order_of_what_comes_next(
            a in (0_u32..4, proptest::option::of(0_u32..4)),
            b in (0_u32..4, proptest::option::of(0_u32..4)),
        ) {
            let cursor = |(ledger, event)| Cursor { ledger: LedgerSequence(ledger), event };
            let (a, b) = (cursor(a), cursor(b));
            prop_assert_eq!(a.cmp(&b), a.next().cmp(&b.next()));
        }
    }
}
