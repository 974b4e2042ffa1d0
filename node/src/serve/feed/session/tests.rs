use orrery_actors::feed::{Extent, Hub, HubLimits};
use serde_json::{Value, json};

use super::*;

const LIMITS: SessionLimits = SessionLimits { subscriptions_max: 2, messages_per_tick_max: 40 };

fn tips(first: u32, next: u32) -> Tips {
    let stored = Some(Extent { first: LedgerSequence(first), next: LedgerSequence(next) });
    Tips { is_known: true, stored, ..Tips::default() }
}

/// A session, and how far the feed reaches.
struct Talk {
    session: Session,
    tips: Tips,
}

impl Talk {
    fn at(tips: Tips) -> Self {
        Self { session: Session::new(LIMITS), tips }
    }

    /// What is said, with `close CODE REASON` where it is closed.
    fn step(&mut self, event: Event<'_>) -> Vec<Value> {
        let value = |action| match action {
            Action::Say(text) => serde_json::from_str(&text).unwrap(),
            Action::Close { code, reason } => json!(format!("close {code} {reason}")),
        };
        self.session.step(event).into_iter().map(value).collect()
    }

    fn say(&mut self, text: &str) -> Vec<Value> {
        let (hub, tips) = (Hub::new(HubLimits::default()), self.tips);
        self.step(Event::Said { text, tips: &tips, wanted: &|filter| hub.wanted(filter) })
    }

    fn reach(&mut self, tips: Tips) -> Vec<Value> {
        self.tips = tips;
        self.step(Event::Reached { tips: &tips })
    }

    fn owed(&mut self) -> Option<(u32, u32, u32)> {
        self.session.owed().map(|owed| (owed.key, owed.ledger.0, owed.from_event))
    }

    fn heartbeat(&mut self) -> Option<Value> {
        let tips = self.tips;
        self.session.heartbeat_if_due(&tips, 0).map(|text| serde_json::from_str(&text).unwrap())
    }

    fn sent(&mut self, key: u32, cursor: &str) {
        assert_eq!(self.step(Event::Sent { key, cursor: cursor.parse().unwrap() }), Vec::<Value>::new());
    }
}

#[test]
fn a_subscription_begins_where_it_says_or_is_told_why_not() {
    let check = |from: &str, expect: Value, owed: Option<(u32, u32)>| {
        let mut talk = Talk::at(tips(100, 200));
        let said = talk.say(&json!({ "op": "subscribe", "id": "a", "from": from }).to_string());
        let [said] = &said[..] else { panic!("{said:?}") };
        for (key, value) in expect.as_object().unwrap() {
            assert_eq!(&said[key], value, "from {from}: {said}");
        }
        assert_eq!(talk.owed().map(|(_, ledger, event)| (ledger, event)), owed, "from {from}");
    };
    let begins = |cursor: &str| json!({ "type": "subscribed", "id": "a", "oldest": "99", "tip": "199", "cursor": cursor });
    let refused =
        |code: &str| json!({ "type": "error", "id": "a", "code": code, "oldest": "99", "tip": "199" });
    check("latest", begins("199"), Some((200, 0)));
    check("oldest", begins("99"), Some((100, 0)));
    check("genesis", begins("99"), Some((100, 0)));
    check("150", begins("150"), Some((151, 0)));
    check("150:7", begins("150:7"), Some((150, 8)));
    check("99", begins("99"), Some((100, 0)));
    check("99:0", refused("cursor_too_old"), None);
    check("98", refused("cursor_too_old"), None);
    check("0", refused("cursor_too_old"), None);
    // A node that restarted is behind what its readers saw, for a moment.
    check("1223", begins("1223"), Some((1224, 0)));
    check("1224", refused("cursor_ahead"), None);
    check("4294967295", refused("cursor_ahead"), None);
    check("yesterday", json!({ "type": "error", "id": "a", "code": "bad_request" }), None);
}

