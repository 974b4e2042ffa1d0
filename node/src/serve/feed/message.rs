//! What is said on the feed, as JSON.

use orrery_actors::feed::Tips;
use orrery_schemas::{Cursor, EventFilter};
use serde_json::{Map, Value, json};

/// Longest name of a subscription.
pub(super) const ID_BYTES_MAX: usize = 64;

/// Ledgers by which a cursor may be ahead of this node: one that restarted, or that is in a region behind, gets there soon.
pub(in crate::serve) const AHEAD_LEDGERS_MAX: u32 = 1_024;

/// Where a reader begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::serve) enum From {
    /// Behind the newest ledger.
    Latest,
    /// At the first ledger that can be read.
    Oldest,
    /// Behind what was seen last.
    Behind(Cursor),
}

/// What a reader asks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Ask {
    Subscribe { id: String, from: From, filter: EventFilter },
    Unsubscribe { id: String },
}

/// Why a reader does not get what it asks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::serve) struct Refusal {
    /// Of the subscription, if it said one.
    pub(super) id: Option<String>,
    pub(in crate::serve) code: &'static str,
    pub(in crate::serve) message: String,
    /// Of a cursor that is none here.
    pub(in crate::serve) reach: Option<(Cursor, Cursor)>,
}

impl Refusal {
    pub(super) fn new(code: &'static str, message: impl Into<String>) -> Self {
        Self { id: None, code, message: message.into(), reach: None }
    }

    pub(super) fn of(self, id: &str) -> Self {
        Self { id: Some(id.to_owned()), ..self }
    }

    pub(super) fn to_json(&self) -> String {
        let mut object = json!({ "type": "error", "code": self.code, "message": self.message });
        if let Some(id) = &self.id {
            object["id"] = json!(id);
        }
        if let Some((oldest, tip)) = self.reach {
            object["oldest"] = json!(oldest);
            object["tip"] = json!(tip);
        }
        object.to_string()
    }
}

impl std::str::FromStr for From {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "latest" => Ok(Self::Latest),
            "oldest" | "genesis" => Ok(Self::Oldest),
            cursor => cursor.parse().map(Self::Behind).map_err(|_| {
                let shown: String = cursor.chars().take(40).collect();
                format!("from: {shown:?}: give latest, oldest, or the cursor of what was seen, as 53312000 or 53312000:17")
            }),
        }
    }
}

impl From {
    /// The place where a reader begins that has not begun yet.
    ///
    /// # Errors
    ///
    /// What was behind the cursor is not here any more, or it is from another place or time.
    pub(in crate::serve) fn place(self, tips: &Tips) -> Result<Cursor, Refusal> {
        let cursor = match self {
            Self::Latest => return Ok(tips.tip_cursor()),
            Self::Oldest => return Ok(tips.oldest_cursor()),
            Self::Behind(cursor) => cursor,
        };
        let (oldest, tip) = (tips.oldest_cursor(), tips.tip_cursor());
        let refused = |code, message| Refusal { reach: Some((oldest, tip)), ..Refusal::new(code, message) };
        let limit = tip.ledger.0.saturating_add(AHEAD_LEDGERS_MAX);
        match cursor.next() {
            Some((next, _)) if tips.oldest().is_some_and(|oldest| next < oldest) => Err(refused(
                "cursor_too_old",
                format!(
                    "cursor {cursor}: events behind it are not here any more: begin at oldest or later, and mend what is missing"
                ),
            )),
            Some(_) if cursor.ledger.0 <= limit => Ok(cursor),
            _ => Err(refused(
                "cursor_ahead",
                format!(
                    "cursor {cursor}: the newest ledger here is {}: it is far behind (/readyz says so), or the cursor is of another network",
                    tip.ledger
                ),
            )),
        }
    }
}

impl Ask {
    /// What a text asks.
    ///
    /// # Errors
    ///
    /// `bad_request`, `bad_filter`.
    pub(super) fn parse(text: &str) -> Result<Self, Refusal> {
        const FIX: &str = r#"send {"op":"subscribe","id":"a","from":"latest","filter":{}} or {"op":"unsubscribe","id":"a"}"#;
        let bad = |problem: String| Refusal::new("bad_request", problem);
        let mut object: Map<String, Value> =
            serde_json::from_str(text).map_err(|error| bad(format!("no JSON object: {error}: {FIX}")))?;
        let id = match object.remove("id") {
            Some(Value::String(id)) if (1..=ID_BYTES_MAX).contains(&id.len()) => id,
            _ => return Err(bad(format!("id: give a text of 1 to {ID_BYTES_MAX} bytes: {FIX}"))),
        };
        let refuse = |refusal: Refusal| refusal.of(&id);
        let ask = match object.remove("op").as_ref().and_then(Value::as_str) {
            Some("subscribe") => {
                let from = match object.remove("from") {
                    None | Some(Value::Null) => From::Latest,
                    Some(Value::String(from)) => from.parse().map_err(|problem| refuse(bad(problem)))?,
                    Some(other) => {
                        let problem = format!("from: {other} is no text: write it as \"53312000\"");
                        return Err(refuse(bad(problem)));
                    }
                };
                let filter = match object.remove("filter") {
                    None | Some(Value::Null) => EventFilter::default(),
                    Some(filter) => serde_json::from_value(filter.clone()).map_err(|error| {
                        let key = key_at_fault(&filter).map(|key| format!("{key}: ")).unwrap_or_default();
                        refuse(Refusal::new("bad_filter", format!("{key}{error}")))
                    })?,
                };
                Self::Subscribe { id: id.clone(), from, filter }
            }
            Some("unsubscribe") => Self::Unsubscribe { id: id.clone() },
            _ => return Err(refuse(bad(format!("op: {FIX}")))),
        };
        match object.keys().next() {
            Some(key) => {
                let key: String = key.chars().take(40).collect();
                Err(refuse(bad(format!("unknown key {key:?}: {FIX}"))))
            }
            None => Ok(ask),
        }
    }
}

