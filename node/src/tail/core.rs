//! What a reader does with what it hears. Pure.
//!
//! A cursor only goes forward. Events at or before it were seen and are left out, so that a server that sends them again
//! changes nothing; a heartbeat moves it as well, so that a reader whose filter matches nothing does not begin far back.

use orrery_schemas::{Cursor, EventFilter, LedgerSequence, TokenTransfer};
use serde::Deserialize;
use serde_json::{Map, Value, json};

/// Name of its subscription.
const ID: &str = "tail";

/// Where it begins, and where it ends.
#[derive(Clone, Debug)]
pub(crate) struct Begin {
    /// As the server takes it: `latest`, `oldest`, a cursor.
    pub(crate) from: String,
    pub(crate) to: Option<LedgerSequence>,
    pub(crate) filter: EventFilter,
}

/// Its place.
#[derive(Clone, Debug)]
pub(crate) struct Core {
    begin: Begin,
    /// What was seen last; `None` before the first word of a server.
    cursor: Option<Cursor>,
    is_subscribed: bool,
}

/// Why it ends.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum End {
    /// All up to the ledger that was wanted was seen.
    Complete,
    /// What it asks makes no sense.
    Usage(String),
}

/// What comes of a message.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Next {
    /// These events were not seen before.
    Events(Vec<TokenTransfer>),
    /// The subscription stands: whatever was wrong with connections is over.
    Subscribed,
    /// A person should know.
    Warn(String),
    /// This connection is of no use: try another.
    Reconnect(String),
    /// What it should see next is not to be had at this server.
    Without(String),
    End(End),
    Nothing,
}

#[derive(Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
enum Message {
    Subscribed {
        cursor: Cursor,
    },
    Events {
        cursor: Cursor,
        events: Vec<TokenTransfer>,
    },
    Heartbeat {
        tip: Cursor,
        #[serde(default)]
        cursors: Map<String, Value>,
    },
    Error {
        code: String,
        message: String,
    },
    Gap {
        from: String,
        to: String,
    },
    #[serde(other)]
    Other,
}

impl Core {
    pub(crate) fn new(begin: Begin) -> Self {
        Self { begin, cursor: None, is_subscribed: false }
    }

    /// What was seen last, if anything was heard.
    pub(crate) fn cursor(&self) -> Option<Cursor> {
        self.cursor
    }

    /// What to say on a new connection.
    pub(crate) fn connected(&mut self) -> String {
        self.is_subscribed = false;
        let from = self.cursor.map_or_else(|| self.begin.from.clone(), |cursor| cursor.to_string());
        json!({ "op": "subscribe", "id": ID, "from": from, "filter": self.begin.filter }).to_string()
    }

    /// Takes a message, and says what comes of it: at most two things.
    pub(crate) fn hear(&mut self, text: &str) -> Vec<Next> {
        let message = match serde_json::from_str(text) {
            Ok(message) => message,
            Err(error) => return vec![Next::Reconnect(format!("a message that cannot be read: {error}"))],
        };
        let next = match message {
            Message::Subscribed { cursor } => {
                self.is_subscribed = true;
                let last =
                    self.begin.to.filter(|last| self.cursor.is_none() && cursor > Cursor::behind(*last));
                self.advance(cursor);
                match last {
                    Some(LedgerSequence(last)) => Next::End(End::Usage(format!(
                        "--to {last}: reading begins behind {cursor}, where it is past: give an earlier --from"
                    ))),
                    None => Next::Subscribed,
                }
            }
            Message::Events { cursor, events } => {
                let seen = self.cursor;
                let is_new = |event: &TokenTransfer| seen.is_none_or(|seen| place(event) > seen);
                let last = self.begin.to;
                let is_wanted = |event: &TokenTransfer| last.is_none_or(|last| event.ledger_sequence <= last);
                let events = events.into_iter().filter(|event| is_new(event) && is_wanted(event)).collect();
                self.advance(cursor);
                Next::Events(events)
            }
            // Before it is subscribed a heartbeat is about nothing of it.
            Message::Heartbeat { tip, cursors } if self.is_subscribed => {
                let own = cursors.get(ID).and_then(Value::as_str).and_then(|cursor| cursor.parse().ok());
                self.advance(own.unwrap_or(tip));
                Next::Nothing
            }
            Message::Heartbeat { .. } | Message::Other => Next::Nothing,
            Message::Gap { from, to } => Next::Warn(format!(
                "the server has lost ledgers {from} to {to}; they are not in what follows"
            )),
            Message::Error { code, message } => match code.as_str() {
                "rate_limited" => Next::Reconnect(message),
                "cursor_too_old" | "cursor_ahead" => Next::Without(message),
                _ => Next::End(End::Usage(message)),
            },
        };
        let is_over = self.begin.to.is_some_and(|to| self.cursor >= Some(Cursor::behind(to)));
        match next {
            Next::End(_) | Next::Reconnect(_) | Next::Without(_) => vec![next],
            next if is_over => vec![next, Next::End(End::Complete)],
            next => vec![next],
        }
    }

