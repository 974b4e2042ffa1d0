//! Ledgers: one, or a page of them.

use std::sync::Arc;

use orrery_actors::dataset::{Order, Place, ScanRequest, Span};
use orrery_schemas::{Ledger, LedgerSequence, ledgers_from_batch};
use serde_json::{Value, json};

use super::answer::{self, Holds, JSON, Made};
use super::limits::PAGE_WITHIN;
use super::query::{Paging, cursor_before, only, sequence};
use super::{Rest, schemas, unreadable};
use crate::serve::access::{Access, Role};
use crate::serve::describe::{Parameter, named};
use crate::serve::problem::Problem;
use crate::serve::request::Request;
use crate::serve::router::{Answer, Endpoint};

/// Of one ledger.
const PATH: &str = "/v1/ledgers/{sequence}";

/// Ledgers that are read together when one is asked for, and whose answers are kept: to read one is to decode its page, which
/// has all of them.
const LEDGERS_AT_ONCE: u32 = 64;

pub(super) fn endpoints(rest: &Arc<Rest>) -> Vec<Endpoint> {
    let (all, one) = (rest.clone(), rest.clone());
    vec![
        Endpoint::get("/v1/ledgers", Access::Of(Role::Viewer), "Ledgers, a page at a time", move |request| {
            let rest = all.clone();
            async move { page(&rest, &request).await }
        })
        .takes(schemas::paging())
        .gives(JSON, named("LedgerPage"))
        .tagged(),
        Endpoint::get(PATH, Access::Of(Role::Viewer), "One ledger", move |request| {
            let rest = one.clone();
            async move { ledger(&rest, &request).await }
        })
        .takes(vec![Parameter::new("sequence", "The ledger's number", schemas::sequence())])
        .gives(JSON, named("Ledger"))
        .tagged(),
    ]
}

async fn ledger(rest: &Rest, request: &Request) -> Answer {
    only(request, &[])?;
    let sequence = sequence("sequence", request.path_value("sequence"))?;
    let (_, snapshot) = rest.dataset()?;
    if let Some(made) = rest.kept.get(request, snapshot.slots()) {
        return Ok(made.respond(request));
    }
    let first = LedgerSequence(sequence.0 - sequence.0 % LEDGERS_AT_ONCE);
    let last = LedgerSequence(first.0.saturating_add(LEDGERS_AT_ONCE - 1));
    let mut found = None;
    for ledger in read(rest, ScanRequest::ledgers().within(Span::ledgers(first..=last))).await? {
        let made = Made::new(&object(&ledger), Holds::Always)?;
        rest.kept.put_always(&PATH.replace("{sequence}", &ledger.sequence.to_string()), &made);
        if ledger.sequence == sequence {
            found = Some(made);
        }
    }
    match found {
        Some(made) => Ok(made.respond(request)),
        None => Err(Problem::not_found(match snapshot.last() {
            Some(last) => format!("ledger {sequence} is not here: there are {} to {last}", snapshot.first()),
            None => format!("ledger {sequence} is not here: nothing is durable yet"),
        })),
    }
}

async fn page(rest: &Rest, request: &Request) -> Answer {
    only(request, &["from", "order", "limit"])?;
    let paging = Paging::new(request)?;
    let (_, snapshot) = rest.dataset()?;
    let wanted = ScanRequest::ledgers().within(paging.span(&snapshot, rest.live_tip())?);
    let ledgers = read(rest, wanted.order(paging.order).limit(paging.limit.into())).await?;
    let ends = (ledgers.first().map(|one| one.sequence), ledgers.last().map(|one| one.sequence));
    let is_full = ledgers.len() == paging.limit as usize;
    let behind = |ledger: LedgerSequence| Some(ledger.to_string());
    let before = |ledger| cursor_before(Place::start_of(ledger)).map(|cursor| cursor.to_string());
    let (next, previous) = match (paging.order, ends) {
        (Order::Ascending, (Some(first), Some(last))) => (behind(last), before(first)),
        (Order::Descending, (Some(first), Some(last))) => (before(last), behind(first)),
        _ => (None, paging.from.map(|from| from.to_string())),
    };
    let is_below = paging.from.is_some_and(|from| snapshot.last().is_some_and(|last| from.ledger <= last));
    let is_settled = if paging.order == Order::Ascending { is_full } else { is_below };
    let tip = snapshot.last().map_or_else(String::new, |tip| tip.to_string());
    let page = json!({
        "ledgers": ledgers.iter().map(object).collect::<Vec<_>>(),
        "next": next.filter(|_| is_full),
        "previous": previous,
        "tip": (!is_settled).then_some(tip),
    });
    answer::json(request, &page, if is_settled { Holds::Always } else { Holds::Now })
}

async fn read(rest: &Rest, wanted: ScanRequest) -> Result<Vec<Ledger>, Problem> {
    let (view, snapshot) = rest.dataset()?;
    let _turn = rest.pages.acquire().await.map_err(|_| Problem::unavailable("the node ends", 1))?;
    let mut scan = view.scan(&snapshot, wanted);
    let all = async {
        let mut ledgers = Vec::new();
        while let Some(batch) = scan.next().await.map_err(unreadable)? {
            let rows = ledgers_from_batch(&batch)
                .map_err(|error| Problem::new(schemas::INTERNAL, "dataset_unreadable", error.to_string()))?;
            ledgers.extend(rows);
        }
        Ok(ledgers)
    };
    let late = |_| Problem::unavailable("the dataset's store is slow: try again, or ask for less", 5);
    tokio::time::timeout(PAGE_WITHIN, all).await.map_err(late)?
}

/// Its columns. Numbers that JSON readers do not keep exact are text.
pub(super) fn object(ledger: &Ledger) -> Value {
    json!({
        "sequence": ledger.sequence.0,
        "hash": ledger.hash.to_string(),
        "previous_hash": ledger.previous_hash.to_string(),
        "closed_at": ledger.closed_at.to_string(),
        "protocol_version": ledger.protocol_version,
        "tx_set_hash": ledger.tx_set_hash.to_string(),
        "tx_set_result_hash": ledger.tx_set_result_hash.to_string(),
        "tx_count": ledger.tx_count,
        "successful_tx_count": ledger.successful_tx_count,
        "failed_tx_count": ledger.failed_tx_count,
        "operation_count": ledger.operation_count,
        "event_count": ledger.event_count,
        "total_coins": ledger.total_coins.to_string(),
        "fee_pool": ledger.fee_pool.to_string(),
        "base_fee": ledger.base_fee,
        "base_reserve": ledger.base_reserve,
        "max_tx_set_size": ledger.max_tx_set_size,
        "row_digest": ledger.row_digest.to_string(),
    })
}