/// The key of a filter that is refused also when it stands alone, where the error does not begin with it.
fn key_at_fault(filter: &Value) -> Option<&String> {
    let is_refused = |key: &String, value: &Value| {
        let refused = serde_json::from_value::<EventFilter>(json!({ key: value })).err()?;
        (!refused.to_string().starts_with(key.as_str())).then_some(())
    };
    filter.as_object()?.iter().find(|(key, value)| is_refused(key, value).is_some()).map(|(key, _)| key)
}

/// That a subscription begins, and where.
pub(super) fn subscribed(id: &str, cursor: Cursor, tips: &Tips) -> String {
    let (oldest, tip) = (tips.oldest_cursor(), tips.tip_cursor());
    json!({ "type": "subscribed", "id": id, "oldest": oldest, "tip": tip, "cursor": cursor }).to_string()
}

pub(super) fn unsubscribed(id: &str) -> String {
    json!({ "type": "unsubscribed", "id": id }).to_string()
}

/// That ledgers were lost to this node, from the first to the last.
pub(super) fn gap(id: &str, from: Cursor, to: Cursor) -> String {
    json!({ "type": "gap", "id": id, "from": from, "to": to }).to_string()
}

/// What goes before the shared part of a frame of events.
pub(super) fn events_head(id: &str) -> String {
    format!("{{\"type\":\"events\",\"id\":{},", Value::from(id))
}

/// How far the feed is: all that is wanted up to `tip` was sent, but for the subscriptions in `behind`, which are still
/// being brought there.
pub(super) fn heartbeat<'a>(
    tips: &Tips,
    now_ms: u64,
    behind: impl Iterator<Item = (&'a str, Cursor)>,
) -> String {
    let closed_ms = tips.closed_at.map(|closed_at| closed_at.unix_seconds().saturating_mul(1000));
    let lag_ms = closed_ms.map(|closed| (i64::try_from(now_ms).unwrap_or(i64::MAX) - closed).max(0));
    let lag_ms = lag_ms.map_or_else(|| "null".to_owned(), |lag_ms| lag_ms.to_string());
    let mut text = format!(r#"{{"type":"heartbeat","tip":"{}","lag_ms":{lag_ms}"#, tips.tip_cursor());
    let behind: Map<String, Value> = behind.map(|(id, cursor)| (id.to_owned(), json!(cursor))).collect();
    if !behind.is_empty() {
        text.push_str(&format!(r#","cursors":{}"#, Value::Object(behind)));
    }
    text.push('}');
    text
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::serve::damaged::damaged;

    const ASKS: [&str; 5] = [
        r#"{"op":"subscribe","id":"a","from":"latest","filter":{}}"#,
        r#"{"op":"subscribe","id":"b","from":"53312000:17","filter":{"kind":["mint","fee"],"min_amount":"-5"}}"#,
        r#"{"id":"\u00e9","op":"subscribe","filter":{"asset":["native"],"op_type":["payment"]}}"#,
        r#"{"op":"subscribe","id":"c","from":"oldest","filter":{"account":["GAAQCAIBAEAQCAIBAEAQCAIBAEAQCAIBAEAQCAIBAEAQCAIBAEAQDZ7H"]}}"#,
        r#"{"op":"unsubscribe","id":"a"}"#,
    ];

    #[test]
    fn what_is_right_is_read() {
        ASKS.iter().for_each(|text| drop(Ask::parse(text).unwrap()));
    }

    proptest! {
        #[test]
        fn what_is_almost_an_ask_is_read_or_refused_in_words(bytes in damaged(ASKS.to_vec())) {
            let text = String::from_utf8_lossy(&bytes);
            match Ask::parse(&text) {
                Ok(Ask::Subscribe { id, filter, .. }) => {
                    prop_assert!((1..=ID_BYTES_MAX).contains(&id.len()));
                    let again: EventFilter = serde_json::from_value(json!(filter)).unwrap();
                    prop_assert_eq!(again, filter);
                }
                Ok(Ask::Unsubscribe { id }) => prop_assert!((1..=ID_BYTES_MAX).contains(&id.len())),
                Err(refusal) => {
                    let said: Value = serde_json::from_str(&refusal.to_json()).unwrap();
                    prop_assert!(["bad_request", "bad_filter"].contains(&said["code"].as_str().unwrap()));
                    prop_assert!(!refusal.message.is_empty() && refusal.message.len() < 1_000);
                }
            }
        }
    }
}
