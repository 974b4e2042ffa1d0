//! The newest lines of this process's log, kept for whoever asks for them. There is one log in a process, and one ring.
//!
//! Memory: [`LINES_MAX`] x ([`LINE_BYTES_MAX`] + 64) bytes at most, about 2 MB, written by the log and read by `logs`.

use std::collections::VecDeque;
use std::fmt::{self, Write};
use std::sync::{Mutex, PoisonError};

use serde_json::{Value, json};
use tracing::field::{Field, Visit};
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::Layer;
use tracing_subscriber::layer::Context;

use crate::wall_clock;

/// Lines that are kept.
const LINES_MAX: usize = 1000;

/// Bytes of a line; what is longer is cut.
const LINE_BYTES_MAX: usize = 2048;

/// Bytes of lines in one answer: written as JSON they stay below what a call between nodes may carry.
const PAGE_BYTES_MAX: usize = 192 << 10;

static NEWEST: Ring = Ring::new();

/// One line.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Line {
    /// Counts from 1 in the life of the process, without gaps.
    sequence: u64,
    /// Since 1970 (UTC).
    at_ms: u64,
    level: Level,
    text: String,
}

struct Ring(Mutex<Lines>);

struct Lines {
    lines: VecDeque<Line>,
    last: u64,
}

impl Ring {
    const fn new() -> Self {
        Self(Mutex::new(Lines { lines: VecDeque::new(), last: 0 }))
    }

    fn add(&self, at_ms: u64, level: Level, text: String) {
        let mut ring = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if ring.lines.len() == LINES_MAX {
            ring.lines.pop_front();
        }
        ring.last += 1;
        let sequence = ring.last;
        ring.lines.push_back(Line { sequence, at_ms, level, text });
    }

    /// Those after this number, as many as an answer takes.
    fn page(&self, after: u64) -> Value {
        let ring = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let mut room = PAGE_BYTES_MAX;
        let mut page = Vec::new();
        for line in ring.lines.iter().filter(|line| line.sequence > after) {
            let Some(left) = room.checked_sub(line.text.len() + 64) else { break };
            room = left;
            page.push(json!({
                "sequence": line.sequence,
                "at_ms": line.at_ms,
                "level": line.level.as_str(),
                "text": line.text,
            }));
        }
        json!({ "lines": page, "last": ring.last })
    }
}

/// The lines after this number, oldest first: `lines`, and the number of the `last` that there is. Lines that were asked
/// for and are not kept any more are missing at the beginning, as their numbers tell.
pub(crate) fn page(after: u64) -> Value {
    NEWEST.page(after)
}

/// A layer that keeps what is logged.
pub(crate) struct Keeper;

impl<S: Subscriber> Layer<S> for Keeper {
    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        let mut text = Text::default();
        event.record(&mut text);
        NEWEST.add(wall_clock::milliseconds(), *event.metadata().level(), text.message + &text.fields);
    }
}

/// A line that is being written, never longer than it may be.
#[derive(Default)]
struct Text {
    message: String,
    fields: String,
}

impl Visit for Text {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        let room = LINE_BYTES_MAX.saturating_sub(self.message.len() + self.fields.len());
        // A line that is full ends there.
        let _ = match field.name() {
            "message" => write!(Cut { text: &mut self.message, room }, "{value:?}"),
            name => write!(Cut { text: &mut self.fields, room }, " {name}={value:?}"),
        };
    }
}

/// Writes as much as there is room for, and nothing that a terminal would obey.
struct Cut<'a> {
    text: &'a mut String,
    room: usize,
}

impl Write for Cut<'_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        for char in text.chars().map(|char| if char.is_control() { ' ' } else { char }) {
            self.room = self.room.checked_sub(char.len_utf8()).ok_or(fmt::Error)?;
            self.text.push(char);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sequences(page: &Value) -> Vec<u64> {
        page["lines"].as_array().unwrap().iter().map(|line| line["sequence"].as_u64().unwrap()).collect()
    }

    #[test]
    fn the_newest_lines_are_kept_and_numbered_without_gaps() {
        let ring = Ring::new();
        for number in 1..=1003 {
            ring.add(number, Level::INFO, format!("line {number}"));
        }
        let page = ring.page(0);
        assert_eq!(sequences(&page), (4..=1003).collect::<Vec<_>>());
        assert_eq!((&page["last"], &page["lines"][0]["text"]), (&json!(1003), &json!("line 4")));
        assert_eq!(sequences(&ring.page(1001)), [1002, 1003]);
        assert!(sequences(&ring.page(1003)).is_empty());
    }

    #[test]
    fn an_answer_is_never_longer_than_a_call_may_be() {
        let ring = Ring::new();
        for _ in 0..LINES_MAX {
            ring.add(0, Level::WARN, "\"".repeat(LINE_BYTES_MAX));
        }
        let page = ring.page(0);
        assert!(serde_json::to_vec(&page).unwrap().len() < 512 << 10);
        let asked = *sequences(&page).last().unwrap();
        assert_eq!(sequences(&ring.page(asked)).first(), Some(&(asked + 1)));
    }

    #[test]
    fn a_line_has_its_fields_and_is_cut_where_it_would_be_too_long() {
        let subscriber =
            tracing_subscriber::layer::SubscriberExt::with(tracing_subscriber::registry(), Keeper);
        tracing::subscriber::with_default(subscriber, || {
            tracing::warn!(attempt = 2, name = %"a\u{1b}[31m", "kept\nhere");
            tracing::warn!(long = %"x".repeat(9000), "kept here too");
        });
        let page = page(0);
        let lines: Vec<_> = page["lines"].as_array().unwrap().iter().collect();
        let texts: Vec<_> = lines.iter().map(|line| line["text"].as_str().unwrap()).collect();
        assert!(texts.contains(&"kept here attempt=2 name=a [31m"), "{texts:?}");
        let long = texts.iter().find(|text| text.starts_with("kept here too long=xxx")).unwrap();
        assert!(long.len() <= LINE_BYTES_MAX && long.len() > LINE_BYTES_MAX - 20, "{}", long.len());
    }
}
