//! Parameters of a request, checked: each refusal names the parameter, what was given and what to give.

use std::fmt::Display;
use std::str::FromStr;

use orrery_actors::dataset::{Order, Place, Snapshot, Span};
use orrery_schemas::{Cursor, EventFilter, FilterError, LedgerSequence};
use warp::http::StatusCode;

use super::limits::{PAGE_ROWS, PAGE_ROWS_MAX};
use crate::serve::feed::message::AHEAD_LEDGERS_MAX;
use crate::serve::problem::Problem;
use crate::serve::request::Request;

/// Keys of an event filter, as parameters.
pub(super) const FILTER_KEYS: [&str; 6] = ["kind", "op_type", "asset", "account", "contract", "min_amount"];

/// Which page is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Paging {
    /// Between two rows: behind what the cursor names. `None` is the end where the order begins.
    pub(super) from: Option<Cursor>,
    pub(super) order: Order,
    pub(super) limit: u32,
}

/// Refuses parameters that the endpoint does not have: one that is misspelt would change the answer silently.
pub(super) fn only(request: &Request, known: &[&str]) -> Result<(), Problem> {
    let Some((name, _)) = request.query.iter().find(|(name, _)| !known.contains(&name.as_str())) else {
        return Ok(());
    };
    let shown: String = name.chars().take(40).collect();
    let known = if known.is_empty() { "none".to_owned() } else { known.join(", ") };
    Err(Problem::parameter(&shown, format_args!("there is no such parameter here; there are: {known}")))
}

/// A parameter of some type.
pub(super) fn parsed<T: FromStr>(request: &Request, name: &str) -> Result<Option<T>, Problem>
where
    T::Err: Display,
{
    let Some(value) = request.parameter(name)? else { return Ok(None) };
    value.parse().map(Some).map_err(|problem: T::Err| Problem::parameter(name, problem))
}

/// A number from 1 to `max`.
pub(super) fn limit(request: &Request, default: u32, max: u32) -> Result<u32, Problem> {
    let Some(value) = request.parameter("limit")? else { return Ok(default) };
    let is_plain = !value.is_empty() && value.bytes().all(|byte| byte.is_ascii_digit());
    let number = value.parse().ok().filter(|number| is_plain && (1..=max).contains(number));
    number.ok_or_else(|| {
        let shown: String = value.chars().take(40).collect();
        Problem::parameter("limit", format_args!("{shown:?} is no number from 1 to {max}"))
    })
}

/// A ledger's number.
pub(super) fn sequence(name: &str, value: &str) -> Result<LedgerSequence, Problem> {
    let is_plain = !value.is_empty() && value.bytes().all(|byte| byte.is_ascii_digit());
    let number = value.parse().ok().filter(|_| is_plain);
    number.map(LedgerSequence).ok_or_else(|| {
        let shown: String = value.chars().take(40).collect();
        Problem::parameter(name, format_args!("{shown:?} is no ledger's number, as 53312000"))
    })
}

/// The filter that a request's parameters make, less those in `taken`.
pub(super) fn filter(request: &Request, taken: Option<&str>) -> Result<EventFilter, Problem> {
    let mut filter = EventFilter::default();
    for (name, value) in &request.query {
        let Some(key) = EventFilter::key(name).filter(|key| Some(*key) != taken) else { continue };
        filter.add(key, value).map_err(|error| refused(key, &error))?;
    }
    Ok(filter)
}

/// A filter that is none.
pub(super) fn refused(key: &str, error: &FilterError) -> Problem {
    match error {
        FilterError::Value { problem, .. } => Problem::parameter(key, problem),
        error => Problem::new(StatusCode::BAD_REQUEST, "bad_filter", error.to_string()),
    }
}

/// `asc` or `desc`.
fn order(request: &Request) -> Result<Order, Problem> {
    match request.parameter("order")? {
        None | Some("asc") => Ok(Order::Ascending),
        Some("desc") => Ok(Order::Descending),
        Some(other) => {
            let shown: String = other.chars().take(40).collect();
            Err(Problem::parameter("order", format_args!("{shown:?} is neither asc nor desc")))
        }
    }
}

impl Paging {
    /// As asked.
    pub(super) fn new(request: &Request) -> Result<Self, Problem> {
        let from: Option<Cursor> = parsed(request, "from")?;
        Ok(Self { from, order: order(request)?, limit: limit(request, PAGE_ROWS, PAGE_ROWS_MAX)? })
    }

