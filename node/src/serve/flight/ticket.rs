//! What a reader asks, as JSON that a person can write. It stands in tickets, and in the commands of descriptors:
//!
//! ```json
//! {"table": "token_transfers", "from": "53312000:17", "to": "53313000", "filter": {"kind": ["transfer"]}}
//! ```
//!
//! | key | `token_transfers`, `ledgers` | `live` |
//! |---|---|---|
//! | `from` | the cursor of what was seen: what is behind it is read; `oldest`, or nothing, is from the first ledger on | the same, or `latest`, or nothing: what comes from now on |
//! | `to` | the last ledger; without it the newest one that is durable now | none: it has no end |
//! | `filter` | as the feed's, for events | as the feed's |
//!
//! A ticket is all that the server knows of a read: it is as good after a restart, and on any other node of the network.

use std::fmt;

use orrery_actors::dataset::{Place, Span, TableKind};
use orrery_schemas::{Cursor, EventFilter, LedgerSequence};
use serde::{Deserialize, Serialize};
use tonic::Status;

use crate::serve::feed::message::From;

/// Longest one: a filter of a thousand values is 60 KB.
pub(super) const TICKET_BYTES_MAX: usize = 64 << 10;

/// Most characters of a refusal that a reader's own words take.
const SHOWN_MAX: usize = 200;

/// How one is written, for those who wrote it otherwise.
const FORM: &str =
    r#"give {"table":"token_transfers","from":"53312000","to":"53313000","filter":{"kind":["transfer"]}}"#;

/// What can be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Flight {
    /// Events of durable ledgers.
    TokenTransfers,
    /// Durable ledgers.
    Ledgers,
    /// Events as they come, from wherever a reader was.
    Live,
}

impl Flight {
    pub(super) const ALL: [Self; 3] = [Self::TokenTransfers, Self::Ledgers, Self::Live];

    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::TokenTransfers => "token_transfers",
            Self::Ledgers => "ledgers",
            Self::Live => "live",
        }
    }

    /// The table whose rows it has.
    pub(super) fn table(self) -> TableKind {
        match self {
            Self::TokenTransfers | Self::Live => TableKind::TokenTransfers,
            Self::Ledgers => TableKind::Ledgers,
        }
    }

    /// The one of this name.
    ///
    /// # Errors
    ///
    /// `NOT_FOUND`.
    pub(super) fn named(name: &str) -> Result<Self, Status> {
        let found = Self::ALL.into_iter().find(|flight| flight.as_str() == name);
        found.ok_or_else(|| {
            let name = shown(name);
            Status::not_found(format!(
                "there is no flight {name:?}: there are token_transfers, ledgers and live"
            ))
        })
    }
}

/// A ticket.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Ticket {
    pub(super) flight: Flight,
    /// `None` is where it begins if nothing is said.
    pub(super) from: Option<From>,
    pub(super) to: Option<LedgerSequence>,
    pub(super) filter: EventFilter,
}

/// As it is written.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Form {
    table: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    from: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    to: Option<String>,
    #[serde(default, skip_serializing_if = "EventFilter::is_all")]
    filter: EventFilter,
}

/// The durable ledgers that there are.
#[derive(Clone, Copy, Debug)]
pub(super) struct Held {
    pub(super) oldest: LedgerSequence,
    pub(super) tip: LedgerSequence,
}

/// What of a table is read: from a place to the end of a ledger, which may be before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Part {
    pub(super) first: Place,
    pub(super) last: LedgerSequence,
}

impl Part {
    pub(super) fn span(self) -> Span {
        Span { first: self.first, last: Place::end_of(self.last) }
    }
}

impl Ticket {
    /// The whole of a flight.
    pub(super) fn all(flight: Flight) -> Self {
        Self { flight, from: None, to: None, filter: EventFilter::default() }
    }

