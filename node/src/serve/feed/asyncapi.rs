//! `/asyncapi.json`: what is said on the feed, as an AsyncAPI 3.0 document. A test holds it against what the code says.

use std::sync::Arc;

use serde_json::{Value, json};
use warp::http::header::{CACHE_CONTROL, CONTENT_TYPE};
use warp::reply::{Reply, with_header};

use crate::serve::access::Access;
use crate::serve::router::Endpoint;

/// The endpoint that gives it. `event` is the schema of one event.
pub(crate) fn endpoint(event: Value) -> Endpoint {
    let text: Arc<str> = document(event).to_string().into();
    let endpoint = Endpoint::get("/asyncapi.json", Access::Open, "What is said on the feed", move |_| {
        let typed = with_header(text.to_string(), CONTENT_TYPE, "application/json");
        let cached = with_header(typed, CACHE_CONTROL, "no-cache").into_response();
        std::future::ready(Ok(cached))
    });
    endpoint.gives("application/json", json!({ "type": "object" }))
}

/// The document. `event` is the schema of one event.
pub(super) fn document(event: Value) -> Value {
    json!({
        "asyncapi": "3.0.0",
        "info": {
            "title": "Orrery feed",
            "version": env!("CARGO_PKG_VERSION"),
            "description": "Token-transfer events as ledgers close, over a WebSocket. A cursor names what was seen: keep \
                            the one of the last frame, and ask with it as `from` to go on; nothing is left out and nothing \
                            comes twice. Who is too slow is closed with code 4008 and the cursor as the reason, which \
                            stands behind all that was sent: who reads nothing for two minutes more finds the \
                            connection cut off, and goes on with the cursor of the last frame it has; and \
                            when the node ends with 1001 and the cursor: go on at another one. With \
                            ?format=arrow events come as binary frames, each an Arrow IPC stream whose schema metadata \
                            have orrery.feed.id and orrery.feed.cursor.",
            "license": { "name": "Apache-2.0" },
        },
        "defaultContentType": "application/json",
        "channels": { "feed": {
            "address": "/v1/feed",
            "messages": messages_of(&SENT.into_iter().chain(SAID).collect::<Vec<_>>()),
            "bindings": { "ws": { "method": "GET", "query": {
                "type": "object",
                "properties": { "format": { "type": "string", "enum": ["json", "arrow"], "default": "json" } },
            } } },
        } },
        "operations": {
            "ask": operation("receive", "A reader says what it wants; up to 16 subscriptions share a connection", &SENT),
            "tell": operation("send", "The node sends what was asked for, and how far it is", &SAID),
        },
        "components": { "messages": messages(), "schemas": {
            "Event": event,
            "Cursor": cursor(),
            "Filter": filter(),
        } },
    })
}

/// What a reader sends.
const SENT: [&str; 2] = ["subscribe", "unsubscribe"];

/// What the node says.
const SAID: [&str; 6] = ["subscribed", "unsubscribed", "events", "heartbeat", "gap", "error"];

fn messages_of(names: &[&str]) -> Value {
    let reference =
        |name: &&str| ((*name).to_owned(), json!({ "$ref": format!("#/components/messages/{name}") }));
    Value::Object(names.iter().map(reference).collect())
}

fn operation(action: &str, summary: &str, messages: &[&str]) -> Value {
    let reference = |name: &&str| json!({ "$ref": format!("#/channels/feed/messages/{name}") });
    let messages: Vec<Value> = messages.iter().map(reference).collect();
    json!({ "action": action, "summary": summary, "channel": { "$ref": "#/channels/feed" }, "messages": messages })
}

fn messages() -> Value {
    let (text, count) = (json!({ "type": "string" }), json!({ "type": "integer", "minimum": 0 }));
    let cursor = json!({ "$ref": "#/components/schemas/Cursor" });
    let id = json!({ "type": "string", "minLength": 1, "maxLength": super::message::ID_BYTES_MAX });
    let event = json!({ "$ref": "#/components/schemas/Event" });
    let from = json!({ "anyOf": [cursor, { "type": "string", "enum": ["latest", "oldest", "genesis"] }], "default": "latest" });
    let filter = json!({ "$ref": "#/components/schemas/Filter" });
    let codes = ["cursor_too_old", "cursor_ahead", "bad_filter", "bad_request", "rate_limited", "too_slow"];
    let hash = json!({ "type": "string", "pattern": "^[0-9a-f]{64}$" });
    json!({
        "subscribe": message("op", "subscribe", "Begin a subscription behind a cursor",
            &[("id", &id)], &[("from", &from), ("filter", &filter)]),
        "unsubscribe": message("op", "unsubscribe", "End a subscription", &[("id", &id)], &[]),
        "subscribed": message("type", "subscribed", "A subscription begins behind `cursor`",
            &[("id", &id), ("oldest", &cursor), ("tip", &cursor), ("cursor", &cursor)], &[]),
        "unsubscribed": message("type", "unsubscribed", "A subscription has ended", &[("id", &id)], &[]),
        "events": message("type", "events", "Events of one ledger; one of over 500 comes in several",
            &[("id", &id), ("ledger", &count), ("closed_at", &text), ("ledger_hash", &hash),
              ("previous_ledger_hash", &hash), ("count", &count), ("events", &json!({ "type": "array", "items": event })),
              ("cursor", &cursor)], &[]),
        "heartbeat": message("type", "heartbeat", "All that is wanted up to `tip` was sent, but for subscriptions in `cursors`",
            &[("tip", &cursor), ("lag_ms", &json!({ "type": ["integer", "null"] }))],
            &[("cursors", &json!({ "type": "object", "additionalProperties": cursor }))]),
        "gap": message("type", "gap", "Ledgers that this node has lost, from the first to the last",
            &[("id", &id), ("from", &cursor), ("to", &cursor)], &[]),
        "error": message("type", "error", "Why a reader does not get what it asks",
            &[("code", &json!({ "type": "string", "enum": codes })), ("message", &text)],
            &[("id", &id), ("oldest", &cursor), ("tip", &cursor)]),
    })
}

