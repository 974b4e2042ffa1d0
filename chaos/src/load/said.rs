//! What a server says on the feed, read from the first and the last bytes of a frame. Pure.
//!
//! The keys of frames of events and of heartbeats stand in a fixed order, so that what is asked of them is found without
//! reading all of it: at ten thousand frames a second, a JSON parser would take the processor from the server.

use orrery_schemas::{CloseTime, Cursor};
use serde_json::Value;

/// One message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Said {
    /// Some events of a ledger, so many, which end behind `cursor`.
    Events { closed_ms: i64, count: u32, cursor: Cursor },
    /// All up to `sent` was sent; the server has all up to `tip`.
    Heartbeat { tip: u32, sent: Cursor, lag_ms: Option<i64> },
    /// A subscription stands here.
    Subscribed(Cursor),
    /// The source lost ledgers.
    Gap,
    /// It is refused.
    Refused(String),
    /// Nothing that a feed says.
    Unknown,
}

impl Said {
    /// Of a frame's first and last bytes.
    pub(super) fn read(head: &[u8], tail: &[u8]) -> Self {
        events(head, tail).or_else(|| heartbeat(head)).unwrap_or_else(|| rare(head))
    }
}

fn events(head: &[u8], tail: &[u8]) -> Option<Said> {
    // Behind the keys stands what the ledger contains, whose characters may be cut in the middle.
    let head = head.utf8_chunks().next()?.valid();
    let rest = head.strip_prefix(r#"{"type":"events","id":"a","ledger":"#)?;
    let (_, rest) = rest.split_once(r#","closed_at":""#)?;
    let (closed_at, rest) = rest.split_once('"')?;
    let (_, rest) = rest.split_once(r#","count":"#)?;
    let (count, _) = rest.split_once(',')?;
    let count = count.parse().ok()?;
    let closed_at: CloseTime = closed_at.parse().ok()?;
    let (_, cursor) = std::str::from_utf8(tail).ok()?.rsplit_once(r#""cursor":""#)?;
    let cursor = cursor.strip_suffix("\"}")?.parse().ok()?;
    Some(Said::Events { closed_ms: closed_at.unix_seconds().saturating_mul(1000), count, cursor })
}

fn heartbeat(head: &[u8]) -> Option<Said> {
    let rest = std::str::from_utf8(head).ok()?.strip_prefix(r#"{"type":"heartbeat","tip":""#)?;
    let (tip, rest) = rest.split_once('"')?;
    let lag_ms = rest.strip_prefix(r#","lag_ms":"#)?.split([',', '}']).next()?;
    let sent = match rest.split_once(r#","cursors":{"a":""#) {
        Some((_, behind)) => behind.split('"').next()?,
        None => tip,
    };
    Some(Said::Heartbeat { tip: tip.parse().ok()?, sent: sent.parse().ok()?, lag_ms: lag_ms.parse().ok() })
}

/// What comes once a connection, if at all; long ones are cut.
fn rare(head: &[u8]) -> Said {
    let text = String::from_utf8_lossy(head);
    let Ok(object) = serde_json::from_slice::<Value>(head) else {
        return match text.contains(r#""code":"#) {
            true => Said::Refused(text.into_owned()),
            false => Said::Unknown,
        };
    };
    let cursor = object["cursor"].as_str().and_then(|cursor| cursor.parse().ok());
    match (object["type"].as_str(), cursor) {
        (Some("subscribed"), Some(cursor)) => Said::Subscribed(cursor),
        (Some("gap"), _) => Said::Gap,
        (Some("error"), _) => Said::Refused(text.into_owned()),
        _ => Said::Unknown,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_of_the_feed_are_told_apart() {
        let check = |text: &str, expect: Said| {
            let head = &text.as_bytes()[..text.len().min(crate::load::frames::HEAD_BYTES)];
            let tail = &text.as_bytes()[text.len().saturating_sub(crate::load::frames::TAIL_BYTES)..];
            assert_eq!(Said::read(head, tail), expect, "{text}");
        };
        let events = |cursor: &str| {
            format!(
                r#"{{"type":"events","id":"a","ledger":8,"closed_at":"2025-10-01T00:00:35Z","ledger_hash":"{0}","previous_ledger_hash":"{0}","count":880,"events":[{{}}],"cursor":"{cursor}"}}"#,
                "b".repeat(64)
            )
        };
        let closed_ms = 1_759_276_835_000;
        check(&events("8"), Said::Events { closed_ms, count: 880, cursor: "8".parse().unwrap() });
        check(&events("8:499"), Said::Events { closed_ms, count: 880, cursor: "8:499".parse().unwrap() });
        check(
            r#"{"type":"heartbeat","tip":"7","lag_ms":36164076865}"#,
            Said::Heartbeat { tip: 7, sent: "7".parse().unwrap(), lag_ms: Some(36_164_076_865) },
        );
        check(
            r#"{"type":"heartbeat","tip":"7","lag_ms":null,"cursors":{"a":"6:3"}}"#,
            Said::Heartbeat { tip: 7, sent: "6:3".parse().unwrap(), lag_ms: None },
        );
        check(
            r#"{"cursor":"7","id":"a","oldest":"1","tip":"7","type":"subscribed"}"#,
            Said::Subscribed("7".parse().unwrap()),
        );
        check(r#"{"from":"3","id":"a","to":"9","type":"gap"}"#, Said::Gap);
        let refused = r#"{"code":"rate_limited","message":"too many","type":"error"}"#;
        check(refused, Said::Refused(refused.to_owned()));
        check("{}", Said::Unknown);
        check("", Said::Unknown);
    }
}