    fn advance(&mut self, cursor: Cursor) {
        self.cursor = self.cursor.max(Some(cursor));
    }
}

/// Behind an event.
fn place(event: &TokenTransfer) -> Cursor {
    Cursor { ledger: event.ledger_sequence, event: Some(event.ledger_event_index) }
}

#[cfg(test)]
mod tests {
    use orrery_schemas::{CloseTime, ContractId, Hash32, Kind, OpType, Toid};

    use super::*;

    /// An event as the server writes it.
    fn event(ledger: u32, index: u32) -> Value {
        let ledger_sequence = LedgerSequence(ledger);
        let event = TokenTransfer {
            ledger_sequence,
            closed_at: CloseTime::from_unix_seconds(1_725_274_219).unwrap(),
            tx_hash: Hash32::ZERO,
            tx_index: 1,
            op_index: Some(index + 1),
            event_index: 0,
            ledger_event_index: index,
            toid: Toid::new(ledger_sequence, 1, Some(index + 1)).unwrap(),
            kind: Kind::Transfer,
            op_type: Some(OpType::ALL[0]),
            contract_id: ContractId([7; 32]),
            asset: None,
            from: None,
            to: None,
            amount: 5,
            to_muxed: None,
            tx_successful: true,
        };
        serde_json::to_value(event).unwrap()
    }

    fn events(cursor: &str, places: &[(u32, u32)]) -> Value {
        let events: Vec<_> = places.iter().map(|(ledger, index)| event(*ledger, *index)).collect();
        json!({ "type": "events", "id": ID, "cursor": cursor, "events": events, "count": events.len() })
    }

    fn core(from: &str, to: Option<u32>) -> Core {
        let filter = EventFilter::default();
        Core::new(Begin { from: from.to_owned(), to: to.map(LedgerSequence), filter })
    }

    /// Hears messages, and gives the places of the events that came of them and what else did.
    fn hear(core: &mut Core, messages: &[Value]) -> (Vec<(u32, u32)>, Vec<Next>) {
        let (mut seen, mut others) = (Vec::new(), Vec::new());
        for next in messages.iter().flat_map(|message| core.hear(&message.to_string())) {
            match next {
                Next::Events(events) => seen
                    .extend(events.iter().map(|event| (event.ledger_sequence.0, event.ledger_event_index))),
                Next::Nothing | Next::Subscribed => {}
                other => others.push(other),
            }
        }
        (seen, others)
    }

    fn subscribed(cursor: &str) -> Value {
        json!({ "type": "subscribed", "id": ID, "cursor": cursor })
    }

