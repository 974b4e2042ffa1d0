//! Ledgers that are due, in spans of whole slots.
//!
//! A span is all slots whose first ledgers are equal when divided by [`SPAN_LEDGERS`]: arithmetic, so that every
//! coordinator cuts alike, wherever the dataset ends.

use std::ops::RangeInclusive;

use orrery_schemas::LedgerSequence;

use super::TaskId;

/// About so many ledgers are one task: some seconds of work, so that little is lost with a node, and few messages needed.
pub const SPAN_LEDGERS: u32 = 1024;

/// Slots of one span at most, whatever the grid.
const SLOTS_MAX: u32 = SPAN_LEDGERS;

/// Ledgers for one task.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LedgerSpan {
    /// First ledger, at which a slot begins.
    pub from: LedgerSequence,
    /// Last ledger, at which a slot ends; `None` for the live tail.
    pub to: Option<LedgerSequence>,
}

impl LedgerSpan {
    /// What it is known by.
    pub fn id(&self) -> TaskId {
        self.to.map_or(TaskId::Live, |to| TaskId::Until(to.0))
    }
}

/// The spans that are due from `next` on: those that the sources have wholly, `count` at most. Behind them comes the live
/// tail, if there is no last ledger `to` and `available` ends inside of a span. `slot` gives the slot that begins at a ledger,
/// cut at `to`.
pub fn due_spans(
    slot: impl Fn(LedgerSequence) -> Option<RangeInclusive<LedgerSequence>>,
    next: LedgerSequence,
    to: Option<LedgerSequence>,
    available: LedgerSequence,
    count: usize,
) -> Vec<LedgerSpan> {
    let mut spans = Vec::new();
    let mut next = next;
    while spans.len() < count {
        let Some(last) = span_end(&slot, next) else { break };
        if to.is_none() && last > available {
            spans.push(LedgerSpan { from: next, to: None });
            break;
        }
        spans.push(LedgerSpan { from: next, to: Some(last) });
        let Some(after) = last.next() else { break };
        next = after;
    }
    spans
}

/// The last ledger of the span that `next` is in.
fn span_end(
    slot: impl Fn(LedgerSequence) -> Option<RangeInclusive<LedgerSequence>>,
    next: LedgerSequence,
) -> Option<LedgerSequence> {
    let number = next.0 / SPAN_LEDGERS;
    let mut last = *slot(next)?.end();
    for _ in 1..SLOTS_MAX {
        match last.next().filter(|next| next.0 / SPAN_LEDGERS == number).and_then(&slot) {
            Some(more) => last = *more.end(),
            None => break,
        }
    }
    Some(last)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dataset::Grid;

    fn check(grid: &str, (next, to, available, count): (u32, Option<u32>, u32, usize), expect: &str) {
        let grid: Grid = grid.parse().unwrap();
        let to = to.map(LedgerSequence);
        let slot = |next| grid.slot_range(next, to);
        let spans = due_spans(slot, LedgerSequence(next), to, LedgerSequence(available), count);
        let text = |span: &LedgerSpan| format!("{}-{}", span.from, span.id());
        assert_eq!(
            spans.iter().map(text).collect::<Vec<_>>().join(" "),
            expect,
            "{grid} {next} {to:?} {available}"
        );
    }

    #[test]
    fn spans_end_where_slots_end() {
        check("1:1024", (2, None, 5_000, 2), "2-until-1023 1024-until-2047");
        check("1:16", (2, None, 5_000, 2), "2-until-1023 1024-until-2047");
        check("1:1000", (2, None, 5_000, 3), "2-until-1999 2000-until-2999 3000-until-3999");
        check("1:4096", (4096, None, 50_000, 2), "4096-until-8191 8192-until-12287");
    }

    #[test]
    fn a_span_keeps_its_end_while_the_dataset_goes_on_inside_of_it() {
        check("1:16", (1040, None, 5_000, 1), "1040-until-2047");
        check("1:1000", (1000, None, 5_000, 1), "1000-until-1999");
    }

    #[test]
    fn the_last_ledger_ends_the_last_span_whatever_is_available() {
        check("1:1024", (2, Some(1500), 0, 9), "2-until-1023 1024-until-1500");
        check("1:1024", (1501, Some(1500), 0, 9), "");
    }

    #[test]
    fn what_is_not_whole_yet_is_the_live_tail() {
        check("1:16", (2, None, 2_050, 9), "2-until-1023 1024-until-2047 2048-live");
        check("1:16", (2, None, 2, 9), "2-live");
        check("1:16", (2, None, 2_050, 2), "2-until-1023 1024-until-2047");
    }
}
