//! Log lines of several nodes in the order of time, and what was lost between two looks.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;

/// One line.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct LogLine {
    pub(crate) node: String,
    /// Counts from 1 in each life of the node.
    pub(crate) sequence: u64,
    /// Since 1970 (UTC), by the node's calendar.
    pub(crate) at_ms: u64,
    pub(crate) level: String,
    pub(crate) text: String,
}

#[derive(Deserialize)]
struct Page {
    lines: Vec<PageLine>,
    last: u64,
}

#[derive(Deserialize)]
struct PageLine {
    sequence: u64,
    at_ms: u64,
    level: String,
    text: String,
}

/// How far the log of each node has been read.
#[derive(Debug, Default)]
pub(crate) struct Tail(BTreeMap<String, (u64, u64)>);

/// What a page had.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Taken {
    pub(crate) lines: Vec<LogLine>,
    /// Lines that were gone before they were asked for.
    pub(crate) lost: u64,
    /// There are more already.
    pub(crate) has_more: bool,
}

impl Tail {
    /// The number after which the node's lines are new. A node that began anew counts from the beginning.
    pub(crate) fn after(&self, node: &str, incarnation: u64) -> u64 {
        self.0.get(node).filter(|(life, _)| *life == incarnation).map_or(0, |(_, last)| *last)
    }

    /// Takes what the node answered. `None` if that is no page of a log.
    pub(crate) fn take(&mut self, node: &str, incarnation: u64, page: Value) -> Option<Taken> {
        let page: Page = serde_json::from_value(page).ok()?;
        let after = self.after(node, incarnation);
        let mut taken = Taken::default();
        let mut read = after;
        // Without a number to go by, an older line is not lost: nobody asked for it.
        if let Some(first) = page.lines.first().filter(|_| after > 0) {
            taken.lost = first.sequence.saturating_sub(after + 1);
        }
        for line in page.lines {
            read = read.max(line.sequence);
            let (sequence, at_ms) = (line.sequence, line.at_ms);
            taken.lines.push(LogLine {
                node: node.to_owned(),
                sequence,
                at_ms,
                level: line.level,
                text: line.text,
            });
        }
        taken.has_more = page.last > read && !taken.lines.is_empty();
        self.0.insert(node.to_owned(), (incarnation, read));
        Some(taken)
    }
}

impl LogLine {
    /// As a person reads it; `nodes` is the width of the names.
    pub(crate) fn text(&self, nodes: usize) -> String {
        format!("{} {:nodes$} {:>5} {}", time(self.at_ms), self.node, self.level, self.text)
    }
}

/// Date and time of day, UTC.
fn time(at_ms: u64) -> String {
    let (days, ms) = (at_ms / 86_400_000, at_ms % 86_400_000);
    let (year, month, day) = date(days);
    let (hours, minutes, seconds) = (ms / 3_600_000, ms / 60_000 % 60, ms / 1000 % 60);
    format!("{year:04}-{month:02}-{day:02}T{hours:02}:{minutes:02}:{seconds:02}.{:03}Z", ms % 1000)
}

/// The date so many days after 1970-01-01, in the proleptic Gregorian calendar: eras of 400 years that begin in March.
fn date(days: u64) -> (u64, u64, u64) {
    let shifted = days + 719_468;
    let (era, of_era) = (shifted / 146_097, shifted % 146_097);
    let year_of_era = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * of_year + 2) / 153;
    let day = of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = if month_from_march < 10 { month_from_march + 3 } else { month_from_march - 9 };
    (era * 400 + year_of_era + u64::from(month <= 2), month, day)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn page(sequences: std::ops::Range<u64>, last: u64) -> Value {
        let line = |sequence| json!({ "sequence": sequence, "at_ms": 1, "level": "INFO", "text": "x" });
        json!({ "lines": sequences.map(line).collect::<Vec<_>>(), "last": last })
    }

    #[test]
    fn what_was_gone_before_it_was_asked_for_is_counted() {
        let mut tail = Tail::default();
        let mut check = |incarnation, page, lines: usize, lost: u64, has_more: bool, after: u64| {
            let taken = tail.take("a", incarnation, page).unwrap();
            assert_eq!((taken.lines.len(), taken.lost, taken.has_more), (lines, lost, has_more));
            assert_eq!(tail.after("a", incarnation), after);
        };
        check(1, page(11..21, 30), 10, 0, true, 20);
        check(1, page(21..31, 30), 10, 0, false, 30);
        check(1, page(0..0, 30), 0, 0, false, 30);
        check(1, page(36..38, 37), 2, 5, false, 37);
        check(2, page(1..3, 2), 2, 0, false, 2);
        assert_eq!((tail.after("a", 3), tail.after("b", 2)), (0, 0));
        assert_eq!(tail.take("a", 2, json!({ "lines": 5 })), None);
    }

    #[test]
    fn times_are_dates_of_the_calendar() {
        let check = |at_ms, text: &str| assert_eq!(time(at_ms), text);
        check(0, "1970-01-01T00:00:00.000Z");
        check(951_827_696_789, "2000-02-29T12:34:56.789Z");
        check(1_704_067_199_999, "2023-12-31T23:59:59.999Z");
        check(4_107_542_400_000, "2100-03-01T00:00:00.000Z");
    }
}