    #[test]
    fn events_that_were_seen_are_left_out_and_reading_goes_on_behind_the_last() {
        let mut core = core("latest", None);
        assert!(core.connected().contains(r#""from":"latest""#));
        let first = [subscribed("6"), events("7:1", &[(7, 0), (7, 1)])];
        assert_eq!(hear(&mut core, &first).0, [(7, 0), (7, 1)]);
        assert!(core.connected().contains(r#""from":"7:1""#));
        let again = [subscribed("7:1"), events("7", &[(7, 0), (7, 1), (7, 2)]), events("8", &[(8, 0)])];
        assert_eq!(hear(&mut core, &again).0, [(7, 2), (8, 0)]);
        assert_eq!(hear(&mut core, &[events("7", &[(7, 2)])]).0, []);
        assert_eq!(core.cursor().unwrap().to_string(), "8");
    }

    #[test]
    fn a_heartbeat_moves_the_cursor_as_far_as_it_speaks_for_the_subscription() {
        let mut core = core("5", None);
        let mut check = |message: Value, cursor: Option<&str>| {
            assert_eq!(hear(&mut core, &[message]), (Vec::new(), Vec::new()));
            assert_eq!(core.cursor().map(|cursor| cursor.to_string()).as_deref(), cursor);
        };
        check(json!({ "type": "heartbeat", "tip": "90", "lag_ms": 1 }), None);
        check(subscribed("5"), Some("5"));
        check(
            json!({ "type": "heartbeat", "tip": "90", "lag_ms": 1, "cursors": { "tail": "7:3" } }),
            Some("7:3"),
        );
        check(json!({ "type": "heartbeat", "tip": "91", "lag_ms": null }), Some("91"));
        check(json!({ "type": "heartbeat", "tip": "80", "lag_ms": 0 }), Some("91"));
        check(json!({ "type": "later", "x": 1 }), Some("91"));
    }

    #[test]
    fn a_server_that_cannot_go_on_is_told_from_one_that_cannot_now() {
        let error = |code: &str| json!({ "type": "error", "code": code, "message": "why" });
        let check = |message: Value, expect: Next| {
            assert_eq!(hear(&mut core("5", None), &[message]).1, [expect]);
        };
        check(error("cursor_too_old"), Next::Without("why".to_owned()));
        check(error("cursor_ahead"), Next::Without("why".to_owned()));
        check(error("bad_filter"), Next::End(End::Usage("why".to_owned())));
        check(error("rate_limited"), Next::Reconnect("why".to_owned()));
        let gap = json!({ "type": "gap", "id": ID, "from": "5", "to": "9" });
        let warning = "the server has lost ledgers 5 to 9; they are not in what follows";
        check(gap, Next::Warn(warning.to_owned()));
        assert!(matches!(&core("5", None).hear("{")[..], [Next::Reconnect(_)]));
    }

    #[test]
    fn it_ends_when_it_has_seen_what_was_wanted() {
        let complete = [Next::End(End::Complete)];
        let mut by_event = core("5", Some(8));
        assert_eq!(hear(&mut by_event, &[subscribed("5"), events("7", &[(7, 0)])]).1, []);
        assert_eq!(hear(&mut by_event, &[events("8:3", &[(8, 3)])]), (vec![(8, 3)], vec![]));
        assert_eq!(hear(&mut by_event, &[events("9", &[(9, 0)])]), (vec![], complete.to_vec()));
        let mut by_heartbeat = core("5", Some(8));
        let beat = json!({ "type": "heartbeat", "tip": "8", "lag_ms": 1 });
        assert_eq!(hear(&mut by_heartbeat, &[subscribed("5"), beat]).1, complete);
        assert_eq!(hear(&mut core("8", Some(8)), &[subscribed("8")]).1, complete);
        let past = hear(&mut core("latest", Some(8)), &[subscribed("9:1")]).1;
        assert!(matches!(&past[..], [Next::End(End::Usage(why))] if why.contains("behind 9:1")), "{past:?}");
    }
}
