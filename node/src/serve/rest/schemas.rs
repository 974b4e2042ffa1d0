//! What parameters and answers look like, for the API's description.

mod node;
mod regions;

use orrery_actors::sink::Format;
use orrery_schemas::{Kind, OpType};
use serde_json::{Value, json};
use warp::http::StatusCode;

use super::limits::{ASSETS, ASSETS_MAX, PAGE_ROWS, PAGE_ROWS_MAX};
use crate::serve::describe::{Parameter, named};

/// A defect, or a dataset that contradicts itself.
pub(super) const INTERNAL: StatusCode = StatusCode::INTERNAL_SERVER_ERROR;

/// What an export in this format is.
pub(super) fn media_type(format: Format) -> &'static str {
    match format {
        Format::Jsonl => "application/jsonl",
        Format::Csv => "text/csv",
        Format::Arrow => "application/vnd.apache.arrow.stream",
        Format::Parquet => "application/vnd.apache.parquet",
    }
}

fn text() -> Value {
    json!({ "type": "string" })
}

fn matching(pattern: &str) -> Value {
    json!({ "type": "string", "pattern": pattern })
}

fn or_null(schema: Value) -> Value {
    json!({ "anyOf": [schema, { "type": "null" }] })
}

fn count() -> Value {
    json!({ "type": "integer", "minimum": 0 })
}

fn number() -> Value {
    json!({ "type": "number" })
}

fn hash() -> Value {
    matching("^[0-9a-f]{64}$")
}

fn amount() -> Value {
    matching("^-?[0-9]+$")
}

fn time() -> Value {
    json!({ "type": "string", "format": "date-time" })
}

fn cursor() -> Value {
    matching("^[0-9]{1,10}(:[0-9]{1,10})?$")
}

fn list(of: Value) -> Value {
    json!({ "type": "array", "items": of })
}

/// A ledger's number in a path or a query.
pub(super) fn sequence() -> Value {
    json!({ "type": "integer", "minimum": 0, "maximum": u32::MAX })
}

fn flag() -> Value {
    json!({ "type": "boolean" })
}

/// An object whose properties are all there, and no others: what is answered and not described is found by tests.
fn object(properties: &[(&str, Value)]) -> Value {
    let names: Vec<_> = properties.iter().map(|(name, _)| *name).collect();
    let none =
        json!({ "type": "object", "properties": {}, "required": names, "additionalProperties": false });
    with_optional(none, properties)
}

/// The same object, which may have these properties too.
fn with_optional(mut object: Value, properties: &[(&str, Value)]) -> Value {
    for (name, schema) in properties {
        object["properties"][*name] = schema.clone();
    }
    object
}

fn words<'a>(words: impl Iterator<Item = &'a str>) -> Value {
    json!({ "type": "string", "enum": words.collect::<Vec<_>>() })
}

/// Keys of an event filter, less the one that the path has.
pub(super) fn filters(taken: Option<&str>) -> Vec<Parameter> {
    let some = |of: Value| json!({ "type": "array", "items": of, "minItems": 1 });
    let kinds = words(Kind::ALL.iter().map(|kind| kind.as_str()));
    let op_types = words(OpType::ALL.iter().map(|op_type| op_type.as_str()));
    let all = [
        Parameter::new("kind", "Kinds of events", some(kinds)),
        Parameter::new("op_type", "Types of operations", some(op_types)),
        Parameter::new("asset", "Assets as SEP-11: native or CODE:ISSUER", some(text())),
        Parameter::new("account", "Addresses, on either side, as they stand in the row", some(text())),
        Parameter::new("contract", "Contracts", some(text())),
        Parameter::new("min_amount", "Least amount, in the token's smallest unit", amount()),
    ];
    all.into_iter().filter(|parameter| Some(parameter.name) != taken).collect()
}

/// Form of what the feed says.
pub(crate) fn frames() -> Parameter {
    let formats = words(["json", "arrow"].into_iter());
    Parameter::new("format", "Frames of text, or of events as Arrow IPC streams; json if left out", formats)
}

/// Of the feed as server-sent events.
pub(crate) fn subscription() -> Vec<Parameter> {
    let from = json!({ "anyOf": [words(["latest", "oldest", "genesis"].into_iter()), cursor()] });
    let seen = "The id of the last event that was seen, instead of `from`: browsers send it by themselves";
    let mut all = vec![
        Parameter::new("from", "Behind what to begin; latest if left out", from),
        Parameter::new("Last-Event-ID", seen, cursor()).header(),
    ];
    all.extend(filters(None));
    all
}

/// Of pages.
pub(super) fn paging() -> Vec<Parameter> {
    let rows = json!({ "type": "integer", "minimum": 1, "maximum": PAGE_ROWS_MAX, "default": PAGE_ROWS });
    vec![
        Parameter::new(
            "from",
            "Behind what to begin; left out: at the oldest, or descending at the newest. Beyond the tip there is nothing yet",
            cursor(),
        ),
        Parameter::new(
            "order",
            "asc is oldest first, desc is newest first",
            words(["asc", "desc"].into_iter()),
        ),
        Parameter::new("limit", "Most rows of the page", rows),
    ]
}