/// A message: an object whose `tag` is `name`, with these keys, and perhaps those.
fn message(
    tag: &str,
    name: &str,
    summary: &str,
    keys: &[(&str, &Value)],
    perhaps: &[(&str, &Value)],
) -> Value {
    let mut properties = json!({ tag: { "const": name } });
    for (key, schema) in keys.iter().chain(perhaps) {
        properties[*key] = (*schema).clone();
    }
    let required: Vec<&str> = std::iter::once(tag).chain(keys.iter().map(|(key, _)| *key)).collect();
    json!({
        "name": name,
        "summary": summary,
        "payload": { "type": "object", "properties": properties, "required": required, "additionalProperties": false },
    })
}

fn cursor() -> Value {
    json!({
        "type": "string",
        "pattern": "^[0-9]{1,10}(:[0-9]{1,10})?$",
        "description": "Behind a ledger, as 53312000, or behind an event in it, as 53312000:17",
    })
}

fn filter() -> Value {
    let list = |what: &str| json!({ "type": "array", "items": { "type": "string" }, "minItems": 1, "description": what });
    json!({
        "type": "object",
        "description": "Keys are joined by and, the values of a key by or",
        "properties": {
            "kind": list("transfer, mint, burn, clawback, fee"),
            "op_type": list("As payment"),
            "asset": list("native or CODE:ISSUER"),
            "account": list("Either side: G, C, B, L or M address"),
            "contract": list("C address"),
            "min_amount": { "type": "string", "pattern": "^-?[0-9]{1,39}$", "description": "In the token's smallest unit" },
        },
        "additionalProperties": false,
    })
}

#[cfg(test)]
mod tests {
    use orrery_actors::feed::Tips;
    use orrery_schemas::{Cursor, LedgerSequence};

    use super::super::message::{Ask, Refusal, gap, heartbeat, subscribed, unsubscribed};
    use super::*;

    fn check(said: &str) {
        let said: Value = serde_json::from_str(said).unwrap();
        let name = said["type"].as_str().unwrap();
        assert!(SAID.contains(&name), "{name}");
        let payload = messages()[name]["payload"].clone();
        let keys: Vec<&String> = said.as_object().unwrap().keys().collect();
        for key in &keys {
            assert!(payload["properties"].get(key).is_some(), "{name} says {key}");
        }
        for key in payload["required"].as_array().unwrap() {
            assert!(said.get(key.as_str().unwrap()).is_some(), "{name} does not say {key}");
        }
    }

    #[test]
    fn what_the_feed_says_is_described() {
        let tips = Tips::default();
        let cursor = Cursor::behind(LedgerSequence(7));
        check(&subscribed("a", cursor, &tips));
        check(&unsubscribed("a"));
        check(&gap("a", cursor, cursor));
        check(&heartbeat(&tips, 0, std::iter::empty()));
        check(&heartbeat(&tips, 0, [("a", cursor)].into_iter()));
        check(&Refusal::new("bad_filter", "x").to_json());
        check(
            &Refusal { reach: Some((cursor, cursor)), ..Refusal::new("cursor_ahead", "x").of("a") }.to_json(),
        );
    }

    #[test]
    fn what_is_described_can_be_asked() {
        for ask in [
            json!({ "op": "subscribe", "id": "a" }),
            json!({ "op": "subscribe", "id": "a", "from": "7:1", "filter": { "kind": ["mint"], "min_amount": "-1" } }),
            json!({ "op": "unsubscribe", "id": "a" }),
        ] {
            let name = ask["op"].as_str().unwrap();
            let properties = messages()[name]["payload"]["properties"].clone();
            assert!(ask.as_object().unwrap().keys().all(|key| properties.get(key).is_some()), "{ask}");
            Ask::parse(&ask.to_string()).unwrap();
        }
    }
}