    /// What stands in a ticket or a command.
    ///
    /// # Errors
    ///
    /// `INVALID_ARGUMENT`, `NOT_FOUND`.
    pub(super) fn parse(bytes: &[u8]) -> Result<Self, Status> {
        if bytes.len() > TICKET_BYTES_MAX {
            let length = bytes.len();
            return Err(wrong(format!(
                "it has {length} bytes, and may have {TICKET_BYTES_MAX}: filter by less"
            )));
        }
        let form: Form = serde_json::from_slice(bytes)
            .map_err(|error| wrong(format!("{}: {FORM}", shown(&error.to_string()))))?;
        let flight = Flight::named(&form.table)?;
        let from = form.from.map(|from| from.parse().map_err(wrong)).transpose()?;
        let to = form.to.map(|to| ledger(&to)).transpose()?;
        match flight {
            Flight::Live if to.is_some() => {
                return Err(wrong("to: live has no end: leave it out".to_owned()));
            }
            Flight::Ledgers if !form.filter.is_all() => {
                return Err(wrong("filter: it is for events: leave it out of ledgers".to_owned()));
            }
            Flight::TokenTransfers | Flight::Ledgers if from == Some(From::Latest) => {
                let problem =
                    "from: latest: a table is read from a cursor or `oldest` on; what comes is `live`";
                return Err(wrong(problem.to_owned()));
            }
            _ => {}
        }
        Ok(Self { flight, from, to, filter: form.filter })
    }

    /// What it asks of a table.
    ///
    /// # Errors
    ///
    /// `OUT_OF_RANGE` if not all of it is there: what is missing is not left out silently. `INVALID_ARGUMENT`.
    pub(super) fn part(&self, held: Held) -> Result<Part, Status> {
        let Held { oldest, tip } = held;
        let beyond = |problem: String| {
            Status::out_of_range(format!("ticket: {problem}: here are ledgers {oldest} to {tip}"))
        };
        let from = match self.from {
            Some(From::Behind(cursor)) => Some(cursor),
            _ => None,
        };
        let (ledger, event) = match from.map(Cursor::next) {
            None => (oldest, 0),
            Some(Some((ledger, _))) if ledger < oldest => {
                let problem = "what is behind it is not here any more, begin at `oldest` or later";
                return Err(beyond(format!("from: cursor_too_old: {}: {problem}", shown_cursor(from))));
            }
            Some(Some(next)) if from.is_some_and(|from| from.ledger <= tip) => next,
            Some(_) => {
                let problem = "it is ahead of what is durable, try again later, or read `live`";
                return Err(beyond(format!("from: cursor_ahead: {}: {problem}", shown_cursor(from))));
            }
        };
        let last = self.to.unwrap_or(tip);
        if last > tip {
            return Err(beyond(format!("to: {last}: leave it out to read what there is, or read `live`")));
        }
        if last < oldest {
            return Err(beyond(format!("to: {last} is not here any more")));
        }
        if from.is_some_and(|from| Cursor::behind(last) < from) {
            return Err(wrong(format!("to: {last} is before where `from` begins")));
        }
        Ok(Part { first: Place { ledger, event }, last })
    }

    /// Tickets that together ask for `part`, one for each of the ranges that it was cut into.
    pub(super) fn cut(&self, part: Part, ranges: &[(LedgerSequence, LedgerSequence)]) -> Vec<Self> {
        let ticket = |(index, (first, last)): (usize, &(LedgerSequence, LedgerSequence))| {
            let behind = match (index, self.from) {
                (0, Some(from)) => Some(from),
                (0, None) => before(part.first.ledger),
                _ => before(*first),
            };
            Self { from: behind, to: Some(*last), ..self.clone() }
        };
        ranges.iter().enumerate().map(ticket).collect()
    }
}

/// Where a reader is that reads this ledger next.
fn before(ledger: LedgerSequence) -> Option<From> {
    ledger.0.checked_sub(1).map(|ledger| From::Behind(Cursor::behind(LedgerSequence(ledger))))
}

impl fmt::Display for Ticket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let from = self.from.map(|from| match from {
            From::Latest => "latest".to_owned(),
            From::Oldest => "oldest".to_owned(),
            From::Behind(cursor) => cursor.to_string(),
        });
        let (table, filter) = (self.flight.as_str().to_owned(), self.filter.clone());
        let form = Form { table, from, to: self.to.map(|to| to.to_string()), filter };
        f.write_str(&serde_json::to_string(&form).map_err(|_| fmt::Error)?)
    }
}

fn ledger(text: &str) -> Result<LedgerSequence, Status> {
    let is_plain = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let number = text.parse().ok().filter(|_| is_plain);
    number
        .map(LedgerSequence)
        .ok_or_else(|| wrong(format!("to: {:?}: give the number of a ledger", shown(text))))
}

fn shown_cursor(cursor: Option<Cursor>) -> String {
    cursor.map_or_else(String::new, |cursor| cursor.to_string())
}

/// What a reader wrote, as far as it is said again.
fn shown(text: &str) -> String {
    text.chars().take(SHOWN_MAX).collect()
}

fn wrong(problem: String) -> Status {
    Status::invalid_argument(format!("ticket: {problem}"))
}

#[cfg(test)]
mod tests;
