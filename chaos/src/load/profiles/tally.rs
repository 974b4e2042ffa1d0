//! What came of requests, added up. Pure.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::plan::Kind;
use crate::load::timing::Histogram;

/// A request that was answered in full and right.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Answered {
    /// Until the first byte of what was asked for.
    pub(super) first: Duration,
    /// Until all of it was there.
    pub(super) whole: Duration,
    /// Events in it.
    pub(super) rows: u64,
    /// Of the answer.
    pub(super) bytes: u64,
    /// How often the server asked to come again later, which is part of the times.
    pub(super) waits: u64,
}

/// A request that was not.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Fault {
    /// One of few: errors are counted by it.
    pub(super) kind: String,
    /// What happened, for the first one of a kind of user.
    pub(super) detail: String,
    /// An answer came, and it was not what the ledgers contain.
    pub(super) is_wrong: bool,
}

impl Fault {
    /// Something that may happen to a request.
    pub(super) fn new(kind: impl Into<String>, detail: impl Into<String>) -> Self {
        Self { kind: kind.into(), detail: detail.into(), is_wrong: false }
    }

    /// An answer that is not what the ledgers contain.
    pub(super) fn wrong(detail: impl Into<String>) -> Self {
        Self { kind: "wrong content".to_owned(), detail: detail.into(), is_wrong: true }
    }
}

/// Requests of one kind of user.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(super) struct Tally {
    /// That ended, in whatever way.
    pub(super) requests: u64,
    pub(super) rows: u64,
    pub(super) bytes: u64,
    /// How often a server asked to come again later.
    pub(super) waits: u64,
    /// Answers that were not what the ledgers contain.
    pub(super) wrong: u64,
    pub(super) errors: BTreeMap<String, u64>,
    pub(super) first_error: Option<String>,
    pub(super) first: Histogram,
    pub(super) whole: Histogram,
}

/// Requests of all kinds of users, in the order of [`Kind::ALL`].
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(super) struct Tallies([Tally; 4]);

impl Tally {
    pub(super) fn add(&mut self, ended: Result<Answered, Fault>) {
        self.requests += 1;
        match ended {
            Ok(Answered { first, whole, rows, bytes, waits }) => {
                let micros = |time: Duration| u64::try_from(time.as_micros()).unwrap_or(u64::MAX);
                self.first.add(micros(first));
                self.whole.add(micros(whole));
                self.rows += rows;
                self.bytes += bytes;
                self.waits += waits;
            }
            Err(Fault { kind, detail, is_wrong }) => {
                self.wrong += u64::from(is_wrong);
                self.first_error.get_or_insert_with(|| format!("{kind}: {detail}"));
                *self.errors.entry(kind).or_default() += 1;
            }
        }
    }

    pub(super) fn merge(&mut self, other: &Self) {
        self.requests += other.requests;
        self.rows += other.rows;
        self.bytes += other.bytes;
        self.waits += other.waits;
        self.wrong += other.wrong;
        other.errors.iter().for_each(|(kind, count)| *self.errors.entry(kind.clone()).or_default() += count);
        self.first_error = self.first_error.take().or_else(|| other.first_error.clone());
        self.first.merge(&other.first);
        self.whole.merge(&other.whole);
    }

    pub(super) fn failed(&self) -> u64 {
        self.errors.values().sum()
    }
}

impl Tallies {
    pub(super) fn of(&self, kind: Kind) -> &Tally {
        &self.0[kind as usize]
    }

    pub(super) fn of_mut(&mut self, kind: Kind) -> &mut Tally {
        &mut self.0[kind as usize]
    }

    pub(super) fn merge(&mut self, other: &Self) {
        self.0.iter_mut().zip(&other.0).for_each(|(own, other)| own.merge(other));
    }

    /// All kinds together.
    pub(super) fn sum(&self) -> Tally {
        let mut sum = Tally::default();
        self.0.iter().for_each(|tally| sum.merge(tally));
        sum
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_failed_counts_as_a_request_and_not_as_a_time() {
        let mut tallies = Tallies::default();
        let answered = |millis: u64| Answered {
            first: Duration::from_millis(millis / 2),
            whole: Duration::from_millis(millis),
            rows: 7,
            bytes: 100,
            waits: 1,
        };
        for ended in [
            Ok(answered(10)),
            Err(Fault::new("HTTP 429", "later")),
            Ok(answered(30)),
            Err(Fault::wrong("6 rows")),
            Err(Fault::new("HTTP 429", "again")),
        ] {
            let mut one = Tallies::default();
            one.of_mut(Kind::Export).add(ended);
            tallies.merge(&one);
        }
        let sum = tallies.sum();
        assert_eq!((sum.requests, sum.failed(), sum.wrong, sum.rows, sum.bytes), (5, 3, 1, 14, 200));
        assert_eq!((sum.errors["HTTP 429"], sum.errors["wrong content"]), (2, 1));
        assert_eq!(sum.first_error.as_deref(), Some("HTTP 429: later"));
        assert_eq!((sum.whole.count(), sum.whole.permille(500), sum.first.permille(1000)), (2, 10.0, 15.0));
        assert_eq!(tallies.of(Kind::Flight).requests, 0);
    }
}
