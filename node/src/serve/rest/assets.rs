//! How much of each asset moved lately.

use std::collections::BTreeMap;
use std::sync::Arc;

use orrery_schemas::{Asset, ContractId, KindVolume, Token};
use serde_json::{Value, json};

use super::answer::{self, Holds, JSON};
use super::limits::{ASSETS, ASSETS_MAX, VOLUMES_WITHIN};
use super::query::{limit, only};
use super::volumes::{Summed, Window};
use super::{Rest, schemas};
use crate::serve::access::{Access, Role};
use crate::serve::describe::{Parameter, named};
use crate::serve::problem::Problem;
use crate::serve::request::Request;
use crate::serve::router::{Answer, Endpoint};

pub(super) fn endpoints(rest: &Arc<Rest>) -> Vec<Endpoint> {
    let (all, one) = (rest.clone(), rest.clone());
    vec![
        Endpoint::get(
            "/v1/assets",
            Access::Of(Role::Viewer),
            "Events and volume of each asset in a window of time, those with most events first",
            move |request| {
                let rest = all.clone();
                async move { assets(&rest, &request).await }
            },
        )
        .takes(vec![schemas::window(), schemas::assets_limit()])
        .gives(JSON, named("Assets")),
        Endpoint::get(
            "/v1/assets/{asset}",
            Access::Of(Role::Viewer),
            "Events and volume of one asset, as SEP-11 or as its contract, in a window of time",
            move |request| {
                let rest = one.clone();
                async move { asset(&rest, &request).await }
            },
        )
        .takes(vec![
            Parameter::new("asset", "SEP-11 or a contract", json!({ "type": "string" })),
            schemas::window(),
        ])
        .gives(JSON, named("Asset")),
    ]
}

async fn assets(rest: &Rest, request: &Request) -> Answer {
    only(request, &["window", "limit"])?;
    let window = window(request)?;
    let limit = limit(request, ASSETS, ASSETS_MAX)?;
    let summed = sums(rest, window).await?;
    let listed = |summed: &Summed| {
        let tokens = summed.sums.by_events().into_iter().take(limit as usize);
        tokens.map(|(token, kinds)| object(token, kinds)).collect::<Vec<_>>()
    };
    let assets = summed.as_ref().map(listed).unwrap_or_default();
    let mut answer = described(window, summed.as_ref());
    answer["assets"] = json!(assets);
    answer::json(request, &answer, Holds::Now)
}

async fn asset(rest: &Rest, request: &Request) -> Answer {
    only(request, &["window"])?;
    let window = window(request)?;
    let name = request.path_value("asset");
    let is_wanted: Box<dyn Fn(&Token) -> bool + Send> =
        match (name.parse::<ContractId>(), name.parse::<Asset>()) {
            (Ok(contract), _) => {
                let contract = contract.to_string();
                Box::new(move |token| token.contract_id == contract)
            }
            (_, Ok(asset)) => {
                let asset = Some(asset.to_string());
                Box::new(move |token| token.asset == asset)
            }
            (_, Err(problem)) => return Err(Problem::parameter("asset", problem)),
        };
    let summed = sums(rest, window).await?;
    let found = summed.as_ref().and_then(|summed| {
        let mut tokens = summed.sums.by_events().into_iter();
        tokens.find(|(token, _)| is_wanted(token)).map(|(token, kinds)| object(token, kinds))
    });
    let mut answer = described(window, summed.as_ref());
    // An asset that did not move has moved zero times.
    let nothing = || json!({ "asset": null, "contract_id": null, "events": 0, "by_kind": {} });
    if let (Some(answer), Some(found)) =
        (answer.as_object_mut(), found.unwrap_or_else(nothing).as_object_mut())
    {
        answer.append(found);
    }
    answer["asked"] = json!(name);
    answer::json(request, &answer, Holds::Now)
}

fn window(request: &Request) -> Result<Window, Problem> {
    let Some(value) = request.parameter("window")? else { return Ok(Window::Day) };
    Window::ALL.into_iter().find(|window| window.as_str() == value).ok_or_else(|| {
        let shown: String = value.chars().take(40).collect();
        Problem::parameter("window", format_args!("{shown:?} is neither 1h nor 24h"))
    })
}

async fn sums(rest: &Rest, window: Window) -> Result<Option<Summed>, Problem> {
    let (view, snapshot) = rest.dataset()?;
    let sums = rest.volumes.of(&view, &snapshot, window);
    let late = |_| Problem::unavailable("the window is still being added up", 10);
    tokio::time::timeout(VOLUMES_WITHIN, sums).await.map_err(late)?
}

fn described(window: Window, summed: Option<&Summed>) -> Value {
    json!({
        "window": summed.map_or(window, |summed| summed.window).as_str(),
        "from_ledger": summed.map(|summed| summed.ledgers.start().0),
        "to_ledger": summed.map(|summed| summed.ledgers.end().0),
    })
}

fn object(token: &Token, kinds: &BTreeMap<String, KindVolume>) -> Value {
    let events: u64 = kinds.values().map(|sum| sum.count).sum();
    let by_kind = kinds
        .iter()
        .map(|(kind, sum)| (kind.clone(), json!({ "count": sum.count, "volume": sum.volume.to_string() })));
    json!({
        "asset": token.asset,
        "contract_id": token.contract_id,
        "events": events,
        "by_kind": by_kind.collect::<serde_json::Map<_, _>>(),
    })
}