    /// The places that the page is looked for in; `live` is the newest ledger that the feed has, which may be ahead of what is
    /// durable.
    ///
    /// # Errors
    ///
    /// The place to go on from is before the dataset's first ledger: what came in between is not there. Or it is further ahead than
    /// a region can be behind: a reader that got an empty page would wait for nothing.
    pub(super) fn span(&self, snapshot: &Snapshot, live: LedgerSequence) -> Result<Span, Problem> {
        let Some(from) = self.from else { return Ok(Span::ALL) };
        if self.order == Order::Ascending {
            let tip = snapshot.last().unwrap_or_else(|| snapshot.first()).max(live);
            is_within_reach(from, tip)?;
        }
        let Some((ledger, event)) = from.next() else { return Ok(empty_above(self.order)) };
        let next = Place { ledger, event };
        if self.order == Order::Descending {
            return Ok(before(next).map_or(empty(), |last| Span { first: Span::ALL.first, last }));
        }
        // A network's first ledger is 1: the cursor 0 is "from the beginning".
        if ledger < snapshot.first() && from.ledger.0 > 0 {
            let detail = format!(
                "from: {from} is before the oldest ledger here, {}: leave `from` out to read from there",
                snapshot.first()
            );
            return Err(Problem::new(StatusCode::GONE, "cursor_too_old", detail));
        }
        Ok(Span { first: next, last: Span::ALL.last })
    }
}

/// Refuses a cursor that is further ahead than a region can be behind.
fn is_within_reach(from: Cursor, tip: LedgerSequence) -> Result<(), Problem> {
    if from.ledger.0 <= tip.0.saturating_add(AHEAD_LEDGERS_MAX) {
        return Ok(());
    }
    let detail = format!(
        "from: {from} is ahead of the newest ledger here, {tip}: it is far behind (/readyz says so), or the cursor is of another network"
    );
    Err(Problem::new(StatusCode::BAD_REQUEST, "cursor_ahead", detail))
}

/// Behind the last number that there is nothing follows; before it is everything.
fn empty_above(order: Order) -> Span {
    if order == Order::Descending { Span::ALL } else { empty() }
}

fn empty() -> Span {
    Span { first: Span::ALL.last, last: Span::ALL.first }
}

/// The place before.
fn before(place: Place) -> Option<Place> {
    match place.event.checked_sub(1) {
        Some(event) => Some(Place { ledger: place.ledger, event }),
        None => Some(Place::end_of(LedgerSequence(place.ledger.0.checked_sub(1)?))),
    }
}

/// The cursor between a place and the one before it; `None` before everything.
pub(super) fn cursor_before(place: Place) -> Option<Cursor> {
    before(place).map(cursor_behind)
}

/// The cursor behind a place.
pub(super) fn cursor_behind(place: Place) -> Cursor {
    Cursor { ledger: place.ledger, event: (place.event != u32::MAX).then_some(place.event) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cursor_is_refused_that_is_further_ahead_than_a_region_can_be_behind() {
        let check = |from: &str, expect: bool| {
            let found = is_within_reach(from.parse().unwrap(), LedgerSequence(100));
            assert_eq!(found.is_ok(), expect, "{from}");
        };
        check("0", true);
        check("1124:7", true);
        check("1125", false);
        check("4294967295", false);
    }

    #[test]
    fn a_cursor_stands_between_two_rows() {
        let check = |ledger, event, before: &str, behind: &str| {
            let place = Place { ledger: LedgerSequence(ledger), event };
            let before_found = cursor_before(place).map_or("none".to_owned(), |cursor| cursor.to_string());
            assert_eq!((before_found.as_str(), cursor_behind(place).to_string().as_str()), (before, behind));
        };
        check(7, 3, "7:2", "7:3");
        check(7, 0, "6", "7:0");
        check(7, u32::MAX, "7:4294967294", "7");
        check(0, 0, "none", "0:0");
    }

    const QUERIES: [&str; 4] = [
        "from=53312000:17&order=desc&limit=1000&kind=mint,burn&min_amount=-5",
        "account=GAAQCAIBAEAQCAIBAEAQCAIBAEAQCAIBAEAQCAIBAEAQCAIBAEAQDZ7H&op_type=payment&order=asc",
        "asset=native&asset=USD%3AGAAQCAIBAEAQCAIBAEAQCAIBAEAQCAIBAEAQCAIBAEAQCAIBAEAQDZ7H&from=2",
        "kind=fee&limit=1&contract=+",
    ];

    proptest::proptest! {
        /// Whatever stands in a query, it is read or refused with what is to be given.
        #[test]
        fn what_is_almost_a_query_is_read_or_refused(bytes in crate::serve::damaged::damaged(QUERIES.to_vec())) {
            let text = String::from_utf8_lossy(&bytes);
            let short = |problem: &Problem| problem.status == StatusCode::BAD_REQUEST && problem.detail.len() < 1_000;
            match crate::serve::request::pairs(&text) {
                Err(problem) => proptest::prop_assert!(short(&problem), "{problem:?}"),
                Ok(query) => {
                    let request = Request::of_query(query);
                    match Paging::new(&request) {
                        Ok(paging) => proptest::prop_assert!((1..=PAGE_ROWS_MAX).contains(&paging.limit)),
                        Err(problem) => proptest::prop_assert!(short(&problem), "{problem:?}"),
                    }
                    if let Err(problem) = filter(&request, None) {
                        proptest::prop_assert!(short(&problem), "{problem:?}");
                    }
                    if let Err(problem) = only(&request, &FILTER_KEYS) {
                        proptest::prop_assert!(short(&problem), "{problem:?}");
                    }
                }
            }
        }
    }
}