#[test]
fn what_makes_no_sense_is_answered_and_changes_nothing() {
    let mut talk = Talk::at(tips(100, 200));
    talk.say(r#"{"op":"subscribe","id":"a"}"#);
    let mut check = |text: &str, code: &str, words: &str| {
        let said = talk.say(text);
        assert_eq!(said.len(), 1, "{said:?}");
        assert_eq!(
            (said[0]["type"].as_str(), said[0]["code"].as_str()),
            (Some("error"), Some(code)),
            "{text}"
        );
        assert!(said[0]["message"].as_str().unwrap().contains(words), "{said:?}");
    };
    check("", "bad_request", "no JSON object");
    check("[]", "bad_request", "no JSON object");
    check(r#"{"op":"subscribe"}"#, "bad_request", "id: give a text");
    check(r#"{"op":"subscribe","id":7}"#, "bad_request", "id: give a text");
    check(&format!(r#"{{"op":"subscribe","id":"{}"}}"#, "x".repeat(65)), "bad_request", "id: give a text");
    check(r#"{"id":"b"}"#, "bad_request", "op:");
    check(r#"{"op":"fly","id":"b"}"#, "bad_request", "op:");
    check(r#"{"op":"subscribe","id":"b","colour":1}"#, "bad_request", "unknown key \"colour\"");
    check(r#"{"op":"subscribe","id":"b","from":53}"#, "bad_request", "from: 53 is no text");
    check(r#"{"op":"subscribe","id":"b","filter":{"kind":["gift"]}}"#, "bad_filter", "filter.kind");
    check(r#"{"op":"subscribe","id":"b","filter":{"colour":["red"]}}"#, "bad_filter", "colour");
    check(r#"{"op":"subscribe","id":"a"}"#, "bad_request", "is there");
    check(r#"{"op":"unsubscribe","id":"b"}"#, "bad_request", "no subscription");
    assert_eq!(talk.session.len(), 1);
}

#[test]
fn a_reader_has_limits() {
    let mut talk = Talk::at(tips(100, 200));
    for id in ["a", "b"] {
        assert_eq!(talk.say(&json!({ "op": "subscribe", "id": id }).to_string())[0]["type"], "subscribed");
    }
    let said = talk.say(r#"{"op":"subscribe","id":"c"}"#);
    assert_eq!((said[0]["code"].as_str(), said[0]["id"].as_str()), (Some("rate_limited"), Some("c")));
    assert_eq!(talk.say(r#"{"op":"unsubscribe","id":"a"}"#), [json!({ "type": "unsubscribed", "id": "a" })]);
    assert_eq!(talk.say(r#"{"op":"subscribe","id":"c"}"#)[0]["type"], "subscribed");
    let closed = (0..16).map(|_| talk.say("nonsense")).find(|said| said.len() > 1).unwrap();
    assert_eq!(closed[1], "close 1008 too many requests that make no sense");

    let mut talk = Talk::at(tips(100, 200));
    for _ in 0..LIMITS.messages_per_tick_max / 2 {
        talk.say(r#"{"op":"subscribe","id":"a"}"#);
        talk.say(r#"{"op":"unsubscribe","id":"a"}"#);
    }
    let said = talk.say(r#"{"op":"subscribe","id":"a"}"#);
    assert_eq!(
        (said[0]["code"].as_str(), said[1].as_str()),
        (Some("rate_limited"), Some("close 1008 too many messages"))
    );
    talk.step(Event::Ticked);
    assert_eq!(talk.say(r#"{"op":"subscribe","id":"a"}"#)[0]["type"], "subscribed");
}

#[test]
fn before_the_dataset_is_known_a_subscription_waits_and_then_begins() {
    let mut talk = Talk::at(Tips::default());
    assert_eq!(talk.say(r#"{"op":"subscribe","id":"a","from":"150"}"#), Vec::<Value>::new());
    assert_eq!(talk.say(r#"{"op":"subscribe","id":"b","from":"3"}"#), Vec::<Value>::new());
    assert_eq!((talk.owed(), talk.heartbeat()), (None, None));
    let said = talk.reach(tips(100, 200));
    assert_eq!((said[0]["type"].as_str(), said[0]["id"].as_str()), (Some("subscribed"), Some("a")));
    assert_eq!((said[1]["code"].as_str(), said[1]["id"].as_str()), (Some("cursor_too_old"), Some("b")));
    assert_eq!(talk.owed(), Some((1, 151, 0)));
}

#[test]
fn subscriptions_take_turns_and_go_on_behind_what_was_sent() {
    let mut talk = Talk::at(tips(100, 200));
    talk.say(r#"{"op":"subscribe","id":"a","from":"150"}"#);
    talk.say(r#"{"op":"subscribe","id":"b","from":"120"}"#);
    assert_eq!(
        (talk.owed(), talk.owed(), talk.owed()),
        (Some((1, 151, 0)), Some((2, 121, 0)), Some((1, 151, 0)))
    );
    talk.sent(1, "151:499");
    assert_eq!((talk.owed(), talk.owed()), (Some((2, 121, 0)), Some((1, 151, 500))));
    talk.sent(1, "151");
    talk.step(Event::Waits { key: 2 });
    assert_eq!((talk.owed(), talk.owed()), (Some((1, 152, 0)), Some((1, 152, 0))));
    let further = tips(100, 201);
    talk.reach(further);
    assert_eq!((talk.owed(), talk.owed()), (Some((2, 121, 0)), Some((1, 152, 0))));
}

#[test]
fn heartbeats_follow_what_is_live_and_name_what_is_not_there_yet() {
    let mut talk = Talk::at(tips(100, 200));
    talk.say(r#"{"op":"subscribe","id":"a"}"#);
    talk.say(r#"{"op":"subscribe","id":"b","from":"120"}"#);
    talk.step(Event::Waits { key: 1 });
    let beat = |tip: &str, cursors: Value| {
        Some(json!({ "type": "heartbeat", "tip": tip, "lag_ms": null, "cursors": cursors }))
    };
    assert_eq!(talk.heartbeat(), beat("199", json!({ "b": "120" })));
    assert_eq!(talk.heartbeat(), None, "once for every ledger");
    talk.reach(tips(100, 201));
    assert_eq!(talk.heartbeat(), None, "what is live gets the ledger first");
    talk.sent(1, "200");
    talk.sent(2, "121:7");
    talk.step(Event::Waits { key: 1 });
    assert_eq!(talk.heartbeat(), beat("200", json!({ "b": "121:7" })));
    talk.sent(2, "200");
    assert_eq!(talk.heartbeat(), Some(json!({ "type": "heartbeat", "tip": "200", "lag_ms": null })));
    talk.step(Event::Waits { key: 2 });
    talk.reach(tips(100, 202));
    talk.sent(1, "201");
    talk.sent(2, "201");
    talk.step(Event::Waits { key: 1 });
    talk.step(Event::Waits { key: 2 });
    assert_eq!(talk.heartbeat(), Some(json!({ "type": "heartbeat", "tip": "201", "lag_ms": null })));
}

#[test]
fn who_was_live_and_falls_behind_is_closed_with_the_cursor_that_goes_on() {
    let mut talk = Talk::at(tips(100, 200));
    talk.say(r#"{"op":"subscribe","id":"a","from":"150"}"#);
    talk.say(r#"{"op":"subscribe","id":"b","from":"170"}"#);
    talk.sent(1, "151:499");
    assert_eq!(talk.step(Event::Left { key: 1 }), Vec::<Value>::new(), "what replays may take its time");
    talk.step(Event::Waits { key: 2 });
    assert_eq!(talk.step(Event::Left { key: 2 }), ["close 4008 151:499"]);
    assert_eq!(talk.step(Event::Stalled), ["close 4008 151:499"]);
}

#[test]
fn ledgers_that_are_lost_are_named() {
    let mut talk = Talk::at(tips(100, 200));
    talk.say(r#"{"op":"subscribe","id":"a","from":"150"}"#);
    let said = talk.step(Event::Lost { key: 1, next: LedgerSequence(160) });
    assert_eq!(said, [json!({ "type": "gap", "id": "a", "from": "151", "to": "159" })]);
    assert_eq!(talk.owed(), Some((1, 160, 0)));
}

#[test]
fn readers_of_a_node_that_ends_are_told_where_to_go_on() {
    let mut talk = Talk::at(tips(100, 200));
    talk.say(r#"{"op":"subscribe","id":"a","from":"150"}"#);
    talk.say(r#"{"op":"subscribe","id":"b","from":"170"}"#);
    talk.sent(1, "151:499");
    let over = Tips { is_over: true, ..tips(100, 200) };
    assert_eq!(talk.reach(over), ["close 1001 151:499"]);
    assert_eq!(Talk::at(tips(100, 200)).reach(over), ["close 1001 the node ends"]);
}
