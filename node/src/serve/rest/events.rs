//! Pages of events: of the whole dataset, of an account, of a contract.

use std::sync::Arc;

use orrery_actors::dataset::{DatasetView, Order, Place, ScanRequest, Snapshot};
use orrery_schemas::{Cursor, TokenTransfer};
use serde::Serialize;
use serde_json::json;

use super::answer::{Holds, JSON, Made};
use super::limits::PAGE_WITHIN;
use super::query::{FILTER_KEYS, Paging, cursor_before, cursor_behind, filter, only, refused};
use super::{Rest, schemas, unreadable};
use crate::serve::access::{Access, Role};
use crate::serve::describe::{Parameter, named};
use crate::serve::problem::Problem;
use crate::serve::request::Request;
use crate::serve::router::{Answer, Endpoint};

const PAGING_KEYS: [&str; 3] = ["from", "order", "limit"];

/// A page. Ask with the same order and `next` for what follows, with the other order and `previous` for what is before.
#[derive(Debug, Serialize)]
struct Page {
    events: Vec<TokenTransfer>,
    next: Option<Cursor>,
    previous: Option<Cursor>,
    /// The last ledger that is durable; left out of pages that never change.
    tip: Option<String>,
}

/// What a scan gave within its time.
struct Found {
    events: Vec<TokenTransfer>,
    /// Up to where the scan came, if its time was over before its end.
    cut: Option<Cursor>,
}

pub(super) fn endpoints(rest: &Arc<Rest>) -> Vec<Endpoint> {
    let (all, account, contract) = (rest.clone(), rest.clone(), rest.clone());
    vec![
        Endpoint::get("/v1/events", Access::Of(Role::Viewer), "Events, a page at a time", move |request| {
            let rest = all.clone();
            async move { page(&rest, &request, None).await }
        })
        .takes([schemas::filters(None), schemas::paging()].concat())
        .gives(JSON, named("EventPage"))
        .tagged(),
        Endpoint::get(
            "/v1/accounts/{id}/events",
            Access::Of(Role::Viewer),
            "Events of an address, on either side",
            move |request| {
                let rest = account.clone();
                async move { page(&rest, &request, Some("account")).await }
            },
        )
        .takes(of("account", "An address: strkey G, C, M, B or L"))
        .gives(JSON, named("EventPage"))
        .tagged(),
        Endpoint::get(
            "/v1/contracts/{id}/events",
            Access::Of(Role::Viewer),
            "Events of a contract",
            move |request| {
                let rest = contract.clone();
                async move { page(&rest, &request, Some("contract")).await }
            },
        )
        .takes(of("contract", "A contract: strkey C"))
        .gives(JSON, named("EventPage"))
        .tagged(),
    ]
}

/// Parameters where the path has the value of the filter's key `key`.
fn of(key: &'static str, description: &'static str) -> Vec<Parameter> {
    let id = Parameter::new("id", description, json!({ "type": "string" }));
    [vec![id], schemas::filters(Some(key)), schemas::paging()].concat()
}

/// `of` is the filter's key that the path has the value of.
async fn page(rest: &Rest, request: &Request, of: Option<&'static str>) -> Answer {
    let known = FILTER_KEYS.into_iter().filter(|key| Some(*key) != of).chain(PAGING_KEYS);
    only(request, &known.collect::<Vec<_>>())?;
    let mut filter = filter(request, of)?;
    if let Some(key) = of {
        filter.add(key, request.path_value("id")).map_err(|error| refused("id", &error))?;
    }
    let paging = Paging::new(request)?;
    let (view, snapshot) = rest.dataset()?;
    if let Some(made) = rest.kept.get(request, snapshot.slots()) {
        return Ok(made.respond(request));
    }
    let _turn = rest.pages.acquire().await.map_err(|_| Problem::unavailable("the node ends", 1))?;
    let wanted = ScanRequest::events(filter)
        .within(paging.span(&snapshot, rest.live_tip())?)
        .order(paging.order)
        .limit(paging.limit.into());
    let found = find(&view, &snapshot, wanted, paging.order).await?;
    let is_whole = found.cut.is_none();
    let page = page_of(found, &paging, &snapshot);
    let made = Made::new(&page, if page.tip.is_none() { Holds::Always } else { Holds::Now })?;
    if is_whole {
        rest.kept.put(request, snapshot.slots(), &made);
    }
    Ok(made.respond(request))
}

async fn find(
    view: &DatasetView,
    snapshot: &Arc<Snapshot>,
    wanted: ScanRequest,
    order: Order,
) -> Result<Found, Problem> {
    let mut scan = view.scan(snapshot, wanted);
    let mut events = Vec::new();
    let late = tokio::time::sleep(PAGE_WITHIN);
    tokio::pin!(late);
    let is_late = loop {
        let batch = tokio::select! {
            batch = scan.next_events() => batch.map_err(unreadable)?,
            () = &mut late => break true,
        };
        let Some(rows) = batch else { break false };
        events.extend(rows);
    };
    // A scan that was cut off may have looked at more than its last row; what it passed is whole files.
    let passed = scan.passed();
    let last = events.last().map(place);
    let reached = match order {
        Order::Ascending => passed.max(last).map(cursor_behind),
        Order::Descending => match (passed, last) {
            (Some(passed), Some(last)) => cursor_before(passed.min(last)),
            (one, other) => one.or(other).and_then(cursor_before),
        },
    };
    if is_late && reached.is_none() {
        let detail = format!("nothing was found within {} s: ask for fewer ledgers", PAGE_WITHIN.as_secs());
        return Err(Problem::unavailable(detail, 5));
    }
    Ok(Found { events, cut: reached.filter(|_| is_late) })
}

fn page_of(found: Found, paging: &Paging, snapshot: &Snapshot) -> Page {
    let Found { events, cut } = found;
    let is_full = events.len() == paging.limit as usize;
    let ends = (events.first().map(place), events.last().map(place));
    let (next, previous) = match (paging.order, ends) {
        (Order::Ascending, (Some(first), Some(last))) => (Some(cursor_behind(last)), cursor_before(first)),
        (Order::Descending, (Some(first), Some(last))) => (cursor_before(last), Some(cursor_behind(first))),
        _ => (None, paging.from),
    };
    let next = cut.or_else(|| next.filter(|_| is_full));
    let tip = snapshot.last();
    // Old rows do not change: a full page, and all that is before a place, is as it is for ever.
    let is_below = paging.from.is_some_and(|from| tip.is_some_and(|tip| from.ledger <= tip));
    let is_settled = match paging.order {
        Order::Ascending => is_full,
        Order::Descending => is_below,
    };
    let tip = match is_settled && cut.is_none() {
        true => None,
        false => Some(tip.map_or_else(String::new, |tip| tip.to_string())),
    };
    Page { events, next, previous, tip }
}

fn place(event: &TokenTransfer) -> Place {
    Place { ledger: event.ledger_sequence, event: event.ledger_event_index }
}
