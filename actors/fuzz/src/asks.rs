//! What readers ask for: filters, as JSON and as the parameters of a URL, and cursors.

use orrery_schemas::{Cursor, EventFilter};

/// Most values that a filter may have, and some: nothing that is read is larger than what it was read from.
const TEXT_BYTES_MAX: usize = 16;

/// Checks `input` as a filter in JSON, as a filter of lines `key=a,b`, and as a cursor.
pub fn check(input: &[u8]) {
    let Ok(text) = std::str::from_utf8(input) else {
        assert!(serde_json::from_slice::<EventFilter>(input).is_err());
        return;
    };
    if let Ok(filter) = serde_json::from_str::<EventFilter>(text) {
        check_filter(&filter, text);
    }
    let mut filter = EventFilter::default();
    let mut is_read = true;
    for line in text.lines() {
        let (key, values) = line.split_once('=').unwrap_or((line, ""));
        match filter.add(key, values) {
            Ok(()) => assert_eq!(EventFilter::key(key), Some(key)),
            Err(error) => {
                is_read = false;
                let problem = error.to_string();
                assert!(!problem.is_empty() && problem.len() < 1_000, "{} bytes", problem.len());
            }
        }
    }
    if is_read && !text.is_empty() {
        check_filter(&filter, text);
    }
    if let Ok(cursor) = text.parse::<Cursor>() {
        assert!(cursor.to_string().parse() == Ok(cursor), "{cursor}");
        if let Some((ledger, event)) = cursor.next() {
            let goes_on = (ledger, event) > (cursor.ledger, cursor.event.unwrap_or(0));
            assert!(goes_on || cursor.event.is_none() && ledger > cursor.ledger, "{cursor}");
        }
    }
}

/// A filter that is read is written so that it reads as the same, and is not larger than what it was read from.
fn check_filter(filter: &EventFilter, text: &str) {
    let written = serde_json::to_string(filter).expect("write a filter");
    let again: EventFilter = serde_json::from_str(&written).expect("read what was written");
    assert_eq!(again, *filter);
    assert_eq!(filter.is_all(), *filter == EventFilter::default());
    assert_eq!(filter.is_all(), filter.columns().is_empty());
    let values = filter.assets().iter().chain(filter.accounts()).chain(filter.contracts());
    let bytes: usize = values.map(String::len).sum();
    assert!(bytes <= text.len() * TEXT_BYTES_MAX, "{bytes} of {}", text.len());
}