/// Of windows.
pub(super) fn window() -> Parameter {
    Parameter::new("window", "Up to the newest ledger", words(["1h", "24h"].into_iter()))
}

/// Which actor.
pub(super) fn actor_path() -> Parameter {
    Parameter::new("path", "As a/pipelines/main/processor", text()).required()
}

/// Of the listing of assets.
pub(super) fn assets_limit() -> Parameter {
    let schema = json!({ "type": "integer", "minimum": 1, "maximum": ASSETS_MAX, "default": ASSETS });
    Parameter::new("limit", "Most assets", schema)
}

/// Of exports.
pub(super) fn export() -> Vec<Parameter> {
    let formats = words(Format::ALL.iter().map(|format| format.as_str()));
    vec![
        Parameter::new("from", "First ledger, which is in the file", sequence()).required(),
        Parameter::new("to", "Last ledger, which is in the file", sequence()).required(),
        Parameter::new("format", "Form of the file; jsonl if left out", formats),
    ]
}

/// Everything that is named.
pub(crate) fn schemas() -> Value {
    let mut schemas = json!({
        "Problem": object(&[("type", text()), ("title", text()), ("status", count()), ("detail", text())]),
        "Event": event(),
        "Ledger": ledger(),
        "EventPage": page("events", "Event"),
        "LedgerPage": page("ledgers", "Ledger"),
        "AssetVolume": object(&asset_volume()),
        "Assets": object(&[&window_of()[..], &[("assets", list(named("AssetVolume")))]].concat()),
        "Asset": object(&[&[("asked", text())], &window_of()[..], &asset_volume()[..]].concat()),
    });
    for (name, schema) in node::schemas().into_iter().chain(regions::schemas()) {
        schemas[name] = schema;
    }
    schemas
}

fn page(rows: &'static str, of: &str) -> Value {
    object(&[
        (rows, list(named(of))),
        ("next", or_null(cursor())),
        ("previous", or_null(cursor())),
        ("tip", or_null(text())),
    ])
}

fn event() -> Value {
    let kinds = words(Kind::ALL.iter().map(|kind| kind.as_str()));
    object(&[
        ("ledger_sequence", count()),
        ("closed_at", time()),
        ("tx_hash", hash()),
        ("tx_index", count()),
        ("op_index", or_null(count())),
        ("event_index", count()),
        ("ledger_event_index", count()),
        ("event_id", matching("^[0-9]{19}-[0-9]{10}$")),
        ("kind", kinds),
        ("op_type", or_null(text())),
        ("contract_id", text()),
        ("asset", or_null(text())),
        ("asset_code", or_null(text())),
        ("asset_issuer", or_null(text())),
        ("from", or_null(text())),
        ("to", or_null(text())),
        ("amount", amount()),
        ("to_muxed_id", or_null(amount())),
        ("to_memo_text", or_null(text())),
        ("to_memo_hash", or_null(hash())),
        ("tx_successful", flag()),
    ])
}

fn ledger() -> Value {
    let counts = [
        "sequence",
        "protocol_version",
        "tx_count",
        "successful_tx_count",
        "failed_tx_count",
        "operation_count",
        "event_count",
        "base_fee",
        "base_reserve",
        "max_tx_set_size",
    ];
    let hashes = ["hash", "previous_hash", "tx_set_hash", "tx_set_result_hash", "row_digest"];
    let mut properties = vec![("closed_at", time()), ("total_coins", amount()), ("fee_pool", amount())];
    properties.extend(counts.map(|name| (name, count())));
    properties.extend(hashes.map(|name| (name, hash())));
    object(&properties)
}

fn window_of() -> [(&'static str, Value); 3] {
    [("window", text()), ("from_ledger", or_null(count())), ("to_ledger", or_null(count()))]
}

fn asset_volume() -> [(&'static str, Value); 4] {
    let of_kind = object(&[("count", count()), ("volume", amount())]);
    [
        ("asset", or_null(text())),
        ("contract_id", or_null(text())),
        ("events", count()),
        ("by_kind", json!({ "type": "object", "additionalProperties": of_kind })),
    ]
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use orrery_schemas::{JSON_KEYS, ledgers_schema};

    use super::*;

    #[test]
    fn rows_are_described_with_all_their_columns() {
        let check = |schema: Value, names: &[&str]| {
            let found: BTreeSet<_> =
                schema["properties"].as_object().unwrap().keys().map(String::as_str).collect();
            assert_eq!(found, names.iter().copied().collect());
        };
        check(event(), &JSON_KEYS);
        let columns = ledgers_schema();
        check(ledger(), &columns.fields().iter().map(|field| field.name().as_str()).collect::<Vec<_>>());
    }
}
