//! What all readers of a swarm say together.

use std::collections::BTreeMap;

use orrery_schemas::Cursor;
use serde::{Deserialize, Serialize};

use super::SwarmReport;
use super::client::Role;
use crate::load::place::{Place, Ways, Wrong};
use crate::load::said::Said;
use crate::load::timing::Times;

/// Frames that should not have been sent, and what should not have been said.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Wrongs {
    /// Of what a reader had.
    pub repeated: u64,
    /// Of something else than others got behind the same place: something was left out, or added.
    pub elsewhere: u64,
    /// Of another length than others got.
    pub other_length: u64,
    /// `gap`, though the source has none; errors, and what no feed says.
    pub unexpected: u64,
}

impl Wrongs {
    /// All of them.
    pub fn sum(self) -> u64 {
        self.repeated + self.elsewhere + self.other_length + self.unexpected
    }

    /// Of several servers.
    pub(in crate::load) fn add(&mut self, other: Self) {
        self.repeated += other.repeated;
        self.elsewhere += other.elsewhere;
        self.other_length += other.other_length;
        self.unexpected += other.unexpected;
    }
}

/// What is known of all readers.
pub(super) struct Judge {
    pub(super) times: Times,
    /// That were sent to readers.
    pub(super) bytes: u64,
    ways: Ways,
    /// Events of ledgers, as readers were told them.
    events: BTreeMap<u32, u32>,
    /// Whether the server's clock is ours.
    trusts_stamps: bool,
    report: SwarmReport,
}

impl Judge {
    pub(super) fn new(wants_all: bool, trusts_stamps: bool) -> Self {
        let (times, ways, events) = (Times::default(), Ways::new(wants_all), BTreeMap::new());
        Self { times, bytes: 0, ways, events, trusts_stamps, report: SwarmReport::default() }
    }

    pub(super) fn connected(&mut self, role: Role) {
        self.report.connected += u64::from(matches!(role, Role::Reader | Role::Slow));
    }

    /// A reader that began to connect so long ago is sent the feed.
    pub(super) fn opened(&mut self, role: Role, micros: u64) {
        if role == Role::Reader {
            self.report.opened.add(micros);
        }
    }

    pub(super) fn refused(&mut self, why: &str) {
        self.report.refused += 1;
        self.report.first_refusal.get_or_insert_with(|| why.to_owned());
    }

    pub(super) fn lost(&mut self, why: &str, now: u64) {
        self.report.lost += 1;
        self.report.first_loss.get_or_insert_with(|| format!("{why}, at {} s since 1970", now / 1_000_000));
    }

    /// A reader at `place` is told something.
    pub(super) fn hears(&mut self, role: Role, place: &mut Place, said: Said, bytes: u64, now: u64) {
        let is_timed = role == Role::Reader;
        let counts = matches!(role, Role::Reader | Role::Slow);
        self.bytes += if counts { bytes } else { 0 };
        match said {
            Said::Heartbeat { tip, sent, lag_ms } => {
                if let Some(lag_ms) = lag_ms.filter(|_| self.trusts_stamps) {
                    self.times.told(tip, lag_ms);
                }
                if let Some(complete) = place.has_all_up_to(sent).filter(|_| is_timed) {
                    self.times.arrived(complete, now);
                }
            }
            Said::Events { closed_ms, cursor, .. } if role == Role::Closes => {
                self.times.closed(cursor.ledger.0, closed_ms);
            }
            Said::Events { cursor, count, .. } => {
                place.events += count;
                self.report.received += u64::from(count);
                match self.ways.lead(place, cursor, bytes) {
                    Ok(true) => {
                        let events = std::mem::take(&mut place.events);
                        if *self.events.entry(cursor.ledger.0).or_insert(events) != events {
                            self.wrong(Wrong::Elsewhere, cursor);
                        }
                        if is_timed {
                            self.times.arrived(cursor.ledger.0, now);
                        }
                    }
                    Ok(false) => {}
                    Err(wrong) => self.wrong(wrong, cursor),
                }
            }
            Said::Subscribed(_) => {}
            said @ (Said::Gap | Said::Refused(_) | Said::Unknown) => {
                self.report.wrongs.unexpected += 1;
                self.report.first_loss.get_or_insert_with(|| format!("{said:?}"));
            }
        }
    }

    fn wrong(&mut self, wrong: Wrong, cursor: Cursor) {
        let (wrongs, why) = (&mut self.report.wrongs, format!("{wrong:?}: a frame up to {cursor}"));
        match wrong {
            Wrong::Back => wrongs.repeated += 1,
            Wrong::Elsewhere => wrongs.elsewhere += 1,
            Wrong::Length => wrongs.other_length += 1,
        }
        self.report.first_loss.get_or_insert(why);
    }

    /// Whether a cursor is right for a reader that was closed.
    pub(super) fn goes_on(&self, place: Place, cursor: Cursor) -> bool {
        self.ways.goes_on(place, cursor)
    }

    /// Counts a reader that was told to have more than it has.
    pub(super) fn look_at(&mut self, place: Place) {
        self.report.wrongs.elsewhere += u64::from(self.ways.lacks(place));
    }

    /// What it knows, without what depends on where readers are.
    pub(super) fn report(&mut self) -> SwarmReport {
        self.report.passed_by_all = self.ways.passed_by_all;
        self.report.events = self.events.clone();
        self.report.clone()
    }
}
