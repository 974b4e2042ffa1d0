//! Where readers are, and whether all of them are led the same way. Pure.
//!
//! All readers of a run want the same, so that behind a given place the same frame follows for each of them, of the same
//! length. The first reader that is led on from a place says what follows; whoever is led elsewhere missed something or has
//! it twice. A reader that passes over a ledger is found out unless every reader does; of events that nothing filters,
//! those are counted too.

use std::collections::HashMap;

use orrery_schemas::Cursor;

/// What may be wrong with a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Wrong {
    /// It is not behind what the reader had.
    Back,
    /// Others were sent something else there.
    Elsewhere,
    /// As long as that of others it is not.
    Length,
}

/// A reader's place: the last whole ledger, and the last frame.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Place {
    /// The cursor of the last frame of events, or of the subscription.
    last: u64,
    /// The last ledger that it has all of.
    pub(super) complete: u32,
    /// Events that it has of the ledger that is not complete.
    pub(super) events: u32,
}

/// What follows on what, for all readers of a run.
#[derive(Debug, Default)]
pub(super) struct Ways {
    next: HashMap<u64, (u64, u64)>,
    /// Ledgers of which nobody was sent anything though all was wanted.
    pub(super) passed_by_all: u64,
    wants_all: bool,
}

/// Places in order.
fn number(cursor: Cursor) -> u64 {
    let event = cursor.event.map_or(u64::from(u32::MAX), u64::from);
    u64::from(cursor.ledger.0) << 32 | event
}

impl Place {
    /// Of a subscription that begins.
    pub(super) fn at(cursor: Cursor) -> Self {
        let whole = if cursor.event.is_none() { cursor.ledger.0 } else { cursor.ledger.0.saturating_sub(1) };
        Self { last: number(cursor), complete: whole, events: 0 }
    }

    /// All up to a cursor was sent. Tells the ledger that is complete by that, if it was not known to be.
    pub(super) fn has_all_up_to(&mut self, cursor: Cursor) -> Option<u32> {
        let complete = Self::at(cursor).complete;
        let is_news = complete > self.complete;
        self.complete = self.complete.max(complete);
        is_news.then_some(complete)
    }
}

impl Ways {
    /// Of readers that want all events, or only some.
    pub(super) fn new(wants_all: bool) -> Self {
        Self { wants_all, ..Self::default() }
    }

    /// Leads a reader on by a frame of events. True if it completes a ledger.
    ///
    /// # Errors
    ///
    /// [`Wrong`]; the reader is led on all the same.
    pub(super) fn lead(&mut self, place: &mut Place, cursor: Cursor, bytes: u64) -> Result<bool, Wrong> {
        let (from, to) = (place.last, number(cursor));
        if to <= from {
            return Err(Wrong::Back);
        }
        let reached = Place::at(cursor);
        let is_news = reached.complete > place.complete;
        // What a heartbeat said to be complete has no more frames.
        let was_complete = cursor.ledger.0 <= place.complete;
        *place = Place { last: to, complete: place.complete.max(reached.complete), ..*place };
        match self.next.get(&from) {
            _ if was_complete => return Err(Wrong::Back),
            Some((next, _)) if *next != to => return Err(Wrong::Elsewhere),
            Some((_, length)) if *length != bytes => return Err(Wrong::Length),
            Some(_) => {}
            None => {
                self.next.insert(from, (to, bytes));
                let passed = (to >> 32).saturating_sub((from >> 32) + 1);
                self.passed_by_all += if self.wants_all { passed } else { 0 };
            }
        }
        Ok(is_news)
    }

    /// Whether a reader that goes on behind `cursor` gets all that follows on what it has, as far as others were led.
    pub(super) fn goes_on(&self, place: Place, cursor: Cursor) -> bool {
        let at = number(cursor);
        at >= place.last && self.next.get(&place.last).is_none_or(|(next, _)| *next > at)
    }

    /// Whether a reader was told to have ledgers of which it lacks something.
    pub(super) fn lacks(&self, place: Place) -> bool {
        self.next.get(&place.last).is_some_and(|(next, _)| next >> 32 <= u64::from(place.complete))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Cursors that two readers get; what is wrong with the last frame of the second.
    fn check(begin: &str, first: &[(&str, u64)], second: &[(&str, u64)], expect: Result<bool, Wrong>) {
        let mut ways = Ways::new(true);
        let mut places = [Place::at(begin.parse().unwrap()); 2];
        for (cursor, bytes) in first {
            ways.lead(&mut places[0], cursor.parse().unwrap(), *bytes).unwrap();
        }
        let mut last = Ok(false);
        for (cursor, bytes) in second {
            last = ways.lead(&mut places[1], cursor.parse().unwrap(), *bytes);
        }
        assert_eq!(last, expect, "{begin}: {first:?}, {second:?}");
    }

    #[test]
    fn a_reader_that_is_led_another_way_is_found_out() {
        let way = [("8:499", 10), ("8", 11), ("9", 12), ("10", 13)];
        check("7", &way, &way, Ok(true));
        check("7", &way, &[("8:499", 10)], Ok(false));
        check("7", &way, &[("8", 10)], Err(Wrong::Elsewhere));
        check("7", &way, &[("8:499", 10), ("8", 11), ("10", 13)], Err(Wrong::Elsewhere));
        check("7", &way, &[("8:499", 10), ("8", 11), ("8", 11)], Err(Wrong::Back));
        check("7", &way, &[("8:499", 10), ("8", 10)], Err(Wrong::Length));
    }

    #[test]
    fn ledgers_that_all_pass_by_are_counted() {
        let (mut ways, mut place) = (Ways::new(true), Place::at("7".parse().unwrap()));
        for (cursor, passed) in [("8:5", 0), ("8", 0), ("9", 0), ("12", 2)] {
            ways.lead(&mut place, cursor.parse().unwrap(), 1).unwrap();
            assert_eq!(ways.passed_by_all, passed, "{cursor}");
        }
    }

    #[test]
    fn a_cursor_to_go_on_at_leaves_nothing_out() {
        let (mut ways, mut place) = (Ways::new(false), Place::at("7".parse().unwrap()));
        let mut behind = place;
        for cursor in ["8:499", "8", "11"] {
            ways.lead(&mut place, cursor.parse().unwrap(), 1).unwrap();
        }
        ways.lead(&mut behind, "8:499".parse().unwrap(), 1).unwrap();
        let check = |cursor: &str, expect: bool| {
            assert_eq!(ways.goes_on(behind, cursor.parse().unwrap()), expect, "{cursor}");
        };
        check("7", false);
        check("8:499", true);
        check("8", false);
        check("11", false);
        assert!(ways.goes_on(place, "13".parse().unwrap()));
        assert!(!ways.lacks(behind) && !ways.lacks(place));
        assert!(behind.has_all_up_to("8".parse().unwrap()).is_some() && ways.lacks(behind));
    }

    #[test]
    fn a_heartbeat_completes_ledgers_and_nothing_of_them_may_follow() {
        let (mut ways, mut place) = (Ways::new(false), Place::at("7".parse().unwrap()));
        let mut told = |cursor: &str| place.has_all_up_to(cursor.parse().unwrap());
        assert_eq!([told("9"), told("9"), told("10:3"), told("8")], [Some(9), None, None, None]);
        assert_eq!(ways.lead(&mut place, "9".parse().unwrap(), 1), Err(Wrong::Back));
        assert_eq!(ways.lead(&mut place, "10".parse().unwrap(), 1), Ok(true));
    }
}
